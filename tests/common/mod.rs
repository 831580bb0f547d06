//! A tracker for a real daemon, and what tests of it have in common.
//!
//! Needs `CONTAINERD_ADDRESS`, `DRMAA2_TEST_IMAGE` (a busybox image the daemon has) and
//! `DRMAA2_INIT` (the static init); `CONTAINERD_NAMESPACE` and `CONTAINERD_SNAPSHOTTER` if they are
//! not the usual. With `DRMAA2_TEST_REQUIRE=1` a missing one is a failure, else the tests are
//! skipped. `DRMAA2_TEST_RESTART` may name a command that restarts the daemon.

// Each test program uses a part of this.
#![allow(dead_code)]

pub(crate) mod daemon;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, mpsc};
use std::time::{Duration, Instant};

use containerd_client::services::v1::snapshots::StatSnapshotRequest;
use containerd_client::services::v1::{DeleteTaskRequest, GetContainerRequest, GetRequest, KillRequest};
use containerd_client::tonic::metadata::{Ascii, MetadataValue};
use containerd_client::tonic::{Code, Request};
use drmaa2::containerd::{ContainerdTracker, JobSettings, Settings};
use drmaa2::model::extensions::Pull;
use drmaa2::model::{ErrorCode, JobState, JobTemplate, Outcome};
use drmaa2::registry;
use drmaa2::runtime::Runtime;
use drmaa2::tracker::{self, EventSink, Fact, JobTracker, NewJob, Stdio, Submitter};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Nothing here takes so long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const ENDED: [JobState; 2] = [JobState::Done, JobState::Failed];

/// Tests share the daemon, but for one that restarts it.
pub(crate) static DAEMON: RwLock<()> = RwLock::new(());

pub(crate) struct Sink(pub Mutex<mpsc::Sender<Fact>>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        let _ = self.0.lock().unwrap().send(fact);
    }
}

pub(crate) struct Rig {
    pub(crate) tracker: Arc<ContainerdTracker>,
    pub(crate) facts: Mutex<mpsc::Receiver<Fact>>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) _daemon: Option<RwLockReadGuard<'static, ()>>,
}

pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn settings(jobs_dir: PathBuf) -> Option<Settings> {
    let needed = ["CONTAINERD_ADDRESS", "DRMAA2_TEST_IMAGE", "DRMAA2_INIT"];
    let missing: Vec<_> = needed.into_iter().filter(|name| setting(name).is_none()).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        assert!(
            setting("DRMAA2_TEST_REQUIRE").as_deref() != Some("1"),
            "DRMAA2_TEST_REQUIRE=1, but {missing} not set: no containerd to test with"
        );
        eprintln!("SKIPPED: {missing} not set; nothing was tested against containerd");
        return None;
    }
    Some(Settings {
        address: setting("CONTAINERD_ADDRESS")?.into(),
        namespace: setting("CONTAINERD_NAMESPACE").unwrap_or_else(|| "default".into()),
        snapshotter: Some(setting("CONTAINERD_SNAPSHOTTER").unwrap_or_else(|| "overlayfs".into())),
        pulls_dir: jobs_dir.with_file_name("pulls"),
        jobs_dir,
        init: setting("DRMAA2_INIT")?.into(),
    })
}

/// The settings that a job is run with.
pub(crate) fn resolved(template: &JobTemplate) -> tracker::Settings {
    resolved_with(template, |_| ())
}

/// The same where something else is configured.
pub(crate) fn resolved_with(
    template: &JobTemplate,
    change: impl FnOnce(&mut JobSettings),
) -> tracker::Settings {
    let category = template.job_category.as_ref().map(ToString::to_string);
    let mut settings = JobSettings {
        image: category.or_else(|| setting("DRMAA2_TEST_IMAGE")),
        runtime: None,
        runtime_binary: None,
        cgroup_parent: None,
        cdi_dirs: vec![],
        grace: Duration::from_secs(1),
        linger: None,
        pull: Pull::Missing,
        registry: registry::Settings::default(),
    };
    change(&mut settings);
    tracker::Settings::of(&settings).unwrap()
}

pub(crate) fn rig() -> Option<Rig> {
    let daemon = DAEMON.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut rig = rig_without_lock()?;
    rig._daemon = Some(daemon);
    Some(rig)
}

pub(crate) fn rig_without_lock() -> Option<Rig> {
    rig_elsewhere(|_| ())
}

/// A rig for another daemon.
pub(crate) fn rig_elsewhere(change: impl FnOnce(&mut Settings)) -> Option<Rig> {
    let dir = tempfile::tempdir().unwrap();
    // A job's user needs the way to his files.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let mut settings = settings(dir.path().join("jobs"))?;
    change(&mut settings);
    let tracker = ContainerdTracker::new(settings.clone(), Arc::new(Runtime::start().unwrap()));
    let (sender, facts) = mpsc::channel();
    tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
    let rig = Rig { tracker, facts: Mutex::new(facts), dir, settings, _daemon: None };
    rig.until(|fact| matches!(fact, Fact::Live));
    Some(rig)
}

pub(crate) fn script(text: &str) -> JobTemplate {
    JobTemplate {
        remote_command: Some("sh".into()),
        args: Some(vec!["-c".into(), text.into()]),
        ..JobTemplate::default()
    }
}

pub(crate) fn submitter(uid: u32) -> Submitter {
    Submitter {
        user: "tester".into(),
        uid,
        gid: uid,
        groups: vec![uid, 4711],
        umask: 0o027,
        machine: "submit.example".into(),
    }
}

pub(crate) fn job(template: JobTemplate) -> NewJob {
    NewJob {
        held: false,
        id: ulid::Ulid::generate().to_string().to_lowercase(),
        session: "session".into(),
        settings: resolved(&template),
        template,
        submitter: submitter(0),
        stdio: Stdio::default(),
        task: None,
        slots: None,
        wall_clock: None,
        ends: None,
    }
}

impl Rig {
    /// Is this a template that can be run?
    pub(crate) fn check(&self, template: &JobTemplate) -> drmaa2::model::Result<()> {
        self.tracker.check_template(template, &resolved(template))
    }

    fn facts(&self) -> MutexGuard<'_, mpsc::Receiver<Fact>> {
        self.facts.lock().unwrap()
    }

    /// All facts up to the one that is looked for.
    pub(crate) fn until(&self, wanted: impl Fn(&Fact) -> bool) -> Vec<Fact> {
        let deadline = Instant::now() + LONG;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.facts().recv_timeout(left) {
                Ok(fact) => {
                    let found = wanted(&fact);
                    seen.push(fact);
                    if found {
                        return seen;
                    }
                }
                Err(error) => panic!("{error}; so far: {seen:?}"),
            }
        }
    }

    /// The job's first fact, which must be its start.
    pub(crate) fn until_started(&self, id: &str) {
        let facts = self.until(|fact| fact.id() == Some(id));
        assert!(matches!(facts.last(), Some(Fact::Started { .. })), "{facts:?}");
    }

    /// Start a job whose script says something as soon as it is ready, and wait until it has. Its
    /// output is a FIFO, which is a file like any other to it.
    pub(crate) fn start_and_hear(&self, mut job: NewJob) -> BufReader<fs::File> {
        let path = self.dir.path().join("fifo");
        let _ = fs::remove_file(&path);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        job.stdio.output = Some(path.as_path().into());
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        let mut output = BufReader::new(fs::File::open(path).unwrap());
        assert_ne!(output.read_line(&mut String::new()).unwrap(), 0);
        self.until_started(&id);
        output
    }

    /// The end of the job.
    pub(crate) fn until_ended(&self, id: &str) -> Outcome {
        let facts = self.until(|fact| {
            matches!(fact, Fact::Ended { .. } | Fact::NotStarted { .. }) && fact.id() == Some(id)
        });
        match facts.last() {
            Some(Fact::Ended { outcome, .. }) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Delete a job of which a container may stay.
    pub(crate) fn delete_kept(&self, id: &str) {
        self.tracker.delete_job(id).unwrap();
        self.until(|fact| matches!(fact, Fact::Deleted { id: deleted } if deleted == id));
    }

    pub(crate) fn delete(&self, id: &str) {
        self.delete_kept(id);
        assert_eq!(self.traces(id), Vec::<&str>::new());
        assert_eq!(self.tracker.job_info(id).unwrap_err().code, ErrorCode::InvalidArgument);
    }

    pub(crate) fn run(&self, job: NewJob) -> Outcome {
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        let outcome = self.until_ended(&id);
        self.delete(&id);
        outcome
    }

    /// Wait until nothing is left of attempts that were given up.
    pub(crate) fn until_swept(&self) {
        let dir = &self.settings.jobs_dir;
        let is_note = |entry: &fs::DirEntry| entry.file_name().as_bytes().starts_with(b".");
        let is_swept = || !fs::read_dir(dir).unwrap().flatten().any(|entry| is_note(&entry));
        until_gone_from(dir, is_swept);
    }

    /// Run a job of which a container stays.
    pub(crate) fn run_and_keep(&self, job: NewJob) -> Outcome {
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        let outcome = self.until_ended(&id);
        self.delete_kept(&id);
        outcome
    }

    /// Run a script and give its exit status and what it wrote.
    pub(crate) fn output(&self, mut job: NewJob) -> (Outcome, String) {
        let path = self.file("output", "", job.submitter.uid);
        job.stdio.output = Some(path.as_path().into());
        job.stdio.join = true;
        (self.run(job), fs::read_to_string(path).unwrap())
    }

    pub(crate) fn file(&self, name: &str, content: &str, uid: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
        path
    }

    pub(crate) fn dir_of(&self, id: &str) -> PathBuf {
        self.settings.jobs_dir.join(id)
    }

    /// Is there a snapshot of a job, asked of the daemon directly.
    pub(crate) fn has_snapshot(&self, snapshotter: &str, id: &str) -> bool {
        let settings = self.settings.clone();
        let request = StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: id.to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            client.snapshots().stat(to(&namespace, request)).await.is_ok()
        })
    }

    /// The traces of a job, asked of the daemon directly.
    pub(crate) fn traces(&self, id: &str) -> Vec<&'static str> {
        let settings = self.settings.clone();
        let container_id = id.to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers = runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            let (id, key) = (container_id.clone(), container_id.clone());
            let task = GetRequest { container_id, exec_id: String::new() };
            let snapshot = StatSnapshotRequest { snapshotter: settings.snapshotter.unwrap(), key };
            [
                ("task", client.tasks().get(to(&namespace, task)).await.err()),
                (
                    "container",
                    client.containers().get(to(&namespace, GetContainerRequest { id })).await.err(),
                ),
                ("snapshot", client.snapshots().stat(to(&namespace, snapshot)).await.err()),
            ]
        });
        let mut traces = if self.dir_of(id).exists() { vec!["directory"] } else { vec![] };
        for (what, error) in answers {
            match error {
                None => traces.push(what),
                Some(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
            }
        }
        traces
    }
}

impl Rig {
    /// Make a job ready, and wait until it is. Other jobs pass the time.
    pub(crate) fn prepare(&self, job: &NewJob) {
        assert!(self.tracker.prepare_job(job.clone()).unwrap());
        let deadline = Instant::now() + LONG;
        loop {
            let (state, detail) = self.tracker.job_state(&job.id).unwrap();
            // Not known for a moment: a shim that is slow to answer.
            assert!(matches!(state, JobState::Queued | JobState::Undetermined), "{state:?}");
            if detail.as_deref() == Some("created") {
                return;
            }
            assert!(Instant::now() < deadline, "job {} was not prepared", job.id);
            self.run_unheard(&job.id);
        }
    }

    /// Run a job, while nothing may be heard of the one with this id.
    pub(crate) fn run_unheard(&self, id: &str) {
        let other = job(script("exit 0"));
        let other_id = other.id.clone();
        self.tracker.add_job(other).unwrap();
        let ended = |fact: &Fact| matches!(fact, Fact::Ended { id, .. } if *id == other_id);
        let facts = self.until(ended);
        self.tracker.delete_job(&other_id).unwrap();
        assert!(facts.iter().all(|fact| fact.id() != Some(id)), "{facts:?}");
    }

    /// The process of a job's task, asked of the daemon directly. It answers 0 if the shim does not tell it within two
    /// seconds: then it is asked again.
    pub(crate) fn task_pid(&self, id: &str) -> u32 {
        let settings = self.settings.clone();
        let request = GetRequest { container_id: id.to_owned(), exec_id: String::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            for _ in 0..LONG.as_secs() / 2 {
                let answer = client.tasks().get(to(&namespace, request.clone())).await.unwrap();
                match answer.into_inner().process.unwrap().pid {
                    0 => continue,
                    pid => return pid,
                }
            }
            panic!("the shim of {} has not told its pid in {LONG:?}", request.container_id)
        })
    }

    /// The shim of a job: the parent of its task's process.
    pub(crate) fn shim(&self, id: &str) -> nix::unistd::Pid {
        let status = fs::read_to_string(format!("/proc/{}/status", self.task_pid(id))).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        nix::unistd::Pid::from_raw(parent.trim().parse().unwrap())
    }

    /// Kill a job's container, past its tracker.
    pub(crate) fn kill(&self, id: &str) {
        let settings = self.settings.clone();
        let request = KillRequest {
            container_id: id.to_owned(),
            exec_id: String::new(),
            signal: libc::SIGKILL.unsigned_abs(),
            all: true,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            client.tasks().kill(to(&namespace, request)).await.unwrap();
        });
    }

    /// Delete a stopped task, past its tracker.
    pub(crate) fn delete_task(&self, id: &str) {
        let settings = self.settings.clone();
        let request = DeleteTaskRequest { container_id: id.to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            client.tasks().delete(to(&namespace, request)).await.unwrap();
        });
    }

    /// Another tracker for the same jobs, as another process would have it.
    pub(crate) fn neighbour(&self) -> (Arc<ContainerdTracker>, mpsc::Receiver<Fact>) {
        let runtime = Arc::new(Runtime::start().unwrap());
        let tracker = ContainerdTracker::new(self.settings.clone(), runtime);
        let (sender, facts) = mpsc::channel();
        tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
        assert_eq!(facts.recv_timeout(LONG), Ok(Fact::Live));
        (tracker, facts)
    }
}

pub(crate) const WHOLE: [&str; 4] = ["directory", "task", "container", "snapshot"];

pub(crate) fn to<T>(namespace: &MetadataValue<Ascii>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.clone());
    request
}

/// Wait until something is true that becomes so when an entry goes from a directory.
pub(crate) fn until_gone_from(dir: &Path, is_so: impl Fn() -> bool) {
    let watch = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    watch.add_watch(dir, AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM).unwrap();
    while !is_so() {
        let mut news = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(LONG).unwrap();
        assert_eq!(poll(&mut news, patience).unwrap(), 1, "{} keeps what it has", dir.display());
        watch.read_events().unwrap();
    }
}
