//! Entries of open directories, accessed with the rights of a user.
//!
//! Names are looked up below descriptors, one at a time, and no symbolic link is followed as the last
//! part of a path. In the container's own root file system, where the job's user could own everything,
//! root helps if the user has no right; below a mount, never.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::rc::Rc;

use crate::failure::check;
use crate::identity::Identity;

/// An open directory.
pub(crate) struct Directory {
    fd: OwnedFd,
    /// It is in the container's own root file system.
    own: bool,
}

/// A name in a directory.
#[derive(Clone)]
pub(crate) struct Place {
    directory: Rc<Directory>,
    name: CString,
}

const LOOK: i32 = libc::O_PATH | libc::O_DIRECTORY;

impl Directory {
    /// A directory of the host that is mounted here.
    pub(crate) fn mounted(path: &Path) -> io::Result<Self> {
        Ok(Self {
            fd: open(libc::AT_FDCWD, path.as_os_str(), LOOK | libc::O_NOFOLLOW, 0, 0)?,
            own: false,
        })
    }

    /// A directory of the container; with `make`, `user` makes a missing one.
    pub(crate) fn of_container(path: &Path, user: &Identity, make: bool) -> io::Result<Self> {
        let whole = path.as_os_str();
        let opened = match open(libc::AT_FDCWD, whole, LOOK, 0, libc::RESOLVE_NO_XDEV) {
            Ok(fd) => Ok(Self { fd, own: true }),
            // A mount is on the way, or the kernel does not support the call.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EXDEV | libc::ENOSYS)) => {
                let fd = user.act(|| open(libc::AT_FDCWD, whole, LOOK, 0, 0))?;
                Ok(Self { fd, own: false })
            }
            Err(error) => Err(error),
        };
        match opened {
            Err(error) if make && error.kind() == io::ErrorKind::NotFound && path.parent().is_some() => {
                Place::of_container(path, user, true)?.make_directory(user, 0o755)?;
                Self::of_container(path, user, false)
            }
            opened => opened,
        }
    }

    /// The names in it.
    pub(crate) fn names(&self, user: &Identity) -> io::Result<Vec<CString>> {
        let readable = self.act(user, |resolve| {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            open(self.fd.as_raw_fd(), OsStr::new("."), flags, 0, resolve)
        })?;
        // SAFETY: the stream owns the descriptor from here on; without one, this process ends soon.
        let stream = unsafe { libc::fdopendir(readable.into_raw_fd()) };
        if stream.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut names = Vec::new();
        loop {
            // SAFETY: the stream is open until the end of the loop; its entry lives until the next call.
            let entry = unsafe { libc::readdir(stream).as_ref() };
            let Some(entry) = entry else { break };
            // SAFETY: the kernel's name ends in NUL.
            let name = unsafe { std::ffi::CStr::from_ptr(entry.d_name.as_ptr()) };
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        // SAFETY: nothing uses the stream any more.
        unsafe { libc::closedir(stream) };
        Ok(names)
    }

    /// Do something as the user; without the right to, as root in the container's own file system.
    fn act<T>(&self, user: &Identity, work: impl Fn(u64) -> io::Result<T>) -> io::Result<T> {
        match user.act(|| work(0)) {
            Err(refused) if self.own && refused.kind() == io::ErrorKind::PermissionDenied => {
                work(libc::RESOLVE_NO_XDEV).map_err(|error| match error.raw_os_error() {
                    Some(libc::EXDEV | libc::ENOSYS) => refused,
                    _ => error,
                })
            }
            done => done,
        }
    }

    /// Set the access rights of a directory that was just made.
    pub(crate) fn set_mode(&self, user: &Identity, mode: u32) -> io::Result<()> {
        self.act(user, |resolve| {
            // The descriptor itself is opened with O_PATH, which does not allow this.
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            let fd = open(self.fd.as_raw_fd(), OsStr::new("."), flags, 0, resolve)?;
            // SAFETY: takes numbers alone.
            check(unsafe { libc::fchmod(fd.as_raw_fd(), mode) })
        })
    }
}

impl Place {
    pub(crate) fn new(directory: Directory, name: &OsStr) -> io::Result<Self> {
        Ok(Self { directory: Rc::new(directory), name: CString::new(name.as_bytes())? })
    }

    /// A path of the container; `make` as for [`Directory::of_container`].
    pub(crate) fn of_container(path: &Path, user: &Identity, make: bool) -> io::Result<Self> {
        match (path.parent(), path.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                Self::new(Directory::of_container(parent, user, make)?, name)
            }
            _ => Err(io::ErrorKind::InvalidFilename.into()),
        }
    }

    /// An entry of the directory that is here.
    pub(crate) fn below(directory: &Rc<Directory>, name: &CString) -> Self {
        Self { directory: Rc::clone(directory), name: name.clone() }
    }

    fn at(&self) -> i32 {
        self.directory.fd.as_raw_fd()
    }

    fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.name.as_bytes())
    }

    pub(crate) fn kind(&self) -> io::Result<libc::stat> {
        let mut stat = mem::MaybeUninit::uninit();
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        // SAFETY: the name ends in NUL, and the answer is read only if it was written.
        unsafe {
            check(libc::fstatat(self.at(), self.name.as_ptr(), stat.as_mut_ptr(), flags))?;
            Ok(stat.assume_init())
        }
    }

    /// Open a file for reading, without waiting for one that is not regular.
    pub(crate) fn open(&self, user: &Identity) -> io::Result<File> {
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        self.directory
            .act(user, |resolve| open(self.at(), self.name(), flags, 0, resolve))
            .map(File::from)
    }

    /// The directory that is here.
    pub(crate) fn enter(&self, user: &Identity) -> io::Result<Directory> {
        let flags = LOOK | libc::O_NOFOLLOW;
        if self.directory.own {
            match open(self.at(), self.name(), flags, 0, libc::RESOLVE_NO_XDEV) {
                Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {}
                opened => return Ok(Directory { fd: opened?, own: true }),
            }
        }
        let fd = user.act(|| open(self.at(), self.name(), flags, 0, 0))?;
        Ok(Directory { fd, own: false })
    }

    /// Open a file for writing, created or emptied.
    pub(crate) fn create(&self, user: &Identity, mode: u32) -> io::Result<File> {
        let flags =
            libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = self.directory.act(user, |resolve| {
            if resolve == 0 {
                return open(self.at(), self.name(), flags, mode, 0);
            }
            // Root writes to new files only, whatever was here.
            self.remove()?;
            let file = open(self.at(), self.name(), flags | libc::O_EXCL, mode, resolve)?;
            // SAFETY: takes numbers alone.
            check(unsafe { libc::fchown(file.as_raw_fd(), user.uid, user.gid) })?;
            Ok(file)
        })?;
        let file = File::from(file);
        match file.metadata()?.is_file() {
            true => file.set_len(0).map(|()| file),
            false => Err(io::Error::other("it is there, and is no regular file")),
        }
    }

    /// Make a directory; false if there is one.
    pub(crate) fn make_directory(&self, user: &Identity, mode: u32) -> io::Result<bool> {
        self.directory
            .act(user, |resolve| {
                // SAFETY: the name ends in NUL.
                check(unsafe { libc::mkdirat(self.at(), self.name.as_ptr(), mode) })?;
                if resolve == 0 { Ok(()) } else { self.give_to(user) }
            })
            .map(|()| true)
            .or_else(
                |error| {
                    if error.kind() == io::ErrorKind::AlreadyExists { Ok(false) } else { Err(error) }
                },
            )
    }

    /// The target of the symbolic link.
    pub(crate) fn link(&self) -> io::Result<CString> {
        let mut target = vec![0; 4096];
        // SAFETY: the name ends in NUL, and the buffer is as long as is said.
        let length = unsafe {
            libc::readlinkat(self.at(), self.name.as_ptr(), target.as_mut_ptr().cast(), target.len())
        };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        target.truncate(length);
        Ok(CString::new(target)?)
    }

    /// Make a symbolic link, in place of anything but a directory.
    pub(crate) fn make_link(&self, user: &Identity, target: &CString) -> io::Result<()> {
        self.directory.act(user, |resolve| {
            self.remove()?;
            // SAFETY: both texts end in NUL.
            check(unsafe { libc::symlinkat(target.as_ptr(), self.at(), self.name.as_ptr()) })?;
            if resolve == 0 { Ok(()) } else { self.give_to(user) }
        })
    }

    /// Make another name of a file, in place of anything but a directory.
    pub(crate) fn make_name(&self, user: &Identity, of: &Self) -> io::Result<()> {
        user.act(|| {
            self.remove()?;
            // SAFETY: both names end in NUL.
            check(unsafe { libc::linkat(of.at(), of.name.as_ptr(), self.at(), self.name.as_ptr(), 0) })
        })
    }

    /// Copy the times of another entry to this one. A user that is not the owner may not; the times then
    /// stay as they are.
    pub(crate) fn set_times(&self, user: &Identity, like: &libc::stat) -> io::Result<()> {
        let times = [(like.st_atime, like.st_atime_nsec), (like.st_mtime, like.st_mtime_nsec)]
            .map(|(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec });
        let set = user.act(|| {
            let flags = libc::AT_SYMLINK_NOFOLLOW;
            // SAFETY: the name ends in NUL, and there are two times.
            check(unsafe { libc::utimensat(self.at(), self.name.as_ptr(), times.as_ptr(), flags) })
        });
        match set {
            Err(error)
                if !matches!(
                    error.raw_os_error(),
                    Some(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP)
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn remove(&self) -> io::Result<()> {
        // SAFETY: the name ends in NUL.
        match check(unsafe { libc::unlinkat(self.at(), self.name.as_ptr(), 0) }) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn give_to(&self, user: &Identity) -> io::Result<()> {
        if user.is_here_without_rights() {
            return Ok(());
        }
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        // SAFETY: the name ends in NUL.
        check(unsafe { libc::fchownat(self.at(), self.name.as_ptr(), user.uid, user.gid, flags) })
    }
}

/// Open a file of the container's own root file system, as root. Nothing mounted there is opened, and
/// nothing is waited for.
pub(crate) fn open_own(path: &str, flags: i32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    open(libc::AT_FDCWD, OsStr::new(path), flags, 0, libc::RESOLVE_NO_XDEV)
}

/// `openat2(2)`, or without special requirements the call that every kernel has.
fn open(at: i32, path: &OsStr, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_bytes())?;
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: all zeroes is a valid request; the path ends in NUL, and the size is the request's. The
    // call returns a new descriptor that nothing else owns.
    unsafe {
        let fd = match resolve {
            0 => libc::openat(at, path.as_ptr(), flags, mode).into(),
            _ => {
                let mut how: libc::open_how = mem::zeroed();
                how.flags = flags.cast_unsigned().into();
                how.mode = if flags & libc::O_CREAT == 0 { 0 } else { mode.into() };
                how.resolve = resolve;
                let size = mem::size_of::<libc::open_how>();
                libc::syscall(libc::SYS_openat2, at, path.as_ptr(), &raw const how, size)
            }
        };
        match i32::try_from(fd) {
            Ok(fd) if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
