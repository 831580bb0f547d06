//! After the fault: what died is started again, and then everything must be as it was promised.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::daemon::Daemon;
use crate::disks::Disk;
use crate::fault::{Act, Fault, UNKNOWN};
use crate::matrix::Cell;
use crate::processes;
use crate::proxy::Fate;
use crate::stage::{Stage, Starter};
use crate::strike;

/// The time that something may take which ends by itself.
const LIMIT: Duration = Duration::from_secs(30);

/// The outcome of a fault.
pub struct Verdict {
    /// No fault came to its point.
    pub missed: bool,
    pub struck: usize,
    pub wrong: Vec<String>,
    /// The calls that were made.
    pub calls: Vec<String>,
    /// The directory with all that was written, if something went wrong.
    pub kept: Option<PathBuf>,
}

/// Play a scene with a fault in it.
pub fn play(daemon: &mut Daemon, cell: &Cell) -> Verdict {
    let faults = [cell.fault.clone()];
    let mut verdict = play_with(daemon, cell.starter, &faults, |stage| cell.scene.play(stage));
    verdict.missed &= cell.fault.act != Act::Nothing;
    verdict
}

/// Play something with faults in it.
pub fn play_with(
    daemon: &mut Daemon,
    starter: Starter,
    faults: &[Fault],
    scene: impl FnOnce(&Stage),
) -> Verdict {
    daemon.fresh();
    let stage = Stage::new(daemon, starter, faults);
    std::thread::scope(|scope| {
        let striker = scope.spawn(|| strike::watch(&stage));
        scene(&stage);
        // A host program that lives does as it should, or leaves it all to the agent.
        match starter {
            Starter::Submitter => drop(stage.player().ask(&["close"])),
            Starter::Agent => {
                stage.player().leave();
                if !agent_has_left(&stage) {
                    stage.note("the agent does not leave".to_owned());
                }
            }
        }
        stage.over();
        striker.join().unwrap();
    });
    let (calls, struck) = (stage.proxy.calls(), stage.struck.load(Ordering::Acquire));
    settle(&stage, faults);
    let left = leftovers(&stage);
    let mut wrong = stage.wrong.lock().unwrap().clone();
    wrong.extend(left.iter().map(|what| format!("left: {what}")));
    let kept = if wrong.is_empty() { None } else { Some(stage.keep()) };
    if let Some(kept) = &kept {
        daemon.copy_log(&kept.join("containerd.log"));
    }
    if !left.is_empty() {
        daemon.renew();
    }
    Verdict { missed: struck == 0, struck, wrong, calls, kept }
}

/// A new process sees to all jobs; each must have run as it should.
fn settle(stage: &Stage, faults: &[Fault]) {
    stage.open_gate();
    stage.daemon.start();
    stage.proxy.mute(false);
    stage.proxy.arm(None);
    stage.disk.iter().for_each(Disk::free);
    stage.player().leave();
    let other = stage.new_player();
    if let Err(error) = other.ask(&["open"]) {
        return stage.note(format!("open answered: {error}"));
    }
    let clock = faults.iter().find_map(|fault| fault.act.clock());
    if let Some(off) = clock.filter(|_| stage.has_struck()) {
        let shown: i64 = other.ask(&["clock"]).unwrap().parse().unwrap();
        let off_now = shown - drmaa2::model::now() / 1000;
        assert!((off_now - off).abs() < 60, "the clock is {off_now} s off, not {off}");
    }
    for fate in stage.late.lock().unwrap().drain(..) {
        let _ = fate.send(Fate::Pass);
    }
    let refused = faults.iter().any(|fault| fault.act == Act::Refuse(UNKNOWN));
    match other.ask(&["all"]) {
        Ok(jobs) => {
            for id in stage.accepted.lock().unwrap().iter().filter(|id| !jobs.contains(*id)) {
                stage.note(format!("job {id} is not known"));
            }
            jobs.split_terminator('\t').for_each(|job| judge(stage, refused, job));
        }
        Err(error) => stage.note(format!("the wait for all answered: {error}")),
    }
    if let Err(error) = other.ask(&["close"]) {
        stage.note(format!("close answered: {error}"));
    }
    other.leave();
    if stage.starter == Starter::Agent && !agent_has_left(stage) {
        stage.note("the agent does not leave".to_owned());
    }
}

/// Did a job end and run as it should? One that was hit may be FAILED, and run again if it is rerunnable.
/// `refused` is a launch that may have been refused for good.
fn judge(stage: &Stage, refused: bool, job: &str) {
    let [id, state, rerunnable, has_init, annotation] = job.split('\x1f').collect::<Vec<_>>()[..] else {
        panic!("{job:?}")
    };
    let noted = stage.noted(id);
    let count = |word: &str| noted.iter().filter(|line| *line == word).count();
    let (begun, hits) = (count("run"), stage.hits(id));
    // Without init, only containerd knows how a job has ended; from 1.7 on it forgets when it dies.
    let forgotten = has_init == "false" && stage.daemon.has_died() && begun > 0;
    let allowed = if rerunnable == "true" { 1 + hits } else { 1 };
    if begun > allowed && !(forgotten && rerunnable == "true") {
        stage.note(format!("job {id} ran {begun} times"));
    }
    match state {
        "DONE" if count("end") == 0 => stage.note(format!("job {id} is DONE and did not run")),
        "DONE" => {}
        "FAILED" if hits > 0 || refused => {}
        "FAILED" if forgotten => {}
        // There was no room to start it.
        "FAILED" if stage.disk.is_some() && begun == 0 => {}
        _ => stage.note(format!("job {id} is {state} and noted {noted:?}: {annotation}")),
    }
}

/// The agent leaves when it has nothing to do. It holds a lock as long as it runs.
fn agent_has_left(stage: &Stage) -> bool {
    let path = stage.path("state/drmaa2d.lock");
    let (sender, locked) = mpsc::channel();
    std::thread::spawn(move || {
        let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
        let _ = sender.send(Flock::lock(file, FlockArg::LockExclusive).is_ok());
    });
    locked.recv_timeout(LIMIT).unwrap_or(false)
}

/// Everything that is left of jobs and of their processes.
fn leftovers(stage: &Stage) -> Vec<String> {
    let mut left = Vec::new();
    let mut processes = stage.daemon.shims();
    processes.extend(stage.processes());
    processes.extend(stage.in_jobs());
    processes.extend(processes::with("cmdline", stage.wrapper.path().to_str().unwrap()));
    for pid in processes {
        // Those that are on their way out may take the time.
        if !processes::gone(pid, Duration::from_secs(2)) {
            left.push(format!("process {pid} {}", processes::words(pid).join(" ")));
            processes::end(pid);
        }
    }
    let mut traces = stage.daemon.traces();
    if left.is_empty() && !traces.is_empty() && traces.iter().all(|trace| stage.daemon.is_bundle(trace))
    {
        stage.daemon.kill();
        stage.daemon.start();
        traces = stage.daemon.traces();
        let (kept, others) =
            traces.into_iter().partition::<Vec<_>, _>(|trace| stage.daemon.keeps(trace));
        kept.iter().for_each(|trace| fs::remove_dir_all(trace).unwrap());
        traces = others;
    }
    left.extend(traces);
    for entry in fs::read_dir(stage.path("state/jobs")).into_iter().flatten() {
        left.push(format!("directory {}", entry.unwrap().file_name().to_string_lossy()));
    }
    left
}
