//! Staging: files and directories are copied in before the command, and out after it.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use drmaa2_init::{DIRECTORY_PLACEHOLDER, HOME_PLACEHOLDER, Order, Transfer};

use crate::child;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::place::{Directory, Place};
use crate::user::User;

/// A failure, and the entry of a directory that it is about, if it is not the directory itself.
struct Trouble {
    below: PathBuf,
    error: io::Error,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self { below: PathBuf::new(), error }
    }
}

/// Copy the files that the order stages in.
pub(crate) fn copy_in(order: &Order) -> Result<(), Failure> {
    let paths = Paths::of(order)?;
    if order.create_directory {
        child::create(&paths.directory, &paths.user)?;
    }
    let submitter = Identity::of(order.submitter.as_ref());
    for transfer in &order.stage_in {
        let copied = || {
            let from = mounted(Path::new(OsStr::from_bytes(&transfer.mount)))?;
            let to = Place::of_container(&paths.resolve(&transfer.destination), &paths.user, true)?;
            copy(&from, &submitter, &to, &paths.user)
        };
        copied().map_err(|trouble| failure("stageInFiles", transfer, &trouble))?;
    }
    Ok(())
}

/// Copy the files that the order stages out.
pub(crate) fn copy_out(order: &Order) -> Result<(), Failure> {
    let paths = Paths::of(order)?;
    let submitter = Identity::of(order.submitter.as_ref());
    for transfer in &order.stage_out {
        let copied = || {
            let from = Place::of_container(&paths.resolve(&transfer.source), &paths.user, false)?;
            let name = Path::new(OsStr::from_bytes(&transfer.destination)).file_name();
            let name = name.ok_or(io::ErrorKind::InvalidFilename).map_err(io::Error::from)?;
            let directory = Directory::mounted(Path::new(OsStr::from_bytes(&transfer.mount)))?;
            copy(&from, &paths.user, &Place::new(directory, name)?, &submitter)
        };
        copied().map_err(|trouble| failure("stageOutFiles", transfer, &trouble))?;
    }
    Ok(())
}

fn mounted(path: &Path) -> io::Result<Place> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    Place::new(Directory::mounted(parent)?, name)
}

fn failure(attribute: &str, transfer: &Transfer, trouble: &Trouble) -> Failure {
    let source = Path::new(OsStr::from_bytes(&transfer.source));
    let below = if trouble.below.as_os_str().is_empty() { source } else { &source.join(&trouble.below) };
    let destination = OsStr::from_bytes(&transfer.destination);
    Failure::new(
        format_args!("{attribute} {} to {}", below.display(), destination.display()),
        &trouble.error,
    )
}

/// The start of relative paths of the container.
struct Paths {
    user: Identity,
    home: Vec<u8>,
    directory: PathBuf,
}

impl Paths {
    fn of(order: &Order) -> Result<Self, Failure> {
        let user = User::find(order)?;
        let directory = child::directory(order, &user);
        Ok(Self { user: user.identity(), home: user.home, directory })
    }

    fn resolve(&self, path: &[u8]) -> PathBuf {
        let at = |start: &[u8], rest: &[u8]| PathBuf::from(OsStr::from_bytes(&[start, rest].concat()));
        if let Some(rest) = path.strip_prefix(HOME_PLACEHOLDER) {
            return at(&self.home, rest);
        }
        match path.strip_prefix(DIRECTORY_PLACEHOLDER) {
            Some(rest) => at(self.directory.as_os_str().as_bytes(), rest),
            None => self.directory.join(OsStr::from_bytes(path)),
        }
    }
}

/// The copying of one file, symbolic link or directory with its content: it keeps times and access
/// rights, and names of one file stay names of one file.
struct Copy<'a> {
    reader: &'a Identity,
    writer: &'a Identity,
    /// The places of copied files that have several names, by device and inode.
    linked: HashMap<(u64, u64), Place>,
}

fn copy(from: &Place, reader: &Identity, to: &Place, writer: &Identity) -> Result<(), Trouble> {
    Copy { reader, writer, linked: HashMap::new() }.copy(from, to)
}

impl Copy<'_> {
    fn copy(&mut self, from: &Place, to: &Place) -> Result<(), Trouble> {
        let stat = from.kind()?;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFLNK => {
                to.make_link(self.writer, &from.link()?)?;
                Ok(to.set_times(self.writer, &stat)?)
            }
            libc::S_IFREG => self.copy_file(from, to, &stat),
            libc::S_IFDIR => self.copy_directory(from, to, &stat),
            _ => Err(io::Error::other("neither a regular file, a directory nor a symbolic link").into()),
        }
    }

    fn copy_file(&mut self, from: &Place, to: &Place, stat: &libc::stat) -> Result<(), Trouble> {
        let identity = (stat.st_dev, stat.st_ino);
        if let Some(other) = self.linked.get(&identity)
            && to.make_name(self.writer, other).is_ok()
        {
            return Ok(());
        }
        let mut source = from.open(self.reader)?;
        io::copy(&mut source, &mut to.create(self.writer, stat.st_mode & 0o777)?)?;
        if stat.st_nlink > 1 {
            self.linked.entry(identity).or_insert_with(|| to.clone());
        }
        Ok(to.set_times(self.writer, stat)?)
    }

    fn copy_directory(&mut self, from: &Place, to: &Place, stat: &libc::stat) -> Result<(), Trouble> {
        let mode = stat.st_mode & 0o777;
        let source = Rc::new(from.enter(self.reader)?);
        let names = source.names(self.reader)?;
        // The user that makes it writes to it, even if nobody may afterwards.
        let made = to.make_directory(self.writer, mode | 0o700)?;
        let target = Rc::new(to.enter(self.writer)?);
        for name in &names {
            self.copy(&Place::below(&source, name), &Place::below(&target, name))
                .map_err(|trouble| within(name, trouble))?;
        }
        if !made {
            return Ok(());
        }
        target.set_mode(self.writer, mode)?;
        Ok(to.set_times(self.writer, stat)?)
    }
}

fn within(name: &CString, trouble: Trouble) -> Trouble {
    let name = Path::new(OsStr::from_bytes(name.as_bytes()));
    let below =
        if trouble.below.as_os_str().is_empty() { name.into() } else { name.join(trouble.below) };
    Trouble { below, ..trouble }
}
