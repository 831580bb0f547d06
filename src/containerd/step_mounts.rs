//! Open files under names that a runtime can mount: it copies mounts of the machine alone, so that a descriptor of this
//! process is none for it. The names are root's, and last as long as a container is being made.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::tracker::OpenFile;

/// The directory of all of them, in that of the jobs.
const DIR: &str = ".steps";

/// The names of the files of one container.
pub(super) struct StepMounts(PathBuf);

impl StepMounts {
    /// Make the name of each of these files; with what is mounted below it.
    pub(super) fn make(jobs_dir: &Path, id: &str, files: &[&OpenFile]) -> io::Result<Self> {
        let dir = jobs_dir.join(DIR).join(id);
        fs::create_dir_all(&dir)?;
        let made = Self(dir);
        for (number, OpenFile { file, is_dir }) in files.iter().enumerate() {
            let name = made.path(number);
            match is_dir {
                true => fs::create_dir(&name)?,
                false => drop(File::create_new(&name)?),
            }
            let source = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let none: Option<&Path> = None;
            mount(Some(&source), &name, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
            // Otherwise what is mounted below the file would be unmounted everywhere together with this.
            mount(none, &name, none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)?;
        }
        Ok(made)
    }

    /// The name of a file by its place.
    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.0.join(number.to_string())
    }
}

impl Drop for StepMounts {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "cannot remove names of the files of a step");
        }
    }
}

/// Remove what a process has left that was killed.
pub(super) fn sweep(jobs_dir: &Path) {
    for entry in fs::read_dir(jobs_dir.join(DIR)).into_iter().flatten().flatten() {
        if let Err(error) = remove(&entry.path()) {
            tracing::warn!(%error, dir = %entry.path().display(), "cannot remove names of the files of a step");
        }
    }
}

/// Never what is in a file or directory that is still mounted.
fn remove(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.path();
        while umount2(&name, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir(&name)?,
            false => fs::remove_file(&name)?,
        }
    }
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_the_open_file_and_goes_without_it() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (jobs, file, tree) =
            (dir.path().join("jobs"), dir.path().join("file"), dir.path().join("tree"));
        fs::create_dir_all(tree.join("below")).unwrap();
        fs::write(&file, "its text").unwrap();
        let of = |path: &Path, is_dir| OpenFile { file: File::open(path).unwrap(), is_dir };
        let open = [of(&file, false), of(&tree, true)];
        fs::rename(&file, dir.path().join("renamed")).unwrap();
        let mounts = StepMounts::make(&jobs, "a", &[&open[0], &open[1]]).unwrap();
        assert_eq!(fs::read_to_string(mounts.path(0)).unwrap(), "its text");
        assert!(mounts.path(1).join("below").is_dir());
        // As if this process had been killed.
        std::mem::forget(mounts);
        sweep(&jobs);
        assert!(fs::read_dir(jobs.join(DIR)).unwrap().next().is_none());
        assert!(tree.join("below").is_dir());
        assert_eq!(fs::read_to_string(dir.path().join("renamed")).unwrap(), "its text");
        sweep(&jobs);
    }
}
