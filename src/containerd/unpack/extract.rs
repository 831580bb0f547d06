//! A layer's archive as files of an overlay directory, as containerd makes them.
//!
//! Every name is looked up below the descriptor of the directory, and no symbolic link is followed: what an
//! archive says cannot lead out of it. An error leaves the layer to containerd, which follows links within the
//! directory, makes missing parents, and replaces what is there.

use std::collections::HashSet;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Timestamps, Uid, XattrFlags};

use crate::images::archive::{self, PIECE};
use crate::images::entry::{CAPABILITY, Entry, Kind, Place, unusual};
use crate::images::file::{create, open_directory, set, set_at, set_attribute, set_content, set_owner};

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
pub(super) fn extract(packed: impl Read, into: &OwnedFd, form: Form) -> io::Result<Extracted> {
    let mut tree = Tree {
        root: into,
        is_lowest: form.is_lowest,
        last: None,
        directories: Vec::new(),
        implied: Vec::new(),
        kept: 0,
        piece: vec![0; PIECE],
    };
    let diff_id = archive::each(packed, form.may_be_packed, |entry, content| tree.add(entry, content))?;
    Ok(Extracted { diff_id, implied: tree.finish()? })
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
    fn add(&mut self, entry: Entry, content: &mut dyn Read) -> io::Result<()> {
        // containerd does not look at what is said of the root.
        if entry.place.name.is_empty() {
            return Ok(());
        }
        if entry.attributes.iter().any(|(name, value)| name != CAPABILITY || value.is_empty()) {
            return Err(unusual("an extended attribute"));
        }
        if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) && self.is_lowest {
            return Err(unusual("a whiteout in the lowest layer"));
        }
        let name = entry.place.name.as_slice();
        let root = self.root;
        let parent = self.parent(&entry.place.parent)?;
        match &entry.kind {
            Kind::File => {
                let file = create(parent, name)?;
                set_content(&file, content, &mut self.piece)?;
                set(&entry, file.as_fd(), set_attribute)
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
        set(entry, directory.as_fd(), set_attribute)
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
