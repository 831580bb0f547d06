//! Leftovers of attempts at jobs that no process works on, on a real daemon; see `common` for what is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use common::*;
use drmaa2::model::JobState;
use drmaa2::tracker::{Fact, JobTracker, NewJob};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn whoever_opens_removes_what_others_have_left_and_nothing_else() {
    let (Some(rig), Some(foreign)) = (rig(), rig_without_lock()) else { return };
    let [needed, unknown, no_directory, other] = [(); 4].map(|()| job(script("exit 0")));
    for job in [&needed, &unknown, &no_directory] {
        rig.prepare(job);
    }
    foreign.prepare(&other);
    for dir in [rig.dir_of(&no_directory.id), foreign.dir_of(&other.id)] {
        fs::remove_dir_all(dir).unwrap();
    }
    let moved_away = format!(".{}", ulid::Ulid::generate());
    fs::create_dir_all(rig.dir_of(&moved_away).join("shared")).unwrap();
    fs::create_dir_all(rig.dir_of(".pulls")).unwrap();

    // Two processes find the same, and remove it at once.
    let openers = [rig.neighbour(), rig.neighbour()];
    let expected = BTreeSet::from([moved_away, unknown.id.clone(), format!(".{}", no_directory.id)]);
    let found = openers.each_ref().map(|(tracker, _)| {
        tracker.leftovers(&|id| Ok(id == needed.id)).unwrap().into_iter().collect::<BTreeSet<_>>()
    });
    assert_eq!(found, [expected.clone(), expected.clone()]);
    for (tracker, _) in &openers {
        expected.iter().for_each(|name| tracker.delete_leftover(name).unwrap());
    }
    for (_, facts) in &openers {
        let mut left = expected.clone();
        while !left.is_empty() {
            match facts.recv_timeout(LONG).unwrap() {
                Fact::Deleted { id } => drop(left.remove(&id)),
                Fact::NotDeleted { id, error } => panic!("{id}: {error}"),
                _ => {}
            }
        }
    }
    // One of the two has done it, and the other has seen that it is being done.
    let (opener, _) = &openers[0];
    assert_eq!(opener.leftovers(&|id| Ok(id == needed.id)).unwrap(), Vec::<String>::new());
    for id in [&unknown.id, &no_directory.id] {
        assert_eq!(rig.traces(id), Vec::<&str>::new(), "{id}");
    }
    let directories = fs::read_dir(&rig.settings.jobs_dir).unwrap();
    let mut left: Vec<_> = directories.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".pulls", &needed.id]);
    assert_eq!(rig.traces(&needed.id), WHOLE);
    // A container of another state directory is not touched.
    assert_eq!(foreign.traces(&other.id), ["task", "container", "snapshot"]);
    rig.delete(&needed.id);
    foreign.delete(&other.id);
}

#[test]
fn a_job_that_runs_is_left_alone_though_its_store_is_lost() {
    let Some(rig) = rig() else { return };
    let job = job(script("echo; sleep 1000"));
    let id = job.id.clone();
    let _output = rig.start_and_hear(job);
    let (opener, facts) = rig.neighbour();
    assert_eq!(opener.leftovers(&|_| Ok(false)).unwrap(), std::slice::from_ref(&id));
    opener.delete_leftover(&id).unwrap();
    while !matches!(facts.recv_timeout(LONG).unwrap(), Fact::Deleted { id: deleted } if deleted == id) {}
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Running);
    rig.tracker.job_control(&id, drmaa2::model::Control::Kill).unwrap();
    rig.until_ended(&id);
    rig.delete(&id);
}

/// Stop a process. Its threads stop one after the other, and nobody but its parent is told when all have.
fn stop(pid: Pid) {
    kill(pid, Signal::SIGSTOP).unwrap();
    let is_stopped = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:\tT"))
    };
    let deadline = Instant::now() + LONG;
    while !fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().all(is_stopped) {
        assert!(Instant::now() < deadline, "{pid} does not stop");
        std::thread::yield_now();
    }
}

#[test]
fn a_job_whose_shim_is_late_is_not_taken_for_one_that_does_not_run() {
    let Some(rig) = rig() else { return };
    let job = job(script("echo; sleep 1000"));
    let id = job.id.clone();
    let _output = rig.start_and_hear(job);
    let (opener, facts) = rig.neighbour();
    let shim = rig.shim(&id);
    stop(shim);
    opener.delete_leftover(&id).unwrap();
    // The opener has been told the same before.
    let state = rig.tracker.job_state(&id).unwrap().0;
    kill(shim, Signal::SIGCONT).unwrap();
    assert_eq!(state, JobState::Undetermined);
    while !matches!(facts.recv_timeout(LONG).unwrap(), Fact::Deleted { id: deleted } if deleted == id) {}
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Running);
    rig.tracker.job_control(&id, drmaa2::model::Control::Kill).unwrap();
    rig.until_ended(&id);
    rig.delete(&id);
}

/// A runtime that deletes a container, and then says in crun's words that there is none: what a shim hears that asks
/// again, since containerd died before the answer.
const FORGETFUL: &str = r#"#!/bin/bash
[[ " $* " == *" delete "* && " $* " != *" --force "* ]] || exec runc "$@"
runc "$@" >/dev/null 2>&1
until [ "$1" = --log ]; do shift; done
echo '{"level": "error", "msg": "cannot open directory `/run/crun/j`: No such file or directory"}' >>"$2"
exit 1
"#;

#[test]
fn a_container_that_its_runtime_deleted_unheard_is_removed() {
    let Some(rig) = rig() else { return };
    let runtime = rig.dir.path().join("forgetful");
    fs::write(&runtime, FORGETFUL).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).unwrap();
    let program = runtime.to_str().unwrap().to_owned();
    let job = job(script("exit 3"));
    let settings = resolved_with(&job.template, |settings| settings.runtime_binary = Some(program));
    let id = job.id.clone();
    let outcome = rig.run(NewJob { settings, ..job });
    assert_eq!(outcome.exit_status, Some(3), "{outcome:?}");
    assert_eq!(rig.traces(&id), Vec::<&str>::new());
}
