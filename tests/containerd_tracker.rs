//! The containerd tracker against a real daemon; see `common` for what is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::RwLockWriteGuard;
use std::time::Duration;

use common::*;
use drmaa2::containerd::{ContainerdTracker, Settings};
use drmaa2::model::{Control, ErrorCode, JobState, JobTemplate, Text, Version};
use drmaa2::runtime::Runtime;
use drmaa2::tracker::{Fact, JobTracker, NewJob, Stdio};
use std::sync::Arc;

#[test]
fn a_job_runs_is_accounted_for_and_leaves_nothing() {
    let Some(rig) = rig() else { return };
    let mut job = job(script("echo \"$1 $VALUE $DRMAA2_JOB_ID $DRMAA2_SESSION\""));
    job.template.args.as_mut().unwrap().extend(["sh".into(), "two words".into()]);
    job.template.job_environment = Some(vec![("VALUE".into(), Text::from(&b"\xff\n"[..]))]);
    job.template.job_name = Some("name".into());
    let path = rig.file("out", "", 0);
    job.stdio.output = Some(path.as_path().into());
    let id = job.id.clone();

    rig.check(&job.template).unwrap();
    rig.tracker.add_job(job).unwrap();
    let facts = rig.until(|fact| matches!(fact, Fact::Ended { .. }) && fact.id() == Some(&id));
    let first = facts.iter().find(|fact| fact.id() == Some(&id)).unwrap();
    assert!(matches!(first, Fact::Started { .. }), "{facts:?}");
    let Some(Fact::Ended { outcome, .. }) = facts.last() else { panic!() };
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}");
    assert!(outcome.usage.max_rss > Some(0) && outcome.started.unwrap() <= outcome.finished);
    let expected = [b"two words \xff\n ", id.as_bytes(), b" session\n"].concat();
    assert_eq!(fs::read(path).unwrap(), expected);

    let info = rig.tracker.job_info(&id).unwrap();
    assert_eq!((info.state, info.exit_status), (JobState::Done, Some(0)));
    assert_eq!((info.name.as_deref(), info.session.as_deref()), (Some("name"), Some("session")));
    assert_eq!((info.owner.as_deref(), info.slots), (Some("tester"), Some(1)));
    assert_eq!(info.submission_machine.as_deref(), Some("submit.example"));
    assert!(info.submitted.is_some() && info.dispatched == outcome.started);
    let monitoring = rig.tracker.monitoring().unwrap();
    assert!(monitoring.all_jobs().unwrap().contains(&info));
    let template = rig.tracker.job_template().unwrap().job_template(&id).unwrap();
    assert_eq!(template.remote_command, Some("sh".into()));
    assert_eq!(template.args.unwrap().len(), 4);
    rig.delete(&id);
    rig.delete(&id);
    assert!(!rig.tracker.list_jobs().unwrap().contains(&id));
}

#[test]
fn the_end_is_told_as_it_was() {
    let Some(rig) = rig() else { return };
    for (text, status, signal) in [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("exit 200", 200, None),
        ("kill -SEGV $$", 139, Some(11)),
    ] {
        let outcome = rig.run(job(script(text)));
        assert_eq!((outcome.exit_status, outcome.signal), (Some(status), signal), "{text}");
        let expected = if status == 0 { JobState::Done } else { JobState::Failed };
        assert_eq!(outcome.state(), expected);
    }
    let missing = JobTemplate { remote_command: Some("/no/such".into()), ..JobTemplate::default() };
    let outcome = rig.run(job(missing));
    assert_eq!(outcome.exit_status, Some(127));
    assert!(outcome.reason.unwrap().contains("/no/such"));
    let nowhere = JobTemplate { working_directory: Some("/nowhere".into()), ..script("exit 0") };
    let outcome = rig.run(job(nowhere));
    assert!(outcome.reason.unwrap().contains("/nowhere"));
}

#[test]
fn a_job_is_suspended_resumed_and_terminated() {
    let Some(rig) = rig() else { return };
    let job = job(script("trap 'exit 0' TERM INT; echo; while :; do sleep 0.1; done"));
    let id = job.id.clone();
    let control = |control| rig.tracker.job_control(&id, control).map_err(|error| error.code);
    assert_eq!(control(Control::Suspend), Err(ErrorCode::InvalidArgument));
    let _output = rig.start_and_hear(job);
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Running);
    assert_eq!(control(Control::Resume), Err(ErrorCode::InvalidState));
    control(Control::Suspend).unwrap();
    rig.until(|fact| matches!(fact, Fact::Suspended { id: told, .. } if *told == id));
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Suspended);
    assert_eq!(control(Control::Suspend), Err(ErrorCode::InvalidState));
    control(Control::Resume).unwrap();
    rig.until(|fact| matches!(fact, Fact::Resumed { id: told, .. } if *told == id));
    assert_eq!(control(Control::Hold), Err(ErrorCode::UnsupportedOperation));
    control(Control::Terminate).unwrap();
    let outcome = rig.until_ended(&id);
    // It ended well, but because it was asked to.
    assert_eq!((outcome.exit_status, outcome.state()), (Some(0), JobState::Failed), "{outcome:?}");
    assert_eq!(control(Control::Terminate), Err(ErrorCode::InvalidState));
    assert_eq!(control(Control::Suspend), Err(ErrorCode::InvalidState));
    rig.delete(&id);
}

#[test]
fn a_job_that_is_paused_or_deaf_ends_all_the_same() {
    let Some(rig) = rig() else { return };
    for paused in [true, false] {
        let job = job(script("trap '' TERM INT; echo; while :; do sleep 0.1; done"));
        let id = job.id.clone();
        let _output = rig.start_and_hear(job);
        if paused {
            rig.tracker.job_control(&id, Control::Suspend).unwrap();
        }
        rig.tracker.job_control(&id, Control::Terminate).unwrap();
        let outcome = rig.until_ended(&id);
        assert_eq!((outcome.state(), outcome.finished > 0), (JobState::Failed, true), "{outcome:?}");
        rig.delete(&id);
    }
}

/// The runtime has paused it, and the daemon, which asked for that, died before it heard so.
#[test]
fn a_job_that_the_daemon_has_forgotten_to_be_paused_is_suspended() {
    let Some(rig) = rig() else { return };
    let job = job(script("trap 'exit 0' TERM; echo; while :; do sleep 0.1; done"));
    let id = job.id.clone();
    let _output = rig.start_and_hear(job);
    let root = Path::new("/run/containerd/runc").join(&rig.settings.namespace);
    let pause = || {
        let status = Command::new("runc").arg("--root").arg(&root).args(["pause", &id]).status();
        assert!(status.unwrap().success());
        assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Suspended);
    };
    pause();
    rig.tracker.job_control(&id, Control::Suspend).unwrap();
    rig.until(|fact| matches!(fact, Fact::Suspended { id: told, .. } if *told == id));
    rig.tracker.job_control(&id, Control::Resume).unwrap();
    rig.until(|fact| matches!(fact, Fact::Resumed { id: told, .. } if *told == id));
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Running);
    pause();
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    assert_eq!(rig.until_ended(&id).exit_status, Some(0));
    rig.delete(&id);
}

#[test]
fn a_job_that_is_terminated_before_it_starts_does_not_run() {
    let Some(rig) = rig() else { return };
    let path = rig.file("ran", "", 0);
    let mut job = job(script("echo ran; sleep 60"));
    job.stdio.output = Some(path.as_path().into());
    let id = job.id.clone();
    rig.tracker.add_job(job).unwrap();
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    let outcome = rig.until_ended(&id);
    assert_eq!(outcome.state(), JobState::Failed);
    assert!(outcome.reason.unwrap().contains("terminated"));
    assert_eq!(fs::read_to_string(path).unwrap(), "");
    rig.delete(&id);
}

#[test]
fn a_job_that_is_terminated_as_it_starts_ends() {
    let Some(rig) = rig() else { return };
    for suspend in [false, true, false, true] {
        let job = job(script("sleep 60"));
        let id = job.id.clone();
        rig.tracker.add_job(job).unwrap();
        rig.until_started(&id);
        if suspend {
            rig.tracker.job_control(&id, Control::Suspend).unwrap();
        }
        rig.tracker.job_control(&id, Control::Terminate).unwrap();
        let outcome = rig.until_ended(&id);
        assert_eq!(outcome.state(), JobState::Failed);
        assert!(
            outcome.reason.as_ref().is_some_and(|reason| reason.contains("terminated")),
            "{outcome:?}"
        );
        rig.delete(&id);
    }
}

#[test]
fn streams_are_files_of_the_host() {
    let Some(rig) = rig() else { return };
    let odd = |name: &[u8]| {
        let path = rig.dir.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, "").unwrap();
        path
    };
    let input = rig.file("in", "one\ntwo\n", 0);
    let (output, error) = (odd(b"out \xff"), odd(b"err\n\xfe"));
    let stdio = Stdio {
        input: Some(input.as_path().into()),
        output: Some(output.as_path().into()),
        error: Some(error.as_path().into()),
        ..Stdio::default()
    };
    let outcome = rig.run(NewJob { stdio: stdio.clone(), ..job(script("cat; echo e >&2")) });
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&error).unwrap(), "e\n");

    let joined = Stdio { join: true, ..stdio.clone() };
    rig.run(NewJob { stdio: joined, ..job(script("echo o; echo e >&2; echo o")) });
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\no\ne\no\n");

    let missing = Stdio { input: Some("/no/such/input".into()), ..Stdio::default() };
    let outcome = rig.run(NewJob { stdio: missing, ..job(script("cat")) });
    assert!(outcome.reason.unwrap().contains("/no/such/input"));
    let (outcome, text) = rig.output(job(script("cat; [ -t 0 ]; ls -l /proc/self/fd/0")));
    assert_eq!(outcome.state(), JobState::Done);
    assert!(text.contains("/dev/null"), "{text}");
}

#[test]
fn a_job_is_its_submitter_and_nobody_else() {
    let Some(rig) = rig() else { return };
    let text = "id -u; id -g; grep -E '^(Groups|CapEff|NoNewPrivs|Seccomp):' /proc/self/status; umask; \
                cat /.drmaa2/job/order; kill -9 1; ls /sys/class/net; echo $$";
    let (outcome, text) = rig.output(NewJob { submitter: submitter(1234), ..job(script(text)) });
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["1234", "1234"]);
    assert!(text.contains("4711"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
    assert!(text.contains("0027"), "{text}");
    assert!(text.contains("ermission denied") && text.contains("not permitted"), "{text}");
    assert!(lines.contains(&"lo") && !text.contains("eth0"), "{text}");
}

#[test]
fn secrets_stay_out_of_the_container() {
    let Some(rig) = rig() else { return };
    let mut job = job(script(": argument-secret; sleep 60"));
    job.template.job_environment = Some(vec![("TOKEN".into(), "environment-secret".into())]);
    let id = job.id.clone();
    rig.tracker.add_job(job).unwrap();
    rig.until_started(&id);
    let output = Command::new("ctr")
        .arg("--address")
        .arg(&rig.settings.address)
        .args(["--namespace", &rig.settings.namespace, "containers", "info", &id])
        .output();
    if let Ok(output) = output {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("jobSessionName"), "{text}");
        for secret in ["argument-secret", "environment-secret"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let dir = fs::metadata(rig.dir_of(&id)).unwrap();
    assert_eq!((dir.mode() & 0o777, dir.uid()), (0o700, 0));
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    rig.until_ended(&id);
    rig.delete(&id);
}

#[test]
fn a_template_that_cannot_run_is_refused() {
    let Some(rig) = rig() else { return };
    let refused = |template: &JobTemplate| rig.check(template).unwrap_err();
    let error = refused(&JobTemplate::default());
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("remoteCommand"));
    let never = [("containerd_jt_pull".to_owned(), Text::from("never"))];
    let absent = JobTemplate {
        job_category: Some("absent.example/x:1".into()),
        extensions: never.into(),
        ..script("")
    };
    let error = refused(&absent);
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let expected = format!(
        "jobCategory \"absent.example/x:1\": image absent.example/x:1 not found in namespace {}",
        rig.settings.namespace
    );
    assert_eq!(error.message, expected);
    let nameless = JobTemplate { job_category: Some("absent.example/X:1".into()), ..script("") };
    let error = refused(&nameless);
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("image name \"absent.example/X:1\""), "{error}");
    let image = setting("DRMAA2_TEST_IMAGE").unwrap();
    let known = JobTemplate { job_category: Some(image.as_str().into()), ..script("") };
    rig.check(&known).unwrap();
    let categories = rig.tracker.list_job_categories().unwrap();
    assert!(categories.iter().any(|name| name.ends_with(&image)), "{categories:?}");
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let Some(settings) = settings("/nonexistent".into()) else { return };
    let settings = Settings { address: "/nonexistent/c.sock".into(), ..settings };
    let tracker = ContainerdTracker::new(settings, Arc::new(Runtime::start().unwrap()));
    for error in [
        tracker.check_template(&script(""), &resolved(&script(""))).unwrap_err(),
        tracker.contact().unwrap_err(),
        tracker.job_info("01j").unwrap_err(),
        tracker.job_control("01j", Control::Suspend).unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
        assert!(error.message.contains("/nonexistent/c.sock"), "{error}");
    }
    let machines = tracker.monitoring().unwrap().all_machines().unwrap();
    assert!(!machines[0].available);
}

#[test]
fn what_was_started_once_is_not_started_again() {
    let Some(rig) = rig() else { return };
    let path = rig.file("out", "", 0);
    let mut first = job(script("echo ran; exec sleep 2"));
    first.stdio.output = Some(path.as_path().into());
    let id = first.id.clone();
    rig.tracker.add_job(first.clone()).unwrap();
    rig.until_started(&id);
    rig.tracker.add_job(first.clone()).unwrap();
    rig.until_started(&id);
    assert_eq!(rig.until_ended(&id).exit_status, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "ran\n");
    rig.tracker.add_job(first.clone()).unwrap();
    assert_eq!(rig.until_ended(&id).exit_status, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "ran\n");
    rig.delete(&id);
    // Now it is a new one, and the end of the first is not mistaken for its own.
    rig.tracker.add_job(NewJob { template: script("exit 6"), ..first }).unwrap();
    assert_eq!(rig.until_ended(&id).exit_status, Some(6));
    rig.delete(&id);
}

/// A process has died between its decision to start a job and the start: the task that it made is
/// started as it is.
#[test]
fn a_start_that_was_begun_is_carried_out() {
    let (Some(rig), Some(dead)) = (rig(), rig_without_lock()) else { return };
    let job = job(script("exit 8"));
    dead.prepare(&job);
    fs::write(dead.settings.jobs_dir.join(&job.id).join("started"), "1").unwrap();
    let pid = |rig: &Rig| rig.task_pid(&job.id);
    let before = pid(&rig);
    let jobs_dir = &dead.settings.jobs_dir;
    let Some(later) = rig_elsewhere(|settings| settings.jobs_dir.clone_from(jobs_dir)) else { return };
    later.tracker.add_job(job.clone()).unwrap();
    later.until_started(&job.id);
    assert_eq!(later.tracker.wait(&job.id, Some(LONG), &ENDED), Ok(JobState::Failed));
    assert_eq!(pid(&rig), before, "it was made anew");
    assert_eq!(later.tracker.job_info(&job.id).unwrap().exit_status, Some(8));
    later.delete(&job.id);
}

#[test]
fn containers_of_others_are_seen_and_waited_for() {
    let (Some(rig), Some(other)) = (rig(), rig_without_lock()) else { return };
    // A tracker with another place for its jobs knows no more of these than of any container.
    let job = job(script("sleep 3; exit 4"));
    let id = job.id.clone();
    other.tracker.add_job(job).unwrap();
    other.until_started(&id);
    let info = rig.tracker.job_info(&id).unwrap();
    assert_eq!((info.state, info.session.as_deref()), (JobState::Running, Some("session")));
    assert!(rig.tracker.list_jobs().unwrap().contains(&id));
    let wait = |timeout| rig.tracker.wait(&id, timeout, &ENDED);
    assert_eq!(wait(Some(Duration::ZERO)).unwrap_err().code, ErrorCode::Timeout);
    assert_eq!(wait(Some(LONG)), Ok(JobState::Failed));
    assert_eq!(rig.tracker.job_info(&id).unwrap().exit_status, Some(4));
    other.delete(&id);
    assert_eq!(wait(None).unwrap_err().code, ErrorCode::InvalidArgument);
}

#[test]
fn a_container_that_is_killed_from_outside_has_failed() {
    let Some(rig) = rig() else { return };
    let job = job(script("echo; sleep 60"));
    let id = job.id.clone();
    let _output = rig.start_and_hear(job);
    let pid = pid_of_init(&id);
    Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    let outcome = rig.until_ended(&id);
    assert_eq!((outcome.exit_status, outcome.signal), (Some(137), Some(9)), "{outcome:?}");
    assert!(outcome.reason.unwrap().contains("killed"));
    rig.delete(&id);
}

/// The host's process whose control group bears the job's id and that runs init.
fn pid_of_init(id: &str) -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let is_init = |dir: &Path| {
        let read = |name| fs::read(dir.join(name)).unwrap_or_default();
        let cgroup = String::from_utf8_lossy(&read("cgroup")).contains(id);
        cgroup && read("cmdline").starts_with(b"/.drmaa2/init")
    };
    let found = processes.map(|entry| entry.path()).find(|dir| is_init(dir)).unwrap();
    found.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn many_jobs_at_once_all_run() {
    let Some(rig) = rig() else { return };
    let jobs: Vec<_> = (0..24).map(|number| job(script(&format!("exit {}", number % 2)))).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    jobs.into_iter().for_each(|job| rig.tracker.add_job(job).unwrap());
    let mut ended = BTreeMap::new();
    while ended.len() < ids.len() {
        let facts = rig.until(|fact| matches!(fact, Fact::Ended { .. } | Fact::NotStarted { .. }));
        if let Some(Fact::Ended { id, outcome }) = facts.last()
            && ids.contains(id)
        {
            ended.insert(id.clone(), outcome.exit_status);
            rig.tracker.delete_job(id).unwrap();
        }
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(ended[id], Some(i32::try_from(number % 2).unwrap()));
    }
    let left = || ids.iter().filter(|id| rig.dir_of(id).exists()).count();
    while left() > 0 {
        rig.until(|fact| matches!(fact, Fact::Deleted { .. }));
    }
    assert!(ids.iter().all(|id| rig.traces(id).is_empty()));
}

#[test]
fn the_daemon_and_its_machine_are_described() {
    let Some(rig) = rig() else { return };
    let contact = rig.tracker.contact().unwrap();
    assert_eq!(contact.name, "containerd");
    assert_ne!(contact.version, Version::parse(""));
    let monitoring = rig.tracker.monitoring().unwrap();
    assert!(monitoring.all_machines().unwrap()[0].available);
    assert!(monitoring.all_queues().unwrap().is_empty(), "containerd has none");
}

#[test]
fn a_restart_of_the_daemon_loses_nothing() {
    let Some(restart) = setting("DRMAA2_TEST_RESTART") else {
        eprintln!("SKIPPED: DRMAA2_TEST_RESTART not set; no restart of containerd was tested");
        return;
    };
    let _alone: RwLockWriteGuard<'_, ()> =
        DAEMON.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Some(rig) = rig_without_lock() else { return };
    let (short, long) = (job(script("sleep 0.3; exit 7")), job(script("sleep 60")));
    let (short_id, long_id) = (short.id.clone(), long.id.clone());
    rig.tracker.add_job(short).unwrap();
    rig.tracker.add_job(long).unwrap();
    let mut waiting = vec![&short_id, &long_id];
    while !waiting.is_empty() {
        let facts = rig.until(|fact| matches!(fact, Fact::Started { .. }));
        waiting.retain(|id| facts.last().and_then(Fact::id) != Some(id));
    }
    let halfway = job(script("sleep 60"));
    let halfway_id = halfway.id.clone();
    rig.tracker.add_job(halfway.clone()).unwrap();
    assert!(Command::new("sh").args(["-c", &restart]).status().unwrap().success());
    let mut waiting = (true, true);
    let mut started = false;
    while waiting != (false, false) {
        let facts = rig.until(|fact| *fact == Fact::Live || fact.id() == Some(&halfway_id));
        match facts.last() {
            Some(Fact::Live) => waiting.0 = false,
            Some(Fact::Started { .. }) => (waiting.1, started) = (false, true),
            Some(Fact::NotStarted { error, .. }) => {
                assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
                waiting.1 = false;
            }
            other => panic!("{other:?}"),
        }
    }
    if !started {
        // The traces of the attempt go when the daemon is back.
        rig.until_swept();
        assert_eq!(rig.traces(&halfway_id), Vec::<&str>::new());
        rig.tracker.add_job(halfway).unwrap();
        rig.until_started(&halfway_id);
    }
    assert_eq!(rig.tracker.wait(&short_id, Some(LONG), &ENDED), Ok(JobState::Failed));
    assert_eq!(rig.tracker.job_info(&short_id).unwrap().exit_status, Some(7));
    assert_eq!(rig.tracker.job_state(&long_id).unwrap().0, JobState::Running);
    rig.delete(&short_id);
    for id in [&long_id, &halfway_id] {
        rig.tracker.job_control(id, Control::Terminate).unwrap();
        rig.until_ended(id);
        rig.delete(id);
    }
}
