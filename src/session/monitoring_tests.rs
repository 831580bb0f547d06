//! Monitoring sessions on a fake tracker.

use super::tests::{MONITORING, code, fresh, start, template};
use super::{MonitoringSession, Timeout};
use crate::model::{ErrorCode, JobInfo, JobState};

#[test]
fn a_monitoring_session_sees_every_job_of_every_kind() {
    let _watching = MONITORING.write();
    let (_dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    bench.tracker.add_foreign("foreign");
    let monitoring = MonitoringSession::open().unwrap();
    let jobs = monitoring.jobs(None).unwrap();
    assert_eq!(jobs[0], job);
    assert_eq!((jobs[1].id.as_str(), jobs.len()), ("foreign", 2));
    assert_eq!(jobs[1].state().unwrap().0, JobState::Running);
    bench.tracker.exit("foreign", 0);
    jobs[1].wait_terminated(Timeout::Infinite).unwrap();
    let queues = monitoring.queues(None).unwrap();
    assert_eq!(queues.iter().map(|queue| &queue.name).collect::<Vec<_>>(), ["default", "fake-queue"]);
    assert_eq!(monitoring.machines(Some(&["fake-host".into(), "x".into()])).unwrap().len(), 1);
    assert!(monitoring.machines(Some(&[])).unwrap().is_empty());
    monitoring.close().unwrap();
    assert_eq!(code(monitoring.close()), ErrorCode::InvalidSession);
    assert_eq!(code(monitoring.jobs(None)), ErrorCode::InvalidSession);
}

#[test]
fn a_job_that_is_reaped_and_removed_meanwhile_is_no_job_from_outside() {
    let _watching = MONITORING.write();
    let (_dir, bench, _session) = fresh();
    let session = Some("s".to_owned());
    bench.tracker.list_though_removed(JobInfo { session, ..JobInfo::new("reaped", JobState::Done) });
    bench.tracker.add_foreign("foreign");
    let jobs = MonitoringSession::open().unwrap().jobs(None).unwrap();
    assert_eq!(jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["foreign"]);
}
