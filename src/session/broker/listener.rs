//! The broker's socket: that of systemd, or one of its own.

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::model::{Error, ErrorCode, Result};

/// The first descriptor that systemd hands over, see sd_listen_fds(3).
const FIRST: RawFd = 3;

/// The socket to listen at: one that was handed over, or else one at this path; `None` for neither.
pub(in crate::session) fn listener(path: Option<&Path>) -> Result<Option<UnixListener>> {
    if let Some(handed) = handed_over() {
        return Ok(Some(handed));
    }
    let Some(path) = path else { return Ok(None) };
    bind(path).map(Some).map_err(|error| {
        let text = format!("the broker's socket {}: {error}", path.display());
        Error::new(ErrorCode::of_own(&error), text)
    })
}

fn handed_over() -> Option<UnixListener> {
    let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) || number("LISTEN_FDS") != Some(1) {
        return None;
    }
    // SAFETY: the manager of services says that it is open and this process's own. Nothing else uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(FIRST) };
    // It must not pass to programs.
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(UnixListener::from(socket))
}

/// Make a socket that every user may open, in place of one that nobody listens at.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
        fs::create_dir_all(dir)?;
        // Whatever the mask is: every user has to get to it.
        fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else"));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_nobody_listens_at_is_replaced_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run/broker.sock");
        assert!(listener(None).unwrap().is_none());
        let first = listener(Some(&path)).unwrap().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
        let error = listener(Some(&path)).unwrap_err();
        assert!(error.message.contains("broker.sock") && error.message.contains("listens"), "{error}");
        drop(first);
        // A program that another test is about to start holds a copy for a moment.
        while listener(Some(&path)).is_err() {
            std::thread::yield_now();
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(listener(Some(&path)).unwrap_err().message.contains("something else"));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
