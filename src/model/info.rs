//! The account of a job while it lives, and its outcome once it has ended.

use serde::{Deserialize, Serialize};

use super::{JobState, Millis, signal_name, signal_number};

/// Slots of one machine that a job occupies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotInfo {
    /// The machine.
    pub machine: String,
    /// The number of its slots.
    pub slots: i64,
}

/// The resources that a job used. `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of the job and its descendants.
    pub cpu_time: Option<Millis>,
    /// Largest resident set of any of its processes, kilobytes.
    pub max_rss: Option<i64>,
    /// The kernel killed one of its processes because memory ran out.
    pub oom_killed: bool,
    /// The most memory that it had at one time, page cache included, bytes.
    pub peak_memory: Option<i64>,
    /// The part of it that the runtime reached before the command was started.
    pub start_memory: Option<i64>,
    /// Bytes read from block devices.
    pub read_bytes: Option<i64>,
    /// Bytes written to block devices.
    pub written_bytes: Option<i64>,
}

impl Usage {
    /// Fill in the unknown values from `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            cpu_time: self.cpu_time.or(other.cpu_time),
            max_rss: self.max_rss.or(other.max_rss),
            oom_killed: self.oom_killed || other.oom_killed,
            peak_memory: self.peak_memory.or(other.peak_memory),
            start_memory: self.start_memory.or(other.start_memory),
            read_bytes: self.read_bytes.or(other.read_bytes),
            written_bytes: self.written_bytes.or(other.written_bytes),
        }
    }
}

/// The image that a job runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Its full name.
    pub name: String,
    /// The digest that the name stood for.
    pub digest: Option<String>,
}

/// The end of a job, as its runtime saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code, 128 + signal for a signalled job; `None` if the job never ran or its result is
    /// lost.
    pub exit_status: Option<i32>,
    /// The signal that ended the job's command.
    pub signal: Option<i32>,
    /// The reason of the end, for people; a job with a reason has FAILED.
    pub reason: Option<String>,
    /// A remark on its end, for people.
    pub remark: Option<String>,
    /// Start of the command, if the runtime knows it.
    pub started: Option<Millis>,
    /// End of the job.
    pub finished: Millis,
    /// Resources used.
    pub usage: Usage,
    /// Image of the container.
    pub image: Option<ImageRef>,
    /// The runtime lost the job: how it ended is unknown, and whether by itself; or it was ended by the
    /// machine that went down.
    pub lost: bool,
}

impl Outcome {
    /// DONE for exit code 0 without a reason, otherwise FAILED.
    pub fn state(&self) -> JobState {
        match self {
            Self { exit_status: Some(0), signal: None, reason: None, .. } => JobState::Done,
            _ => JobState::Failed,
        }
    }

    /// The reason of the end, and the remark.
    pub fn annotation(&self) -> Option<String> {
        let texts: Vec<&str> =
            [&self.reason, &self.remark].into_iter().flatten().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// A job that ended without having run, or whose result is unknown.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), finished: super::now(), ..Self::default() }
    }
}

/// A snapshot of a job (GFD.231, JobInfo). `None` is UNSET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The reason of this state, for people.
    pub annotation: Option<String>,
    /// Machines and slots in use.
    pub allocated_machines: Vec<SlotInfo>,
    /// The host that it was submitted from.
    pub submission_machine: Option<String>,
    /// The user that it belongs to.
    pub owner: Option<String>,
    /// Slots in use.
    pub slots: Option<i64>,
    /// Its queue.
    pub queue: Option<String>,
    /// Time of submission.
    pub submitted: Option<Millis>,
    /// Time of its first start.
    pub dispatched: Option<Millis>,
    /// Time of its end.
    pub finished: Option<Millis>,
    /// Resources used, as far as known before its end.
    pub usage: Usage,
    /// The container that it runs in, or ran in last.
    pub container: Option<String>,
    /// The image of that container.
    pub image: Option<ImageRef>,
    /// `accountingId` of its template.
    pub accounting_id: Option<String>,
    /// Its runtime lost it, see [`Outcome::lost`].
    pub lost: bool,
}

impl JobInfo {
    /// All unknown but the id and the state.
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
            usage: Usage::default(),
            container: None,
            image: None,
            accounting_id: None,
            lost: false,
        }
    }

    /// The part that other users may know of it.
    pub fn for_others(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            slots: self.slots,
            queue: self.queue.clone(),
            submitted: self.submitted,
            dispatched: self.dispatched,
            finished: self.finished,
            ..Self::new(&*self.id, self.state)
        }
    }

    /// Put the end of the job into its account, except for the state.
    pub fn end(&mut self, outcome: Outcome) {
        self.dispatched = outcome.started.or(self.dispatched);
        self.exit_status = outcome.exit_status;
        self.terminating_signal = outcome.signal.map(signal_name);
        self.annotation = outcome.annotation();
        self.finished = Some(outcome.finished);
        self.usage = outcome.usage;
        self.image = outcome.image.or(self.image.take());
        self.lost = outcome.lost;
    }

    /// The end that the account describes.
    pub fn outcome(&self) -> Outcome {
        // A job with a reason has FAILED.
        let (reason, remark) = match self.state {
            JobState::Done => (None, self.annotation.clone()),
            _ => (self.annotation.clone(), None),
        };
        Outcome {
            exit_status: self.exit_status,
            signal: self.terminating_signal.as_deref().and_then(signal_number),
            reason,
            remark,
            started: self.dispatched,
            finished: self.finished.unwrap_or_else(super::now),
            usage: self.usage.clone(),
            image: self.image.clone(),
            lost: self.lost,
        }
    }

    /// Values beyond the members of the standard, by the names of their attributes.
    pub fn extensions(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        let image = self.image.as_ref();
        let ended = self.state.is_terminated() && self.dispatched.is_some();
        [
            ("containerd_ji_container_id", self.container.clone()),
            ("containerd_ji_image", image.map(|image| image.name.clone())),
            ("containerd_ji_image_digest", image.and_then(|image| image.digest.clone())),
            ("containerd_ji_oom_killed", ended.then(|| self.usage.oom_killed.to_string())),
            ("containerd_ji_peak_memory", number(self.usage.peak_memory)),
            ("containerd_ji_start_memory", number(self.usage.start_memory)),
            ("containerd_ji_max_rss", number(self.usage.max_rss)),
            ("containerd_ji_read_bytes", number(self.usage.read_bytes)),
            ("containerd_ji_written_bytes", number(self.usage.written_bytes)),
            ("containerd_ji_accounting_id", self.accounting_id.clone()),
            ("containerd_ji_cpu_millis", number(self.usage.cpu_time)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// Seconds from the start to the end, or to `now` while it has none; suspended time counts.
    pub fn wallclock_seconds(&self, now: Millis) -> Option<i64> {
        let span = self.finished.unwrap_or(now).saturating_sub(self.dispatched?);
        Some(span.max(0) / 1000)
    }

    /// CPU seconds, rounded to the nearest.
    pub fn cpu_seconds(&self) -> Option<i64> {
        self.usage.cpu_time.map(|millis| millis.saturating_add(500) / 1000)
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

    #[test]
    fn stored_times_of_any_size_can_be_told() {
        let mut info = JobInfo::new("j", JobState::Running);
        (info.dispatched, info.usage.cpu_time) = (Some(i64::MIN), Some(i64::MAX));
        assert_eq!(info.wallclock_seconds(1), Some(i64::MAX / 1000));
        assert_eq!(info.cpu_seconds(), Some(i64::MAX / 1000));
    }

    fn ended() -> Outcome {
        Outcome {
            exit_status: Some(137),
            signal: Some(9),
            reason: Some("why".into()),
            remark: None,
            started: Some(1_000),
            finished: 2_000,
            usage: Usage {
                cpu_time: Some(1_499),
                max_rss: Some(3),
                oom_killed: true,
                peak_memory: Some(5),
                start_memory: Some(4),
                read_bytes: Some(6),
                written_bytes: Some(0),
            },
            image: Some(ImageRef { name: "i".into(), digest: Some("sha256:d".into()) }),
            lost: true,
        }
    }

    #[test]
    fn a_remark_makes_no_failure() {
        let remark = || Some("and".to_owned());
        let done = Outcome { exit_status: Some(0), finished: 1, remark: remark(), ..Outcome::default() };
        let mut info = JobInfo::new("j", done.state());
        info.end(done.clone());
        assert_eq!((info.state, info.annotation.as_deref()), (JobState::Done, Some("and")));
        assert_eq!(info.outcome(), done);
        let failed = Outcome { remark: remark(), ..ended() };
        assert_eq!(
            (failed.state(), failed.annotation().as_deref()),
            (JobState::Failed, Some("why; and"))
        );
    }

    #[test]
    fn an_account_loses_nothing_of_an_end() {
        let mut info = JobInfo::new("j", JobState::Failed);
        info.end(ended());
        assert_eq!(info.outcome(), ended());
        assert_eq!(info.cpu_seconds(), Some(1));
    }

    #[test]
    fn what_is_unknown_is_no_attribute() {
        let mut info = JobInfo::new("j", JobState::Running);
        assert_eq!(info.extensions(), []);
        info.state = JobState::Failed;
        info.container = Some("j".into());
        info.accounting_id = Some("a".into());
        info.end(ended());
        let values: Vec<String> = info.extensions().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["j", "i", "sha256:d", "true", "5", "4", "3", "6", "0", "a", "1499"]);
    }

    #[test]
    fn a_second_source_fills_the_gaps_of_the_first() {
        let known = Usage { cpu_time: Some(1), ..Usage::default() };
        let all = known.or(ended().usage);
        assert_eq!(all, Usage { cpu_time: Some(1), ..ended().usage });
    }
}
