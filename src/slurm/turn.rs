//! The turn to ask Slurm: of the processes that follow the jobs of one store, one asks, and what it stores wakes the
//! others.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

/// Name of the file that is locked.
const FILE: &str = "follower";

/// See the module. A process that dies gives its turn up; one that only hangs keeps the others from asking for `patience`.
pub(super) struct Turn {
    file: Option<File>,
    patience: Duration,
    /// The last time at which this process has asked.
    asked: Option<Instant>,
}

impl Turn {
    /// The turn for the jobs of this directory. Without a file that can be locked, it is always this process's.
    pub(super) fn of(dir: &Path, patience: Duration) -> Self {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(FILE));
        let file = file.inspect_err(|error| tracing::debug!(%error, "no file for turns")).ok();
        Self { file, patience, asked: None }
    }

    /// Returns whether it is this process that asks now; it is until it gives the turn up.
    pub(super) fn take(&mut self) -> bool {
        let is_other = self.file.as_ref().is_some_and(|file| {
            // Not flock, whose lock a forked child would keep.
            fcntl_lock(file, FlockOperation::NonBlockingLockExclusive)
                .map_err(io::Error::from)
                .is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)))
        });
        let waits = self.asked.is_some_and(|asked| asked.elapsed() < self.patience);
        if is_other && waits {
            return false;
        }
        self.asked = Some(Instant::now());
        true
    }

    /// Leave it to another process.
    pub(super) fn give_up(&self) {
        if let Some(file) = &self.file {
            let _ = fcntl_lock(file, FlockOperation::NonBlockingUnlock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// A process that has the lock until its input ends.
    fn other(dir: &Path) -> std::process::Child {
        let script = "import fcntl, sys\nf = open(sys.argv[1], 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint(flush=True)\nsys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(dir.join(FILE))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line).unwrap();
        child
    }

    #[test]
    fn one_process_asks_and_the_next_follows_on_its_death() {
        let dir = tempfile::tempdir().unwrap();
        let mut turn = Turn::of(dir.path(), Duration::from_secs(1000));
        assert!(turn.take() && turn.take());
        turn.give_up();
        let mut holder = other(dir.path());
        assert!(!turn.take());
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!(turn.take());
    }

    #[test]
    fn a_process_that_hangs_does_not_keep_the_others_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut turn = Turn::of(dir.path(), Duration::ZERO);
        let mut holder = other(dir.path());
        // The first question is always its own: it finds out whether Slurm answers.
        assert!(turn.take() && turn.take());
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!(Turn::of(&dir.path().join("missing"), Duration::ZERO).take());
    }
}
