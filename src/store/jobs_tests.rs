//! The life of jobs in the store.

use nix::unistd::geteuid;

use super::*;
use crate::model::{Control, ErrorCode, JobState, JobTemplate, Millis, Outcome, Owner, Scope, Text};
use crate::scheduler::{Pick, Plan, Pool};
use crate::tracker::{Settings, Stdio, Submitter, TaskRange};

pub(super) fn store() -> (tempfile::TempDir, Store, Session) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let session = store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
    (dir, store, session)
}

pub(super) fn submitter() -> Submitter {
    Submitter {
        user: "alice".into(),
        uid: 1000,
        gid: 100,
        groups: vec![100, 7],
        umask: 0o27,
        machine: "node1".into(),
    }
}

pub(super) fn terms() -> Terms {
    Terms {
        pool: Pool {
            slots: None,
            memory: None,
            queue: "default".into(),
            queue_slots: None,
            user_slots: None,
        },
        rank: 0,
        priority: 0,
        slots: (1, 1),
        memory: 0,
        max_parallel: None,
        start: None,
        wall_clock: None,
        reservation: None,
        deadline: None,
    }
}

pub(super) fn template() -> JobTemplate {
    JobTemplate {
        remote_command: Some("/bin/true".into()),
        job_name: Some("n".into()),
        args: Some(vec![Text::from(&b"\xff"[..])]),
        ..JobTemplate::default()
    }
}

fn submit(store: &Store, session: &Session, id: &str, terms: &Terms, tasks: Option<NewTasks<'_>>) {
    submit_for(store, session, id, &template(), terms, tasks, None);
}

pub(super) fn submit_template(
    store: &Store,
    session: &Session,
    id: &str,
    template: &JobTemplate,
    terms: &Terms,
) {
    submit_for(store, session, id, template, terms, None, None);
}

/// An array that a process is about to hand over as one.
pub(super) fn array_to_hand_over(
    store: &Store,
    session: &Session,
    id: &str,
    range: TaskRange,
    mine: &Claim,
) {
    submit_for(store, session, id, &template(), &terms(), Some(NewTasks::Alike(range)), Some(mine));
}

pub(super) fn submit_for(
    store: &Store,
    session: &Session,
    id: &str,
    template: &JobTemplate,
    terms: &Terms,
    tasks: Option<NewTasks<'_>>,
    hand_over: Option<&Claim>,
) {
    let stdio = Stdio { output: Some("/o".into()), join: true, ..Stdio::default() };
    let mailer = Mailer { program: "/sendmail".into(), uid: geteuid().as_raw() };
    store
        .submit(&Submission {
            id,
            session: session.id,
            target: "t",
            template,
            submitter: &submitter(),
            stdio: &stdio,
            settings: &Settings::stored("{}".into()),
            mailer: Some(&mailer),
            terms,
            tasks,
            failure: None,
            most: Most::default(),
            hand_over,
        })
        .unwrap();
}

pub(super) fn insert(store: &Store, session: &Session, id: &str) {
    submit(store, session, id, &terms(), None);
}

pub(super) fn array(store: &Store, session: &Session, id: &str, indices: &[i64]) {
    let task = |index: &i64| NewTask { index: *index, ..NewTask::default() };
    let tasks: Vec<NewTask> = indices.iter().map(task).collect();
    submit(store, session, id, &terms(), Some(NewTasks::Each(&tasks)));
}

/// Start, and make ready, this many jobs of each submission.
pub(super) fn admit(store: &Store, mine: &Claim, start: usize, ready: usize) -> bool {
    let mut decide = |queue: Queue<'_>| {
        let mut plan = Plan::default();
        for candidate in queue.candidates {
            let candidate = candidate?;
            let pick = |count: usize| Pick { submission: candidate.submission, slots: vec![1; count] };
            plan.start.push(pick(start.min(candidate.waiting)));
            plan.ahead.push(pick(ready.min(candidate.waiting)));
        }
        plan.start.retain(|pick| !pick.slots.is_empty());
        Ok(plan)
    };
    store.admit(NOW, &Targets::new(["t"]).unwrap(), mine, &mut decide).unwrap()
}

pub(super) const NOW: Millis = 1000;

/// A process that has died.
pub(super) fn dead() -> Claim {
    Claim::of_text("1 1 another-boot")
}

pub(super) fn exit(code: i32) -> Outcome {
    Outcome { exit_status: Some(code), started: Some(5), finished: 9, ..Outcome::default() }
}

pub(super) fn job(store: &Store, id: &str) -> Job {
    store.job(id).unwrap().unwrap()
}

pub(super) fn phase(store: &Store, id: &str) -> Option<Phase> {
    store.unsettled_job(id).unwrap().map(|job| job.phase)
}

fn ids(jobs: Vec<Job>) -> Vec<String> {
    jobs.into_iter().map(|job| job.info.id).collect()
}

#[test]
fn a_job_goes_through_its_life_once() {
    let (_dir, store, session) = store();
    insert(&store, &session, "a");
    let mine = Claim::mine();
    assert!(admit(&store, &mine, 1, 0));
    assert!(!admit(&store, &mine, 1, 0), "claimed twice");
    assert_eq!(job(&store, "a").info.substate.as_deref(), Some("creating"));
    store.job_progress("a", Some("pulling 1/2 bytes")).unwrap();
    assert_eq!(job(&store, "a").info.substate.as_deref(), Some("pulling 1/2 bytes"));
    store.job_progress("a", None).unwrap();
    assert_eq!(job(&store, "a").info.substate.as_deref(), Some("creating"));
    assert_eq!(store.claimed_jobs(&mine).unwrap().len(), 1);
    assert!(store.job_started("a", 5, None).unwrap());
    assert!(!store.job_started("a", 6, None).unwrap());
    assert_eq!(store.claimed_jobs(&mine).unwrap(), [], "a job that runs needs nobody");
    assert!(!store.job_resumed("a", Word::Told { at: 6 }).unwrap());
    assert!(store.job_suspended("a", Word::Told { at: 7 }).unwrap());
    assert_eq!(job(&store, "a").info.state, JobState::Suspended);
    assert!(store.job_resumed("a", Word::Told { at: 8 }).unwrap());
    assert!(store.job_ended("a", &exit(3), &mine).unwrap());
    assert!(!store.job_ended("a", &exit(0), &mine).unwrap());
    let info = job(&store, "a").info;
    assert_eq!((info.state, info.exit_status), (JobState::Failed, Some(3)));
    assert_eq!((info.dispatched, info.finished), (Some(5), Some(9)));
    assert_eq!(info.owner.as_deref(), Some("alice"));
    assert_eq!(info.queue.as_deref(), Some("default"));
    assert_eq!(info.allocated_machines, [crate::model::SlotInfo { machine: "node1".into(), slots: 1 }]);
    assert!(!store.job_started("a", 7, None).unwrap(), "an ended job does not start");
    let left = store.claimed_jobs(&mine).unwrap();
    assert_eq!(left.len(), 1, "who stored the end cleans up");
    store.job_deleted("a").unwrap();
    assert_eq!(store.unsettled_jobs("t").unwrap(), []);
}

#[test]
fn a_suspension_that_is_told_late_is_none() {
    let (_dir, store, session) = store();
    insert(&store, &session, "a");
    assert!(admit(&store, &Claim::mine(), 1, 0));
    assert!(store.job_started("a", 5, None).unwrap());
    let last = || store.unsettled_job("a").unwrap().unwrap().switched;
    assert!(store.job_suspended("a", Word::Told { at: 20 }).unwrap());
    assert!(store.job_resumed("a", Word::Told { at: 30 }).unwrap());
    for at in [20, 30] {
        assert!(!store.job_suspended("a", Word::Told { at }).unwrap(), "{at} is not after 30");
    }
    // A state that was looked up counts only if no report came in between.
    assert_eq!(last(), 30);
    assert!(!store.job_suspended("a", Word::Found { last: 20 }).unwrap());
    assert!(store.job_suspended("a", Word::Found { last: 30 }).unwrap());
    assert!(!store.job_resumed("a", Word::Told { at: 31 }).unwrap(), "that was before the look");
    assert!(store.job_resumed("a", Word::Told { at: last() + 1 }).unwrap());
    assert_eq!(job(&store, "a").info.state, JobState::Running);
}

#[test]
fn an_order_comes_back_as_it_was_given() {
    let (_dir, store, session) = store();
    let timed = Terms { wall_clock: Some(7), ..terms() };
    submit(&store, &session, "a", &timed, None);
    let order = store.order("a").unwrap().unwrap();
    assert_eq!(order.submitter, submitter());
    assert_eq!(order.template, template());
    assert!(order.stdio.join);
    assert_eq!((order.task, order.wall_clock, order.ends), (None, Some(7), None));
    assert_eq!(order.slots, None, "they are not counted");
    assert_eq!(store.order("b").unwrap(), None);

    let counted = Terms { pool: Pool { slots: Some(4), ..timed.pool.clone() }, slots: (2, 3), ..timed };
    submit(&store, &session, "c", &counted, None);
    let slots = || store.order("c").unwrap().unwrap().slots;
    assert_eq!(slots(), Some(2), "at least so many it will get");
    assert!(admit(&store, &Claim::mine(), 1, 0));
    assert_eq!(slots(), Some(1), "so many were given to it here");
}

#[test]
fn the_tasks_of_an_array_share_what_is_not_their_own() {
    let (_dir, store, session) = store();
    let own = Stdio { output: Some("/o.7".into()), ..Stdio::default() };
    let tasks = [
        NewTask { index: 2, ..NewTask::default() },
        NewTask { index: 7, stdio: Some(own.clone()), failure: None },
        NewTask { index: 12, stdio: None, failure: Some("no file".into()) },
    ];
    submit(&store, &session, "a", &terms(), Some(NewTasks::Each(&tasks)));
    assert_eq!(ids(store.array_jobs("a").unwrap()), ["a.2", "a.7", "a.12"]);
    let order = |id| store.order(id).unwrap().unwrap();
    assert_eq!(order("a.2").stdio.output, Some("/o".into()));
    assert_eq!(order("a.7").stdio, own);
    let task = order("a.7").task.unwrap();
    assert_eq!((task.array.as_str(), task.index), ("a", 7));
    assert_eq!(job(&store, "a.12").info.annotation.as_deref(), Some("no file"));
    assert_eq!(store.template("a").unwrap(), store.template("a.7").unwrap());
    assert!(store.array("a.7").unwrap().is_none());
    insert(&store, &session, "b");
    assert!(store.array("b").unwrap().is_none(), "a job is no array");
}

#[test]
fn a_job_that_could_not_be_started_waits_until_it_was_tried_often_enough() {
    let (_dir, store, session) = store();
    insert(&store, &session, "a");
    let mine = Claim::mine();
    admit(&store, &mine, 1, 0);
    assert_eq!(store.job_not_started("a", "full", Some(2), &dead()).unwrap(), Retry::NotMine);
    assert_eq!(store.job_not_started("a", "full", Some(2), &mine).unwrap(), Retry::Waits);
    assert_eq!(job(&store, "a").info.state, JobState::Queued);
    assert!(admit(&store, &mine, 1, 0));
    assert_eq!(store.job_not_started("a", "full", Some(2), &mine).unwrap(), Retry::Failed);
    assert_eq!(job(&store, "a").info.annotation.as_deref(), Some("full"));
}

#[test]
fn what_a_dead_process_worked_on_passes_to_one_other() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    array(&store, &session, "a", &[1, 2, 3]);
    admit(&store, &dead(), 1, 2);
    assert_eq!(store.claimers().unwrap(), [dead()]);
    let unsettled = store.unsettled_jobs("t").unwrap();
    assert_eq!(unsettled.len(), 3);
    for job in &unsettled {
        assert!(!store.take_over(&job.id, None, &mine).unwrap(), "it has a holder");
        assert!(store.take_over(&job.id, Some(&dead()), &mine).unwrap());
        assert!(!store.take_over(&job.id, Some(&dead()), &mine).unwrap(), "taken twice");
    }
    assert_eq!(phase(&store, "a.1"), Some(Phase::Active));
    assert_eq!(phase(&store, "a.2"), Some(Phase::Undoing), "nobody knows how far it came");
    store.job_deleted("a.2").unwrap();
    assert_eq!(phase(&store, "a.2"), None);
    assert!(admit(&store, &mine, 1, 0), "it waits again");
    assert_eq!(phase(&store, "a.2"), Some(Phase::Active));
}

#[test]
fn a_ready_job_is_started_by_who_made_it_ready_as_long_as_he_lives() {
    let (_dir, store, session) = store();
    let (mine, other) = (Claim::mine(), Claim::of_process(1).unwrap());
    array(&store, &session, "a", &[1, 2, 3, 4]);
    assert!(!admit(&store, &other, 0, 2), "made ready, not started");
    assert!(!admit(&store, &mine, 0, 2), "enough are ready");
    assert_eq!(store.claimed_jobs(&other).unwrap().len(), 2);
    assert!(admit(&store, &mine, 3, 0));
    let claims = |claim| {
        let jobs = store.claimed_jobs(claim).unwrap();
        jobs.into_iter().map(|job| (job.id, job.phase)).collect::<Vec<_>>()
    };
    assert_eq!(claims(&other), [("a.1".into(), Phase::Active), ("a.2".into(), Phase::Active)]);
    assert_eq!(claims(&mine), [("a.3".into(), Phase::Active)]);
}

#[test]
fn a_held_job_is_not_admitted() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    array(&store, &session, "a", &[1, 2]);
    assert_eq!(store.hold(Which::Job("a.1")).unwrap().held, 1);
    assert_eq!(store.hold(Which::Array("a")).unwrap().held, 1);
    assert_eq!(store.hold(Which::Array("a")).unwrap().held, 0);
    assert_eq!(job(&store, "a.2").info.state, JobState::QueuedHeld);
    assert!(!admit(&store, &mine, 2, 0));
    assert_eq!(store.release(Which::Job("a.2")).unwrap(), 1);
    assert!(admit(&store, &mine, 2, 0));
    assert_eq!((phase(&store, "a.1"), phase(&store, "a.2")), (None, Some(Phase::Active)));
}

#[test]
fn holding_a_ready_job_undoes_it() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    insert(&store, &session, "a");
    admit(&store, &mine, 0, 1);
    assert_eq!(store.hold(Which::Job("a")).unwrap().held, 1);
    assert_eq!(phase(&store, "a"), Some(Phase::Undoing));
    assert_eq!(store.release(Which::Job("a")).unwrap(), 1);
    assert!(!admit(&store, &mine, 1, 0), "it is still being undone");
    store.job_deleted("a").unwrap();
    assert!(admit(&store, &mine, 1, 0));
}

#[test]
fn terminating_ends_a_job_that_nobody_works_on_and_marks_the_others() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    array(&store, &session, "a", &[1, 2, 3, 4]);
    admit(&store, &mine, 2, 1);
    store.job_started("a.1", 5, None).unwrap();
    let terminating = store.terminate(Which::Array("a"), Control::Terminate).unwrap();
    assert_eq!(terminating, Terminating { found: 4, begun: vec!["a.1".into()] });
    let state = |id| job(&store, id).info.state;
    assert_eq!((state("a.2"), state("a.3")), (JobState::Queued, JobState::Queued));
    assert_eq!(state("a.4"), JobState::Failed);
    assert_eq!(job(&store, "a.2").terminate, Some(Control::Terminate));
    assert_eq!(phase(&store, "a.3"), Some(Phase::Undoing));
    store.job_deleted("a.3").unwrap();
    assert_eq!(state("a.3"), JobState::Failed);
    assert_eq!(store.job_not_started("a.2", "x", Some(9), &mine).unwrap(), Retry::Failed);
    assert_eq!(job(&store, "a.2").info.annotation.as_deref(), Some("terminated before it started"));
    assert_eq!(store.terminate(Which::Job("none"), Control::Terminate).unwrap(), Terminating::default());
    // The harder end counts, whichever was requested last.
    for how in [Control::Kill, Control::Terminate] {
        store.terminate(Which::Job("a.1"), how).unwrap();
        assert_eq!(job(&store, "a.1").terminate, Some(Control::Kill));
    }
    assert_eq!(store.array_of("a.1").unwrap().as_deref(), Some("a"));
    insert(&store, &session, "b");
    assert_eq!(store.array_of("b").unwrap(), None);
}

#[test]
fn reap_wants_ended_jobs_and_keeps_their_leftovers_in_mind() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    array(&store, &session, "a", &[1, 2]);
    admit(&store, &mine, 2, 0);
    store.job_ended("a.1", &exit(0), &mine).unwrap();
    assert_eq!(store.reap(Which::Array("a")).unwrap_err().code, ErrorCode::InvalidState);
    assert!(store.job("a.1").unwrap().is_some(), "nothing is reaped");
    store.reap(Which::Job("a.1")).unwrap();
    assert_eq!(store.job("a.1").unwrap(), None);
    assert_eq!(store.reap(Which::Job("a.1")).unwrap_err().code, ErrorCode::InvalidArgument);
    store.job_ended("a.2", &exit(0), &mine).unwrap();
    store.reap(Which::Array("a")).unwrap();
    assert_eq!(store.unsettled_jobs("t").unwrap().len(), 2, "the runtime still holds them");
    assert!(store.array("a").unwrap().is_none(), "its user has forgotten it");
    store.job_deleted("a.1").unwrap();
    assert!(store.knows("a.2").unwrap() && !store.knows("a.1").unwrap());
    store.job_deleted("a.2").unwrap();
    assert!(store.unsettled_jobs("t").unwrap().is_empty());
    assert_eq!(store.template("a").unwrap(), None, "the rows are gone");
}

#[test]
fn a_destroyed_session_takes_its_ended_jobs_along_and_leaves_the_running_ones() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    for id in ["ended", "running"] {
        insert(&store, &session, id);
        admit(&store, &mine, 1, 0);
        store.job_started(id, 1, None).unwrap();
    }
    store.job_ended("ended", &exit(0), &mine).unwrap();
    store.job_deleted("ended").unwrap();
    store.destroy_session(Kind::Job, "s", Scope::ALL, None).unwrap();
    assert_eq!(store.session_of_row(Kind::Job, session.id, Scope::ALL).unwrap(), None);
    assert_eq!(store.job("ended").unwrap(), None);
    assert!(job(&store, "running").orphaned);

    let again = store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
    assert_ne!(again.id, session.id);
    assert!(store.session_jobs(again.id).unwrap().is_empty());

    store.job_ended("running", &exit(0), &mine).unwrap();
    assert_eq!(job(&store, "running").info.state, JobState::Done, "who waits for it may see that");
    store.job_deleted("running").unwrap();
    assert!(store.all_jobs().unwrap().is_empty());
}

#[test]
fn a_job_of_a_destroyed_session_that_never_ran_goes_as_well() {
    let (_dir, store, session) = store();
    array(&store, &session, "a", &[1, 2]);
    store.destroy_session(Kind::Job, "s", Scope::ALL, None).unwrap();
    assert_eq!(store.terminate(Which::Job("a.1"), Control::Terminate).unwrap().found, 1);
    assert_eq!(ids(store.all_jobs().unwrap()), ["a.2"]);
    let mine = Claim::mine();
    admit(&store, &mine, 1, 0);
    assert_eq!(store.job_not_started("a.2", "full", Some(1), &mine).unwrap(), Retry::Failed);
    assert!(store.all_jobs().unwrap().is_empty());
}

#[test]
fn a_submission_is_withdrawn_as_long_as_nothing_was_done_for_it() {
    let (_dir, store, session) = store();
    array(&store, &session, "a", &[1, 2]);
    insert(&store, &session, "b");
    assert!(store.withdraw("a").unwrap());
    assert!(!store.withdraw("a").unwrap());
    assert_eq!(ids(store.all_jobs().unwrap()), ["b"]);
    admit(&store, &Claim::mine(), 1, 0);
    assert!(!store.withdraw("b").unwrap(), "it is being started");
}

#[test]
fn what_waits_though_it_is_its_time_is_known() {
    let (_dir, store, session) = store();
    insert(&store, &session, "a");
    submit(&store, &session, "later", &Terms { start: Some(NOW + 1), ..terms() }, None);
    let waits = |id: &str, now| store.any_waits([&id.to_owned()], now).unwrap();
    assert!(waits("a", NOW) && !waits("later", NOW) && waits("later", NOW + 1));
    store.hold(Which::Job("a")).unwrap();
    assert!(!waits("a", NOW) && !waits("none", NOW));
}

#[test]
fn jobs_of_one_session_are_not_those_of_another() {
    let (_dir, store, session) = store();
    let other = store
        .create_session(Kind::Job, "other", Some("contact"), &Owner::for_tests("me", 7), None)
        .unwrap();
    for id in ["c", "a", "b"] {
        insert(&store, &session, id);
    }
    array(&store, &other, "d", &[1, 10, 2]);
    assert_eq!(ids(store.session_jobs(session.id).unwrap()), ["c", "a", "b"]);
    assert_eq!(ids(store.all_jobs().unwrap()), ["c", "a", "b", "d.1", "d.10", "d.2"]);
    assert_eq!(store.session(Kind::Job, "other", Scope::ALL).unwrap(), other);
    assert_eq!(store.session_names(Kind::Job, Scope::ALL).unwrap(), ["s", "other"]);
}

#[test]
fn candidates_come_by_queue_then_priority_then_order() {
    let (_dir, store, session) = store();
    for (id, rank, priority, start) in [
        ("a", 0, 0, None),
        ("b", 0, 5, None),
        ("later", 9, 9, Some(NOW + 1)),
        ("c", 1, -3, Some(NOW)),
        ("d", 0, 0, None),
    ] {
        submit(&store, &session, id, &Terms { rank, priority, start, ..terms() }, None);
    }
    let mut order = Vec::new();
    let mut decide = |queue: Queue<'_>| {
        order = queue.candidates.map(|candidate| candidate.unwrap().submission).collect();
        Ok(Plan::default())
    };
    store.admit(NOW, &Targets::new(["t"]).unwrap(), &Claim::mine(), &mut decide).unwrap();
    assert_eq!(order, [4, 2, 1, 5]);
    let mut none = |queue: Queue<'_>| {
        assert_eq!(queue.candidates.count(), 0, "the runtime is not among the targets");
        Ok(Plan::default())
    };
    store.admit(NOW, &Targets::new(["u"]).unwrap(), &Claim::mine(), &mut none).unwrap();
    assert_eq!(store.next_change(NOW).unwrap(), Some(NOW + 1));
    assert_eq!(store.next_change(NOW + 1).unwrap(), None);
}
