//! The broker over a fake runtime, with clients that are threads of other users.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::config::{Config, Guests};
use crate::model::{Control, ErrorCode, JobFilter, JobState, JobTemplate, Scope};
use crate::session::behalf::Behalf;
use crate::session::call::{Call, Content};
use crate::session::connection::Connection;
use crate::session::door::Door;
use crate::session::ids::Nonce;
use crate::session::tests::{Bench, MONITORING, code, config, template};
use crate::session::{
    Bulk, JobArray, JobRef, JobSession, MonitoringSession, ReservationSession, Timeout, notify, process,
};
use crate::store::Kind;
use crate::tracker::fake::FakeTracker;

/// Users whom every Debian has.
const DAEMON: u32 = 1;
pub(super) const NOBODY: u32 = 65534;
/// A number that no user has.
const NO_USER: u32 = 3_999_999_999;

/// A world with a broker.
pub(super) struct Site {
    _dir: tempfile::TempDir,
    pub(super) bench: Bench,
    pub(super) path: PathBuf,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(Guests::default())
    }

    pub(super) fn with(guests: Guests) -> Self {
        Self::configured(|config| config.guests = guests)
    }

    pub(super) fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = config(&dir.path().join("state"), Some(4));
        change(&mut config);
        let bench = Bench::with(config, FakeTracker::new());
        let path = dir.path().join("broker.sock");
        let socket = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        open(&bench.world, socket).unwrap();
        Self { _dir: dir, bench, path }
    }

    /// Do something as a client of this user, which has a connection of its own.
    pub(super) fn of<T: Send>(&self, uid: u32, body: impl FnOnce(&Arc<Connection>) -> T + Send) -> T {
        let path = self.path.as_path();
        let client = move || {
            become_user(uid);
            let connection = Connection::new(path, uid);
            process::use_door(Door::There(Arc::clone(&connection)));
            body(&connection)
        };
        thread::scope(|scope| scope.spawn(client).join().unwrap())
    }
}

/// Make this thread one of another user.
pub(super) fn become_user(uid: u32) {
    // SAFETY: plain numbers. The call of the system changes the thread alone.
    let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, uid, -1) };
    assert_eq!(changed, 0, "{}", io::Error::last_os_error());
}

pub(super) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_user_runs_jobs_through_the_broker_as_himself() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    site.of(NOBODY, |_| {
        let session = JobSession::create(None, None).unwrap();
        let job = session.run_job(template("sleep")).unwrap();
        job.wait_started(Timeout::Infinite).unwrap();
        assert_eq!(job.state().unwrap(), (JobState::Running, None));
        assert_eq!(code(job.wait_terminated(Timeout::Zero)), ErrorCode::Timeout);
        site.bench.tracker.exit(&job.id, 3);
        job.wait_terminated(Timeout::Infinite).unwrap();
        let info = job.info().unwrap();
        assert_eq!((info.exit_status, info.owner.as_deref()), (Some(3), Some("nobody")));
        assert_eq!(job.template().unwrap(), template("sleep"));
        assert_eq!(session.jobs(None).unwrap(), std::slice::from_ref(&job));
        job.reap().unwrap();
        assert_eq!(code(job.info()), ErrorCode::InvalidArgument);
        let bulk = Bulk { begin: 1, end: 3, step: 1, max_parallel: 0 };
        let array = session.run_bulk_jobs(&template("0"), bulk).unwrap();
        let jobs = array.jobs().unwrap();
        assert_eq!(session.wait_all_terminated(&jobs, Timeout::Infinite).unwrap(), jobs);
        assert_eq!(session.job_array(&array.id).unwrap(), array);
        array.reap().unwrap();
        session.close().unwrap();
        JobSession::destroy(session.name()).unwrap();
    });
    let submitters: Vec<u32> =
        site.bench.tracker.orders().iter().map(|order| order.submitter.uid).collect();
    assert_eq!(submitters, [NOBODY; 4]);
}

#[test]
fn what_belongs_to_another_user_is_not_there() {
    let site = Site::with(Guests { hide_others: true, ..Guests::default() });
    if !is_root() {
        return;
    }
    let _alone = MONITORING.write().unwrap();
    let roots = JobSession::create(Some("roots"), None).unwrap();
    let kept = roots.run_job(template("sleep")).unwrap();
    kept.wait_started(Timeout::Infinite).unwrap();
    let bulk = Bulk { begin: 1, end: 2, step: 1, max_parallel: 0 };
    let array = roots.run_bulk_jobs(&template("sleep"), bulk).unwrap();
    let reservations = ReservationSession::create(Some("roots"), None).unwrap();
    let rtemplate = crate::model::ReservationTemplate { duration: Some(60), ..Default::default() };
    let reservation = reservations.request(&rtemplate).unwrap();
    site.of(DAEMON, |connection| {
        assert!(
            JobSession::names().unwrap().is_empty() && ReservationSession::names().unwrap().is_empty()
        );
        assert_eq!(code(JobSession::open("roots").map(drop)), ErrorCode::InvalidArgument);
        assert_eq!(code(JobSession::destroy("roots")), ErrorCode::InvalidArgument);
        // He may have one of that name, and say of it what he likes.
        let mine = JobSession::create(Some("roots"), None).unwrap();
        let monitoring = MonitoringSession::open().unwrap();
        for session in [None, Some("roots".to_owned())] {
            let his = JobRef { session: session.clone(), ..kept.clone() };
            assert_eq!(code(his.state()), ErrorCode::InvalidArgument);
            assert_eq!(code(his.info()), ErrorCode::InvalidArgument);
            assert_eq!(code(his.template()), ErrorCode::InvalidArgument);
            assert_eq!(code(his.control(Control::Terminate)), ErrorCode::InvalidArgument);
            assert_eq!(code(his.reap()), ErrorCode::InvalidArgument);
            assert_eq!(code(his.wait_terminated(Timeout::Infinite)), ErrorCode::InvalidArgument);
            let his = JobArray { id: array.id.clone(), session };
            assert_eq!(code(his.jobs()), ErrorCode::InvalidArgument);
            assert_eq!(code(his.control(Control::Terminate)), ErrorCode::InvalidArgument);
            assert_eq!(code(his.reap()), ErrorCode::InvalidArgument);
            assert_eq!(code(his.template()), ErrorCode::InvalidArgument);
        }
        assert_eq!(code(mine.job_array(&array.id)), ErrorCode::InvalidArgument);
        assert!(monitoring.jobs(None).unwrap().is_empty());
        assert!(monitoring.reservations().unwrap().is_empty());
        assert_eq!(code(reservation.info()), ErrorCode::InvalidArgument);
        assert_eq!(code(reservation.terminate()), ErrorCode::InvalidArgument);
        let refused = ReservationSession::create(None, None).map(drop);
        assert_eq!(code(refused), ErrorCode::UnsupportedOperation);
        assert!([0, 1, 9, 12].iter().all(|capability| !connection.has(*capability)));
        assert!(connection.has(2), "callbacks");
        let contact = Some("containerd:///other.sock");
        assert_eq!(code(JobSession::create(None, contact).map(drop)), ErrorCode::DeniedByDrms);
        monitoring.close().unwrap();
    });
    assert_eq!(kept.state().unwrap().0, JobState::Running);
    // Root sees all.
    site.of(0, |_| assert_eq!(JobSession::names().unwrap(), ["roots"]));
}

#[test]
fn a_monitoring_session_shows_little_of_the_jobs_of_others() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    let _alone = MONITORING.write().unwrap();
    let roots = JobSession::create(Some("roots"), None).unwrap();
    let secret = JobTemplate { job_name: Some("secret".into()), ..template("sleep") };
    let kept = roots.run_job(secret).unwrap();
    kept.wait_started(Timeout::Infinite).unwrap();
    let full = kept.info().unwrap();
    site.of(DAEMON, |_| {
        let mine = JobSession::create(None, None).unwrap().run_job(template("sleep")).unwrap();
        let hers = JobRef { session: None, ..kept.clone() };
        assert_eq!(code(hers.info()), ErrorCode::InvalidSession, "no monitoring session is open");
        let monitoring = MonitoringSession::open().unwrap();
        let jobs = monitoring.jobs(None).unwrap();
        let hers = JobRef { session: None, name: None, ..kept.clone() };
        assert_eq!(jobs, [mine.clone(), hers.clone()]);
        assert_eq!(hers.state().unwrap(), (JobState::Running, None));
        let info = hers.info().unwrap();
        assert_eq!((info.owner.as_deref(), info.state), (Some("root"), JobState::Running));
        assert_eq!((&info.submitted, &info.queue), (&full.submitted, &full.queue));
        assert_eq!(info, full.for_others());
        assert!(info.submission_machine.is_none() && info.name.is_none() && info.container.is_none());
        // Nor can a filter find out what is not shown.
        let named = JobFilter { job_name: Some("secret".into()), ..JobFilter::default() };
        assert!(monitoring.jobs(Some(&named)).unwrap().is_empty());
        assert_eq!(code(hers.template()), ErrorCode::InvalidArgument);
        assert_eq!(code(hers.control(Control::Terminate)), ErrorCode::InvalidArgument);
        assert_eq!(code(hers.reap()), ErrorCode::InvalidArgument);
        assert_eq!(code(hers.wait_terminated(Timeout::Infinite)), ErrorCode::InvalidArgument);
        let named = JobRef { session: Some("roots".to_owned()), ..hers };
        assert_eq!(code(named.info()), ErrorCode::InvalidArgument);
        monitoring.close().unwrap();
    });
    assert_eq!(kept.state().unwrap().0, JobState::Running);
}

#[test]
fn a_job_has_no_more_than_the_site_allows() {
    let site = Site::with(Guests { memory: Some(1 << 30), pids: Some(100), ..Guests::default() });
    if !is_root() {
        return;
    }
    let run = |memory: Option<&str>| {
        let memory = memory.map(|memory| ("containerd_jt_memory".to_owned(), memory.into()));
        let template = JobTemplate { extensions: memory.into_iter().collect(), ..template("0") };
        let session = JobSession::create(None, None).unwrap();
        session.run_job(template).and_then(|job| job.wait_terminated(Timeout::Infinite))
    };
    site.of(NOBODY, |_| {
        let error = run(Some("2g")).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("containerd_jt_memory"), "{error}");
        run(None).unwrap();
    });
    // The site's own jobs are not limited.
    run(None).unwrap();
    let orders = site.bench.tracker.orders();
    let given = orders.iter().map(|order| order.template.extensions().unwrap());
    let given: Vec<_> = given.map(|given| (given.memory, given.pids)).collect();
    assert_eq!(given, [(Some(1 << 30), Some(100)), (None, None)]);
}

#[test]
fn a_site_may_list_contact_strings_and_let_users_reserve() {
    let contacts = vec!["containerd://?slots=2".to_owned()];
    let site = Site::with(Guests { contacts, reservations: true, ..Guests::default() });
    if !is_root() {
        return;
    }
    let rtemplate = crate::model::ReservationTemplate { duration: Some(60), ..Default::default() };
    let session = ReservationSession::create(Some("roots"), None).unwrap();
    let roots = session.request(&rtemplate).unwrap();
    site.of(DAEMON, |connection| {
        assert!([0, 1, 9, 12].iter().all(|capability| connection.has(*capability)));
        let other = JobSession::create(None, Some("containerd://?slots=3")).map(drop);
        assert_eq!(code(other), ErrorCode::DeniedByDrms);
        let jobs = JobSession::create(None, Some("containerd://?slots=2")).unwrap();
        let session = ReservationSession::create(Some("mine"), None).unwrap();
        let mine = session.request(&rtemplate).unwrap();
        assert_eq!(mine.info().unwrap().users, ["daemon"]);
        let within = |id: &str| JobTemplate { reservation_id: Some(id.into()), ..template("0") };
        jobs.run_job(within(&mine.id)).unwrap().wait_terminated(Timeout::Infinite).unwrap();
        let refused = [&*roots.id, "nothing"].map(|id| jobs.run_job(within(id)).unwrap_err());
        assert_eq!(refused[0].code, ErrorCode::InvalidArgument);
        assert_eq!(refused[0].message.replace(&roots.id, "nothing"), refused[1].message);
        mine.terminate().unwrap();
    });
    assert!(roots.info().is_ok());
}

#[test]
fn a_user_stores_no_more_than_he_may() {
    let site = Site::with(Guests { stored_jobs: Some(3), sessions: Some(2), ..Guests::default() });
    if !is_root() {
        return;
    }
    site.of(NOBODY, |_| {
        let session = JobSession::create(None, None).unwrap();
        let bulk = |end| Bulk { begin: 1, end, step: 1, max_parallel: 0 };
        let refused = session.run_bulk_jobs(&template("0"), bulk(4)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TryLater);
        assert!(refused.message.contains("4 jobs of this user"), "{refused}");
        let array = session.run_bulk_jobs(&template("0"), bulk(3)).unwrap();
        assert_eq!(code(session.run_job(template("0"))), ErrorCode::TryLater);
        session.wait_all_terminated(&array.jobs().unwrap(), Timeout::Infinite).unwrap();
        array.reap().unwrap();
        let job = session.run_job(template("0")).unwrap();
        assert_eq!(session.jobs(None).unwrap(), [job]);
        let _second = JobSession::create(None, None).unwrap();
        assert_eq!(code(JobSession::create(None, None).map(drop)), ErrorCode::TryLater);
    });
    let roots = JobSession::create(None, None).unwrap();
    let jobs: Vec<_> = (0..4).map(|_| roots.run_job(template("0"))).collect();
    assert!(jobs.iter().all(Result::is_ok), "{jobs:?}");
}

#[test]
fn an_operator_sees_and_controls_the_jobs_of_all() {
    let site = Site::configured(|config| config.operators = vec!["root".to_owned()]);
    if !is_root() {
        return;
    }
    let _alone = MONITORING.write().unwrap();
    let roots = JobSession::create(Some("roots"), None).unwrap();
    let job = roots.run_job(template("sleep")).unwrap();
    job.wait_started(Timeout::Infinite).unwrap();
    // A client of these tests has the groups of root.
    site.of(DAEMON, |_| {
        let monitoring = MonitoringSession::open().unwrap();
        assert_eq!(monitoring.jobs(None).unwrap(), std::slice::from_ref(&job));
        assert_eq!(job.info().unwrap().session.as_deref(), Some("roots"));
        job.control(Control::Terminate).unwrap();
        job.wait_terminated(Timeout::Infinite).unwrap();
        // His jobs are his own, with no more rights than before.
        let session = JobSession::create(None, None).unwrap();
        let urgent = JobTemplate { priority: Some(1), ..template("0") };
        assert_eq!(code(session.run_job(urgent)), ErrorCode::DeniedByDrms);
        monitoring.close().unwrap();
    });
    assert_eq!(job.state().unwrap().0, JobState::Failed);
}

#[test]
fn a_lie_about_a_session_makes_no_difference() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    let roots = JobSession::create(Some("hidden"), None).unwrap();
    let row = site.bench.world.store.session(Kind::Job, "hidden", Scope::ALL).unwrap();
    let behalf = Behalf::Himself;
    site.of(NOBODY, |connection| {
        let ask = |call| connection.ask(true, call).unwrap_err().code;
        let nonce = Nonce::new();
        let template = Box::new(template("0"));
        let forged = || row.clone();
        let run = Call::RunJob { session: forged(), behalf, nonce, template, view: Default::default() };
        assert_eq!(ask(run), ErrorCode::InvalidSession);
        assert_eq!(
            ask(Call::SessionJobs { session: forged(), filter: None }),
            ErrorCode::InvalidSession
        );
        assert_eq!(ask(Call::Categories(forged())), ErrorCode::InvalidSession);
    });
    assert!(roots.jobs(None).unwrap().is_empty());
}

#[test]
fn waits_and_callbacks_go_on_over_a_lost_link() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    site.of(NOBODY, |connection| {
        let session = JobSession::create(None, None).unwrap();
        let (sender, told) = mpsc::channel();
        notify(Some(Arc::new(move |told: &_| sender.send(Clone::clone(told)).unwrap()))).unwrap();
        let job = session.run_job(template("sleep")).unwrap();
        job.wait_started(Timeout::Infinite).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                process::use_door(Door::There(Arc::clone(connection)));
                job.wait_terminated(Timeout::Infinite)
            });
            for _ in 0..3 {
                connection.break_link();
                assert_eq!(job.state().unwrap().0, JobState::Running);
            }
            connection.break_link();
            site.bench.tracker.exit(&job.id, 0);
            waiter.join().unwrap().unwrap();
        });
        let next = || {
            let told: crate::session::Notification = told.recv().unwrap();
            (told.job, told.state)
        };
        let mut last = next();
        while last.1 != JobState::Done {
            last = next();
        }
        assert_eq!(last.0, job.id);
        notify(None).unwrap();
    });
}

#[test]
fn events_of_others_say_nothing() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    let seen =
        site.of(NOBODY, |connection| i64::of(connection.ask(false, Call::Listen).unwrap()).unwrap());
    let roots = JobSession::create(None, None).unwrap();
    let job = roots.run_job(template("0")).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    site.of(NOBODY, |connection| {
        let events = connection.ask(false, Call::TakeEvents(seen)).unwrap();
        let events = Vec::<crate::store::Event>::of(events).unwrap();
        assert!(!events.is_empty());
        assert!(events.iter().all(|event| event.job.is_empty() && event.session.is_none()));
    });
}

#[test]
fn who_has_no_account_is_refused() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    site.of(NO_USER, |_| {
        let error = JobSession::create(None, None).map(drop).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("has no account"), "{error}");
    });
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let connection = Connection::new(Path::new("/no/such/broker.sock"), 0);
    let error = connection.ask(false, Call::Queues).unwrap_err();
    assert_eq!(error.code, ErrorCode::DrmCommunication);
    assert!(error.message.contains("/no/such/broker.sock"), "{error}");
}

impl Connection {
    pub(super) fn has(&self, capability: i32) -> bool {
        bool::of(self.ask(false, Call::Supports(capability)).unwrap()).unwrap()
    }
}

/// The broker's answer to these bytes: at least so much, and all that follows until the connection ends.
fn said(path: &Path, bytes: &[u8], least: usize) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).unwrap();
    // It may have ended the connection before it has read all.
    let _ = stream.write_all(bytes);
    let mut said = vec![0; least];
    stream.read_exact(&mut said).unwrap();
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn rubbish_ends_its_own_connection_and_nothing_else() {
    let site = Site::new();
    let frame = |message: &Asked| wire::frame(message, MAX_REQUEST).unwrap();
    let hello = frame(&Asked::Hello { protocol: PROTOCOL, umask: 0o22 });
    let call = |call| frame(&Asked::Call { number: 1, monitoring: false, call: Box::new(call) });
    let greeting = wire::frame(&Told::Hello { protocol: PROTOCOL }, MAX_ANSWER).unwrap();
    assert_eq!(said(&site.path, &hello, greeting.len()), greeting);
    let answered = said(&site.path, &[&hello[..], &call(Call::DrmsName)].concat(), greeting.len() + 8);
    assert!(String::from_utf8_lossy(&answered).contains("Name"));
    for bytes in [
        &b""[..],
        b"\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x09\"too short",
        b"\0\0\0\x04null",
        &call(Call::DrmsName),
        &[&hello[..], &hello].concat(),
        &[&hello[..], b"\0\0\0\x0f{\"Nonsense\":{}}"].concat(),
        &hello[..hello.len() - 1],
    ] {
        // A connection that ends may take what is to be said along.
        let said = said(&site.path, bytes, 0);
        assert!(greeting.starts_with(&said), "{}", String::from_utf8_lossy(bytes));
    }
    // One of another protocol learns which this is, and gets nothing.
    let other = frame(&Asked::Hello { protocol: PROTOCOL + 1, umask: 0 });
    let refused = said(&site.path, &[&other[..], &call(Call::DrmsName)].concat(), greeting.len() + 8);
    assert!(refused.starts_with(&greeting));
    assert!(String::from_utf8_lossy(&refused[greeting.len()..]).contains("was refused"));
    assert_eq!(said(&site.path, &hello, greeting.len()), greeting);
}
