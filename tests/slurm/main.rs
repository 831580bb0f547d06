//! The harm that a cluster does to jobs: parts of it die, jobs are started twice, ended by hand, forgotten. Each job
//! runs once and its end is the true one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounting;
mod adapters;
mod bad_input;
mod gpus;
mod reservations;
mod rig;
mod suspend;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use drmaa2::model::{Control, ErrorCode, JobInfo, JobState, JobTemplate};
use drmaa2::tracker::{EventSink, Fact, JobTracker, NewJob};

use rig::{copy, eventually, job, rig, tracker};

/// The time for which a node refuses what it has just ended; Slurm counts seconds.
const REVOKED: Duration = Duration::from_secs(2);

/// A script that writes a line to a file each time it is run, and then does this.
fn counted(file: &std::path::Path, then: &str) -> String {
    format!("echo run >>{}; {then}", file.display())
}

fn runs(file: &std::path::Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[test]
fn a_job_that_the_controller_forgets_is_run_once() {
    let Some(rig) = rig() else { return };
    let count = rig.file("count");
    let job = job(&counted(&count, "exit 7"));
    rig.tracker.add_job(job.clone()).unwrap();
    rig.cluster(&["kill", "slurmctld"]);
    rig.cluster(&["start"]);
    let outcome = run_to_its_end(&rig, &job);
    assert_eq!((outcome.exit_status, runs(&count)), (Some(7), 1), "{outcome:?}");
}

/// Run a job as the session room does with what was handed over: what Slurm forgets is handed over again.
fn run_to_its_end(rig: &rig::Rig, job: &NewJob) -> JobInfo {
    let deadline = Instant::now() + rig::LONG;
    loop {
        match rig.tracker.job_info(&job.id) {
            Ok(info) if info.state.is_terminated() => return info,
            found if Instant::now() > deadline => panic!("it does not end: {found:?}"),
            Err(error) if error.code == ErrorCode::InvalidArgument => {
                rig.tracker.add_job(job.clone()).unwrap();
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(100)),
            Err(error) => assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}"),
        }
    }
}

#[test]
fn a_job_that_was_to_run_again_and_that_the_controller_forgets_runs_again() {
    let Some(rig) = rig() else { return };
    for rerunnable in [true, false] {
        let count = rig.file(if rerunnable { "again" } else { "once" });
        let script =
            format!("if [ $(wc -l <{}) = 2 ]; then exit 9; fi; exec sleep 4327", count.display());
        let new = job(&counted(&count, &script));
        let new = NewJob { template: JobTemplate { rerunnable, ..new.template }, ..new };
        // Some versions write nothing down unless there is news.
        let other = rig.slurm("sbatch", &["--parsable", "--hold", "--output=/dev/null", "--wrap=true"]);
        let news = ["update", &format!("JobId={}", other.trim()), "Comment=news"];
        let (state, old, now) = (rig.cluster_file("state"), rig.file("old"), SystemTime::now());
        eventually("the controller saves its state", || {
            rig.slurm("scontrol", &news);
            let written = fs::metadata(state.join("job_state")).and_then(|found| found.modified());
            written.is_ok_and(|at| at > now)
        });
        copy(&state, &old);
        let id = rig.run(new.clone());
        eventually("it has counted", || runs(&count) == 1);
        let number = rig.number(&id);
        if rerunnable {
            rig.slurm("scontrol", &["requeue", &number]);
        } else {
            rig.slurm("scancel", &[&number]);
        }
        eventually("it was interrupted", || rig.job_dir(&id).join("run.0/record").exists());
        rig.cluster(&["kill", "slurmctld"]);
        // As if it had died before it wrote down anything of the job.
        fs::remove_dir_all(&state).unwrap();
        copy(&old, &state);
        fs::remove_dir_all(&old).unwrap();
        rig.cluster(&["start"]);
        let info = run_to_its_end(&rig, &new);
        let (code, times) = if rerunnable { (Some(9), 2) } else { (Some(143), 1) };
        assert_eq!((info.exit_status, runs(&count)), (code, times), "{info:?}");
        rig.tracker.delete_job(&id).unwrap();
        rig.slurm("scancel", &[other.trim()]);
    }
}

#[test]
fn an_end_is_seen_while_the_controller_is_down() {
    let Some(rig) = rig() else { return };
    let go = rig.file("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let id = rig.run(job(&format!("cat {}; exit 5", go.display())));
    rig.saved();
    rig.cluster(&["kill", "slurmctld"]);
    rig.until(|fact| matches!(fact, Fact::Lost { .. }).then_some(()));
    let refused = rig.tracker.add_job(job("true")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::DrmCommunication, "{refused}");
    fs::write(&go, "").unwrap();
    assert_eq!(rig.ended(&id).exit_status, Some(5));
    assert_eq!(rig.tracker.recorded(&id).unwrap().exit_status, Some(5));
    rig.cluster(&["start"]);
    rig.until(|fact| matches!(fact, Fact::Live).then_some(()));
    assert_eq!(rig.tracker.job_info(&id).unwrap().exit_status, Some(5));
}

#[test]
fn nothing_survives_the_batch_script() {
    let Some(rig) = rig() else { return };
    let id = rig.run(job("setsid sleep 4321 & exec sleep 4321"));
    eventually("both run", || rig.processes(&["sleep 4321"]).len() == 2);
    rig.kill(&["drmaa2-node", &id]);
    let outcome = rig.ended(&id);
    assert_eq!((outcome.signal, outcome.exit_status), (Some(libc::SIGKILL), Some(137)), "{outcome:?}");
    assert!(outcome.reason.is_some_and(|reason| reason.contains("was killed")));
    eventually("both are gone", || rig.processes(&["sleep 4321"]).is_empty());
}

#[test]
fn an_init_that_is_killed_is_recorded_as_that() {
    let Some(rig) = rig() else { return };
    let id = rig.run(job("exec sleep 4322"));
    // The start is told before init has begun: until then, a killed one is one that has not started anything.
    eventually("it runs", || rig.processes(&["sleep 4322"]).len() == 1);
    rig.kill(&["drmaa2-init", &id]);
    let outcome = rig.ended(&id);
    assert_eq!(outcome.signal, Some(libc::SIGKILL), "{outcome:?}");
    let reason = outcome.reason.unwrap();
    assert!(reason.contains("its init was killed on n"), "{reason}");
    eventually("it is gone", || rig.processes(&["sleep 4322"]).is_empty());
}

#[test]
fn a_job_outlives_the_daemon_of_its_node_and_its_step() {
    let Some(rig) = rig() else { return };
    let go = rig.file("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let count = rig.file("count");
    let id = rig.run(job(&counted(&count, &format!("cat {}; exit 6", go.display()))));
    let node = rig.tracker.job_info(&id).unwrap().allocated_machines[0].machine.clone();
    rig.kill_step(&id);
    rig.cluster(&["kill", &node]);
    fs::write(&go, "").unwrap();
    assert_eq!(rig.ended(&id).exit_status, Some(6));
    // Slurm believes that it runs, and may start it again, or give it up.
    rig.cluster(&["start"]);
    assert_eq!(rig.tracker.job_info(&id).unwrap().exit_status, Some(6));
    assert_eq!(runs(&count), 1);
}

#[test]
fn a_job_that_is_cleaned_up_is_nobody_elses_though_slurm_still_shows_it() {
    let Some(rig) = rig() else { return };
    let go = rig.file("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let id = rig.run(job(&format!("cat {}; exit 6", go.display())));
    let node = rig.tracker.job_info(&id).unwrap().allocated_machines[0].machine.clone();
    rig.kill_step(&id);
    rig.cluster(&["kill", &node]);
    let shown = || rig.tracker.monitoring().unwrap().all_jobs().unwrap();
    assert!(shown().iter().any(|job| job.id == id));
    fs::write(&go, "").unwrap();
    assert_eq!(rig.ended(&id).exit_status, Some(6));
    let number = rig.number(&id);
    rig.tracker.delete_job(&id).unwrap();
    rig.until(|fact| matches!(fact, Fact::Deleted { .. }).then_some(()));
    let state = rig.slurm("squeue", &["--noheader", "--format=%T", "--jobs", &number]);
    assert!(["RUNNING", "COMPLETING"].contains(&state.trim()), "{state}");
    assert!(shown().iter().all(|job| job.id != id));
    rig.cluster(&["start"]);
}

#[test]
fn slurm_is_told_of_the_end_of_a_job_whose_step_was_killed() {
    let Some(rig) = rig() else { return };
    let (count, go) = (rig.file("count"), rig.file("go"));
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let id = rig.run(job(&counted(&count, &format!("cat {}; exit 6", go.display()))));
    eventually("it has counted", || runs(&count) == 1);
    rig.kill_step(&id);
    fs::write(&go, "").unwrap();
    // Its node does so, whether or not there is a process of the library.
    let args = ["--noheader", "--states=all", "--format=%T", "--jobs", &rig.number(&id)];
    eventually("Slurm has let it go", || rig.slurm("squeue", &args).trim() == "CANCELLED");
    assert_eq!(rig.ended(&id).exit_status, Some(6));
}

#[test]
fn an_end_that_slurm_has_forgotten_is_told_to_it_by_the_next_process() {
    let Some(rig) = rig() else { return };
    let (count, go) = (rig.file("count"), rig.file("go"));
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let id = rig.run(job(&counted(&count, &format!("cat {}; exit 6", go.display()))));
    eventually("it has counted", || runs(&count) == 1);
    let number = rig.number(&id);
    let state =
        || rig.slurm("squeue", &["--noheader", "--states=all", "--format=%T", "--jobs", &number]);
    // A controller that dies before it has written down the end believes that the job runs.
    rig.saved();
    fs::write(&go, "").unwrap();
    eventually("Slurm knows of the end", || state().trim() == "FAILED");
    rig.cluster(&["kill", "slurmctld"]);
    rig.cluster(&["start"]);
    assert_eq!(rig.ended(&id).exit_status, Some(6));
    // The traces that a process leaves that dies while it cleans up.
    fs::remove_dir_all(rig.job_dir(&id)).unwrap();
    let mark = rig.file("slurm/ended").join(&id);
    fs::write(&mark, "").unwrap();
    let next = tracker(rig.dir.path(), Some(rig.conf()));
    next.subscribe(Arc::new(Deaf));
    eventually("Slurm has let it go", || !mark.exists());
    assert_ne!(state().trim(), "RUNNING");
    assert_eq!(runs(&count), 1);
}

/// A sink for which nothing is news.
struct Deaf;

impl EventSink for Deaf {
    fn fact(&self, _: Fact) {}
}

#[test]
fn a_job_on_a_node_that_slurm_gives_up_goes_on_to_its_end() {
    let Some(rig) = rig() else { return };
    let go = rig.file("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let count = rig.file("count");
    let mut job = job(&counted(&count, &format!("cat {}; exit 6", go.display())));
    job.template.candidate_machines = Some(vec!["n2".into()]);
    let id = rig.run(job);
    rig.cluster(&["kill", "n2"]);
    rig.slurm("scontrol", &["update", "NodeName=n2", "State=DOWN", "Reason=test"]);
    let number = rig.number(&id);
    eventually("Slurm has given it up", || {
        let args = ["--noheader", "--states=all", "--format=%T", "--jobs", &number];
        rig.slurm("squeue", &args).trim() == "NODE_FAIL"
    });
    // Longer than any record may take to be visible.
    let ended = [JobState::Done, JobState::Failed];
    let waited = rig.tracker.wait(&id, Some(Duration::from_secs(15)), &ended);
    assert_eq!(waited.unwrap_err().code, ErrorCode::Timeout);
    fs::write(&go, "").unwrap();
    let outcome = rig.ended(&id);
    // A node that registers is up again.
    rig.cluster(&["start"]);
    assert_eq!((outcome.exit_status, runs(&count)), (Some(6), 1), "{outcome:?}");
}

#[test]
fn a_job_that_is_cancelled_in_slurm_says_so() {
    let Some(rig) = rig() else { return };
    let held = NewJob { held: true, ..job("true") };
    rig.tracker.add_job(held.clone()).unwrap();
    rig.slurm("scancel", &[&rig.number(&held.id)]);
    let outcome = rig.ended(&held.id);
    assert_eq!((outcome.state(), outcome.exit_status), (JobState::Failed, None));
    assert_eq!(outcome.reason.as_deref(), Some("cancelled in Slurm before it was started"));
    let id = rig.run(job("exec sleep 4323"));
    rig.slurm("scancel", &[&rig.number(&id)]);
    let outcome = rig.ended(&id);
    assert_eq!((outcome.signal, outcome.lost), (Some(libc::SIGTERM), false));
    assert_eq!(outcome.reason.as_deref(), Some("cancelled in Slurm"));
}

#[test]
fn a_second_start_of_a_job_does_nothing() {
    let Some(rig) = rig() else { return };
    let count = rig.file("count");
    let job = job(&counted(&count, "exit 3"));
    rig.tracker.add_job(job.clone()).unwrap();
    assert_eq!(rig.ended(&job.id).exit_status, Some(3));
    let node =
        std::path::PathBuf::from(std::env::var_os("DRMAA2_INIT").unwrap()).with_file_name("drmaa2-node");
    let script =
        format!("exec {} {} {}", node.display(), rig.dir.path().join("slurm/jobs").display(), job.id);
    rig.slurm("sbatch", &["--wait", "--output=/dev/null", "--wrap", "true"]);
    let args = ["--parsable", "--output=/dev/null", "--chdir=/", "--wrap", &script];
    let number = rig.slurm("sbatch", &args).trim().to_owned();
    let mut state = String::new();
    eventually("the second start is over", || {
        state = rig.slurm("squeue", &["--noheader", "--states=all", "--format=%T", "--jobs", &number]);
        state.trim() == "FAILED"
    });
    assert_eq!(runs(&count), 1);
}

#[test]
fn only_a_rerunnable_job_is_run_again_by_slurm() {
    let Some(rig) = rig() else { return };
    for rerunnable in [false, true] {
        let count = rig.file(if rerunnable { "again" } else { "once" });
        let script =
            format!("if [ $(wc -l <{}) = 2 ]; then exit 9; fi; exec sleep 4324", count.display());
        let new = job(&counted(&count, &script));
        let template = JobTemplate { rerunnable, ..new.template };
        let id = rig.run(NewJob { template, ..new });
        eventually("it has counted", || runs(&count) == 1);
        let number = rig.number(&id);
        if !rerunnable {
            eventually("Slurm may not run it again", || {
                rig.slurm("scontrol", &["show", "job", &number]).contains("Requeue=0")
            });
            rig.tracker.job_control(&id, Control::Terminate).unwrap();
            assert_eq!(rig.ended(&id).signal, Some(libc::SIGTERM));
            continue;
        }
        rig.slurm("scontrol", &["requeue", &number]);
        rig.until(|fact| matches!(fact, Fact::Waits { how, .. } if how.again).then_some(()));
        // Slurm waits for two minutes before it runs again what was requeued. At once, the node would refuse what it has
        // just ended, and Slurm would take it for failed.
        std::thread::sleep(REVOKED);
        rig.slurm("scontrol", &["update", &format!("JobId={number}"), "StartTime=now"]);
        assert_eq!(rig.ended(&id).exit_status, Some(9));
        assert_eq!(runs(&count), 2);
    }
}

#[test]
fn a_job_that_slurm_would_run_again_and_must_not_has_ended() {
    let Some(rig) = rig() else { return };
    for crashes in [false, true] {
        let count = rig.file(if crashes { "crash" } else { "requeue" });
        let mut job = job(&counted(&count, "exec sleep 4325"));
        job.template.candidate_machines = Some(vec!["n3".into()]);
        let id = rig.run(job);
        eventually("it has counted", || runs(&count) == 1);
        let number = rig.number(&id);
        eventually("Slurm may not run it again", || {
            rig.slurm("scontrol", &["show", "job", &number]).contains("Requeue=0")
        });
        // As if the controller had not been there when the node asked for that.
        rig.slurm("scontrol", &["update", &format!("JobId={number}"), "Requeue=1"]);
        if crashes {
            rig.kill_step(&id);
            rig.cluster(&["kill", "n3"]);
            for words in [&[id.as_str()][..], &["sleep 4325"]] {
                for pid in rig.processes(words) {
                    // SAFETY: takes plain numbers. Some end with others.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
            }
            rig.slurm("scontrol", &["update", "NodeName=n3", "State=DOWN", "Reason=test"]);
        } else {
            rig.slurm("scontrol", &["requeue", &number]);
        }
        let outcome = rig.until(|fact| match fact {
            Fact::Waits { how, .. } => panic!("{how:?}"),
            Fact::Ended { id: ended, outcome } if ended == id => Some(outcome),
            _ => None,
        });
        let reason = outcome.reason.clone().unwrap_or_default();
        let (signal, words) =
            if crashes { (None, "PENDING") } else { (Some(libc::SIGTERM), "not rerunnable") };
        assert_eq!((outcome.signal, outcome.lost), (signal, crashes), "{outcome:?}");
        assert!(reason.contains(words), "{reason}");
        rig.tracker.delete_job(&id).unwrap();
        eventually("Slurm has let it go", || rig.slurm("squeue", &["--noheader"]).is_empty());
        assert_eq!(runs(&count), 1);
        if crashes {
            rig.cluster(&["start"]);
        }
    }
}

#[test]
fn what_slurm_refuses_is_refused_in_its_words() {
    let Some(rig) = rig() else { return };
    let with = |change: fn(&mut JobTemplate)| {
        let mut job = job("true");
        change(&mut job.template);
        let error = rig.tracker.add_job(job.clone()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        // Nothing is left of it.
        assert!(!rig.job_dir(&job.id).exists());
        error.message
    };
    let text = with(|template| template.queue_name = Some("nowhere".into()));
    assert_eq!(
        text,
        "queueName \"nowhere\": sbatch: invalid partition specified: nowhere; Invalid partition name specified"
    );
    let text = with(|template| template.reservation_id = Some("none".into()));
    assert!(text.contains("Requested reservation is invalid"), "{text}");
    let text = with(|template| template.min_phys_memory = Some(1 << 40));
    assert!(text.contains("Memory specification can not be satisfied"), "{text}");
    let text = with(|template| template.candidate_machines = Some(vec!["n77".into()]));
    assert_eq!(text, "candidateMachines is n77: Slurm has no such node");
}

#[test]
fn a_job_gets_one_of_the_machines_that_it_asks_for() {
    let Some(rig) = rig() else { return };
    let mut job = job("true");
    job.template.candidate_machines = Some(vec!["n3".into(), "n9".into()]);
    rig.tracker.add_job(job.clone()).unwrap();
    rig.ended(&job.id);
    let info = rig.tracker.job_info(&job.id).unwrap();
    assert_eq!(info.allocated_machines[0].machine, "n3");
}

#[test]
fn without_slurm_the_error_says_what_is_missing() {
    let Some(rig) = rig() else { return };
    let dir = tempfile::tempdir().unwrap();
    let nobody = tracker(dir.path(), Some("/no/slurm.conf".into())).contact().unwrap_err();
    assert_eq!(nobody.code, ErrorCode::DrmCommunication, "{nobody}");
    assert!(nobody.message.contains("/no/slurm.conf: No such file"), "{nobody}");
    drop(rig);
}
