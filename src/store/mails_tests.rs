//! Mails in the store.

use super::jobs_tests::{NOW, admit, dead, store, submit_template, template, terms};
use super::*;
use crate::model::{Control, JobState, JobTemplate, Outcome};

fn mailing() -> JobTemplate {
    JobTemplate { email: Some(vec!["a@b".into()]), email_on_terminated: true, ..template() }
}

/// End a job that never ran.
fn end(store: &Store, session: &Session, id: &str) {
    submit_template(store, session, id, &mailing(), &terms());
    store.terminate(Which::Job(id), Control::Terminate).unwrap();
}

/// Another process that lives.
fn other() -> Claim {
    Claim::of_process(1).unwrap()
}

/// Claim the next mail and take it over, as another process does.
fn take(store: &Store) -> Option<(i64, Mail)> {
    let NextMail::Claimed(number) = store.claim_mail(&Claim::mine(), NOW).unwrap() else { return None };
    Some((number, store.take_mail(number, &Claim::mine(), &other()).unwrap().unwrap()))
}

#[test]
fn a_mail_is_sent_once_and_outlives_the_forgetting_of_its_job() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let mailing = JobTemplate { email_on_started: true, ..mailing() };
    submit_template(&store, &session, "a", &mailing, &terms());
    assert_eq!(store.claim_mail(&mine, NOW).unwrap(), NextMail::None);
    assert!(admit(&store, &mine, 1, 0));
    store.job_started("a", 5, None).unwrap();
    store.job_suspended("a", Word::Told { at: 1 }).unwrap();
    store.job_resumed("a", Word::Told { at: 2 }).unwrap();
    let outcome = Outcome { exit_status: Some(0), finished: 9, ..Outcome::default() };
    store.job_ended("a", &outcome, &mine).unwrap();
    store.reap(Which::Job("a")).unwrap();
    store.job_deleted("a").unwrap();
    let mails: Vec<_> = std::iter::from_fn(|| take(&store)).collect();
    let told: Vec<(bool, &str)> =
        mails.iter().map(|(_, mail)| (mail.started, mail.info.id.as_str())).collect();
    assert_eq!(told, [(true, "a"), (false, "a")]);
    assert_eq!((&mails[1].1.to[0], mails[1].1.info.state), (&"a@b".into(), JobState::Done));
    assert!(store.any_mail().unwrap(), "the agent stays");
    for (number, _) in mails {
        assert!(store.knows("a").unwrap());
        store.mail_sent(number, &other()).unwrap();
    }
    assert!(!store.any_mail().unwrap());
    assert!(!store.knows("a").unwrap(), "the row goes with the last mail");
}

#[test]
fn a_mail_is_sent_with_the_program_of_its_submitter_and_by_his_user_alone() {
    let (_dir, store, session) = store();
    end(&store, &session, "a");
    end(&store, &session, "b");
    let others = "UPDATE submissions SET mailer = json_set(mailer, '$.uid', 47110) WHERE id = 'a'";
    store.write(|sql| Ok(sql.execute(others, [])?)).unwrap();
    let (number, mail) = take(&store).unwrap();
    assert_eq!((mail.info.id.as_str(), mail.program), ("b", "/sendmail".into()));
    assert_eq!(take(&store), None);
    store.mail_sent(number, &other()).unwrap();
    assert!(!store.any_mail().unwrap(), "it keeps no agent that may not send it");
}

#[test]
fn a_mail_that_cannot_be_sent_stays_and_is_told_and_tried_ever_more_rarely() {
    let (_dir, store, session) = store();
    end(&store, &session, "a");
    let annotation = || store.job("a").unwrap().unwrap().info.annotation.unwrap();
    let own = annotation();
    let (mut now, mut pauses) = (NOW, Vec::new());
    let mine = Claim::mine();
    while let NextMail::Claimed(number) = store.claim_mail(&mine, now).unwrap() {
        let mail = store.take_mail(number, &mine, &other()).unwrap().unwrap();
        assert_eq!(mail.info.annotation.as_ref(), Some(&own), "it is about the job alone");
        assert_eq!(store.any_mail().unwrap(), pauses.len() < 4, "no agent stays for ever");
        store.mail_failed(number, &mine, "not its sender").unwrap();
        store.mail_failed(number, &other(), "no spool").unwrap();
        match store.claim_mail(&mine, 0).unwrap() {
            NextMail::DueAt(time) => {
                assert_eq!(annotation(), format!("{own}; no spool"));
                assert_eq!(store.mail_error(number).unwrap().as_deref(), Some("no spool"));
                pauses.push(time - crate::model::now());
                now = time;
            }
            last => assert_eq!(last, NextMail::None),
        }
    }
    assert_eq!(pauses.len(), 127, "it is given up one day");
    let about =
        |pause: i64, expected: i64| assert!((expected - 500..=expected).contains(&pause), "{pause}");
    for (pause, expected) in
        pauses.iter().zip([1000, 4000, 16_000, 64_000, 256_000, 1_024_000, 3_600_000])
    {
        about(*pause, expected);
    }
    about(pauses[126], 3_600_000);
    assert_eq!(annotation(), own);
}

#[test]
fn a_mail_that_somebody_is_at_is_left_to_him_until_he_dies() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    end(&store, &session, "a");
    let NextMail::Claimed(number) = store.claim_mail(&mine, NOW).unwrap() else { panic!("it is due") };
    assert_eq!(store.claim_mail(&other(), NOW).unwrap(), NextMail::None);
    assert_eq!(store.claimers().unwrap(), std::slice::from_ref(&mine), "others hear of its death");
    assert_eq!(store.take_mail(number, &other(), &mine).unwrap(), None, "it is not that one's");
    // A process was started, but the mail was not taken over: another is started, but not at once.
    let NextMail::DueAt(due) = store.claim_mail(&mine, NOW).unwrap() else { panic!("not at once") };
    assert_eq!(store.claim_mail(&mine, due).unwrap(), NextMail::Claimed(number));
    let claim = "UPDATE mails SET claim = ?";
    store.write(|sql| Ok(sql.execute(claim, [dead()])?)).unwrap();
    let NextMail::DueAt(due) = store.claim_mail(&other(), NOW).unwrap() else {
        panic!("its turn comes")
    };
    assert_eq!(store.claim_mail(&other(), due).unwrap(), NextMail::Claimed(number));
}

#[test]
fn a_number_of_attempts_of_any_size_is_counted() {
    for (attempts, text) in [(i64::MIN, "later"), (i64::MAX, "never")] {
        let (_dir, store, session) = store();
        let mine = Claim::mine();
        end(&store, &session, "a");
        store.write(|sql| Ok(sql.execute("UPDATE mails SET attempts = ?", [attempts])?)).unwrap();
        let NextMail::Claimed(number) = store.claim_mail(&mine, NOW).unwrap() else {
            panic!("it is due")
        };
        store.mail_failed(number, &mine, text).unwrap();
        let error = store.mail_error(number).unwrap();
        assert_eq!(error.as_deref(), Some(text).filter(|text| *text == "later"));
    }
}
