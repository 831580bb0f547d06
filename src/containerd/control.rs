//! Suspend, resume, terminate and kill.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::{KillRequest, PauseTaskRequest, ResumeTaskRequest};
use containerd_client::tonic::Status as Answer;
use containerd_client::types::v1::Status;
use drmaa2_init::{Order, STAGE_OUT_FILE, TERMINATE_FILE, is_marked, mark};

use super::connect::{QUICK, RUN};
use super::job_dir::{self, KILL_FILE, shared};
use super::tracker_core::Core;
use super::{account, finish, group, look_up, status};
use crate::model::{Control, Error, ErrorCode, Result, now_nanos};
use crate::tracker::Fact;

/// The time that a job may take to end if its order cannot be read.
const GRACE: Duration = Duration::from_secs(10);
/// The time beyond a job's grace after which init itself is killed.
const MARGIN: Duration = Duration::from_secs(5);

/// The number of tries if the job's state allows it and the daemon refuses: others may be changing the
/// state at the same time.
const ATTEMPTS: usize = 3;

/// The origin of a request to end a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// A user: a second request also ends the work that the first has left time for.
    First,
    /// The library, which cannot know whether an earlier request was received.
    Again,
}

/// Carry out a control, or return the reason why it cannot be done.
pub(super) async fn control(core: &Arc<Core>, id: &str, control: Control) -> Result<()> {
    let mut attempt = 1;
    loop {
        let mut tasks = core.daemon.within(RUN)?.tasks();
        let container_id = core.container_of(id);
        let done = match control {
            Control::Suspend => tasks.pause(PauseTaskRequest { container_id }).await,
            Control::Resume => tasks.resume(ResumeTaskRequest { container_id }).await,
            Control::Terminate | Control::Kill => return end(core, id, control, Request::First).await,
            Control::Hold | Control::Release => {
                return Err(Error::unsupported("holding a job that the runtime has"));
            }
        };
        let Err(status) = done else { return Ok(()) };
        if let Some(fact) = by_its_group(core, id, control).await {
            core.facts.report(fact);
            return Ok(());
        }
        let error = refusal(core, id, control, status).await;
        if error.code != ErrorCode::TryLater || attempt == ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
    }
}

/// The error for a refusal of the daemon: most often the job's state does not allow the control, which
/// describes it better than the runtime's message does. TRY_LATER if the state allows it now.
async fn refusal(core: &Core, id: &str, control: Control, status: Answer) -> Error {
    let error = core.daemon.error(status);
    tracing::debug!(%error, id, %control, "refused");
    if error.code == ErrorCode::DrmCommunication {
        return error;
    }
    match account::job_info(core, id).await {
        Ok(info) => match info.state.after(control) {
            Err(refusal) => refusal,
            Ok(_) => Error { code: ErrorCode::TryLater, ..error },
        },
        Err(unknown) => unknown,
    }
}

/// End a job.
pub(super) async fn end(core: &Arc<Core>, id: &str, how: Control, request: Request) -> Result<()> {
    let (dir, killing) = (core.job_dir(id), how == Control::Kill);
    if let Some(outcome) = finish::recorded(&dir) {
        return outcome.state().after(how).map(drop);
    }
    // The files first: a signal that comes before init listens is lost, a file is not.
    let asked = ask(&dir, killing);
    let repeated = request == Request::Again && matches!(asked, Ok(false));
    let ours = match asked {
        // Init is already ending the job because of the earlier request; a signal would cut that short.
        Ok(_) if repeated && !killing && copies_out(&dir) => return Ok(()),
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // The job's own files may have left no room for another. Init most often listens by now.
        Err(error) if job_dir::started_at(&dir).is_some() => {
            tracing::warn!(%error, id, "cannot note that a job is to end");
            true
        }
        Err(error) => {
            let text = format!("{}: {error}", dir.display());
            return Err(Error::new(ErrorCode::of_io(&error), text));
        }
    };
    // The start is marked before it is tried, so a process that tries it later finds the file. A task
    // that is not started has no init yet to take a signal.
    if ours && job_dir::started_at(&dir).is_none() {
        // Its image may be pulled at this moment.
        core.facts.changed(id);
        return Ok(());
    }
    // Killing does not involve init either: everything in its namespace ends with it, without a record
    // and without delay.
    let (signal, patience) = match killing {
        true => (libc::SIGKILL, None),
        false => stop(&dir, repeated),
    };
    // Checked before the signal: the request may be what makes init copy.
    let ends_copying = copies_out(&dir);
    if let Err(status) = kill(core, id, signal, false).await {
        let dead = status::not_found(&status);
        let refused = refusal(core, id, how, status).await;
        // Init may have found the file already, or the task was killed otherwise and the daemon has not
        // noticed its end yet.
        let heard = ours && finish::recorded(&dir).is_some();
        let over = heard || (dead && refused.code == ErrorCode::TryLater);
        return if over { Ok(()) } else { Err(refused) };
    }
    wake(core, id).await;
    if let Some(patience) = patience {
        let (core, id) = (core.clone(), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            if ends_copying || !copies_out(&dir) {
                kill_if_running(&core, &id).await;
            }
        });
    }
    Ok(())
}

/// Note in the directory of a job of the library that it was asked to end, also for its init. False if
/// that was done before. NOT_FOUND if it is not the library's.
fn ask(dir: &Path, killing: bool) -> io::Result<bool> {
    let first = mark(&dir.join(TERMINATE_FILE))?;
    if killing {
        mark(&dir.join(KILL_FILE))?;
        // Init need not know: it would end the job in its own way if it came first.
        if job_dir::started_at(dir).is_some() {
            return Ok(first);
        }
    }
    match mark(&shared(dir).join(TERMINATE_FILE)) {
        // Its directory is being made, so the note comes in time.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(first),
    }
}

/// The signal that makes PID 1 end its job, and the time that it may take. Init follows the job's order
/// by itself; a command that is PID 1 gets the signal that init would have sent.
fn stop(dir: &Path, repeated: bool) -> (i32, Option<Duration>) {
    let order = Order::read(&shared(dir)).ok();
    let grace = order.as_ref().map(|order| Duration::from_millis(order.grace));
    let grace = grace.unwrap_or(GRACE);
    if !job_dir::is_bare(dir) {
        // Any signal makes init look for the file, unless the job has ended meanwhile.
        let signal = if repeated { libc::SIGCONT } else { libc::SIGTERM };
        return (signal, Some(grace.saturating_add(MARGIN)));
    }
    let signal = order.map(|order| order.stop_signal).filter(|signal| *signal != 0);
    (signal.unwrap_or(libc::SIGTERM), Some(grace))
}

/// Returns whether init copies files out. That may take any time, unless its end is requested meanwhile.
fn copies_out(dir: &Path) -> bool {
    is_marked(&shared(dir).join(STAGE_OUT_FILE))
}

/// Resume a paused job, which gets its signal then.
async fn wake(core: &Core, id: &str) {
    let Ok(calls) = core.daemon.within(RUN) else { return };
    match task_status(core, id).await {
        Some(Status::Paused) => {
            let request = ResumeTaskRequest { container_id: core.container_of(id) };
            if let Err(status) = calls.tasks().resume(request).await {
                tracing::debug!(id, %status, "cannot resume a paused job to end it");
            }
        }
        _ => drop(by_its_group(core, id, Control::Resume).await),
    }
}

/// Suspend or resume a job that is frozen without the daemon's knowledge, which would refuse both: it,
/// or a shim, has died after the runtime had done it. `None` if it is not frozen.
async fn by_its_group(core: &Core, id: &str, control: Control) -> Option<Fact> {
    if task_status(core, id).await != Some(Status::Running) {
        return None;
    }
    let container = look_up::container(core, id).await.ok().flatten()?;
    let freezer = group::frozen(&container)?;
    let (id, at) = (id.to_owned(), now_nanos());
    match control {
        Control::Suspend => Some(Fact::Suspended { id, at }),
        Control::Resume => match freezer.thaw() {
            Ok(()) => Some(Fact::Resumed { id, at }),
            Err(error) => {
                tracing::warn!(id, %error, "cannot thaw the control group of a job");
                None
            }
        },
        _ => None,
    }
}

/// The last resort against an init that does not do its work.
async fn kill_if_running(core: &Core, id: &str) {
    // One of which that is not known may run.
    if let Ok(process) = look_up::process(core, id).await
        && process.is_none_or(|process| process.status() == Status::Stopped)
    {
        return;
    }
    tracing::warn!(id, "the job did not end in time; killing its container");
    if let Err(status) = kill(core, id, libc::SIGKILL, true).await {
        tracing::warn!(id, %status, "cannot kill a container");
    }
}

async fn task_status(core: &Core, id: &str) -> Option<Status> {
    look_up::process(core, id).await.ok()?.map(|process| process.status())
}

async fn kill(core: &Core, id: &str, signal: i32, all: bool) -> std::result::Result<(), Answer> {
    let request = KillRequest {
        container_id: core.container_of(id),
        exec_id: String::new(),
        signal: signal.unsigned_abs(),
        all,
    };
    let calls = core.daemon.within(QUICK).map_err(|error| Answer::unavailable(error.message))?;
    calls.tasks().kill(request).await.map(drop)
}
