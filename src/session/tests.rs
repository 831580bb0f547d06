//! The session module on a fake tracker.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::door::Door;
use super::process;
use super::world::World;
use super::{JobRef, JobSession, Timeout};
use crate::config::{Agent, Broker, Compat, Config, Containerd, Guests, Limits, Queue, Target};
use crate::model::extensions::Pull;
use crate::model::{Control, Error, ErrorCode, JobFilter, JobState, JobTemplate};
use crate::store::{Claim, Store};
use crate::tracker::JobTracker;
use crate::tracker::fake::{CATEGORY, FakeTracker};

/// One process on a store, as far as a test can have several in one.
pub(super) struct Bench {
    pub(super) tracker: Arc<FakeTracker>,
    pub(super) world: Arc<World>,
    /// A real process in its place, for its life.
    body: Child,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.die();
    }
}

impl Bench {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self::on(state_dir, FakeTracker::new())
    }

    pub(super) fn on(state_dir: &Path, tracker: Arc<FakeTracker>) -> Self {
        Self::with_slots(state_dir, tracker, None)
    }

    pub(super) fn with_slots(state_dir: &Path, tracker: Arc<FakeTracker>, slots: Option<i64>) -> Self {
        Self::with(config(state_dir, slots), tracker)
    }

    pub(super) fn with(config: Config, tracker: Arc<FakeTracker>) -> Self {
        let made = Arc::clone(&tracker);
        let make = move |_: &Config, _: &Target| Ok(Arc::clone(&made) as Arc<dyn JobTracker>);
        let body = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let claim = Claim::of_process(body.id()).unwrap();
        let bench = Self { tracker, world: World::with(config, claim, Box::new(make)).unwrap(), body };
        bench.enter();
        bench
    }

    /// Let the process die; its requests may still be carried out.
    pub(super) fn die(&mut self) {
        self.body.kill().unwrap();
        self.body.wait().unwrap();
    }

    /// Make the calls of this thread those of this process.
    pub(super) fn enter(&self) {
        process::use_door(Door::Here(Arc::clone(&self.world)));
    }
}

/// A configuration with this many slots and otherwise the defaults.
pub(super) fn config(state_dir: &Path, slots: Option<i64>) -> Config {
    Config {
        state_dir: state_dir.to_owned(),
        init: None,
        agent: Agent::Off,
        broker: Broker::Off,
        containerd: Containerd {
            address: "/fake.sock".into(),
            namespace: "n".into(),
            snapshotter: None,
        },
        slurm: None,
        runtime: None,
        runtime_binary: None,
        cgroup_parent: None,
        containers: crate::model::Containers::default(),
        cdi_dirs: vec![],
        gpu_devices: None,
        grace: Duration::ZERO,
        linger: None,
        default_category: None,
        categories: BTreeMap::new(),
        limits: Limits { slots, ..Limits::default() },
        fair_share: false,
        guests: Guests::default(),
        operators: Vec::new(),
        queues: [("default".to_owned(), Queue::default())].into(),
        sendmail: None,
        compat: Compat::Standard,
        sources: None,
        certs_dir: "/none".into(),
        pull: Pull::Missing,
    }
}

pub(super) fn fresh() -> (tempfile::TempDir, Bench, Arc<JobSession>) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let session = JobSession::create(None, None).unwrap();
    (dir, bench, session)
}

/// Submit a job and wait until it has started.
pub(super) fn start(session: &JobSession, template: JobTemplate) -> JobRef {
    let job = session.run_job(template).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    job
}

pub(super) fn template(command: &str) -> JobTemplate {
    JobTemplate {
        remote_command: Some(command.into()),
        job_category: Some(CATEGORY.into()),
        ..JobTemplate::default()
    }
}

/// While a monitoring session is open, the jobs of closed sessions may be used.
pub(super) static MONITORING: RwLock<()> = RwLock::new(());

pub(super) fn code<T: std::fmt::Debug>(result: crate::model::Result<T>) -> ErrorCode {
    result.unwrap_err().code
}

#[test]
fn a_job_runs_and_its_end_is_told() {
    let (_dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    assert_eq!(job.state().unwrap(), (JobState::Running, None));
    assert_eq!(code(job.wait_terminated(Timeout::Zero)), ErrorCode::Timeout);
    assert_eq!(code(job.reap()), ErrorCode::InvalidState);
    bench.tracker.exit(&job.id, 3);
    job.wait_terminated(Timeout::Infinite).unwrap();
    job.wait_started(Timeout::Zero).unwrap();
    let info = job.info().unwrap();
    assert_eq!((info.state, info.exit_status), (JobState::Failed, Some(3)));
    assert_eq!(job.template().unwrap(), template("sleep"));
    session.close().unwrap();
    assert!(bench.tracker.list_jobs().unwrap().is_empty(), "the runtime still holds it");
}

#[test]
fn a_reaped_job_is_forgotten() {
    let (_dir, _bench, session) = fresh();
    let job = session.run_job(template("0")).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    job.reap().unwrap();
    assert_eq!(code(job.info()), ErrorCode::InvalidArgument);
    assert_eq!(code(job.reap()), ErrorCode::InvalidArgument);
    assert!(session.jobs(None).unwrap().is_empty());
}

#[test]
fn control_follows_the_state_table() {
    let (_dir, _bench, session) = fresh();
    let job = start(&session, template("sleep"));
    assert_eq!(code(job.control(Control::Resume)), ErrorCode::InvalidState);
    job.control(Control::Suspend).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Suspended);
    assert_eq!(code(job.control(Control::Suspend)), ErrorCode::InvalidState);
    job.control(Control::Resume).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Running);
    assert_eq!(code(job.control(Control::Hold)), ErrorCode::InvalidState);
    job.control(Control::Terminate).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    let info = job.info().unwrap();
    assert_eq!(info.terminating_signal.as_deref(), Some("SIGTERM"));
    assert_eq!(code(job.control(Control::Terminate)), ErrorCode::InvalidState);
}

#[test]
fn a_template_that_cannot_run_leaves_no_job() {
    let (_dir, bench, session) = fresh();
    let unknown = JobTemplate { job_category: Some("other".into()), ..template("0") };
    assert_eq!(code(session.run_job(unknown)), ErrorCode::InvalidArgument);
    let unsupported = JobTemplate { join_files: true, ..template("0") };
    assert_eq!(code(session.run_job(unsupported)), ErrorCode::UnsupportedAttribute);
    let down = Error::new(ErrorCode::DrmCommunication, "socket /fake.sock: refused");
    bench.tracker.set_down(Some(down.clone()));
    assert_eq!(session.run_job(template("0")).unwrap_err(), down);
    assert!(session.jobs(None).unwrap().is_empty());
}

#[test]
fn a_file_that_cannot_be_opened_fails_the_job_and_names_the_file() {
    let (dir, bench, session) = fresh();
    let missing = dir.path().join("none/out");
    let job = session
        .run_job(JobTemplate { output_path: Some(missing.as_path().into()), ..template("0") })
        .unwrap();
    let info = job.info().unwrap();
    assert_eq!((info.state, info.exit_status), (JobState::Failed, None));
    assert!(info.annotation.unwrap().contains("none/out"));
    assert!(bench.tracker.orders().is_empty());

    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let job = session
        .run_job(JobTemplate { input_path: Some(fifo.as_path().into()), ..template("0") })
        .unwrap();
    assert!(job.info().unwrap().annotation.unwrap().contains("not a regular file"));
}

#[test]
fn output_is_emptied_before_the_job_starts() {
    let (dir, bench, session) = fresh();
    let out = dir.path().join("out");
    std::fs::write(&out, "old").unwrap();
    start(&session, JobTemplate { output_path: Some(out.as_path().into()), ..template("0") });
    assert_eq!(std::fs::read(&out).unwrap(), b"");
    let order = bench.tracker.orders().remove(0);
    assert_eq!(order.stdio.output, Some(out.canonicalize().unwrap().as_path().into()));
}

#[test]
fn another_process_finds_session_jobs_and_results() {
    let (dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    // The other process: a world of its own on the same store and runtime.
    let other = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    let opened = JobSession::open(session.name()).unwrap();
    let seen = opened.jobs(None).unwrap();
    assert_eq!(seen, [job]);
    bench.tracker.exit(&seen[0].id, 7);
    other.enter();
    seen[0].wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!(seen[0].info().unwrap().exit_status, Some(7));
}

#[test]
fn what_ended_while_nobody_looked_is_found_out_afterwards() {
    let (dir, bench, session) = fresh();
    let ended = start(&session, template("sleep"));
    let lost = start(&session, template("sleep"));
    bench.tracker.set_silent(true);
    bench.tracker.exit(&ended.id, 5);
    bench.tracker.lose(&lost.id);
    bench.tracker.set_silent(false);
    let _later = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    assert_eq!(ended.info().unwrap().exit_status, Some(5));
    let info = lost.info().unwrap();
    assert_eq!(info.state, JobState::Failed);
    assert!(info.annotation.unwrap().starts_with("runtime lost"));
}

fn rerunnable() -> JobTemplate {
    JobTemplate { rerunnable: true, ..template("sleep") }
}

#[test]
fn a_rerunnable_job_that_was_lost_runs_again() {
    let (dir, bench, session) = fresh();
    let job = start(&session, rerunnable());
    let first = job.info().unwrap().dispatched;
    bench.tracker.set_silent(true);
    bench.tracker.lose(&job.id);
    bench.tracker.set_silent(false);
    let later = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    let (state, _) = job.state().unwrap();
    assert!(matches!(state, JobState::Requeued | JobState::Running), "{state}");
    job.wait_started(Timeout::Infinite).unwrap();
    assert_eq!(later.tracker.orders().len(), 2);
    assert_eq!(job.info().unwrap().dispatched, first, "that of its first run");
    later.tracker.exit(&job.id, 0);
    job.wait_terminated(Timeout::Infinite).unwrap();
    let info = job.info().unwrap();
    assert_eq!((info.state, info.annotation), (JobState::Done, None));
}

#[test]
fn a_job_that_is_to_end_does_not_run_again() {
    let (dir, bench, session) = fresh();
    let job = start(&session, rerunnable());
    bench.tracker.set_silent(true);
    bench.tracker.lose(&job.id);
    bench.world.store.terminate(crate::store::Which::Job(&job.id), Control::Terminate).unwrap();
    bench.tracker.set_silent(false);
    let _later = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    assert_eq!(job.info().unwrap().state, JobState::Failed);
    assert_eq!(bench.tracker.orders().len(), 1);
}

#[test]
fn a_job_whose_claimer_died_is_started_by_the_next_process() {
    let (dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    // Put the store back to the time after a process had claimed the job, and died.
    let database = rusqlite::Connection::open(dir.path().join("drmaa2.db")).unwrap();
    database
        .execute(
            "UPDATE jobs SET state = 1, phase = 2, dispatched = NULL, claim = '1 0 dead' WHERE id = ?",
            [&job.id],
        )
        .unwrap();
    bench.tracker.lose(&job.id);
    let _next = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    job.wait_started(Timeout::Infinite).unwrap();
    let orders = bench.tracker.orders();
    assert_eq!(orders.len(), 2, "once by the first, once by the one that took over");
    assert_eq!(orders[1].template, template("sleep"));
}

#[test]
fn a_wait_sees_what_another_process_writes() {
    let (dir, _bench, session) = fresh();
    let job = start(&session, template("sleep"));
    let (id, path) = (job.id.clone(), dir.path().to_owned());
    let writer = thread::spawn(move || {
        let outcome = crate::model::Outcome::failed("written by another process");
        assert!(Store::open(&path).unwrap().job_ended(&id, &outcome, &Claim::mine()).unwrap());
    });
    job.wait_terminated(Timeout::Infinite).unwrap();
    writer.join().unwrap();
    assert_eq!(job.info().unwrap().annotation.unwrap(), "written by another process");
}

#[test]
fn a_wait_ends_in_time_and_with_its_session() {
    let _unwatched = MONITORING.read();
    let (_dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    let begin = Instant::now();
    assert_eq!(code(job.wait_terminated(Timeout::After(Duration::from_secs(1)))), ErrorCode::Timeout);
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let (waiter, world) = (job.clone(), Arc::clone(&bench.world));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let wait = thread::spawn(move || {
        process::use_door(Door::Here(Arc::clone(&world)));
        ready.send(()).unwrap();
        waiter.wait_terminated(Timeout::Infinite)
    });
    is_ready.recv().unwrap();
    session.close().unwrap();
    assert_eq!(code(wait.join().unwrap()), ErrorCode::InvalidSession);
    assert_eq!(code(job.state()), ErrorCode::InvalidSession);
}

#[test]
fn wait_any_gives_the_one_that_is_there() {
    let (_dir, bench, session) = fresh();
    let slow = start(&session, template("sleep"));
    let quick = start(&session, template("sleep"));
    let jobs = [slow.clone(), quick.clone()];
    assert_eq!(session.wait_any_started(&jobs, Timeout::Zero).unwrap(), slow);
    assert_eq!(code(session.wait_any_terminated(&jobs, Timeout::Zero)), ErrorCode::Timeout);
    bench.tracker.exit(&quick.id, 0);
    assert_eq!(session.wait_any_terminated(&jobs, Timeout::Infinite).unwrap(), quick);
    assert_eq!(code(session.wait_any_started(&[], Timeout::Zero)), ErrorCode::InvalidArgument);
    let stranger = JobRef { session: Some("other".into()), ..slow };
    assert_eq!(code(session.wait_any_started(&[stranger], Timeout::Zero)), ErrorCode::InvalidArgument);
}

#[test]
fn a_dead_runtime_is_an_error_for_what_it_knows_and_for_nothing_else() {
    let (_dir, bench, session) = fresh();
    let done = session.run_job(template("0")).unwrap();
    done.wait_terminated(Timeout::Infinite).unwrap();
    let running = start(&session, template("sleep"));
    bench.tracker.set_down(Some(Error::new(ErrorCode::DrmCommunication, "socket gone")));
    // The loss is a fact like any other; let it arrive.
    while running.state().is_ok() {
        thread::yield_now();
    }
    assert_eq!(code(running.state()), ErrorCode::DrmCommunication);
    assert_eq!(done.state().unwrap().0, JobState::Done);
    let waiter = thread::spawn({
        let (world, running) = (Arc::clone(&bench.world), running.clone());
        move || {
            process::use_door(Door::Here(Arc::clone(&world)));
            running.wait_terminated(Timeout::Infinite)
        }
    });
    bench.tracker.set_down(None);
    bench.tracker.exit(&running.id, 0);
    waiter.join().unwrap().unwrap();
}

#[test]
fn sessions_are_named_created_and_destroyed() {
    let _unwatched = MONITORING.read();
    let (_dir, _bench, session) = fresh();
    let name = session.name().to_owned();
    assert_eq!(code(JobSession::create(Some(&name), None).map(drop)), ErrorCode::InvalidArgument);
    assert_eq!(code(JobSession::create(Some(""), None).map(drop)), ErrorCode::InvalidArgument);
    assert_eq!(
        code(JobSession::create(Some(&"x".repeat(300)), None).map(drop)),
        ErrorCode::InvalidArgument
    );
    assert_eq!(code(JobSession::create(None, Some("tcp:x")).map(drop)), ErrorCode::InvalidArgument);
    assert_eq!(code(JobSession::open("no such").map(drop)), ErrorCode::InvalidArgument);
    assert_eq!(code(JobSession::destroy("no such")), ErrorCode::InvalidArgument);
    assert_eq!(JobSession::names().unwrap(), std::slice::from_ref(&name));
    let job = session.run_job(template("0")).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    JobSession::destroy(&name).unwrap();
    assert_eq!(code(session.jobs(None)), ErrorCode::InvalidSession);
    assert_eq!(code(session.close()), ErrorCode::InvalidSession);
    assert_eq!(code(job.state()), ErrorCode::InvalidSession);
    let again = JobSession::create(Some(&name), None).unwrap();
    assert!(again.jobs(None).unwrap().is_empty());
    assert_eq!(code(job.state()), ErrorCode::InvalidArgument);
    // A handle of the old session is not one of the new, and dropping it closes nothing.
    assert_eq!(code(session.jobs(None)), ErrorCode::InvalidSession);
    drop(session);
    again.run_job(template("0")).unwrap().wait_terminated(Timeout::Infinite).unwrap();
}

#[test]
fn filters_select_jobs() {
    let (_dir, _bench, session) = fresh();
    let named = JobTemplate { job_name: Some("n".into()), ..template("0") };
    let first = session.run_job(named).unwrap();
    let second = session.run_job(template("1")).unwrap();
    for job in [&first, &second] {
        job.wait_terminated(Timeout::Infinite).unwrap();
    }
    let select = |filter: JobFilter| session.jobs(Some(&filter)).unwrap();
    assert_eq!(select(JobFilter::default()), [first.clone(), second.clone()]);
    assert_eq!(select(JobFilter { job_name: Some("n".into()), ..JobFilter::default() }), [first]);
    assert_eq!(select(JobFilter { exit_status: Some(1), ..JobFilter::default() }), [second]);
    assert!(select(JobFilter { job_id: Some("none".into()), ..JobFilter::default() }).is_empty());
}

#[test]
fn a_live_claim_of_another_process_is_respected_until_it_dies() {
    let (dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let claim = Claim::of_process(other.id()).unwrap().to_string();
    let database = rusqlite::Connection::open(dir.path().join("drmaa2.db")).unwrap();
    database.execute("UPDATE jobs SET state = 1, claim = ?2 WHERE id = ?1", [&job.id, &claim]).unwrap();
    let next = Bench::on(dir.path(), Arc::clone(&bench.tracker));
    assert_eq!(job.state().unwrap(), (JobState::Queued, Some("creating".into())));
    job.control(Control::Terminate).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Queued, "its claimer ends it");
    assert_eq!(next.tracker.orders().len(), 1);
    other.kill().unwrap();
    other.wait().unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
}

#[test]
fn a_runtime_out_of_reach_is_not_asked_for_each_job_and_records_are_read_without_it() {
    let (_dir, bench, session) = fresh();
    let jobs: Vec<_> = (0..5).map(|_| start(&session, template("sleep"))).collect();
    bench.tracker.set_silent(true);
    bench.tracker.exit(&jobs[3].id, 7);
    bench.tracker.set_silent(false);
    let before = bench.tracker.asked();
    bench.tracker.set_down(Some(Error::new(ErrorCode::DrmCommunication, "down")));
    jobs[3].wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!(bench.tracker.asked(), before);
}

#[test]
fn what_happened_while_the_runtime_was_out_of_reach_is_asked_for() {
    let (_dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    bench.tracker.lose(&job.id);
    bench.tracker.set_down(Some(Error::new(ErrorCode::DrmCommunication, "down")));
    bench.tracker.set_down(None);
    job.wait_terminated(Timeout::After(Duration::from_secs(60))).unwrap();
    assert_eq!(job.state().unwrap().0, JobState::Failed);
}

#[test]
fn a_fact_that_could_not_be_stored_is_not_lost() {
    let (dir, bench, session) = fresh();
    let job = start(&session, template("sleep"));
    let database = rusqlite::Connection::open(dir.path().join("drmaa2.db")).unwrap();
    database.execute("ALTER TABLE jobs RENAME TO broken", []).unwrap();
    bench.tracker.exit(&job.id, 9);
    assert_eq!(code(job.state()), ErrorCode::SessionManagement);
    database.execute("ALTER TABLE broken RENAME TO jobs", []).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    assert_eq!(job.info().unwrap().exit_status, Some(9));
}
