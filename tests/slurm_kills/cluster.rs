//! A cluster of one's own, and the processes on its nodes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A cluster; it is ended with this.
pub(crate) struct Cluster {
    script: PathBuf,
    dir: tempfile::TempDir,
    /// The numbers of jobs that were requeued, and since when that is known.
    requeued: RefCell<HashMap<String, Instant>>,
}

/// The time for which a node refuses what it has just ended; Slurm counts seconds.
const REVOKED: Duration = Duration::from_secs(2);

impl Cluster {
    pub(crate) fn start(script: PathBuf) -> Self {
        // Not below a directory with a long name: a socket is in it.
        let dir = tempfile::Builder::new().prefix("kl").tempdir_in("/tmp").unwrap();
        let cluster = Self { script, dir, requeued: RefCell::default() };
        cluster.run(&["start"]);
        cluster
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("c")
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.path().join("slurm.conf")
    }

    /// Run the script that starts it and kills parts of it.
    pub(crate) fn run(&self, words: &[&str]) {
        let (first, rest) = words.split_first().unwrap();
        let mut command = Command::new(&self.script);
        command.arg(first).arg(self.path()).args(rest).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "{words:?}");
    }

    /// Run a program of Slurm; its output, or what it says against it.
    pub(crate) fn slurm(&self, program: &str, args: &[&str]) -> Result<String, String> {
        // Some try for minutes while the daemon that vouches for users is dead.
        let mut command = Command::new("timeout");
        command.args(["10", program]).args(args).env("SLURM_CONF", self.conf());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// The comment of a job, its state, and why.
    pub(crate) fn state(&self, number: &str) -> Result<String, String> {
        self.slurm("squeue", &["--noheader", "--states=all", "--format=%k %T %r %N", "--jobs", number])
    }

    /// Let the nodes tell the controller what runs there.
    pub(crate) fn register(&self) {
        let _ = self.slurm("scontrol", &["reconfigure"]);
    }

    /// Let jobs that were requeued start soon: Slurm waits for two minutes otherwise. At once, a node that has just ended one
    /// would refuse it, and Slurm would take it for failed.
    pub(crate) fn start_requeued(&self) {
        let args = ["--noheader", "--states=pending", "--format=%A %r"];
        let waiting = self.slurm("squeue", &args).unwrap_or_default();
        let mut since = self.requeued.borrow_mut();
        let requeued: Vec<&str> =
            waiting.lines().filter_map(|line| line.strip_suffix(" BeginTime")).collect();
        since.retain(|number, _| requeued.contains(&number.as_str()));
        for number in requeued {
            if since.entry(number.to_owned()).or_insert_with(Instant::now).elapsed() < REVOKED {
                continue;
            }
            // It may have started just now.
            let _ = self.slurm("scontrol", &["update", &format!("JobId={number}"), "StartTime=now"]);
        }
        // Slurm drains a node that refuses a number that it has seen before.
        if ["DRAIN", "ReqNodeNotAvail"].iter().any(|reason| waiting.contains(reason)) {
            for node in ["n1", "n2", "n3"] {
                let name = format!("NodeName={node}");
                let _ = self.slurm("scontrol", &["update", &name, "State=RESUME"]);
            }
        }
    }

    /// Returns whether a process of Slurm belongs to it: another cluster on this machine may have the same numbers.
    pub(crate) fn works_in(&self, pid: i32) -> bool {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == self.path())
    }

    /// Keep what its daemons have written.
    pub(crate) fn keep_logs(&self, at: &Path) {
        for entry in fs::read_dir(self.path()).unwrap().flatten() {
            if entry.path().extension().is_some_and(|kind| kind == "log") {
                fs::copy(entry.path(), at.join(entry.file_name())).unwrap();
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}

/// The processes for which this holds.
pub(crate) fn processes(is: impl Fn(i32) -> bool) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own && is(*pid)).collect()
}

/// A file of a process, with spaces in place of NUL.
pub(crate) fn told(pid: i32, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Returns whether a process belongs to a job with this id: it was started for it, or sees its directory.
pub(crate) fn is_of_job(pid: i32, id: &str) -> bool {
    ["cmdline", "environ", "mountinfo"].iter().any(|file| told(pid, file).contains(id))
}

/// Returns whether a job with this id has processes.
pub(crate) fn has_processes(id: &str) -> bool {
    !processes(|pid| is_of_job(pid, id)).is_empty()
}

/// Returns whether a job with this id has a directory on its node.
pub(crate) fn has_directory(id: &str) -> bool {
    let mut found = Vec::new();
    named(Path::new("/tmp"), &format!("drmaa2-{id}"), 1, &mut found);
    !found.is_empty()
}

/// The traces of a job on the nodes.
pub(crate) fn left_of(id: &str) -> Vec<String> {
    let mut left: Vec<String> = processes(|pid| is_of_job(pid, id))
        .into_iter()
        .map(|pid| format!("process {pid}: {}", told(pid, "cmdline")))
        .collect();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(id)).map(|line| format!("mount {line}")));
    named(Path::new("/sys/fs/cgroup"), id, 9, &mut left);
    named(Path::new("/tmp"), &format!("drmaa2-{id}"), 1, &mut left);
    left
}

/// The directories below this one with this in their name.
fn named(dir: &Path, text: &str, depth: usize, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(text) {
            found.push(format!("directory {}", entry.path().display()));
        } else if depth > 1 {
            named(&entry.path(), text, depth - 1, found);
        }
    }
}
