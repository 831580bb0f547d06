//! A layer's archive as files of an overlay directory, as containerd makes them.
//!
//! Every name is looked up below the descriptor of the directory, and no symbolic link is followed: what an
//! archive says cannot lead out of it. An error leaves the layer to containerd, which follows links within the
//! directory, makes missing parents, and replaces what is there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ring::digest::{Context, SHA256};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timestamps, Uid, XattrFlags,
};

use super::entry::{self, CAPABILITY, Entry, Kind, Place, unusual};

/// Bytes that are unpacked, hashed and written at a time.
const PIECE: usize = 64 << 10;
/// Bytes that are kept of directories until all is in them: of a hundred thousand, as paths usually are.
const MAX_KEPT: usize = 16 << 20;
/// The mark of a directory of which nothing below is seen.
const OPAQUE: &str = "trusted.overlay.opaque";

/// The result of an archive.
pub(super) struct Extracted {
    /// The digest of the archive.
    pub(super) diff_id: String,
    /// Directories that no entry is about, each after those above it: they are to be like those of the layers below.
    pub(super) implied: Vec<Vec<u8>>,
}

/// The properties of an archive that are known before it is read.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Its layer is above no other, so it has nothing to hide.
    pub(super) is_lowest: bool,
    /// It may be packed by gzip, which its first bytes tell.
    pub(super) may_be_packed: bool,
}

/// Unpack a layer into an empty directory.
pub(super) fn extract<'a>(packed: impl Read + 'a, into: &OwnedFd, form: Form) -> io::Result<Extracted> {
    let mut packed = BufReader::with_capacity(PIECE, packed);
    let is_gzip = form.may_be_packed && io::BufRead::fill_buf(&mut packed)?.starts_with(&[0x1f, 0x8b]);
    let archive: Box<dyn Read + 'a> =
        if is_gzip { Box::new(MultiGzDecoder::new(packed)) } else { Box::new(packed) };
    let mut hashed = Hashed { archive, hash: Context::new(&SHA256) };
    let mut whole = BufReader::with_capacity(PIECE, &mut hashed);
    let mut tree = Tree {
        root: into,
        is_lowest: form.is_lowest,
        last: None,
        directories: Vec::new(),
        implied: Vec::new(),
        kept: 0,
        piece: vec![0; PIECE],
    };
    entry::each(&mut whole, |entry, content| tree.add(entry, content))?;
    // The bytes behind the end of the archive are part of the digest.
    io::copy(&mut whole, &mut io::sink())?;
    let implied = tree.finish()?;
    let digest = hashed.hash.finish();
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Extracted { diff_id: format!("sha256:{hex}"), implied })
}

/// An archive whose bytes are hashed as they are read.
struct Hashed<'a> {
    archive: Box<dyn Read + 'a>,
    hash: Context,
}

impl Read for Hashed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.archive.read(into)?;
        self.hash.update(into.get(..length).unwrap_or_default());
        Ok(length)
    }
}

/// The files that are made.
struct Tree<'a> {
    root: &'a OwnedFd,
    is_lowest: bool,
    /// The directory that was used last: the next entry is mostly there, too.
    last: Option<(Vec<u8>, OwnedFd)>,
    directories: Vec<(Place, Timestamps)>,
    implied: Vec<Vec<u8>>,
    /// Bytes of the last two.
    kept: usize,
    piece: Vec<u8>,
}

impl Tree<'_> {
    fn add(&mut self, entry: Entry, content: &mut impl Read) -> io::Result<()> {
        // containerd does not look at what is said of the root.
        if entry.place.name.is_empty() {
            return Ok(());
        }
        if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) && self.is_lowest {
            return Err(unusual("a whiteout in the lowest layer"));
        }
        let name = entry.place.name.as_slice();
        let root = self.root;
        let parent = self.parent(&entry.place.parent)?;
        match &entry.kind {
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = File::from(fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
                set_content(&file, content, &mut self.piece)?;
                set(&entry, file.as_fd())
            }
            Kind::Directory => {
                match fs::mkdirat(parent, name, Mode::RWXU) {
                    // More about one that is there.
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let directory = open_directory(parent, name)?;
                self.directory(&entry, directory)
            }
            Kind::HardLink(target) => {
                let from = open_directory(root.as_fd(), &target.parent)?;
                fs::linkat(&from, target.name.as_slice(), parent, name, AtFlags::empty())?;
                set_at(&entry, parent)
            }
            Kind::SymbolicLink(target) => {
                fs::symlinkat(target, parent, name)?;
                set_at(&entry, parent)
            }
            Kind::CharacterDevice(device) => self.node(&entry, FileType::CharacterDevice, *device),
            Kind::BlockDevice(device) => self.node(&entry, FileType::BlockDevice, *device),
            Kind::Fifo => self.node(&entry, FileType::Fifo, 0),
            Kind::Whiteout => {
                fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)?;
                set_owner(&entry, parent)
            }
            Kind::Opaque => Ok(fs::fsetxattr(parent, OPAQUE, b"y", XattrFlags::empty())?),
        }
    }

    /// The directory of an entry, which is there.
    fn parent(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            let root = self.root.as_fd();
            let opened = match open_directory(root, path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.imply(path),
                opened => opened,
            };
            self.last = Some((path.to_vec(), opened?));
        }
        self.last.as_ref().map(|(_, fd)| fd.as_fd()).ok_or_else(|| unusual("no directory"))
    }

    /// Make a directory that no entry is about, or not yet, and those on the way to it.
    fn imply(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut directory = open_directory(self.root.as_fd(), b"")?;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut start = 0;
        for end in ends.chain([path.len()]) {
            let name = path.get(start..end).unwrap_or_default();
            let made = match fs::mkdirat(&directory, name, Mode::RWXU) {
                Ok(()) => true,
                Err(rustix::io::Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            directory = open_directory(directory.as_fd(), name)?;
            if made {
                self.keep(end)?;
                self.implied.push(path.get(..end).unwrap_or_default().to_vec());
                fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT))?;
                fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
            }
            start = end + 1;
        }
        Ok(directory)
    }

    fn directory(&mut self, entry: &Entry, directory: OwnedFd) -> io::Result<()> {
        self.keep(entry.place.parent.len() + entry.place.name.len())?;
        self.directories.push((entry.place.clone(), entry.times.clone()));
        set(entry, directory.as_fd())
    }

    /// Count the path of a directory, which is kept, of this length.
    fn keep(&mut self, length: usize) -> io::Result<()> {
        self.kept += length + size_of::<(Place, Timestamps)>();
        if self.kept > MAX_KEPT {
            return Err(unusual("too many directories"));
        }
        Ok(())
    }

    fn node(&mut self, entry: &Entry, kind: FileType, device: u64) -> io::Result<()> {
        let parent = self.parent(&entry.place.parent)?;
        fs::mknodat(parent, entry.place.name.as_slice(), kind, Mode::RUSR, device)?;
        set_at(entry, parent)
    }

    /// Set the times of directories, which entries in them have changed. Returns the directories that were none.
    fn finish(self) -> io::Result<Vec<Vec<u8>>> {
        for (place, times) in &self.directories {
            let parent = open_directory(self.root.as_fd(), &place.parent)?;
            fs::utimensat(&parent, place.name.as_slice(), times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        let mut implied = self.implied;
        if !implied.is_empty() {
            let paths = self.directories.iter().map(|(place, _)| place.path());
            let known: HashSet<Vec<u8>> = paths.collect();
            implied.retain(|path| !known.contains(path));
        }
        Ok(implied)
    }
}

/// A directory by its path.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::open(path, flags, Mode::empty())?)
}

/// A directory below another; an empty path is that one.
pub(super) fn open_directory(below: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(fs::openat2(below, path, flags, Mode::empty(), resolve)?)
}

fn set_content(mut file: &File, content: &mut impl Read, piece: &mut [u8]) -> io::Result<()> {
    loop {
        let length = content.read(piece)?;
        let Some(news) = piece.get(..length).filter(|news| !news.is_empty()) else { return Ok(()) };
        io::Write::write_all(&mut file, news)?;
    }
}

/// Owner, capability, mode and times, in this order: each takes something from what comes later.
fn set(entry: &Entry, file: BorrowedFd<'_>) -> io::Result<()> {
    fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    if let Some(capability) = &entry.capability {
        fs::fsetxattr(file, CAPABILITY, capability, XattrFlags::empty())?;
    }
    fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    Ok(fs::futimens(file, &entry.times)?)
}

/// The same for what is not to be opened.
fn set_at(entry: &Entry, parent: BorrowedFd<'_>) -> io::Result<()> {
    let name = entry.place.name.as_slice();
    if entry.capability.is_some() {
        return Err(unusual("a capability of something else than a file"));
    }
    set_owner(entry, parent)?;
    let is_link = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)?;
    if !is_link {
        fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    }
    Ok(fs::utimensat(parent, name, &entry.times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn set_owner(entry: &Entry, parent: BorrowedFd<'_>) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    Ok(fs::chownat(parent, entry.place.name.as_slice(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}
