//! Jobs that Slurm has forgotten, and that have left no record of their end: Slurm's accounting tells it, where there is one.

use std::fs;
use std::io::Write;
use std::time::Duration;

use drmaa2::model::{JobInfo, JobState};
use drmaa2::slurm::SlurmTracker;
use drmaa2::tracker::{Fact, JobTracker, NewArray, NewJob, TaskRange};
use drmaa2_init::RECORD_FILE;

use crate::rig::{Rig, accounted_rig, copy, eventually, job, tracker};

/// A cluster with accounting that forgets jobs as early as Slurm can.
fn forgetful() -> Option<Rig> {
    let rig = accounted_rig()?;
    let conf = fs::read_to_string(rig.conf()).unwrap();
    if !conf.contains("MinJobAge") {
        let mut file = fs::OpenOptions::new().append(true).open(rig.conf()).unwrap();
        writeln!(file, "MinJobAge=2").unwrap();
        rig.slurm("scontrol", &["reconfigure"]);
    }
    Some(rig)
}

/// Run a job to its end.
fn run(rig: &Rig, script: &str) -> String {
    let job = job(script);
    rig.tracker.add_job(job.clone()).unwrap();
    rig.ended(&job.id);
    job.id
}

fn cancel(rig: &Rig, id: &str) {
    rig.slurm("scancel", &[&rig.number(id)]);
    rig.ended(id);
}

/// Submit an array, and see its tasks end.
fn run_array(rig: &Rig, common: NewJob, while_it_waits: impl FnOnce(&str)) -> [String; 2] {
    let range = TaskRange { first: 3, last: 5, step: 2 };
    let array = NewArray { common, range, max_parallel: None, indices: vec![3, 5] };
    rig.tracker.add_array_job(array.clone()).unwrap();
    let id = &array.common.id;
    let noted = fs::read_to_string(rig.file("slurm/arrays").join(id).join("submitted")).unwrap();
    while_it_waits(noted.split(' ').nth(3).unwrap());
    let tasks = [3, 5].map(|index| format!("{id}.{index}"));
    let mut left = tasks.to_vec();
    while !left.is_empty() {
        let ended = rig.until(|fact| match fact {
            Fact::Ended { id, .. } if left.contains(&id) => Some(id),
            _ => None,
        });
        left.retain(|id| *id != ended);
    }
    tasks
}

/// The ends of these jobs, as a process finds them.
fn ends(tracker: &SlurmTracker, ids: &[&String]) -> Vec<JobInfo> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
    let mut found = Vec::new();
    eventually("all have ended", || {
        found = tracker.job_infos(&ids).into_iter().map(Result::unwrap).collect();
        found.iter().all(|info| info.state.is_terminated())
    });
    found
}

fn lose_record(rig: &Rig, id: &str) {
    fs::remove_file(rig.job_dir(id).join("run.0").join(RECORD_FILE)).unwrap();
}

fn said(info: &JobInfo) -> &str {
    info.annotation.as_deref().unwrap_or_default()
}

#[test]
fn the_end_of_a_job_that_slurm_has_forgotten_is_told_by_its_accounting() {
    let Some(rig) = forgetful() else { return };
    let (done, failed) = (run(&rig, "true"), run(&rig, "exit 3"));
    let [_, task] = run_array(&rig, job("exit 4"), |_| {});
    let [cancelled, recorded] = ["exec sleep 4361", "exec sleep 4362"].map(|script| {
        let id = rig.run(job(script));
        eventually("it runs", || rig.processes(&[&script[5..]]).len() == 1);
        cancel(&rig, &id);
        id
    });
    let killed = rig.run(job("exec sleep 4363"));
    rig.kill(&["drmaa2-node", &killed]);
    rig.ended(&killed);
    let held = NewJob { held: true, ..job("true") };
    rig.tracker.add_job(held.clone()).unwrap();
    cancel(&rig, &held.id);
    let held_array = NewJob { held: true, ..job("true") };
    let [_, waited] = run_array(&rig, held_array, |number| drop(rig.slurm("scancel", &[number])));
    let before = rig.tracker.job_info(&failed).unwrap();
    [&done, &failed, &task, &cancelled, &killed].into_iter().for_each(|id| lose_record(&rig, id));

    let ids = [&done, &failed, &task, &cancelled, &recorded, &killed, &held.id, &waited];
    eventually("Slurm has forgotten all", || {
        rig.slurm("squeue", &["--noheader", "--states=all"]).is_empty()
    });
    let later = tracker(rig.dir.path(), Some(rig.conf()));
    let found: [JobInfo; 8] = ends(&later, &ids).try_into().unwrap();
    let [done, failed, task, cancelled, recorded, killed, held, waited] = &found;
    assert_eq!((done.state, done.exit_status), (JobState::Done, Some(0)), "{done:?}");
    assert!(done.usage.cpu_time.is_some() && !done.lost);
    assert_eq!((failed.state, failed.exit_status), (JobState::Failed, Some(3)), "{failed:?}");
    let node = &failed.allocated_machines[0].machine;
    let about = format!("the account is Slurm's (FAILED 3:0): its run on {node} left no record");
    assert_eq!(said(failed), about);
    assert_eq!(failed.allocated_machines, before.allocated_machines);
    // Slurm knows seconds, and sees an end a moment later.
    for (time, true_time) in [(failed.dispatched, before.dispatched), (failed.finished, before.finished)]
    {
        let distance = time.unwrap().abs_diff(true_time.unwrap());
        assert!(Duration::from_millis(distance) < Duration::from_secs(5), "{failed:?} {before:?}");
    }
    assert_eq!(task.exit_status, Some(4), "{task:?}");
    assert!(!cancelled.lost && cancelled.exit_status.is_none());
    assert!(said(cancelled).starts_with("cancelled in Slurm; the account is Slurm's"), "{cancelled:?}");
    assert_eq!((said(recorded), recorded.exit_status), ("cancelled in Slurm", Some(143)));
    assert!(killed.lost && said(killed).contains("0:9): its run on"), "{killed:?}");
    let about = "cancelled in Slurm before it was started; the account is Slurm's (CANCELLED)";
    for info in [held, waited] {
        assert_eq!((info.state, said(info)), (JobState::Failed, about));
        assert!(
            info.dispatched.is_none() && info.allocated_machines.is_empty() && info.session.is_some()
        );
    }
}

#[test]
fn a_number_that_slurm_has_given_again_is_not_mistaken() {
    let Some(rig) = forgetful() else { return };
    let (state, earlier) = (rig.conf().with_file_name("state"), rig.file("state"));
    copy(&state, &earlier);
    let id = run(&rig, "exit 5");
    let number = rig.number(&id);
    let account = |field: &str| {
        let format = format!("--format={field}");
        let args = ["--noheader", "--parsable2", "--allocations", &format, "--jobs", &number];
        rig.slurm("sacct", &args).trim().to_owned()
    };
    // Slurm tells the name of a job, and its command, some seconds later than its end.
    eventually("its account is complete", || account("JobName") == "sh");
    // A controller that has lost what it knew.
    rig.cluster(&["kill", "slurmctld"]);
    fs::remove_dir_all(&state).unwrap();
    copy(&earlier, &state);
    rig.cluster(&["start"]);
    let args = ["--parsable", "--hold", "--output=/dev/null", "--job-name=sh", "--wrap", "true"];
    assert_eq!(rig.slurm("sbatch", &args).trim(), number);
    rig.slurm("scancel", &[&number]);
    lose_record(&rig, &id);
    let later = tracker(rig.dir.path(), Some(rig.conf()));
    // Its record may still become visible.
    assert_eq!(later.job_info(&id).unwrap().state, JobState::Running);
    eventually("its number has another account", || account("State") == "CANCELLED by 0");
    let info = ends(&later, &[&id]).remove(0);
    assert_eq!((info.exit_status, info.lost), (Some(5), false), "{info:?}");
}
