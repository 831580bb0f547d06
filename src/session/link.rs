//! One link to the broker: a connected socket, after both sides have said hello.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

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
    /// Connect to the broker at this path.
    pub(super) fn make(path: &Path) -> Result<Self> {
        let failed = |code, cause: &dyn std::fmt::Display| {
            Error::new(code, format!("broker {}: {cause}", path.display()))
        };
        let stream = dial(path).map_err(|error| failed(ErrorCode::DrmCommunication, &error))?;
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

    /// The next message of the broker; `None` at the end.
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

/// The pauses between attempts to reach a broker that has gone.
pub(super) struct Pauses(Duration);

impl Pauses {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(2);

    /// The first is the shortest.
    pub(super) fn new() -> Self {
        Self(Self::FIRST)
    }

    /// Pause, until something changes in the directory of the socket at the latest: a broker that comes back makes one.
    pub(super) fn wait(&mut self, path: &Path) {
        if let Err(error) = await_change(path, self.0) {
            tracing::warn!(%error, "cannot see whether the broker comes back");
            std::thread::sleep(self.0);
        }
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

/// Wait until something changes in the directory of a file, at most for `limit`.
fn await_change(path: &Path, limit: Duration) -> nix::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let dir = path.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    inotify.add_watch(dir, events)?;
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], limit).map(drop)
}
