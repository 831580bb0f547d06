//! One pull of an image at a time, where locks are known. Nothing but the double work depends on that.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::{Instant, sleep};

use crate::model::{Result, io_error};
use crate::runtime::blocking;

/// The first pause between two tries; each further one is twice as long.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// No pause is longer.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The result of a try.
enum Tried {
    Taken(Flock<File>),
    Busy,
    Unknown(Errno),
}

/// Wait for the lock of this file, but not longer than so. `None` if it is not to be had.
pub(super) async fn turn(path: PathBuf, patience: Duration) -> Result<Option<Flock<File>>> {
    let begun = Instant::now();
    let mut pause = MIN_PAUSE;
    loop {
        let path = path.clone();
        match blocking(move || attempt(path)).await? {
            Tried::Taken(lock) => return Ok(Some(lock)),
            Tried::Busy if begun.elapsed() < patience => {}
            Tried::Busy => {
                tracing::debug!("another pull takes long, so the image is pulled twice");
                return Ok(None);
            }
            Tried::Unknown(error) => {
                tracing::debug!(%error, "without a lock, images may be pulled twice");
                return Ok(None);
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

fn attempt(path: PathBuf) -> Result<Tried> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| io_error(&path, &error))?;
    Ok(match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Tried::Taken(lock),
        Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => Tried::Busy,
        Err((_, error)) => Tried::Unknown(error),
    })
}
