//! One link to the broker: a connected socket, after both sides have said hello.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
};

use super::message::{Asked, Told};
use super::submitter::umask;
use crate::model::{Error, ErrorCode, PROTOCOL, Result};
use crate::wire::{self, MAX_ANSWER, MAX_REQUEST};

/// The time to connect, to say something, until the broker says hello, and for the rest of a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Link(UnixStream);

/// The reason why there is no link.
pub(super) struct Unmade {
    pub(super) error: Error,
    /// It is like this while a broker is started again.
    pub(super) passes: bool,
}

impl From<Error> for Unmade {
    fn from(error: Error) -> Self {
        Self { error, passes: false }
    }
}

impl Link {
    /// Connect to the broker at this path.
    pub(super) fn make(path: &Path) -> std::result::Result<Self, Unmade> {
        let failed = |code, cause: &dyn std::fmt::Display| Unmade {
            error: Error::new(code, format!("broker {}: {cause}", path.display())),
            passes: false,
        };
        // It has ended, or nobody has taken its place yet.
        let broken = |error: &io::Error| Unmade {
            passes: matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
            ),
            ..failed(ErrorCode::DrmCommunication, error)
        };
        let stream = dial(path).map_err(|error| broken(&error))?;
        let link = Self(stream);
        let hello = Asked::Hello { protocol: PROTOCOL, umask: umask().unwrap_or(0o22) };
        let deadline = Some(Instant::now() + PATIENCE);
        let said = link.write(&frame(&hello)?).and_then(|()| link.read(deadline));
        match said.map_err(|error| broken(&error))? {
            Some(Told::Hello { protocol: PROTOCOL }) => {}
            Some(Told::Hello { protocol }) => {
                let text = format!("it speaks protocol {protocol}, this library {PROTOCOL}");
                return Err(failed(ErrorCode::DrmCommunication, &text));
            }
            Some(Told::Refused(error)) => return Err(failed(error.code, &error)),
            None => {
                let unmade =
                    failed(ErrorCode::DrmCommunication, &"it ends the connection before it says hello");
                return Err(Unmade { passes: true, ..unmade });
            }
            _ => return Err(failed(ErrorCode::DrmCommunication, &"it does not say hello")),
        }
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

    /// The next message of the broker; `None` at the end. TimedOut if none has begun by the deadline.
    pub(super) fn read(&self, deadline: Option<Instant>) -> io::Result<Option<Told>> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match await_readable(&self.0, left) {
                Ok(true) => break,
                Ok(false) => return Err(io::ErrorKind::TimedOut.into()),
                // The thread may be the program's own, with handlers for signals.
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let text = wire::read(&mut Uncancelled(&self.0), MAX_ANSWER)?;
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

/// The socket, read without a point of cancellation: the thread may be the program's own.
struct Uncancelled<'a>(&'a UnixStream);

impl Read for Uncancelled<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.0, bytes, RecvFlags::empty())?.0)
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
fn await_change(path: &Path, limit: Duration) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let dir = path.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    inotify.add_watch(dir, events)?;
    await_readable(&inotify, Some(limit)).map(drop).map_err(Into::into)
}

/// Wait until there is something to read. False if there is nothing within the limit.
fn await_readable(what: &impl AsFd, limit: Option<Duration>) -> rustix::io::Result<bool> {
    // A limit that is too long to be told is none.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let ready = rustix::event::poll(&mut [PollFd::new(what, PollFlags::IN)], limit.as_ref())?;
    Ok(ready > 0)
}
