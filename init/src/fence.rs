//! The fence of one attempt at a job: a name in the job's directory that is made exactly once, either by
//! init as its first act, or by the library, which then knows that nothing of this attempt will ever
//! run.
//!
//! It is a dangling symbolic link. A link has its text from the moment it exists, so no reader can see
//! an incomplete one; it opens nothing and needs no disk block. A container finds it even if its
//! directory has been renamed.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Name of the link in the job's directory.
const FENCE: &str = "fence";
const BEGUN: &str = "begun";
const WITHDRAWN: &str = "withdrawn";

/// The decision about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The attempt's init has begun: the command may have run.
    Begun,
    /// The attempt's init has done nothing, and will do nothing.
    Withdrawn,
}

impl Fence {
    /// Begin an attempt, on stable storage. False if it was withdrawn or has begun before: then nothing
    /// may be run.
    pub fn begin(dir: &Path) -> io::Result<bool> {
        make(dir, BEGUN)
    }

    /// Withdraw an attempt unless it has begun. Returns the decision, which is final.
    pub fn withdraw(dir: &Path) -> io::Result<Self> {
        Self::settle(dir).map(|(fence, _)| fence)
    }

    /// Like [`withdraw`](Self::withdraw); also tells whether this call made the decision.
    pub fn settle(dir: &Path) -> io::Result<(Self, bool)> {
        if make(dir, WITHDRAWN)? {
            return Ok((Self::Withdrawn, true));
        }
        // A missing fence was removed by a job that runs as root.
        Ok((Self::look(dir)?.unwrap_or(Self::Begun), false))
    }

    /// The decision about an attempt, if there is one yet.
    pub fn look(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read_link(dir.join(FENCE)) {
            Ok(text) if text.as_os_str().as_bytes() == WITHDRAWN.as_bytes() => Ok(Some(Self::Withdrawn)),
            // Anything else was put there by the job, so the job has run.
            Ok(_) => Ok(Some(Self::Begun)),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Some(Self::Begun)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// False if there is a fence already.
fn make(dir: &Path, text: &str) -> io::Result<bool> {
    match symlink(text, dir.join(FENCE)) {
        Ok(()) => File::open(dir)?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::scratch;

    #[test]
    fn an_attempt_begins_once() {
        let dir = scratch("fence-begun");
        assert_eq!(Fence::look(&dir).unwrap(), None);
        assert!(Fence::begin(&dir).unwrap());
        assert!(!Fence::begin(&dir).unwrap());
        assert_eq!(Fence::withdraw(&dir).unwrap(), Fence::Begun);
        assert_eq!(Fence::look(&dir).unwrap(), Some(Fence::Begun));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_attempt_that_is_withdrawn_does_not_begin_under_another_name_either() {
        let dir = scratch("fence-withdrawn");
        assert_eq!(Fence::settle(&dir).unwrap(), (Fence::Withdrawn, true));
        assert_eq!(Fence::settle(&dir).unwrap(), (Fence::Withdrawn, false));
        let moved = dir.with_extension("moved");
        fs::rename(&dir, &moved).unwrap();
        assert!(!Fence::begin(&moved).unwrap());
        assert_eq!(Fence::withdraw(&moved).unwrap(), Fence::Withdrawn);
        assert_eq!(Fence::look(&moved).unwrap(), Some(Fence::Withdrawn));
        fs::remove_dir_all(&moved).unwrap();
        assert_eq!(Fence::begin(&moved).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_one_of_those_who_try_at_once_makes_it() {
        let dir = scratch("fence-race");
        for _ in 0..50 {
            let barrier = std::sync::Barrier::new(2);
            let (begun, withdrawn) = std::thread::scope(|scope| {
                let init = scope.spawn(|| {
                    barrier.wait();
                    Fence::begin(&dir).unwrap()
                });
                barrier.wait();
                let withdrawn = Fence::withdraw(&dir).unwrap();
                (init.join().unwrap(), withdrawn)
            });
            assert_eq!(begun, withdrawn == Fence::Begun);
            fs::remove_file(dir.join(FENCE)).unwrap();
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_a_job_puts_in_its_place_tells_that_it_has_run() {
        let dir = scratch("fence-job");
        fs::write(dir.join(FENCE), WITHDRAWN).unwrap();
        assert_eq!(Fence::withdraw(&dir).unwrap(), Fence::Begun);
        fs::remove_file(dir.join(FENCE)).unwrap();
        symlink("/dev/zero", dir.join(FENCE)).unwrap();
        assert_eq!(Fence::look(&dir).unwrap(), Some(Fence::Begun));
        fs::remove_dir_all(dir).unwrap();
    }
}
