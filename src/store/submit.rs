//! Submission of a job, or of all tasks of a job array at once.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::fold::{self, Folded};
use super::stored::{self, Most};
use super::{Claim, Failable, Mailer, Store, transact};
use crate::model::{Error, JobState, JobTemplate, Millis, Result, Text, now};
use crate::scheduler::Pool;
use crate::tracker::{Settings, Stdio, Submitter, TaskRange};

/// A job or a job array to store.
pub struct Submission<'a> {
    /// Id of the job, or of the array.
    pub id: &'a str,
    /// The row of its session.
    pub session: i64,
    /// The runtime that shall run it.
    pub target: &'a str,
    /// The request.
    pub template: &'a JobTemplate,
    /// The user on whose behalf it is submitted.
    pub submitter: &'a Submitter,
    /// Host files of its standard streams; a task may have its own.
    pub stdio: &'a Stdio,
    /// The settings that the jobs are run with.
    pub settings: &'a Settings,
    /// The program that sends mails about them, if there is one.
    pub mailer: Option<&'a Mailer>,
    /// The scheduler's view of it.
    pub terms: &'a Terms,
    /// Its tasks; `None` for a single job.
    pub tasks: Option<NewTasks<'a>>,
    /// The reason why a single job has failed already, if it has.
    pub failure: Option<&'a str>,
    /// The most that may be stored of its user's, with it.
    pub most: Most,
    /// The process that hands it over to a runtime with a queue of its own. `None` lets it wait here.
    pub hand_over: Option<&'a Claim>,
}

/// The tasks of a job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTasks<'a> {
    /// Each may have something of its own.
    Each(&'a [NewTask]),
    /// They differ in their index alone.
    Alike(TaskRange),
}

impl NewTasks<'_> {
    /// Their indices; `None` if there are none.
    fn range(self) -> Option<TaskRange> {
        match self {
            Self::Alike(range) => Some(range),
            Self::Each(tasks) => {
                let (first, last) = (tasks.first()?.index, tasks.last()?.index);
                let step = tasks.get(1).map_or(1, |second| second.index - first);
                Some(TaskRange { first, last, step })
            }
        }
    }
}

/// A task of a job array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTask {
    /// Its index.
    pub index: i64,
    /// Its own files, if they differ from the array's.
    pub stdio: Option<Stdio>,
    /// The reason why it has failed already, if it has.
    pub failure: Option<String>,
}

/// The scheduler's view of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The limits that it is judged by.
    pub pool: Pool,
    /// Priority of its queue.
    pub rank: i64,
    /// Its own priority.
    pub priority: i64,
    /// Slots of each job, at least and at most.
    pub slots: (i64, i64),
    /// Memory that each job asks for, kilobytes.
    pub memory: i64,
    /// The most jobs that may run at one time.
    pub max_parallel: Option<i64>,
    /// The earliest start.
    pub start: Option<Millis>,
    /// The longest run time of each job.
    pub wall_clock: Option<Millis>,
    /// The number of the reservation that they run in.
    pub reservation: Option<i64>,
    /// The time at which they are ended, or fail.
    pub deadline: Option<Millis>,
}

/// The id of an array's task.
pub fn task_id(array: &str, index: i64) -> String {
    format!("{array}.{index}")
}

impl Store {
    /// Store a new job or job array, QUEUED or QUEUED_HELD: all of it or nothing. INVALID_SESSION if
    /// its session has been destroyed.
    pub fn submit(&self, new: &Submission<'_>) -> Result<()> {
        let text =
            |text: &Option<Text>| text.as_ref().filter(|text| !text.is_empty()).map(Text::to_string);
        let (name, accounting_id) = (text(&new.template.job_name), text(&new.template.accounting_id));
        let (template, submitter) = (json(new.template)?, json(new.submitter)?);
        let (stdio, mailer) = (json(new.stdio)?, new.mailer.map(json).transpose()?);
        let (terms, range) = (new.terms, new.tasks.and_then(NewTasks::range));
        let state = if new.template.submit_as_hold { JobState::QueuedHeld } else { JobState::Queued };
        // A runtime takes them all at once.
        let folds = new.hand_over.filter(|_| matches!(new.tasks, Some(NewTasks::Alike(_))));
        let store = |sql: &Connection| {
            let pool = pool(sql, &terms.pool)?;
            let added = sql
                .prepare_cached(
                    "INSERT INTO submissions
                         (id, is_array, session, name, target, template, submitter, stdio, owner,
                          machine, submitted, pool, rank, priority, min_slots, max_slots, memory,
                          max_parallel, start_time, wall_clock, reservation, deadline, rerunnable,
                          accounting_id, mail_started, mail_ended, settings, mailer,
                          first_task, last_task, task_step, folded, claim, owner_uid)
                     SELECT ?1, ?3, id, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                         ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33,
                         ?34
                     FROM sessions WHERE id = ?2 AND destroyed = 0",
                )?
                .execute(params![
                    new.id,
                    new.session,
                    new.tasks.is_some(),
                    name,
                    new.target,
                    template,
                    submitter,
                    stdio,
                    new.submitter.user,
                    new.submitter.machine,
                    now(),
                    pool,
                    terms.rank,
                    terms.priority,
                    terms.slots.0,
                    terms.slots.1,
                    terms.memory,
                    terms.max_parallel,
                    terms.start,
                    terms.wall_clock,
                    terms.reservation,
                    terms.deadline,
                    new.template.rerunnable,
                    accounting_id,
                    new.template.email_on_started,
                    new.template.email_on_terminated,
                    new.settings.as_str(),
                    mailer,
                    range.map(|range| range.first),
                    range.map(|range| range.last),
                    range.map(|range| range.step),
                    folds.map(|_| state as i32),
                    folds,
                    new.submitter.uid,
                ])?;
            if added == 0 {
                return Err(Error::session("the job session has been destroyed").into());
            }
            let number = sql.last_insert_rowid();
            stored::check(sql, new.submitter.uid, new.most)?;
            let mut insert = sql.prepare_cached(
                "INSERT INTO jobs (id, submission, task, stdio, state, finished, annotation, phase, claim, leftovers)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?;
            let mut add = |id: &str, task: Option<i64>, stdio: Option<String>, failure: Option<&str>| {
                let claim = new.hand_over.filter(|_| failure.is_none());
                let (state, finished) =
                    (failure.map_or(state, |_| JobState::Failed) as i32, failure.map(|_| now()));
                let (phase, leftovers) = if claim.is_some() { (4, 1) } else { (0, 0) };
                insert.execute(params![
                    id, number, task, stdio, state, finished, failure, phase, claim, leftovers
                ])
            };
            match new.tasks {
                None => {
                    add(new.id, None, None, new.failure)?;
                }
                // Their rows are made when somebody looks.
                Some(NewTasks::Alike(_)) if folds.is_some() => {}
                Some(NewTasks::Alike(range)) => {
                    let id = new.id.into();
                    let (claim, progress) = (None, None);
                    let (phase, leftovers) = (0, false);
                    fold::make_rows(
                        sql,
                        &Folded { number, id, range, state, phase, claim, progress, leftovers },
                    )?;
                }
                Some(NewTasks::Each(tasks)) => {
                    for task in tasks {
                        let stdio = task.stdio.as_ref().map(json).transpose()?;
                        let id = task_id(new.id, task.index);
                        add(&id, Some(task.index), stdio, task.failure.as_deref())?;
                    }
                }
            }
            Ok(())
        };
        match folds {
            // The other processes are told once it is known what has become of it.
            Some(_) => self.alone(|connection| transact(connection, |sql| store(sql))),
            None => self.write_together(store),
        }
    }
}

/// The row of these limits.
fn pool(sql: &Connection, pool: &Pool) -> Failable<i64> {
    let values = params![pool.slots, pool.memory, pool.queue, pool.queue_slots, pool.user_slots];
    let known = sql
        .prepare_cached(
            "SELECT id FROM pools WHERE slots IS ? AND memory IS ? AND queue = ? AND queue_slots IS ? AND user_slots IS ?",
        )?
        .query_row(values, |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let insert =
        "INSERT INTO pools (slots, memory, queue, queue_slots, user_slots) VALUES (?, ?, ?, ?, ?)";
    sql.execute(insert, values)?;
    Ok(sql.last_insert_rowid())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("cannot store a job: {error}")))
}
