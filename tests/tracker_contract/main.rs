//! The duties of every job tracker, seen from outside. Runs against the fake, with and without a queue of its own,
//! against containerd, and against Slurm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod queue;
mod reservations;
mod starts;

use queue::*;
use reservations::*;
use starts::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use drmaa2::containerd::{ContainerdTracker, JobSettings, Settings};
use drmaa2::model::extensions::Pull;
use drmaa2::model::{Control, ErrorCode, JobState, JobTemplate, Outcome, Text};
use drmaa2::registry;
use drmaa2::runtime::Runtime;
use drmaa2::slurm::{self, SlurmTracker};
use drmaa2::tracker::fake::{CATEGORY, FakeTracker};
use drmaa2::tracker::{self, EventSink, Fact, JobTracker, NewJob, Stdio, Submitter};

/// Nothing here takes so long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

/// A tracker under test, and how to make it run something.
struct Subject {
    tracker: Arc<dyn JobTracker>,
    facts: mpsc::Receiver<Fact>,
    /// A command that ends at once with the exit code it is given.
    exits: fn(i32) -> JobTemplate,
    /// A command that does not end by itself, but at SIGTERM.
    sleeps: fn() -> JobTemplate,
    _jobs_dir: Option<tempfile::TempDir>,
}

struct Sink(Mutex<mpsc::Sender<Fact>>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        // A test that is over does not listen any more.
        let _ = self.0.lock().unwrap().send(fact);
    }
}

fn subject(
    tracker: Arc<dyn JobTracker>,
    exits: fn(i32) -> JobTemplate,
    sleeps: fn() -> JobTemplate,
    jobs_dir: Option<tempfile::TempDir>,
) -> Subject {
    let (sender, facts) = mpsc::channel();
    tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
    Subject { tracker, facts, exits, sleeps, _jobs_dir: jobs_dir }
}

fn fake() -> Subject {
    fake_of(FakeTracker::new())
}

fn fake_with_queue() -> Subject {
    fake_of(FakeTracker::with_queue())
}

fn fake_of(fake: Arc<FakeTracker>) -> Subject {
    fn template(command: String) -> JobTemplate {
        JobTemplate {
            remote_command: Some(command.into()),
            job_category: Some(CATEGORY.into()),
            ..JobTemplate::default()
        }
    }
    subject(fake, |code| template(code.to_string()), || template("sleep".into()), None)
}

fn image() -> String {
    std::env::var("DRMAA2_TEST_IMAGE").expect("DRMAA2_TEST_IMAGE: scripts/test sets it")
}

fn containerd() -> Subject {
    fn template(command: &str, args: &[&str]) -> JobTemplate {
        JobTemplate {
            remote_command: Some(command.into()),
            args: Some(args.iter().map(|arg| Text::from(*arg)).collect()),
            job_category: Some(image().into()),
            ..JobTemplate::default()
        }
    }
    let set =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name}: scripts/test sets it"));
    let jobs_dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        address: set("CONTAINERD_ADDRESS").into(),
        namespace: set("CONTAINERD_NAMESPACE"),
        snapshotter: Some(set("CONTAINERD_SNAPSHOTTER")),
        jobs_dir: jobs_dir.path().to_owned(),
        pulls_dir: jobs_dir.path().join(".pulls"),
        init: set("DRMAA2_INIT").into(),
    };
    let tracker = ContainerdTracker::new(settings, Arc::new(Runtime::start().unwrap()));
    subject(
        tracker,
        |code| template("sh", &["-c", &format!("exit {code}")]),
        || template("sleep", &["1000"]),
        Some(jobs_dir),
    )
}

fn slurm() -> Subject {
    fn template(command: &str, args: &[&str]) -> JobTemplate {
        JobTemplate {
            remote_command: Some(command.into()),
            args: Some(args.iter().map(|arg| Text::from(*arg)).collect()),
            job_category: Some("host".into()),
            ..JobTemplate::default()
        }
    }
    let set =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name}: scripts/test sets it"));
    let dir = tempfile::tempdir().unwrap();
    let settings = slurm::Settings {
        programs: slurm::Programs {
            path: set("PATH").into(),
            conf: Some(set("DRMAA2_TEST_SLURM_CONF").into()),
        },
        dir: dir.path().join("slurm"),
        node: PathBuf::from(set("DRMAA2_INIT")).with_file_name("drmaa2-node"),
    };
    let tracker = SlurmTracker::new(settings, Arc::new(Runtime::start().unwrap()));
    subject(
        tracker,
        |code| template("sh", &["-c", &format!("exit {code}")]),
        || template("sleep", &["1000"]),
        Some(dir),
    )
}

/// The settings that a job is run with on containerd, which hold those for Slurm; the fake has no use for them.
fn settings(template: &JobTemplate) -> tracker::Settings {
    tracker::Settings::of(&JobSettings {
        image: template.job_category.as_ref().map(ToString::to_string),
        runtime: None,
        runtime_binary: None,
        cgroup_parent: None,
        cdi_dirs: vec![],
        grace: Duration::from_secs(5),
        linger: None,
        pull: Pull::Missing,
        registry: registry::Settings::default(),
    })
    .unwrap()
}

impl Subject {
    fn new_job(&self, template: JobTemplate) -> NewJob {
        let settings = settings(&template);
        self.tracker.check_template(&template, &settings).unwrap();
        NewJob {
            settings,
            id: ulid::Ulid::generate().to_string().to_lowercase(),
            session: "contract".to_owned(),
            template,
            submitter: Submitter {
                user: "root".into(),
                uid: 0,
                gid: 0,
                groups: vec![0],
                umask: 0o22,
                machine: "here".into(),
            },
            stdio: Stdio::default(),
            task: None,
            held: false,
            slots: None,
            wall_clock: None,
            ends: None,
        }
    }

    fn add(&self, template: JobTemplate) -> String {
        let job = self.new_job(template);
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        id
    }

    /// Make a job ready, if the tracker can do that.
    fn prepare(&self, template: JobTemplate) -> Option<NewJob> {
        let job = self.new_job(template);
        self.tracker.prepare_job(job.clone()).unwrap().then_some(job)
    }

    /// The next fact about this very job.
    fn next(&self, job: &str) -> Fact {
        self.until(|fact| {
            let is_of = !matches!(fact, Fact::Left { .. }) && fact.id() == Some(job);
            is_of.then(|| fact.clone())
        })
    }

    /// Nothing more is told of the job, as far as can be known once another one has come and gone.
    fn silent_about(&self, job: &str) {
        let other = self.add((self.exits)(0));
        self.until(|fact| match fact {
            Fact::Ended { id, .. } if *id == other => Some(()),
            Fact::Live | Fact::Lost { .. } => None,
            fact => {
                let text = format!("{fact:?}");
                assert!(!text.contains(job), "{text}");
                None
            }
        });
        self.delete(&other);
    }

    /// The next fact about a job; facts about others, and repeated ones, are no news here.
    fn until<T>(&self, mut wanted: impl FnMut(&Fact) -> Option<T>) -> T {
        loop {
            let fact = self.facts.recv_timeout(LONG).expect("a fact in time");
            if let Some(value) = wanted(&fact) {
                return value;
            }
        }
    }

    fn started(&self, job: &str) {
        self.until(|fact| match fact {
            Fact::Started { id, .. } if id == job => Some(()),
            Fact::Ended { id, outcome } if id == job => panic!("ended before it started: {outcome:?}"),
            Fact::NotStarted { id, error } if id == job => panic!("not started: {error}"),
            _ => None,
        });
    }

    fn ended(&self, job: &str) -> Outcome {
        self.until(|fact| match fact {
            Fact::Ended { id, outcome } if id == job => Some(outcome.clone()),
            Fact::NotStarted { id, error } if id == job => panic!("not started: {error}"),
            _ => None,
        })
    }

    /// A start was withdrawn; it may have been told before that.
    fn withdrawn(&self, job: &str) {
        self.until(|fact| match fact {
            Fact::Withdrawn { id } if id == job => Some(()),
            Fact::Ended { id, outcome } if id == job => panic!("ended: {outcome:?}"),
            Fact::NotStarted { id, error } if id == job => panic!("not started: {error}"),
            _ => None,
        })
    }

    /// Nothing is left of a job that was withdrawn; it can be run as if nothing had been.
    fn runs_after_all(&self, job: NewJob, exit_status: i32) {
        self.delete(&job.id);
        let error = self.tracker.job_info(&job.id).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        self.tracker.add_job(job.clone()).unwrap();
        self.started(&job.id);
        assert_eq!(self.ended(&job.id).exit_status, Some(exit_status));
        self.delete(&job.id);
    }

    fn delete(&self, job: &str) {
        self.tracker.delete_job(job).unwrap();
        self.until(|fact| matches!(fact, Fact::Deleted { id } if id == job).then_some(()));
    }

    fn state(&self, job: &str) -> JobState {
        self.tracker.job_state(job).unwrap().0
    }
}

fn a_job_starts_ends_and_is_deleted(subject: &Subject) {
    for code in [0, 1, 77, 255] {
        let job = subject.add((subject.exits)(code));
        subject.started(&job);
        let outcome = subject.ended(&job);
        assert_eq!((outcome.exit_status, outcome.signal), (Some(code), None));
        let info = subject.tracker.job_info(&job).unwrap();
        assert_eq!(info.state, if code == 0 { JobState::Done } else { JobState::Failed });
        assert_eq!(info.exit_status, Some(code));
        assert!(info.dispatched.is_some() && info.finished >= info.dispatched);
        subject.delete(&job);
        assert_eq!(subject.tracker.job_info(&job).unwrap_err().code, ErrorCode::InvalidArgument);
        assert!(!subject.tracker.list_jobs().unwrap().contains(&job));
    }
}

fn a_running_job_is_controlled(subject: &Subject) {
    let job = subject.add((subject.sleeps)());
    subject.started(&job);
    assert!(subject.tracker.list_jobs().unwrap().contains(&job));
    assert_eq!(subject.state(&job), JobState::Running);
    let timeout = subject.tracker.wait(&job, Some(Duration::ZERO), &[JobState::Done]).unwrap_err();
    assert_eq!(timeout.code, ErrorCode::Timeout);

    subject.tracker.job_control(&job, Control::Suspend).unwrap();
    subject.until(|fact| matches!(fact, Fact::Suspended { id, .. } if *id == job).then_some(()));
    assert_eq!(subject.state(&job), JobState::Suspended);
    assert_eq!(
        subject.tracker.job_control(&job, Control::Suspend).unwrap_err().code,
        ErrorCode::InvalidState
    );
    subject.tracker.job_control(&job, Control::Resume).unwrap();
    subject.until(|fact| matches!(fact, Fact::Resumed { id, .. } if *id == job).then_some(()));
    assert_eq!(subject.state(&job), JobState::Running);
    assert_eq!(
        subject.tracker.job_control(&job, Control::Resume).unwrap_err().code,
        ErrorCode::InvalidState
    );

    subject.tracker.job_control(&job, Control::Terminate).unwrap();
    let outcome = subject.ended(&job);
    assert_eq!(outcome.state(), JobState::Failed);
    assert_eq!(outcome.signal, Some(libc::SIGTERM));
    let reached = subject.tracker.wait(&job, Some(LONG), &[JobState::Done, JobState::Failed]);
    assert_eq!(reached.unwrap(), JobState::Failed);
    assert_eq!(
        subject.tracker.job_control(&job, Control::Terminate).unwrap_err().code,
        ErrorCode::InvalidState
    );
    subject.delete(&job);
}

fn a_suspended_job_can_be_terminated(subject: &Subject) {
    let job = subject.add((subject.sleeps)());
    subject.started(&job);
    subject.tracker.job_control(&job, Control::Suspend).unwrap();
    subject.tracker.job_control(&job, Control::Terminate).unwrap();
    assert_eq!(subject.ended(&job).state(), JobState::Failed);
    subject.delete(&job);
}

fn a_job_is_killed_whatever_it_does(subject: &Subject) {
    for suspended in [false, true] {
        let job = subject.add((subject.sleeps)());
        subject.started(&job);
        if suspended {
            subject.tracker.job_control(&job, Control::Suspend).unwrap();
        }
        subject.tracker.job_control(&job, Control::Kill).unwrap();
        let outcome = subject.ended(&job);
        assert_eq!(outcome.signal, Some(libc::SIGKILL));
        // It may be killed before its command has begun: then there is no exit status.
        assert!(matches!(outcome.exit_status, Some(137) | None), "{outcome:?}");
        assert_eq!(
            subject.tracker.job_control(&job, Control::Kill).unwrap_err().code,
            ErrorCode::InvalidState
        );
        subject.delete(&job);
    }
}

fn an_unknown_job_is_an_error_that_names_it(subject: &Subject) {
    let job = "01unknown";
    let tracker = &subject.tracker;
    for error in [
        tracker.job_state(job).unwrap_err(),
        tracker.job_info(job).unwrap_err(),
        tracker.job_control(job, Control::Suspend).unwrap_err(),
        tracker.job_control(job, Control::Terminate).unwrap_err(),
        tracker.job_control(job, Control::Kill).unwrap_err(),
        tracker.wait(job, Some(LONG), &[JobState::Done]).unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        assert!(error.message.contains(job), "{error}");
    }
}

fn a_template_that_can_never_run_is_refused(subject: &Subject) {
    let good = (subject.exits)(0);
    let no_command = JobTemplate { remote_command: None, job_category: None, ..good.clone() };
    let no_category = JobTemplate { job_category: Some("no/such/Category:1".into()), ..good.clone() };
    for template in [no_command, no_category] {
        let error = subject.tracker.check_template(&template, &settings(&template)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    }
    subject.tracker.check_template(&good, &settings(&good)).unwrap();
    for name in ["remoteCommand", "args", "jobCategory"] {
        assert!(subject.tracker.attributes().contains(&name), "{name}");
    }
}

fn the_system_tells_about_itself(subject: &Subject) {
    let tracker = &subject.tracker;
    let category = (subject.exits)(0).job_category.unwrap().to_string();
    assert!(tracker.list_job_categories().unwrap().contains(&category));
    let contact = tracker.contact().unwrap();
    assert!(!contact.name.is_empty() && !contact.version.major.is_empty());
    let Some(monitoring) = tracker.monitoring() else { return };
    let job = subject.add((subject.sleeps)());
    subject.started(&job);
    let jobs = monitoring.all_jobs().unwrap();
    let info = jobs.iter().find(|info| info.id == job).expect("the running job among all jobs");
    assert_eq!((info.state, info.session.as_deref()), (JobState::Running, Some("contract")));
    for machine in monitoring.all_machines().unwrap() {
        assert!(machine.available && machine.sockets >= 1 && machine.phys_memory > 0, "{machine:?}");
    }
    monitoring.all_queues().unwrap();
    tracker.job_control(&job, Control::Terminate).unwrap();
    subject.ended(&job);
    subject.delete(&job);
}

fn deleting_twice_is_harmless(subject: &Subject) {
    let job = subject.add((subject.exits)(0));
    subject.ended(&job);
    subject.delete(&job);
    subject.delete(&job);
}

fn live_is_told(subject: &Subject) {
    subject.until(|fact| matches!(fact, Fact::Live).then_some(()));
}

/// Each rule becomes a test for each tracker: there are rules for all, for systems without a queue of their own, and
/// for systems that have one.
macro_rules! contract {
    (all { $($all:ident)* } without { $($without:ident)* } with { $($with:ident)* }) => {
        mod on_the_fake { $(#[test] fn $all() { super::$all(&super::fake()); })*
            $(#[test] fn $without() { super::$without(&super::fake()); })* }
        mod on_the_fake_with_a_queue { $(#[test] fn $all() { super::$all(&super::fake_with_queue()); })*
            $(#[test] fn $with() { super::$with(&super::fake_with_queue()); })* }
        mod on_containerd { $(#[test] fn $all() {
            if super::may_run() { super::$all(&super::containerd()); }
        })* $(#[test] fn $without() {
            if super::may_run() { super::$without(&super::containerd()); }
        })* }
        mod on_slurm { $(#[test] fn $all() {
            if super::may_run_slurm() { super::$all(&super::slurm()); }
        })* $(#[test] fn $with() {
            if super::may_run_slurm() { super::$with(&super::slurm()); }
        })* }
    };
}

contract! {
    all {
        live_is_told
        a_job_starts_ends_and_is_deleted
        a_running_job_is_controlled
        a_suspended_job_can_be_terminated
        a_job_is_killed_whatever_it_does
        an_unknown_job_is_an_error_that_names_it
        a_template_that_can_never_run_is_refused
        the_system_tells_about_itself
        deleting_twice_is_harmless
    }
    without {
        a_prepared_job_waits_for_its_start
        a_job_is_started_while_it_is_being_prepared
        a_preparation_can_be_undone
        a_prepared_job_that_is_terminated_does_not_run
        a_start_that_is_withdrawn_in_time_does_not_happen
        a_prepared_job_that_is_withdrawn_does_not_run
        a_start_that_is_withdrawn_can_be_undone_at_once
        what_has_begun_is_not_withdrawn
    }
    with {
        a_job_waits_before_anything_else
        a_held_job_waits_for_its_release
        a_job_that_has_begun_is_not_held
        a_job_is_taken_into_the_queue_once
        all_tasks_of_an_array_are_taken_into_the_queue
        a_job_that_waits_can_be_ended
        a_reservation_is_found_until_it_is_given_up
        what_cannot_be_reserved_leaves_nothing
    }
}

/// Is there a containerd to test with?
fn may_run() -> bool {
    is_there("CONTAINERD_ADDRESS")
}

/// Is there a cluster?
fn may_run_slurm() -> bool {
    is_there("DRMAA2_TEST_SLURM_CONF")
}

/// Is there a system to test with, as this variable tells? Where there has to be one, its absence is a failure.
fn is_there(variable: &str) -> bool {
    let there = std::env::var_os(variable).is_some();
    let required = std::env::var_os("DRMAA2_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(there || !required, "DRMAA2_TEST_REQUIRE=1, but {variable} is not set");
    if !there {
        eprintln!("SKIPPED: {variable} is not set; nothing was tested against its system");
    }
    there
}
