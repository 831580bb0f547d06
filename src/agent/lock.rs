//! The lock of an agent: one per state directory.
//!
//! It is a `flock`, which belongs to the open file and not to a process. So the library can take it and
//! hand it to the agent that it starts, without a moment in which the lock is free. For the same reason
//! every attempt opens the file anew: through a descriptor duplicated by a fork, parent and child would
//! both have the lock.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::{Error, ErrorCode, Result};

/// Name of the file in the state directory.
pub const FILE: &str = "drmaa2d.lock";

/// The open lock file. It is held until its last descriptor is closed, or [`release`](Self::release).
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Take the lock if it is free.
    pub fn try_take(state_dir: &Path) -> Result<Option<Self>> {
        let lock = Self::open(state_dir)?;
        Ok(lock.try_again()?.then_some(lock))
    }

    /// Take the lock as soon as it is free.
    pub fn wait(state_dir: &Path) -> Result<Self> {
        let lock = Self::open(state_dir)?;
        loop {
            match lock.flock(libc::LOCK_EX) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|()| lock).map_err(|error| failed(&error)),
            }
        }
    }

    /// The lock that was handed over on a descriptor. An error if it cannot be held.
    pub fn inherited(descriptor: RawFd) -> Result<Self> {
        // Programs that the agent starts must not hold it.
        // SAFETY: any number may be given, and no memory is involved.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            let cause = io::Error::last_os_error();
            return Err(Error::argument(format!("descriptor {descriptor} is no lock: {cause}")));
        }
        // SAFETY: it is open, and was given to this process for this purpose; it has no other owner.
        let lock = Self(unsafe { OwnedFd::from_raw_fd(descriptor) }.into());
        match lock.try_again()? {
            true => Ok(lock),
            false => Err(Error::state("there is an agent already")),
        }
    }

    /// Release it; an agent may be started from now on.
    pub fn release(&self) -> Result<()> {
        self.flock(libc::LOCK_UN).map_err(|error| failed(&error))
    }

    /// Take it again. False if another process was faster.
    pub fn try_again(&self) -> Result<bool> {
        match self.flock(libc::LOCK_EX | libc::LOCK_NB) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }

    fn flock(&self, operation: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open, and no memory is involved.
        match unsafe { libc::flock(self.0.as_raw_fd(), operation) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn open(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join(FILE);
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.map(Self).map_err(|error| {
            Error::new(ErrorCode::SessionManagement, format!("lock {}: {error}", path.display()))
        })
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn failed(error: &io::Error) -> Error {
    Error::new(ErrorCode::SessionManagement, format!("the lock of the agent: {error}"))
}
