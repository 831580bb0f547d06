//! Losses, deadlines, mails and accounts in the store.

use super::jobs_tests::{NOW, admit, dead, insert, job, phase, store, submit_template, template, terms};
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
fn a_mail_is_sent_once_and_outlives_the_forgetting_of_its_job() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let mailing = JobTemplate {
        email: Some(vec!["a@b".into()]),
        email_on_started: true,
        email_on_terminated: true,
        ..template()
    };
    submit_template(&store, &session, "a", &mailing, &terms());
    let take = || store.send_mail(&mine, |mail| Ok(mail.clone())).unwrap();
    assert_eq!(take(), None);
    start(&store, &mine, "a", 5);
    store.job_suspended("a", Word::Told { at: 1 }).unwrap();
    store.job_resumed("a", Word::Told { at: 2 }).unwrap();
    let outcome = Outcome { exit_status: Some(0), finished: 9, ..Outcome::default() };
    store.job_ended("a", &outcome, &mine).unwrap();
    store.reap(Which::Job("a")).unwrap();
    store.job_deleted("a").unwrap();
    let mails: Vec<_> = std::iter::from_fn(take).collect();
    let told: Vec<(bool, &str)> =
        mails.iter().map(|mail| (mail.started, mail.info.id.as_str())).collect();
    assert_eq!(told, [(true, "a"), (false, "a")]);
    assert_eq!((&mails[1].to[0], mails[1].info.state), (&"a@b".into(), JobState::Done));
    assert!(!store.knows("a").unwrap(), "the row goes with the last mail");
}

#[test]
fn a_mail_is_sent_with_the_program_of_its_submitter_and_by_his_user_alone() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let mailing =
        JobTemplate { email: Some(vec!["a@b".into()]), email_on_terminated: true, ..template() };
    for id in ["a", "b"] {
        submit_template(&store, &session, id, &mailing, &terms());
        store.terminate(Which::Job(id), Control::Terminate).unwrap();
    }
    let others = "UPDATE submissions SET mailer = json_set(mailer, '$.uid', 47110) WHERE id = 'a'";
    store.write(|sql| Ok(sql.execute(others, [])?)).unwrap();
    let take = || store.send_mail(&mine, |mail| Ok(mail.clone())).unwrap();
    let mail = take().unwrap();
    assert_eq!((mail.info.id.as_str(), mail.program), ("b", "/sendmail".into()));
    assert_eq!(take(), None);
    assert!(!store.any_mail().unwrap(), "it keeps no agent that may not send it");
}

#[test]
fn a_mail_that_cannot_be_sent_stays_if_that_may_pass() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let mailing =
        JobTemplate { email: Some(vec!["a@b".into()]), email_on_terminated: true, ..template() };
    for id in ["a", "b"] {
        submit_template(&store, &session, id, &mailing, &terms());
        store.terminate(Which::Job(id), Control::Terminate).unwrap();
    }
    let busy =
        store.send_mail(&mine, |_| -> Result<()> { Err(Error::new(ErrorCode::TryLater, "busy")) });
    assert_eq!(busy.unwrap_err().message, "busy");
    assert_eq!(store.claimers().unwrap(), [], "anybody may try it later");
    let mut tried = Vec::new();
    let refused = store.send_mail(&mine, |mail| {
        tried.push(mail.info.id.clone());
        if tried.len() < 2 { Err(Error::argument("no program")) } else { Ok(()) }
    });
    assert_eq!((refused.unwrap(), tried), (Some(()), vec!["a".to_owned(), "b".to_owned()]));
    assert!(!store.any_mail().unwrap());
}

#[test]
fn a_mail_that_somebody_is_at_is_left_to_him_until_he_dies() {
    let (dir, store, session) = store();
    let mine = Claim::mine();
    let mailing =
        JobTemplate { email: Some(vec!["a@b".into()]), email_on_terminated: true, ..template() };
    submit_template(&store, &session, "a", &mailing, &terms());
    store.terminate(Which::Job("a"), Control::Terminate).unwrap();
    let other = Store::open(dir.path()).unwrap();
    let take = |claim: &Claim| other.send_mail(claim, |mail| Ok(mail.info.id.clone())).unwrap();
    let alive = Claim::of_process(1).unwrap();
    // The program takes its time, and nobody has to wait for it.
    let sent = store.send_mail(&mine, |_| {
        assert_eq!(
            store.claimers().unwrap(),
            std::slice::from_ref(&mine),
            "who waits hears of its death"
        );
        assert_eq!(take(&alive), None);
        assert!(other.any_mail().unwrap(), "the agent stays");
        insert(&other, &session, "b");
        Ok(())
    });
    assert_eq!(sent.unwrap(), Some(()));
    assert!(!other.any_mail().unwrap());

    submit_template(&store, &session, "c", &mailing, &terms());
    store.terminate(Which::Job("c"), Control::Terminate).unwrap();
    let claim = "UPDATE mails SET claim = ?";
    store.write(|sql| Ok(sql.execute(claim, [dead()])?)).unwrap();
    assert_eq!(take(&mine), Some("c".to_owned()));
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
