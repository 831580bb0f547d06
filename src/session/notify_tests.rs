//! Notifications on a fake tracker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use super::door::Door;
use super::process;
use super::tests::{Bench, MONITORING, fresh, start, template};
use super::{Bulk, JobRef, JobSession, MonitoringSession, Notification, Timeout, notify};
use crate::model::JobState::{self, Done, Failed, Queued, QueuedHeld, Running, Suspended};
use crate::model::{Control, JobTemplate};
use crate::tracker::{Fact, JobTracker};

/// Register a callback, as the process of this thread. Its notifications come out of the receiver.
fn listen() -> Receiver<Notification> {
    let (told, receiver) = mpsc::channel();
    // The test may have ended already.
    notify(Some(Arc::new(move |news: &Notification| drop(told.send(news.clone()))))).unwrap();
    receiver
}

/// The notified states, up to and including `last`; all are of this job.
fn until(last: JobState, told: &Receiver<Notification>, job: &JobRef) -> Vec<JobState> {
    let mut states = Vec::new();
    while states.last() != Some(&last) {
        let news = told.recv().unwrap();
        assert_eq!((news.job, news.session), (job.id.clone(), job.session.clone()));
        states.push(news.state);
    }
    states
}

fn held() -> JobTemplate {
    JobTemplate { submit_as_hold: true, ..template("sleep") }
}

#[test]
fn each_state_is_told_once_and_in_order() {
    let (_dir, bench, session) = fresh();
    start(&session, template("sleep"));
    let told = listen();
    let job = session.run_job(held()).unwrap();
    job.control(Control::Release).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    job.control(Control::Suspend).unwrap();
    job.control(Control::Resume).unwrap();
    bench.tracker.exit(&job.id, 0);
    let states = [QueuedHeld, Queued, Running, Suspended, Running, Done];
    assert_eq!(until(Done, &told, &job), states);
    let next = session.run_job(template("1")).unwrap();
    assert_eq!(until(Failed, &told, &next), [Queued, Running, Failed], "nothing comes in between");
}

#[test]
fn every_process_is_told_of_what_any_of_them_does() {
    let (dir, bench, session) = fresh();
    let first = listen();
    let _other = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    let second = listen();
    let job = start(&session, template("sleep"));
    job.control(Control::Suspend).unwrap();
    job.control(Control::Terminate).unwrap();
    for told in [first, second] {
        assert_eq!(until(Failed, &told, &job), [Queued, Running, Suspended, Failed]);
    }
}

#[test]
fn a_suspension_that_is_heard_of_late_is_not_told_again() {
    let (_dir, bench, session) = fresh();
    let told = listen();
    let job = start(&session, template("sleep"));
    job.control(Control::Suspend).unwrap();
    job.control(Control::Resume).unwrap();
    let engine = bench.world.default_engine().unwrap();
    let late = Fact::Suspended { id: job.id.clone(), at: 1 };
    engine.take(late.clone()).unwrap();
    assert_eq!(job.state().unwrap().0, Running);
    // A report that the clock makes look late is checked by a look-up.
    bench.tracker.set_silent(true);
    bench.tracker.job_control(&job.id, Control::Suspend).unwrap();
    engine.take(late).unwrap();
    assert_eq!(job.state().unwrap().0, Suspended);
    bench.tracker.set_silent(false);
    bench.tracker.exit(&job.id, 0);
    assert_eq!(until(Done, &told, &job), [Queued, Running, Suspended, Running, Suspended, Done]);
}

#[test]
fn a_thousand_tasks_are_told_of_one_by_one() {
    let (_dir, _bench, session) = fresh();
    let told = listen();
    let bulk = Bulk { begin: 1, end: 1000, step: 1, max_parallel: 0 };
    let array = session.run_bulk_jobs(&template("0"), bulk).unwrap();
    let mut left: std::collections::HashMap<String, &[JobState]> =
        array.jobs().unwrap().into_iter().map(|job| (job.id, &[Queued, Running, Done][..])).collect();
    while !left.is_empty() {
        let news = told.recv().unwrap();
        let (next, rest) = left[&news.job].split_first().unwrap();
        assert_eq!(news.state, *next, "{}", news.job);
        if rest.is_empty() {
            left.remove(&news.job);
        } else {
            left.insert(news.job, rest);
        }
    }
}

#[test]
fn jobs_of_sessions_that_are_not_open_are_not_told_of() {
    let _unwatched = MONITORING.read();
    let (_dir, bench, session) = fresh();
    let closed = JobSession::create(None, None).unwrap();
    let hidden = start(&closed, template("sleep"));
    closed.close().unwrap();
    let told = listen();
    bench.tracker.exit(&hidden.id, 0);
    let job = session.run_job(template("0")).unwrap();
    assert_eq!(until(Done, &told, &job), [Queued, Running, Done]);
    // Its jobs are notified from the moment at which a session is opened.
    let opened = JobSession::open(closed.name()).unwrap();
    let job = opened.run_job(template("0")).unwrap();
    assert_eq!(until(Done, &told, &job), [Queued, Running, Done]);
}

#[test]
fn with_a_monitoring_session_every_job_is_told_of() {
    let _watching = MONITORING.write();
    let (_dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    session.close().unwrap();
    let told = listen();
    let monitoring = MonitoringSession::open().unwrap();
    bench.tracker.exit(&job.id, 0);
    assert_eq!(until(Done, &told, &job), [Done]);
    monitoring.close().unwrap();
}

#[test]
fn a_callback_may_use_the_api() {
    let (_dir, bench, session) = fresh();
    let (told, receiver) = mpsc::channel();
    let world = Arc::clone(&bench.world);
    notify(Some(Arc::new(move |news: &Notification| {
        process::use_door(Door::Here(Arc::clone(&world)));
        let job = JobRef { id: news.job.clone(), session: news.session.clone(), name: None };
        match news.state {
            QueuedHeld => job.control(Control::Release).unwrap(),
            Running => job.control(Control::Terminate).unwrap(),
            Failed => job.wait_terminated(Timeout::Infinite).unwrap(),
            _ => {}
        }
        told.send(news.clone()).unwrap();
    })))
    .unwrap();
    let job = session.run_job(held()).unwrap();
    assert_eq!(until(Failed, &receiver, &job), [QueuedHeld, Queued, Running, Failed]);
}

#[test]
fn a_callback_that_unregisters_itself_is_called_no_more() {
    let (_dir, bench, session) = fresh();
    let (told, first) = mpsc::channel();
    let world = Arc::clone(&bench.world);
    notify(Some(Arc::new(move |news: &Notification| {
        process::use_door(Door::Here(Arc::clone(&world)));
        notify(None).unwrap();
        told.send(news.clone()).unwrap();
    })))
    .unwrap();
    let job = session.run_job(template("0")).unwrap();
    assert_eq!(until(Queued, &first, &job), [Queued]);
    job.wait_terminated(Timeout::Infinite).unwrap();
    // Missed events are not delivered later either.
    let second = listen();
    let job = session.run_job(template("0")).unwrap();
    assert_eq!(until(Done, &second, &job), [Queued, Running, Done]);
    assert!(first.recv().is_err(), "nobody is there to tell it any more");
    notify(None).unwrap();
    notify(None).unwrap();
}

#[test]
fn who_unregisters_a_callback_waits_until_it_has_returned() {
    let (_dir, bench, session) = fresh();
    let (inside, is_inside) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let may_leave = Mutex::new(may_leave);
    let returned = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&returned);
    notify(Some(Arc::new(move |_: &Notification| {
        inside.send(()).unwrap();
        may_leave.lock().unwrap().recv().unwrap();
        flag.store(true, Ordering::SeqCst);
    })))
    .unwrap();
    session.run_job(template("0")).unwrap();
    is_inside.recv().unwrap();
    let world = Arc::clone(&bench.world);
    let unregistering = thread::spawn(move || {
        process::use_door(Door::Here(Arc::clone(&world)));
        notify(None).unwrap();
        returned.load(Ordering::SeqCst)
    });
    // It is gone from the store before the call waits for it.
    while bench.world.store.claimers().unwrap().contains(&bench.world.mine) {
        thread::yield_now();
    }
    leave.send(()).unwrap();
    assert!(unregistering.join().unwrap());
}

#[test]
fn between_two_callbacks_nothing_is_lost() {
    let (_dir, _bench, session) = fresh();
    let states = Arc::new(Mutex::new(Vec::new()));
    let (done, is_done) = mpsc::channel();
    let register = || {
        let (states, done) = (Arc::clone(&states), done.clone());
        notify(Some(Arc::new(move |news: &Notification| {
            states.lock().unwrap().push(news.state);
            if news.state == Done {
                done.send(()).unwrap();
            }
        })))
        .unwrap();
    };
    register();
    let job = session.run_job(template("0")).unwrap();
    while job.wait_terminated(Timeout::Zero).is_err() {
        register();
    }
    is_done.recv().unwrap();
    assert_eq!(*states.lock().unwrap(), [Queued, Running, Done]);
}

#[test]
fn who_does_no_more_than_listen_hears_of_the_end_of_jobs() {
    let (dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    bench.tracker.set_silent(true);
    bench.tracker.exit(&job.id, 0);
    bench.tracker.set_silent(false);
    let _other = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    let told = listen();
    assert_eq!(until(Done, &told, &job), [Done]);
}

#[test]
fn a_listener_that_has_died_is_forgotten() {
    let (dir, bench, session) = fresh();
    let mut other = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    let _told = listen();
    let claims = || bench.world.store.claimers().unwrap();
    assert!(claims().contains(&other.world.mine));
    other.die();
    session.run_job(template("0")).unwrap();
    // No callback is called for it.
    while claims().contains(&other.world.mine) {
        thread::yield_now();
    }
}
