//! One copy of the library for a process and state directory.
//!
//! A process may load the library twice: one linked into it, and one that a package brought along. Each has an SQLite of its
//! own, and the locks of files belong to the process: what one of them closes lets go of the locks of the other, and
//! the database is damaged. So each copy takes a lock of the other kind, that of an open file, on a byte of
//! its process.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::{Error, ErrorCode, Result};
use crate::procfs::Stat;

const FILE: &str = "drmaa2.copies";

/// The right to use a state directory in this process; it ends when this is dropped.
pub(super) struct OnlyCopy {
    _lock: File,
}

impl OnlyCopy {
    /// Take it. SESSION_MANAGEMENT if another copy in this process has it.
    pub(super) fn take(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join(FILE);
        let failed = |error: std::io::Error| {
            let text = format!("state directory {}: {FILE}: {error}", state_dir.display());
            Error::new(ErrorCode::of_io(&error), text)
        };
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(failed)?;
        if lock(&file, byte_of_this_process()).map_err(failed)? {
            return Ok(Self { _lock: file });
        }
        let text = format!(
            "state directory {}: another copy of this library in process {} uses it, and two would damage its database; \
             load one of them only",
            state_dir.display(),
            std::process::id()
        );
        Err(Error::new(ErrorCode::SessionManagement, text))
    }
}

/// A place in the file that no other process has, now or after this one: a child keeps the lock of its parent.
fn byte_of_this_process() -> i64 {
    /// No process id needs more.
    const ID_BITS: u32 = 22;
    let pid = std::process::id();
    let started = Stat::of(pid).map_or(0, |stat| stat.started);
    let byte = (started << ID_BITS | u64::from(pid)) & (i64::MAX as u64);
    i64::try_from(byte).unwrap_or_default()
}

/// Lock a byte for this open file. False if another open file has it.
fn lock(file: &File, byte: i64) -> std::io::Result<bool> {
    // SAFETY: all zeroes is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte;
    lock.l_len = 1;
    // SAFETY: the descriptor is open and the lock is valid for reads.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(true),
        _ => match std::io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_in_a_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = OnlyCopy::take(dir.path()).unwrap();
        let error = OnlyCopy::take(dir.path()).err().unwrap();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        assert!(error.message.contains("another copy"), "{error}");
        drop(first);
        OnlyCopy::take(dir.path()).unwrap();
    }
}
