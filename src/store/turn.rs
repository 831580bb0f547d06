//! The turn of a process among the writers of all processes.
//!
//! Without it SQLite would make them sleep and poll; with it they wake when it is their turn. Mutual exclusion is left to
//! SQLite. The turn is a record lock on the bell, of the kind that a forked child does not keep. The holder may be stopped, by a debugger or a frozen control
//! group, and the system call that waits for such a lock knows no deadline; so it runs on a thread of its own,
//! one for each process, and only when the lock is taken.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record_lock::{is_held, record, set};
use crate::model::{Error, ErrorCode, Result};
use crate::procfs::Stat;
use crate::runtime;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The turns of this process. Only one of its threads at a time may ask for one.
pub(super) struct Turns {
    shared: Arc<Shared>,
    /// The longest wait.
    patience: Duration,
}

/// The part that the thread that waits knows as well.
struct Shared {
    bell: File,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// The thread has been started.
    has_thread: bool,
    /// Since when the thread waits for the lock.
    waits: Option<Instant>,
    /// A writer waits for the thread.
    wanted: bool,
    /// The thread has got the lock for a writer.
    granted: bool,
    /// The store is closed.
    closed: bool,
}

impl Turns {
    pub(super) fn of(bell: File, patience: Duration) -> Self {
        let shared = Shared { bell, state: Mutex::default(), news: Condvar::new() };
        Self { shared: Arc::new(shared), patience }
    }

    pub(super) fn bell(&self) -> &File {
        &self.shared.bell
    }

    /// Wait for a turn. TRY_LATER if other processes have held it for too long, counted from the first of the writers
    /// here that has met it: those behind do not wait once more.
    pub(super) fn wait(&self) -> Result<Turn> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        if state.waits.is_none() {
            match set(&shared.bell, libc::F_SETLK, libc::F_WRLCK, None) {
                Ok(()) => return Ok(Turn(shared.clone())),
                Err(error) if is_held(&error) => {}
                // SQLite keeps writers apart.
                Err(error) => {
                    tracing::debug!(%error, "writers do not wait in turn");
                    return Ok(Turn(shared.clone()));
                }
            }
            if let Err(error) = self.start_thread(&mut state) {
                tracing::debug!(%error, "writers do not wait in turn");
                return Ok(Turn(shared.clone()));
            }
        }
        let begun = *state.waits.get_or_insert_with(Instant::now);
        state.wanted = true;
        shared.news.notify_all();
        while !state.granted {
            let over;
            (state, over) = shared.news.wait_until(state, begun + self.patience);
            if over && !state.granted {
                state.wanted = false;
                drop(state);
                return Err(self.held());
            }
        }
        (state.granted, state.wanted, state.waits) = (false, false, None);
        Ok(Turn(shared.clone()))
    }

    fn start_thread(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        if !state.has_thread {
            let shared = Arc::clone(&self.shared);
            runtime::thread("drmaa2-turn", move || shared.follow())?;
            state.has_thread = true;
        }
        Ok(())
    }

    fn held(&self) -> Error {
        let who = holder(&self.shared.bell).map_or_else(
            || "another process".to_owned(),
            |pid| match Stat::of(pid) {
                Some(stat) if stat.is_stopped() => format!("process {pid}, which is stopped,"),
                _ => format!("process {pid}"),
            },
        );
        let text = format!("{who} has kept it locked for {} s", self.patience.as_secs());
        Error::new(ErrorCode::TryLater, text)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    /// The thread that waits for the lock.
    fn follow(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            if state.waits.is_none() || state.granted {
                state = self.news.wait(state);
                continue;
            }
            drop(state);
            let locked = set(&self.bell, libc::F_SETLKW, libc::F_WRLCK, None);
            state = self.state.lock();
            if let Err(error) = &locked {
                tracing::debug!(%error, "writers do not wait in turn");
            }
            if state.wanted {
                state.granted = true;
                self.news.notify_all();
            } else {
                // The writer has given up.
                unlock(&self.bell);
                state.waits = None;
            }
        }
    }
}

/// A turn; it ends when this is dropped.
pub(super) struct Turn(Arc<Shared>);

impl Drop for Turn {
    fn drop(&mut self) {
        unlock(&self.0.bell);
    }
}

fn unlock(bell: &File) {
    if let Err(error) = set(bell, libc::F_SETLK, libc::F_UNLCK, None) {
        tracing::warn!(%error, "other writers wait for this process");
    }
}

/// The process that holds the lock, if it can be named from here.
fn holder(bell: &File) -> Option<u32> {
    let mut lock = record(libc::F_WRLCK, None);
    // SAFETY: the descriptor is open and the lock is valid for writes.
    let done = unsafe { libc::fcntl(bell.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    // It is 0 for one in another PID namespace.
    let pid = u32::try_from(lock.l_pid).ok().filter(|pid| *pid > 0);
    pid.filter(|_| done == 0 && i32::from(lock.l_type) != libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Child, Command, ExitStatus, Stdio};

    use super::super::{BELL, Kind, Store};
    use super::*;
    use crate::model::{Owner, Scope};

    /// Far more than a wait that is meant to end by itself takes.
    const LONG: Duration = Duration::from_secs(60);
    /// A wait that is meant to end at its deadline.
    const SHORT: Duration = Duration::from_millis(100);

    fn turns(bell: &Path, patience: Duration) -> Turns {
        Turns::of(File::options().write(true).create(true).truncate(false).open(bell).unwrap(), patience)
    }

    /// A process that holds the lock until its standard input ends.
    fn other(bell: &Path) -> Child {
        let script = "import fcntl, sys; bell = open(sys.argv[1], 'r+'); fcntl.lockf(bell, fcntl.LOCK_EX)\n\
                      print(flush=True); sys.stdin.read()";
        let mut other = Command::new("python3");
        other.args(["-c", script]).arg(bell).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut other = other.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
        other
    }

    fn signal(process: &Child, signal: i32) {
        // SAFETY: a plain call, about a child that has not been waited for.
        unsafe { libc::kill(process.id().cast_signed(), signal) };
        if signal == libc::SIGSTOP {
            let mut status = 0;
            // SAFETY: as above; it returns when the child has stopped.
            unsafe { libc::waitpid(process.id().cast_signed(), &raw mut status, libc::WUNTRACED) };
            assert_eq!(ExitStatus::from_raw(status).stopped_signal(), Some(libc::SIGSTOP));
        }
    }

    #[test]
    fn a_stopped_holder_is_named_and_nobody_waits_for_it_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let bell = dir.path().join("bell");
        let turns = turns(&bell, SHORT);
        let mut other = other(&bell);
        signal(&other, libc::SIGSTOP);
        for _ in 0..2 {
            let error = turns.wait().err().unwrap();
            assert_eq!(error.code, ErrorCode::TryLater);
            let who = format!("process {}, which is stopped,", other.id());
            assert!(error.message.contains(&who), "{error}");
        }
        signal(&other, libc::SIGCONT);
        drop(other.stdin.take());
        other.wait().unwrap();
        // The thread gets the lock, which nobody wants any more, and gives it back.
        while turns.shared.state.lock().waits.is_some() {
            std::thread::yield_now();
        }
        turns.wait().unwrap();
    }

    #[test]
    fn a_writer_gets_its_turn_when_the_holder_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let bell = dir.path().join("bell");
        let turns = Arc::new(turns(&bell, LONG));
        for _ in 0..3 {
            let mut other = other(&bell);
            let waiting = Arc::clone(&turns);
            let waiter = std::thread::spawn(move || waiting.wait().map(drop).is_ok());
            let mut state = turns.shared.state.lock();
            while state.waits.is_none() {
                drop(state);
                std::thread::yield_now();
                state = turns.shared.state.lock();
            }
            drop(state);
            drop(other.stdin.take());
            assert!(waiter.join().unwrap());
            other.wait().unwrap();
        }
    }

    #[test]
    fn a_stopped_writer_keeps_nobody_from_opening_and_reading() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap();
        let mut other = other(&dir.path().join(BELL));
        signal(&other, libc::SIGSTOP);
        let store = Store::open(dir.path()).unwrap();
        assert!(store.session_names(Kind::Job, Scope::ALL).unwrap().is_empty());
        signal(&other, libc::SIGKILL);
        other.wait().unwrap();
        store.create_session(Kind::Job, "x", None, &Owner::for_tests("me", 7), None).unwrap();
    }
}
