//! The removal of leftovers of jobs, on a fake tracker.

use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::progress::Doing;
use super::tests::{Bench, fresh, start, template};
use super::{JobSession, Timeout};
use crate::model::{Error, Outcome};
use crate::store::Claim;
use crate::tracker::{Fact, JobTracker};

#[test]
fn who_only_opens_a_session_removes_what_others_have_left_before_it_closes_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::new(dir.path());
    let tracker = Arc::clone(&first.tracker);
    let session = JobSession::create(Some("s"), None).unwrap();
    let job = start(&session, template("sleep"));
    // A process stores the end of the job, and then dies.
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let claim = Claim::of_process(other.id()).unwrap();
    tracker.set_silent(true);
    // The threads of the first process still exist here, and must not do it.
    tracker.set_stuck(true);
    tracker.exit(&job.id, 0);
    assert!(first.world.store.job_ended(&job.id, &Outcome::failed("x"), &claim).unwrap());
    drop(first);
    other.kill().unwrap();
    other.wait().unwrap();
    tracker.leave("an attempt");
    tracker.set_silent(false);

    let second = Bench::on(dir.path(), Arc::clone(&tracker));
    assert_eq!(tracker.list_jobs().unwrap(), [job.id]);
    tracker.set_stuck(false);
    JobSession::open("s").unwrap().close().unwrap();
    assert!(tracker.list_jobs().unwrap().is_empty());
    assert!(tracker.leftovers(&|_| Ok(false)).unwrap().is_empty());
    assert!(second.world.store.unsettled_targets().unwrap().is_empty());
}

#[test]
fn what_cannot_be_removed_is_tried_again_each_time_later_and_shows() {
    let (_dir, bench, session) = fresh();
    bench.tracker.set_stuck(true);
    let begun = Instant::now();
    let job = session.run_job(template("0")).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    // Each failure after the first changes the store.
    let annotation = loop {
        let seen = bench.world.changes.seen();
        if let Some(annotation) = job.info().unwrap().annotation {
            break annotation;
        }
        bench.world.changes.wait(seen, None);
    };
    assert!(annotation.contains("cannot be removed: device or resource busy"), "{annotation}");
    assert!(begun.elapsed() >= Duration::from_millis(900), "it was tried again too soon");
    assert!(bench.tracker.failed_deletions() <= 3);
    // Closing does not wait for it.
    session.close().unwrap();
    bench.tracker.set_stuck(false);
    let engine = bench.world.default_engine().unwrap();
    while bench.world.store.may_have_leftovers(&job.id).unwrap() {
        let seen = bench.world.changes.seen();
        if bench.world.store.may_have_leftovers(&job.id).unwrap() {
            bench.world.changes.wait(seen, None);
        }
    }
    assert!(engine.next_try().is_none() && bench.tracker.list_jobs().unwrap().is_empty());
}

#[test]
fn what_was_given_up_keeps_no_agent_and_is_removed_by_who_opens_next() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::new(dir.path());
    let tracker = Arc::clone(&first.tracker);
    let session = JobSession::create(Some("s"), None).unwrap();
    tracker.set_stuck(true);
    let job = session.run_job(template("0")).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    let engine = first.world.default_engine().unwrap();
    // Simulates minutes of tries.
    let busy = Error::internal("busy");
    (0..8).for_each(|_| engine.not_deleted(&job.id, &busy));
    assert!(first.world.store.unsettled_targets().unwrap().is_empty());
    assert!(job.info().unwrap().annotation.unwrap().contains("busy"));
    drop((engine, first));
    tracker.set_stuck(false);
    let _second = Bench::on(dir.path(), Arc::clone(&tracker));
    JobSession::open("s").unwrap().close().unwrap();
    assert!(tracker.list_jobs().unwrap().is_empty());
    assert_eq!(job.info().unwrap().annotation, None);
}

#[test]
fn a_late_report_of_the_start_does_not_hide_that_an_ended_job_is_cleaned_up() {
    let (_dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    let engine = bench.world.default_engine().unwrap();
    // Simulates the thread that stores the end, before it has.
    engine.progress.lock().clean(&job.id);
    engine.take(Fact::Started { id: job.id.clone(), at: 0, image: None }).unwrap();
    assert_eq!(engine.progress.lock().doing(&job.id), Some(Doing::Cleaning));
    engine.done(&job.id);
    assert_eq!(engine.progress.lock().doing(&job.id), Some(Doing::Cleaning));
    engine.cleaned(&job.id);
    session.close().unwrap();
}

#[test]
fn an_end_that_is_told_by_several_at_once_is_cleaned_up_before_the_session_closes() {
    for _ in 0..50 {
        let (_dir, bench, session) = fresh();
        let job = start(&session, template("sleep"));
        bench.tracker.set_silent(true);
        bench.tracker.exit(&job.id, 0);
        bench.tracker.set_silent(false);
        let (engine, info) =
            (bench.world.default_engine().unwrap(), bench.tracker.job_info(&job.id).unwrap());
        let at_once = Barrier::new(4);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    at_once.wait();
                    engine.take(Fact::Ended { id: job.id.clone(), outcome: info.outcome() }).unwrap();
                });
            }
        });
        let is_cleaning = engine.progress.lock().doing(&job.id) == Some(Doing::Cleaning);
        assert!(is_cleaning || !bench.world.store.may_have_leftovers(&job.id).unwrap());
        session.close().unwrap();
        assert!(bench.tracker.list_jobs().unwrap().is_empty());
    }
}
