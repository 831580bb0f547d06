//! Withdrawing the start of a job: the fence in its directory says whether it has begun, or never will.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use drmaa2_init::Fence;

use super::{Core, shared};
use crate::model::{Error, ErrorCode, Result};
use crate::tracker::Withdrawn;

/// Was the start withdrawn of the job in this directory?
pub(super) fn is_withdrawn(dir: &Path) -> bool {
    matches!(Fence::look(&shared(dir)), Ok(Some(Fence::Withdrawn)))
}

/// Withdraw the start of a job, also if it is only about to be launched: then its directory is made for it.
/// Who launches it takes over what the directory says that it has to replace.
pub(super) fn withdraw(core: &Core, id: &str) -> Result<Withdrawn> {
    let dir = core.job_dir(id);
    let settled = settle(&dir)
        .map_err(|error| Error::new(ErrorCode::of_io(&error), format!("{}: {error}", dir.display())))?;
    // Its image may be pulled at this moment.
    core.facts.changed(id);
    Ok(match settled {
        Fence::Begun => Withdrawn::Begun,
        Fence::Withdrawn => Withdrawn::Nothing,
    })
}

fn settle(dir: &Path) -> io::Result<Fence> {
    let shared = shared(dir);
    let identity = || shared.metadata().map(|found| (found.dev(), found.ino()));
    loop {
        // It may be replaced at any time; what counts is the one that has still its name afterwards.
        let attempt = || io::Result::Ok((identity()?, Fence::withdraw(&shared)?, identity()?));
        match attempt() {
            Ok((before, fence, after)) if before == after => return Ok(fence),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match fs::DirBuilder::new().recursive(true).mode(0o700).create(&shared) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Let the directory of a new attempt say what that of an earlier one says, which has been moved away: this
/// start was withdrawn meanwhile.
pub(super) fn carry_over(old: &Path, dir: &Path) -> io::Result<()> {
    if is_withdrawn(old) { Fence::withdraw(&shared(dir)).map(drop) } else { Ok(()) }
}

/// Begin a job that has no init to do so. False if its start was withdrawn.
pub(super) fn begin_without_init(dir: &Path) -> io::Result<bool> {
    Ok(Fence::begin(&shared(dir))? || !is_withdrawn(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withdrawn_before_there_is_a_directory_stays_so() {
        let jobs = tempfile::tempdir().unwrap();
        let (dir, old) = (jobs.path().join("j"), jobs.path().join(".old"));
        assert_eq!(settle(&dir).unwrap(), Fence::Withdrawn);
        assert!(is_withdrawn(&dir));
        fs::rename(&dir, &old).unwrap();
        fs::create_dir_all(shared(&dir)).unwrap();
        assert!(!is_withdrawn(&dir));
        carry_over(&old, &dir).unwrap();
        assert!(is_withdrawn(&dir) && !begin_without_init(&dir).unwrap());
    }

    #[test]
    fn what_has_begun_is_not_withdrawn() {
        let jobs = tempfile::tempdir().unwrap();
        let dir = jobs.path().join("j");
        fs::create_dir_all(shared(&dir)).unwrap();
        assert!(begin_without_init(&dir).unwrap());
        assert_eq!(settle(&dir).unwrap(), Fence::Begun);
        assert!(!is_withdrawn(&dir));
        assert!(begin_without_init(&dir).unwrap(), "who goes on with it finds it begun");
        carry_over(&dir, &dir).unwrap();
    }

    #[test]
    fn a_directory_that_is_replaced_again_and_again_keeps_the_answer() {
        let jobs = tempfile::tempdir().unwrap();
        let dir = jobs.path().join("j");
        for round in 0..200 {
            std::thread::scope(|scope| {
                let launcher = scope.spawn(|| {
                    let old = jobs.path().join(format!(".{round}"));
                    fs::create_dir_all(shared(&dir)).unwrap();
                    fs::rename(&dir, &old).unwrap();
                    fs::create_dir_all(shared(&dir)).unwrap();
                    carry_over(&old, &dir).unwrap();
                });
                assert_eq!(settle(&dir).unwrap(), Fence::Withdrawn);
                launcher.join().unwrap();
            });
            assert!(is_withdrawn(&dir), "round {round}");
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}
