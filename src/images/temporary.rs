//! Directories in which images are being made.
//!
//! A file beside each, which its process keeps locked, tells whether that process lives. Locks may be unknown to a file
//! system, or to other machines: a directory of another machine is left alone for a day.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use ulid::Ulid;

use super::file::open;
use super::remove::remove;
use crate::runtime;

/// The end of the name of the file that is locked.
const LOCK: &str = ".lock";
/// The end of the name of what is being removed: its maker cannot give it a place any more.
const GONE: &str = ".gone";
/// The end of the name of a file that is to be renamed at once.
const FILE: &str = ".file";
/// Nothing takes so long.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory that is removed again unless it gets a place.
pub(super) struct Temporary {
    within: PathBuf,
    name: String,
    lock: Option<Locked>,
}

/// The file beside a directory; where locks are not known, it is only there.
enum Locked {
    Flock(Flock<File>),
    Plain(File),
}

impl Locked {
    fn file(&self) -> &File {
        match self {
            Self::Flock(lock) => lock,
            Self::Plain(file) => file,
        }
    }
}

impl Temporary {
    /// A new one in the directory for all of them.
    pub(super) fn new(within: &Path) -> io::Result<Self> {
        loop {
            let name = format!("{}-{}-{}", host(), std::process::id(), Ulid::generate());
            let path = within.join(format!("{name}{LOCK}"));
            let file = File::options().read(true).write(true).create_new(true).open(path)?;
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => Locked::Flock(lock),
                Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => continue,
                Err((file, _)) => Locked::Plain(file),
            };
            // Another process may have taken it for one that was left, just before.
            if lock.file().metadata()?.nlink() == 0 {
                continue;
            }
            let new = Self { within: within.to_owned(), name, lock: Some(lock) };
            DirBuilder::new().mode(0o700).create(new.path())?;
            return Ok(new);
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.within.join(&self.name)
    }

    /// Tell other machines that it is at work.
    pub(super) fn touch(&self) {
        if let Some(lock) = &self.lock {
            // One that does not know locks has only this to go by.
            let _ = lock.file().set_modified(SystemTime::now());
        }
    }

    /// Give the directory its place, if there is none yet. Returns whether it has got it.
    pub(super) fn publish(&self, place: &Path) -> io::Result<bool> {
        rustix::fs::syncfs(open(&self.path())?)?;
        match fs::rename(self.path(), place) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Take a directory away that is no good. It is removed with this one.
    pub(super) fn take_away(&self, place: &Path) -> io::Result<()> {
        fs::rename(place, self.within.join(format!("{}{GONE}", self.name)))
    }

    /// Remove what is left of it.
    pub(super) fn end(mut self) {
        end(&self.within, &self.name, self.lock.take());
    }
}

impl Drop for Temporary {
    /// A thread of its own removes it: there may be many files, and the one that drops it may not be blocked.
    fn drop(&mut self) {
        let Some(lock) = self.lock.take() else { return };
        let (within, name) = (self.within.clone(), self.name.clone());
        let removal = runtime::thread("drmaa2-remove", move || end(&within, &name, Some(lock)));
        if let Err(error) = removal {
            tracing::debug!(%error, "an unfinished image is left to the next pull");
        }
    }
}

fn end(within: &Path, name: &str, lock: Option<Locked>) {
    if let Err(error) = clear(within, name) {
        tracing::debug!(%error, name, "an unfinished image is left to the next pull");
    }
    drop(lock);
}

/// Remove a directory and its lock, this last.
fn clear(within: &Path, name: &str) -> io::Result<()> {
    let parent = open(within)?;
    let gone = format!("{name}{GONE}");
    remove(parent.as_fd(), gone.as_bytes())?;
    match fs::rename(within.join(name), within.join(&gone)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => remove(parent.as_fd(), gone.as_bytes())?,
    }
    remove(parent.as_fd(), format!("{name}{LOCK}").as_bytes())
}

/// Write a file as a whole: whoever reads it finds what was there or all that is new.
pub(super) fn write(within: &Path, file: &Path, content: &str) -> io::Result<()> {
    let new = within.join(format!("{}{FILE}", Ulid::generate()));
    fs::write(&new, content)?;
    fs::rename(&new, file).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Remove the directories of processes that have died.
pub(super) fn sweep(within: &Path) -> io::Result<()> {
    for entry in fs::read_dir(within)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_bytes();
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if name.ends_with(FILE) && is_old(&path) {
            let _ = fs::remove_file(&path);
        }
        if let Some(name) = name.strip_suffix(LOCK)
            && let Some(_lock) = left(&path, name)
        {
            tracing::debug!(name, "removing an unfinished image");
            if let Err(error) = clear(within, name) {
                tracing::debug!(%error, name, "cannot remove an unfinished image");
            }
        }
    }
    Ok(())
}

/// The lock of a directory whose process has died.
fn left(path: &Path, name: &str) -> Option<Locked> {
    let file = File::options().read(true).write(true).open(path).ok()?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => {
            let maker = name.rsplitn(3, '-').nth(2);
            (maker == Some(&host()) || is_old(path)).then_some(Locked::Flock(lock))
        }
        Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => None,
        Err((file, _)) => is_old(path).then_some(Locked::Plain(file)),
    }
}

fn is_old(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|about| about.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD))
}

/// The name of this machine.
fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a directory.
    fn list(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_process_has_left_that_died_is_removed_and_what_one_works_on_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let alive = Temporary::new(dir).unwrap();
        fs::write(alive.path().join("file"), "").unwrap();
        let dead = Temporary::new(dir).unwrap();
        fs::create_dir_all(dead.path().join("a/b")).unwrap();
        // Its lock ends, but not by itself.
        let mut dead = std::mem::ManuallyDrop::new(dead);
        drop(dead.lock.take());
        // A directory from another machine, whose locks are not seen here.
        fs::create_dir(dir.join("elsewhere-1-X")).unwrap();
        fs::write(dir.join("elsewhere-1-X.lock"), "").unwrap();
        // One that is older than anything takes, and of which the removal was begun.
        fs::create_dir(dir.join("elsewhere-2-X.gone")).unwrap();
        let old = File::create(dir.join("elsewhere-2-X.lock")).unwrap();
        old.set_modified(SystemTime::now() - 2 * OLD).unwrap();
        sweep(dir).unwrap();
        let lock = format!("{}{LOCK}", alive.name);
        let mut left =
            vec![alive.name.clone(), lock, "elsewhere-1-X".into(), "elsewhere-1-X.lock".into()];
        left.sort();
        assert_eq!(list(dir), left);
        alive.end();
        assert_eq!(list(dir), ["elsewhere-1-X", "elsewhere-1-X.lock"]);
    }

    #[test]
    fn the_first_gets_the_place_and_one_that_was_taken_for_dead_gets_none() {
        let dir = tempfile::tempdir().unwrap();
        let (within, place) = (dir.path().join("tmp"), dir.path().join("place"));
        fs::create_dir(&within).unwrap();
        let make = || {
            let new = Temporary::new(&within).unwrap();
            fs::write(new.path().join("file"), &new.name).unwrap();
            new
        };
        let (first, second, third) = (make(), make(), make());
        assert!(first.publish(&place).unwrap());
        assert!(!second.publish(&place).unwrap());
        assert_eq!(fs::read_to_string(place.join("file")).unwrap(), first.name);
        second.take_away(&place).unwrap();
        clear(&within, &third.name).unwrap();
        assert_eq!(third.publish(&place).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(second.publish(&place).unwrap());
        assert_eq!(fs::read_to_string(place.join("file")).unwrap(), second.name);
        [first, second, third].into_iter().for_each(Temporary::end);
        assert!(list(&within).is_empty());
    }
}
