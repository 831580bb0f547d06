//! Jobs whose command is PID 1 itself, on a real daemon; see `common` for what is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::*;
use drmaa2::model::{Control, ErrorCode, JobState, JobTemplate, Text};
use drmaa2::tracker::{JobTracker, NewJob, Origin, Stdio};

fn without_init(template: JobTemplate) -> JobTemplate {
    JobTemplate { extensions: [("containerd_jt_init".to_owned(), Text::from("off"))].into(), ..template }
}

fn bare(text: &str) -> NewJob {
    job(without_init(script(text)))
}

#[test]
fn the_command_is_pid_1_and_all_else_is_as_under_init() {
    let Some(rig) = rig() else { return };
    let text = "echo pid $$; id; umask; pwd; echo $VALUE $DRMAA2_JOB_ID; ls -a /; \
                grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status";
    let template = JobTemplate {
        job_environment: Some(vec![("VALUE".into(), "of the template".into())]),
        working_directory: Some("/tmp".into()),
        ..without_init(script(text))
    };
    rig.check(&template).unwrap();
    let job = NewJob { submitter: submitter(1234), ..job(template) };
    let id = job.id.clone();
    let (outcome, text) = rig.output(job);
    assert_eq!((outcome.state(), outcome.reason), (JobState::Done, None), "{text}");
    let id = format!("of the template {id}");
    for part in ["pid 1\n", "uid=1234 gid=1234", "4711", "0027", "/tmp\n", &id] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(".drmaa2"), "{text}");
}

#[test]
fn its_streams_are_files_of_the_host() {
    let Some(rig) = rig() else { return };
    let input = rig.file("in", "one\ntwo\n", 0);
    let (output, error) = (rig.file("out", "", 0), rig.file("err", "", 0));
    let stdio = Stdio {
        input: Some(input.as_path().into()),
        output: Some(output.as_path().into()),
        error: Some(error.as_path().into()),
        join: false,
        ..Stdio::default()
    };
    let outcome = rig.run(NewJob { stdio: stdio.clone(), ..bare("cat; echo e >&2") });
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&error).unwrap(), "e\n");
    rig.run(NewJob { stdio: Stdio { join: true, ..stdio }, ..bare("echo o; echo e >&2; echo o") });
    // The shim copies what comes out of two pipes, so the order of the two is not kept.
    let text = fs::read_to_string(&output).unwrap();
    let rest = text.strip_prefix("one\ntwo\n").unwrap();
    assert_eq!(rest.replace("e\n", ""), "o\no\n");
    assert_eq!(rest.len(), 6, "{text}");
    assert_eq!(rig.run(bare("cat; echo nowhere")).state(), JobState::Done);
}

/// The file that a submitter finds at a path.
fn origin(attribute: &str, path: &Path) -> Origin {
    let found = fs::metadata(path).unwrap();
    let (device, inode) = (found.dev(), found.ino());
    Origin { attribute: attribute.to_owned(), path: path.into(), device, inode }
}

#[test]
fn no_file_of_the_host_is_used_that_took_the_place_of_another() {
    let Some(rig) = rig() else { return };
    let (output, secret) = (rig.file("mine", "", 0), rig.file("secret", "secret", 0));
    let stdio = Stdio {
        output: Some(output.as_path().into()),
        origins: vec![origin("outputPath", &output)],
        ..Stdio::default()
    };
    assert_eq!(rig.run(NewJob { stdio: stdio.clone(), ..bare("echo o") }).state(), JobState::Done);
    assert_eq!(fs::read_to_string(&output).unwrap(), "o\n");
    fs::remove_file(&output).unwrap();
    std::os::unix::fs::symlink(&secret, &output).unwrap();
    let outcome = rig.run(NewJob { stdio, ..bare("echo o") });
    assert_eq!(outcome.state(), JobState::Failed);
    let replaced = format!("outputPath {} was replaced after the job was submitted", output.display());
    assert_eq!(outcome.reason, Some(replaced));
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");

    let (mounted, other) = (rig.dir.path().join("mounted"), rig.dir.path().join("other"));
    for dir in [&mounted, &other] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("name"), dir.file_name().unwrap().to_str().unwrap()).unwrap();
    }
    let mut job = bare("grep -x mounted /data/name && touch /data/new");
    let mount = format!("{}:/data", mounted.display());
    job.template.extensions.insert("containerd_jt_mounts".to_owned(), Text::from(mount.as_str()));
    job.stdio.origins = vec![origin("containerd_jt_mounts", &mounted)];
    let again = NewJob { id: bare("").id, ..job.clone() };
    let outcome = rig.run(job);
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}");
    assert!(mounted.join("new").exists());
    fs::rename(&mounted, rig.dir.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(&other, &mounted).unwrap();
    let outcome = rig.run(again);
    assert!(
        outcome.reason.as_ref().is_some_and(|reason| reason.contains("was replaced")),
        "{outcome:?}"
    );
    assert!(!other.join("new").exists());
}

#[test]
fn its_end_is_that_of_the_task() {
    let Some(rig) = rig() else { return };
    for (text, status, signal) in [("exit 3", 3, None), ("exit 143", 143, Some(15)), ("exit 0", 0, None)]
    {
        let outcome = rig.run(bare(text));
        assert_eq!((outcome.exit_status, outcome.signal), (Some(status), signal), "{outcome:?}");
        assert_eq!(outcome.reason, None);
    }
    let missing = JobTemplate { remote_command: Some("/no/such".into()), ..JobTemplate::default() };
    let outcome = rig.run(job(without_init(missing)));
    assert_eq!(outcome.state(), JobState::Failed);
    assert!(outcome.reason.as_ref().unwrap().contains("/no/such"), "{outcome:?}");
}

#[test]
fn it_is_asked_to_end_and_then_killed() {
    let Some(rig) = rig() else { return };
    let listens = "trap 'exit 0' TERM; echo; while :; do sleep 0.1; done";
    // A PID 1 that has not asked for a signal does not get it.
    for (text, status) in [(listens, 0), ("echo; while :; do sleep 0.1; done", 137)] {
        for paused in [false, true] {
            let job = bare(text);
            let id = job.id.clone();
            rig.tracker.add_job(NewJob { stdio: Stdio::default(), ..job }).unwrap();
            rig.until_started(&id);
            if paused {
                rig.tracker.job_control(&id, Control::Suspend).unwrap();
            }
            rig.tracker.job_control(&id, Control::Terminate).unwrap();
            let outcome = rig.until_ended(&id);
            assert_eq!(outcome.state(), JobState::Failed);
            assert_eq!(outcome.reason.as_deref(), Some("terminated on request"), "{outcome:?}");
            // It may not have come so far as to listen, and with 2 the runtime itself ends in its place.
            assert!([Some(status), Some(137), Some(2)].contains(&outcome.exit_status), "{outcome:?}");
            rig.delete(&id);
        }
    }
}

#[test]
fn one_that_is_prepared_starts_or_is_undone() {
    let Some(rig) = rig() else { return };
    let job = bare("exit 6");
    rig.prepare(&job);
    assert_eq!(rig.run(job).exit_status, Some(6));
    let other = bare("exit 0");
    rig.prepare(&other);
    rig.delete(&other.id);
}

#[test]
fn without_its_task_its_end_is_lost_and_that_is_said() {
    let Some(rig) = rig() else { return };
    let job = bare("sleep 60");
    let id = job.id.clone();
    rig.tracker.add_job(job).unwrap();
    rig.until_started(&id);
    rig.kill(&id);
    assert_eq!(rig.until_ended(&id).signal, Some(libc::SIGKILL));
    rig.delete_task(&id);
    let info = rig.tracker.job_info(&id).unwrap();
    assert_eq!(info.state, JobState::Failed);
    assert!(info.annotation.unwrap().contains("without drmaa2-init"));
    rig.delete(&id);
}

#[test]
fn what_only_init_can_do_is_refused() {
    let Some(rig) = rig() else { return };
    let limits = Some(vec![("WALLCLOCK_TIME".into(), "60".into())]);
    let template = JobTemplate { resource_limits: limits, ..without_init(script("exit 0")) };
    let error = rig.check(&template).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedAttribute);
    for part in ["resourceLimits", "WALLCLOCK_TIME", "containerd_jt_init"] {
        assert!(error.message.contains(part), "{error}");
    }
    let rubbish = JobTemplate {
        extensions: [("containerd_jt_init".to_owned(), Text::from("rubbish"))].into(),
        ..script("exit 0")
    };
    let error = rig.check(&rubbish).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("containerd_jt_init is \"rubbish\""), "{error}");
}
