//! Jobs that their runtime has lost and that may run again.
//!
//! Such a job is REQUEUED, in the phase in which its claimer removes what is left of it; then it waits
//! for its turn like any other. Each loss is counted, which distinguishes the runs: the same loss may be
//! reported to several processes, and to some of them late.

use rusqlite::{OptionalExtension, params};

use super::rows::state;
use super::{Claim, Store};
use crate::model::{Result, now_nanos};

/// The number of losses after which a job fails: the cause recurs each time.
const MAX_LOSSES: i64 = 10;

/// The consequence of a loss for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It runs again.
    Rerun {
        /// The number of runs lost before.
        losses: i64,
        /// It is known to have started.
        started: bool,
    },
    /// It ends.
    End,
    /// None: the loss is handled already, or about to be.
    Known,
}

impl Store {
    /// The consequence of the loss of a job's present run by the runtime. A job that is being started is
    /// left to the process that starts it.
    pub fn loss(&self, id: &str, mine: &Claim) -> Result<Loss> {
        self.read(|sql| {
            let query =
                // A runtime with a queue of its own lets its jobs run again itself.
                "SELECT j.state, j.phase IN (2, 4), j.claim, j.losses,
                             b.rerunnable AND NOT j.terminate AND j.phase <> 4
                         FROM jobs j JOIN submissions b ON b.number = j.submission WHERE j.id = ?";
            let loss = sql
                .prepare_cached(query)?
                .query_row([id], |row| {
                    let (state, active, losses) = (state(row, 0)?, row.get::<_, bool>(1)?, row.get(3)?);
                    let (claim, may) = (row.get::<_, Option<Claim>>(2)?, row.get::<_, bool>(4)?);
                    let started = state.is_started();
                    Ok(match () {
                        () if state.is_terminated() || !(active || started) => Loss::Known,
                        () if !may || losses >= MAX_LOSSES => Loss::End,
                        () if started || claim.as_ref() == Some(mine) => Loss::Rerun { losses, started },
                        () => Loss::Known,
                    })
                })
                .optional()?;
            Ok(loss.unwrap_or(Loss::Known))
        })
    }

    /// Put a lost job back, if its number of losses is still `losses`. True if that was news: then
    /// `mine` is the process that removes what is left of it, after which it waits.
    pub fn job_requeued(&self, id: &str, losses: i64, reason: &str, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let changed = sql
                .prepare_cached(
                    // A late report about the lost run is earlier than this time, so it is not taken for
                    // one about the next run.
                    "UPDATE jobs SET state = 5 + hold, hold = 0, phase = 3, claim = ?4, leftovers = 1, slots = NULL,
                         losses = losses + 1, attempts = 0, annotation = ?3,
                         switched = max(switched, ?5)
                     WHERE id = ?1 AND losses = ?2 AND phase = 2 AND terminate = 0
                         AND (state IN (3, 4) OR (state IN (1, 5) AND claim = ?4))",
                )?
                .execute(params![id, losses, reason, mine, now_nanos()])?;
            Ok(changed == 1)
        })
    }

    /// Put back a job that the queue of its runtime has forgotten, if it has not begun, or may run again, and this is its
    /// run still. `mine` is the process that hands it over again. False if it is not put back.
    pub fn job_forgotten(&self, id: &str, run: i64, reason: &str, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let changed = sql
                .prepare_cached(
                    // It gets a new run in any case: a late report may be one of a start that the runtime has forgotten.
                    "UPDATE jobs SET state = iif(state IN (3, 4), 5, state), claim = ?4, slots = NULL,
                         losses = losses + (state IN (3, 4)), withdrawn = withdrawn + (state NOT IN (3, 4)),
                         attempts = 0, progress = ?3, switched = max(switched, ?5)
                     WHERE id = ?1 AND losses + withdrawn = ?2 AND phase = 4 AND claim IS NULL
                         AND (state IN (1, 2, 5, 6) OR (state IN (3, 4) AND terminate = 0 AND losses < ?6
                             AND (SELECT rerunnable FROM submissions WHERE number = jobs.submission)))",
                )?
                .execute(params![id, run, reason, mine, now_nanos(), MAX_LOSSES])?;
            Ok(changed == 1)
        })
    }

    /// Give a job a new run that `mine` has taken over, and that the queue of its runtime does not know: the process that
    /// died may have handed it over.
    pub fn start_forgotten(&self, id: &str, run: i64, mine: &Claim) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET withdrawn = withdrawn + 1
                 WHERE id = ?1 AND losses + withdrawn = ?2 AND phase = 4 AND claim = ?3 AND state IN (1, 2, 5, 6)",
            )?
            .execute(params![id, run, mine])?;
            Ok(())
        })
    }

    /// Number of the run that a job waits for, if reports of an earlier one may still arrive: that was
    /// lost or withdrawn. `None` for any other job.
    pub fn run_after_another(&self, id: &str) -> Result<Option<i64>> {
        self.read(|sql| {
            let query = "SELECT losses + withdrawn FROM jobs
                         WHERE id = ? AND (state IN (5, 6) OR (state IN (1, 2) AND withdrawn > 0))";
            Ok(sql.prepare_cached(query)?.query_row([id], |row| row.get(0)).optional()?)
        })
    }

    /// The number of runs of a job that were lost.
    #[cfg(test)]
    pub fn losses(&self, id: &str) -> Result<i64> {
        self.read(|sql| {
            Ok(sql.query_row("SELECT losses FROM jobs WHERE id = ?", [id], |row| row.get(0))?)
        })
    }
}
