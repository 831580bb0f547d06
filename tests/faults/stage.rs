//! The stage on which one fault is played: a state directory, the wire to containerd, the runtime in its
//! wrapper, and the processes that take part.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use drmaa2::model::JobTemplate;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::oneshot;

use crate::clocks;
use crate::daemon::{Daemon, IMAGE};
use crate::disks::Disk;
use crate::fault::{Act, At, Fault};
use crate::player::Player;
use crate::processes;
use crate::proxy::{Fate, Hit, Proxy};
use crate::wrapper::{self, Wrapper};

/// Something in the way of the play.
pub enum Signal {
    /// A call is stopped.
    Call(Hit),
    /// The runtime is stopped.
    Runtime(i32),
    /// The play is over.
    Over,
}

/// The process that starts the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Starter {
    Submitter,
    Agent,
}

impl fmt::Display for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Agent { "agent" } else { "submitter" })
    }
}

pub struct Stage<'a> {
    pub daemon: &'a Daemon,
    /// Those that are to come; the first is armed.
    faults: Mutex<VecDeque<Fault>>,
    /// One of them is over.
    calm: Condvar,
    pub starter: Starter,
    pub proxy: Proxy,
    pub wrapper: Wrapper,
    pub signals: Mutex<Receiver<Signal>>,
    signal: Sender<Signal>,
    /// The host program.
    player: Mutex<Arc<Player>>,
    /// Calls of the dead that are still on their way.
    pub late: Mutex<Vec<oneshot::Sender<Fate>>>,
    /// Stopped processes.
    pub stopped: Mutex<Vec<i32>>,
    /// Jobs that were submitted.
    pub accepted: Mutex<Vec<String>>,
    /// Jobs that the fault put on hold.
    pub held: Mutex<Vec<String>>,
    gate: Mutex<Option<File>>,
    /// Everything that went wrong while it was played.
    pub wrong: Mutex<Vec<String>>,
    /// Containers that the faults themselves have hit.
    hits: Mutex<Vec<String>>,
    /// The number of faults that have happened.
    pub struck: AtomicUsize,
    environment: Vec<(&'static str, String)>,
    /// The disk that the state directory is on, if it is one of its own.
    pub disk: Option<Disk>,
    dir: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    pub fn new(daemon: &'a Daemon, starter: Starter, faults: &[Fault]) -> Self {
        let dir = tempfile::Builder::new().prefix("faults.").tempdir_in("/var/tmp").unwrap();
        let (signal, signals) = mpsc::channel();
        let (of_calls, of_runtime) = (Mutex::new(signal.clone()), signal.clone());
        let proxy = Proxy::new(&dir.path().join("sock"), &daemon.socket, move |hit| {
            let _ = of_calls.lock().unwrap().send(Signal::Call(hit));
        });
        let wrapper = Wrapper::new(dir.path(), &daemon.runtime, move |pid| {
            let _ = of_runtime.send(Signal::Runtime(pid));
        });
        fs::create_dir(dir.path().join("runs")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("runs/gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let has = |wanted: fn(Act) -> bool| faults.iter().any(|fault| wanted(fault.act));
        let disk = has(|act| act == Act::FillDisk).then(|| Disk::new(&dir.path().join("state")));
        let mut environment = environment(daemon, dir.path(), starter);
        if has(|act| act.clock().is_some()) {
            environment.extend(clocks::environment(dir.path()));
        }
        let player = Arc::new(Player::new(&environment, &dir.path().join("log")));
        Self {
            daemon,
            faults: Mutex::new(faults.iter().cloned().collect()),
            calm: Condvar::new(),
            starter,
            proxy,
            wrapper,
            signals: Mutex::new(signals),
            signal,
            player: Mutex::new(player),
            late: Mutex::default(),
            stopped: Mutex::default(),
            accepted: Mutex::default(),
            held: Mutex::default(),
            gate: Mutex::default(),
            wrong: Mutex::default(),
            hits: Mutex::default(),
            struck: AtomicUsize::new(0),
            environment,
            disk,
            dir,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Keep all that was written, for somebody to read.
    pub fn keep(self) -> PathBuf {
        let path = self.dir.path().to_owned();
        std::mem::forget(self.dir.keep());
        path
    }

    /// Another host program on the same state directory.
    pub fn another(&self) -> Arc<Player> {
        Arc::new(Player::new(&self.environment, &self.path("log")))
    }

    /// The same, in the place of the one that was there.
    pub fn new_player(&self) -> Arc<Player> {
        let made = self.another();
        *self.player.lock().unwrap() = made.clone();
        made
    }

    pub fn player(&self) -> Arc<Player> {
        self.player.lock().unwrap().clone()
    }

    /// Ask the host program, or another one if it is dead.
    pub fn ask(&self, words: &[&str]) -> Result<String, String> {
        match self.player().ask(words) {
            Err(dead) if dead == "dead" => {
                let other = self.new_player();
                other.ask(&["open"])?;
                other.ask(words)
            }
            answer => answer,
        }
    }

    /// The same, where there must be an answer.
    pub fn expect(&self, words: &[&str]) -> String {
        let answer = self.ask(words);
        answer.unwrap_or_else(|error| {
            self.note(format!("{} answered: {error}", words[0]));
            String::new()
        })
    }

    pub fn note(&self, wrong: String) {
        self.wrong.lock().unwrap().push(wrong);
    }

    /// The fault that is to come.
    pub fn fault(&self) -> Option<Fault> {
        self.faults.lock().unwrap().front().cloned()
    }

    /// It may happen from now on.
    pub fn arm(&self) {
        let trap = match self.fault().map(|fault| fault.at) {
            Some(At::Call(trap) | At::Within(trap, _)) => Some(trap),
            Some(At::Runtime(command, side)) => {
                self.wrapper.arm(command, side);
                None
            }
            Some(At::Moment(_)) | None => None,
        };
        self.proxy.arm(trap);
    }

    /// It happens now.
    pub fn strikes(&self) {
        self.struck.fetch_add(1, Ordering::AcqRel);
    }

    /// It is over; the next one may happen, if there is one.
    pub fn next(&self) {
        let mut faults = self.faults.lock().unwrap();
        faults.pop_front();
        self.calm.notify_all();
        if !faults.is_empty() {
            drop(faults);
            self.arm();
        }
    }

    /// Wait until all that happens is over, and what died is back. False if that does not come in time.
    pub fn is_calm(&self, limit: Duration) -> bool {
        let strikes = |faults: &mut VecDeque<Fault>| self.has_struck() && !faults.is_empty();
        let faults = self.faults.lock().unwrap();
        !self.calm.wait_timeout_while(faults, limit, strikes).unwrap().1.timed_out()
    }

    /// A container is hit; its job need not come to a good end.
    pub fn hit(&self, container: String) {
        self.hits.lock().unwrap().push(container);
    }

    /// The number of times that a job was hit. The names of its containers begin with its own.
    pub fn hits(&self, job: &str) -> usize {
        self.hits.lock().unwrap().iter().filter(|container| container.starts_with(job)).count()
    }

    /// The play is over; the fault has had its time.
    pub fn over(&self) {
        self.proxy.disarm();
        self.wrapper.disarm();
        let _ = self.signal.send(Signal::Over);
    }

    /// The process that starts jobs.
    pub fn starter_pid(&self) -> Option<i32> {
        match self.starter {
            Starter::Submitter => Some(self.player().pid),
            Starter::Agent => self.agents().first().copied(),
        }
    }

    /// Processes on this state directory.
    pub fn processes(&self) -> Vec<i32> {
        processes::with("environ", &format!("DRMAA2_STATE_DIR={}\0", self.path("state").display()))
    }

    pub fn agents(&self) -> Vec<i32> {
        let is_agent = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "drmaa2d")
        };
        self.processes().into_iter().filter(is_agent).collect()
    }

    /// Processes that run in the containers of jobs.
    pub fn in_jobs(&self) -> Vec<i32> {
        let group = format!("/{}/", self.daemon.namespace);
        processes::with("cgroup", &group)
            .into_iter()
            .filter(|pid| processes::in_container(*pid))
            .collect()
    }

    /// The first process of each container.
    pub fn inits(&self) -> Vec<i32> {
        self.in_jobs().into_iter().filter(|pid| processes::is_init(*pid)).collect()
    }

    /// Let jobs go on to their end, those that come later too.
    pub fn open_gate(&self) {
        let open = File::options().read(true).write(true).open(self.path("runs/gate")).unwrap();
        *self.gate.lock().unwrap() = Some(open);
    }

    /// A job that notes its begin, waits at the gate, and notes its end.
    pub fn job(&self, name: &str) -> JobTemplate {
        self.script(name, ": </runs/gate")
    }

    /// A job that does something between its notes.
    pub fn script(&self, name: &str, work: &str) -> JobTemplate {
        let script = format!("to=/runs/$DRMAA2_JOB_ID; echo run >>$to; {work}; echo end >>$to");
        let mount = format!("{}:/runs", self.path("runs").display());
        JobTemplate {
            remote_command: Some("sh".into()),
            args: Some(vec!["-c".into(), script.into()]),
            job_category: Some(IMAGE.into()),
            job_name: Some(name.into()),
            extensions: [("containerd_jt_mounts".to_owned(), mount.into())].into(),
            ..JobTemplate::default()
        }
    }

    /// Submit something; its id, or those of its tasks. A fault may be a reason to refuse it.
    pub fn run(&self, words: &[&str]) -> Option<String> {
        match self.ask(words) {
            Ok(ids) => {
                self.accepted.lock().unwrap().extend(ids.split(' ').map(str::to_owned));
                Some(ids)
            }
            Err(_) if self.has_struck() => None,
            Err(error) => {
                self.note(format!("run answered: {error}"));
                None
            }
        }
    }

    /// Submit a job, and leave its start to the process that is to start it; its id.
    pub fn submit(&self, mut template: JobTemplate) -> Option<String> {
        let by_agent = self.starter == Starter::Agent;
        template.submit_as_hold |= by_agent;
        let text = serde_json::to_string(&template).unwrap();
        let id = self.run(&["run", &text])?;
        if by_agent {
            // Whoever releases it cannot start it.
            self.player().leave();
            let other = self.new_player();
            self.proxy.bar(other.pid, true);
            self.expect(&["open"]);
            self.expect(&["release", &id]);
        }
        Some(id)
    }

    /// Wait until so many lines were noted. False if that does not come in time.
    pub fn has_noted(&self, lines: usize, limit: Duration) -> bool {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        inotify.add_watch(&self.path("runs"), AddWatchFlags::IN_MODIFY).unwrap();
        let deadline = Instant::now() + limit;
        while self.noted("").len() < lines {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            processes::readable(&inotify, left);
            let _ = inotify.read_events();
        }
        true
    }

    /// The lines that a job has noted; those of all jobs if none is named.
    pub fn noted(&self, id: &str) -> Vec<String> {
        let files = fs::read_dir(self.path("runs")).unwrap().map(|entry| entry.unwrap());
        let files = files.filter(|file| file.file_type().unwrap().is_file());
        let files = files.filter(|file| id.is_empty() || file.file_name().to_str() == Some(id));
        let texts: String = files.map(|file| fs::read_to_string(file.path()).unwrap()).collect();
        texts.lines().map(str::to_owned).collect()
    }

    /// The scene comes to a moment that has a name.
    pub fn moment(&self, name: &'static str) {
        if self.fault().is_some_and(|fault| fault.at == At::Moment(name)) {
            crate::strike::at_moment(self);
        }
    }

    pub fn has_struck(&self) -> bool {
        self.struck.load(Ordering::Acquire) > 0
    }
}

fn environment(daemon: &Daemon, dir: &Path, starter: Starter) -> Vec<(&'static str, String)> {
    let agent = match starter {
        Starter::Submitter => "off".to_owned(),
        Starter::Agent => {
            std::env::var("DRMAA2_TEST_AGENT").expect("DRMAA2_TEST_AGENT: scripts/test sets it")
        }
    };
    let path = |name: &str| dir.join(name).display().to_string();
    let config = path("drmaa2.toml");
    fs::write(&config, "").unwrap();
    vec![
        ("DRMAA2_STATE_DIR", path("state")),
        ("DRMAA2_CONFIG", config),
        ("DRMAA2_AGENT", agent),
        ("DRMAA2_RUNTIME_BINARY", path(wrapper::PATH)),
        ("DRMAA2_GRACE_SECONDS", "1".to_owned()),
        ("DRMAA2_LOG", "drmaa2=debug".to_owned()),
        ("CONTAINERD_ADDRESS", path("sock")),
        ("CONTAINERD_NAMESPACE", daemon.namespace.clone()),
        ("CONTAINERD_SNAPSHOTTER", daemon.snapshotter.clone()),
    ]
}
