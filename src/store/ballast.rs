//! Disk space for the start and the end of a job that fills the disk: the job's files take the space, and are
//! removed only once its end is stored.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;

const FILE: &str = "drmaa2.ballast";
/// Bytes for the ends of jobs; a transaction takes a few pages of the journal.
const FOR_ENDS: i64 = 1 << 20;
/// Bytes for what happens before.
const FOR_STARTS: i64 = 1 << 20;

/// A file that exists to be removed.
pub(super) struct Ballast(PathBuf);

impl Ballast {
    pub(super) fn of(state_dir: &Path) -> Self {
        Self(state_dir.join(FILE))
    }

    /// Reserve the space as far as it is not reserved yet and the disk has room; the store also works without it.
    pub(super) fn take(&self) {
        // The directory may be lost: it is made by those who write the database.
        let Ok(file) = File::options().create(true).truncate(false).write(true).open(&self.0) else {
            return;
        };
        let length = file.metadata().map_or(0, |found| found.len().cast_signed());
        for wanted in [FOR_ENDS, FOR_ENDS + FOR_STARTS] {
            if length < wanted
                && let Err(error) = posix_fallocate(&file, 0, wanted)
            {
                tracing::debug!(%error, "no room is kept for the ends of jobs");
                // The failure may have left a part.
                if wanted > FOR_ENDS {
                    let _ = file.set_len(FOR_ENDS.cast_unsigned());
                } else {
                    self.drop();
                }
                return;
            }
        }
    }

    /// Release the space for starts. False if there was none.
    pub(super) fn lower(&self) -> bool {
        let file = File::options().write(true).open(&self.0);
        file.and_then(|file| {
            let more = file.metadata()?.len() > FOR_ENDS.cast_unsigned();
            if more {
                file.set_len(FOR_ENDS.cast_unsigned())?;
            }
            Ok(more)
        })
        .unwrap_or(false)
    }

    /// Release all. False if there was none.
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
        let room = || fs::metadata(dir.path().join(FILE)).unwrap().blocks() * 512;
        for _ in 0..2 {
            ballast.take();
            ballast.take();
            assert!(room() >= 2 << 20, "{}", room());
            assert!(ballast.lower());
            assert!(!ballast.lower());
            assert!((1 << 20..2 << 20).contains(&room()), "{}", room());
            ballast.take();
            assert!(room() >= 2 << 20 && ballast.drop());
            assert!(!ballast.lower() && !ballast.drop());
        }
    }
}
