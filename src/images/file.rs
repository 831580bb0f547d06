//! Files of a layer. Every name is looked up below the descriptor of a directory, and no symbolic link is followed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags};

use super::entry::{Entry, unusual};

/// A directory by its path.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::open(path, flags, Mode::empty())?)
}

/// A directory below another; an empty path is that one.
pub(crate) fn open_directory(below: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(fs::openat2(below, path, flags, Mode::empty(), resolve)?)
}

/// A new file, to be written.
pub(crate) fn create(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?))
}

pub(crate) fn set_content(mut file: &File, content: &mut dyn Read, piece: &mut [u8]) -> io::Result<()> {
    loop {
        let length = content.read(piece)?;
        let Some(news) = piece.get(..length).filter(|news| !news.is_empty()) else { return Ok(()) };
        io::Write::write_all(&mut file, news)?;
    }
}

/// Owner, attributes, mode and times, in this order: each takes something from what comes later. `attribute` sets one.
pub(crate) fn set(
    entry: &Entry,
    file: BorrowedFd<'_>,
    attribute: impl Fn(BorrowedFd<'_>, &str, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    for (name, value) in &entry.attributes {
        attribute(file, name, value)?;
    }
    fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    Ok(fs::futimens(file, &entry.times)?)
}

/// Set an extended attribute.
pub(crate) fn set_attribute(file: BorrowedFd<'_>, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(fs::fsetxattr(file, name, value, XattrFlags::empty())?)
}

/// The same as [`set`] for what is not to be opened.
pub(crate) fn set_at(entry: &Entry, parent: BorrowedFd<'_>) -> io::Result<()> {
    if !entry.attributes.is_empty() {
        return Err(unusual("a capability of something else than a file"));
    }
    set_owner(entry, parent)?;
    set_mode_and_times(entry, parent)
}

pub(crate) fn set_mode_and_times(entry: &Entry, parent: BorrowedFd<'_>) -> io::Result<()> {
    let name = entry.place.name.as_slice();
    let is_link = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)?;
    if !is_link {
        fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    }
    Ok(fs::utimensat(parent, name, &entry.times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(crate) fn set_owner(entry: &Entry, parent: BorrowedFd<'_>) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    Ok(fs::chownat(parent, entry.place.name.as_slice(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}
