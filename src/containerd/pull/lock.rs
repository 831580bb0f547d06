//! One pull of an image on a machine at a time.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use crate::model::{Error, ErrorCode, Result};

/// The right to pull an image. It is given back explicitly, for a forked child may hold the open file
/// for longer; the kernel does it for a process that dies.
pub(super) struct Turn {
    _lock: Flock<File>,
    _permit: OwnedSemaphorePermit,
}

/// Wait for the turn to pull `what` among all processes that use the directory. The permit is one for a
/// thread that may have to wait for long.
pub(super) async fn turn(dir: PathBuf, what: &str, permit: OwnedSemaphorePermit) -> Result<Turn> {
    let name = format!("{:x}.lock", Sha256::digest(what));
    // On a thread of its own: there is no other way to wait for a lock than to be blocked by it. Who
    // gives up meanwhile leaves a thread that lets go of lock and permit as soon as it has the lock.
    let waiting = tokio::task::spawn_blocking(move || {
        wait(&dir, &name).map(|lock| Turn { _lock: lock, _permit: permit })
    });
    waiting.await.unwrap_or_else(|_| Err(Error::internal("the wait for a pull died")))
}

fn wait(dir: &Path, name: &str) -> Result<Flock<File>> {
    let failed = |cause: std::io::Error| {
        let text = format!("{}: {cause}", dir.join(name).display());
        Error::new(ErrorCode::of_io(&cause), text)
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(dir.join(name)).map_err(failed)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(lock),
            Err((same, Errno::EINTR)) => file = same,
            Err((_, error)) => return Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn one_at_a_time_for_each_image() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("pulls");
        let permits = Arc::new(Semaphore::new(3));
        let permit = || Arc::clone(&permits).try_acquire_owned().unwrap();
        let first = turn(dir.clone(), "a", permit()).await.unwrap();
        turn(dir.clone(), "b", permit()).await.unwrap();
        let second = tokio::spawn({
            let (dir, permit) = (dir.clone(), permit());
            async move { turn(dir, "a", permit).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_thread_that_waits_for_nobody_keeps_its_permit() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("pulls");
        let permits = Arc::new(Semaphore::new(2));
        let permit = || Arc::clone(&permits).try_acquire_owned().unwrap();
        let first = turn(dir.clone(), "a", permit()).await.unwrap();
        assert!(turn(dir, "a", permit()).now_or_never().is_none());
        assert_eq!(permits.available_permits(), 0);
        drop(first);
        drop(permits.acquire_many(2).await.unwrap());
    }
}
