//! The containerd tracker against a real daemon.
//!
//! Needs `CONTAINERD_ADDRESS`, `DRMAA2_TEST_IMAGE` (a busybox image the daemon has) and
//! `DRMAA2_INIT` (the static init); `CONTAINERD_NAMESPACE` and `CONTAINERD_SNAPSHOTTER` if they are
//! not the usual. With `DRMAA2_TEST_REQUIRE=1` a missing one is a failure, else the tests are
//! skipped. `DRMAA2_TEST_RESTART` may name a command that restarts the daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
use std::time::{Duration, Instant};

use containerd_client::services::v1::snapshots::StatSnapshotRequest;
use containerd_client::services::v1::{GetContainerRequest, GetRequest, KillRequest};
use containerd_client::tonic::metadata::{Ascii, MetadataValue};
use containerd_client::tonic::{Code, Request};
use drmaa2::containerd::{Category, ContainerdTracker, Settings};
use drmaa2::model::extensions::Pull;
use drmaa2::model::{Control, ErrorCode, JobState, JobTemplate, Outcome, Text, Version};
use drmaa2::registry;
use drmaa2::runtime::Runtime;
use drmaa2::tracker::{EventSink, Fact, JobTracker, NewJob, Stdio, Submitter};

/// Nothing here takes so long unless it hangs.
const LONG: Duration = Duration::from_secs(60);
const ENDED: [JobState; 2] = [JobState::Done, JobState::Failed];

/// Tests share the daemon, but for one that restarts it.
static DAEMON: RwLock<()> = RwLock::new(());

struct Sink(Mutex<mpsc::Sender<Fact>>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        let _ = self.0.lock().unwrap().send(fact);
    }
}

struct Rig {
    tracker: Arc<ContainerdTracker>,
    facts: Mutex<mpsc::Receiver<Fact>>,
    dir: tempfile::TempDir,
    settings: Settings,
    _daemon: Option<RwLockReadGuard<'static, ()>>,
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn settings(jobs_dir: PathBuf) -> Option<Settings> {
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
    let category = Category { image: setting("DRMAA2_TEST_IMAGE")? };
    Some(Settings {
        address: setting("CONTAINERD_ADDRESS")?.into(),
        namespace: setting("CONTAINERD_NAMESPACE").unwrap_or_else(|| "default".into()),
        snapshotter: setting("CONTAINERD_SNAPSHOTTER").unwrap_or_else(|| "overlayfs".into()),
        runtime: "io.containerd.runc.v2".into(),
        pulls_dir: jobs_dir.with_file_name("pulls"),
        jobs_dir,
        init: setting("DRMAA2_INIT")?.into(),
        categories: BTreeMap::from([("test".to_owned(), category)]),
        default_category: Some("test".into()),
        grace: Duration::from_secs(1),
        pull: Pull::Missing,
        registry: registry::Settings::default(),
    })
}

fn rig() -> Option<Rig> {
    let daemon = DAEMON.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut rig = rig_without_lock()?;
    rig._daemon = Some(daemon);
    Some(rig)
}

fn rig_without_lock() -> Option<Rig> {
    let dir = tempfile::tempdir().unwrap();
    // A job's user needs the way to his files.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let settings = settings(dir.path().join("jobs"))?;
    let tracker = ContainerdTracker::new(settings.clone(), Arc::new(Runtime::start().unwrap()));
    let (sender, facts) = mpsc::channel();
    tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
    let rig = Rig { tracker, facts: Mutex::new(facts), dir, settings, _daemon: None };
    rig.until(|fact| matches!(fact, Fact::Live));
    Some(rig)
}

fn script(text: &str) -> JobTemplate {
    JobTemplate {
        remote_command: Some("sh".into()),
        args: Some(vec!["-c".into(), text.into()]),
        ..JobTemplate::default()
    }
}

fn submitter(uid: u32) -> Submitter {
    Submitter {
        user: "tester".into(),
        uid,
        gid: uid,
        groups: vec![uid, 4711],
        umask: 0o027,
        machine: "submit.example".into(),
    }
}

fn job(template: JobTemplate) -> NewJob {
    NewJob {
        id: ulid::Ulid::generate().to_string().to_lowercase(),
        session: "session".into(),
        template,
        submitter: submitter(0),
        stdio: Stdio::default(),
        task: None,
        wall_clock: None,
        ends: None,
    }
}

fn id_of(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::Started { id, .. }
        | Fact::Suspended { id }
        | Fact::Resumed { id }
        | Fact::Ended { id, .. }
        | Fact::NotStarted { id, .. }
        | Fact::NotPrepared { id, .. }
        | Fact::NotDeleted { id, .. }
        | Fact::Progress { id, .. }
        | Fact::Deleted { id } => Some(id),
        Fact::Live | Fact::Lost { .. } => None,
    }
}

impl Rig {
    fn facts(&self) -> MutexGuard<'_, mpsc::Receiver<Fact>> {
        self.facts.lock().unwrap()
    }

    /// All facts up to the one that is looked for.
    fn until(&self, wanted: impl Fn(&Fact) -> bool) -> Vec<Fact> {
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
    fn until_started(&self, id: &str) {
        let facts = self.until(|fact| id_of(fact) == Some(id));
        assert!(matches!(facts.last(), Some(Fact::Started { .. })), "{facts:?}");
    }

    /// Start a job whose script says something as soon as it is ready, and wait until it has. Its
    /// output is a FIFO, which is a file like any other to it.
    fn start_and_hear(&self, mut job: NewJob) -> BufReader<fs::File> {
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
    fn until_ended(&self, id: &str) -> Outcome {
        let facts = self.until(|fact| {
            matches!(fact, Fact::Ended { .. } | Fact::NotStarted { .. }) && id_of(fact) == Some(id)
        });
        match facts.last() {
            Some(Fact::Ended { outcome, .. }) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn delete(&self, id: &str) {
        self.tracker.delete_job(id).unwrap();
        self.until(|fact| matches!(fact, Fact::Deleted { id: deleted } if deleted == id));
        assert_eq!(self.traces(id), Vec::<&str>::new());
        assert_eq!(self.tracker.job_info(id).unwrap_err().code, ErrorCode::InvalidArgument);
    }

    fn run(&self, job: NewJob) -> Outcome {
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        let outcome = self.until_ended(&id);
        self.delete(&id);
        outcome
    }

    /// Run a script and give its exit status and what it wrote.
    fn output(&self, mut job: NewJob) -> (Outcome, String) {
        let path = self.file("output", "", job.submitter.uid);
        job.stdio.output = Some(path.as_path().into());
        job.stdio.join = true;
        (self.run(job), fs::read_to_string(path).unwrap())
    }

    fn file(&self, name: &str, content: &str, uid: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
        path
    }

    fn dir_of(&self, id: &str) -> PathBuf {
        self.settings.jobs_dir.join(id)
    }

    /// What is left of a job, asked of the daemon directly.
    fn traces(&self, id: &str) -> Vec<&'static str> {
        let settings = self.settings.clone();
        let container_id = id.to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers = runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            let (id, key) = (container_id.clone(), container_id.clone());
            let task = GetRequest { container_id, exec_id: String::new() };
            let snapshot = StatSnapshotRequest { snapshotter: settings.snapshotter, key };
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
    fn prepare(&self, job: &NewJob) {
        assert!(self.tracker.prepare_job(job.clone()).unwrap());
        let deadline = Instant::now() + LONG;
        loop {
            let (state, detail) = self.tracker.job_state(&job.id).unwrap();
            assert_eq!(state, JobState::Queued);
            if detail.as_deref() == Some("created") {
                return;
            }
            assert!(Instant::now() < deadline, "job {} was not prepared", job.id);
            self.run_unheard(&job.id);
        }
    }

    /// Run a job, while nothing may be heard of the one with this id.
    fn run_unheard(&self, id: &str) {
        let other = job(script("exit 0"));
        let other_id = other.id.clone();
        self.tracker.add_job(other).unwrap();
        let ended = |fact: &Fact| matches!(fact, Fact::Ended { id, .. } if *id == other_id);
        let facts = self.until(ended);
        self.tracker.delete_job(&other_id).unwrap();
        assert!(facts.iter().all(|fact| id_of(fact) != Some(id)), "{facts:?}");
    }

    /// The process of a job's task, asked of the daemon directly.
    fn task_pid(&self, id: &str) -> u32 {
        let settings = self.settings.clone();
        let request = GetRequest { container_id: id.to_owned(), exec_id: String::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let namespace: MetadataValue<_> = settings.namespace.parse().unwrap();
            let answer = client.tasks().get(to(&namespace, request)).await.unwrap();
            answer.into_inner().process.unwrap().pid
        })
    }

    /// Kill a job's container, past its tracker.
    fn kill(&self, id: &str) {
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

    /// Another tracker for the same jobs, as another process would have it.
    fn neighbour(&self) -> (Arc<ContainerdTracker>, mpsc::Receiver<Fact>) {
        let runtime = Arc::new(Runtime::start().unwrap());
        let tracker = ContainerdTracker::new(self.settings.clone(), runtime);
        let (sender, facts) = mpsc::channel();
        tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
        assert_eq!(facts.recv_timeout(LONG), Ok(Fact::Live));
        (tracker, facts)
    }
}

const WHOLE: [&str; 4] = ["directory", "task", "container", "snapshot"];

#[test]
fn a_prepared_job_is_undone_without_a_trace() {
    let Some(rig) = rig() else { return };
    let (_neighbour, heard) = rig.neighbour();
    let job = job(script("exit 0"));
    rig.prepare(&job);
    assert_eq!(rig.traces(&job.id), WHOLE);
    rig.tracker.delete_job(&job.id).unwrap();
    let facts = rig.until(|fact| id_of(fact) == Some(&job.id));
    assert!(matches!(facts.last(), Some(Fact::Deleted { .. })), "{facts:?}");
    assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
    rig.run_unheard(&job.id);
    // Neither has anybody else taken the end of its task for its own.
    let last = self::job(script("exit 0"));
    let last_id = last.id.clone();
    assert_eq!(rig.run(last).exit_status, Some(0));
    loop {
        let fact = heard.recv_timeout(LONG).unwrap();
        assert_ne!(id_of(&fact), Some(job.id.as_str()), "{fact:?}");
        if matches!(&fact, Fact::Ended { id, .. } if *id == last_id) {
            break;
        }
    }
}

#[test]
fn preparations_are_undone_at_any_moment() {
    let Some(rig) = rig() else { return };
    let jobs: Vec<_> = (0..12).map(|_| job(script("exit 0"))).collect();
    for job in &jobs {
        assert!(rig.tracker.prepare_job(job.clone()).unwrap());
    }
    for job in &jobs {
        rig.tracker.delete_job(&job.id).unwrap();
        rig.until(|fact| matches!(fact, Fact::Deleted { id } if *id == job.id));
        assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
    }
    assert_eq!(fs::read_dir(&rig.settings.jobs_dir).unwrap().count(), 0);
}

#[test]
fn a_prepared_job_starts_with_the_limits_it_has_then() {
    let Some(rig) = rig() else { return };
    let job = job(script("sleep 60"));
    rig.prepare(&job);
    let outcome = rig.run(NewJob { wall_clock: Some(300), ..job.clone() });
    assert_eq!(outcome.signal, Some(libc::SIGTERM));
    assert_eq!(outcome.reason.as_deref(), Some("exceeded its wall clock limit of 0.3 s"));

    rig.prepare(&job);
    let ends = drmaa2::model::now() - 1;
    let outcome = rig.run(NewJob { ends: Some(ends), ..job.clone() });
    assert!(outcome.reason.unwrap().contains("its reservation is over"));

    // Anything else makes it another job.
    rig.prepare(&job);
    assert_eq!(rig.run(NewJob { template: script("exit 5"), ..job }).exit_status, Some(5));
}

#[test]
fn a_prepared_job_that_was_killed_starts_all_the_same() {
    let Some(rig) = rig() else { return };
    let job = job(script("exit 7"));
    rig.prepare(&job);
    rig.kill(&job.id);
    rig.run_unheard(&job.id);
    assert_eq!(rig.tracker.job_state(&job.id).unwrap().0, JobState::Queued);
    rig.tracker.add_job(job.clone()).unwrap();
    rig.until_started(&job.id);
    assert_eq!(rig.until_ended(&job.id).exit_status, Some(7));
    rig.delete(&job.id);
}

#[test]
fn what_another_tracker_prepared_is_replaced() {
    let Some(rig) = rig() else { return };
    let job = job(script("exit 6"));
    rig.prepare(&job);
    let (neighbour, heard) = rig.neighbour();
    assert_eq!(neighbour.job_state(&job.id).unwrap().0, JobState::Queued);
    neighbour.add_job(job.clone()).unwrap();
    let next = || loop {
        let fact = heard.recv_timeout(LONG).unwrap();
        if id_of(&fact) == Some(&job.id) {
            return fact;
        }
    };
    let started = next();
    assert!(matches!(started, Fact::Started { .. }), "{started:?}");
    match next() {
        Fact::Ended { outcome, .. } => assert_eq!(outcome.exit_status, Some(6)),
        other => panic!("{other:?}"),
    }
    neighbour.delete_job(&job.id).unwrap();
    assert!(matches!(next(), Fact::Deleted { .. }));
    assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
}

#[test]
fn a_prepared_job_that_is_terminated_leaves_no_output() {
    let Some(rig) = rig() else { return };
    let path = rig.file("prepared", "", 0);
    let mut job = job(script("echo ran"));
    job.stdio.output = Some(path.as_path().into());
    rig.prepare(&job);
    rig.tracker.job_control(&job.id, Control::Terminate).unwrap();
    rig.run_unheard(&job.id);
    let outcome = rig.run(job);
    assert_eq!(outcome.reason.as_deref(), Some("terminated before it started"));
    assert_eq!(fs::read_to_string(path).unwrap(), "");
}

#[test]
fn a_preparation_that_fails_is_told_and_leaves_nothing() {
    let Some(rig) = rig() else { return };
    let stdio = Stdio { input: Some("/no/such/input".into()), ..Stdio::default() };
    let job = NewJob { stdio, ..job(script("cat")) };
    assert!(rig.tracker.prepare_job(job.clone()).unwrap());
    let facts = rig.until(|fact| matches!(fact, Fact::NotPrepared { id, .. } if *id == job.id));
    let Some(Fact::NotPrepared { error, .. }) = facts.last() else { panic!("{facts:?}") };
    assert!(error.message.contains("/no/such/input"), "{error}");
    assert_eq!(rig.traces(&job.id), Vec::<&str>::new());
    rig.run_unheard(&job.id);
}

fn to<T>(namespace: &MetadataValue<Ascii>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.clone());
    request
}

#[test]
fn a_job_runs_is_accounted_for_and_leaves_nothing() {
    let Some(rig) = rig() else { return };
    let mut job = job(script("echo \"$1 $VALUE $DRMAA2_JOB_ID $DRMAA2_SESSION\""));
    job.template.args.as_mut().unwrap().extend(["sh".into(), "two words".into()]);
    job.template.job_environment = Some(vec![("VALUE".into(), Text::from(&b"\xff\n"[..]))]);
    job.template.job_name = Some("name".into());
    let path = rig.file("out", "", 0);
    job.stdio.output = Some(path.as_path().into());
    let id = job.id.clone();

    rig.tracker.check_template(&job.template).unwrap();
    rig.tracker.add_job(job).unwrap();
    let facts = rig.until(|fact| matches!(fact, Fact::Ended { .. }) && id_of(fact) == Some(&id));
    let first = facts.iter().find(|fact| id_of(fact) == Some(&id)).unwrap();
    assert!(matches!(first, Fact::Started { .. }), "{facts:?}");
    let Some(Fact::Ended { outcome, .. }) = facts.last() else { panic!() };
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}");
    assert!(outcome.max_rss > Some(0) && outcome.started.unwrap() <= outcome.finished);
    let expected = [b"two words \xff\n ", id.as_bytes(), b" session\n"].concat();
    assert_eq!(fs::read(path).unwrap(), expected);

    let info = rig.tracker.job_info(&id).unwrap();
    assert_eq!((info.state, info.exit_status), (JobState::Done, Some(0)));
    assert_eq!((info.name.as_deref(), info.session.as_deref()), (Some("name"), Some("session")));
    assert_eq!((info.owner.as_deref(), info.slots), (Some("tester"), Some(1)));
    assert_eq!(info.submission_machine.as_deref(), Some("submit.example"));
    assert!(info.submitted.is_some() && info.dispatched == outcome.started);
    let monitoring = rig.tracker.monitoring().unwrap();
    assert!(monitoring.all_jobs().unwrap().contains(&info));
    let template = rig.tracker.job_template().unwrap().job_template(&id).unwrap();
    assert_eq!(template.remote_command, Some("sh".into()));
    assert_eq!(template.args.unwrap().len(), 4);
    rig.delete(&id);
    rig.delete(&id);
    assert!(!rig.tracker.list_jobs().unwrap().contains(&id));
}

#[test]
fn the_end_is_told_as_it_was() {
    let Some(rig) = rig() else { return };
    for (text, status, signal) in [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("exit 200", 200, None),
        ("kill -SEGV $$", 139, Some(11)),
    ] {
        let outcome = rig.run(job(script(text)));
        assert_eq!((outcome.exit_status, outcome.signal), (Some(status), signal), "{text}");
        let expected = if status == 0 { JobState::Done } else { JobState::Failed };
        assert_eq!(outcome.state(), expected);
    }
    let missing = JobTemplate { remote_command: Some("/no/such".into()), ..JobTemplate::default() };
    let outcome = rig.run(job(missing));
    assert_eq!(outcome.exit_status, Some(127));
    assert!(outcome.reason.unwrap().contains("/no/such"));
    let nowhere = JobTemplate { working_directory: Some("/nowhere".into()), ..script("exit 0") };
    let outcome = rig.run(job(nowhere));
    assert!(outcome.reason.unwrap().contains("/nowhere"));
}

#[test]
fn a_job_is_suspended_resumed_and_terminated() {
    let Some(rig) = rig() else { return };
    let job = job(script("trap 'exit 0' TERM INT; echo; while :; do sleep 0.1; done"));
    let id = job.id.clone();
    let control = |control| rig.tracker.job_control(&id, control).map_err(|error| error.code);
    assert_eq!(control(Control::Suspend), Err(ErrorCode::InvalidArgument));
    let _output = rig.start_and_hear(job);
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Running);
    assert_eq!(control(Control::Resume), Err(ErrorCode::InvalidState));
    control(Control::Suspend).unwrap();
    rig.until(|fact| *fact == Fact::Suspended { id: id.clone() });
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Suspended);
    assert_eq!(control(Control::Suspend), Err(ErrorCode::InvalidState));
    control(Control::Resume).unwrap();
    rig.until(|fact| *fact == Fact::Resumed { id: id.clone() });
    assert_eq!(control(Control::Hold), Err(ErrorCode::UnsupportedOperation));
    control(Control::Terminate).unwrap();
    let outcome = rig.until_ended(&id);
    // It ended well, but because it was asked to.
    assert_eq!((outcome.exit_status, outcome.state()), (Some(0), JobState::Failed), "{outcome:?}");
    assert_eq!(control(Control::Terminate), Err(ErrorCode::InvalidState));
    assert_eq!(control(Control::Suspend), Err(ErrorCode::InvalidState));
    rig.delete(&id);
}

#[test]
fn a_job_that_is_paused_or_deaf_ends_all_the_same() {
    let Some(rig) = rig() else { return };
    for paused in [true, false] {
        let job = job(script("trap '' TERM INT; echo; while :; do sleep 0.1; done"));
        let id = job.id.clone();
        let _output = rig.start_and_hear(job);
        if paused {
            rig.tracker.job_control(&id, Control::Suspend).unwrap();
        }
        rig.tracker.job_control(&id, Control::Terminate).unwrap();
        let outcome = rig.until_ended(&id);
        assert_eq!((outcome.state(), outcome.finished > 0), (JobState::Failed, true), "{outcome:?}");
        rig.delete(&id);
    }
}

#[test]
fn a_job_that_is_terminated_before_it_starts_does_not_run() {
    let Some(rig) = rig() else { return };
    let path = rig.file("ran", "", 0);
    let mut job = job(script("echo ran; sleep 60"));
    job.stdio.output = Some(path.as_path().into());
    let id = job.id.clone();
    rig.tracker.add_job(job).unwrap();
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    let outcome = rig.until_ended(&id);
    assert_eq!(outcome.state(), JobState::Failed);
    assert!(outcome.reason.unwrap().contains("terminated"));
    assert_eq!(fs::read_to_string(path).unwrap(), "");
    rig.delete(&id);
}

#[test]
fn a_job_that_is_terminated_as_it_starts_ends() {
    let Some(rig) = rig() else { return };
    for suspend in [false, true, false, true] {
        let job = job(script("sleep 60"));
        let id = job.id.clone();
        rig.tracker.add_job(job).unwrap();
        rig.until_started(&id);
        if suspend {
            rig.tracker.job_control(&id, Control::Suspend).unwrap();
        }
        rig.tracker.job_control(&id, Control::Terminate).unwrap();
        let outcome = rig.until_ended(&id);
        assert_eq!(outcome.state(), JobState::Failed);
        assert!(
            outcome.reason.as_ref().is_some_and(|reason| reason.contains("terminated")),
            "{outcome:?}"
        );
        rig.delete(&id);
    }
}

#[test]
fn streams_are_files_of_the_host() {
    let Some(rig) = rig() else { return };
    let odd = |name: &[u8]| {
        let path = rig.dir.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, "").unwrap();
        path
    };
    let input = rig.file("in", "one\ntwo\n", 0);
    let (output, error) = (odd(b"out \xff"), odd(b"err\n\xfe"));
    let stdio = Stdio {
        input: Some(input.as_path().into()),
        output: Some(output.as_path().into()),
        error: Some(error.as_path().into()),
        join: false,
    };
    let outcome = rig.run(NewJob { stdio: stdio.clone(), ..job(script("cat; echo e >&2")) });
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&error).unwrap(), "e\n");

    let joined = Stdio { join: true, ..stdio.clone() };
    rig.run(NewJob { stdio: joined, ..job(script("echo o; echo e >&2; echo o")) });
    assert_eq!(fs::read_to_string(&output).unwrap(), "one\ntwo\no\ne\no\n");

    let missing = Stdio { input: Some("/no/such/input".into()), ..Stdio::default() };
    let outcome = rig.run(NewJob { stdio: missing, ..job(script("cat")) });
    assert!(outcome.reason.unwrap().contains("/no/such/input"));
    let (outcome, text) = rig.output(job(script("cat; [ -t 0 ]; ls -l /proc/self/fd/0")));
    assert_eq!(outcome.state(), JobState::Done);
    assert!(text.contains("/dev/null"), "{text}");
}

#[test]
fn a_job_is_its_submitter_and_nobody_else() {
    let Some(rig) = rig() else { return };
    let text = "id -u; id -g; grep -E '^(Groups|CapEff|NoNewPrivs|Seccomp):' /proc/self/status; umask; \
                cat /.drmaa2/job/order; kill -9 1; ls /sys/class/net; echo $$";
    let (outcome, text) = rig.output(NewJob { submitter: submitter(1234), ..job(script(text)) });
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["1234", "1234"]);
    assert!(text.contains("4711"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
    assert!(text.contains("0027"), "{text}");
    assert!(text.contains("ermission denied") && text.contains("not permitted"), "{text}");
    assert!(lines.contains(&"lo") && !text.contains("eth0"), "{text}");
}

#[test]
fn secrets_stay_out_of_the_container() {
    let Some(rig) = rig() else { return };
    let mut job = job(script(": argument-secret; sleep 60"));
    job.template.job_environment = Some(vec![("TOKEN".into(), "environment-secret".into())]);
    let id = job.id.clone();
    rig.tracker.add_job(job).unwrap();
    rig.until_started(&id);
    let output = Command::new("ctr")
        .arg("--address")
        .arg(&rig.settings.address)
        .args(["--namespace", &rig.settings.namespace, "containers", "info", &id])
        .output();
    if let Ok(output) = output {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("jobSessionName"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let dir = fs::metadata(rig.dir_of(&id)).unwrap();
    assert_eq!((dir.mode() & 0o777, dir.uid()), (0o700, 0));
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    rig.until_ended(&id);
    rig.delete(&id);
}

#[test]
fn a_template_that_cannot_run_is_refused() {
    let Some(rig) = rig() else { return };
    let refused = |template: &JobTemplate| rig.tracker.check_template(template).unwrap_err();
    let error = refused(&JobTemplate::default());
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("remoteCommand"));
    let never = [("containerd_jt_pull".to_owned(), Text::from("never"))];
    let absent = JobTemplate {
        job_category: Some("absent.example/x:1".into()),
        extensions: never.into(),
        ..script("")
    };
    let error = refused(&absent);
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let expected = format!("image absent.example/x:1 not found in namespace {}", rig.settings.namespace);
    assert_eq!(error.message, expected);
    let nameless = JobTemplate { job_category: Some("absent.example/X:1".into()), ..script("") };
    let error = refused(&nameless);
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("image name \"absent.example/X:1\""), "{error}");
    let image = rig.settings.categories["test"].image.as_str();
    for category in ["test", image] {
        let known = JobTemplate { job_category: Some(category.into()), ..script("") };
        rig.tracker.check_template(&known).unwrap();
    }
    let categories = rig.tracker.list_job_categories().unwrap();
    assert!(categories.iter().any(|name| name == "test"), "{categories:?}");
    assert!(categories.iter().any(|name| name.ends_with(image)), "{categories:?}");
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let Some(settings) = settings("/nonexistent".into()) else { return };
    let settings = Settings { address: "/nonexistent/c.sock".into(), ..settings };
    let tracker = ContainerdTracker::new(settings, Arc::new(Runtime::start().unwrap()));
    for error in [
        tracker.check_template(&script("")).unwrap_err(),
        tracker.contact().unwrap_err(),
        tracker.job_info("01j").unwrap_err(),
        tracker.job_control("01j", Control::Suspend).unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
        assert!(error.message.contains("/nonexistent/c.sock"), "{error}");
    }
    let machines = tracker.monitoring().unwrap().all_machines().unwrap();
    assert!(!machines[0].available);
}

#[test]
fn what_was_started_once_is_not_started_again() {
    let Some(rig) = rig() else { return };
    let path = rig.file("out", "", 0);
    let mut first = job(script("echo ran; exec sleep 2"));
    first.stdio.output = Some(path.as_path().into());
    let id = first.id.clone();
    rig.tracker.add_job(first.clone()).unwrap();
    rig.until_started(&id);
    rig.tracker.add_job(first.clone()).unwrap();
    rig.until_started(&id);
    assert_eq!(rig.until_ended(&id).exit_status, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "ran\n");
    rig.tracker.add_job(first.clone()).unwrap();
    assert_eq!(rig.until_ended(&id).exit_status, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "ran\n");
    rig.delete(&id);
    // Now it is a new one, and the end of the first is not mistaken for its own.
    rig.tracker.add_job(NewJob { template: script("exit 6"), ..first }).unwrap();
    assert_eq!(rig.until_ended(&id).exit_status, Some(6));
    rig.delete(&id);
}

/// A process has died between its decision to start a job and the start: the task that it made is
/// started as it is.
#[test]
fn a_start_that_was_begun_is_carried_out() {
    let (Some(rig), Some(dead)) = (rig(), rig()) else { return };
    let settings = Settings { jobs_dir: dead.settings.jobs_dir.clone(), ..rig.settings.clone() };
    let job = job(script("exit 8"));
    dead.prepare(&job);
    fs::write(settings.jobs_dir.join(&job.id).join("started"), "1").unwrap();
    let pid = |rig: &Rig| rig.task_pid(&job.id);
    let before = pid(&rig);
    let later = ContainerdTracker::new(settings, Arc::new(Runtime::start().unwrap()));
    let (sender, facts) = mpsc::channel();
    later.subscribe(Arc::new(Sink(Mutex::new(sender))));
    later.add_job(job.clone()).unwrap();
    // Events of other jobs of the daemon come as well.
    let ours = |fact: &Fact| id_of(fact) == Some(job.id.as_str());
    assert!(facts.iter().any(|fact| ours(&fact) && matches!(fact, Fact::Started { .. })));
    assert_eq!(later.wait(&job.id, Some(LONG), &ENDED), Ok(JobState::Failed));
    assert_eq!(pid(&rig), before, "it was made anew");
    assert_eq!(later.job_info(&job.id).unwrap().exit_status, Some(8));
    later.delete_job(&job.id).unwrap();
    assert!(facts.iter().any(|fact| ours(&fact) && matches!(fact, Fact::Deleted { .. })));
}

#[test]
fn containers_of_others_are_seen_and_waited_for() {
    let (Some(rig), Some(other)) = (rig(), rig()) else { return };
    // A tracker with another place for its jobs knows no more of these than of any container.
    let job = job(script("sleep 3; exit 4"));
    let id = job.id.clone();
    other.tracker.add_job(job).unwrap();
    other.until_started(&id);
    let info = rig.tracker.job_info(&id).unwrap();
    assert_eq!((info.state, info.session.as_deref()), (JobState::Running, Some("session")));
    assert!(rig.tracker.list_jobs().unwrap().contains(&id));
    let wait = |timeout| rig.tracker.wait(&id, timeout, &ENDED);
    assert_eq!(wait(Some(Duration::ZERO)).unwrap_err().code, ErrorCode::Timeout);
    assert_eq!(wait(Some(LONG)), Ok(JobState::Failed));
    assert_eq!(rig.tracker.job_info(&id).unwrap().exit_status, Some(4));
    other.delete(&id);
    assert_eq!(wait(None).unwrap_err().code, ErrorCode::InvalidArgument);
}

#[test]
fn a_container_that_is_killed_from_outside_has_failed() {
    let Some(rig) = rig() else { return };
    let job = job(script("echo; sleep 60"));
    let id = job.id.clone();
    let _output = rig.start_and_hear(job);
    let pid = pid_of_init(&id);
    Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    let outcome = rig.until_ended(&id);
    assert_eq!((outcome.exit_status, outcome.signal), (Some(137), Some(9)), "{outcome:?}");
    assert!(outcome.reason.unwrap().contains("killed"));
    rig.delete(&id);
}

/// The host's process whose control group bears the job's id and that runs init.
fn pid_of_init(id: &str) -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let is_init = |dir: &Path| {
        let read = |name| fs::read(dir.join(name)).unwrap_or_default();
        let cgroup = String::from_utf8_lossy(&read("cgroup")).contains(id);
        cgroup && read("cmdline").starts_with(b"/.drmaa2/init")
    };
    let found = processes.map(|entry| entry.path()).find(|dir| is_init(dir)).unwrap();
    found.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn many_jobs_at_once_all_run() {
    let Some(rig) = rig() else { return };
    let jobs: Vec<_> = (0..24).map(|number| job(script(&format!("exit {}", number % 2)))).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    rig.tracker.add_array_job(jobs).unwrap();
    let mut ended = BTreeMap::new();
    while ended.len() < ids.len() {
        let facts = rig.until(|fact| matches!(fact, Fact::Ended { .. } | Fact::NotStarted { .. }));
        if let Some(Fact::Ended { id, outcome }) = facts.last()
            && ids.contains(id)
        {
            ended.insert(id.clone(), outcome.exit_status);
            rig.tracker.delete_job(id).unwrap();
        }
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(ended[id], Some(i32::try_from(number % 2).unwrap()));
    }
    let left = || ids.iter().filter(|id| rig.dir_of(id).exists()).count();
    while left() > 0 {
        rig.until(|fact| matches!(fact, Fact::Deleted { .. }));
    }
    assert!(ids.iter().all(|id| rig.traces(id).is_empty()));
}

#[test]
fn the_daemon_and_its_machine_are_described() {
    let Some(rig) = rig() else { return };
    let contact = rig.tracker.contact().unwrap();
    assert_eq!(contact.name, "containerd");
    assert_ne!(contact.version, Version::parse(""));
    let monitoring = rig.tracker.monitoring().unwrap();
    assert!(monitoring.all_machines().unwrap()[0].available);
    assert!(monitoring.all_queues().unwrap().is_empty(), "containerd has none");
}

#[test]
fn a_restart_of_the_daemon_loses_nothing() {
    let Some(restart) = setting("DRMAA2_TEST_RESTART") else {
        eprintln!("SKIPPED: DRMAA2_TEST_RESTART not set; no restart of containerd was tested");
        return;
    };
    let _alone: RwLockWriteGuard<'_, ()> =
        DAEMON.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Some(rig) = rig_without_lock() else { return };
    let (short, long) = (job(script("sleep 0.3; exit 7")), job(script("sleep 60")));
    let (short_id, long_id) = (short.id.clone(), long.id.clone());
    rig.tracker.add_job(short).unwrap();
    rig.tracker.add_job(long).unwrap();
    let mut waiting = vec![&short_id, &long_id];
    while !waiting.is_empty() {
        let facts = rig.until(|fact| matches!(fact, Fact::Started { .. }));
        waiting.retain(|id| facts.last().and_then(id_of) != Some(id));
    }
    let halfway = job(script("sleep 60"));
    let halfway_id = halfway.id.clone();
    rig.tracker.add_job(halfway.clone()).unwrap();
    assert!(Command::new("sh").args(["-c", &restart]).status().unwrap().success());
    let mut waiting = (true, true);
    let mut started = false;
    while waiting != (false, false) {
        let facts = rig.until(|fact| *fact == Fact::Live || id_of(fact) == Some(&halfway_id));
        match facts.last() {
            Some(Fact::Live) => waiting.0 = false,
            Some(Fact::Started { .. }) => (waiting.1, started) = (false, true),
            Some(Fact::NotStarted { error, .. }) => {
                assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
                assert_eq!(rig.traces(&halfway_id), Vec::<&str>::new());
                waiting.1 = false;
            }
            other => panic!("{other:?}"),
        }
    }
    if !started {
        rig.tracker.add_job(halfway).unwrap();
        rig.until_started(&halfway_id);
    }
    assert_eq!(rig.tracker.wait(&short_id, Some(LONG), &ENDED), Ok(JobState::Failed));
    assert_eq!(rig.tracker.job_info(&short_id).unwrap().exit_status, Some(7));
    assert_eq!(rig.tracker.job_state(&long_id).unwrap().0, JobState::Running);
    rig.delete(&short_id);
    for id in [&long_id, &halfway_id] {
        rig.tracker.job_control(id, Control::Terminate).unwrap();
        rig.until_ended(id);
        rig.delete(id);
    }
}
