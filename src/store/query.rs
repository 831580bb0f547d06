//! What the store tells about jobs.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::{Claim, Failable, Store};
use crate::model::{Error, JobInfo, JobState, JobTemplate, Millis, Result, SlotInfo, signal_name};
use crate::tracker::{NewJob, Submitter};

/// Where a stored job is in its life, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its account.
    pub info: JobInfo,
    /// The runtime it runs on.
    pub target: String,
    /// Its session has been destroyed.
    pub orphaned: bool,
    /// Somebody asked for its end.
    pub terminate: bool,
}

/// A job that a tracker has still to do something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// The job.
    pub id: String,
    /// Its state as stored.
    pub state: JobState,
    /// Who starts it.
    pub claim: Option<Claim>,
    /// Somebody asked for its end.
    pub terminate: bool,
}

const COLUMNS: &str = "SELECT j.id, j.name, s.name, s.destroyed, j.target, j.submitter, j.state,
    j.claim IS NOT NULL, j.terminate, j.submitted, j.dispatched, j.finished, j.exit_status, j.signal,
    j.annotation, j.cpu_time, j.max_rss
    FROM jobs j JOIN sessions s ON s.id = j.session ";

impl Store {
    /// All that is needed to start a job; `None` if there is no such job.
    pub fn order(&self, id: &str) -> Result<Option<NewJob>> {
        self.read(|sql| {
            let query = "SELECT s.name, j.template, j.submitter, j.stdio
                         FROM jobs j JOIN sessions s ON s.id = j.session WHERE j.id = ?";
            let columns = sql
                .prepare_cached(query)?
                .query_row([id], |row| {
                    Ok((
                        row.get(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, String>(2)?,
                        row.get::<_, String>(3)?,
                    ))
                })
                .optional()?;
            let Some((session, template, submitter, stdio)) = columns else { return Ok(None) };
            Ok(Some(NewJob {
                id: id.to_owned(),
                session,
                template: parsed(&template)?,
                submitter: parsed(&submitter)?,
                stdio: parsed(&stdio)?,
                task: None,
                wall_clock: None,
                ends: None,
            }))
        })
    }

    /// A job that is not reaped.
    pub fn job(&self, id: &str) -> Result<Option<Job>> {
        self.read(|sql| {
            let query = format!("{COLUMNS} WHERE j.id = ? AND j.reaped = 0");
            let mut query = sql.prepare_cached(&query)?;
            let mut rows = query.query([id])?;
            rows.next()?.map(job).transpose()
        })
    }

    /// Is there a row of the job, reaped or not?
    pub fn knows(&self, id: &str) -> Result<bool> {
        self.read(|sql| Ok(sql.prepare_cached("SELECT 1 FROM jobs WHERE id = ?")?.exists([id])?))
    }

    /// The state of a job that is not reaped.
    pub fn job_state(&self, id: &str) -> Result<Option<JobState>> {
        self.read(|sql| Ok(state_of(sql, id)?))
    }

    /// The template of a job; `None` if there is no such job.
    pub fn template(&self, id: &str) -> Result<Option<JobTemplate>> {
        Ok(self.order(id)?.map(|order| order.template))
    }

    /// The jobs of a session that are not reaped, in the order of submission.
    pub fn session_jobs(&self, session: i64) -> Result<Vec<Job>> {
        self.jobs("WHERE j.session = ? AND j.reaped = 0 ORDER BY j.number", params![session])
    }

    /// All jobs that are not reaped, in the order of submission.
    pub fn all_jobs(&self) -> Result<Vec<Job>> {
        self.jobs("WHERE j.reaped = 0 ORDER BY j.number", params![])
    }

    fn jobs(&self, condition: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Job>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(&format!("{COLUMNS} {condition}"))?;
            let mut rows = query.query(params)?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                jobs.push(job(row)?);
            }
            Ok(jobs)
        })
    }

    /// The jobs of a runtime that have not ended, or ended and are not cleaned up.
    pub fn unsettled_jobs(&self, target: &str) -> Result<Vec<Unsettled>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(
                "SELECT id, state, claim, terminate FROM jobs
                 WHERE target = ? AND (state NOT IN (7, 8) OR leftovers = 1) ORDER BY number",
            )?;
            let rows = query.query_map([target], |row| {
                Ok(Unsettled {
                    id: row.get(0)?,
                    state: state(row, 1)?,
                    claim: row.get(2)?,
                    terminate: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

pub(super) fn state_of(sql: &Connection, id: &str) -> rusqlite::Result<Option<JobState>> {
    sql.prepare_cached("SELECT state FROM jobs WHERE id = ? AND reaped = 0")?
        .query_row([id], |row| state(row, 0))
        .optional()
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<JobState> {
    let number = row.get(column)?;
    JobState::from_number(number)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, i64::from(number)))
}

fn job(row: &Row<'_>) -> Failable<Job> {
    let submitter: Submitter = parsed(&row.get::<_, String>(5)?)?;
    let state = state(row, 6)?;
    let claimed: bool = row.get(7)?;
    let dispatched: Option<Millis> = row.get(10)?;
    let slots = dispatched.map(|_| 1);
    let machine = submitter.machine;
    let slot = slots.map(|slots| SlotInfo { machine: machine.clone(), slots });
    let info = JobInfo {
        name: row.get(1)?,
        session: row.get(2)?,
        substate: (state.is_queued() && claimed).then(|| "creating".to_owned()),
        exit_status: row.get(12)?,
        terminating_signal: row.get::<_, Option<i32>>(13)?.map(signal_name),
        annotation: row.get(14)?,
        allocated_machines: slot.into_iter().collect(),
        submission_machine: Some(machine),
        owner: Some(submitter.user),
        slots,
        submitted: row.get(9)?,
        dispatched,
        finished: row.get(11)?,
        cpu_time: row.get(15)?,
        max_rss: row.get(16)?,
        ..JobInfo::new(row.get::<_, String>(0)?, state)
    };
    Ok(Job { info, target: row.get(4)?, orphaned: row.get(3)?, terminate: row.get(8)? })
}

fn parsed<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| Error::internal(format!("a stored job cannot be read: {error}")))
}
