//! Clients that wait for the same jobs again and again.

use std::thread;
use std::time::Duration;

use super::tests::{NOBODY, Site, is_root};
use crate::model::{Control, ErrorCode, JobTemplate};
use crate::session::tests::{code, template};
use crate::session::{Bulk, JobSession, Timeout, process};

const A_MOMENT: Timeout = Timeout::After(Duration::from_millis(1));

#[test]
fn the_broker_tells_of_a_job_until_it_has_ended() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    let world = &site.bench.world;
    site.of(NOBODY, |connection| {
        let session = JobSession::create(None, None).unwrap();
        let held = JobTemplate { submit_as_hold: true, ..template("0") };
        let bulk = Bulk { begin: 1, end: 4, step: 1, max_parallel: 0 };
        let mut jobs = session.run_bulk_jobs(&held, bulk).unwrap().jobs().unwrap();
        let wait = |jobs: &[_]| session.wait_any_terminated(jobs, A_MOMENT);
        assert_eq!(code(wait(&jobs)), ErrorCode::Timeout);
        assert!(jobs.iter().all(|job| world.waits.has(&job.id)));
        for round in 0..4 {
            if round == 2 {
                connection.break_link();
            }
            let ended = jobs.remove(0);
            ended.control(Control::Terminate).unwrap();
            let all = [jobs.clone(), vec![ended.clone()]].concat();
            assert_eq!(wait(&all).unwrap(), ended);
            // What the client says by the way is said before this is answered.
            session.check_open().unwrap();
            assert!(!world.waits.has(&ended.id));
            assert!(jobs.iter().all(|job| world.waits.has(&job.id)));
            if !jobs.is_empty() {
                assert_eq!(code(wait(&jobs)), ErrorCode::Timeout);
            }
        }
        JobSession::destroy(session.name()).unwrap();
    });
}

#[test]
fn a_wait_after_the_link_was_lost_is_told_of_the_end() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    site.of(NOBODY, |connection| {
        let session = JobSession::create(None, None).unwrap();
        let job = session.run_job(template("sleep")).unwrap();
        job.wait_started(Timeout::Infinite).unwrap();
        for breaks in [true, false, true] {
            assert_eq!(code(job.wait_terminated(A_MOMENT)), ErrorCode::Timeout);
            if breaks {
                // Nobody waits, so nobody but the next call makes it anew.
                connection.break_link();
            }
            session.check_open().unwrap();
        }
        thread::scope(|scope| {
            let all = [job.clone()];
            let waits = scope.spawn({
                let (door, session) = (process::door().unwrap(), &session);
                move || {
                    process::use_door(door);
                    session.wait_any_terminated(&all, Timeout::Infinite)
                }
            });
            while !site.bench.world.waits.is_any() {
                thread::yield_now();
            }
            site.bench.tracker.exit(&job.id, 0);
            assert_eq!(waits.join().unwrap().unwrap(), job);
        });
        JobSession::destroy(session.name()).unwrap();
    });
}

#[test]
fn a_wait_sees_the_state_that_was_told_before() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    site.of(NOBODY, |_| {
        let session = JobSession::create(None, None).unwrap();
        let held = JobTemplate { submit_as_hold: true, ..template("0") };
        for _ in 0..20 {
            let job = session.run_job(held.clone()).unwrap();
            assert_eq!(code(job.wait_terminated(A_MOMENT)), ErrorCode::Timeout);
            job.control(Control::Terminate).unwrap();
            job.wait_terminated(Timeout::Zero).unwrap();
        }
        JobSession::destroy(session.name()).unwrap();
    });
}
