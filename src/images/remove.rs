//! Removal of what was unpacked: also directories that their owner may not read, write or search.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::file::open_directory;

/// Remove a file, or a directory with all that is in it, if it is there. Nothing is removed that is mounted in it.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return gone(fs::unlinkat(parent, name, AtFlags::empty()));
    }
    if stat.st_mode & 0o700 != 0o700 {
        fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    }
    let directory = open_directory(parent, name)?;
    for inner in names(&directory)? {
        remove(directory.as_fd(), &inner)?;
    }
    gone(fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}

/// Another process may have removed it meanwhile.
fn gone(removed: Result<(), Errno>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The names in a directory.
pub(super) fn names(directory: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}
