//! Disk space for the end of a job that has filled the disk: the job's files take the space, and are
//! removed only once its end is stored.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;

const FILE: &str = "drmaa2.ballast";
/// Bytes; a transaction takes a few pages of the journal.
const SIZE: i64 = 1 << 20;

/// A file that exists to be removed.
pub(super) struct Ballast(PathBuf);

impl Ballast {
    pub(super) fn of(state_dir: &Path) -> Self {
        Self(state_dir.join(FILE))
    }

    /// Reserve the space, if it is not reserved yet and the disk has room; the store also works without
    /// it.
    pub(super) fn take(&self) {
        let Ok(file) = File::create_new(&self.0) else { return };
        if let Err(error) = posix_fallocate(&file, 0, SIZE) {
            tracing::debug!(%error, "no room is kept for the ends of jobs");
            self.drop();
        }
    }

    /// Release the space. False if there was none.
    pub(super) fn drop(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_takes_room_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(dir.path());
        for _ in 0..2 {
            ballast.take();
            ballast.take();
            let file = fs::metadata(dir.path().join(FILE)).unwrap();
            assert!(file.blocks() * 512 >= 1 << 20, "{file:?}");
            assert!(ballast.drop());
            assert!(!ballast.drop());
        }
    }
}
