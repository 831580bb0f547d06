//! The removal of leftovers of jobs, and of abandoned attempts at them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::snapshots::RemoveSnapshotRequest;
use containerd_client::services::v1::{
    DeleteContainerRequest, DeleteTaskRequest, KillRequest, WaitRequest,
};
use containerd_client::tonic::{Code, Status as Answer};
use drmaa2_init::is_marked;

use super::attempt::Attempt;
use super::connect::{QUICK, RUN};
use super::files::{blocking, io_error};
use super::job_dir::{self, WITHDRAW_FILE};
use super::tracker_core::Core;
use super::{attempt, defaults, labels, look_up, shim, status};
use crate::model::{Error, ErrorCode, Result};
use crate::tracker::Fact;

/// The pause between tries to remove leftovers of an attempt, doubled each time up to [`MAX_PAUSE`]: the
/// daemon may have to notice first that nothing waits for an answer any more.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Remove an ended job in the background, and report it.
pub(super) async fn delete(core: &Core, id: String) {
    // The semaphore is never closed.
    let Ok(_turn) = core.deletions.acquire().await else { return };
    match core.daemon.patiently(|| remove_ended(core, &id)).await {
        Ok(_) => core.facts.report(Fact::Deleted { id }),
        Err(error) => core.facts.report(Fact::NotDeleted { id, error }),
    }
}

/// Remove everything of a job, except for a container and a snapshot that are to be kept. Those of a job
/// that has not run hold nothing of interest.
pub(super) async fn remove_ended(core: &Core, id: &str) -> Result<bool> {
    let dir = core.job_dir(id);
    let has_run = !dir.is_dir() || job_dir::has_begun(&dir);
    let record = look_up::record(core, id).await?;
    if !record.is_some_and(|record| has_run && labels::is_kept(&record.labels)) {
        return remove(core, id).await;
    }
    remove_task(core, &core.container_of(id), &dir).await?;
    remove_traces(core, id).await
}

/// Remove everything of a job's current attempt: task, container, snapshot and directory, in this order.
/// A container without its task's shim could never be cleaned up, and the directory holds the names of
/// the others. True if its start was withdrawn.
pub(super) async fn remove(core: &Core, id: &str) -> Result<bool> {
    remove_container(core, &core.attempt(id), &core.job_dir(id)).await?;
    remove_traces(core, id).await
}

/// Remove the traces of a job that has no container any more.
async fn remove_traces(core: &Core, id: &str) -> Result<bool> {
    core.memory.lock().remove(id);
    let Some((old, _lock)) = attempt::take_away(core, id).await? else { return Ok(false) };
    // From now on a process that withdraws the start finds no directory.
    let withdrawn = is_marked(&old.join(WITHDRAW_FILE));
    remove_dir(old).await?;
    Ok(withdrawn)
}

/// Remove the objects of an abandoned attempt, according to its note. Does nothing if another process is
/// doing that, or has done it.
pub(super) async fn remove_attempt(core: &Core, note: &Path) -> Result<()> {
    let Some((attempt, _lock)) = attempt::take(note).await? else { return Ok(()) };
    shim::kill_empty(core, &attempt.container).await?;
    remove_container(core, &attempt, note).await?;
    remove_dir(note.to_owned()).await
}

/// Remove the objects of an abandoned attempt; in the background if that takes long.
pub(super) async fn remove_given_up(core: &Arc<Core>, note: PathBuf) {
    let removed = tokio::time::timeout(QUICK, remove_attempt(core, &note)).await;
    if !matches!(removed, Ok(Ok(()))) {
        remove_in_background(core, note);
    }
}

/// Remove the objects of an abandoned attempt, in several tries. After those, the next process that
/// finds its note removes them.
pub(super) fn remove_in_background(core: &Arc<Core>, note: PathBuf) {
    let core = Arc::clone(core);
    let id = note.file_name().unwrap_or_default().to_string_lossy().into_owned();
    core.facts.report(Fact::Left { id: id.clone() });
    tokio::spawn(async move {
        core.facts.report(match in_several_tries(&core, &note).await {
            Ok(()) => Fact::Deleted { id },
            Err(error) => Fact::NotDeleted { id, error },
        });
    });
}

async fn in_several_tries(core: &Core, note: &Path) -> Result<()> {
    let mut pause = MIN_PAUSE;
    loop {
        // The semaphore is never closed.
        let turn = core.deletions.acquire().await;
        let Err(error) = remove_attempt(core, note).await else { return Ok(()) };
        drop(turn);
        tracing::debug!(%error, note = %note.display(), "cannot remove what an attempt left");
        if pause > MAX_PAUSE {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Remove the directory of an attempt at a job that has no container any more.
async fn remove_dir(dir: PathBuf) -> Result<()> {
    let remove = move || match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&dir, &error)),
        _ => Ok(()),
    };
    blocking(remove).await
}

/// Remove task, container and snapshot of the attempt with this directory.
pub(super) async fn remove_container(core: &Core, attempt: &Attempt, dir: &Path) -> Result<()> {
    let Attempt { container, snapshotter } = attempt;
    let calls = core.daemon.within(QUICK)?;
    if !remove_task(core, container, dir).await?
        && let Some(shim) = shim::find(core, container).await?
    {
        // If its container were removed first, the daemon would lose track of the shim for ever.
        shim::end(core, container, shim, job_dir::has_begun(dir)).await?;
        remove_task(core, container, dir).await?;
        if shim::find(core, container).await?.is_some() {
            let text =
                format!("a shim of container {container} is at work that containerd knows no task of");
            return Err(Error::new(ErrorCode::TryLater, text));
        }
    }
    let snapshotter = match snapshotter {
        Some(snapshotter) => Some(snapshotter.clone()),
        // A container of another program may have another snapshotter than the usual one.
        None => look_up::container_record(core, container).await?.map(|record| record.snapshotter),
    };
    let known = snapshotter.filter(|name| !name.is_empty()).or(core.settings.snapshotter.clone());
    let is_known = known.is_some();
    let snapshotters = match known {
        Some(snapshotter) => vec![snapshotter],
        None => usual(core).await?,
    };
    let request = DeleteContainerRequest { id: container.clone() };
    done(core, calls.containers().delete(request).await)?;
    for snapshotter in snapshotters {
        let request = RemoveSnapshotRequest { snapshotter, key: container.clone() };
        match calls.snapshots().remove(request).await {
            // The daemon may not have a snapshotter that is only likely.
            Err(status) if !is_known && status.code() == Code::InvalidArgument => {
                tracing::debug!(container, %status, "no snapshot is removed");
            }
            answer => done(core, answer).map(drop)?,
        }
    }
    Ok(())
}

/// The snapshotters that may have the snapshot of a container of which there is no record any more: the namespace may
/// have come to name one, or another one, since.
async fn usual(core: &Core) -> Result<Vec<String>> {
    let named = core.defaults.of(&core.daemon).await?.snapshotter;
    let other = named.filter(|named| named != defaults::SNAPSHOTTER);
    Ok([defaults::SNAPSHOTTER.to_owned()].into_iter().chain(other).collect())
}

/// Remove the task of the attempt with this directory. False if there was none.
async fn remove_task(core: &Core, container: &str, dir: &Path) -> Result<bool> {
    // A task that was not started is killed first: its deletion would take the daemon two seconds.
    if job_dir::started_at(dir).is_some() {
        match delete_task(core, container).await {
            // Init may be exiting, having just written its record; or the task is left from an earlier
            // attempt, and not wanted any more.
            Err(refused) => {
                tracing::debug!(container, error = %refused, "killing a task before its removal");
            }
            deleted => return deleted,
        }
    }
    let kill = KillRequest {
        container_id: container.to_owned(),
        exec_id: String::new(),
        signal: libc::SIGKILL.unsigned_abs(),
        all: true,
    };
    // With a shorter timeout than a runtime needs: a shim that hangs is handled at the next try.
    let mut quick = core.daemon.within(QUICK)?.tasks();
    if let Err(status) = quick.kill(kill).await {
        tracing::debug!(container, %status, "cannot kill a task");
    }
    let wait = WaitRequest { container_id: container.to_owned(), exec_id: String::new() };
    done(core, quick.wait(wait).await)?;
    delete_task(core, container).await
}

/// Delete a task that has ended. False if there was none.
async fn delete_task(core: &Core, container: &str) -> Result<bool> {
    let mut tasks = core.daemon.within(RUN)?.tasks();
    let delete = DeleteTaskRequest { container_id: container.to_owned() };
    let answer = tasks.delete(delete.clone()).await;
    match &answer {
        // The daemon died while its runtime deleted the container. The shim gives this answer from now on.
        Err(status) if status::is_gone(status) => {}
        _ => return done(core, answer),
    }
    shim::kill_unable(core, container).await?;
    // The daemon may notice only by this call that the shim has ended, and cleans up before it answers.
    if let Err(status) = tasks.delete(delete.clone()).await {
        tracing::debug!(container, %status, "deleted a task without its shim");
    }
    done(core, tasks.delete(delete).await)
}

/// An object that does not exist counts as removed. False if it did not exist.
fn done<T>(core: &Core, answer: std::result::Result<T, Answer>) -> Result<bool> {
    match answer {
        Err(status) if status::not_found(&status) => Ok(false),
        Err(status) => Err(core.daemon.error(status)),
        Ok(_) => Ok(true),
    }
}
