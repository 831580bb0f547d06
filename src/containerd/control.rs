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
use super::{Core, account, bare, finish, group, shared, start, status};
use crate::model::{Control, Error, ErrorCode, Result, now_nanos};
use crate::tracker::Fact;

/// How long a job may take to end whose order cannot be read.
const GRACE: Duration = Duration::from_secs(10);
/// How much longer than a job's grace init may take before it is killed itself.
const MARGIN: Duration = Duration::from_secs(5);

/// How often something is tried that the job's state allows and the daemon refuses: others may be
/// changing the state at the same time.
const ATTEMPTS: usize = 3;

/// Who asks for the end of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Somebody who means it: a second one also ends what the first has left time for.
    First,
    /// The library, which cannot know whether an earlier request was heard.
    Again,
}

/// Do it, or tell why it cannot be done.
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

/// Why the daemon refused: most often the job's state does not allow it, and then the state says
/// so better than the runtime's message does. TRY_LATER if it does allow it now.
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
        // Init is at the end that the earlier request has brought; a signal would cut that short.
        Ok(_) if repeated && !killing && copies_out(&dir) => return Ok(()),
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Its own files may have left no room for another. Init most often listens by now.
        Err(error) if start::started_at(&dir).is_some() => {
            tracing::warn!(%error, id, "cannot note that a job is to end");
            true
        }
        Err(error) => {
            let text = format!("{}: {error}", dir.display());
            return Err(Error::new(ErrorCode::of_io(&error), text));
        }
    };
    // The start is marked before it is tried, so whoever tries it later finds the file. A task that
    // is not started has no init yet to take a signal.
    if ours && start::started_at(&dir).is_none() {
        // Its image may be pulled at this moment.
        core.facts.changed(id);
        return Ok(());
    }
    // Killing does not ask init either: with it goes all that is in its namespace, without a record and
    // without delay.
    let (signal, patience) = match killing {
        true => (libc::SIGKILL, None),
        false => stop(&dir, repeated),
    };
    // Looked at before init hears of it: the request may be what makes it copy.
    let ends_copying = copies_out(&dir);
    if let Err(status) = kill(core, id, signal, false).await {
        let dead = status::not_found(&status);
        let refused = refusal(core, id, how, status).await;
        // Init may have found the file already, or somebody else has killed it and the daemon has yet to
        // hear of its end.
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

/// Note in the directory of a job of ours that it was asked to end, and tell its init. False if that was
/// done before. NOT_FOUND if it is none of ours.
fn ask(dir: &Path, killing: bool) -> io::Result<bool> {
    let first = mark(&dir.join(TERMINATE_FILE))?;
    if killing {
        mark(&dir.join(finish::KILL_FILE))?;
        // Init need not know: it would end the job in its own way, should it come first.
        if start::started_at(dir).is_some() {
            return Ok(first);
        }
    }
    match mark(&shared(dir).join(TERMINATE_FILE)) {
        // Its directory is being made, so what is noted there comes in time.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(first),
    }
}

/// The signal that makes PID 1 end its job, and how long it may take. Init keeps to the job's order by
/// itself; a command that is PID 1 gets what init would have sent it.
fn stop(dir: &Path, repeated: bool) -> (i32, Option<Duration>) {
    let order = Order::read(&shared(dir)).ok();
    let grace = order.as_ref().map(|order| Duration::from_millis(order.grace));
    let grace = grace.unwrap_or(GRACE);
    if !bare::is(dir) {
        // Any signal makes init look for the file, if the job has not come to its end meanwhile.
        let signal = if repeated { libc::SIGCONT } else { libc::SIGTERM };
        return (signal, Some(grace.saturating_add(MARGIN)));
    }
    let signal = order.map(|order| order.stop_signal).filter(|signal| *signal != 0);
    (signal.unwrap_or(libc::SIGTERM), Some(grace))
}

/// Does init copy files out? That may take as long as it takes, unless somebody asks for its end meanwhile.
fn copies_out(dir: &Path) -> bool {
    is_marked(&shared(dir).join(STAGE_OUT_FILE))
}

/// A paused job gets its signal when it goes on.
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

/// Suspend or resume a job that is frozen without the daemon's knowledge, which would refuse both: it, or a shim, has
/// died after the runtime had done it. `None` if it is not.
async fn by_its_group(core: &Core, id: &str, control: Control) -> Option<Fact> {
    if task_status(core, id).await != Some(Status::Running) {
        return None;
    }
    let container = account::container(core, id).await.ok().flatten()?;
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

/// The last resort against an init that does not do what it should.
async fn kill_if_running(core: &Core, id: &str) {
    if matches!(task_status(core, id).await, None | Some(Status::Stopped)) {
        return;
    }
    tracing::warn!(id, "the job did not end in time; killing its container");
    if let Err(status) = kill(core, id, libc::SIGKILL, true).await {
        tracing::warn!(id, %status, "cannot kill a container");
    }
}

async fn task_status(core: &Core, id: &str) -> Option<Status> {
    account::process(core, id).await.ok()?.map(|process| process.status())
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
