//! One link to the broker: a connected socket, after both sides have said hello.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::message::{Asked, PROTOCOL, Told};
use super::submitter::umask;
use crate::model::{Error, ErrorCode, Result};
use crate::wire::{self, MAX_ANSWER, MAX_REQUEST};

/// The time to connect, to say something, and until the broker says hello.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Link(UnixStream);

impl Link {
    /// Connect to the broker at this path, until `deadline` if it is not there yet.
    pub(super) fn make(path: &Path, deadline: Instant) -> Result<Self> {
        let failed = |code, cause: &dyn std::fmt::Display| {
            Error::new(code, format!("broker {}: {cause}", path.display()))
        };
        let stream = loop {
            match dial(path) {
                Ok(stream) => break stream,
                Err(error) if is_absent(&error) && Instant::now() < deadline => {
                    await_socket(path, deadline);
                }
                Err(error) => return Err(failed(ErrorCode::DrmCommunication, &error)),
            }
        };
        let link = Self(stream);
        let hello = Asked::Hello { protocol: PROTOCOL, umask: umask().unwrap_or(0o22) };
        let said = link.write(&frame(&hello)?).and_then(|()| link.read());
        match said.map_err(|error| failed(ErrorCode::DrmCommunication, &error))? {
            Some(Told::Hello { protocol: PROTOCOL }) => {}
            Some(Told::Hello { protocol }) => {
                let text = format!("it speaks protocol {protocol}, this library {PROTOCOL}");
                return Err(failed(ErrorCode::DrmCommunication, &text));
            }
            Some(Told::Refused(error)) => return Err(failed(error.code, &error)),
            _ => return Err(failed(ErrorCode::DrmCommunication, &"it does not say hello")),
        }
        // From now on it speaks when there is something to say.
        set_socket_timeout(&link.0, Timeout::Recv, None)
            .map_err(|error| failed(ErrorCode::DrmCommunication, &error))?;
        Ok(link)
    }

    /// Write a frame. After an error, the link is of no use.
    pub(super) fn write(&self, frame: &[u8]) -> io::Result<()> {
        let mut left = frame;
        while !left.is_empty() {
            // A broker that has gone is an error and no signal.
            match rustix::net::send(&self.0, left, rustix::net::SendFlags::NOSIGNAL) {
                Ok(sent) => left = &left[sent..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What the broker says next; `None` at the end.
    pub(super) fn read(&self) -> io::Result<Option<Told>> {
        let text = wire::read(&mut &self.0, MAX_ANSWER)?;
        text.map(|text| wire::parse(&text)).transpose()
    }

    /// End it, also for the thread that reads.
    pub(super) fn end(&self) {
        // One that has ended already is an error.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// The frame of a message.
pub(super) fn frame(message: &Asked) -> Result<Vec<u8>> {
    wire::frame(message, MAX_REQUEST)
        .map_err(|error| Error::argument(format!("the broker cannot be asked this: {error}")))
}

/// Connect. The system may let one wait for that, but not for ever.
fn dial(path: &Path) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(PATIENCE))?;
    }
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Wait until something changes in the directory of a socket that nobody listens at, at most until `deadline`.
pub(super) fn await_socket(path: &Path, deadline: Instant) {
    let changed = || {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let dir = path.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
        let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
        inotify.add_watch(dir, events)?;
        // It may have come just before.
        if dial(path).is_ok() {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(std::os::fd::AsFd::as_fd(&inotify), PollFlags::POLLIN)], left).map(drop)
    };
    if let Err(error) = changed() {
        tracing::warn!(%error, "cannot wait for the broker");
        // Not at once again.
        std::thread::sleep(Duration::from_secs(1));
    }
}
