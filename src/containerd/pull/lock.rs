//! One pull of an image on a machine at a time.

use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::{major, minor};
use sha2::{Digest, Sha256};
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::files::blocking;
use crate::model::{Error, ErrorCode, Result};
use crate::procfs::Stat;

/// The time for which a process that pulls the image may be stopped before others give up for now.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and last pause between two tries: the end of the other pull is seen at once, unless a forked child
/// keeps its file open.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The right to pull an image. It is given back explicitly, for a forked child may hold the open file
/// for longer; the kernel does it for a process that dies.
pub(super) struct Turn {
    _lock: Flock<File>,
    _permit: OwnedSemaphorePermit,
}

/// Wait for the turn to pull `what` among all processes that use the directory, and then for one of those
/// of this process. TRY_LATER if the process that has it is stopped.
pub(super) async fn turn(dir: PathBuf, what: &str, turns: &Arc<Semaphore>) -> Result<Turn> {
    let path = dir.join(format!("{:x}.lock", Sha256::digest(what)));
    let lock = wait(path, PATIENCE).await?;
    let permit = Arc::clone(turns).acquire_owned().await;
    let permit = permit.map_err(|_| Error::internal("no more images are pulled"))?;
    Ok(Turn { _lock: lock, _permit: permit })
}

async fn wait(path: PathBuf, patience: Duration) -> Result<Flock<File>> {
    let failed = |path: &Path, cause: std::io::Error| {
        Error::new(ErrorCode::of_io(&cause), format!("{}: {cause}", path.display()))
    };
    let opened = path.clone();
    let mut file = blocking(move || open(&opened).map_err(|cause| failed(&opened, cause))).await?;
    // Before the first try, or an end in between would be missed.
    let watch =
        watch(&path).inspect_err(|error| tracing::debug!(%error, "the end of a pull is seen late")).ok();
    let (mut pause, mut stopped_since) = (MIN_PAUSE, None);
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((same, Errno::EWOULDBLOCK | Errno::EINTR)) => same,
            Err((_, error)) => return Err(failed(&path, error.into())),
        };
        stopped_since = match stopped_holder(&file) {
            None => None,
            Some(pid) => {
                let since = stopped_since.unwrap_or_else(Instant::now);
                if since.elapsed() >= patience {
                    let text = format!("process {pid}, which is stopped, is pulling it");
                    return Err(Error::new(ErrorCode::TryLater, text));
                }
                Some(since)
            }
        };
        let _ = timeout(pause, closed(watch.as_ref())).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A descriptor that becomes readable when a file that was open for writing is closed.
fn watch(path: &Path) -> std::io::Result<AsyncFd<File>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    inotify.add_watch(path, AddWatchFlags::IN_CLOSE_WRITE)?;
    let file = File::from(inotify.as_fd().try_clone_to_owned()?);
    // SAFETY: a file keeps its descriptor until it is dropped, which is when the result is.
    Ok(unsafe { AsyncFd::register(file) }?)
}

/// Wait until the watched file is closed; for ever without a watch.
async fn closed(watch: Option<&AsyncFd<File>>) {
    let Some(watch) = watch else { return std::future::pending().await };
    if let Ok(mut ready) = watch.readable().await {
        // Its events all mean the same.
        let _ = watch.get_ref().read(&mut [0; 4096]);
        ready.clear_ready();
    }
}

/// The process that has a file locked, if that can be named from here and is stopped.
fn stopped_holder(file: &File) -> Option<u32> {
    let found = file.metadata().ok()?;
    let (device, inode) = (found.dev(), found.ino());
    let name = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // NUMBER: FLOCK ADVISORY WRITE PID DEVICE:INODE START END
    let holders = locks.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_ours = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&name.as_str());
        words.get(4).filter(|_| is_ours)?.parse::<u32>().ok()
    });
    holders.into_iter().find(|pid| Stat::of(*pid).is_some_and(|stat| stat.is_stopped()))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_image() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("pulls");
        let turns = Arc::new(Semaphore::new(3));
        let first = turn(dir.clone(), "a", &turns).await.unwrap();
        turn(dir.clone(), "b", &turns).await.unwrap();
        let second = tokio::spawn({
            let (dir, turns) = (dir.clone(), Arc::clone(&turns));
            async move { turn(dir, "a", &turns).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        assert_eq!(
            turns.available_permits(),
            2,
            "one that waits for another process takes no turn here"
        );
        drop(first);
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_process_that_is_stopped_does_not_keep_others_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let mut other = Command::new("flock");
        let other = other.arg(&path).args(["sh", "-c", "echo; read x"]);
        let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let pid = nix::unistd::Pid::from_raw(other.id().cast_signed());
        let signal = |signal| nix::sys::signal::kill(pid, signal).unwrap();
        let short = Duration::from_millis(100);
        assert!(timeout(short * 5, wait(path.clone(), short)).await.is_err(), "it is at work");
        signal(nix::sys::signal::Signal::SIGSTOP);
        let error = wait(path.clone(), short).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::TryLater);
        assert_eq!(error.message, format!("process {pid}, which is stopped, is pulling it"));
        signal(nix::sys::signal::Signal::SIGCONT);
        let waiting = tokio::spawn(wait(path, PATIENCE));
        tokio::task::yield_now().await;
        drop(other.stdin.take());
        other.wait().unwrap();
        waiting.await.unwrap().unwrap();
    }
}
