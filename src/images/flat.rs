//! A root file system made of layers, one after another, in one directory.
//!
//! No entry of an archive leads out of the directory: links on the way to a file are followed here, step by step, as a
//! process sees them whose root the directory is. The last step follows none.
//!
//! A user who is not root owns all files, and directories that this user could not use get their modes last.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Timestamps, Uid};
use rustix::io::Errno;

use super::archive::{self, PIECE};
use super::entry::{Entry, Kind, Place, unusual};
use super::file::{
    create, open, open_directory, set, set_at, set_attribute, set_content, set_mode_and_times, set_owner,
};
use super::remove::{names, remove};
use crate::model::{Error, ErrorCode, Result};

/// Directories inside each other. Those who remove or copy a tree go into it as deep as it is.
const MAX_DEPTH: usize = 255;
/// Links on the way to a file, as many as the kernel follows.
const MAX_LINKS: usize = 40;
/// Bytes that are kept of paths: of a million entries, or some hundred thousand directories.
const MAX_KEPT: usize = 64 << 20;

/// The owners of the files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owners {
    /// Those that the image says.
    Real,
    /// This user and this group.
    One(u32, u32),
}

impl Owners {
    /// Those that this process can give.
    pub(super) fn possible() -> Self {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        if user.is_root() { Self::Real } else { Self::One(user.as_raw(), group.as_raw()) }
    }
}

/// The directory of an entry.
struct Parent {
    /// As the archive names it.
    asked: Vec<u8>,
    /// The path to it without links.
    path: Vec<u8>,
    fd: OwnedFd,
}

/// A root file system that is being made.
pub(super) struct Flat {
    root: OwnedFd,
    owners: Owners,
    /// The layer is above another, so it may have something to hide.
    is_upper: bool,
    /// The directory that was used last: the next entry is mostly there, too.
    last: Option<Arc<Parent>>,
    hasher: RandomState,
    /// The files that this layer has made, which its whiteouts are not about. By the hashes of their paths.
    made: HashSet<u64>,
    /// Devices that could not be made, likewise.
    left_out: HashSet<u64>,
    /// The modes of directories that cannot be used with them.
    shut: HashMap<Vec<u8>, u32>,
    /// The times of directories of this layer, which entries in them change.
    times: Vec<(Vec<u8>, Timestamps)>,
    kept: usize,
    piece: Vec<u8>,
}

impl Flat {
    /// One without files, in a new directory.
    pub(super) fn new(path: &Path, owners: Owners) -> io::Result<Self> {
        std::fs::create_dir(path)?;
        let root = open(path)?;
        fs::fchmod(&root, Mode::from_raw_mode(0o755))?;
        Ok(Self {
            root,
            owners,
            is_upper: false,
            last: None,
            hasher: RandomState::new(),
            made: HashSet::new(),
            left_out: HashSet::new(),
            shut: HashMap::new(),
            times: Vec::new(),
            kept: 0,
            piece: vec![0; PIECE],
        })
    }

    /// Unpack the next layer. Returns the digest of its archive.
    pub(super) fn layer(&mut self, packed: impl Read, may_be_packed: bool) -> Result<String> {
        let mut place = None;
        let done = archive::each(packed, may_be_packed, |entry, content| {
            let path = entry.place.path();
            self.add(entry, content).inspect_err(|_| place = Some(path))
        });
        let done = done.and_then(|diff_id| self.end_layer().map(|()| diff_id));
        done.map_err(|error| {
            // Errors that are none of the system are about the archive.
            let is_own = error.raw_os_error().is_some();
            let code = if is_own { ErrorCode::of_io(&error) } else { ErrorCode::InvalidArgument };
            let error = Error::new(code, error.to_string());
            match place {
                Some(path) => error.of(format_args!("/{}", String::from_utf8_lossy(&path))),
                None => error,
            }
        })
    }

    fn end_layer(&mut self) -> io::Result<()> {
        for (path, times) in std::mem::take(&mut self.times) {
            if let Some(directory) = self.still(&path)? {
                fs::futimens(&directory, &times)?;
            }
        }
        self.made.clear();
        self.last = None;
        self.kept = self.shut.keys().map(Vec::len).sum();
        self.is_upper = true;
        Ok(())
    }

    /// Give the directories their modes. There is no layer after that.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut shut: Vec<_> = self.shut.drain().collect();
        // Those inside of others first: nothing is found in one that is shut.
        shut.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        for (path, mode) in shut {
            if let Some(directory) = self.still(&path)? {
                fs::fchmod(&directory, Mode::from_raw_mode(mode))?;
            }
        }
        Ok(())
    }

    /// A directory that was made, unless something else is in its place by now.
    fn still(&self, path: &[u8]) -> io::Result<Option<OwnedFd>> {
        match open_directory(self.root.as_fd(), path) {
            Ok(directory) => Ok(Some(directory)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn add(&mut self, mut entry: Entry, content: &mut dyn Read) -> io::Result<()> {
        // The root is the runtime's, as it is with containerd.
        if entry.place.name.is_empty() {
            return Ok(());
        }
        let parent = self.parent(&entry.place.parent)?;
        let path = join(&parent.path, &entry.place.name);
        match entry.kind {
            Kind::Whiteout if self.is_upper => return self.hide(parent.fd.as_fd(), &path),
            Kind::Opaque if self.is_upper => return self.clear(parent.fd.as_fd(), &parent.path),
            Kind::Whiteout | Kind::Opaque => return Ok(()),
            _ => {}
        }
        self.adapt(&mut entry);
        let (directory, name) = (parent.fd.as_fd(), entry.place.name.as_slice());
        let is_directory = entry.kind == Kind::Directory;
        if !(is_directory && kind_of(directory, name)? == Some(FileType::Directory)) {
            remove(directory, name)?;
        }
        match &entry.kind {
            Kind::File => {
                let file = create(directory, name)?;
                set_content(&file, content, &mut self.piece)?;
                set(&entry, file.as_fd(), set_if_possible)?;
            }
            Kind::Directory => self.directory(&mut entry, directory, &path)?,
            Kind::HardLink(target) => self.hard_link(&entry, target, directory, &path)?,
            Kind::SymbolicLink(target) => {
                fs::symlinkat(target, directory, name)?;
                set_at(&entry, directory)?;
            }
            Kind::CharacterDevice(device) => {
                self.node(&entry, directory, &path, FileType::CharacterDevice, *device)?;
            }
            Kind::BlockDevice(device) => {
                self.node(&entry, directory, &path, FileType::BlockDevice, *device)?;
            }
            Kind::Fifo => self.node(&entry, directory, &path, FileType::Fifo, 0)?,
            Kind::Whiteout | Kind::Opaque => {}
        }
        self.mark(&path)
    }

    /// Change what an entry says to what it can be here.
    fn adapt(&self, entry: &mut Entry) {
        let has_attributes = matches!(entry.kind, Kind::File | Kind::Directory);
        entry.attributes.retain(|(name, value)| has_attributes && !value.is_empty() && !is_host(name));
        if let Owners::One(user, group) = self.owners {
            (entry.uid, entry.gid) = (user, group);
            // A program that runs as its owner would run as this user.
            entry.mode &= 0o1777;
        }
    }

    fn directory(&mut self, entry: &mut Entry, parent: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        if matches!(self.owners, Owners::One(..)) && entry.mode & 0o700 != 0o700 {
            self.shut.insert(path.to_vec(), entry.mode);
            entry.mode |= 0o700;
        } else {
            self.shut.remove(path);
        }
        match fs::mkdirat(parent, entry.place.name.as_slice(), Mode::RWXU) {
            // More about one that is there.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let directory = open_directory(parent, &entry.place.name)?;
        self.keep(2 * path.len() + size_of::<(Vec<u8>, Timestamps)>())?;
        self.times.push((path.to_vec(), entry.times.clone()));
        set(entry, directory.as_fd(), set_if_possible)
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        target: &Place,
        directory: BorrowedFd<'_>,
        path: &[u8],
    ) -> io::Result<()> {
        let from = self.walk(&target.parent, Missing::IsError)?;
        let target_path = join(&from.path, &target.name);
        if target_path == path {
            return Err(unusual("a hard link to itself"));
        }
        let name = entry.place.name.as_slice();
        match fs::linkat(&from.fd, target.name.as_slice(), directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) if self.left_out.contains(&self.hasher.hash_one(&target_path)) => {
                return self.leave_out(path);
            }
            linked => linked?,
        }
        // A file that gets an owner, even the same one, loses its capability.
        let stat = fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
            set_owner(entry, directory)?;
        }
        set_mode_and_times(entry, directory)
    }

    /// A device or a pipe; one that this process may not make is left out.
    fn node(
        &mut self,
        entry: &Entry,
        directory: BorrowedFd<'_>,
        path: &[u8],
        kind: FileType,
        device: u64,
    ) -> io::Result<()> {
        match fs::mknodat(directory, entry.place.name.as_slice(), kind, Mode::RUSR, device) {
            Ok(()) => set_at(entry, directory),
            Err(error @ (Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL)) => {
                tracing::debug!(path = %String::from_utf8_lossy(path), %error, "a device is left out");
                self.leave_out(path)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn leave_out(&mut self, path: &[u8]) -> io::Result<()> {
        self.keep(2 * size_of::<u64>())?;
        self.left_out.insert(self.hasher.hash_one(path));
        Ok(())
    }

    /// Note that this layer has made something.
    fn mark(&mut self, path: &[u8]) -> io::Result<()> {
        if self.is_upper {
            self.keep(2 * size_of::<u64>())?;
            self.made.insert(self.hasher.hash_one(path));
        }
        Ok(())
    }

    fn is_made(&self, path: &[u8]) -> bool {
        self.made.contains(&self.hasher.hash_one(path))
    }

    /// Count bytes that are kept.
    fn keep(&mut self, bytes: usize) -> io::Result<()> {
        self.kept += bytes;
        if self.kept > MAX_KEPT { Err(unusual("too many entries in a layer")) } else { Ok(()) }
    }

    /// Remove what is of the layers below.
    fn hide(&self, parent: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let flags = match kind_of(parent, name)? {
            None => return Ok(()),
            Some(FileType::Directory) => {
                self.clear(open_directory(parent, name)?.as_fd(), path)?;
                AtFlags::REMOVEDIR
            }
            Some(_) => AtFlags::empty(),
        };
        if self.is_made(path) {
            return Ok(());
        }
        match fs::unlinkat(parent, name, flags) {
            // This layer has something in it.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// The same for all that is in a directory.
    fn clear(&self, directory: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        for name in names(directory)? {
            self.hide(directory, &join(path, &name))?;
        }
        Ok(())
    }

    /// The directory of an entry, which is made if no entry was about it yet.
    fn parent(&mut self, asked: &[u8]) -> io::Result<Arc<Parent>> {
        if let Some(last) = self.last.as_ref().filter(|last| last.asked == asked) {
            return Ok(Arc::clone(last));
        }
        let parent = Arc::new(self.walk(asked, Missing::IsMade)?);
        self.last = Some(Arc::clone(&parent));
        Ok(parent)
    }

    /// Go to a directory.
    fn walk(&mut self, asked: &[u8], missing: Missing) -> io::Result<Parent> {
        let parent = match open_directory(self.root.as_fd(), asked) {
            Ok(fd) => Parent { asked: asked.to_vec(), path: asked.to_vec(), fd },
            // There is a link on the way, or nothing.
            Err(_) => self.walk_by_steps(asked, missing)?,
        };
        if parent.path.split(|byte| *byte == b'/').count() > MAX_DEPTH {
            return Err(unusual("too many directories inside each other"));
        }
        Ok(parent)
    }

    fn walk_by_steps(&mut self, asked: &[u8], missing: Missing) -> io::Result<Parent> {
        let mut steps = reversed(asked);
        let (mut path, mut fd, mut links) = (Vec::new(), open_directory(self.root.as_fd(), b"")?, 0);
        while let Some(name) = steps.pop() {
            if name == b".." {
                path.truncate(path.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                fd = open_directory(self.root.as_fd(), &path)?;
                continue;
            }
            let next = join(&path, &name);
            match kind_of(fd.as_fd(), &name)? {
                Some(FileType::Directory) => fd = open_directory(fd.as_fd(), &name)?,
                Some(FileType::Symlink) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = fs::readlinkat(&fd, name.as_slice(), Vec::new())?.into_bytes();
                    if target.starts_with(b"/") {
                        path.clear();
                        fd = open_directory(self.root.as_fd(), b"")?;
                    }
                    steps.extend(reversed(&target));
                    continue;
                }
                Some(_) => return Err(Errno::NOTDIR.into()),
                None if missing == Missing::IsMade => fd = self.imply(fd.as_fd(), &name, &next)?,
                None => return Err(Errno::NOENT.into()),
            }
            path = next;
        }
        Ok(Parent { asked: asked.to_vec(), path, fd })
    }

    /// Make a directory that no entry is about, or not yet.
    fn imply(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> io::Result<OwnedFd> {
        fs::mkdirat(parent, name, Mode::RWXU)?;
        let directory = open_directory(parent, name)?;
        if matches!(self.owners, Owners::Real) {
            fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT))?;
        }
        fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
        self.shut.remove(path);
        self.mark(path)?;
        Ok(directory)
    }
}

/// The meaning of a directory on the way that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsMade,
    IsError,
}

/// The parts of a path, the last first.
fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.rev().map(<[u8]>::to_vec).collect()
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, name].join(&b'/') }
}

fn kind_of(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<FileType>> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether an attribute is about the host's file system, so that no image may set it.
fn is_host(attribute: &str) -> bool {
    // The second is the first for those who may not set that.
    ["trusted.", "user.overlay.", "security.selinux"].iter().any(|begin| attribute.starts_with(begin))
}

/// Set an attribute, if the file system has such and this process may do so.
fn set_if_possible(file: BorrowedFd<'_>, name: &str, value: &[u8]) -> io::Result<()> {
    let Err(error) = set_attribute(file, name, value) else { return Ok(()) };
    match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL) => {
            tracing::debug!(name, %error, "an attribute is left out");
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
