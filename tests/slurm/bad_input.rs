//! The troubles of a cluster, or of the way to it: programs missing or hanging, a wrong configuration, full disks,
//! wrong clocks. Each gives an error that says so, in the words of the one who knows, and nothing is lost.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drmaa2::model::{ErrorCode, JobInfo, JobState};
use drmaa2::slurm::SlurmTracker;
use drmaa2::tracker::{Fact, JobTracker, NewJob};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::rig::{LONG, Rig, eventually, job, rig, tracker, tracker_at};
use crate::{counted, runs};

/// A file system of this size over a directory, as long as this lives.
struct Disk(PathBuf);

impl Disk {
    fn over(dir: &Path, size: &str) -> Self {
        let options = format!("size={size}");
        let flags = MsFlags::empty();
        mount(Some("tmpfs"), dir, Some("tmpfs"), flags, Some(options.as_str())).unwrap();
        Self(dir.to_owned())
    }

    /// Leave so many bytes free.
    fn fill(&self, left: usize) {
        let file = self.0.join("ballast");
        let found = nix::sys::statvfs::statvfs(&self.0).unwrap();
        let free = usize::try_from(found.blocks_available() * found.block_size()).unwrap();
        fs::write(file, vec![0; free.saturating_sub(left)]).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Wait for the end of a job, whatever the way to Slurm is like at the moment.
fn ended(tracker: &SlurmTracker, id: &str) -> JobInfo {
    let mut found = None;
    eventually("the job has ended", || {
        found = tracker.job_info(id).ok().filter(|info| info.state.is_terminated());
        found.is_some()
    });
    found.unwrap()
}

/// A directory of programs that do this before the real ones, as long as a file `wrong` is there.
fn wrong_programs(dir: &Path, programs: &[(&str, &str)]) -> OsString {
    for (name, script) in programs {
        let file = dir.join(name);
        let wrong = dir.join("wrong");
        let real = format!("/usr/bin/{name}");
        let text = format!(
            "#!/bin/sh\nif [ -e {} ]; then\n{}\nfi\nexec {real} \"$@\"\n",
            wrong.display(),
            script.replace("REAL", &real)
        );
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut path = OsString::from(dir);
    path.push(":/usr/bin:/bin");
    path
}

#[test]
fn without_programs_the_error_says_what_is_missing() {
    let Some(rig) = rig() else { return };
    let dir = tempfile::tempdir().unwrap();
    let tracker = tracker_at(dir.path(), Some(rig.conf()), "/nowhere".into());
    let error = tracker.contact().unwrap_err();
    assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
    assert!(error.message.contains("are Slurm's programs installed, and in PATH?"), "{error}");
    let job = job("true");
    let error = tracker.add_job(job.clone()).unwrap_err();
    assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
    assert!(!dir.path().join("slurm/jobs").join(&job.id).exists());
}

#[test]
fn a_wrong_configuration_is_told_in_the_words_of_slurm() {
    let Some(rig) = rig() else { return };
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(rig.conf()).unwrap();
    for (from, to, words) in [
        ("ClusterName=", "NoSuchName=", "NoSuchName"),
        ("SlurmctldPort=", "SlurmctldPort=1#", "Unable to contact slurm controller"),
        ("munge.socket", "no.socket", "no.socket"),
    ] {
        let conf = dir.path().join("slurm.conf");
        fs::write(&conf, text.replace(from, to)).unwrap();
        let error = tracker(dir.path(), Some(conf)).add_job(job("true")).unwrap_err();
        assert_eq!(error.code, ErrorCode::DrmCommunication, "{from}: {error}");
        assert!(error.message.contains(words), "{from}: {error}");
    }
}

#[test]
fn a_wait_for_a_job_of_another_program_goes_on_while_the_controller_is_down() {
    let Some(rig) = rig() else { return };
    let go = rig.file("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("cat {}", go.display());
    let args = ["--parsable", "--output=/dev/null", "--wrap", &script];
    let number = rig.slurm("sbatch", &args).trim().to_owned();
    let tracker = Arc::clone(&rig.tracker);
    let states = [JobState::Done, JobState::Failed];
    assert_eq!(tracker.wait(&number, Some(LONG), &[JobState::Running]).unwrap(), JobState::Running);
    let waits = std::thread::spawn(move || tracker.wait(&number, Some(LONG), &states));
    rig.saved();
    rig.cluster(&["kill", "slurmctld"]);
    // It asks meanwhile, unless it is slow.
    assert!(rig.tracker.contact().is_err());
    rig.cluster(&["start"]);
    fs::write(&go, "").unwrap();
    assert_eq!(waits.join().unwrap().unwrap(), JobState::Done);
}

#[test]
fn a_program_that_hangs_is_given_up_and_nothing_is_lost() {
    let Some(rig) = rig() else { return };
    let (mute, deaf) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let count = rig.file("count");
    // One submits without an answer, the other is never answered.
    let path = wrong_programs(mute.path(), &[("sbatch", "REAL \"$@\" >/dev/null; exec sleep 1000")]);
    let submits = tracker_at(dirs[0].path(), Some(rig.conf()), path);
    let path = wrong_programs(deaf.path(), &[("squeue", "exec sleep 1000")]);
    let asks = tracker_at(dirs[1].path(), Some(rig.conf()), path);
    let submitted = job(&counted(&count, "exit 8"));
    let asked = job(&counted(&count, "exit 9"));
    asks.add_job(asked.clone()).unwrap();
    for dir in [&mute, &deaf] {
        fs::write(dir.path().join("wrong"), "").unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(|| submits.add_job(submitted.clone()).unwrap());
        let error = asks.job_control(&asked.id, drmaa2::model::Control::Suspend).unwrap_err();
        assert!(
            error.code == ErrorCode::DrmCommunication && error.message.contains("squeue: no answer")
                || error.code == ErrorCode::InvalidState,
            "{error}"
        );
    });
    for dir in [&mute, &deaf] {
        fs::remove_file(dir.path().join("wrong")).unwrap();
    }
    assert_eq!(ended(&submits, &submitted.id).exit_status, Some(8));
    assert_eq!(ended(&asks, &asked.id).exit_status, Some(9));
    assert_eq!(runs(&count), 2);
}

#[test]
fn a_full_state_directory_refuses_a_job_and_takes_it_later() {
    let Some(rig) = rig() else { return };
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::over(dir.path(), "512k");
    let tracker = tracker(dir.path(), Some(rig.conf()));
    let count = rig.file("count");
    let first = job(&counted(&count, "exit 1"));
    tracker.add_job(first.clone()).unwrap();
    ended(&tracker, &first.id);
    let mut refused = 0;
    // A job needs some blocks; want of each of them is another story.
    for blocks in 0..12 {
        let job = job(&counted(&count, "exit 7"));
        disk.fill(blocks * 4096);
        let added = tracker.add_job(job.clone());
        disk.free();
        if let Err(error) = added {
            refused += 1;
            assert_eq!(error.code, ErrorCode::OutOfResource, "{error}");
            assert!(error.message.contains("No space left on device"), "{error}");
            assert!(error.message.contains(&*dir.path().to_string_lossy()), "{error}");
            tracker.add_job(job.clone()).unwrap();
        }
        let info = ended(&tracker, &job.id);
        assert!(info.exit_status == Some(7), "{blocks} blocks: {info:?}");
        assert_eq!(runs(&count), 2 + blocks);
    }
    assert!(refused > 0);
}

#[test]
fn a_node_with_a_full_disk_lets_jobs_wait() {
    let Some(rig) = rig() else { return };
    let spool = rig.conf().with_file_name("spool");
    let disks = ["n1", "n2", "n3"].map(|node| Disk::over(&spool.join(node), "64k"));
    disks.iter().for_each(|disk| disk.fill(0));
    let count = rig.file("count");
    let jobs = [false, true].map(|rerunnable| {
        let mut job = job(&counted(&count, "exit 7"));
        job.template.rerunnable = rerunnable;
        rig.tracker.add_job(job.clone()).unwrap();
        let held = rig.until(|fact| match fact {
            Fact::Waits { id, how } if id == job.id => {
                assert!(!how.again, "it has not run: {how:?}");
                how.held.then_some(how)
            }
            Fact::Ended { outcome, .. } => panic!("{outcome:?}"),
            _ => None,
        });
        assert!(held.reason.as_ref().unwrap().contains("launch failed"), "{held:?}");
        job
    });
    drop(disks);
    // The administrator gives back the nodes that Slurm has drained, then the user the job.
    for node in ["n1", "n2", "n3"] {
        let mut command = Command::new("scontrol");
        command.args(["update", &format!("NodeName={node}"), "State=RESUME"]);
        let _ = command.env("SLURM_CONF", rig.conf()).stderr(Stdio::null()).status();
    }
    for (job, runs_by_then) in jobs.iter().zip(1..) {
        rig.tracker.queueing().unwrap().release(std::slice::from_ref(&job.id)).unwrap();
        start_requeued(&rig, job);
        assert_eq!(rig.ended(&job.id).exit_status, Some(7));
        assert_eq!(runs(&count), runs_by_then);
    }
}

/// Slurm waits for two minutes before it runs again what was requeued.
fn start_requeued(rig: &Rig, job: &NewJob) {
    let name = format!("JobId={}", rig.number(&job.id));
    rig.slurm("scontrol", &["update", &name, "StartTime=now"]);
}

/// The library that gives a process a wrong time, on Debian.
fn faketime() -> PathBuf {
    let dirs = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut libraries = dirs.map(|dir| dir.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime is needed for a wrong clock")
}

#[test]
fn a_node_whose_clock_is_wrong_runs_jobs() {
    let Some(rig) = rig() else { return };
    for skew in ["-4m", "+4m"] {
        rig.cluster(&["kill", "n1"]);
        let dir = rig.conf().parent().unwrap().to_owned();
        let mut command = Command::new("setsid");
        command.args(["slurmd", "-N", "n1"]).env("SLURM_CONF", rig.conf());
        command.env("LD_PRELOAD", faketime()).env("FAKETIME", skew);
        command.env("DRMAA2_CLUSTER", &dir).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        assert!(command.status().unwrap().success(), "slurmd");
        rig.cluster(&["start"]);
        let count = rig.file(skew);
        let mut job = job(&counted(&count, "exit 7"));
        job.template.candidate_machines = Some(vec!["n1".into()]);
        let begun = Instant::now();
        rig.tracker.add_job(job.clone()).unwrap();
        assert_eq!(rig.ended(&job.id).exit_status, Some(7), "{skew}");
        let info = rig.tracker.job_info(&job.id).unwrap();
        let lived = info.finished.unwrap() - info.dispatched.unwrap();
        assert!(
            Duration::from_millis(lived.unsigned_abs()) <= begun.elapsed() + Duration::from_secs(2),
            "{info:?}"
        );
        assert_eq!(runs(&count), 1);
    }
    rig.cluster(&["kill", "n1"]);
    rig.cluster(&["start"]);
}
