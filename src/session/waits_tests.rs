//! Programs that wait for the same jobs again and again.

use std::sync::Arc;
use std::time::Duration;

use super::door::Door;
use super::tests::{Bench, code, fresh, start, template};
use super::{Bulk, JobRef, JobSession, Timeout, process};
use crate::model::{Control, ErrorCode, JobState, JobTemplate};

const A_MOMENT: Timeout = Timeout::After(Duration::from_millis(1));

fn held() -> JobTemplate {
    JobTemplate { submit_as_hold: true, ..template("0") }
}

fn held_tasks(session: &JobSession, count: i64) -> Vec<JobRef> {
    let bulk = Bulk { begin: 1, end: count, step: 1, max_parallel: 0 };
    session.run_bulk_jobs(&held(), bulk).unwrap().jobs().unwrap()
}

/// Have another process do something.
fn elsewhere(dir: &tempfile::TempDir, bench: &Bench, body: impl FnOnce()) {
    let _another = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    body();
    bench.enter();
}

#[test]
fn each_end_is_found_by_one_wait_for_any() {
    let (_dir, bench, session) = fresh();
    let mut jobs: Vec<JobRef> = (0..20).map(|_| start(&session, template("sleep"))).collect();
    for round in 0..20 {
        assert_eq!(code(session.wait_any_terminated(&jobs, A_MOMENT)), ErrorCode::Timeout);
        // Nobody waits in this moment.
        let ended = jobs[round * 7 % jobs.len()].clone();
        bench.tracker.exit(&ended.id, 0);
        assert_eq!(session.wait_any_terminated(&jobs, Timeout::Infinite).unwrap(), ended);
        jobs.retain(|job| *job != ended);
    }
}

#[test]
fn more_ends_than_are_read_at_a_time_are_found_by_the_next_wait() {
    let (dir, bench, session) = fresh();
    let mut jobs = held_tasks(&session, 3000);
    assert_eq!(code(session.wait_any_terminated(&jobs, A_MOMENT)), ErrorCode::Timeout);
    let last = jobs.pop().unwrap();
    elsewhere(&dir, &bench, || {
        jobs.iter().for_each(|job| job.control(Control::Terminate).unwrap());
    });
    assert_eq!(session.wait_all_terminated(&jobs, A_MOMENT).unwrap(), jobs);
    let all = [vec![last], jobs.clone()].concat();
    assert_eq!(session.wait_any_terminated(&all, Timeout::Infinite).unwrap(), jobs[0]);
}

#[test]
fn what_another_process_has_reaped_or_destroyed_is_not_waited_for() {
    let (dir, bench, session) = fresh();
    let jobs = held_tasks(&session, 3);
    assert_eq!(code(session.wait_any_started(&jobs, A_MOMENT)), ErrorCode::Timeout);
    elsewhere(&dir, &bench, || {
        jobs[1].control(Control::Terminate).unwrap();
        jobs[1].reap().unwrap();
    });
    assert_eq!(code(session.wait_all_started(&jobs, Timeout::Infinite)), ErrorCode::InvalidArgument);
    assert_eq!(code(session.wait_any_started(&jobs, Timeout::Infinite)), ErrorCode::InvalidArgument);
    assert_eq!(code(session.wait_any_started(&[jobs[0].clone()], A_MOMENT)), ErrorCode::Timeout);
    elsewhere(&dir, &bench, || JobSession::destroy(session.name()).unwrap());
    assert_eq!(code(session.wait_any_started(&jobs[..1], A_MOMENT)), ErrorCode::InvalidSession);
}

#[test]
fn a_job_is_found_by_its_own_session_alone_however_often_it_was_waited_for() {
    let (_dir, _bench, session) = fresh();
    let jobs = held_tasks(&session, 1);
    assert_eq!(code(session.wait_any_started(&jobs, A_MOMENT)), ErrorCode::Timeout);
    let other = JobSession::create(None, None).unwrap();
    let claimed = JobRef { session: Some(other.name().to_owned()), ..jobs[0].clone() };
    assert_eq!(code(other.wait_any_started(&[claimed], A_MOMENT)), ErrorCode::InvalidArgument);
    let renamed = JobRef { name: Some("x".into()), ..jobs[0].clone() };
    jobs[0].control(Control::Release).unwrap();
    let found = session.wait_any_terminated(&[renamed], Timeout::Infinite).unwrap();
    assert_eq!((&found, found.state().unwrap().0), (&jobs[0], JobState::Done));
}

#[test]
fn a_job_of_a_session_that_was_destroyed_is_not_one_of_another_of_that_name() {
    let (dir, bench, _) = fresh();
    let session = JobSession::create(Some("again"), None).unwrap();
    let job = start(&session, template("sleep"));
    assert_eq!(
        code(session.wait_any_terminated(std::slice::from_ref(&job), A_MOMENT)),
        ErrorCode::Timeout
    );
    elsewhere(&dir, &bench, || JobSession::destroy("again").unwrap());
    let other = JobSession::create(Some("again"), None).unwrap();
    assert_eq!(code(other.wait_any_terminated(&[job], A_MOMENT)), ErrorCode::InvalidSession);
}

#[test]
fn an_end_between_two_waits_is_seen_by_the_second() {
    let (dir, bench, session) = fresh();
    for job in held_tasks(&session, 200) {
        assert_eq!(code(job.wait_terminated(A_MOMENT)), ErrorCode::Timeout);
        let another = Bench::on(dir.path(), Arc::clone(&bench.tracker));
        let door = Door::Here(Arc::clone(&another.world));
        bench.enter();
        std::thread::scope(|scope| {
            let ends = scope.spawn(|| {
                process::use_door(door);
                job.control(Control::Terminate).unwrap();
            });
            job.wait_terminated(Timeout::Infinite).unwrap();
            ends.join().unwrap();
        });
    }
}
