//! Who has what to do: the jobs that a process works on, and those whose process has died.

use rusqlite::{Row, params};

use super::control::asked;
use super::query::state;
use super::{Claim, Session, Store};
use crate::model::{Control, JobState, Millis, Result};

/// A job that somebody has still to do something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// The job.
    pub id: String,
    /// The runtime it belongs to.
    pub target: String,
    /// Its state as stored.
    pub state: JobState,
    /// What is being done, see life.rs.
    pub phase: Phase,
    /// Who does it.
    pub claim: Option<Claim>,
    /// How it shall end, if somebody asked for that.
    pub terminate: Option<Control>,
    /// Somebody wants to hold it, though it is being started.
    pub hold: bool,
    /// Number of its run: how many before were lost, or withdrawn.
    pub run: i64,
    /// When it was suspended or resumed last, in nanoseconds since the epoch.
    pub switched: i64,
    /// Number of its submission.
    pub submission: i64,
}

/// What is being done for a job, see life.rs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing, or it is being cleaned up.
    Idle,
    /// It is made ready, or is ready.
    Ready,
    /// It holds its slots.
    Active,
    /// What made it ready is undone.
    Undoing,
}

const COLUMNS: &str = "SELECT j.id, b.target, j.state, j.phase, j.claim, j.terminate, j.hold,
    j.losses + j.withdrawn, j.switched, b.number ";
const BY_JOB: &str = "FROM jobs j CROSS JOIN submissions b ON b.number = j.submission ";
const BY_SUBMISSION: &str = "FROM submissions b CROSS JOIN jobs j ON j.submission = b.number ";

impl Store {
    /// The jobs of a runtime that are begun and have not ended, or ended and are not cleaned up.
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
        self.unsettled(BY_JOB, "WHERE j.claim = ? ORDER BY j.number", params![claim])
    }

    /// Jobs that are suspended beyond their time: their init is stopped with them.
    pub fn overdue_jobs(&self, now: Millis) -> Result<Vec<Unsettled>> {
        let condition = "LEFT JOIN reservations r ON r.number = b.reservation
                         WHERE j.state = 4 AND j.phase = 2
                             AND (j.started + b.wall_clock <= ?1 OR r.ends <= ?1 OR b.deadline <= ?1)";
        self.unsettled(BY_JOB, condition, params![now])
    }

    fn unsettled(
        &self,
        tables: &str,
        condition: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Unsettled>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(&format!("{COLUMNS} {tables} {condition}"))?;
            Ok(query.query_map(params, unsettled)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The processes that work on jobs, or are told of them.
    pub fn claimers(&self) -> Result<Vec<Claim>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(
                "SELECT claim FROM jobs WHERE claim IS NOT NULL UNION SELECT claim FROM listeners
                 UNION SELECT claim FROM mails WHERE claim IS NOT NULL",
            )?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Work on a job in the place of `holder`, a process that died, or of nobody. False if another
    /// was faster. What was made ready is to be undone: only who made it knows how far it is.
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

    /// The runtimes for whose jobs there is something to do, or will be.
    pub fn unsettled_targets(&self) -> Result<Vec<String>> {
        self.targets("SELECT DISTINCT target FROM submissions WHERE unsettled > 0", params![])
    }

    /// Those of them that have such jobs of a session.
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

fn unsettled(row: &Row<'_>) -> rusqlite::Result<Unsettled> {
    let phase = match row.get(3)? {
        1 => Phase::Ready,
        2 => Phase::Active,
        3 => Phase::Undoing,
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
