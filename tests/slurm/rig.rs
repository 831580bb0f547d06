//! A tracker for a real cluster, and what tests of it have in common.
//!
//! Needs `DRMAA2_TEST_CLUSTER`, the script that starts and kills clusters, and `DRMAA2_INIT`, beside which
//! `drmaa2-node` is. With `DRMAA2_TEST_REQUIRE=1` a missing one is a failure, else the tests are skipped. The cluster is
//! one of their own: they kill parts of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, mpsc};
use std::time::{Duration, Instant};

use drmaa2::model::extensions::Pull;
use drmaa2::model::{Containers, JobTemplate, Outcome, Text};
use drmaa2::registry;
use drmaa2::runtime::Runtime;
use drmaa2::slurm::{JobSettings, Programs, Settings, SlurmTracker};
use drmaa2::tracker::{self, EventSink, Fact, JobTracker, NewJob, Stdio, Submitter};

/// Nothing here takes so long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// The cluster of these tests; it is ended with them.
struct Cluster {
    dir: tempfile::TempDir,
    script: PathBuf,
}

/// One test at a time has it: each kills parts of it.
static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
/// Another one, with accounting.
static ACCOUNTED: OnceLock<Mutex<Cluster>> = OnceLock::new();

pub(crate) struct Rig {
    pub(crate) tracker: Arc<SlurmTracker>,
    facts: mpsc::Receiver<Fact>,
    pub(crate) dir: tempfile::TempDir,
    cluster: MutexGuard<'static, Cluster>,
}

struct Sink(Mutex<mpsc::Sender<Fact>>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        // A test that is over does not listen any more.
        let _ = self.0.lock().unwrap().send(fact);
    }
}

fn setting(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

extern "C" fn end_clusters() {
    for cluster in [&CLUSTER, &ACCOUNTED].into_iter().filter_map(OnceLock::get) {
        // A test that failed has left it behind locked.
        let cluster = cluster.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cluster.run(&["stop"]);
        let _ = fs::remove_dir_all(cluster.dir.path());
    }
}

impl Cluster {
    fn start(script: PathBuf, options: &[&str]) -> Self {
        // Not below a directory with a long name: a socket is in it.
        let dir = tempfile::Builder::new().prefix("cl").tempdir_in("/tmp").unwrap();
        let cluster = Self { dir, script };
        if !cluster.try_to(&[&["start"], options].concat()) {
            cluster.run(&["stop"]);
            panic!("the cluster does not start");
        }
        // A static is not dropped.
        static AT_EXIT: Once = Once::new();
        // SAFETY: the function stays as long as the process.
        AT_EXIT.call_once(|| assert_eq!(unsafe { libc::atexit(end_clusters) }, 0));
        cluster
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("c")
    }

    fn run(&self, words: &[&str]) {
        assert!(self.try_to(words), "{words:?}");
    }

    fn try_to(&self, words: &[&str]) -> bool {
        let (first, rest) = words.split_first().unwrap();
        let status = Command::new(&self.script).arg(first).arg(self.path()).args(rest).status();
        status.unwrap().success()
    }
}

/// A tracker on the cluster, unless there is none to test with.
pub(crate) fn rig() -> Option<Rig> {
    rig_of(&CLUSTER, &[])
}

/// The same on the cluster with accounting.
pub(crate) fn accounted_rig() -> Option<Rig> {
    rig_of(&ACCOUNTED, &["--accounting"])
}

fn rig_of(cluster: &'static OnceLock<Mutex<Cluster>>, options: &[&str]) -> Option<Rig> {
    let (script, init) = (setting("DRMAA2_TEST_CLUSTER"), setting("DRMAA2_INIT"));
    let (Some(script), Some(_)) = (script, init) else {
        assert!(
            std::env::var("DRMAA2_TEST_REQUIRE").as_deref() != Ok("1"),
            "DRMAA2_TEST_REQUIRE=1, but DRMAA2_TEST_CLUSTER or DRMAA2_INIT is not set"
        );
        eprintln!(
            "SKIPPED: DRMAA2_TEST_CLUSTER or DRMAA2_INIT is not set; nothing was tested on a cluster"
        );
        return None;
    };
    let cluster = cluster.get_or_init(|| Mutex::new(Cluster::start(script, options)));
    // A test that failed says nothing about the next one.
    let cluster = cluster.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // The last test may have killed parts of it.
    cluster.run(&["start"]);
    let dir = tempfile::tempdir().unwrap();
    let tracker = tracker(dir.path(), Some(cluster.path().join("slurm.conf")));
    let (sender, facts) = mpsc::channel();
    tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
    Some(Rig { tracker, facts, dir, cluster })
}

/// A tracker with this state directory and slurm.conf.
pub(crate) fn tracker(dir: &Path, conf: Option<PathBuf>) -> Arc<SlurmTracker> {
    tracker_at(dir, conf, std::env::var_os("PATH").unwrap())
}

/// The same with the programs of this `PATH`.
pub(crate) fn tracker_at(dir: &Path, conf: Option<PathBuf>, path: OsString) -> Arc<SlurmTracker> {
    let node = setting("DRMAA2_INIT").unwrap().with_file_name("drmaa2-node");
    let settings = Settings { programs: Programs { path, conf }, dir: dir.join("slurm"), node };
    SlurmTracker::new(settings, Arc::new(Runtime::start().unwrap()))
}

/// A job without a container that runs this script.
pub(crate) fn job(script: &str) -> NewJob {
    let template = JobTemplate {
        remote_command: Some("sh".into()),
        args: Some(["-c", script].map(Text::from).into()),
        job_category: Some("host".into()),
        ..JobTemplate::default()
    };
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    NewJob {
        id: ulid::Ulid::generate().to_string().to_lowercase(),
        session: "session".into(),
        settings: settings("host"),
        template,
        submitter: Submitter {
            user: "user".into(),
            uid,
            gid,
            groups: vec![gid],
            umask: 0o22,
            machine: "submit.example".into(),
        },
        stdio: Stdio::default(),
        task: None,
        held: false,
        slots: None,
        wall_clock: None,
        ends: None,
    }
}

/// The settings of a job of this category.
pub(crate) fn settings(category: &str) -> tracker::Settings {
    tracker::Settings::of(&JobSettings {
        image: Some(category.to_owned()),
        containers: Containers::default(),
        runtime: None,
        gpu_devices: None,
        cdi_dirs: Vec::new(),
        grace: Duration::from_secs(5),
        linger: None,
        pull: Pull::Missing,
        registry: registry::Settings::default(),
    })
    .unwrap()
}

impl Drop for Rig {
    /// A failure may be one of the cluster, which is gone when somebody reads of it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read(self.cluster_file("slurmctld.log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("the last lines of slurmctld.log:\n{}", last.join("\n"));
        }
    }
}

impl Rig {
    /// Start it again, or kill a part of it.
    pub(crate) fn cluster(&self, words: &[&str]) {
        self.cluster.run(words);
    }

    /// The slurm.conf.
    pub(crate) fn conf(&self) -> PathBuf {
        self.cluster.path().join("slurm.conf")
    }

    /// Run a program of Slurm; its output.
    pub(crate) fn slurm(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .env("SLURM_CONF", self.cluster.path().join("slurm.conf"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The number that Slurm has given to a job.
    pub(crate) fn number(&self, id: &str) -> String {
        let text = fs::read_to_string(self.job_dir(id).join("submitted")).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    pub(crate) fn job_dir(&self, id: &str) -> PathBuf {
        self.dir.path().join("slurm/jobs").join(id)
    }

    pub(crate) fn slurm_conf(&self) -> PathBuf {
        self.cluster.path().join("slurm.conf")
    }

    /// A file of the cluster.
    pub(crate) fn cluster_file(&self, name: &str) -> PathBuf {
        self.cluster.path().join(name)
    }

    /// A file for the job to write to.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The next fact that is looked for.
    pub(crate) fn until<T>(&self, mut wanted: impl FnMut(Fact) -> Option<T>) -> T {
        let deadline = Instant::now() + LONG;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.facts.recv_timeout(left) {
                Ok(fact) => {
                    seen.push(format!("{fact:?}"));
                    if let Some(value) = wanted(fact) {
                        return value;
                    }
                }
                Err(error) => panic!("{error}; so far: {seen:#?}"),
            }
        }
    }

    pub(crate) fn started(&self, job: &str) {
        self.until(|fact| match fact {
            Fact::Started { id, .. } if id == job => Some(()),
            Fact::Ended { id, outcome } if id == job => panic!("ended before it started: {outcome:?}"),
            _ => None,
        });
    }

    pub(crate) fn ended(&self, job: &str) -> Outcome {
        self.until(|fact| match fact {
            Fact::Ended { id, outcome } if id == job => Some(outcome),
            _ => None,
        })
    }

    /// Wait until the controller has written down what it knows now: it would give the numbers of jobs that it forgets to
    /// others, which a node on which the first still runs refuses.
    pub(crate) fn saved(&self) {
        let now = std::time::SystemTime::now();
        let file = self.cluster_file("state/job_state");
        eventually("the controller saves its state", || {
            fs::metadata(&file).and_then(|found| found.modified()).is_ok_and(|at| at > now)
        });
    }

    /// Submit a job and wait until it runs.
    pub(crate) fn run(&self, job: NewJob) -> String {
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        self.started(&id);
        id
    }

    /// The processes whose command line has these words.
    pub(crate) fn processes(&self, words: &[&str]) -> Vec<i32> {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let has_words = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            words.iter().all(|word| line.contains(word))
        };
        pids.filter(has_words).collect()
    }

    /// Kill Slurm's process on the node of a job.
    pub(crate) fn kill_step(&self, id: &str) {
        self.kill(&["slurmstepd", &format!("[{}.batch]", self.number(id))]);
    }

    /// Kill the one process whose command line has these words.
    pub(crate) fn kill(&self, words: &[&str]) {
        let mut found = Vec::new();
        // Slurm says that a job runs before it does.
        eventually("there is one", || {
            found = self.processes(words);
            found.len() == 1
        });
        // SAFETY: takes plain numbers.
        assert_eq!(unsafe { libc::kill(found[0], libc::SIGKILL) }, 0);
    }
}

/// Copy a directory. While a controller writes to it, one of its files may vanish meanwhile: then once more.
pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = || Command::new("cp").arg("-aT").args([from, to]).status().unwrap().success();
    eventually("it is copied", copied);
}

/// Wait for something that nobody tells.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
