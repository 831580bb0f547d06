//! Directories that a layer has but does not describe: they are like those of the layers below.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::images::entry::unusual;
use crate::images::file::{open, open_directory};

/// Give the directories of a layer owner and mode of those in the layers below it, the uppermost first.
pub(super) fn adopt(root: &OwnedFd, implied: &[Vec<u8>], lower: &[&Path]) -> io::Result<()> {
    if implied.is_empty() {
        return Ok(());
    }
    let lower = lower.iter().map(|path| open(path)).collect::<io::Result<Vec<_>>>()?;
    for path in implied {
        let Some(below) = find(&lower, path)? else { continue };
        let directory = open_directory(root.as_fd(), path)?;
        let stat = fs::fstat(&below)?;
        fs::fchown(&directory, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        fs::fchmod(&directory, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    }
    Ok(())
}

/// The directory of this path that is seen, if none of the layers has replaced it.
fn find(lower: &[OwnedFd], path: &[u8]) -> io::Result<Option<OwnedFd>> {
    for layer in lower {
        match open_directory(layer.as_fd(), path) {
            Ok(directory) => {
                return if has_attributes(directory.as_fd())? {
                    Err(unusual("a directory with extended attributes"))
                } else {
                    Ok(Some(directory))
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                // It is the last on the way that is none, or this is an error.
                let stat = fs::statat(layer, path, AtFlags::SYMLINK_NOFOLLOW)?;
                return match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Symlink => Err(unusual("a directory in place of a link")),
                    _ => Ok(None),
                };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Returns whether a directory has attributes that containerd copies, and that are not those of each file.
fn has_attributes(directory: BorrowedFd<'_>) -> io::Result<bool> {
    let mut names = [0; 1024];
    let length = match fs::flistxattr(directory, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names.get(..length).unwrap_or_default().split(|byte| *byte == 0);
    let plain =
        |name: &[u8]| name.is_empty() || name.starts_with(b"trusted.") || name == b"security.selinux";
    Ok(!names.into_iter().all(plain))
}
