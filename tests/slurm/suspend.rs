//! Suspension where Slurm denies it, as it does to ordinary users before 26.05: the inits of the jobs do it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use drmaa2::model::{Control, ErrorCode, JobState};
use drmaa2::runtime::Runtime;
use drmaa2::slurm::{Programs, Settings, SlurmTracker};
use drmaa2::tracker::{Fact, JobTracker, NewJob};

use crate::rig::{LONG, Rig, eventually, job, rig};

/// Another tracker of the same jobs, whose suspensions and reservations Slurm takes for those of an ordinary user.
pub(crate) fn of_a_user(rig: &Rig) -> Arc<SlurmTracker> {
    let bin = rig.file("bin");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\nPATH='{path}'\ncase $1 in suspend | resume | create)\n\
         exec setpriv --reuid 1 --regid 1 --clear-groups scontrol \"$@\" ;;\nesac\nexec scontrol \"$@\"\n"
    );
    fs::write(bin.join("scontrol"), script).unwrap();
    fs::set_permissions(bin.join("scontrol"), fs::Permissions::from_mode(0o755)).unwrap();
    let node =
        std::path::PathBuf::from(std::env::var_os("DRMAA2_INIT").unwrap()).with_file_name("drmaa2-node");
    let programs =
        Programs { path: format!("{}:{path}", bin.display()).into(), conf: Some(rig.slurm_conf()) };
    let settings = Settings { programs, dir: rig.file("slurm"), node };
    SlurmTracker::new(settings, Arc::new(Runtime::start().unwrap()))
}

/// The states of the processes whose command lines have this word, in the kernel's letters.
fn states(rig: &Rig, word: &str) -> Vec<char> {
    let state = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    rig.processes(&[word]).into_iter().filter_map(state).collect()
}

fn is_at(tracker: &SlurmTracker, id: &str, state: JobState) {
    tracker.wait(id, Some(LONG), &[state]).unwrap();
    assert_eq!(tracker.job_info(id).unwrap().state, state);
}

#[test]
fn a_job_of_an_ordinary_user_is_suspended_with_all_its_processes() {
    let Some(rig) = rig() else { return };
    let user = of_a_user(&rig);
    // One in a session of its own, and one that the job has stopped itself.
    let script = "sh -c 'kill -STOP $$' sleep-4341 & setsid sleep 4342 & exec sleep 4342";
    let id = rig.run(job(script));
    rig.saved();
    let stopped = || states(&rig, "sleep 4342").iter().filter(|state| **state == 'T').count();
    eventually("all run", || {
        states(&rig, "sleep 4342").len() == 2 && states(&rig, "sleep-4341") == ['T']
    });
    user.job_control(&id, Control::Suspend).unwrap();
    is_at(&user, &id, JobState::Suspended);
    assert_eq!(stopped(), 2);
    let refused = user.job_control(&id, Control::Suspend).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidState, "{refused}");
    // Others are told, and find it so after another start of the controller.
    rig.until(|fact| matches!(&fact, Fact::Suspended { id: of, .. } if *of == id).then_some(()));
    rig.cluster(&["kill", "slurmctld"]);
    rig.cluster(&["start"]);
    assert_eq!(rig.tracker.job_info(&id).unwrap().state, JobState::Suspended);
    user.job_control(&id, Control::Resume).unwrap();
    is_at(&user, &id, JobState::Running);
    rig.until(|fact| matches!(&fact, Fact::Resumed { id: of, .. } if *of == id).then_some(()));
    eventually("they go on", || stopped() == 0);
    assert_eq!(states(&rig, "sleep-4341"), ['T']);
    user.job_control(&id, Control::Suspend).unwrap();
    is_at(&user, &id, JobState::Suspended);
    // An administrator's suspension ends with the signal that would let all its processes go on.
    let init = || states(&rig, &format!("jobs/{id}/run.0"));
    rig.slurm("scontrol", &["suspend", &rig.number(&id)]);
    eventually("Slurm stops its init too", || init() == ['T']);
    rig.slurm("scontrol", &["resume", &rig.number(&id)]);
    eventually("init stops the others again", || init() == ['S'] && stopped() == 2);
    assert_eq!(user.job_info(&id).unwrap().state, JobState::Suspended);
    user.job_control(&id, Control::Terminate).unwrap();
    let outcome = rig.ended(&id);
    assert_eq!((outcome.signal, outcome.lost), (Some(libc::SIGTERM), false), "{outcome:?}");
    eventually("nothing is left", || {
        states(&rig, "sleep 4342").is_empty() && states(&rig, "sleep-4341").is_empty()
    });
}

#[test]
fn a_suspended_job_of_an_ordinary_user_can_be_killed_and_cancelled() {
    let Some(rig) = rig() else { return };
    let user = of_a_user(&rig);
    for by_slurm in [false, true] {
        let id = rig.run(job("setsid sleep 4343 & exec sleep 4343"));
        user.job_control(&id, Control::Suspend).unwrap();
        is_at(&user, &id, JobState::Suspended);
        if by_slurm {
            rig.slurm("scancel", &[&rig.number(&id)]);
        } else {
            user.job_control(&id, Control::Kill).unwrap();
        }
        let outcome = rig.ended(&id);
        let signal = if by_slurm { libc::SIGTERM } else { libc::SIGKILL };
        assert_eq!((outcome.signal, outcome.lost), (Some(signal), false), "{outcome:?}");
        eventually("nothing is left", || states(&rig, "sleep 4343").is_empty());
    }
}

#[test]
fn a_suspended_job_of_an_ordinary_user_does_not_outlive_its_wall_clock_limit() {
    let Some(rig) = rig() else { return };
    let user = of_a_user(&rig);
    let new = job("exec sleep 4344");
    let id = rig.run(NewJob { wall_clock: Some(5_000), ..new });
    user.job_control(&id, Control::Suspend).unwrap();
    is_at(&user, &id, JobState::Suspended);
    let outcome = rig.ended(&id);
    let reason = outcome.reason.unwrap_or_default();
    assert!(reason.contains("(WALLCLOCK_TIME) of 5 s"), "{reason}");
}

#[test]
fn nothing_of_a_suspended_job_outlives_what_it_was_started_under() {
    let Some(rig) = rig() else { return };
    let user = of_a_user(&rig);
    for program in ["drmaa2-node", "drmaa2-init"] {
        let id = rig.run(job("setsid sleep 4345 & exec sleep 4345"));
        user.job_control(&id, Control::Suspend).unwrap();
        is_at(&user, &id, JobState::Suspended);
        rig.kill(&[program, &id]);
        let outcome = rig.ended(&id);
        assert_eq!(outcome.signal, Some(libc::SIGKILL), "{program}: {outcome:?}");
        eventually("nothing is left", || states(&rig, "sleep 4345").is_empty());
    }
}
