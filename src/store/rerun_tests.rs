//! Losses, deadlines and accounts in the store.

use super::jobs_tests::{
    NOW, admit, insert, job, phase, store, submit_for, submit_template, template, terms,
};
use super::*;
use crate::model::{Control, ImageRef, JobState, JobTemplate, Outcome, Usage, now_nanos};

fn rerunnable(store: &Store, session: &Session, id: &str) {
    let template = JobTemplate { rerunnable: true, ..template() };
    submit_template(store, session, id, &template, &terms());
}

fn start(store: &Store, mine: &Claim, id: &str, at: i64) {
    assert!(admit(store, mine, 1, 0));
    assert!(store.job_started(id, at, None).unwrap());
}

#[test]
fn a_lost_job_is_put_back_once_for_each_loss_and_not_for_ever() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    rerunnable(&store, &session, "a");
    for losses in 0..10 {
        start(&store, &mine, "a", 5 + losses);
        assert_eq!(store.loss("a", &mine).unwrap(), Loss::Rerun { losses, started: true });
        assert!(!store.job_requeued("a", losses + 1, "lost", &mine).unwrap(), "another run");
        assert!(store.job_requeued("a", losses, "lost", &mine).unwrap());
        assert!(!store.job_requeued("a", losses, "lost", &mine).unwrap(), "it is known");
        assert_eq!(store.loss("a", &mine).unwrap(), Loss::Known);
        assert_eq!(phase(&store, "a"), Some(Phase::Undoing));
        let info = job(&store, "a").info;
        assert_eq!((info.state, info.slots, info.dispatched), (JobState::Requeued, None, Some(5)));
        assert_eq!(info.annotation.as_deref(), Some("lost"));
        assert!(!store.job_started("a", 9, None).unwrap(), "the start of the run that was lost");
        store.job_deleted("a").unwrap();
    }
    start(&store, &mine, "a", 20);
    assert_eq!(store.loss("a", &mine).unwrap(), Loss::End);
}

#[test]
fn a_suspension_of_a_run_that_was_lost_is_none_of_the_next() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    rerunnable(&store, &session, "a");
    start(&store, &mine, "a", 5);
    let (suspended, last) = (now_nanos(), store.unsettled_job("a").unwrap().unwrap().switched);
    assert!(store.job_requeued("a", 0, "lost", &mine).unwrap());
    store.job_deleted("a").unwrap();
    start(&store, &mine, "a", 8);
    assert!(!store.job_suspended("a", Word::Told { at: suspended }).unwrap(), "told late");
    assert!(!store.job_suspended("a", Word::Found { last }).unwrap(), "looked up before");
    let at = store.unsettled_job("a").unwrap().unwrap().switched + 1;
    assert!(store.job_suspended("a", Word::Told { at }).unwrap());
}

#[test]
fn the_loss_of_a_job_that_shall_end_or_may_not_run_again_is_its_end() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    insert(&store, &session, "plain");
    start(&store, &mine, "plain", 5);
    rerunnable(&store, &session, "ending");
    start(&store, &mine, "ending", 5);
    store.terminate(Which::Job("ending"), Control::Terminate).unwrap();
    for id in ["plain", "ending"] {
        assert_eq!(store.loss(id, &mine).unwrap(), Loss::End, "{id}");
    }
    assert!(!store.job_requeued("ending", 0, "lost", &mine).unwrap());
}

#[test]
fn a_job_that_is_being_started_is_left_to_its_claimer() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    rerunnable(&store, &session, "a");
    assert!(admit(&store, &mine, 1, 0));
    let other = Claim::of_text("1 1 another-boot");
    assert_eq!(store.loss("a", &other).unwrap(), Loss::Known);
    assert!(!store.job_requeued("a", 0, "lost", &other).unwrap());
    assert_eq!(store.loss("a", &mine).unwrap(), Loss::Rerun { losses: 0, started: false });
    assert!(store.job_requeued("a", 0, "lost", &mine).unwrap());
}

#[test]
fn what_waits_at_its_deadline_fails_and_what_runs_is_left_to_its_init() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let due = Terms { deadline: Some(NOW), ..terms() };
    submit_template(&store, &session, "runs", &template(), &due);
    start(&store, &mine, "runs", 5);
    submit_template(&store, &session, "waits", &template(), &due);
    let held = JobTemplate { submit_as_hold: true, ..template() };
    submit_template(&store, &session, "held", &held, &due);
    insert(&store, &session, "other");
    assert_eq!(store.next_change(NOW - 1).unwrap(), Some(NOW));
    store.expire_deadlines(NOW - 1).unwrap();
    assert_eq!(job(&store, "waits").info.state, JobState::Queued);
    store.expire_deadlines(NOW).unwrap();
    for id in ["waits", "held"] {
        let info = job(&store, id).info;
        assert_eq!(info.state, JobState::Failed, "{id}");
        assert!(info.annotation.unwrap().contains("deadline"), "{id}");
    }
    assert_eq!(job(&store, "runs").info.state, JobState::Running);
    assert_eq!(job(&store, "other").info.state, JobState::Queued);
    let order = store.order("runs").unwrap().unwrap().ends.unwrap();
    assert_eq!((order.at, order.reason.as_str()), (NOW, "its deadline has come"));
    assert!(store.overdue_jobs(NOW).unwrap().is_empty());
    store.job_suspended("runs", Word::Told { at: 1 }).unwrap();
    assert_eq!(store.overdue_jobs(NOW).unwrap().len(), 1);
}

#[test]
fn a_wall_clock_limit_beyond_all_time_is_none() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let endless = Terms { wall_clock: Some(i64::MAX), ..terms() };
    submit_template(&store, &session, "endless", &template(), &endless);
    start(&store, &mine, "endless", NOW);
    store.job_suspended("endless", Word::Told { at: 1 }).unwrap();
    assert_eq!(store.next_change(NOW).unwrap().filter(|at| *at < 1 << 60), None);
    assert!(store.overdue_jobs(NOW).unwrap().is_empty());
    insert(&store, &session, "other");
    assert!(admit(&store, &mine, 1, 0));
}

#[test]
fn a_job_that_cannot_be_read_stops_no_other() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    for id in ["good", "bad"] {
        insert(&store, &session, id);
        start(&store, &mine, id, 5);
    }
    insert(&store, &session, "unreadable");
    insert(&store, &session, "waits");
    let damage = "UPDATE jobs SET state = 99 WHERE id = 'bad';
                  UPDATE submissions SET memory = 'much' WHERE id = 'unreadable'";
    store.write(|sql| Ok(sql.execute_batch(damage)?)).unwrap();
    let unsettled = store.unsettled_jobs("t").unwrap();
    assert_eq!(unsettled.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(store.all_jobs().unwrap().iter().any(|job| job.info.id == "good"));
    assert!(admit(&store, &mine, 1, 0));
    assert!(store.job("waits").unwrap().unwrap().begun);
}

#[test]
fn an_account_is_stored_whole() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let template = JobTemplate { accounting_id: Some("grant".into()), ..template() };
    submit_template(&store, &session, "a", &template, &terms());
    assert_eq!(job(&store, "a").info.container, None);
    assert!(admit(&store, &mine, 1, 0));
    let image = ImageRef { name: "i".into(), digest: Some("d".into()) };
    assert!(store.job_started("a", 5, Some(&image)).unwrap());
    assert_eq!(job(&store, "a").info.image, Some(image.clone()));
    let usage = Usage {
        cpu_time: Some(1),
        max_rss: Some(2),
        oom_killed: true,
        peak_memory: Some(3),
        start_memory: Some(2),
        read_bytes: Some(4),
        written_bytes: Some(5),
    };
    let outcome =
        Outcome { exit_status: Some(137), finished: 9, usage: usage.clone(), ..Outcome::default() };
    store.job_ended("a", &outcome, &mine).unwrap();
    let info = job(&store, "a").info;
    assert_eq!((info.usage, info.image), (usage, Some(image)));
    assert_eq!((info.container.as_deref(), info.accounting_id.as_deref()), (Some("a"), Some("grant")));
}

#[test]
fn a_run_that_the_queue_of_the_runtime_has_forgotten_is_put_back_once() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    for (id, again) in [("a", true), ("once", false)] {
        let template = JobTemplate { rerunnable: again, ..template() };
        submit_for(&store, &session, id, &template, &terms(), None, Some(&mine));
        store.job_started(id, 5, None).unwrap();
        assert!(!store.job_forgotten(id, 1, "lost", &mine).unwrap(), "another run");
        assert_eq!(store.job_forgotten(id, 0, "lost", &mine).unwrap(), again);
        assert!(!store.job_forgotten(id, 0, "lost", &mine).unwrap(), "it is known");
    }
    let job = store.unsettled_job("a").unwrap().unwrap();
    assert!(job.is_to_be_handed_over());
    assert_eq!((job.state, job.run, job.claim), (JobState::Requeued, 1, Some(mine)));
}
