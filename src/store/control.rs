//! What users ask of a job or a job array as far as the queue can do it.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::query::state;
use super::sessions::sweep;
use super::{Failable, Store};
use crate::model::{Control, Error, JobState, Result, now};

/// Which jobs are meant.
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

/// Jobs that the runtime has to be asked about, beside those that were dealt with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminating {
    /// How many the call is about and had not ended.
    pub found: usize,
    /// Those of them that have started.
    pub started: Vec<String>,
}

impl Store {
    /// Let held jobs start. Gives how many that was.
    pub fn release(&self, which: Which<'_>) -> Result<usize> {
        self.write(|sql| {
            let query =
                format!("UPDATE jobs SET state = state - 1 WHERE ({WITHIN}) AND state IN (2, 6)");
            Ok(sql.prepare_cached(&query)?.execute(which.ids())?)
        })
    }

    /// Note that jobs shall end, as `how` says: terminated or killed. Those for which nobody is doing
    /// anything end right here; one that was made ready is undone by whoever made it; one that is being
    /// started is ended by whoever starts it.
    pub fn terminate(&self, which: Which<'_>, how: Control) -> Result<Terminating> {
        let [job, array] = which.ids();
        let ids = params![job, array];
        self.write(|sql| terminate(sql, WITHIN, ids, how, "terminated before it started"))
    }

    /// Forget jobs. INVALID_STATE, and nothing is done, if one has not ended.
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

    /// The state that decides what may be asked of a job: INVALID_STATE unless `control` is possible.
    pub fn check_control(&self, id: &str, control: Control) -> Result<JobState> {
        let state = self.job_state(id)?;
        state.ok_or_else(|| Error::argument(format!("job {id} does not exist")))?.after(control)
    }
}

/// How a job shall end, if somebody asked for that.
pub(super) fn asked(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Control>> {
    Ok(match row.get(column)? {
        0 => None,
        1 => Some(Control::Terminate),
        _ => Some(Control::Kill),
    })
}

/// See [`Store::terminate`]; `within` says which jobs.
pub(super) fn terminate(
    sql: &Connection,
    within: &str,
    ids: &[&dyn ToSql],
    how: Control,
    reason: &str,
) -> Failable<Terminating> {
    // The harder end counts.
    let number = if how == Control::Kill { 2 } else { 1 };
    let query = format!(
        "UPDATE jobs SET terminate = max(terminate, {number}), phase = CASE phase WHEN 1 THEN 3 ELSE phase END,
             annotation = iif(state IN (3, 4), annotation, '{reason}')
         WHERE ({within}) AND state NOT IN (7, 8)"
    );
    let found = sql.prepare_cached(&query)?.execute(ids)?;
    let query = format!("SELECT id FROM jobs WHERE ({within}) AND state IN (3, 4)");
    let started = sql
        .prepare_cached(&query)?
        .query_map(ids, |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let query = format!(
        "UPDATE jobs SET state = 8, finished = {}
         WHERE ({within}) AND phase = 0 AND state IN (1, 2, 5, 6)",
        now()
    );
    sql.execute(&query, ids)?;
    Ok(Terminating { found, started })
}
