//! Jobs that run as root and meddle with what they share with the library.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Command;

use common::*;
use drmaa2::model::{Control, JobState};
use drmaa2::tracker::JobTracker;

/// The tricks of a job that runs as root with the directory that it shares with the library keep nobody
/// from anything, and do not hide that it runs.
#[test]
fn a_job_can_neither_hide_nor_keep_anybody_waiting() {
    let Some(rig) = rig() else { return };
    for (trick, how) in [
        ("mkfifo record order terminate", Control::Kill),
        ("ln -s /dev/zero record; ln -s /dev/zero order; ln -s /nowhere terminate", Control::Kill),
        ("mknod record c 1 5; mknod order b 8 0; mkdir terminate", Control::Kill),
        ("touch no-init kill started image staging-out", Control::Kill),
        ("mkfifo record order", Control::Terminate),
    ] {
        let text = format!("cd /.drmaa2/job && rm -rf * && {{ {trick}; }} && echo && exec sleep 1000");
        let job = job(script(&text));
        let id = job.id.clone();
        let _output = rig.start_and_hear(job);
        let info = rig.tracker.job_info(&id).unwrap();
        assert_eq!(info.state, JobState::Running, "{trick}: {info:?}");
        assert!(info.dispatched.is_some(), "{trick}");
        let monitoring = rig.tracker.monitoring().unwrap();
        assert!(monitoring.all_jobs().unwrap().iter().any(|job| job.id == id), "{trick}");
        rig.tracker.job_template().unwrap().job_template(&id).unwrap();
        rig.tracker.job_control(&id, how).unwrap();
        let outcome = rig.until_ended(&id);
        assert_eq!(outcome.state(), JobState::Failed, "{trick}: {outcome:?}");
        let reason = if how == Control::Kill { "killed on request" } else { "terminated on request" };
        assert_eq!(outcome.reason.as_deref(), Some(reason), "{trick}");
        assert!(outcome.image.is_some(), "{trick}");
        rig.delete(&id);
    }
}

/// There is no room for the files that ask a job to end, which may be its own doing.
#[test]
fn a_job_ends_on_request_though_nothing_can_be_noted() {
    let Some(rig) = rig() else { return };
    for how in [Control::Terminate, Control::Kill] {
        let job = job(script("echo; exec sleep 1000"));
        let id = job.id.clone();
        let _output = rig.start_and_hear(job);
        let dir = rig.dir_of(&id);
        let mount = |args: &[&str]| {
            assert!(Command::new("mount").args(args).arg(&dir).status().unwrap().success());
        };
        mount(&["--rbind", dir.to_str().unwrap()]);
        mount(&["-o", "remount,bind,ro"]);
        let asked = rig.tracker.job_control(&id, how);
        assert!(Command::new("umount").arg("-l").arg(&dir).status().unwrap().success());
        asked.unwrap();
        let outcome = rig.until_ended(&id);
        assert_eq!(outcome.state(), JobState::Failed, "{outcome:?}");
        rig.delete(&id);
    }
}
