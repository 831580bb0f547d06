//! The start of a job: at most once, whatever happens to the calls to the daemon.
//!
//! A call without an answer may have been carried out, or be carried out later. The record of a job's
//! end shows that it has run, and so does the fence that its init has made. If there is none, the
//! library makes it, and then nothing of that attempt will ever run. So nothing has to wait for the
//! daemon to know.

use std::fs;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use containerd_client::services::v1::StartRequest;
use containerd_client::types::v1::Status;
use drmaa2_init::is_marked;

use super::connect::RUN;
use super::facts::{Launched, Ticket};
use super::files::{blocking, io_error};
use super::job_dir::{STARTED_FILE, WITHDRAW_FILE, has_begun};
use super::launch::{make, renew};
use super::tracker_core::Core;
use super::turn::Turn;
use super::withdraw::{has_begun_or_never_will, not_withdrawn, still_wanted, terminated, withdrawn};
use super::{attempt, finish, job_dir, look_up, pull, remove, status, withdraw};
use crate::model::{Error, ErrorCode, Outcome, Result, now};
use crate::tracker::{Fact, NewJob};

/// The result of a start.
pub(super) enum Started {
    /// The daemon confirmed it.
    Answered,
    /// It has begun, and may have ended unseen: the daemon could not answer.
    Unanswered,
    /// It has begun, and the runtime reports that its start failed.
    Broken(Error),
}

/// Start a job for which an attempt was begun, and report the result.
pub(super) async fn launch(core: &Arc<Core>, job: &NewJob, ticket: Ticket) {
    let started = async {
        // Others are started while it waits for that.
        pull::ready(core, job).await?;
        start_anew(core, job).await
    };
    let started = started.await;
    conclude(core, &job.id, ticket, started).await;
}

/// Make a job's task and start it.
pub(super) async fn start_anew(core: &Arc<Core>, job: &NewJob) -> Result<Started> {
    let mut turn = Turn::wait(&core.launches).await;
    make(core, job, &mut turn).await?;
    start(core, &job.id, &mut turn).await
}

/// Give up the current attempt and make another one.
pub(super) async fn start_again(core: &Arc<Core>, job: &NewJob) -> Result<Started> {
    renew(core, job)?;
    start_anew(core, job).await
}

/// Start a job whose start was tried already by a process that died: its last call may still arrive, or
/// may have been carried out.
pub(super) async fn resume(core: &Arc<Core>, job: &NewJob, ticket: Ticket) {
    let started = take_up(core, job).await;
    conclude(core, &job.id, ticket, started).await;
}

async fn take_up(core: &Arc<Core>, job: &NewJob) -> Result<Started> {
    let (id, dir) = (&job.id, core.job_dir(&job.id));
    core.facts.begun(id, attempt::identity(core, id));
    let is_bare = job_dir::is_bare(&dir);
    if finish::recorded(&dir).is_some() || (!is_bare && has_begun(&dir)) {
        return Ok(Started::Unanswered);
    }
    still_wanted(core, id)?;
    if job_dir::will_never_begin(&dir) {
        return start_again(core, job).await;
    }
    let process = core.daemon.patiently(|| look_up::process(core, id)).await?;
    let is_created = process.as_ref().is_some_and(|process| process.status() == Status::Created);
    if let Some(process) = process {
        core.facts.created(id, process.pid);
    }
    if is_created {
        // Without a new attempt: that start can happen only once.
        let mut turn = Turn::wait(&core.launches).await;
        match start(core, id, &mut turn).await {
            Err(error) => {
                still_wanted(core, id)?;
                tracing::debug!(%error, id, "a job is made anew");
            }
            started => return started,
        }
    } else if is_bare || has_begun_or_never_will(core, id).await? {
        return Ok(Started::Unanswered);
    }
    start_again(core, job).await
}

/// Start a task that [`make`] made. After an error it is certain that it has not begun, and never will.
pub(super) async fn start(core: &Core, id: &str, turn: &mut Turn<'_>) -> Result<Started> {
    still_wanted(core, id)?;
    let dir = core.job_dir(id);
    let is_bare = job_dir::is_bare(&dir);
    if !blocking(move || note_start(&dir, is_bare)).await? {
        return Err(withdrawn());
    }
    let Err(error) = turn.keep(&core.facts, id, start_task(core, id), pending()).await else {
        return Ok(Started::Answered);
    };
    match () {
        () if is_bare => start_bare(core, id, error).await,
        () if !has_begun_or_never_will(core, id).await? => Err(not_there(error)),
        () if error.code == ErrorCode::DrmCommunication => Ok(Started::Unanswered),
        () => Ok(Started::Broken(error)),
    }
}

/// Note that a start is about to be tried. False if it was withdrawn.
fn note_start(dir: &Path, is_bare: bool) -> Result<bool> {
    let mark = dir.join(STARTED_FILE);
    fs::write(&mark, now().to_string()).map_err(|error| io_error(&mark, &error))?;
    // Without an init, nothing inside checks the fence before the command runs.
    let begun = if is_bare { withdraw::begin_without_init(dir) } else { Ok(true) };
    begun.map_err(|error| io_error(dir, &error))
}

async fn start_task(core: &Core, id: &str) -> std::result::Result<(), Error> {
    let request = StartRequest { container_id: core.container_of(id), exec_id: String::new() };
    match core.daemon.within(RUN)?.tasks().start(request).await {
        // An earlier call was interrupted, and carried out nevertheless.
        Err(status) if status::is_running(&status) => Ok(()),
        Err(status) => Err(core.daemon.error(status)),
        Ok(_) => Ok(()),
    }
}

/// A missing task cannot be started, but another one can: a restarted daemon may have removed it as
/// unused.
fn not_there(error: Error) -> Error {
    if error.code != ErrorCode::InvalidArgument {
        return error;
    }
    Error::new(ErrorCode::TryLater, format!("it was lost before its start: {}", error.message))
}

/// The result of starting a command that is PID 1 itself: only the daemon knows it; if it cannot answer,
/// the command may have run.
async fn start_bare(core: &Core, id: &str, mut error: Error) -> Result<Started> {
    let mut again = true;
    loop {
        let unanswered = error.code == ErrorCode::DrmCommunication;
        let process = core.daemon.patiently(|| look_up::process(core, id)).await?;
        match process.map(|process| process.status()) {
            Some(Status::Running | Status::Pausing | Status::Paused) => return Ok(Started::Unanswered),
            // Another start shows whether the first was carried out.
            Some(Status::Created) if unanswered || (again && error.may_pass()) => {
                again = unanswered;
                match start_task(core, id).await {
                    Ok(()) => return Ok(Started::Answered),
                    Err(cause) => error = cause,
                }
            }
            Some(Status::Created) => return Err(not_there(error)),
            None if error.code == ErrorCode::InvalidArgument => return Err(not_there(error)),
            _ if unanswered => return Ok(Started::Unanswered),
            _ => return Ok(Started::Broken(error)),
        }
    }
}

/// Report the result of a start.
pub(super) async fn conclude(core: &Arc<Core>, id: &str, ticket: Ticket, started: Result<Started>) {
    let started = started.and_then(|started| not_withdrawn(core, id).map(|()| started));
    let (reason, is_over) = match started {
        Ok(Started::Answered) => (None, false),
        Ok(Started::Unanswered) => (None, true),
        Ok(Started::Broken(error)) => (Some(error.message), true),
        Err(error) => return not_launched(core, id, error).await,
    };
    let image = job_dir::image_of(&core.job_dir(id));
    match core.facts.launched(id, ticket, now(), image) {
        Launched::Undo if not_withdrawn(core, id).is_err() => not_launched(core, id, withdrawn()).await,
        // Another call has seen its end before the daemon answered.
        Launched::Undo => {
            let left = core.daemon.patiently(|| remove::remove_ended(core, id)).await.err();
            core.facts.not_launched(id, Fact::Deleted { id: id.to_owned() }, left);
        }
        Launched::Started if !is_over => {}
        Launched::Started | Launched::Ended => finish::report_end(core, id, None, reason).await,
    }
}

/// Report that a launch failed. If the job has ended, its leftovers are removed like those of any other.
async fn not_launched(core: &Arc<Core>, id: &str, error: Error) {
    let (job, withdrawn) = (id.to_owned(), not_withdrawn(core, id).is_err());
    let error = finish::starved(core, id, error).await;
    if terminated(core, id) {
        let outcome = Outcome::failed("terminated before it started");
        return core.facts.not_launched(id, Fact::Ended { id: job, outcome }, None);
    }
    if !withdrawn && !error.may_pass() {
        let outcome = Outcome::failed(error.message);
        return core.facts.not_launched(id, Fact::Ended { id: job, outcome }, None);
    }
    let (left, fact) = match withdrawn {
        true => (undo(core, id).await.err(), Fact::Withdrawn { id: job }),
        false => (give_up(core, id, &error).await.err(), Fact::NotStarted { id: job, error }),
    };
    core.facts.not_launched(id, fact, left);
}

/// Remove everything of a job whose start was withdrawn.
async fn undo(core: &Core, id: &str) -> Result<()> {
    // A process that withdraws the start makes the directory again if it is removed at this moment.
    while core.job_dir(id).is_dir() {
        let removed = core.daemon.patiently(|| remove::remove(core, id)).await;
        removed.inspect_err(|error| tracing::warn!(%error, id, "cannot undo a launch"))?;
    }
    Ok(())
}

/// Give up the current attempt at a job, and remove its objects; in the background if that takes long.
/// True if its start was withdrawn.
pub(super) async fn give_up(core: &Arc<Core>, id: &str, why: &Error) -> Result<bool> {
    let given_up = attempt::give_up(core, id);
    let note = given_up.inspect_err(|error| tracing::warn!(%error, id, "cannot give up a launch"))?;
    let withdrawn = is_marked(&note.join(WITHDRAW_FILE));
    match why.code {
        // The daemon may be away for long.
        ErrorCode::DrmCommunication => remove::remove_in_background(core, note),
        _ => remove::remove_given_up(core, note).await,
    }
    Ok(withdrawn)
}
