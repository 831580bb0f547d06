//! Withdrawing the start of a job. A mark in its directory is the wish, the fence the decision: the
//! attempt has begun, or never will.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use drmaa2_init::{Fence, TERMINATE_FILE, is_marked, mark};

use super::facts::change_of;
use super::files::{blocking, io_error};
use super::job_dir::{WITHDRAW_FILE, identity_of, shared};
use super::tracker_core::Core;
use crate::model::{Error, ErrorCode, Result};
use crate::tracker::Withdrawn;

/// Returns whether the start of the job in this directory was withdrawn, for the process that launches the
/// job: from now on it is decided.
pub(super) fn decide(dir: &Path) -> io::Result<bool> {
    Ok(is_marked(&dir.join(WITHDRAW_FILE)) && Fence::withdraw(&shared(dir))? == Fence::Withdrawn)
}

/// Withdraw the start of a job, even if it is only about to be launched: then its directory is made for
/// that. The process that launches it takes over the mark from a directory that has to be replaced.
pub(super) fn withdraw(core: &Core, id: &str) -> Result<Withdrawn> {
    let dir = core.job_dir(id);
    let fence = settle(&dir).map_err(|error| io_error(&dir, &error))?;
    // Its image may be pulled at this moment.
    core.facts.changed(id);
    Ok(match fence {
        Fence::Begun => Withdrawn::Begun,
        Fence::Withdrawn => Withdrawn::Nothing,
    })
}

fn settle(dir: &Path) -> io::Result<Fence> {
    let shared = shared(dir);
    let identity = || shared.metadata().map(|found| identity_of(&found));
    let attempt = || -> io::Result<Option<Fence>> {
        let before = identity()?;
        mark(&dir.join(WITHDRAW_FILE))?;
        let fence = Fence::withdraw(&shared)?;
        // It may be replaced at any time. The one that still has its name afterwards counts.
        Ok((identity()? == before).then_some(fence))
    };
    loop {
        match attempt() {
            Ok(Some(fence)) => return Ok(fence),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&shared)?,
            Err(error) => return Err(error),
        }
    }
}

fn make(shared: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(shared) {
        // It existed, and has been moved away since; or its parent was.
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
            Ok(())
        }
        made => made,
    }
}

/// Returns whether a job was asked to end.
pub(super) fn terminated(core: &Core, id: &str) -> bool {
    is_marked(&core.job_dir(id).join(TERMINATE_FILE))
}

/// Check that a job is still to be started: it was neither asked to end nor withdrawn.
pub(super) fn still_wanted(core: &Core, id: &str) -> Result<()> {
    if terminated(core, id) { Err(Error::state("terminated")) } else { not_withdrawn(core, id) }
}

/// Wait until a job is not to be started any more, and return the reason.
pub(super) async fn unwanted(core: &Core, id: &str) -> Error {
    // Listen before looking, or a request would be missed.
    let mut changes = core.facts.changes();
    loop {
        if let Err(reason) = still_wanted(core, id) {
            return reason;
        }
        change_of(id, &mut changes).await;
    }
}

/// TRY_LATER if the start of a job was withdrawn.
pub(super) fn not_withdrawn(core: &Core, id: &str) -> Result<()> {
    let dir = core.job_dir(id);
    let is_withdrawn = decide(&dir).map_err(|error| io_error(&dir, &error))?;
    if is_withdrawn { Err(withdrawn()) } else { Ok(()) }
}

/// The error of a withdrawn start: the job can be started another time.
pub(super) fn withdrawn() -> Error {
    Error::new(ErrorCode::TryLater, "its start was withdrawn")
}

/// Returns whether a job's init has begun. If not, it never will: the attempt is withdrawn.
pub(super) async fn has_begun_or_never_will(core: &Core, id: &str) -> Result<bool> {
    settle_fence(core, id).await.map(|(begun, _)| begun)
}

/// Like `has_begun_or_never_will`; also tells whether this call made the decision.
pub(super) async fn settle_fence(core: &Core, id: &str) -> Result<(bool, bool)> {
    let dir = core.shared_dir(id);
    let settle = move || Fence::settle(&dir).map_err(|error| io_error(&dir, &error));
    let (fence, by_us) = blocking(settle).await?;
    Ok((fence == Fence::Begun, by_us))
}

/// Carry the mark of an earlier attempt, whose directory was moved away, over to that of a new one.
pub(super) fn carry_over(old: &Path, dir: &Path) -> io::Result<()> {
    if is_marked(&old.join(WITHDRAW_FILE)) { mark(&dir.join(WITHDRAW_FILE)).map(drop) } else { Ok(()) }
}

/// Begin a job that has no init to do so. False if its start was withdrawn.
pub(super) fn begin_without_init(dir: &Path) -> io::Result<bool> {
    let shared = shared(dir);
    Ok(Fence::begin(&shared)? || Fence::look(&shared)? == Some(Fence::Begun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::job_dir::is_withdrawn;

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
        assert!(!is_withdrawn(&dir), "it is not decided yet");
        assert!(decide(&dir).unwrap() && is_withdrawn(&dir) && !begin_without_init(&dir).unwrap());
    }

    #[test]
    fn what_has_begun_is_not_withdrawn() {
        let jobs = tempfile::tempdir().unwrap();
        let dir = jobs.path().join("j");
        fs::create_dir_all(shared(&dir)).unwrap();
        assert!(begin_without_init(&dir).unwrap());
        assert_eq!(settle(&dir).unwrap(), Fence::Begun);
        assert!(!is_withdrawn(&dir) && !decide(&dir).unwrap());
        assert!(begin_without_init(&dir).unwrap(), "who goes on with it finds it begun");
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
                    // An abandoned attempt is withdrawn as well.
                    Fence::withdraw(&shared(&old)).unwrap();
                    carry_over(&old, &dir).unwrap();
                });
                assert_eq!(settle(&dir).unwrap(), Fence::Withdrawn);
                launcher.join().unwrap();
            });
            assert!(decide(&dir).unwrap(), "round {round}");
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}
