//! The start of a job: at most once, whatever happens to the calls to the daemon.
//!
//! A call without an answer may have been carried out, or be carried out later. The record of a job's
//! end shows that it has run, and so does the fence that its init has made. If there is none, the
//! library makes it, and then nothing of that attempt will ever run. So nothing has to wait for the
//! daemon to know.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::StartRequest;
use containerd_client::types::v1::Status;
use drmaa2_init::{Fence, TERMINATE_FILE, is_marked};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connect::RUN;
use super::facts::{Facts, Launched, Ticket};
use super::launch::{blocking, io_error, make};
use super::withdraw::WITHDRAW_FILE;
use super::{Core, account, attempt, bare, finish, launch, pull, remove, shared, status, withdraw};
use crate::model::{Error, ErrorCode, Millis, Outcome, Result, now};
use crate::tracker::{Fact, NewJob};

/// A file in the job's directory with the time of its start. It is written before the first try, and so
/// distinguishes a job without a task yet from one whose task was lost.
const STARTED_FILE: &str = "started";

/// The time after which a launch lets others have its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The result of a start.
pub(super) enum Started {
    /// The daemon confirmed it.
    Answered,
    /// It has begun, and may have ended unseen: the daemon could not answer.
    Unanswered,
    /// It has begun, and the runtime reports that its start failed.
    Broken(Error),
}

/// The turn of a launch among others, which it loses if the daemon takes long.
pub(super) struct Turn<'a> {
    held: Option<SemaphorePermit<'a>>,
    patience: Duration,
}

impl<'a> Turn<'a> {
    /// Wait for the turn.
    pub(super) async fn wait(among: &'a Semaphore) -> Self {
        // The semaphore is never closed.
        Self { held: among.acquire().await.ok(), patience: PATIENCE }
    }

    /// Wait for a call to the daemon for a job.
    pub(super) async fn keep<T>(&mut self, facts: &Facts, id: &str, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        if let Ok(answer) = tokio::time::timeout(self.patience, &mut call).await {
            return answer;
        }
        self.held = None;
        let tell = |text: Option<&str>| {
            facts.report(Fact::Progress { id: id.to_owned(), text: text.map(str::to_owned) });
        };
        tell(Some("waiting for the runtime"));
        let answer = call.await;
        tell(None);
        answer
    }
}

/// The time of the first try to start the job in this directory.
pub(super) fn started_at(dir: &Path) -> Option<Millis> {
    fs::read_to_string(dir.join(STARTED_FILE)).ok()?.parse().ok()
}

/// Returns whether the job in this directory has begun, as far as its files show; without an init,
/// whether it may have.
pub(super) fn has_begun(dir: &Path) -> bool {
    // A fence that cannot be read must not make anything run twice.
    Fence::look(&shared(dir)).map_or(true, |fence| fence == Some(Fence::Begun))
}

/// Returns whether a start of the job in this directory was tried, or the job has even begun.
pub(super) fn was_tried(dir: &Path) -> bool {
    started_at(dir).is_some() || (dir.is_dir() && has_begun(dir))
}

/// Returns whether a job was asked to end.
pub(super) fn terminated(core: &Core, id: &str) -> bool {
    is_marked(&core.job_dir(id).join(TERMINATE_FILE))
}

/// Check that a job is still to be started: it was neither asked to end nor withdrawn.
pub(super) fn still_wanted(core: &Core, id: &str) -> Result<()> {
    if terminated(core, id) { Err(Error::state("terminated")) } else { not_withdrawn(core, id) }
}

fn not_withdrawn(core: &Core, id: &str) -> Result<()> {
    let dir = core.job_dir(id);
    let withdrawn = withdraw::decide(&dir).map_err(|error| io_error(&dir, &error))?;
    if withdrawn { Err(self::withdrawn()) } else { Ok(()) }
}

/// The error of a withdrawn start: the job can be started another time.
fn withdrawn() -> Error {
    Error::new(ErrorCode::TryLater, "its start was withdrawn")
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
    attempt::renew(core, job)?;
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
    let is_bare = bare::is(&dir);
    if finish::recorded(&dir).is_some() || (!is_bare && has_begun(&dir)) {
        return Ok(Started::Unanswered);
    }
    still_wanted(core, id)?;
    if withdraw::will_never_begin(&dir) {
        return start_again(core, job).await;
    }
    let process = core.daemon.patiently(|| account::process(core, id)).await?;
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

/// Returns whether a job's init has begun. If not, it never will: the attempt is withdrawn.
pub(super) async fn has_begun_or_never_will(core: &Core, id: &str) -> Result<bool> {
    settle(core, id).await.map(|(begun, _)| begun)
}

/// Like `has_begun_or_never_will`; also tells whether this call made the decision.
pub(super) async fn settle(core: &Core, id: &str) -> Result<(bool, bool)> {
    let dir = core.shared_dir(id);
    let settle = move || Fence::settle(&dir).map_err(|error| io_error(&dir, &error));
    let (fence, by_us) = blocking(settle).await?;
    Ok((fence == Fence::Begun, by_us))
}

/// Start a task that [`make`] made. After an error it is certain that it has not begun, and never will.
pub(super) async fn start(core: &Core, id: &str, turn: &mut Turn<'_>) -> Result<Started> {
    still_wanted(core, id)?;
    let dir = core.job_dir(id);
    let is_bare = bare::is(&dir);
    if !blocking(move || note_start(&dir, is_bare)).await? {
        return Err(withdrawn());
    }
    let Err(error) = turn.keep(&core.facts, id, start_task(core, id)).await else {
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
        let process = core.daemon.patiently(|| account::process(core, id)).await?;
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
    let image = launch::image_of(&core.job_dir(id));
    match core.facts.launched(id, ticket, now(), image) {
        Launched::Undo if not_withdrawn(core, id).is_err() => not_launched(core, id, withdrawn()).await,
        // Another call has seen its end before the daemon answered.
        Launched::Undo => {
            let left = core.daemon.patiently(|| remove::remove_ended(core, id)).await.err();
            core.facts.not_launched(id, Fact::Deleted { id: id.to_owned() }, left);
        }
        Launched::Started if !is_over => {}
        Launched::Started | Launched::Ended => core.report_end(id, None, reason).await,
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::oneshot;

    use super::*;
    use crate::tracker::EventSink;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Fact>>);

    impl EventSink for Heard {
        fn fact(&self, fact: Fact) {
            self.0.lock().unwrap().push(fact);
        }
    }

    #[tokio::test]
    async fn a_launch_that_the_daemon_keeps_waiting_lets_others_go_first() {
        let (among, facts, heard) = (Semaphore::new(1), Facts::new(), Arc::new(Heard::default()));
        tokio::spawn(facts.deliver(heard.clone()).unwrap());
        let mut turn = Turn::wait(&among).await;
        assert_eq!(turn.keep(&facts, "j", async { 1 }).await, 1);
        assert_eq!(among.available_permits(), 0);
        turn.patience = Duration::ZERO;
        let (answer, question) = oneshot::channel();
        let other = async {
            let _turn = Turn::wait(&among).await;
            answer.send(2).unwrap();
        };
        let (answered, ()) = tokio::join!(turn.keep(&facts, "j", question), other);
        assert_eq!(answered, Ok(2));
        tokio::task::yield_now().await;
        let text = |text: Option<&str>| Fact::Progress { id: "j".into(), text: text.map(str::to_owned) };
        assert_eq!(*heard.0.lock().unwrap(), [text(Some("waiting for the runtime")), text(None)]);
    }
}
