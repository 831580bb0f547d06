//! Jobs that are made ready before it is their turn, on a real daemon; see `common` for what is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::process::Command;

use common::*;
use drmaa2::model::{Control, JobState};
use drmaa2::tracker::{End, Fact, JobTracker, NewJob, Stdio};

#[test]
fn a_prepared_job_is_undone_without_a_trace() {
    let Some(rig) = rig() else { return };
    let (_neighbour, heard) = rig.neighbour();
    let job = job(script("exit 0"));
    rig.prepare(&job);
    assert_eq!(rig.traces(&job.id), WHOLE);
    rig.tracker.delete_job(&job.id).unwrap();
    let facts = rig.until(|fact| fact.id() == Some(&job.id));
    assert!(matches!(facts.last(), Some(Fact::Deleted { .. })), "{facts:?}");
    assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
    rig.run_unheard(&job.id);
    // Neither has anybody else taken the end of its task for its own.
    let last = self::job(script("exit 0"));
    let last_id = last.id.clone();
    assert_eq!(rig.run(last).exit_status, Some(0));
    loop {
        let fact = heard.recv_timeout(LONG).unwrap();
        assert_ne!(fact.id(), Some(job.id.as_str()), "{fact:?}");
        if matches!(&fact, Fact::Ended { id, .. } if *id == last_id) {
            break;
        }
    }
}

#[test]
fn preparations_are_undone_at_any_moment() {
    let Some(rig) = rig() else { return };
    let jobs: Vec<_> = (0..12).map(|_| job(script("exit 0"))).collect();
    for job in &jobs {
        assert!(rig.tracker.prepare_job(job.clone()).unwrap());
    }
    for job in &jobs {
        rig.tracker.delete_job(&job.id).unwrap();
        rig.until(|fact| matches!(fact, Fact::Deleted { id } if *id == job.id));
        assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
    }
    assert_eq!(fs::read_dir(&rig.settings.jobs_dir).unwrap().count(), 0);
}

#[test]
fn a_prepared_job_starts_with_the_limits_it_has_then() {
    let Some(rig) = rig() else { return };
    let job = job(script("sleep 60"));
    rig.prepare(&job);
    let outcome = rig.run(NewJob { wall_clock: Some(300), ..job.clone() });
    assert_eq!(outcome.signal, Some(libc::SIGTERM));
    assert_eq!(
        outcome.reason.as_deref(),
        Some("exceeded its wall clock limit (WALLCLOCK_TIME) of 0.3 s")
    );

    rig.prepare(&job);
    let ends = drmaa2::model::now() - 1;
    let ends = Some(End { at: ends, reason: "its time has come".into() });
    let outcome = rig.run(NewJob { ends, ..job.clone() });
    assert!(outcome.reason.unwrap().contains("its time has come"));

    // Anything else makes it another job.
    rig.prepare(&job);
    assert_eq!(rig.run(NewJob { template: script("exit 5"), ..job }).exit_status, Some(5));
}

/// The time at which a job's container was made, if it is there.
fn made_at(rig: &Rig, id: &str) -> Option<String> {
    let mut ctr = Command::new("ctr");
    ctr.arg("-a").arg(&rig.settings.address).args(["-n", &rig.settings.namespace]);
    let output = ctr.args(["containers", "info", id]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find(|line| line.contains("\"CreatedAt\"")).map(str::to_owned)
}

#[test]
fn a_job_whose_turn_comes_while_it_is_made_is_not_made_twice() {
    let Some(rig) = rig() else { return };
    for _ in 0..3 {
        let job = job(script("sleep 1000"));
        assert!(rig.tracker.prepare_job(job.clone()).unwrap());
        let begun = std::iter::repeat_with(|| made_at(&rig, &job.id)).find(Option::is_some).unwrap();
        rig.tracker.add_job(job.clone()).unwrap();
        rig.until_started(&job.id);
        assert_eq!(made_at(&rig, &job.id), begun);
        rig.tracker.job_control(&job.id, Control::Terminate).unwrap();
        rig.until_ended(&job.id);
        rig.delete(&job.id);
    }
}

#[test]
fn a_prepared_job_that_was_killed_starts_all_the_same() {
    let Some(rig) = rig() else { return };
    let job = job(script("exit 7"));
    rig.prepare(&job);
    rig.kill(&job.id);
    rig.run_unheard(&job.id);
    assert_eq!(rig.tracker.job_state(&job.id).unwrap().0, JobState::Queued);
    rig.tracker.add_job(job.clone()).unwrap();
    rig.until_started(&job.id);
    assert_eq!(rig.until_ended(&job.id).exit_status, Some(7));
    rig.delete(&job.id);
}

/// Without an init, only that there was no task to start says that the command has not run.
#[test]
fn a_prepared_job_without_init_whose_task_is_gone_starts_all_the_same() {
    let Some(rig) = rig() else { return };
    let mut job = job(script("exit 7"));
    job.template.extensions.insert("containerd_jt_init".to_owned(), "off".into());
    rig.prepare(&job);
    rig.kill(&job.id);
    rig.run_unheard(&job.id);
    rig.delete_task(&job.id);
    rig.tracker.add_job(job.clone()).unwrap();
    rig.until_started(&job.id);
    assert_eq!(rig.until_ended(&job.id).exit_status, Some(7));
    rig.delete(&job.id);

    rig.prepare(&job);
    rig.kill(&job.id);
    rig.run_unheard(&job.id);
    rig.tracker.add_job(job.clone()).unwrap();
    rig.until_started(&job.id);
    let outcome = rig.until_ended(&job.id);
    assert!(outcome.reason.as_ref().is_some_and(|reason| reason.contains("stopped")), "{outcome:?}");
    rig.delete(&job.id);
}

#[test]
fn what_another_tracker_prepared_is_replaced() {
    let Some(rig) = rig() else { return };
    let job = job(script("exit 6"));
    rig.prepare(&job);
    let (neighbour, heard) = rig.neighbour();
    assert_eq!(neighbour.job_state(&job.id).unwrap().0, JobState::Queued);
    neighbour.add_job(job.clone()).unwrap();
    let next = || loop {
        let fact = heard.recv_timeout(LONG).unwrap();
        if fact.id() == Some(&job.id) {
            return fact;
        }
    };
    let started = next();
    assert!(matches!(started, Fact::Started { .. }), "{started:?}");
    // A fact may come twice.
    let ended = std::iter::repeat_with(next).find(|fact| !matches!(fact, Fact::Started { .. }));
    match ended {
        Some(Fact::Ended { outcome, .. }) => assert_eq!(outcome.exit_status, Some(6)),
        other => panic!("{other:?}"),
    }
    neighbour.delete_job(&job.id).unwrap();
    assert!(matches!(next(), Fact::Deleted { .. }));
    assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
}

#[test]
fn a_prepared_job_that_is_terminated_leaves_no_output() {
    let Some(rig) = rig() else { return };
    let path = rig.file("prepared", "", 0);
    let mut job = job(script("echo ran"));
    job.stdio.output = Some(path.as_path().into());
    rig.prepare(&job);
    rig.tracker.job_control(&job.id, Control::Terminate).unwrap();
    rig.run_unheard(&job.id);
    let outcome = rig.run(job);
    assert_eq!(outcome.reason.as_deref(), Some("terminated before it started"));
    assert_eq!(fs::read_to_string(path).unwrap(), "");
}

#[test]
fn a_preparation_that_fails_is_told_and_leaves_nothing() {
    let Some(rig) = rig() else { return };
    let stdio = Stdio { input: Some("/no/such/input".into()), ..Stdio::default() };
    let job = NewJob { stdio, ..job(script("cat")) };
    assert!(rig.tracker.prepare_job(job.clone()).unwrap());
    let facts = rig.until(|fact| matches!(fact, Fact::NotPrepared { id, .. } if *id == job.id));
    let Some(Fact::NotPrepared { error, .. }) = facts.last() else { panic!("{facts:?}") };
    assert!(error.message.contains("/no/such/input"), "{error}");
    assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
    rig.run_unheard(&job.id);
}
