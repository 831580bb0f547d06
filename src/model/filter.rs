//! The match of jobs with a filter (GFD.231, JobInfo).

use serde::{Deserialize, Serialize};

use super::{JobInfo, JobState, Millis};

/// A job info used as a filter: a job matches when every member that is set matches.
///
/// `annotation` is no filter member. Numbers that are lower bounds are in seconds, as in the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct JobFilter {
    pub job_id: Option<String>,
    pub job_name: Option<String>,
    pub exit_status: Option<i32>,
    pub terminating_signal: Option<String>,
    pub state: Option<JobState>,
    pub substate: Option<String>,
    /// The job must use at least all of these machines.
    pub machines: Vec<String>,
    pub submission_machine: Option<String>,
    pub owner: Option<String>,
    pub slots: Option<i64>,
    pub queue: Option<String>,
    /// At least this many seconds of wall clock time.
    pub wallclock: Option<i64>,
    /// At least this many CPU seconds.
    pub cpu_time: Option<i64>,
    /// Submitted at or after this second.
    pub submitted: Option<i64>,
    /// Started at or after this second.
    pub dispatched: Option<i64>,
    /// Ended at or after this second.
    pub finished: Option<i64>,
    /// Implementation-specific attributes and the values that they must have.
    pub extensions: Vec<(String, String)>,
}

impl JobFilter {
    /// Returns whether `info` matches, with `now` as the end of a job that still runs.
    pub fn matches(&self, info: &JobInfo, now: Millis) -> bool {
        equal(self.job_id.as_ref(), Some(&info.id))
            && equal(self.job_name.as_ref(), info.name.as_ref())
            && equal(self.exit_status.as_ref(), info.exit_status.as_ref())
            && equal(self.terminating_signal.as_ref(), info.terminating_signal.as_ref())
            && equal(self.state.as_ref(), Some(&info.state))
            && equal(self.substate.as_ref(), info.substate.as_ref())
            && equal(self.submission_machine.as_ref(), info.submission_machine.as_ref())
            && equal(self.owner.as_ref(), info.owner.as_ref())
            && equal(self.slots.as_ref(), info.slots.as_ref())
            && equal(self.queue.as_ref(), info.queue.as_ref())
            && self
                .machines
                .iter()
                .all(|name| info.allocated_machines.iter().any(|slot| &slot.machine == name))
            && at_least(self.wallclock, info.wallclock_seconds(now))
            && at_least(self.cpu_time, info.cpu_seconds())
            && at_least(self.submitted, seconds(info.submitted))
            && at_least(self.dispatched, seconds(info.dispatched))
            && at_least(self.finished, seconds(info.finished))
            && (self.extensions.is_empty() || has_all(&info.extensions(), &self.extensions))
    }
}

fn has_all(values: &[(&'static str, String)], wanted: &[(String, String)]) -> bool {
    let has = |(name, value): &(String, String)| {
        values.iter().any(|(known, has)| known == name && has == value)
    };
    wanted.iter().all(has)
}

fn equal<T: PartialEq>(wanted: Option<&T>, value: Option<&T>) -> bool {
    wanted.is_none() || wanted == value
}

fn at_least(bound: Option<i64>, value: Option<i64>) -> bool {
    bound.is_none_or(|bound| value.is_some_and(|value| value >= bound))
}

fn seconds(millis: Option<Millis>) -> Option<i64> {
    millis.map(|millis| millis.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SlotInfo, Usage};
    use proptest::prelude::*;

    fn finished_job() -> JobInfo {
        let slot = |machine: &str| SlotInfo { machine: machine.into(), slots: 1 };
        JobInfo {
            name: Some("sim".into()),
            exit_status: Some(0),
            substate: Some("s".into()),
            allocated_machines: vec![slot("a"), slot("b")],
            submission_machine: Some("login".into()),
            owner: Some("alice".into()),
            slots: Some(2),
            queue: Some("default".into()),
            submitted: Some(10_000),
            dispatched: Some(12_000),
            finished: Some(22_999),
            usage: Usage { cpu_time: Some(7_000), ..Usage::default() },
            ..JobInfo::new("1", JobState::Done)
        }
    }

    #[test]
    fn an_empty_filter_matches_everything() {
        let filter = JobFilter::default();
        assert!(filter.matches(&finished_job(), 0));
        assert!(filter.matches(&JobInfo::new("x", JobState::Queued), 0));
    }

    #[test]
    fn every_member_selects_and_rejects() {
        let text = |value: &str| Some(value.to_owned());
        let base = JobFilter::default;
        let attribute = |name: &str, value: &str| (format!("containerd_ji_{name}"), value.to_owned());
        let hits = [
            JobFilter { job_id: text("1"), ..base() },
            JobFilter { job_name: text("sim"), ..base() },
            JobFilter { exit_status: Some(0), ..base() },
            JobFilter { state: Some(JobState::Done), ..base() },
            JobFilter { substate: text("s"), ..base() },
            JobFilter { machines: vec!["b".into()], ..base() },
            JobFilter { machines: vec!["b".into(), "a".into()], ..base() },
            JobFilter { submission_machine: text("login"), ..base() },
            JobFilter { owner: text("alice"), ..base() },
            JobFilter { slots: Some(2), ..base() },
            JobFilter { queue: text("default"), ..base() },
            JobFilter { wallclock: Some(10), ..base() },
            JobFilter { cpu_time: Some(7), ..base() },
            JobFilter { submitted: Some(10), ..base() },
            JobFilter { dispatched: Some(12), ..base() },
            JobFilter { finished: Some(22), ..base() },
            JobFilter { extensions: vec![attribute("cpu_millis", "7000")], ..base() },
        ];
        for filter in hits {
            assert!(filter.matches(&finished_job(), 0), "{filter:?}");
        }
        let misses = [
            JobFilter { job_id: text("2"), ..base() },
            JobFilter { job_name: text("SIM"), ..base() },
            JobFilter { exit_status: Some(1), ..base() },
            JobFilter { terminating_signal: text("SIGKILL"), ..base() },
            JobFilter { state: Some(JobState::Failed), ..base() },
            JobFilter { substate: text("t"), ..base() },
            JobFilter { machines: vec!["a".into(), "c".into()], ..base() },
            JobFilter { submission_machine: text("a"), ..base() },
            JobFilter { owner: text("bob"), ..base() },
            JobFilter { slots: Some(1), ..base() },
            JobFilter { queue: text("other"), ..base() },
            JobFilter { wallclock: Some(11), ..base() },
            JobFilter { cpu_time: Some(8), ..base() },
            JobFilter { submitted: Some(11), ..base() },
            JobFilter { dispatched: Some(13), ..base() },
            JobFilter { finished: Some(23), ..base() },
            JobFilter { extensions: vec![attribute("cpu_millis", "7001")], ..base() },
            JobFilter {
                extensions: vec![attribute("cpu_millis", "7000"), attribute("max_rss", "1")],
                ..base()
            },
        ];
        for filter in misses {
            assert!(!filter.matches(&finished_job(), 0), "{filter:?}");
        }
    }

    proptest! {
        #[test]
        fn an_unset_value_never_matches_a_set_member(bound in 0i64..1_000_000, now in 0i64..1_000_000) {
            let queued = JobInfo::new("1", JobState::Queued);
            for filter in [
                JobFilter { wallclock: Some(bound), ..JobFilter::default() },
                JobFilter { cpu_time: Some(bound), ..JobFilter::default() },
                JobFilter { dispatched: Some(bound), ..JobFilter::default() },
                JobFilter { finished: Some(bound), ..JobFilter::default() },
                JobFilter { slots: Some(bound), ..JobFilter::default() },
            ] {
                prop_assert!(!filter.matches(&queued, now));
            }
        }
    }
}
