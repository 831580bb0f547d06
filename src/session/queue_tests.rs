//! The queue on a fake tracker: holds, slots, start times, arrays, ends and waits of many jobs.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::settle;
use super::tests::{Bench, code, fresh, start, template};
use super::{Bulk, JobRef, JobSession, Timeout};
use crate::model::{Control, Error, ErrorCode, JobState, JobTemplate, Outcome};
use crate::store::Which;
use crate::tracker::Fact;
use crate::tracker::fake::FakeTracker;

#[test]
fn a_job_that_could_not_be_started_is_tried_again() {
    let (_dir, bench, session) = fresh();
    bench.tracker.refuse_next(Error::new(ErrorCode::TryLater, "full"));
    let job = start(&session, template("sleep"));
    assert_eq!(bench.tracker.orders().len(), 1);
    assert_eq!(job.state().unwrap().0, JobState::Running);
}

#[test]
fn a_runtime_that_is_away_is_not_the_end_of_a_job() {
    let (_dir, bench, session) = fresh();
    let job = starting(&bench, &session, "sleep");
    let engine = bench.world.default_engine().unwrap();
    for _ in 0..9 {
        let error = Error::new(ErrorCode::DrmCommunication, "away");
        engine.take(Fact::NotStarted { id: job.id.clone(), error }).unwrap();
        assert_eq!(job.state().unwrap().0, JobState::Queued);
        bench.tracker.wait_until_starting(&job.id);
    }
}

/// A job that fills the disk, for instance. It runs, so nobody starts it again.
#[test]
fn a_start_that_cannot_be_stored_is_stored_later() {
    let (dir, bench, session) = fresh();
    let sql = rusqlite::Connection::open(dir.path().join("drmaa2.db")).unwrap();
    let refusal =
        "CREATE TRIGGER no_room BEFORE UPDATE OF started ON jobs BEGIN SELECT raise(FAIL, 'full'); END";
    sql.execute_batch(refusal).unwrap();
    let job = session.run_job(template("sleep")).unwrap();
    let timeout = Timeout::After(Duration::from_millis(100));
    assert_eq!(code(job.wait_started(timeout)), ErrorCode::Timeout);
    assert_eq!(job.state().unwrap(), (JobState::Queued, Some("creating".into())));
    sql.execute_batch("DROP TRIGGER no_room").unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Running);
    assert_eq!(bench.tracker.orders().len(), 1);
}

/// Its shim was killed after it had told the start, and before the command.
#[test]
fn a_job_that_was_lost_after_its_start_was_told_and_before_it_has_begun_runs_again() {
    let (_dir, bench, session) = fresh();
    bench.tracker.set_slow(true);
    let job = session.run_job(JobTemplate { rerunnable: true, ..template("sleep") }).unwrap();
    bench.tracker.wait_until_starting(&job.id);
    let engine = bench.world.default_engine().unwrap();
    engine.take(Fact::Started { id: job.id.clone(), at: 1, image: None }).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Running);
    let outcome = Outcome { lost: true, ..Outcome::failed("killed before its command was started") };
    engine.take(Fact::Ended { id: job.id.clone(), outcome }).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Requeued);
}

/// To every process, the end of a task that cannot be started looks like the end of the job.
#[test]
fn the_end_of_a_job_that_somebody_starts_is_left_to_him_without_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let starter = Bench::new(dir.path());
    let session = JobSession::create(None, None).unwrap();
    let [job, recorded] = [0, 1].map(|_| starting(&starter, &session, "sleep"));
    let other = Bench::on(dir.path(), FakeTracker::new());
    let hear = |bench: &Bench, outcome: &Outcome| {
        let fact = Fact::Ended { id: job.id.clone(), outcome: outcome.clone() };
        bench.world.default_engine().unwrap().take(fact).unwrap();
        job.state().unwrap().0
    };
    let unrecorded = Outcome { exit_status: Some(1), ..Outcome::failed("killed") };
    for outcome in [&unrecorded, &Outcome { lost: true, ..unrecorded.clone() }] {
        assert_eq!(hear(&other, outcome), JobState::Queued);
    }
    assert_eq!(hear(&starter, &Outcome::failed("the runtime's own error")), JobState::Failed);
    assert_eq!(job.info().unwrap().annotation.as_deref(), Some("the runtime's own error"));

    let outcome = Outcome { started: Some(1), ..unrecorded };
    let fact = Fact::Ended { id: recorded.id.clone(), outcome };
    other.world.default_engine().unwrap().take(fact).unwrap();
    assert_eq!(recorded.state().unwrap().0, JobState::Failed);
}

#[test]
fn a_held_job_waits_for_its_release() {
    let (dir, bench, session) = fresh();
    let held = JobTemplate { submit_as_hold: true, ..template("sleep") };
    let job = session.run_job(held).unwrap();
    assert_eq!(job.state().unwrap(), (JobState::QueuedHeld, None));
    assert_eq!(code(job.control(Control::Hold)), ErrorCode::InvalidState);
    assert_eq!(code(job.control(Control::Suspend)), ErrorCode::InvalidState);
    // Submitted later, started before.
    start(&session, template("sleep"));
    assert_eq!(bench.tracker.orders().len(), 1);
    let other = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    job.control(Control::Release).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    assert_eq!(code(job.control(Control::Release)), ErrorCode::InvalidState);
    drop(other);
}

/// Submit a job whose start is in progress.
fn starting(bench: &Bench, session: &JobSession, command: &str) -> JobRef {
    bench.tracker.set_slow(true);
    let job = session.run_job(template(command)).unwrap();
    bench.tracker.wait_until_starting(&job.id);
    assert_eq!(job.state().unwrap(), (JobState::Queued, Some("creating".into())));
    job
}

#[test]
fn a_job_that_is_being_started_can_be_held() {
    let dir = tempfile::tempdir().unwrap();
    let starter = Bench::with_slots(dir.path(), FakeTracker::new(), Some(1));
    let session = JobSession::create(None, None).unwrap();
    let job = starting(&starter, &session, "0");
    job.control(Control::Hold).unwrap();
    assert_eq!(job.state().unwrap(), (JobState::QueuedHeld, None));
    assert_eq!(code(job.control(Control::Hold)), ErrorCode::InvalidState);
    // Its slot is free.
    starter.tracker.set_slow(false);
    start(&session, template("sleep")).control(Control::Terminate).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::QueuedHeld);
    assert!(starter.tracker.orders().iter().all(|order| order.id != job.id));
    job.control(Control::Release).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!(job.info().unwrap().exit_status, Some(0));
    assert_eq!(starter.tracker.orders().iter().filter(|order| order.id == job.id).count(), 1);
}

#[test]
fn who_holds_a_job_too_late_is_told_and_finds_it_running() {
    let (_dir, bench, session) = fresh();
    let job = starting(&bench, &session, "sleep");
    // It starts, without a report.
    bench.tracker.set_silent(true);
    bench.tracker.set_slow(false);
    assert_eq!(code(job.control(Control::Hold)), ErrorCode::InvalidState);
    assert_eq!(job.state().unwrap().0, JobState::Running);
    bench.tracker.set_silent(false);
    bench.tracker.exit(&job.id, 0);
    job.wait_terminated(Timeout::Infinite).unwrap();
}

#[test]
fn a_wish_to_hold_a_job_outlives_who_has_it_and_who_starts_the_job() {
    let dir = tempfile::tempdir().unwrap();
    let mut starter = Bench::new(dir.path());
    let session = JobSession::create(None, None).unwrap();
    let job = starting(&starter, &session, "0");
    assert_eq!(starter.world.store.hold(Which::Job(&job.id)).unwrap().starting.len(), 1);
    starter.die();
    let other = Bench::on(dir.path(), Arc::clone(&starter.tracker));
    other.world.default_engine().unwrap().subscribe();
    let held = |state| state == JobState::QueuedHeld;
    settle(&other.world, &job.id, held).unwrap();
    assert!(held(job.state().unwrap().0));
}

#[test]
fn the_tasks_of_an_array_that_have_not_begun_are_held() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with_slots(dir.path(), FakeTracker::new(), Some(2));
    let session = JobSession::create(None, None).unwrap();
    let bulk = Bulk { begin: 1, end: 4, step: 1, max_parallel: 0 };
    let running = start(&session, template("sleep"));
    bench.tracker.set_slow(true);
    let array = session.run_bulk_jobs(&template("0"), bulk).unwrap();
    let tasks = array.jobs().unwrap();
    array.control(Control::Hold).unwrap();
    for task in &tasks {
        assert_eq!(task.state().unwrap().0, JobState::QueuedHeld);
    }
    assert_eq!(code(array.control(Control::Hold)), ErrorCode::InvalidState);
    bench.tracker.set_slow(false);
    array.control(Control::Release).unwrap();
    for task in &tasks {
        task.wait_terminated(Timeout::Infinite).unwrap();
        assert_eq!(bench.tracker.orders().iter().filter(|order| order.id == task.id).count(), 1);
    }
    bench.tracker.exit(&running.id, 0);
}

#[test]
fn no_more_jobs_run_than_there_are_slots() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with_slots(dir.path(), FakeTracker::new(), Some(3));
    let session = JobSession::create(None, None).unwrap();
    let wide = JobTemplate { min_slots: Some(2), ..template("sleep") };
    let first = start(&session, wide.clone());
    let blocked = session.run_job(wide).unwrap();
    let behind = session.run_job(template("sleep")).unwrap();
    let urgent = start(&session, JobTemplate { priority: Some(1), ..template("sleep") });
    assert_eq!(first.info().unwrap().slots, Some(2));
    assert_eq!(blocked.state().unwrap(), (JobState::Queued, Some("slots".into())));
    bench.tracker.exit(&urgent.id, 0);
    bench.tracker.exit(&first.id, 0);
    blocked.wait_started(Timeout::Infinite).unwrap();
    behind.wait_started(Timeout::Infinite).unwrap();
    let too_wide = JobTemplate { min_slots: Some(4), ..template("0") };
    assert_eq!(code(session.run_job(too_wide)), ErrorCode::InvalidArgument);
    let no_queue = JobTemplate { queue_name: Some("none".into()), ..template("0") };
    assert_eq!(code(session.run_job(no_queue)), ErrorCode::InvalidArgument);
}

#[test]
fn a_job_starts_at_its_time() {
    let (_dir, _bench, session) = fresh();
    let at = crate::model::now() / 1000 + 2;
    let job = session.run_job(JobTemplate { start_time: Some(at), ..template("sleep") }).unwrap();
    assert_eq!(job.state().unwrap(), (JobState::Queued, Some("start-time".into())));
    job.wait_started(Timeout::Infinite).unwrap();
    assert!(job.info().unwrap().dispatched.unwrap() >= at * 1000);
}

fn bulk(end: i64, max_parallel: i64) -> Bulk {
    Bulk { begin: 1, end, step: 1, max_parallel }
}

#[test]
fn an_array_is_controlled_as_one() {
    let (dir, bench, session) = fresh();
    let out = dir.path().join("out.$DRMAA2_INDEX$");
    let tasks = JobTemplate { output_path: Some(out.as_path().into()), ..template("sleep") };
    let array = session.run_bulk_jobs(&tasks, bulk(4, 2)).unwrap();
    let jobs = array.jobs().unwrap();
    assert_eq!(jobs.len(), 4);
    assert_eq!(session.jobs(None).unwrap(), jobs);
    assert_eq!(array.template().unwrap(), tasks);
    assert_eq!(session.job_array(&array.id).unwrap(), array);
    for job in &jobs[..2] {
        job.wait_started(Timeout::Infinite).unwrap();
    }
    assert_eq!(jobs[2].state().unwrap(), (JobState::Queued, Some("array-limit".into())));
    assert!(dir.path().join("out.4").exists());
    let order = bench.tracker.orders().remove(1);
    assert!(order.stdio.output.unwrap().to_string().ends_with("out.2"));

    array.control(Control::Suspend).unwrap();
    array.control(Control::Hold).unwrap();
    assert_eq!(code(array.control(Control::Hold)), ErrorCode::InvalidState);
    let states = || -> Vec<JobState> { jobs.iter().map(|job| job.state().unwrap().0).collect() };
    use JobState::{Failed, QueuedHeld, Running, Suspended};
    assert_eq!(states(), [Suspended, Suspended, QueuedHeld, QueuedHeld]);
    array.control(Control::Resume).unwrap();
    assert_eq!(states(), [Running, Running, QueuedHeld, QueuedHeld]);
    bench.tracker.exit(&jobs[0].id, 0);
    array.control(Control::Release).unwrap();
    jobs[2].wait_started(Timeout::Infinite).unwrap();
    assert_eq!(code(array.reap()), ErrorCode::InvalidState);
    array.control(Control::Terminate).unwrap();
    for job in &jobs {
        job.wait_terminated(Timeout::Infinite).unwrap();
    }
    assert_eq!(jobs[3].info().unwrap().state, Failed);
    assert_eq!(code(array.control(Control::Terminate)), ErrorCode::InvalidState);
    array.reap().unwrap();
    assert!(session.jobs(None).unwrap().is_empty());
    assert_eq!(code(session.job_array("none")), ErrorCode::InvalidArgument);
    let bad = Bulk { begin: 0, ..bulk(3, 0) };
    assert_eq!(code(session.run_bulk_jobs(&tasks, bad)), ErrorCode::InvalidArgument);
}

#[test]
fn a_job_that_is_killed_is_not_asked() {
    let (_dir, _bench, session) = fresh();
    let job = start(&session, template("sleep"));
    job.control_all(Control::Kill).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!(job.info().unwrap().terminating_signal.as_deref(), Some("SIGKILL"));
    assert_eq!(code(job.control(Control::Kill)), ErrorCode::InvalidState);
    let held = session.run_job(JobTemplate { submit_as_hold: true, ..template("sleep") }).unwrap();
    held.control(Control::Kill).unwrap();
    assert_eq!(held.info().unwrap().annotation.as_deref(), Some("terminated before it started"));
}

#[test]
fn wait_all_wants_every_one() {
    let (_dir, bench, session) = fresh();
    let held = session.run_job(JobTemplate { submit_as_hold: true, ..template("sleep") }).unwrap();
    let jobs = [start(&session, template("sleep")), held];
    assert_eq!(code(session.wait_all_started(&jobs, Timeout::Zero)), ErrorCode::Timeout);
    session.wait_all_started(&jobs[..1], Timeout::Zero).unwrap();
    jobs[1].control(Control::Release).unwrap();
    session.wait_all_started(&jobs, Timeout::Infinite).unwrap();
    // In either order.
    bench.tracker.exit(&jobs[1].id, 0);
    assert_eq!(code(session.wait_all_terminated(&jobs, Timeout::Zero)), ErrorCode::Timeout);
    bench.tracker.exit(&jobs[0].id, 1);
    session.wait_all_terminated(&jobs, Timeout::Infinite).unwrap();
    session.wait_all_started(&jobs, Timeout::Zero).unwrap();
    assert_eq!(code(session.wait_all_started(&[], Timeout::Zero)), ErrorCode::InvalidArgument);
    let stranger = JobRef { session: Some("other".into()), ..jobs[0].clone() };
    assert_eq!(code(session.wait_all_started(&[stranger], Timeout::Zero)), ErrorCode::InvalidArgument);
}

#[test]
fn one_task_ends_all() {
    let (_dir, _bench, session) = fresh();
    let array = session.run_bulk_jobs(&template("sleep"), bulk(3, 2)).unwrap();
    let jobs = array.jobs().unwrap();
    session.wait_all_started(&jobs[..2], Timeout::Infinite).unwrap();
    jobs[2].control_all(Control::Kill).unwrap();
    session.wait_all_terminated(&jobs, Timeout::Infinite).unwrap();
    let signal = |job: &JobRef| job.info().unwrap().terminating_signal;
    let killed = Some("SIGKILL".to_owned());
    assert_eq!(jobs.iter().map(signal).collect::<Vec<_>>(), [killed.clone(), killed, None]);
    assert_eq!(code(jobs[0].control_all(Control::Terminate)), ErrorCode::InvalidState);
}

#[test]
fn a_freed_slot_goes_to_a_job_that_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::with_slots(dir.path(), FakeTracker::new(), Some(1));
    let session = JobSession::create(None, None).unwrap();
    let array = session.run_bulk_jobs(&template("sleep"), bulk(9, 0)).unwrap();
    let jobs = array.jobs().unwrap();
    jobs[0].wait_started(Timeout::Infinite).unwrap();
    for pair in jobs.windows(2) {
        bench.tracker.exit(&pair[0].id, 0);
        pair[1].wait_started(Timeout::Infinite).unwrap();
    }
}
