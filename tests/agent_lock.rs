//! The lock of the agent, and when an agent lets go of it. In a process that starts no other: a child
//! would have copies of the descriptors, and so of the locks, for a moment.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, IntoRawFd};
use std::path::Path;
use std::time::Duration;

use drmaa2::agent::Lock;
use drmaa2::agent::lock::FILE;
use drmaa2::agent::stay::{Work, stay};
use drmaa2::model::{Error, ErrorCode, Result};

#[test]
fn the_lock_is_held_once_and_passes_with_its_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_take(dir.path()).unwrap().unwrap();
    assert!(Lock::try_take(dir.path()).unwrap().is_none());
    let handed_over = lock.as_fd().try_clone_to_owned().unwrap();
    drop(lock);
    assert!(Lock::try_take(dir.path()).unwrap().is_none(), "no gap while it changes hands");
    let lock = Lock::inherited(handed_over.into_raw_fd()).unwrap();
    assert!(Lock::try_take(dir.path()).unwrap().is_none());
    drop(lock);
    assert!(Lock::try_take(dir.path()).unwrap().is_some());
}

#[test]
fn what_is_released_can_be_taken_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_take(dir.path()).unwrap().unwrap();
    lock.release().unwrap();
    assert!(lock.try_again().unwrap());
    lock.release().unwrap();
    let other = Lock::wait(dir.path()).unwrap();
    assert!(!lock.try_again().unwrap());
    drop(other);
    assert!(lock.try_again().unwrap());
}

#[test]
fn a_descriptor_that_is_no_lock_is_refused() {
    assert_eq!(Lock::inherited(-1).unwrap_err().code, ErrorCode::InvalidArgument);
    let dir = tempfile::tempdir().unwrap();
    let _agent = Lock::try_take(dir.path()).unwrap().unwrap();
    let second = File::options().write(true).open(dir.path().join(FILE)).unwrap();
    assert_eq!(Lock::inherited(second.into_raw_fd()).unwrap_err().code, ErrorCode::InvalidState);
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_names_it() {
    let error = Lock::try_take(Path::new("/no/such/state")).unwrap_err();
    assert!(error.message.contains("/no/such/state/drmaa2d.lock"), "{error}");
}

const LINGER: Duration = Duration::from_secs(3600);

/// Plays what happens, step by step; looks and waits must come in this order.
struct Play<'a>(VecDeque<Step<'a>>);

enum Step<'a> {
    /// A look, with what happens just before it, and what it finds.
    Look(Box<dyn FnMut() + 'a>, bool),
    /// A wait with this limit, and whether a change ends it.
    Wait(Option<Duration>, bool),
}

fn look<'a>(found: bool) -> Step<'a> {
    Step::Look(Box::new(|| ()), found)
}

impl Work for Play<'_> {
    fn unfinished(&mut self) -> Result<bool> {
        match self.0.pop_front() {
            Some(Step::Look(mut happens, found)) => {
                happens();
                Ok(found)
            }
            _ => panic!("no look was expected"),
        }
    }

    fn wait(&mut self, limit: Option<Duration>) -> bool {
        match self.0.pop_front() {
            Some(Step::Wait(expected, changed)) => {
                assert_eq!(limit, expected);
                changed
            }
            _ => panic!("no wait was expected"),
        }
    }
}

fn play<'a>(lock: &Lock, steps: impl IntoIterator<Item = Step<'a>>) {
    let mut play = Play(steps.into_iter().collect());
    stay(lock, &mut play, Some(LINGER)).unwrap();
    assert!(play.0.is_empty(), "left too early");
}

fn is_free(dir: &Path) -> bool {
    Lock::try_take(dir).unwrap().is_some()
}

#[test]
fn it_stays_while_there_is_work_and_leaves_after_the_linger() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_take(dir.path()).unwrap().unwrap();
    let held = || assert!(!is_free(dir.path()));
    play(
        &lock,
        [
            Step::Look(Box::new(held), true),
            Step::Wait(None, true),
            Step::Look(Box::new(held), false),
            // Something happens before the linger is over, and it counts from there again.
            Step::Wait(Some(LINGER), true),
            Step::Look(Box::new(held), false),
            Step::Wait(Some(LINGER), false),
            Step::Look(Box::new(|| assert!(is_free(dir.path()))), false),
        ],
    );
    assert!(is_free(dir.path()));
}

#[test]
fn a_job_that_comes_while_it_leaves_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_take(dir.path()).unwrap().unwrap();
    play(
        &lock,
        [
            look(false),
            Step::Wait(Some(LINGER), false),
            // The submitter found the lock held; the last look finds his job.
            look(true),
            Step::Look(Box::new(|| assert!(!is_free(dir.path()), "it has the lock again")), true),
            Step::Wait(None, true),
            look(false),
            Step::Wait(Some(LINGER), false),
            look(false),
        ],
    );
}

#[test]
fn it_leaves_a_job_to_the_agent_that_was_started_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_take(dir.path()).unwrap().unwrap();
    let mut other = None;
    play(
        &lock,
        [
            look(false),
            Step::Wait(Some(LINGER), false),
            Step::Look(Box::new(|| other = Lock::try_take(dir.path()).unwrap()), true),
        ],
    );
    assert!(other.is_some());
    assert!(!is_free(dir.path()), "the other agent has the lock");
}

#[test]
fn a_store_that_cannot_be_read_ends_it() {
    struct Broken;
    impl Work for Broken {
        fn unfinished(&mut self) -> Result<bool> {
            Err(Error::internal("broken"))
        }
        fn wait(&mut self, _: Option<Duration>) -> bool {
            panic!("nothing to wait for")
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_take(dir.path()).unwrap().unwrap();
    assert_eq!(stay(&lock, &mut Broken, None).unwrap_err().message, "broken");
}
