//! Holding jobs that are being started.

use super::jobs_tests::{admit, insert, job, phase, store};
use super::*;
use crate::model::{Control, JobState};

/// A job that is being started and is to be held.
fn to_be_held(store: &Store, session: &Session, mine: &Claim, id: &str) {
    insert(store, session, id);
    admit(store, mine, 1, 0);
    let starting = vec![(id.to_owned(), "t".to_owned())];
    assert_eq!(store.hold(Which::Job(id)).unwrap(), Holding { held: 0, starting });
    assert_eq!(job(store, id).info.state, JobState::Queued);
}

#[test]
fn a_job_that_is_being_started_is_held_once_that_is_withdrawn() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    to_be_held(&store, &session, &mine, "a");
    assert!(!store.job_started("a", 5, None).unwrap(), "it may be withdrawn yet");
    store.job_withdrawn("a", 0).unwrap();
    assert_eq!(
        (job(&store, "a").info.state, phase(&store, "a")),
        (JobState::QueuedHeld, Some(Phase::Undoing))
    );
    store.job_withdrawn("a", 0).unwrap();
    assert!(!store.start_withdrawn("a", &mine).unwrap(), "it is to be undone");
    store.job_deleted("a").unwrap();
    assert_eq!(store.release(Which::Job("a")).unwrap(), 1);
    assert_eq!(store.run_after_another("a").unwrap(), Some(1));
    assert!(admit(&store, &mine, 1, 0), "its slot was free");
    assert_eq!(store.hold(Which::Job("a")).unwrap().starting.len(), 1);
    store.job_withdrawn("a", 0).unwrap();
    assert_eq!(job(&store, "a").info.state, JobState::Queued, "a late word about the run before");
    store.forget_hold("a").unwrap();
    assert!(store.job_started("a", 6, None).unwrap());
}

#[test]
fn a_job_whose_command_has_begun_is_not_held() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    to_be_held(&store, &session, &mine, "a");
    assert!(store.job_begun("a", 5, None).unwrap());
    store.job_withdrawn("a", 0).unwrap();
    assert_eq!(job(&store, "a").info.state, JobState::Running);
    assert!(!store.is_to_be_held("a").unwrap());
}

#[test]
fn however_a_start_fails_the_wish_to_hold_the_job_counts() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    to_be_held(&store, &session, &mine, "a");
    assert!(store.start_withdrawn("a", &mine).unwrap());
    assert_eq!(job(&store, "a").info.state, JobState::QueuedHeld);
    to_be_held(&store, &session, &mine, "b");
    assert_eq!(store.job_not_started("b", "full", Some(5), &mine).unwrap(), Retry::Waits);
    assert_eq!(job(&store, "b").info.state, JobState::QueuedHeld);
    to_be_held(&store, &session, &mine, "c");
    store.terminate(Which::Job("c"), Control::Terminate).unwrap();
    assert!(store.start_withdrawn("c", &mine).unwrap());
    assert_eq!(phase(&store, "c"), Some(Phase::Undoing), "something may be left of it");
    store.job_deleted("c").unwrap();
    assert_eq!(job(&store, "c").info.state, JobState::Failed);
    for id in ["a", "b", "c"] {
        assert!(!store.is_to_be_held(id).unwrap());
    }
    // A start that is withdrawn without a wish to hold is only delayed.
    insert(&store, &session, "d");
    admit(&store, &mine, 1, 0);
    assert!(store.start_withdrawn("d", &mine).unwrap());
    store.job_deleted("d").unwrap();
    assert_eq!(job(&store, "d").info.state, JobState::Queued);
    assert!(admit(&store, &mine, 1, 0));
}

#[test]
fn a_start_that_was_told_and_withdrawn_puts_the_job_back() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    insert(&store, &session, "a");
    admit(&store, &mine, 1, 0);
    assert!(store.job_started("a", 5, None).unwrap());
    assert!(!store.run_withdrawn("a", 1, &mine).unwrap(), "another run");
    assert!(store.run_withdrawn("a", 0, &mine).unwrap());
    assert_eq!(
        (job(&store, "a").info.state, phase(&store, "a")),
        (JobState::Requeued, Some(Phase::Undoing))
    );
    assert!(!store.run_withdrawn("a", 1, &mine).unwrap(), "it does not run");
}
