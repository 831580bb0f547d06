//! Queries about jobs and job arrays.

use once_cell::sync::Lazy;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::fold;
use super::rows::{readable, state};
use super::{Failable, Store};
use crate::model::{
    Control, Error, ImageRef, JobInfo, JobState, JobTemplate, Millis, Result, SlotInfo, Usage, now,
    signal_name,
};

/// A stored job: its account and its stage of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its account.
    pub info: JobInfo,
    /// The runtime that it runs on.
    pub target: String,
    /// Its session has been destroyed.
    pub orphaned: bool,
    /// The requested end, if there is a request.
    pub terminate: Option<Control>,
    /// The runtime may know more about it than the store.
    pub begun: bool,
    /// The numbers of its owner and of the owner of its session; negative for nobody.
    pub whose: (i64, i64),
}

/// The part of a job that a question about its state needs: most of its account is read for nothing then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: JobState,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Name of its session.
    pub session: String,
    /// See [`Job`].
    pub target: String,
    /// See [`Job`].
    pub orphaned: bool,
    /// See [`Job`].
    pub begun: bool,
    /// See [`Job`].
    pub whose: (i64, i64),
}

/// A job array in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Name of its session.
    pub session: String,
    /// Its session has been destroyed.
    pub orphaned: bool,
    /// The owner of its tasks.
    pub owner: String,
    /// See [`Job`].
    pub whose: (i64, i64),
}

const COLUMNS: &str = "SELECT j.id, b.name, s.name, s.destroyed, b.target, b.owner, b.machine, j.state,
    j.phase, j.terminate, b.submitted, j.dispatched, j.finished, j.exit_status, j.signal, j.annotation,
    j.cpu_time, j.max_rss, j.slots, b.start_time, b.max_parallel, b.active, r.begins,
    p.slots IS NOT NULL OR p.memory IS NOT NULL OR p.queue_slots IS NOT NULL OR p.user_slots IS NOT NULL, p.queue, j.image,
    j.image_digest, j.oom_killed, j.peak_memory, j.read_bytes, j.written_bytes, b.accounting_id,
    j.progress, j.start_memory,
    (SELECT m.error FROM mails m WHERE m.job = j.number AND m.error IS NOT NULL LIMIT 1), j.machine,
    b.owner_uid, s.owner_uid,
    p.user_slots IS NOT NULL AND b.reservation IS NULL AND j.state IN (1, 5) AND b.min_slots > p.user_slots -
        (SELECT coalesce(sum(coalesce(a.slots, 1)), 0) FROM jobs a CROSS JOIN submissions o ON o.number = a.submission
         WHERE a.phase = 2 AND o.owner_uid = b.owner_uid AND o.reservation IS NULL) ";
/// A job and its related rows. The order of the tables is the order in which they are read.
const ONE: &str = "
    FROM jobs j
    CROSS JOIN submissions b ON b.number = j.submission
    CROSS JOIN sessions s ON s.id = b.session
    CROSS JOIN pools p ON p.id = b.pool
    LEFT JOIN reservations r ON r.number = b.reservation ";
/// The same for many jobs, submission by submission.
const MANY: &str = "
    FROM submissions b
    CROSS JOIN sessions s ON s.id = b.session
    CROSS JOIN pools p ON p.id = b.pool
    CROSS JOIN jobs j ON j.submission = b.number
    LEFT JOIN reservations r ON r.number = b.reservation ";

static BY_ID: Lazy<String> = Lazy::new(|| format!("{COLUMNS} {ONE} WHERE j.id = ? AND j.reaped = 0"));

impl Store {
    /// A job that is not reaped.
    pub fn job(&self, id: &str) -> Result<Option<Job>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(&BY_ID)?;
            let mut rows = query.query([id])?;
            Ok(rows.next()?.map(|row| told(row, now())).transpose()?)
        })
    }

    /// The part of a job that is not reaped that tells its state.
    pub fn standing(&self, id: &str) -> Result<Option<Standing>> {
        // A row that is there is right, whatever has no row yet.
        match self.standing_at_once(id)? {
            None => self.read(|sql| standing(sql, id)),
            found => Ok(found),
        }
    }

    /// The same, as far as it has a row, without a wait for others who write.
    pub fn standing_at_once(&self, id: &str) -> Result<Option<Standing>> {
        self.glimpse(|sql| standing(sql, id))
    }

    /// Returns whether there is a job of this id, reaped or not.
    pub fn knows(&self, id: &str) -> Result<bool> {
        if fold::is_handed_over(id, &self.handed_over) {
            return Ok(true);
        }
        self.read(|sql| Ok(sql.prepare_cached("SELECT 1 FROM jobs WHERE id = ?")?.exists([id])?))
    }

    /// The state of a job that is not reaped.
    pub fn job_state(&self, id: &str) -> Result<Option<JobState>> {
        self.read(|sql| Ok(state_of(sql, id)?))
    }

    /// The same for many jobs, each by itself: one that cannot be read is no reason not to read the others.
    pub fn job_states(&self, ids: &[&str]) -> Result<Vec<Result<Option<JobState>>>> {
        self.read(|sql| {
            let state = |id: &&str| state_of(sql, id).map_err(|error| self.error(error.into()));
            Ok(ids.iter().map(state).collect())
        })
    }

    /// The template of a job or a job array; `None` if there is none of that id.
    pub fn template(&self, id: &str) -> Result<Option<JobTemplate>> {
        self.read(|sql| {
            let query = "SELECT template FROM submissions WHERE id = ?1 OR number =
                             (SELECT submission FROM jobs WHERE id = ?1)";
            let json: Option<String> =
                sql.prepare_cached(query)?.query_row([id], |row| row.get(0)).optional()?;
            json.map(|json| parsed(&json).map_err(Into::into)).transpose()
        })
    }

    /// A job array.
    pub fn array(&self, id: &str) -> Result<Option<Array>> {
        self.read(|sql| {
            let query = "SELECT s.name, s.destroyed, b.owner, b.owner_uid, s.owner_uid
                         FROM submissions b JOIN sessions s ON s.id = b.session
                         WHERE b.id = ? AND b.is_array = 1 AND EXISTS
                             (SELECT 1 FROM jobs WHERE submission = b.number AND reaped = 0)";
            let array = |row: &Row<'_>| {
                let whose = (row.get(3)?, row.get(4)?);
                Ok(Array { session: row.get(0)?, orphaned: row.get(1)?, owner: row.get(2)?, whose })
            };
            Ok(sql.prepare_cached(query)?.query_row([id], array).optional()?)
        })
    }

    /// The id of the job array that a job belongs to, if it is a task.
    pub fn array_of(&self, job: &str) -> Result<Option<String>> {
        self.read(|sql| {
            let query = "SELECT b.id FROM jobs j JOIN submissions b ON b.number = j.submission
                         WHERE j.id = ? AND b.is_array = 1";
            Ok(sql.prepare_cached(query)?.query_row([job], |row| row.get(0)).optional()?)
        })
    }

    /// The tasks of a job array that are not reaped, in the order of their indices.
    pub fn array_jobs(&self, id: &str) -> Result<Vec<Job>> {
        self.jobs("WHERE b.id = ? AND b.is_array = 1 AND j.reaped = 0 ORDER BY j.number", params![id])
    }

    /// The jobs of a session that are not reaped, in the order of submission.
    pub fn session_jobs(&self, session: i64) -> Result<Vec<Job>> {
        self.jobs("WHERE b.session = ? AND j.reaped = 0 ORDER BY b.number, j.number", params![session])
    }

    /// All jobs that are not reaped, in the order of submission.
    pub fn all_jobs(&self) -> Result<Vec<Job>> {
        self.jobs("WHERE j.reaped = 0 ORDER BY b.number, j.number", params![])
    }

    fn jobs(&self, condition: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Job>> {
        self.read(|sql| {
            let query = format!("{COLUMNS} {MANY} {condition}");
            let mut query = sql.prepare_cached(&query)?;
            let mut rows = query.query(params)?;
            let (mut jobs, now) = (Vec::new(), now());
            while let Some(row) = rows.next()? {
                jobs.extend(readable(told(row, now))?);
            }
            Ok(jobs)
        })
    }
}

fn standing(sql: &Connection, id: &str) -> Failable<Option<Standing>> {
    let mut query = sql.prepare_cached(
        "SELECT j.state, j.phase, s.name, b.target, s.destroyed, b.owner_uid, s.owner_uid, b.name
         FROM jobs j
         CROSS JOIN submissions b ON b.number = j.submission
         CROSS JOIN sessions s ON s.id = b.session
         WHERE j.id = ? AND j.reaped = 0",
    )?;
    let standing = |row: &Row<'_>| {
        let state = state(row, 0)?;
        let begun = has_begun(state, row.get(1)?);
        let (session, target, orphaned) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let whose = (row.get(5)?, row.get(6)?);
        Ok(Standing { state, name: row.get(7)?, session, target, orphaned, begun, whose })
    };
    Ok(query.query_row([id], standing).optional()?)
}

/// The account of the job in this row.
pub(super) fn by_number(sql: &Connection, number: i64) -> rusqlite::Result<Option<JobInfo>> {
    let mut query = sql.prepare_cached(&format!("{COLUMNS} {ONE} WHERE j.number = ?"))?;
    query.query_row([number], |row| Ok(job(row, now())?.info)).optional()
}

pub(super) fn state_of(sql: &Connection, id: &str) -> rusqlite::Result<Option<JobState>> {
    sql.prepare_cached("SELECT state FROM jobs WHERE id = ? AND reaped = 0")?
        .query_row([id], |row| state(row, 0))
        .optional()
}

/// The job in this row; its annotation tells if a mail about it could not be sent yet.
fn told(row: &Row<'_>, now: Millis) -> rusqlite::Result<Job> {
    let mut job = job(row, now)?;
    if let Some(error) = row.get::<_, Option<String>>(34)? {
        let own = job.info.annotation.take().map(|own| format!("{own}; ")).unwrap_or_default();
        job.info.annotation = Some(own + &error);
    }
    Ok(job)
}

fn job(row: &Row<'_>, now: Millis) -> rusqlite::Result<Job> {
    let state = state(row, 7)?;
    let phase: i64 = row.get(8)?;
    let dispatched: Option<Millis> = row.get(11)?;
    let slots: Option<i64> = row.get::<_, Option<i64>>(18)?.filter(|_| dispatched.is_some());
    let machine: String = row.get(6)?;
    let (id, image): (String, Option<String>) = (row.get(0)?, row.get(25)?);
    let place = row.get::<_, Option<String>>(35)?;
    let slot = slots.map(|slots| SlotInfo { machine: place.unwrap_or_else(|| machine.clone()), slots });
    let waits = matches!(state, JobState::Queued | JobState::Requeued);
    let info = JobInfo {
        name: row.get(1)?,
        session: row.get(2)?,
        substate: if waits { substate(row, phase, now)? } else { None },
        exit_status: row.get(13)?,
        terminating_signal: row.get::<_, Option<i32>>(14)?.map(signal_name),
        annotation: row.get(15)?,
        allocated_machines: slot.into_iter().collect(),
        submission_machine: Some(machine),
        owner: row.get(5)?,
        slots,
        queue: row.get(24)?,
        submitted: row.get(10)?,
        dispatched,
        finished: row.get(12)?,
        usage: Usage {
            cpu_time: row.get(16)?,
            max_rss: row.get(17)?,
            oom_killed: row.get(27)?,
            peak_memory: row.get(28)?,
            start_memory: row.get(33)?,
            read_bytes: row.get(29)?,
            written_bytes: row.get(30)?,
        },
        // The container of a job has the name of the job.
        container: dispatched.map(|_| id.clone()),
        image: image
            .map(|name| Ok::<_, rusqlite::Error>(ImageRef { name, digest: row.get(26)? }))
            .transpose()?,
        accounting_id: row.get(31)?,
        ..JobInfo::new(id, state)
    };
    let begun = has_begun(state, phase);
    let terminate = asked(row, 9)?;
    let whose = (row.get(36)?, row.get(37)?);
    Ok(Job { info, target: row.get(4)?, orphaned: row.get(3)?, terminate, begun, whose })
}

/// Returns whether the runtime may know more about a job than the store.
fn has_begun(state: JobState, phase: i64) -> bool {
    !state.is_terminated() && (matches!(phase, 2 | 4) || state.is_started())
}

/// The requested end of a job, if there is a request.
pub(super) fn asked(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Control>> {
    Ok(match row.get(column)? {
        0 => None,
        1 => Some(Control::Terminate),
        _ => Some(Control::Kill),
    })
}

/// The reason why a job in the queue waits.
fn substate(row: &Row<'_>, phase: i64, now: Millis) -> rusqlite::Result<Option<String>> {
    let later =
        |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<Millis>>(column)? > Some(now));
    let progress: Option<String> = row.get(32)?;
    if matches!(phase, 1 | 2 | 4) && progress.is_some() {
        return Ok(progress);
    }
    let limit: Option<i64> = row.get(20)?;
    let limited: bool = row.get(23)?;
    let waits_for = match () {
        () if phase == 2 => Some("creating"),
        () if later(19)? => Some("start-time"),
        () if later(22)? => Some("reservation"),
        () if limit.is_some() && row.get::<_, Option<i64>>(21)? >= limit => Some("array-limit"),
        () if row.get(38)? => Some("user-limit"),
        () if limited || row.get::<_, Option<Millis>>(22)?.is_some() => Some("slots"),
        () => None,
    };
    Ok(waits_for.map(str::to_owned))
}

pub(super) fn parsed<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| Error::internal(format!("a stored job cannot be read: {error}")))
}
