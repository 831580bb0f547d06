//! The states of jobs, as listeners see them.

use super::control::Which;
use super::jobs_tests::{admit, array, dead, exit, insert, store};
use super::*;
use crate::model::JobState::{self, Done, Failed, Queued, QueuedHeld, Running, Suspended};
use crate::model::{Control, Outcome, Owner, Scope};

/// Another process, which lives.
fn other() -> Claim {
    Claim::of_process(1).unwrap()
}

/// All new events of a listener; `seen` is the last one taken.
fn take(store: &Store, listener: &Claim, seen: &mut i64) -> Vec<(String, JobState)> {
    let mut states = Vec::new();
    loop {
        // Few at a time, so that there is more than one batch.
        let events = store.take_events(listener, *seen, 3).unwrap();
        let Some(last) = events.last() else { return states };
        assert_eq!(last.number, *seen + i64::try_from(events.len()).unwrap(), "none is missing");
        *seen = last.number;
        states.extend(events.into_iter().map(|event| (event.job, event.state)));
    }
}

fn of<const N: usize>(job: &str, states: [JobState; N]) -> Vec<(String, JobState)> {
    states.map(|state| (job.to_owned(), state)).to_vec()
}

fn rows(store: &Store) -> i64 {
    store.read(|sql| Ok(sql.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?)).unwrap()
}

/// A job starts.
fn start(store: &Store, id: &str) {
    assert!(admit(store, &Claim::mine(), 1, 0));
    assert!(store.job_started(id, 5, None).unwrap());
}

#[test]
fn a_listener_takes_each_state_once_and_in_order() {
    let (dir, store, session) = store();
    let (mine, other) = (Claim::mine(), other());
    insert(&store, &session, "old");
    assert_eq!(rows(&store), 0, "nobody listens");
    start(&store, "old");
    let mut seen = store.listen(&mine).unwrap();
    insert(&store, &session, "a");
    // A change by another process is an event too.
    let elsewhere = Store::open(dir.path()).unwrap();
    assert_eq!(elsewhere.hold(Which::Job("a")).unwrap().held, 1);
    assert_eq!(store.release(Which::Job("a")).unwrap(), 1);
    start(&store, "a");
    assert!(!store.job_started("a", 6, None).unwrap());
    assert!(elsewhere.job_suspended("a", Word::Told { at: 7 }).unwrap());
    assert!(!store.job_suspended("a", Word::Told { at: 7 }).unwrap());
    let first = of("a", [Queued, QueuedHeld, Queued, Running, Suspended]);
    assert_eq!(take(&store, &mine, &mut seen), first);
    assert_eq!(take(&store, &mine, &mut seen), []);

    // A second listener gets later events only, and both get all of those.
    let mut later = store.listen(&other).unwrap();
    assert!(store.job_resumed("a", Word::Told { at: 8 }).unwrap());
    assert!(elsewhere.job_ended("a", &exit(0), &mine).unwrap());
    assert!(!store.job_ended("a", &exit(1), &mine).unwrap());
    store.job_deleted("a").unwrap();
    store.reap(Which::Job("a")).unwrap();
    let second = of("a", [Running, Done]);
    assert_eq!(take(&store, &mine, &mut seen), second);
    assert_eq!(rows(&store), 2, "the other has not taken them");
    assert_eq!(take(&elsewhere, &other, &mut later), second);
    assert_eq!(rows(&store), 0);
}

#[test]
fn every_task_of_an_array_is_told_of() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let mut seen = store.listen(&mine).unwrap();
    array(&store, &session, "a", &[1, 2]);
    store.terminate(Which::Array("a"), Control::Terminate).unwrap();
    let told = take(&store, &mine, &mut seen);
    let expected = [("a.1", Queued), ("a.2", Queued), ("a.1", Failed), ("a.2", Failed)];
    assert_eq!(told, expected.map(|(job, state)| (job.to_owned(), state)));
}

#[test]
fn a_job_that_has_run_was_running_though_nobody_heard_of_its_start() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let mut seen = store.listen(&mine).unwrap();
    insert(&store, &session, "a");
    admit(&store, &mine, 1, 0);
    assert!(store.job_ended("a", &exit(0), &mine).unwrap());
    assert_eq!(take(&store, &mine, &mut seen), of("a", [Queued, Running, Done]));
    insert(&store, &session, "b");
    admit(&store, &mine, 1, 0);
    assert!(store.job_ended("b", &Outcome::failed("no image"), &mine).unwrap());
    assert_eq!(take(&store, &mine, &mut seen), of("b", [Queued, Failed]));
}

#[test]
fn an_event_names_the_session_unless_that_is_destroyed() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let seen = store.listen(&mine).unwrap();
    insert(&store, &session, "a");
    let named = store.take_events(&mine, seen, 1).unwrap().remove(0);
    assert_eq!(named.session, Some(session));
    store.destroy_session(Kind::Job, "s", Scope::ALL, None).unwrap();
    store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
    store.terminate(Which::Job("a"), Control::Terminate).unwrap();
    let nameless = store.take_events(&mine, named.number, 1).unwrap().remove(0);
    assert_eq!((nameless.session, nameless.state), (None, Failed));
}

#[test]
fn who_comes_back_is_told_of_nothing_that_was_before() {
    let (_dir, store, session) = store();
    let (mine, other) = (Claim::mine(), other());
    store.listen(&other).unwrap();
    store.listen(&mine).unwrap();
    insert(&store, &session, "a");
    store.unlisten(&mine).unwrap();
    insert(&store, &session, "b");
    let mut seen = store.listen(&mine).unwrap();
    insert(&store, &session, "c");
    assert_eq!(take(&store, &mine, &mut seen), of("c", [Queued]));
    assert_eq!(rows(&store), 3, "the other listens still");
    store.unlisten(&other).unwrap();
    assert_eq!(rows(&store), 0);
}

#[test]
fn nothing_is_kept_for_a_listener_that_has_died() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    store.listen(&dead()).unwrap();
    assert_eq!(store.claimers().unwrap(), [dead()], "others hear of its death");
    insert(&store, &session, "a");
    assert_eq!(rows(&store), 1);
    let seen = store.listen(&mine).unwrap();
    assert_eq!((rows(&store), seen), (0, 1));
    store.unlisten(&mine).unwrap();
    store.listen(&dead()).unwrap();
    insert(&store, &session, "b");
    store.forget_dead_listeners().unwrap();
    insert(&store, &session, "c");
    assert_eq!(rows(&store), 0);
    assert_eq!(store.claimers().unwrap(), []);
}

#[test]
fn who_is_too_far_behind_loses_the_oldest() {
    const MOST: i64 = 1_000_000;
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let seen = store.listen(&mine).unwrap();
    insert(&store, &session, "oldest");
    let go_on = |number: i64| {
        let next = "UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'";
        store.write(|sql| Ok(sql.execute(next, [number - 1])?)).unwrap();
    };
    go_on(MOST);
    insert(&store, &session, "kept");
    assert_eq!(rows(&store), 2, "so many are kept");
    go_on(MOST + 10_000);
    insert(&store, &session, "newest");
    let left = store.take_events(&mine, seen, 9).unwrap();
    let left: Vec<&str> = left.iter().map(|event| event.job.as_str()).collect();
    assert_eq!(left, ["kept", "newest"]);
}

#[test]
fn what_is_shown_is_kept_until_the_next_is_asked_for() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let seen = store.listen(&mine).unwrap();
    insert(&store, &session, "a");
    let shown = || store.show_events(&mine, seen, 3).unwrap();
    let first = shown();
    assert_eq!((first.len(), first[0].job.as_str()), (1, "a"));
    assert_eq!(shown(), first, "the first answer was lost");
    assert_eq!(rows(&store), 1);
    insert(&store, &session, "b");
    let next = store.show_events(&mine, first[0].number, 3).unwrap();
    assert_eq!((next.len(), next[0].job.as_str(), rows(&store)), (1, "b", 1));
}
