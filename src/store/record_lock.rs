//! Record locks of fcntl(2), of a process or of an open file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A lock of this kind on one byte, or on the whole file.
pub(super) fn record(kind: i32, byte: Option<i64>) -> libc::flock {
    // SAFETY: all zeroes is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    if let Some(byte) = byte {
        (lock.l_start, lock.l_len) = (byte, 1);
    }
    lock
}

/// Set or remove a lock by one of the commands for that.
pub fn set(file: &File, command: i32, kind: i32, byte: Option<i64>) -> io::Result<()> {
    let lock = record(kind, byte);
    // SAFETY: the descriptor is open and the lock is valid for reads.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns whether a lock was refused because another process, or open file, has it.
pub fn is_held(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}
