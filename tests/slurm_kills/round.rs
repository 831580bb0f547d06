//! One moment: jobs are submitted, something dies, and what has died is started again.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use drmaa2::model::JobTemplate;
use fastrand::Rng;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::cluster::{Cluster, has_directory, has_processes, left_of};
use crate::fault::{self, Fault};
use crate::job::Job;
use crate::player::{LIMIT, Player};

pub(crate) struct Round<'a> {
    pub(crate) cluster: &'a Cluster,
    /// The directory of all that is written: `state`, `runs`.
    dir: &'a Path,
    environment: &'a [(&'static str, String)],
    player: &'a mut Arc<Player>,
    pub(crate) jobs: Vec<Job>,
    /// Jobs that were submitted with Slurm's own program: numbers and files.
    foreign: Vec<(String, std::path::PathBuf)>,
    pub(crate) wrong: Vec<String>,
    /// The events so far, for people.
    pub(crate) notes: Vec<String>,
}

/// Slurm's daemons are asked anew what runs where after this time, as they do by themselves every half an hour. What has
/// started shortly before is not looked at then.
const REGISTERS: Duration = Duration::from_secs(18);

/// A host program on the session, which it makes or opens.
pub(crate) fn player(environment: &[(&'static str, String)], dir: &Path, words: &[&str]) -> Arc<Player> {
    let player = Arc::new(Player::new(environment, &dir.join("log")));
    player.ask(words).unwrap();
    player
}

impl<'a> Round<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        dir: &'a Path,
        environment: &'a [(&'static str, String)],
        player: &'a mut Arc<Player>,
    ) -> Self {
        let (jobs, foreign) = (Vec::new(), Vec::new());
        Self { cluster, dir, environment, player, jobs, foreign, wrong: Vec::new(), notes: Vec::new() }
    }

    /// Play it.
    pub(crate) fn play(&mut self, seed: u64, image: &str) -> Vec<Fault> {
        let rng = &mut Rng::with_seed(seed);
        let all = Fault::wanted();
        let mut faults = vec![all[usize::try_from(seed % all.len() as u64).unwrap()]];
        if rng.u8(0..4) == 0 {
            faults.push(all[rng.usize(..all.len())]);
        }
        for number in 0..rng.usize(2..=4) {
            let job = Job::new(format!("{seed}.{number}"), &self.dir.join("runs"), image, rng);
            self.jobs.push(job);
        }
        let waits = faults[0] != Fault::Submitter;
        for at in 0..self.jobs.len() {
            let template = serde_json::to_string(&self.jobs[at].template).unwrap();
            self.player.tell(&["run", &template]);
            self.jobs[at].is_doubtful = !waits;
            if waits {
                match self.player.answer() {
                    Ok(id) => self.jobs[at].id = Some(id),
                    Err(error) => self.wrong.push(format!("run answered: {error}")),
                }
            }
        }
        let (begun, mut struck) = (SystemTime::now(), Vec::new());
        for fault in &faults {
            let aim = match fault {
                fault if fault.is_aimed() => self.aim(rng),
                Fault::ControllerAtOnce => 0,
                _ => {
                    sleep(Duration::from_millis(rng.u64(0..1500)));
                    0
                }
            };
            self.notes.push(format!("{fault:?} at job {aim}"));
            fault.strike(self, aim, rng);
            struck.push((*fault, aim));
        }
        sleep(Duration::from_millis(rng.u64(0..500)));
        self.cluster.run(&["start"]);
        let accounts = self.accounts();
        for (at, job) in self.jobs.iter().enumerate() {
            let account = accounts.iter().find(|account| account["name"] == job.name.as_str());
            let faults: Vec<_> = struck.iter().map(|(fault, aim)| (*fault, *aim == at)).collect();
            self.wrong.extend(job.check(account, &faults, begun));
        }
        self.check_foreign();
        self.clean_up(&accounts);
        faults
    }

    /// A job that runs at some moment from now on, if there is one.
    fn aim(&mut self, rng: &mut Rng) -> usize {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            self.read_numbers();
            let runs = |at: &usize| self.jobs[*at].id.as_ref().is_some_and(|id| has_processes(id));
            let alive: Vec<usize> = (0..self.jobs.len()).filter(runs).collect();
            if !alive.is_empty() {
                sleep(Duration::from_millis(rng.u64(0..300)));
                return alive[rng.usize(..alive.len())];
            }
            if Instant::now() > deadline {
                return 0;
            }
        }
    }

    /// The accounts of all jobs, once all are over.
    fn accounts(&mut self) -> Vec<Value> {
        let mut registered = Instant::now();
        let deadline = registered + LIMIT;
        loop {
            if registered.elapsed() > REGISTERS {
                self.cluster.register();
                registered = Instant::now();
            }
            let accounts: Vec<Value> = match self.player.ask(&["accounts"]) {
                Ok(text) => serde_json::from_str(&text).unwrap(),
                Err(error) => {
                    self.wrong.push(format!("accounts answered: {error}"));
                    return Vec::new();
                }
            };
            if accounts.iter().all(|account| account["over"] == true) {
                return accounts;
            }
            if Instant::now() > deadline {
                self.wrong.push(format!("not over after {LIMIT:?}"));
                let queue = self.cluster.slurm("squeue", &["--states=all", "--format=%A %k %T %r %N"]);
                self.notes.push(format!("{queue:?}"));
                return accounts;
            }
            self.cluster.start_requeued();
            sleep(Duration::from_millis(100));
        }
    }

    /// Learn the numbers that Slurm has given to the jobs.
    fn read_numbers(&mut self) {
        for job in &mut self.jobs {
            let Some(id) = &job.id else { continue };
            let file = self.dir.join("state/slurm/jobs").join(id).join("submitted");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            job.number = text.lines().next().map(str::to_owned);
        }
    }

    /// The node that a job runs on.
    pub(crate) fn node(&self, job: usize) -> Option<String> {
        let number = self.jobs[job].number.as_ref()?;
        let args = ["--noheader", "--states=running", "--format=%N", "--jobs", number];
        self.cluster.slurm("squeue", &args).ok().filter(|node| !node.is_empty())
    }

    /// Kill the processes of a job for which this holds, if there are any at this moment.
    pub(crate) fn kill(&mut self, job: usize, is: impl Fn(&Job, i32) -> bool) {
        let killed = fault::kill(|pid| is(&self.jobs[job], pid));
        self.notes.push(format!("{killed} killed"));
    }

    /// Another process continues in the place of the one that is killed.
    pub(crate) fn replace_player(&mut self) {
        let pid = Pid::from_raw(self.player.pid);
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        self.player.leave();
        *self.player = player(self.environment, self.dir, &["open"]);
    }

    pub(crate) fn requeue(&mut self, job: usize) {
        let Some(number) = self.jobs[job].number.clone() else { return };
        let done = self.cluster.slurm("scontrol", &["requeue", &number]);
        self.notes.push(format!("requeue: {done:?}"));
    }

    /// The controller forgets the jobs that it has just accepted, and gives the numbers to others.
    pub(crate) fn reuse_number(&mut self, job: usize, terminate: bool) {
        let name = format!("{}.new{}", self.jobs[0].name, self.jobs.len());
        let (cluster, player) = (self.cluster, Pid::from_raw(self.player.pid));
        let mut new = Job::new(name, &self.dir.join("runs"), "host", &mut Rng::with_seed(1));
        let answer = self.player.ask(&["run", &serde_json::to_string(&new.template).unwrap()]);
        nix::sys::signal::kill(player, Signal::SIGSTOP).unwrap();
        cluster.run(&["kill", "slurmctld"]);
        cluster.run(&["start"]);
        new.id = answer.ok();
        self.jobs.push(new);
        self.read_numbers();
        for place in self.foreign.len()..self.foreign.len() + 4 {
            let file = self.dir.join("runs").join(format!("{}.foreign{place}", self.jobs[0].name));
            let script = format!("echo run >>{0}; sleep 0.5; echo end >>{0}", file.display());
            let args = ["--parsable", "--output=/dev/null", "--comment=foreign", "--wrap", &script];
            match cluster.slurm("sbatch", &args) {
                Ok(number) => self.foreign.push((number, file)),
                Err(error) => self.wrong.push(format!("sbatch: {error}")),
            }
        }
        nix::sys::signal::kill(player, Signal::SIGCONT).unwrap();
        let reused =
            |job: &Job| self.foreign.iter().any(|(number, _)| Some(number) == job.number.as_ref());
        let reused = self.jobs.iter().filter(|job| reused(job)).count();
        self.notes.push(format!("{reused} numbers reused"));
        let job = &mut self.jobs[job];
        if let Some(id) = job.id.as_ref().filter(|_| terminate) {
            job.is_terminated = true;
            // It may be over.
            let done = self.player.ask(&["terminate", id]);
            self.notes.push(format!("terminate: {done:?}"));
        }
    }

    fn check_foreign(&mut self) {
        for (number, file) in &self.foreign {
            self.notes.push(format!("{number}: {:?}", self.cluster.state(number)));
            let text = || std::fs::read_to_string(file).unwrap_or_default();
            // A controller that dies once more may let it run again.
            let is_whole = || text().ends_with("run\nend\n");
            let deadline = Instant::now() + LIMIT;
            // Or have forgotten it.
            let is_known = || self.cluster.state(number).is_ok_and(|state| state.starts_with("foreign"));
            while !is_whole() && is_known() && Instant::now() < deadline {
                // Slurm holds what a node refuses, as one on which the other job of this number runs does.
                if self.cluster.state(number).is_ok_and(|state| state.contains("held")) {
                    let _ = self.cluster.slurm("scontrol", &["release", number]);
                }
                self.cluster.start_requeued();
                sleep(Duration::from_millis(100));
            }
            if !is_whole() && is_known() {
                let state = self.cluster.state(number);
                self.wrong.push(format!("job {number} of another program: {:?} {state:?}", text()));
            }
        }
    }

    /// Run a job that removes what killed programs have left in the directories of their nodes.
    fn sweep(&mut self) {
        let template = JobTemplate {
            remote_command: Some("true".into()),
            job_category: Some("host".into()),
            ..JobTemplate::default()
        };
        let swept =
            self.player.ask(&["run", &serde_json::to_string(&template).unwrap()]).and_then(|id| {
                self.player.ask(&["ended", &id])?;
                self.player.ask(&["reap", &id])
            });
        if let Err(error) = swept {
            self.wrong.push(format!("the job that sweeps: {error}"));
        }
    }

    /// Reap the jobs; nothing is left of them then.
    fn clean_up(&mut self, accounts: &[Value]) {
        if accounts.iter().any(|account| has_directory(account["id"].as_str().unwrap())) {
            self.sweep();
        }
        for account in accounts {
            let id = account["id"].as_str().unwrap();
            if let Err(error) = self.player.ask(&["reap", id]) {
                self.wrong.push(format!("reap {id} answered: {error}"));
                continue;
            }
            let deadline = Instant::now() + Duration::from_secs(30);
            let left = || {
                let mut left = left_of(id);
                for place in ["jobs", "news"] {
                    let path = self.dir.join("state/slurm").join(place).join(id);
                    if path.symlink_metadata().is_ok() {
                        left.push(path.display().to_string());
                    }
                }
                left
            };
            while !left().is_empty() && Instant::now() < deadline {
                sleep(Duration::from_millis(50));
            }
            let left = left();
            if !left.is_empty() {
                self.wrong.push(format!("left of job {id}: {left:?}"));
            }
        }
        let args = ["--noheader", "--format=%A %k %T %r %N"];
        // A node whose daemon was dead at the end of a job is told so anew after a minute.
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            match self.cluster.slurm("squeue", &args) {
                // Slurm may have missed the end of the others.
                Ok(text) if text.lines().all(|line| line.contains(" foreign ")) => {
                    for number in text.lines().filter_map(|line| line.split(' ').next()) {
                        let _ = self.cluster.slurm("scancel", &[number]);
                    }
                    break;
                }
                said if Instant::now() > deadline => {
                    self.wrong.push(format!("left in Slurm: {said:?}"));
                    let _ = self.cluster.slurm("scancel", &["--user=root"]);
                    break;
                }
                _ => sleep(Duration::from_millis(100)),
            }
        }
    }

    pub(crate) fn expect(&mut self, answer: Result<String, String>) {
        if let Err(error) = answer {
            self.notes.push(error);
        }
    }
}
