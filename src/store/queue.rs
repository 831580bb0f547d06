//! Admission: the input of the scheduler, and the execution of its plan, in one transaction of any
//! process.

use rusqlite::{Connection, Row, params};

use super::control::terminate;
use super::rows::readable;
use super::work::RUNS_UNTIL;
use super::{Claim, Failable, Store};
use crate::model::{Control, Error, Millis, Result};
use crate::scheduler::{Active, Candidate, Machine, Pick, Plan, Pool, Reserved};

/// The input of a scheduler.
pub struct Queue<'a> {
    /// The machine's use and promises.
    pub machine: &'a Machine,
    /// The rules of the waiting jobs.
    pub pools: &'a [Pool],
    /// The waiting jobs, in serving order.
    pub candidates: &'a mut dyn Iterator<Item = Result<Candidate>>,
}

/// The decision: [`crate::scheduler::plan`], except in tests.
pub type Decide<'a> = &'a mut dyn FnMut(Queue<'_>) -> Result<Plan>;

/// The names of runtimes in the store whose jobs may be admitted, as JSON.
pub struct Targets(String);

impl Targets {
    /// The targets with these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let names: Vec<&str> = names.into_iter().collect();
        let json = serde_json::to_string(&names).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self(json))
    }
}

/// The most jobs that are kept ready, for each that the plan wants ready.
const READY_FACTOR: usize = 2;

impl Store {
    /// Let `decide` choose among the waiting jobs of `targets`. A chosen job is claimed for `mine`,
    /// unless a living process has made it ready, which then starts it. True if a job was started.
    pub fn admit(
        &self,
        now: Millis,
        targets: &Targets,
        mine: &Claim,
        decide: Decide<'_>,
    ) -> Result<bool> {
        let idle = self.read(|sql| {
            if !sql.prepare_cached(ANY_WAITS)?.exists([])? {
                return Ok(true);
            }
            let plan = look(sql, now, targets, decide)?;
            Ok(plan.start.is_empty() && to_make_ready(sql, &plan.ahead)?.is_empty())
        })?;
        // Each transaction rings the bell, which makes every process look again.
        if idle {
            return Ok(false);
        }
        self.write(|sql| {
            let plan = look(sql, now, targets, decide)?;
            for pick in &plan.start {
                start(sql, pick, mine)?;
            }
            for number in to_make_ready(sql, &plan.ahead)? {
                sql.prepare_cached(
                    "UPDATE jobs SET phase = 1, claim = ?2, leftovers = 1 WHERE number = ?1",
                )?
                .execute(params![number, mine])?;
            }
            Ok(!plan.start.is_empty())
        })
    }

    /// Returns whether one of these jobs or job arrays waits although its time has come, or is to be handed over.
    pub fn any_waits<'a>(&self, ids: impl IntoIterator<Item = &'a String>, now: Millis) -> Result<bool> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(
                "SELECT 1 FROM submissions b LEFT JOIN reservations r ON r.number = b.reservation
                 WHERE b.id = ?1 AND b.waiting > 0 AND (b.start_time IS NULL OR b.start_time <= ?2)
                     AND (r.begins IS NULL OR r.begins <= ?2)
                 UNION ALL
                 SELECT 1 FROM submissions b CROSS JOIN jobs j ON j.submission = b.number
                 WHERE b.id = ?1 AND j.phase = 4 AND j.claim IS NOT NULL",
            )?;
            for id in ids {
                if query.exists(params![id, now])? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// The next time at which work may arise without an event: a start time, the begin or end of a
    /// reservation, the wall clock limit of a suspended job, a deadline.
    pub fn next_change(&self, now: Millis) -> Result<Option<Millis>> {
        self.read(|sql| Ok(sql.prepare_cached(&next_time())?.query_row([now], |row| row.get(0))?))
    }

    /// End the jobs that wait in reservations that are over. Returns the jobs in them that still run:
    /// their init ends them, unless the reservation was terminated before its time.
    pub fn expire_reservations(&self, now: Millis) -> Result<Vec<String>> {
        self.expire(&any_outlasts(), OUTLASTS, now, "its reservation is over")
    }

    /// End the jobs that wait although their deadline has come. A job that has started, or is being
    /// started, is ended by its init. Returns those that wait in the queue of their runtime.
    pub fn expire_deadlines(&self, now: Millis) -> Result<Vec<String>> {
        self.expire(&any_late(), LATE, now, "its deadline has come before it could run")
    }

    /// End the jobs that `within` selects, if the query `any` finds one. Returns those that the runtime has to end.
    fn expire(&self, any: &str, within: &str, now: Millis, reason: &str) -> Result<Vec<String>> {
        if !self.read(|sql| Ok(sql.prepare_cached(any)?.exists([now])?))? {
            return Ok(Vec::new());
        }
        let ended = self.write(|sql| terminate(sql, within, params![now], Control::Terminate, reason));
        Ok(ended?.begun)
    }
}

/// The condition for jobs of a reservation that is over.
const OUTLASTS: &str = "submission IN (SELECT b.number FROM submissions b
    CROSS JOIN reservations r ON r.number = b.reservation
    WHERE b.unsettled > 0 AND b.reservation IS NOT NULL AND r.ends <= ?1)";
/// The condition for jobs that wait although their deadline has come.
const LATE: &str = "phase <> 2 AND state IN (1, 2, 5, 6) AND submission IN
    (SELECT number FROM submissions WHERE unsettled > 0 AND deadline <= ?1)";
/// A query for whether jobs wait.
pub(super) const ANY_WAITS: &str = "SELECT 1 FROM submissions WHERE waiting > 0 LIMIT 1";

/// A query for whether jobs outlast their reservation.
pub(super) fn any_outlasts() -> String {
    format!("SELECT 1 FROM jobs WHERE {OUTLASTS} AND terminate = 0 AND state NOT IN (7, 8)")
}

/// A query for whether jobs wait beyond their deadline.
pub(super) fn any_late() -> String {
    format!("SELECT 1 FROM jobs WHERE {LATE} AND terminate = 0")
}

/// See [`Store::next_change`].
pub(super) fn next_time() -> String {
    format!(
        "SELECT min(at) FROM (
             SELECT min(start_time) AS at FROM submissions WHERE waiting > 0 AND start_time > ?1
             UNION ALL SELECT min(begins) FROM reservations WHERE begins > ?1
             UNION ALL SELECT min(ends) FROM reservations WHERE ends > ?1
             UNION ALL SELECT min(deadline) FROM submissions WHERE unsettled > 0 AND deadline > ?1
             UNION ALL SELECT min({RUNS_UNTIL})
                 FROM jobs j CROSS JOIN submissions b ON b.number = j.submission
                 WHERE j.phase IN (2, 4) AND j.state = 4 AND {RUNS_UNTIL} > ?1)"
    )
}

fn look(sql: &Connection, now: Millis, targets: &Targets, decide: Decide<'_>) -> Failable<Plan> {
    let machine = Machine { active: active(sql)?, reserved: reserved(sql, now)? };
    let (numbers, pools): (Vec<i64>, Vec<Pool>) = pools(sql)?.into_iter().unzip();
    let mut query = sql.prepare_cached(
        "SELECT number, pool, waiting, active, max_parallel, min_slots, max_slots, memory, start_time,
             reservation, wall_clock, owner_uid, rank
         FROM submissions
         WHERE waiting > 0 AND (start_time IS NULL OR start_time <= ?1)
             AND target IN (SELECT value FROM json_each(?2))
             AND (reservation IS NULL OR EXISTS
                 (SELECT 1 FROM reservations r WHERE r.number = reservation AND r.begins <= ?1))
         ORDER BY rank DESC, priority DESC, number",
    )?;
    let mut rows = query.query(params![now, targets.0])?;
    let mut candidates = std::iter::from_fn(|| {
        let mut next = || -> rusqlite::Result<Option<Candidate>> {
            while let Some(row) = rows.next()? {
                if let Some(candidate) = readable(candidate(row, &numbers))? {
                    return Ok(Some(candidate));
                }
            }
            Ok(None)
        };
        next().map_err(unreadable).transpose()
    });
    let queue = Queue { machine: &machine, pools: &pools, candidates: &mut candidates };
    Ok(decide(queue)?)
}

fn unreadable(error: rusqlite::Error) -> Error {
    Error::internal(format!("cannot read the queue: {error}"))
}

fn candidate(row: &Row<'_>, pools: &[i64]) -> rusqlite::Result<Candidate> {
    let pool: i64 = row.get(1)?;
    let place = pools.iter().position(|number| *number == pool);
    let at_least_zero = |number: i64| usize::try_from(number).unwrap_or_default();
    Ok(Candidate {
        submission: row.get(0)?,
        pool: place.ok_or(rusqlite::Error::IntegralValueOutOfRange(1, pool))?,
        waiting: at_least_zero(row.get(2)?),
        active: at_least_zero(row.get(3)?),
        max_parallel: row.get::<_, Option<i64>>(4)?.map(at_least_zero),
        min_slots: row.get(5)?,
        max_slots: row.get(6)?,
        memory: row.get(7)?,
        start: row.get(8)?,
        reservation: row.get(9)?,
        wall_clock: row.get(10)?,
        owner: row.get(11)?,
        rank: row.get(12)?,
    })
}

fn pools(sql: &Connection) -> rusqlite::Result<Vec<(i64, Pool)>> {
    let mut query = sql.prepare_cached(
        "SELECT id, slots, memory, queue, queue_slots, user_slots FROM pools
         WHERE EXISTS (SELECT 1 FROM submissions WHERE waiting > 0 AND pool = pools.id)",
    )?;
    let rows = query.query_map([], |row| {
        let (slots, memory, queue) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (queue_slots, user_slots) = (row.get(4)?, row.get(5)?);
        Ok((row.get(0)?, Pool { slots, memory, queue, queue_slots, user_slots }))
    })?;
    rows.collect()
}

/// The jobs that hold slots.
pub(super) fn active(sql: &Connection) -> rusqlite::Result<Vec<Active>> {
    let mut query = sql.prepare_cached(&format!(
        "SELECT coalesce(j.slots, 1), b.memory, p.queue, b.reservation,
             nullif(min(coalesce({RUNS_UNTIL}, 1 << 62), coalesce(r.ends, 1 << 62),
                 coalesce(b.deadline, 1 << 62)), 1 << 62), b.owner_uid
         FROM jobs j
         CROSS JOIN submissions b ON b.number = j.submission
         CROSS JOIN pools p ON p.id = b.pool
         LEFT JOIN reservations r ON r.number = b.reservation
         WHERE j.phase = 2",
    ))?;
    let rows = query.query_map([], |row| {
        let (slots, memory, queue) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (reservation, ends, owner) = (row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(Active { slots, memory, queue, owner, reservation, ends })
    })?;
    rows.collect()
}

/// The reservations that are not over.
pub(super) fn reserved(sql: &Connection, now: Millis) -> rusqlite::Result<Vec<Reserved>> {
    let mut query = sql.prepare_cached(
        "SELECT number, begins, ends, slots, memory FROM reservations WHERE ends > ? ORDER BY number",
    )?;
    let rows = query.query_map([now], |row| {
        let (number, begins, ends) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Reserved { number, begins, ends, slots: row.get(3)?, memory: row.get(4)? })
    })?;
    rows.collect()
}

/// The next jobs of a submission: ready ones come first.
fn next(sql: &Connection, pick: &Pick) -> rusqlite::Result<Vec<(i64, Option<Claim>)>> {
    let mut query = sql.prepare_cached(
        "SELECT number, claim FROM jobs WHERE submission = ? AND state IN (1, 5) AND phase IN (0, 1)
         ORDER BY phase DESC, number LIMIT ?",
    )?;
    let limit = i64::try_from(pick.slots.len()).unwrap_or(i64::MAX);
    query.query_map(params![pick.submission, limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn start(sql: &Connection, pick: &Pick, mine: &Claim) -> Failable<()> {
    for ((number, holder), slots) in next(sql, pick)?.into_iter().zip(&pick.slots) {
        // A stopped process would keep the slot as long as it is stopped.
        let starter = holder.filter(Claim::is_running).unwrap_or_else(|| mine.clone());
        sql.prepare_cached(
            "UPDATE jobs SET phase = 2, claim = ?2, leftovers = 1, slots = ?3 WHERE number = ?1",
        )?
        .execute(params![number, starter, slots])?;
    }
    Ok(())
}

/// The next jobs that are not ready yet.
fn to_make_ready(sql: &Connection, picks: &[Pick]) -> rusqlite::Result<Vec<i64>> {
    let wanted: usize = picks.iter().map(|pick| pick.slots.len()).sum();
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let ready: i64 = sql
        .prepare_cached("SELECT count(*) FROM jobs WHERE claim IS NOT NULL AND phase IN (1, 3)")?
        .query_row([], |row| row.get(0))?;
    let mut numbers = Vec::new();
    for pick in picks {
        numbers.extend(
            next(sql, pick)?.into_iter().filter_map(
                |(number, holder)| {
                    if holder.is_none() { Some(number) } else { None }
                },
            ),
        );
    }
    numbers.truncate((wanted * READY_FACTOR).saturating_sub(usize::try_from(ready).unwrap_or_default()));
    Ok(numbers)
}
