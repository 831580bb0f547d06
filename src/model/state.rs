//! Job states and the transitions between them (GFD.231, JobState).

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// The state of a job. The numbers are those of the C enum `drmaa2_jstate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum JobState {
    /// Unknown, for good.
    Undetermined = 0,
    /// Waiting and eligible to run.
    Queued = 1,
    /// Waiting, on hold.
    QueuedHeld = 2,
    /// Executing.
    Running = 3,
    /// Started, and stopped for the time being.
    Suspended = 4,
    /// Ran before and was put back; eligible.
    Requeued = 5,
    /// Ran before and was put back; on hold.
    RequeuedHeld = 6,
    /// Ended without an error.
    Done = 7,
    /// Ended in any other way.
    Failed = 8,
}

/// The control operations on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Control {
    /// Stop executing for the time being.
    Suspend,
    /// Continue executing.
    Resume,
    /// Keep a waiting job from starting.
    Hold,
    /// Let a held job start.
    Release,
    /// Ask the job to end, and kill it if it does not in time.
    Terminate,
    /// End the job at once.
    Kill,
}

impl JobState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Undetermined,
        Self::Queued,
        Self::QueuedHeld,
        Self::Running,
        Self::Suspended,
        Self::Requeued,
        Self::RequeuedHeld,
        Self::Done,
        Self::Failed,
    ];

    /// The state with this number in the C enum.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i32 == number)
    }

    /// RUNNING or SUSPENDED: the job occupies its slots.
    pub fn is_started(self) -> bool {
        matches!(self, Self::Running | Self::Suspended)
    }

    /// DONE or FAILED: final.
    pub fn is_terminated(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }

    /// One of the four states in which a job waits to be started.
    pub fn is_queued(self) -> bool {
        matches!(self, Self::Queued | Self::QueuedHeld | Self::Requeued | Self::RequeuedHeld)
    }

    /// One of the two states in which a job waits and is held.
    pub fn is_held(self) -> bool {
        matches!(self, Self::QueuedHeld | Self::RequeuedHeld)
    }

    /// The state that `control` leads to from here, or the error INVALID_STATE.
    pub fn after(self, control: Control) -> Result<Self> {
        use Control::{Hold, Kill, Release, Resume, Suspend, Terminate};
        match (self, control) {
            (Self::Running, Suspend) => Ok(Self::Suspended),
            (Self::Suspended, Resume) => Ok(Self::Running),
            (Self::Queued, Hold) => Ok(Self::QueuedHeld),
            (Self::Requeued, Hold) => Ok(Self::RequeuedHeld),
            (Self::QueuedHeld, Release) => Ok(Self::Queued),
            (Self::RequeuedHeld, Release) => Ok(Self::Requeued),
            (state, Terminate | Kill) if state.is_started() || state.is_queued() => Ok(Self::Failed),
            (state, control) => Err(Error::state(format!("cannot {control} a job that is {state}"))),
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Undetermined => "UNDETERMINED",
            Self::Queued => "QUEUED",
            Self::QueuedHeld => "QUEUED_HELD",
            Self::Running => "RUNNING",
            Self::Suspended => "SUSPENDED",
            Self::Requeued => "REQUEUED",
            Self::RequeuedHeld => "REQUEUED_HELD",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
        })
    }
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Terminate => "terminate",
            Self::Kill => "kill",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_legal_moves_are_allowed() {
        use Control::*;
        use JobState::*;
        let legal = [
            (Queued, Hold, QueuedHeld),
            (Queued, Terminate, Failed),
            (QueuedHeld, Release, Queued),
            (QueuedHeld, Terminate, Failed),
            (Running, Suspend, Suspended),
            (Running, Terminate, Failed),
            (Suspended, Resume, Running),
            (Suspended, Terminate, Failed),
            (Requeued, Hold, RequeuedHeld),
            (Requeued, Terminate, Failed),
            (RequeuedHeld, Release, Requeued),
            (RequeuedHeld, Terminate, Failed),
        ];
        for state in JobState::ALL {
            for control in [Suspend, Resume, Hold, Release, Terminate] {
                let expected =
                    legal.iter().find(|(s, c, _)| (*s, *c) == (state, control)).map(|(_, _, to)| *to);
                assert_eq!(state.after(control).ok(), expected, "{control} on {state}");
            }
            assert_eq!(state.after(Kill).ok(), state.after(Terminate).ok(), "kill on {state}");
        }
    }

    #[test]
    fn numbers_round_trip() {
        for state in JobState::ALL {
            assert_eq!(JobState::from_number(state as i32), Some(state));
        }
        assert_eq!(JobState::from_number(-1), None);
        assert_eq!(JobState::from_number(9), None);
    }
}
