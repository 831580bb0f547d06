//! A fault: what goes wrong, and at which point.

use std::fmt;

use crate::proxy::{Side, Trap};

/// A point in the life of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// One that the scene names.
    Moment(&'static str),
    /// A call to containerd.
    Call(Trap),
    /// So many milliseconds into one.
    Within(Trap, u64),
    /// A command of the container runtime.
    Runtime(&'static str, Side),
}

/// The event that happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing; to see how it goes.
    Nothing,
    /// The process that calls is killed: host program or agent.
    KillCaller,
    /// The same, and its call is heard only when another has taken over.
    KillCallerLate,
    /// It is stopped for a second.
    StopCaller,
    /// containerd is killed, and back at once.
    KillDaemon,
    /// It is back only when what runs has ended.
    KillDaemonLong,
    /// Both are killed.
    KillBoth,
    KillShim,
    KillInit,
    /// One of several.
    KillOneShim(usize),
    KillOneInit(usize),
    /// The runtime's own process.
    KillRuntime,
    /// The connection breaks.
    Cut,
    /// The call is answered with this gRPC status.
    Refuse(u16),
    /// It is never answered.
    Silence,
    /// The job is asked to end.
    Terminate,
    /// The disk with the state directory gets full.
    FillDisk,
    /// The clock is set by so many seconds.
    SetClock(i64),
    /// The job is held, and released later.
    Hold,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub at: At,
    pub act: Act,
}

impl Act {
    /// The seconds by which it sets the clock.
    pub fn clock(self) -> Option<i64> {
        if let Self::SetClock(off) = self { Some(off) } else { None }
    }
}

pub const UNKNOWN: u16 = 2;
pub const NOT_FOUND: u16 = 5;
pub const UNAVAILABLE: u16 = 14;

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Nothing => "nothing",
            Self::KillCaller => "caller killed",
            Self::KillCallerLate => "caller killed, its call late",
            Self::StopCaller => "caller stopped",
            Self::KillDaemon => "containerd killed",
            Self::KillDaemonLong => "containerd down till the end",
            Self::KillBoth => "caller and containerd killed",
            Self::KillShim | Self::KillOneShim(_) => "shim killed",
            Self::KillInit | Self::KillOneInit(_) => "init killed",
            Self::KillRuntime => "runtime killed",
            Self::Cut => "connection cut",
            Self::Refuse(UNKNOWN) => "answer UNKNOWN",
            Self::Refuse(NOT_FOUND) => "answer NOT_FOUND",
            Self::Refuse(UNAVAILABLE) => "answer UNAVAILABLE",
            Self::Refuse(code) => return write!(f, "answer {code}"),
            Self::Silence => "no answer",
            Self::FillDisk => "disk full",
            Self::SetClock(off) if *off < 0 => "clock set back",
            Self::SetClock(_) => "clock set forward",
            Self::Terminate => "job terminated",
            Self::Hold => "job held",
        };
        f.write_str(name)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |side: Side| if side == Side::Before { "before" } else { "after" };
        match self {
            Self::Moment(name) => f.write_str(name),
            Self::Call(Trap { method: Some(method), nth, side }) => {
                write!(f, "{} {method}#{nth}", word(*side))
            }
            Self::Call(Trap { method: None, nth, side }) => write!(f, "{} call {nth}", word(*side)),
            Self::Within(trap, ms) => write!(f, "{ms} ms into {}", Self::Call(trap.clone())),
            Self::Runtime(command, side) => write!(f, "{} runtime {command}", word(*side)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.act)
    }
}
