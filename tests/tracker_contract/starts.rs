//! Starts that are made ready, undone or withdrawn.

use drmaa2::model::{Control, ErrorCode, JobState};
use drmaa2::tracker::{Fact, Withdrawn};

use super::Subject;

pub(super) fn a_prepared_job_waits_for_its_start(subject: &Subject) {
    let Some(job) = subject.prepare((subject.exits)(3)) else { return };
    subject.silent_about(&job.id);
    assert_eq!(subject.state(&job.id), JobState::Queued);
    assert_eq!(subject.tracker.job_info(&job.id).unwrap().dispatched, None);
    let again = subject.tracker.prepare_job(job.clone()).unwrap_err();
    assert_eq!(again.code, ErrorCode::InvalidState);
    let suspend = subject.tracker.job_control(&job.id, Control::Suspend).unwrap_err();
    assert_eq!(suspend.code, ErrorCode::InvalidState);

    subject.tracker.add_job(job.clone()).unwrap();
    let started = subject.next(&job.id);
    assert!(matches!(started, Fact::Started { .. }), "{started:?}");
    assert_eq!(subject.ended(&job.id).exit_status, Some(3));
    subject.delete(&job.id);
}

pub(super) fn a_job_is_started_while_it_is_being_prepared(subject: &Subject) {
    for _ in 0..3 {
        let Some(job) = subject.prepare((subject.sleeps)()) else { return };
        subject.tracker.add_job(job.clone()).unwrap();
        let started = subject.next(&job.id);
        assert!(matches!(started, Fact::Started { .. }), "{started:?}");
        assert_eq!(subject.state(&job.id), JobState::Running);
        subject.tracker.job_control(&job.id, Control::Terminate).unwrap();
        assert_eq!(subject.ended(&job.id).state(), JobState::Failed);
        subject.delete(&job.id);
    }
}

pub(super) fn a_preparation_can_be_undone(subject: &Subject) {
    for wait in [false, true] {
        let Some(job) = subject.prepare((subject.exits)(4)) else { return };
        if wait {
            subject.silent_about(&job.id);
        }
        subject.tracker.delete_job(&job.id).unwrap();
        assert_eq!(subject.next(&job.id), Fact::Deleted { id: job.id.clone() });
        let error = subject.tracker.job_info(&job.id).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(!subject.tracker.list_jobs().unwrap().contains(&job.id));
        subject.silent_about(&job.id);
        subject.delete(&job.id);

        // Neither has the job been used up by that.
        assert!(subject.tracker.prepare_job(job.clone()).unwrap());
        subject.tracker.delete_job(&job.id).unwrap();
        subject.tracker.add_job(job.clone()).unwrap();
        assert_eq!(subject.next(&job.id), Fact::Deleted { id: job.id.clone() });
        assert!(matches!(subject.next(&job.id), Fact::Started { .. }));
        assert_eq!(subject.ended(&job.id).exit_status, Some(4));
        subject.delete(&job.id);
    }
}

pub(super) fn a_prepared_job_that_is_terminated_does_not_run(subject: &Subject) {
    for wait in [false, true] {
        let Some(job) = subject.prepare((subject.sleeps)()) else { return };
        if wait {
            subject.silent_about(&job.id);
        }
        subject.tracker.job_control(&job.id, Control::Terminate).unwrap();
        subject.tracker.add_job(job.clone()).unwrap();
        match subject.next(&job.id) {
            Fact::Ended { outcome, .. } => {
                assert_eq!(outcome.state(), JobState::Failed);
                assert!(outcome.reason.unwrap().contains("terminated"));
            }
            other => panic!("{other:?}"),
        }
        subject.delete(&job.id);
    }
}

pub(super) fn a_start_that_is_withdrawn_in_time_does_not_happen(subject: &Subject) {
    let job = subject.new_job((subject.exits)(5));
    let withdraw = || subject.tracker.withdraw(&job.id).unwrap();
    assert_eq!(withdraw(), Withdrawn::Nothing, "it is only about to be started");
    subject.tracker.add_job(job.clone()).unwrap();
    assert_eq!(subject.next(&job.id), Fact::Withdrawn { id: job.id.clone() });
    subject.runs_after_all(job, 5);

    // Once more, whatever the runtime is at.
    for looks in 0..4 {
        let job = subject.new_job((subject.exits)(6));
        subject.tracker.add_job(job.clone()).unwrap();
        (0..looks).for_each(|_| drop(subject.tracker.job_info(&job.id)));
        match subject.tracker.withdraw(&job.id).unwrap() {
            Withdrawn::Nothing => {
                assert_eq!(subject.tracker.withdraw(&job.id).unwrap(), Withdrawn::Nothing);
                subject.withdrawn(&job.id);
                subject.runs_after_all(job, 6);
            }
            Withdrawn::Begun => {
                assert_eq!(subject.ended(&job.id).exit_status, Some(6));
                subject.delete(&job.id);
            }
        }
    }
}

pub(super) fn a_prepared_job_that_is_withdrawn_does_not_run(subject: &Subject) {
    for wait in [false, true] {
        let Some(job) = subject.prepare((subject.exits)(7)) else { return };
        if wait {
            subject.silent_about(&job.id);
        }
        assert_eq!(subject.tracker.withdraw(&job.id).unwrap(), Withdrawn::Nothing);
        subject.tracker.add_job(job.clone()).unwrap();
        assert_eq!(subject.next(&job.id), Fact::Withdrawn { id: job.id.clone() });
        subject.runs_after_all(job, 7);
    }
}

pub(super) fn a_start_that_is_withdrawn_can_be_undone_at_once(subject: &Subject) {
    for _ in 0..3 {
        let job = subject.new_job((subject.exits)(8));
        subject.tracker.add_job(job.clone()).unwrap();
        if subject.tracker.withdraw(&job.id).unwrap() == Withdrawn::Begun {
            subject.ended(&job.id);
        }
        subject.runs_after_all(job, 8);
    }
}

pub(super) fn what_has_begun_is_not_withdrawn(subject: &Subject) {
    let job = subject.add((subject.exits)(0));
    subject.ended(&job);
    assert_eq!(subject.tracker.withdraw(&job).unwrap(), Withdrawn::Begun);
    assert_eq!(subject.state(&job), JobState::Done);
    subject.delete(&job);
}
