//! The controls of a job or a job array, as far as the queue can carry them out.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::rows::state;
use super::sweep::sweep;
use super::{Failable, Store};
use crate::model::{Control, Error, JobState, Result, now};

/// The jobs of a control.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The job of this id.
    Job(&'a str),
    /// All tasks of the array of this id.
    Array(&'a str),
}

pub(super) const WITHIN: &str =
    "id = ?1 OR submission = (SELECT number FROM submissions WHERE id = ?2 AND is_array)";

impl Which<'_> {
    /// The parameters of [`WITHIN`].
    pub(super) fn ids(&self) -> [Option<&str>; 2] {
        match self {
            Self::Job(id) => [Some(id), None],
            Self::Array(id) => [None, Some(id)],
        }
    }
}

/// Jobs that the runtime has to be asked about, besides those that are done already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminating {
    /// The number of jobs of the call that had not ended.
    pub found: usize,
    /// The ones among them that have started, or wait in the queue of their runtime.
    pub begun: Vec<String>,
}

impl Store {
    /// Let held jobs start. Returns their number.
    pub fn release(&self, which: Which<'_>) -> Result<usize> {
        self.write(|sql| {
            let query = format!(
                "UPDATE jobs SET state = state - 1 WHERE ({WITHIN}) AND state IN (2, 6) AND phase <> 4"
            );
            Ok(sql.prepare_cached(&query)?.execute(which.ids())?)
        })
    }

    /// Note that jobs shall end, terminated or killed according to `how`. A job that nothing is being
    /// done for ends right here; one that was made ready is undone by its claimer; one that is being
    /// started, or handed over to its runtime, is ended by the process that does that.
    pub fn terminate(&self, which: Which<'_>, how: Control) -> Result<Terminating> {
        let [job, array] = which.ids();
        let ids = params![job, array];
        self.write(|sql| terminate(sql, WITHIN, ids, how, "terminated before it started"))
    }

    /// Reap jobs: no user sees them any more. INVALID_STATE, without any effect, if one has not ended.
    pub fn reap(&self, which: Which<'_>) -> Result<()> {
        self.write(|sql| {
            let query = format!("SELECT id, state FROM jobs WHERE ({WITHIN}) AND state NOT IN (7, 8)");
            let unfit = sql
                .prepare_cached(&query)?
                .query_row(which.ids(), |row| Ok((row.get::<_, String>(0)?, state(row, 1)?)))
                .optional()?;
            if let Some((id, state)) = unfit {
                return Err(Error::state(format!("job {id}: cannot reap a job that is {state}")).into());
            }
            let query = format!("UPDATE jobs SET reaped = 1 WHERE ({WITHIN}) AND reaped = 0");
            if sql.prepare_cached(&query)?.execute(which.ids())? == 0
                && let Which::Job(id) = which
            {
                return Err(Error::argument(format!("job {id} does not exist")).into());
            }
            sweep(sql)?;
            Ok(())
        })
    }

    /// The state, after a check: INVALID_STATE unless it allows `control`.
    pub fn check_control(&self, id: &str, control: Control) -> Result<JobState> {
        let state = self.job_state(id)?;
        state.ok_or_else(|| Error::argument(format!("job {id} does not exist")))?.after(control)
    }
}

/// See [`Store::terminate`]; `within` selects the jobs.
pub(super) fn terminate(
    sql: &Connection,
    within: &str,
    ids: &[&dyn ToSql],
    how: Control,
    reason: &str,
) -> Failable<Terminating> {
    // The harder end takes precedence.
    let number = if how == Control::Kill { 2 } else { 1 };
    let query = format!(
        "UPDATE jobs SET terminate = max(terminate, {number}), phase = CASE phase WHEN 1 THEN 3 ELSE phase END,
             annotation = iif(state IN (3, 4), annotation, '{reason}')
         WHERE ({within}) AND state NOT IN (7, 8)"
    );
    let found = sql.prepare_cached(&query)?.execute(ids)?;
    let query = format!(
        "SELECT id FROM jobs
         WHERE ({within}) AND (state IN (3, 4) OR (phase = 4 AND claim IS NULL AND state NOT IN (7, 8)))"
    );
    let begun = sql
        .prepare_cached(&query)?
        .query_map(ids, |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let query = format!(
        "UPDATE jobs SET state = 8, finished = {}
         WHERE ({within}) AND phase = 0 AND state IN (1, 2, 5, 6)",
        now()
    );
    sql.execute(&query, ids)?;
    Ok(Terminating { found, begun })
}
