//! What is known about a job: its account while it lives, its outcome once it has ended.

use super::{JobState, Millis};

/// Slots of one machine that a job occupies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// The machine.
    pub machine: String,
    /// How many of its slots.
    pub slots: i64,
}

/// How a job ended, as its runtime saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code, 128 + signal for a signalled job; `None` if the job never ran or its result
    /// is lost.
    pub exit_status: Option<i32>,
    /// The signal that ended the job's command.
    pub signal: Option<i32>,
    /// Why it ended so, for people; a job with a reason has FAILED.
    pub reason: Option<String>,
    /// When the command started, where the runtime knows it.
    pub started: Option<Millis>,
    /// When it ended.
    pub finished: Millis,
    /// User and system time of the job and its descendants.
    pub cpu_time: Option<Millis>,
    /// Largest resident set of any of its processes, kilobytes.
    pub max_rss: Option<i64>,
    /// The kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// The most memory it had at a time, page cache included, bytes.
    pub peak_memory: Option<i64>,
    /// Bytes read from block devices.
    pub read_bytes: Option<i64>,
    /// Bytes written to block devices.
    pub written_bytes: Option<i64>,
}

impl Outcome {
    /// DONE for exit code 0 and nothing to say about it, else FAILED.
    pub fn state(&self) -> JobState {
        match self {
            Self { exit_status: Some(0), signal: None, reason: None, .. } => JobState::Done,
            _ => JobState::Failed,
        }
    }

    /// A job that ended without having run, or whose result nobody knows.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), finished: super::now(), ..Self::default() }
    }
}

/// A snapshot of a job (GFD.231, JobInfo). `None` is UNSET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// The job's id.
    pub id: String,
    /// `jobName` of its template.
    pub name: Option<String>,
    /// Its session; `None` for a job that was not made through DRMAA.
    pub session: Option<String>,
    /// Its state.
    pub state: JobState,
    /// Detail within the state.
    pub substate: Option<String>,
    /// Exit code; 128 + signal when a signal ended it.
    pub exit_status: Option<i32>,
    /// Name of the signal that ended it.
    pub terminating_signal: Option<String>,
    /// Why it is in this state, for people.
    pub annotation: Option<String>,
    /// Machines and slots in use.
    pub allocated_machines: Vec<SlotInfo>,
    /// The host it was submitted from.
    pub submission_machine: Option<String>,
    /// The user it belongs to.
    pub owner: Option<String>,
    /// Slots in use.
    pub slots: Option<i64>,
    /// Its queue.
    pub queue: Option<String>,
    /// When it was submitted.
    pub submitted: Option<Millis>,
    /// When it first started.
    pub dispatched: Option<Millis>,
    /// When it ended.
    pub finished: Option<Millis>,
    /// User and system time.
    pub cpu_time: Option<Millis>,
    /// Largest resident set, kilobytes.
    pub max_rss: Option<i64>,
}

impl JobInfo {
    /// Everything unknown but the id and the state.
    pub fn new(id: impl Into<String>, state: JobState) -> Self {
        Self {
            id: id.into(),
            name: None,
            session: None,
            state,
            substate: None,
            exit_status: None,
            terminating_signal: None,
            annotation: None,
            allocated_machines: Vec::new(),
            submission_machine: None,
            owner: None,
            slots: None,
            queue: None,
            submitted: None,
            dispatched: None,
            finished: None,
            cpu_time: None,
            max_rss: None,
        }
    }

    /// Its implementation-specific attributes that have a value, by their names.
    pub fn extensions(&self) -> Vec<(&'static str, String)> {
        [("containerd_ji_max_rss", self.max_rss), ("containerd_ji_cpu_millis", self.cpu_time)]
            .into_iter()
            .filter_map(|(name, number)| Some((name, number?.to_string())))
            .collect()
    }

    /// Seconds from the start to the end, or to `now` while it has none; suspended time counts.
    pub fn wallclock_seconds(&self, now: Millis) -> Option<i64> {
        let span = self.finished.unwrap_or(now) - self.dispatched?;
        Some(span.max(0) / 1000)
    }

    /// CPU seconds, rounded to the nearest.
    pub fn cpu_seconds(&self) -> Option<i64> {
        self.cpu_time.map(|millis| (millis + 500) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_exit_with_zero_is_done() {
        let done = Outcome { exit_status: Some(0), ..Outcome::default() };
        assert_eq!(done.state(), JobState::Done);
        for failed in [
            Outcome { exit_status: Some(1), ..done.clone() },
            Outcome { signal: Some(9), exit_status: Some(137), ..done.clone() },
            Outcome { reason: Some("terminated".into()), ..done.clone() },
            Outcome { exit_status: None, ..done },
        ] {
            assert_eq!(failed.state(), JobState::Failed, "{failed:?}");
        }
    }

    #[test]
    fn the_wall_clock_runs_until_the_end() {
        let mut info = JobInfo::new("j", JobState::Queued);
        assert_eq!(info.wallclock_seconds(9_000), None);
        info.dispatched = Some(1_000);
        assert_eq!(info.wallclock_seconds(9_999), Some(8));
        info.finished = Some(3_500);
        assert_eq!(info.wallclock_seconds(99_000), Some(2));
        info.finished = Some(0);
        assert_eq!(info.wallclock_seconds(99_000), Some(0), "a clock set back gives no negative time");
    }
}
