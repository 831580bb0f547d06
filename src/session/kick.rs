//! The dispatcher's alarm: it wakes by a kick, a time, or the death of a process.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::model::{Error, ErrorCode, Millis, Result};

/// Wakes the dispatcher; several kicks before it wakes are one.
pub(super) struct Kick(EventFd);

impl Kick {
    pub(super) fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        EventFd::from_value_and_flags(0, flags).map(Self).map_err(|errno| os("an eventfd", errno))
    }

    pub(super) fn ring(&self) {
        // It can fail only because it has rung already.
        let _ = self.0.write(1);
    }
}

/// The events that the dispatcher waits for.
pub(super) struct Alarm {
    timer: TimerFd,
}

impl Alarm {
    pub(super) fn new() -> Result<Self> {
        // The clock of start times: when it is set, the alarm follows the new time.
        TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
            .map(|timer| Self { timer })
            .map_err(|errno| os("a timer", errno))
    }

    /// Wake at this time, or not at all.
    pub(super) fn set(&self, at: Option<Millis>) {
        // A time of zero would switch the timer off.
        let at = at.and_then(|at| u64::try_from(at.max(1)).ok());
        let done = match at {
            Some(at) => self.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(Duration::from_millis(at))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET,
            ),
            None => self.timer.unset(),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the queue may notice a start time late");
        }
    }

    /// Wait. Returns the indices of the processes that have ended, or of other readable descriptors.
    pub(super) fn wait(&self, kick: &Kick, processes: &[BorrowedFd<'_>]) -> Vec<usize> {
        let mut places: Vec<PollFd<'_>> = [self.timer.as_fd(), kick.0.as_fd()]
            .into_iter()
            .chain(processes.iter().copied())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        loop {
            match poll(&mut places, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                // Too many of them: without them the deaths of processes are noticed late.
                Err(error) if places.len() > 2 => {
                    tracing::warn!(%error, "cannot wait for the end of processes");
                    places.truncate(2);
                }
                Err(error) => {
                    tracing::error!(%error, "the queue cannot wait");
                    return Vec::new();
                }
                Ok(_) => break,
            }
        }
        let ended = places.iter().skip(2).enumerate();
        let ended = ended.filter(|(_, place)| place.any() == Some(true)).map(|(at, _)| at).collect();
        // Prevents that the same event wakes it again. Both reads are non-blocking.
        let _ = kick.0.read();
        let mut expirations = [0; 8];
        let _ = nix::unistd::read(&self.timer, &mut expirations);
        ended
    }
}

fn os(what: &str, errno: Errno) -> Error {
    let error = std::io::Error::from(errno);
    Error::new(ErrorCode::of_io(&error), format!("cannot make {what}: {error}"))
}
