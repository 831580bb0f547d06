//! Jobs of a runtime with a queue of its own, which the fake is here.

use std::sync::Arc;

use super::jobs::settle;
use super::tests::{Bench, code, template};
use super::{Bulk, JobRef, JobSession, Timeout};
use crate::model::{Control, Error, ErrorCode, JobState, JobTemplate};
use crate::tracker::fake::FakeTracker;
use crate::tracker::{Fact, JobTracker, Waiting};

/// With one slot, of which the runtime knows nothing.
fn fresh() -> (tempfile::TempDir, Bench, Arc<JobSession>) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with_slots(dir.path(), FakeTracker::with_queue(), Some(1));
    let session = JobSession::create(None, None).unwrap();
    (dir, bench, session)
}

fn held(session: &JobSession) -> JobRef {
    let job = session.run_job(JobTemplate { submit_as_hold: true, ..template("sleep") }).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::QueuedHeld);
    job
}

fn state_there(bench: &Bench, job: &JobRef) -> JobState {
    bench.tracker.job_state(&job.id).unwrap().0
}

#[test]
fn the_runtime_alone_decides_when_a_job_starts() {
    let (_dir, bench, session) = fresh();
    let two: Vec<JobRef> = (0..2).map(|_| session.run_job(template("sleep")).unwrap()).collect();
    session.wait_all_started(&two, Timeout::Infinite).unwrap();
    bench.tracker.set_slow(true);
    let waiting = session.run_job(template("3")).unwrap();
    assert_eq!(state_there(&bench, &waiting), JobState::Queued);
    assert_eq!(waiting.state().unwrap().0, JobState::Queued);
    bench.tracker.set_slow(false);
    waiting.wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!(waiting.info().unwrap().exit_status, Some(3));
    waiting.reap().unwrap();
}

#[test]
fn holds_and_releases_are_passed_on() {
    let (_dir, bench, session) = fresh();
    let job = held(&session);
    assert_eq!(state_there(&bench, &job), JobState::QueuedHeld);
    bench.tracker.set_slow(true);
    job.control(Control::Release).unwrap();
    assert_eq!(
        (job.state().unwrap().0, state_there(&bench, &job)),
        (JobState::Queued, JobState::Queued)
    );
    assert_eq!(code(job.control(Control::Release)), ErrorCode::InvalidState);
    job.control(Control::Hold).unwrap();
    assert_eq!(state_there(&bench, &job), JobState::QueuedHeld);
    bench.tracker.set_slow(false);
    job.control(Control::Release).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    assert_eq!(code(job.control(Control::Hold)), ErrorCode::InvalidState);
}

#[test]
fn what_waits_there_can_be_ended() {
    let (_dir, bench, session) = fresh();
    for how in [Control::Terminate, Control::Kill] {
        let job = held(&session);
        job.control(how).unwrap();
        job.wait_terminated(Timeout::Infinite).unwrap();
        let info = job.info().unwrap();
        assert_eq!((info.state, info.exit_status), (JobState::Failed, None));
        assert_eq!(info.annotation.as_deref(), Some("terminated before it started"));
    }
    assert!(bench.tracker.orders().is_empty());
}

#[test]
fn what_the_runtime_refuses_is_not_submitted() {
    let (_dir, bench, session) = fresh();
    bench.tracker.refuse_next(Error::argument("invalid partition specified"));
    let error = session.run_job(template("0")).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("invalid partition"), "{error}");
    assert!(session.jobs(None).unwrap().is_empty());
    bench.tracker.refuse_next(Error::new(ErrorCode::DeniedByDrms, "no such account"));
    let bulk = Bulk { begin: 1, end: 3, step: 1, max_parallel: 0 };
    assert_eq!(code(session.run_bulk_jobs(&template("0"), bulk)), ErrorCode::DeniedByDrms);
    assert!(session.jobs(None).unwrap().is_empty());
}

#[test]
fn what_cannot_be_handed_over_now_is_handed_over_later() {
    let (_dir, bench, session) = fresh();
    let full = || Error::new(ErrorCode::TryLater, "too many jobs");
    bench.tracker.refuse_next(full());
    let job = session.run_job(template("0")).unwrap();
    // However often that is.
    let engine = bench.world.default_engine().unwrap();
    for _ in 0..9 {
        engine.take(Fact::NotStarted { id: job.id.clone(), error: full() }).unwrap();
    }
    job.wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!((job.info().unwrap().exit_status, bench.tracker.orders().len()), (Some(0), 1));
}

#[test]
fn an_array_that_cannot_be_handed_over_now_is_handed_over_later() {
    let (_dir, bench, session) = fresh();
    bench.tracker.refuse_next(Error::new(ErrorCode::TryLater, "too many jobs"));
    let bulk = Bulk { begin: 1, end: 3, step: 1, max_parallel: 0 };
    let jobs = session.run_bulk_jobs(&template("0"), bulk).unwrap().jobs().unwrap();
    for job in &jobs {
        job.wait_terminated(Timeout::Infinite).unwrap();
        assert_eq!(job.info().unwrap().exit_status, Some(0));
    }
    assert_eq!(bench.tracker.orders().len(), 3);
}

#[test]
fn many_arrays_are_handed_over_while_others_look() {
    let (_dir, bench, session) = fresh();
    let bulk = Bulk { begin: 1, end: 3, step: 1, max_parallel: 0 };
    // A look between storing and handing over makes the rows of the tasks.
    let looks = || (0..200).for_each(|_| drop(bench.world.store.all_jobs().unwrap()));
    let arrays: Vec<_> = std::thread::scope(|threads| {
        threads.spawn(looks);
        (0..20).map(|_| session.run_bulk_jobs(&template("5"), bulk).unwrap()).collect()
    });
    let jobs: Vec<JobRef> = arrays.iter().flat_map(|array| array.jobs().unwrap()).collect();
    assert_eq!(jobs.len(), 60);
    for job in &jobs {
        job.wait_terminated(Timeout::Infinite).unwrap();
        assert_eq!(job.info().unwrap().exit_status, Some(5));
    }
    assert_eq!(bench.tracker.orders().len(), 60, "each once");
}

#[test]
fn an_array_is_handed_over_and_controlled_as_a_whole() {
    let (_dir, bench, session) = fresh();
    let bulk = Bulk { begin: 1, end: 5, step: 2, max_parallel: 2 };
    let held = JobTemplate { submit_as_hold: true, ..template("sleep") };
    let array = session.run_bulk_jobs(&held, bulk).unwrap();
    let jobs = array.jobs().unwrap();
    let all_are = |state| jobs.iter().all(|job| job.state().unwrap().0 == state);
    assert!(jobs.len() == 3 && all_are(JobState::QueuedHeld));
    bench.tracker.set_slow(true);
    array.control(Control::Release).unwrap();
    assert!(all_are(JobState::Queued));
    array.control(Control::Hold).unwrap();
    assert!(jobs.iter().all(|job| state_there(&bench, job) == JobState::QueuedHeld));
    bench.tracker.set_slow(false);
    array.control(Control::Release).unwrap();
    session.wait_all_started(&jobs, Timeout::Infinite).unwrap();
    let orders = bench.tracker.orders();
    assert!(orders.iter().all(|order| order.task.as_ref().unwrap().max_parallel == Some(2)));
    array.control(Control::Terminate).unwrap();
    session.wait_all_terminated(&jobs, Timeout::Infinite).unwrap();
}

#[test]
fn a_job_that_the_runtime_lets_run_again_is_requeued() {
    let (_dir, bench, session) = fresh();
    let job = session.run_job(template("sleep")).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    bench.tracker.set_slow(true);
    bench.tracker.requeue(&job.id);
    settle(&bench.world, &job.id, |state| state == JobState::Requeued).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Requeued);
    job.control(Control::Hold).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::RequeuedHeld);
    bench.tracker.set_slow(false);
    job.control(Control::Release).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    bench.tracker.exit(&job.id, 7);
    job.wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!((job.info().unwrap().exit_status, bench.tracker.orders().len()), (Some(7), 2));
}

#[test]
fn a_job_that_was_not_handed_over_outlives_its_submitter() {
    let dir = tempfile::tempdir().unwrap();
    let mut submitter = Bench::on(dir.path(), FakeTracker::with_queue());
    let session = JobSession::create(None, None).unwrap();
    let held = JobTemplate { submit_as_hold: true, ..template("sleep") };
    submitter.tracker.refuse_next(Error::new(ErrorCode::DrmCommunication, "down"));
    let job = session.run_job(held).unwrap();
    submitter.die();
    let other = Bench::on(dir.path(), Arc::clone(&submitter.tracker));
    let engine = other.world.default_engine().unwrap();
    engine.subscribe();
    engine.settle_soon();
    job.control(Control::Terminate).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    assert!(other.tracker.orders().is_empty());
}

#[test]
fn a_job_that_the_runtime_forgets_is_handed_over_again() {
    let (_dir, bench, session) = fresh();
    let job = held(&session);
    while !bench.world.store.claimed_jobs(&bench.world.mine).unwrap().is_empty() {
        std::thread::yield_now();
    }
    bench.tracker.lose(&job.id);
    assert_eq!(code(job.control(Control::Release)), ErrorCode::TryLater);
    bench.world.default_engine().unwrap().settle_all().unwrap();
    while bench.tracker.job_state(&job.id).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(state_there(&bench, &job), JobState::QueuedHeld);
    job.control(Control::Release).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    assert_eq!(bench.tracker.orders().len(), 1);
}

#[test]
fn a_running_job_that_the_runtime_forgets_is_handed_over_again_if_it_may_run_again() {
    let (_dir, bench, session) = fresh();
    for rerunnable in [true, false] {
        let job = session.run_job(JobTemplate { rerunnable, ..template("sleep") }).unwrap();
        job.wait_started(Timeout::Infinite).unwrap();
        let runs = bench.tracker.orders().len();
        bench.tracker.set_slow(true);
        bench.tracker.lose(&job.id);
        bench.world.default_engine().unwrap().settle_all().unwrap();
        if !rerunnable {
            job.wait_terminated(Timeout::Zero).unwrap();
            let why = job.info().unwrap().annotation.unwrap();
            assert!(why.starts_with("runtime lost"), "{why}");
            continue;
        }
        assert_eq!(job.state().unwrap().0, JobState::Requeued);
        while bench.tracker.job_state(&job.id).is_err() {
            std::thread::yield_now();
        }
        bench.tracker.set_slow(false);
        job.wait_started(Timeout::Infinite).unwrap();
        assert_eq!(bench.tracker.orders().len(), runs + 1);
        bench.tracker.exit(&job.id, 7);
        job.wait_terminated(Timeout::Infinite).unwrap();
        assert_eq!(job.info().unwrap().exit_status, Some(7));
    }
}

#[test]
fn a_late_report_changes_nothing() {
    let (_dir, bench, session) = fresh();
    let engine = bench.world.default_engine().unwrap();
    let late = |job: &JobRef, how: Waiting| {
        engine.take(Fact::Waits { id: job.id.clone(), how }).unwrap();
        job.state().unwrap().0
    };
    let running = session.run_job(template("sleep")).unwrap();
    running.wait_started(Timeout::Infinite).unwrap();
    bench.tracker.set_slow(true);
    let waiting = held(&session);
    waiting.control(Control::Release).unwrap();
    assert_eq!(late(&running, Waiting { again: true, ..Waiting::default() }), JobState::Running);
    assert_eq!(late(&waiting, Waiting { held: true, ..Waiting::default() }), JobState::Queued);
    let reason = Some("Resources".to_owned());
    assert_eq!(
        late(&waiting, Waiting { reason: reason.clone(), ..Waiting::default() }),
        JobState::Queued
    );
    assert_eq!(waiting.state().unwrap().1, reason);
}
