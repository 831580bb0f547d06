//! Holding jobs.
//!
//! Only the runtime knows whether it is too late to hold a job that is being started. So the wish to
//! hold it is noted first. Then any process that sees the wish, the one that asks or the one that starts
//! the job, has its start withdrawn and stores the result. The job waits on, or has started; no state in
//! between stays undecided, whichever process dies.

use rusqlite::{OptionalExtension, params};

use super::control::{WITHIN, Which};
use super::query::{asked, state};
use super::{Claim, Store};
use crate::model::{Control, JobState, Result, now, now_nanos};
use crate::tracker::Waiting;

/// The result of holding jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// The number of held jobs.
    pub held: usize,
    /// Id and runtime of jobs that are being started, whose start has to be withdrawn.
    pub starting: Vec<(String, String)>,
}

impl Store {
    /// Keep waiting jobs from starting.
    pub fn hold(&self, which: Which<'_>) -> Result<Holding> {
        self.write(|sql| {
            // The process that made a job ready undoes that.
            let query = format!(
                "UPDATE jobs SET state = state + 1, phase = CASE phase WHEN 1 THEN 3 ELSE phase END
                 WHERE ({WITHIN}) AND state IN (1, 5) AND phase NOT IN (2, 4)"
            );
            let held = sql.prepare_cached(&query)?.execute(which.ids())?;
            let query =
                format!("UPDATE jobs SET hold = 1 WHERE ({WITHIN}) AND state IN (1, 5) AND phase = 2");
            if sql.prepare_cached(&query)?.execute(which.ids())? == 0 {
                return Ok(Holding { held, starting: Vec::new() });
            }
            let query = format!(
                "SELECT id, (SELECT target FROM submissions WHERE number = submission) FROM jobs
                 WHERE ({WITHIN}) AND hold = 1"
            );
            let mut starting = sql.prepare_cached(&query)?;
            let starting = starting.query_map(which.ids(), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Holding { held, starting: starting.collect::<rusqlite::Result<_>>()? })
        })
    }

    /// The jobs that wait in the queue of their runtime, held ones or others: id and runtime.
    pub fn waiting_there(&self, which: Which<'_>, held: bool) -> Result<Vec<(String, String)>> {
        self.read(|sql| {
            let query = format!(
                "SELECT id, (SELECT target FROM submissions WHERE number = submission) FROM jobs
                 WHERE ({WITHIN}) AND phase = 4 AND state IN ({})",
                if held { "2, 6" } else { "1, 5" }
            );
            let mut query = sql.prepare_cached(&query)?;
            let jobs = query.query_map(which.ids(), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(jobs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns whether a job was handed over to the queue of its runtime before, and its state is another one than
    /// this.
    pub fn waits_otherwise(&self, id: &str, how: &Waiting) -> Result<bool> {
        let query =
            "SELECT 1 FROM jobs WHERE id = ?1 AND phase = 4 AND claim IS NULL AND (state IN (3, 4)
                     OR (state IN (1, 2, 5, 6) AND state <> iif(?3 OR state IN (5, 6), 5, 1) + ?2))";
        self.read(|sql| Ok(sql.prepare_cached(query)?.exists(params![id, how.held, how.again])?))
    }

    /// Store that a job waits in the queue of its runtime. Returns whether its state was another one, and whether its
    /// end was asked for.
    pub fn job_waits(&self, id: &str, how: &Waiting) -> Result<(bool, Option<Control>)> {
        let Waiting { held, again, reason } = how;
        let known = "SELECT 1 FROM jobs WHERE id = ?1 AND phase = 4 AND claim IS NULL AND progress IS ?4
                     AND state = iif(?3 OR state IN (5, 6), 5, 1) + ?2";
        let is_known =
            self.read(|sql| Ok(sql.prepare_cached(known)?.exists(params![id, held, again, reason])?))?;
        if is_known {
            return Ok((false, None));
        }
        self.write(|sql| {
            let before: Option<i32> = sql
                .prepare_cached("SELECT state FROM jobs WHERE id = ?")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            let mut query = sql.prepare_cached(
                // A run that is over is counted: a late report about it is none about the next.
                "UPDATE jobs SET claim = NULL, progress = ?4, attempts = 0,
                     losses = losses + (state IN (3, 4)), slots = NULL,
                     switched = iif(state IN (3, 4), max(switched, ?5), switched),
                     state = iif(?3 OR state IN (5, 6), 5, 1) + ?2
                 WHERE id = ?1 AND phase = 4 AND (state IN (1, 2, 5, 6) OR (?3 AND state IN (3, 4)))
                 RETURNING state, terminate",
            )?;
            let mut rows = query.query(params![id, held, again, reason, now_nanos()])?;
            let Some(row) = rows.next()? else { return Ok((false, None)) };
            Ok((row.get::<_, Option<i32>>(0)? != before, asked(row, 1)?))
        })
    }

    /// Returns whether a job that is being started is to be held.
    pub fn is_to_be_held(&self, id: &str) -> Result<bool> {
        let query = "SELECT 1 FROM jobs WHERE id = ? AND hold = 1";
        self.read(|sql| Ok(sql.prepare_cached(query)?.exists([id])?))
    }

    /// Store that the start of a job to be held was withdrawn: the job is held, and the process that was
    /// starting it undoes that.
    pub fn job_withdrawn(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET state = state + 1, hold = 0, phase = 3, slots = NULL,
                     withdrawn = withdrawn + 1
                 WHERE id = ?1 AND hold = 1 AND phase = 2 AND state IN (1, 5)",
            )?
            .execute([id])?;
            Ok(())
        })
    }

    /// Store that a start by this process was withdrawn, and nothing is left of it. Returns the state of
    /// the job, which waits or has ended; `None` if this process was not starting it.
    pub fn start_withdrawn(&self, id: &str, mine: &Claim) -> Result<Option<JobState>> {
        self.write(|sql| {
            let mut query = sql.prepare_cached(
                "UPDATE jobs SET state = iif(terminate <> 0, 8, state + hold), hold = 0, phase = 0,
                     finished = iif(terminate <> 0, ?3, NULL), slots = NULL, claim = NULL,
                     leftovers = 0, withdrawn = withdrawn + 1
                 WHERE id = ?1 AND claim = ?2 AND phase = 2 AND state IN (1, 5) RETURNING state",
            )?;
            let mut rows = query.query(params![id, mine, now()])?;
            Ok(rows.next()?.map(|row| state(row, 0)).transpose()?)
        })
    }

    /// Store that a job has not started, although a start of the run with this number was stored: it was
    /// withdrawn just then. True if that was news: then `mine` is the process that removes what is left,
    /// after which the job waits.
    pub fn run_withdrawn(&self, id: &str, run: i64, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let changed = sql
                .prepare_cached(
                    "UPDATE jobs SET state = 5, phase = 3, claim = ?3, leftovers = 1, slots = NULL,
                         withdrawn = withdrawn + 1, switched = max(switched, ?4)
                     WHERE id = ?1 AND losses + withdrawn = ?2 AND phase = 2 AND state IN (3, 4)",
                )?
                .execute(params![id, run, mine, now_nanos()])?;
            Ok(changed == 1)
        })
    }

    /// Drop the wish to hold a job: it is too late, or unknown whether it is.
    pub fn forget_hold(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached("UPDATE jobs SET hold = 0 WHERE id = ?")?.execute([id])?;
            Ok(())
        })
    }
}
