//! One copy of the library for a process and state directory.
//!
//! A process may load the library twice: one linked into it, and one that a package brought along. Each has an SQLite of its
//! own, and the locks of files belong to the process: what one of them closes lets go of the locks of the other, and
//! the database is damaged. So each copy takes a lock of the other kind, that of an open file, on a byte of
//! its process.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::{Error, ErrorCode, Result};
use crate::procfs::Stat;
use crate::store::record_lock;

const FILE: &str = "drmaa2.copies";

/// The right to use a state directory in this process; it ends when this is dropped.
pub(super) struct OnlyCopy {
    lock: File,
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
        match record_lock::set(&file, libc::F_OFD_SETLK, libc::F_WRLCK, Some(byte_of_this_process())) {
            Ok(()) => return Ok(Self { lock: file }),
            Err(error) if record_lock::is_held(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        let text = format!(
            "state directory {}: another copy of this library in process {} uses it, and two would damage its database; \
             load one of them only",
            state_dir.display(),
            std::process::id()
        );
        Err(Error::new(ErrorCode::SessionManagement, text))
    }

    /// Returns whether no other process uses the state directory, and keeps others from that until this is
    /// dropped.
    pub(super) fn is_alone(&self) -> bool {
        record_lock::set(&self.lock, libc::F_OFD_SETLK, libc::F_WRLCK, None).is_ok()
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

    #[test]
    fn another_process_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let first = OnlyCopy::take(dir.path()).unwrap();
        assert!(first.is_alone());
        drop(first);
        let other = File::options().write(true).open(dir.path().join(FILE)).unwrap();
        record_lock::set(&other, libc::F_OFD_SETLK, libc::F_WRLCK, Some(7)).unwrap();
        let second = OnlyCopy::take(dir.path()).unwrap();
        assert!(!second.is_alone());
        drop(other);
        assert!(second.is_alone());
    }
}
