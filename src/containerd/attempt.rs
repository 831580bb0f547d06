//! Attempts at a job, each in a container of its own.
//!
//! A call to the daemon that is interrupted can leave a container's id unusable until the daemon is
//! restarted, or be carried out long after. So nothing waits for that: an attempt that is given up is
//! withdrawn, and the next one has another container. The first has the job's id, a later one also a
//! number.
//!
//! The job's directory is that of its current attempt. An abandoned attempt keeps its directory under
//! the name of its container with a leading dot: this is the note of the objects to remove. When they
//! are removed, the number of the container is free again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use drmaa2_init::{Fence, TERMINATE_FILE, is_marked, mark};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::files::{blocking, io_error};
use super::job_dir::{self, Identity, KILL_FILE, identity_of, shared};
use super::tracker_core::Core;
use super::withdraw;
use crate::container::order;
use crate::model::{Error, ErrorCode, Result};
use crate::tracker::NewJob;

/// A file in the directory of an attempt with the id of its container and, in a second line, the snapshotter of its
/// root file system. Without it the id is the job's, and the snapshotter the usual one.
const CONTAINER_FILE: &str = "container";

/// The names of the objects of an attempt in the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Its container, its task, and the key of its snapshot.
    pub(super) container: String,
    /// The plugin of the snapshot.
    pub(super) snapshotter: Option<String>,
}

impl Attempt {
    /// The attempt with this directory; its container is `usual` unless the directory names another.
    fn of(dir: &Path, usual: &str) -> Self {
        let text = fs::read_to_string(dir.join(CONTAINER_FILE)).unwrap_or_default();
        let mut lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        let container = lines.next().unwrap_or_else(|| usual.to_owned());
        Self { container, snapshotter: lines.next() }
    }
}

impl Core {
    /// The current attempt at a job; that of a container that is no job of the library is the container
    /// itself.
    pub(super) fn attempt(&self, id: &str) -> Attempt {
        Attempt::of(&self.job_dir(id), id)
    }

    /// The container of the current attempt.
    pub(super) fn container_of(&self, id: &str) -> String {
        self.attempt(id).container
    }

    /// The job of a container, or `None` if the container is that of an abandoned attempt. A container
    /// that is not the library's is a job of its own.
    pub(super) fn job_of(&self, container: &str) -> Option<String> {
        let job = job(container);
        match self.job_dir(job).is_dir() {
            true => (self.container_of(job) == container).then(|| job.to_owned()),
            false => (!self.note(container).is_dir()).then(|| container.to_owned()),
        }
    }

    /// The path to which the directory of an attempt is moved when it is given up.
    pub(super) fn note(&self, container: &str) -> PathBuf {
        // No container's id begins with a dot.
        self.settings.jobs_dir.join(format!(".{container}"))
    }
}

/// The container of the attempt at a job with this number, from 1.
fn container(job: &str, number: u32) -> String {
    if number == 1 { job.to_owned() } else { format!("{job}_{number}") }
}

/// The number of a container's attempt.
fn number(job: &str, container: &str) -> u32 {
    let number = container.strip_prefix(job).and_then(|rest| rest.strip_prefix('_'));
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The job of a container, by the container's name alone.
fn job(container: &str) -> &str {
    match container.rsplit_once('_') {
        Some((job, _)) if self::container(job, number(job, container)) == container => job,
        _ => container,
    }
}

/// Make the directory of a new attempt at a job. An earlier one is given up: the result is its note.
pub(super) fn begin(core: &Core, job: &NewJob) -> Result<Option<PathBuf>> {
    let (id, dir) = (&job.id, core.job_dir(&job.id));
    let error = |cause: &io::Error| directory_error(&dir, cause);
    let (old, last) = match shared(&dir).is_dir() {
        true => {
            let last = number(id, &core.container_of(id));
            (Some(give_up(core, id)?), last)
        }
        // The shared part is made last: without it, nothing was made of this attempt yet.
        false => (None, 0),
    };
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).recursive(true);
    builder.create(&dir).map_err(|cause| error(&cause))?;
    let mut numbers = last.saturating_add(1)..=u32::MAX;
    let number = numbers.find(|number| !core.note(&container(id, *number)).is_dir());
    let number = number.ok_or_else(|| Error::internal("no number is left for an attempt"))?;
    let snapshotter = order::extensions(job)?.snapshotter;
    if number > 1 || snapshotter.is_some() {
        let container = container(id, number);
        note(&dir, &Attempt { container, snapshotter }).map_err(|cause| error(&cause))?;
    }
    // A process that withdraws the start at this moment may have made it.
    builder.create(shared(&dir)).map_err(|cause| error(&cause))?;
    core.facts.begun(id, identity(core, id));
    if let Some(old) = &old {
        withdraw::carry_over(old, &dir).map_err(|cause| error(&cause))?;
        // A request may have come while the directories were exchanged.
        for file in [TERMINATE_FILE, KILL_FILE] {
            if is_marked(&old.join(file)) {
                mark(&dir.join(file)).map_err(|cause| error(&cause))?;
            }
        }
    }
    Ok(old)
}

/// An error with an attempt's directory. TRY_LATER if an earlier launch, or another process, has made or removed it at
/// the same moment: that says nothing of the job.
fn directory_error(dir: &Path, cause: &io::Error) -> Error {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound};
    let error = io_error(dir, cause);
    match cause.kind() {
        NotFound | AlreadyExists | DirectoryNotEmpty => Error { code: ErrorCode::TryLater, ..error },
        _ => error,
    }
}

/// The identity of the current attempt at a job.
pub(super) fn identity(core: &Core, id: &str) -> Option<Identity> {
    core.shared_dir(id).metadata().ok().as_ref().map(identity_of)
}

/// Write the names of an attempt's objects to stable storage: a container must be found once it is made.
fn note(dir: &Path, attempt: &Attempt) -> io::Result<()> {
    let Attempt { container, snapshotter } = attempt;
    let mut file = File::create(dir.join(CONTAINER_FILE))?;
    writeln!(file, "{container}\n{}", snapshotter.as_deref().unwrap_or_default())?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

/// Give up the current attempt at a job, which must not have begun; nothing of it runs any more. The
/// result is its note, for [`remove_attempt`](super::remove::remove_attempt).
pub(super) fn give_up(core: &Core, id: &str) -> Result<PathBuf> {
    let dir = core.job_dir(id);
    let error = |cause: &io::Error| directory_error(&dir, cause);
    still_ours(core, id)?;
    // A command that is PID 1 itself does not use the fence; its task is killed before it is removed.
    let fence =
        if job_dir::is_bare(&dir) { Ok(Fence::Withdrawn) } else { Fence::withdraw(&shared(&dir)) };
    match fence {
        Ok(Fence::Withdrawn) => {}
        Ok(Fence::Begun) => return Err(Error::state(format!("job {id} has begun"))),
        // Nothing was made of it but its directory.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(error(&cause)),
    }
    let note = core.note(&core.container_of(id));
    fs::rename(&dir, &note).map_err(|cause| error(&cause))?;
    core.facts.begun(id, None);
    Ok(note)
}

/// TRY_LATER if the attempt of the present launch is not the current one any more: this process may have
/// been stopped for long. Another one may have begun another attempt, and the job may even be over.
pub(super) fn still_ours(core: &Core, id: &str) -> Result<()> {
    match core.facts.attempt(id) {
        Some(ours) if identity(core, id) != Some(ours) => {
            let text = format!("another process has given up this attempt at job {id}");
            Err(Error::new(ErrorCode::TryLater, text))
        }
        _ => Ok(()),
    }
}

/// Take the note of an abandoned attempt, to remove the objects in it. `None` if another process is
/// doing that, or has done it.
pub(super) async fn take(note: &Path) -> Result<Option<(Attempt, Flock<File>)>> {
    let note = note.to_owned();
    blocking(move || {
        let Some(lock) = lock(&note).map_err(|error| io_error(&note, &error))? else { return Ok(None) };
        let usual = note.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok(Some((Attempt::of(&note, usual.trim_start_matches('.')), lock)))
    })
    .await
}

/// Take away the directory of a job that has nothing else left, for removal at the resulting path.
/// `None` if there is none.
pub(super) async fn take_away(core: &Core, id: &str) -> Result<Option<(PathBuf, Flock<File>)>> {
    let (dir, note) = (core.job_dir(id), core.note(&core.container_of(id)));
    let taken = blocking(move || {
        // Locked before it is a note that another process could take.
        let taken = lock(&dir).and_then(|lock| match lock {
            Some(lock) => fs::rename(&dir, &note).map(|()| Some((note, lock))),
            None => Ok(None),
        });
        taken.map_err(|error| io_error(&dir, &error))
    });
    let taken = taken.await?;
    if taken.is_some() {
        core.facts.begun(id, None);
    }
    Ok(taken)
}

/// Lock a directory that has this name. `None` if there is none, or another process has it locked.
fn lock(dir: &Path) -> io::Result<Option<Flock<File>>> {
    let file = match File::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
        Err((_, error)) => return Err(error.into()),
    };
    // By now the name may be that of a later attempt.
    let taken = identity_of(&lock.metadata()?);
    Ok(dir.metadata().is_ok_and(|found| identity_of(&found) == taken).then_some(lock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::look_up::MAX_ID;

    #[test]
    fn a_container_tells_its_job() {
        for (job_id, number_of, name) in [
            ("01j", 1, "01j"),
            ("01j", 2, "01j_2"),
            ("01j.12", 10, "01j.12_10"),
            ("01j", u32::MAX, "01j_4294967295"),
        ] {
            assert_eq!(container(job_id, number_of), name);
            assert_eq!((job(name), number(job_id, name)), (job_id, number_of));
            assert!(name.len() < MAX_ID);
        }
        // Other programs may name a container so, but the library does not.
        for other in ["a_1", "a_02", "a_", "a_+2", "a_b", "a_4294967296", "a_2x", "a"] {
            assert_eq!(job(other), other);
        }
    }

    #[test]
    fn the_longest_id_has_room_for_a_number() {
        let task = format!("{}.{}", "0".repeat(26), i64::MAX);
        assert!(container(&task, u32::MAX).len() <= MAX_ID);
    }

    #[test]
    fn a_directory_that_others_change_fails_no_job() {
        let dir = tempfile::tempdir().unwrap();
        let missing = fs::rename(dir.path().join("j"), dir.path().join(".j")).unwrap_err();
        fs::create_dir_all(dir.path().join("j/shared")).unwrap();
        let there = fs::create_dir(dir.path().join("j")).unwrap_err();
        let full = fs::remove_dir(dir.path().join("j")).unwrap_err();
        for cause in [missing, there, full] {
            assert!(directory_error(dir.path(), &cause).may_pass(), "{cause}");
        }
        let denied = io::ErrorKind::PermissionDenied.into();
        assert!(!directory_error(dir.path(), &denied).may_pass());
    }

    #[test]
    fn a_note_says_what_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let usual = Attempt { container: "01j".into(), snapshotter: None };
        assert_eq!(Attempt::of(dir.path(), "01j"), usual);
        for attempt in [
            Attempt { container: "01j_2".into(), snapshotter: None },
            Attempt { container: "01j".into(), snapshotter: Some("native".into()) },
        ] {
            note(dir.path(), &attempt).unwrap();
            assert_eq!(Attempt::of(dir.path(), "01j"), attempt);
        }
    }

    #[tokio::test]
    async fn a_note_is_taken_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join(".01j_3");
        assert!(take(&note).await.unwrap().is_none());
        fs::create_dir(&note).unwrap();
        let (attempt, lock) = take(&note).await.unwrap().unwrap();
        assert_eq!(attempt, Attempt { container: "01j_3".into(), snapshotter: None });
        assert!(take(&note).await.unwrap().is_none());
        drop(lock);
        assert!(take(&note).await.unwrap().is_some());
    }
}
