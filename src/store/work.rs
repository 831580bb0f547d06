//! Pending work: the jobs that a process works on, and those whose process has died.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use super::query::asked;
use super::rows::{readable, state};
use super::{Claim, Failable, Session, Store};
use crate::model::{Control, JobState, Millis, Result};

/// A job with pending work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// The job.
    pub id: String,
    /// The runtime that it belongs to.
    pub target: String,
    /// Its state as stored.
    pub state: JobState,
    /// The work in progress, see life.rs.
    pub phase: Phase,
    /// The process that does it.
    pub claim: Option<Claim>,
    /// The requested end, if there is a request.
    pub terminate: Option<Control>,
    /// It is to be held, although it is being started.
    pub hold: bool,
    /// Number of its run: the number of runs before that were lost or withdrawn.
    pub run: i64,
    /// Time of its last suspension or resumption, in nanoseconds since the epoch.
    pub switched: i64,
    /// Number of its submission.
    pub submission: i64,
}

impl Unsettled {
    /// Returns whether the claimer has to hand it over to the queue of its runtime.
    pub fn is_to_be_handed_over(&self) -> bool {
        self.phase == Phase::There && self.claim.is_some() && self.state.is_queued()
    }
}

/// The work in progress for a job, see life.rs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing, or it is being cleaned up.
    Idle,
    /// It is made ready, or is ready.
    Ready,
    /// It holds its slots.
    Active,
    /// Its preparation is undone.
    Undoing,
    /// It belongs to a runtime with a queue of its own, or is being handed over to it.
    There,
}

const COLUMNS: &str = "SELECT j.id, b.target, j.state, j.phase, j.claim, j.terminate, j.hold,
    j.losses + j.withdrawn, j.switched, b.number ";
/// The end of a job by its wall clock limit. A limit may be so large that the sum would be no integer any more.
pub(super) const RUNS_UNTIL: &str = "j.started + min(b.wall_clock, 1 << 60)";
const BY_JOB: &str = "FROM jobs j CROSS JOIN submissions b ON b.number = j.submission ";
const BY_SUBMISSION: &str = "FROM submissions b CROSS JOIN jobs j ON j.submission = b.number ";

impl Store {
    /// The jobs of a runtime that are begun and have not ended, or have ended and are not cleaned up.
    pub fn unsettled_jobs(&self, target: &str) -> Result<Vec<Unsettled>> {
        let condition = "WHERE b.target = ? AND b.unsettled > 0
                         AND (j.state NOT IN (7, 8) OR j.leftovers = 1)
                         AND (j.phase <> 0 OR j.state NOT IN (1, 2, 5, 6))";
        self.unsettled(BY_SUBMISSION, condition, params![target])
    }

    /// The same for one job.
    pub fn unsettled_job(&self, id: &str) -> Result<Option<Unsettled>> {
        let condition = "WHERE (j.state NOT IN (7, 8) OR j.leftovers = 1) AND j.id = ?
                         AND (j.phase <> 0 OR j.state NOT IN (1, 2, 5, 6))";
        Ok(self.unsettled(BY_JOB, condition, params![id])?.pop())
    }

    /// The jobs that a process works on.
    pub fn claimed_jobs(&self, claim: &Claim) -> Result<Vec<Unsettled>> {
        self.read(|sql| claimed(sql, claim, usize::MAX))
    }

    /// Jobs that are suspended beyond their time: their init is stopped with them.
    pub fn overdue_jobs(&self, now: Millis) -> Result<Vec<Unsettled>> {
        self.unsettled(BY_JOB, &overdue(), params![now])
    }

    fn unsettled(
        &self,
        tables: &str,
        condition: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Unsettled>> {
        self.read(|sql| list(sql, tables, condition, params))
    }

    /// The processes that work on jobs or listen to their states.
    pub fn claimers(&self) -> Result<Vec<Claim>> {
        self.read(claimers)
    }

    /// Claim a job in place of `holder`, a process that died, or `None`. False if another process was
    /// faster. A job that was made ready is to be undone: only its maker knows the progress.
    pub fn take_over(&self, id: &str, holder: Option<&Claim>, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let taken = sql
                .prepare_cached(
                    "UPDATE jobs SET claim = ?3, phase = CASE phase WHEN 1 THEN 3 ELSE phase END
                     WHERE id = ?1 AND claim IS ?2 AND state NOT IN (3, 4)
                         AND (phase <> 0 OR leftovers = 1)",
                )?
                .execute(params![id, holder, mine])?;
            Ok(taken == 1)
        })
    }

    /// The runtimes with jobs that have pending or future work.
    pub fn unsettled_targets(&self) -> Result<Vec<String>> {
        self.targets("SELECT DISTINCT target FROM submissions WHERE unsettled > 0", params![])
    }

    /// The ones with such jobs of a session.
    pub fn unsettled_targets_of(&self, session: &Session) -> Result<Vec<String>> {
        let query = "SELECT DISTINCT target FROM submissions WHERE session = ? AND unsettled > 0";
        self.targets(query, params![session.id])
    }

    fn targets(&self, query: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<String>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(query)?;
            Ok(query.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn list(
    sql: &Connection,
    tables: &str,
    condition: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Failable<Vec<Unsettled>> {
    let mut query = sql.prepare_cached(&[COLUMNS, tables, condition].join(" "))?;
    let jobs = query.query_map(params, unsettled)?.filter_map(|job| readable(job).transpose());
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// See [`Store::claimed_jobs`]; at most so many.
pub(super) fn claimed(sql: &Connection, claim: &Claim, most: usize) -> Failable<Vec<Unsettled>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    list(sql, BY_JOB, "WHERE j.claim = ? ORDER BY j.number LIMIT ?", params![claim, most])
}

/// See [`Store::claimers`].
pub(super) fn claimers(sql: &Connection) -> Failable<Vec<Claim>> {
    // A UNION would make a table of its own for each look.
    let mut query = sql.prepare_cached(
        "SELECT DISTINCT claim FROM jobs WHERE claim IS NOT NULL UNION ALL SELECT claim FROM listeners
         UNION ALL SELECT DISTINCT claim FROM mails WHERE claim IS NOT NULL",
    )?;
    let all = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<BTreeSet<_>>>()?;
    Ok(all.into_iter().collect())
}

/// The condition for a job that is suspended beyond its time.
fn overdue() -> String {
    format!(
        "LEFT JOIN reservations r ON r.number = b.reservation
         WHERE j.state = 4 AND j.phase IN (2, 4)
             AND ({RUNS_UNTIL} <= ?1 OR r.ends <= ?1 OR b.deadline <= ?1)"
    )
}

/// A query for whether there is such a job.
pub(super) fn any_overdue() -> String {
    format!("SELECT 1 {BY_JOB} {}", overdue())
}

fn unsettled(row: &Row<'_>) -> rusqlite::Result<Unsettled> {
    let phase = match row.get(3)? {
        1 => Phase::Ready,
        2 => Phase::Active,
        3 => Phase::Undoing,
        4 => Phase::There,
        _ => Phase::Idle,
    };
    Ok(Unsettled {
        id: row.get(0)?,
        target: row.get(1)?,
        state: state(row, 2)?,
        phase,
        claim: row.get(4)?,
        terminate: asked(row, 5)?,
        hold: row.get(6)?,
        run: row.get(7)?,
        switched: row.get(8)?,
        submission: row.get(9)?,
    })
}
