//! A job's command runs once, whatever becomes of the calls that start it; see `common` for what is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::daemon::{Cable, Daemon, Runtime};
use common::*;
use drmaa2::model::{Control, JobState, Outcome};
use drmaa2::tracker::{Fact, JobTracker, NewJob, Withdrawn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A job that writes `ran` to a file, reports that by a FIFO, and waits at another one until it may go on.
struct Talker {
    job: NewJob,
    output: PathBuf,
    heard: File,
}

impl Talker {
    fn new(rig: &Rig, runtime: &Runtime) -> Self {
        let talk = rig.dir.path().join("talk");
        fs::create_dir(&talk).unwrap();
        for name in ["said", "heard"] {
            nix::unistd::mkfifo(&talk.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let mut template = script("echo ran; echo >/talk/said; read x </talk/heard; exit 4");
        let mount = format!("{}:/talk", talk.display());
        template.extensions.insert("containerd_jt_mounts".to_owned(), mount.as_str().into());
        let mut job = runtime.run(job(template));
        let output = rig.file("output", "", 0);
        job.stdio.output = Some(output.as_path().into());
        // With somebody who may write, nobody waits for one.
        let heard = File::options().read(true).write(true).open(talk.join("heard")).unwrap();
        Self { job, output, heard }
    }

    fn id(&self) -> &str {
        &self.job.id
    }

    /// Wait until it has run so far.
    fn has_run(&self, rig: &Rig) {
        let said = File::open(rig.dir.path().join("talk/said")).unwrap();
        assert_ne!(BufReader::new(said).read_line(&mut String::new()).unwrap(), 0);
    }

    /// Let the connection break while the daemon makes its task, and the runtime hang.
    fn is_cut_off(&self, rig: &Rig, runtime: &Runtime, cable: &Cable) {
        runtime.hold("create-before");
        rig.tracker.add_job(self.job.clone()).unwrap();
        runtime.reached("create-before");
        cable.cut();
        rig.until(|fact| matches!(fact, Fact::NotStarted { id, .. } if id == self.id()));
    }

    fn go_on(&self) {
        (&self.heard).write_all(b"\n").unwrap();
    }

    /// Its outcome, if it is started again whenever that may help, as a session does it.
    fn outcome(&self, rig: &Rig) -> Outcome {
        loop {
            let ours =
                |fact: &Fact| fact.id() == Some(self.id()) && !matches!(fact, Fact::Started { .. });
            let facts = rig.until(|fact| ours(fact) || *fact == Fact::Live);
            match facts.last() {
                Some(Fact::Ended { outcome, .. }) => return outcome.clone(),
                Some(Fact::NotStarted { .. }) => rig.tracker.add_job(self.job.clone()).unwrap(),
                // An event that was missed is found by looking.
                Some(Fact::Live) => match rig.tracker.job_info(self.id()) {
                    Ok(info) if info.state.is_terminated() => return info.outcome(),
                    _ => {}
                },
                other => panic!("{other:?}"),
            }
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }
}

/// PID 1 of a container, also before the runtime has started it.
struct Init {
    pid: i32,
    end: OwnedFd,
}

impl Init {
    fn of(container: &str) -> Self {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let is_in = |dir: &Path| {
            let text = fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
            text.lines().any(|line| line.ends_with(&format!("/{container}")))
        };
        let pids = processes.filter(|entry| is_in(&entry.path()));
        // The first of a container has the lowest number in it.
        let is_first = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
        };
        let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let pid = pids.find(is_first).expect("an init");
        // SAFETY: the descriptor is new.
        let end = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            OwnedFd::from_raw_fd(i32::try_from(fd).unwrap())
        };
        Self { pid, end }
    }

    fn kill(&self) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::SIGKILL).unwrap();
    }

    fn until_ended(&self) {
        let mut ends = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(LONG).unwrap();
        assert_eq!(poll(&mut ends, patience).unwrap(), 1, "init has not ended");
    }
}

fn kill(pids: &[u32]) {
    for pid in pids {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(*pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
    }
}

/// The daemon dies after the command has begun and before it could say so. When it is back it knows of no
/// task any more, as containerd from 1.7 on does for one that has ended meanwhile.
#[test]
fn a_job_that_ended_while_the_daemon_was_down_has_run() {
    let Some(daemon) = Daemon::start() else { return };
    let runtime = Runtime::new("runc");
    let Some(rig) = daemon.rig() else { return };
    let talker = Talker::new(&rig, &runtime);
    runtime.hold("start-after");
    rig.tracker.add_job(talker.job.clone()).unwrap();
    runtime.reached("start-after");
    talker.has_run(&rig);
    let init = Init::of(talker.id());
    daemon.tell("kill");
    talker.go_on();
    init.until_ended();
    kill(&daemon.shims());
    daemon.tell("start");
    let outcome = talker.outcome(&rig);
    assert_eq!((talker.output().as_str(), outcome.exit_status), ("ran\n", Some(4)), "{outcome:?}");
    rig.delete(talker.id());
    runtime.release("start-after");
}

/// Somebody who looks sees the end of a job before the runtime has said that it started.
#[test]
fn a_job_that_ends_before_its_start_is_answered_can_be_deleted() {
    let Some(rig) = rig() else { return };
    let runtime = Runtime::new("runc");
    let talker = Talker::new(&rig, &runtime);
    runtime.hold("start-after");
    rig.tracker.add_job(talker.job.clone()).unwrap();
    runtime.reached("start-after");
    talker.has_run(&rig);
    let init = Init::of(talker.id());
    talker.go_on();
    init.until_ended();
    rig.tracker.delete_job(talker.id()).unwrap();
    runtime.release("start-after");
    let facts = rig.until(|fact| matches!(fact, Fact::Deleted { id } if id == talker.id()));
    assert_eq!((talker.output().as_str(), rig.traces(talker.id())), ("ran\n", vec![]), "{facts:?}");
}

/// The same, and nobody could write down how it ended.
#[test]
fn a_job_that_was_killed_while_the_daemon_was_down_is_lost() {
    let Some(daemon) = Daemon::start() else { return };
    let runtime = Runtime::new("runc");
    let Some(rig) = daemon.rig() else { return };
    let talker = Talker::new(&rig, &runtime);
    runtime.hold("start-after");
    rig.tracker.add_job(talker.job.clone()).unwrap();
    runtime.reached("start-after");
    talker.has_run(&rig);
    let init = Init::of(talker.id());
    daemon.tell("kill");
    kill(&daemon.shims());
    init.kill();
    init.until_ended();
    daemon.tell("start");
    let outcome = talker.outcome(&rig);
    assert_eq!((talker.output().as_str(), outcome.lost), ("ran\n", true), "{outcome:?}");
    assert_eq!((outcome.state(), outcome.exit_status), (JobState::Failed, None));
    rig.delete(talker.id());
    runtime.release("start-after");
}

/// The start is carried out by a runtime that nobody waits for any more, after the job was started anew.
#[test]
fn a_start_that_is_late_runs_nothing() {
    let Some(daemon) = Daemon::start() else { return };
    let runtime = Runtime::new("runc");
    let Some(rig) = daemon.rig() else { return };
    let talker = Talker::new(&rig, &runtime);
    ["start-before", "start-after"].iter().for_each(|point| runtime.hold(point));
    rig.tracker.add_job(talker.job.clone()).unwrap();
    runtime.reached("start-before");
    let late = Init::of(talker.id());
    // No other process may remove it sooner.
    let removal = ["kill-before", "delete-before"];
    removal.iter().for_each(|point| runtime.hold(point));
    daemon.tell("kill");
    daemon.tell("start");
    let facts = rig.until(|fact| matches!(fact, Fact::NotStarted { id, .. } if id == talker.id()));
    runtime.release("start-before");
    runtime.reached("start-after");
    late.until_ended();
    assert_eq!(talker.output(), "", "{facts:?}");
    runtime.release("start-after");
    removal.iter().for_each(|point| runtime.release(point));
    rig.tracker.add_job(talker.job.clone()).unwrap();
    talker.has_run(&rig);
    talker.go_on();
    let outcome = talker.outcome(&rig);
    assert_eq!((talker.output().as_str(), outcome.exit_status), ("ran\n", Some(4)), "{outcome:?}");
    rig.delete_kept(talker.id());
    rig.until_swept();
    assert_eq!(daemon.list("containers"), Vec::<String>::new());
}

/// The connection breaks while the daemon makes a task, and the runtime hangs.
#[test]
fn a_container_whose_making_was_cut_off_keeps_no_job_from_starting() {
    let Some(daemon) = Daemon::start() else { return };
    let (runtime, cable) = (Runtime::new("runc"), Cable::to(&daemon));
    let Some(rig) = daemon.rig_at(cable.path()) else { return };
    let talker = Talker::new(&rig, &runtime);
    talker.is_cut_off(&rig, &runtime, &cable);
    rig.tracker.add_job(talker.job.clone()).unwrap();
    talker.has_run(&rig);
    let info = rig.tracker.job_info(talker.id()).unwrap();
    let second = format!("{}_2", talker.id());
    assert_eq!((info.state, info.container.as_deref()), (JobState::Running, Some(second.as_str())));
    assert_eq!(rig.tracker.list_jobs().unwrap(), [talker.id()]);
    talker.go_on();
    let outcome = talker.outcome(&rig);
    assert_eq!((talker.output().as_str(), outcome.exit_status), ("ran\n", Some(4)), "{outcome:?}");
    rig.delete_kept(talker.id());
    runtime.release("create-before");
    rig.until_swept();
    assert_eq!(daemon.list("containers"), Vec::<String>::new());
    assert_eq!(daemon.shims(), Vec::<u32>::new());
}

/// The daemon gives up on a shim whose runtime hangs, and may leave the directory of its task.
#[test]
fn a_shim_that_the_daemon_has_forgotten_is_ended() {
    let Some(daemon) = Daemon::start() else { return };
    let bundles = daemon.dir.path().join("state/io.containerd.runtime.v2.task/once");
    for is_left in [false, true] {
        let (runtime, cable) = (Runtime::new("runc"), Cable::to(&daemon));
        let Some(rig) = daemon.rig_at(cable.path()) else { return };
        let talker = Talker::new(&rig, &runtime);
        talker.is_cut_off(&rig, &runtime, &cable);
        let bundle = bundles.join(talker.id());
        until_gone_from(&bundles, || !bundle.exists());
        if is_left {
            fs::create_dir_all(bundle.join("rootfs")).unwrap();
        }
        runtime.release("create-before");
        rig.until_swept();
        assert_eq!(daemon.list("containers"), Vec::<String>::new());
        assert_eq!((daemon.shims(), talker.output().as_str()), (vec![], ""), "{is_left}");
    }
}

/// A container that takes longer than a launch keeps its turn is not waited for any more.
#[test]
fn a_job_whose_container_is_not_made_in_time_can_be_ended_and_held() {
    let Some(daemon) = Daemon::start() else { return };
    let Some(rig) = daemon.rig() else { return };
    let runtimes = [Runtime::new("runc"), Runtime::new("runc")];
    let jobs = runtimes.each_ref().map(|runtime| runtime.run(job(script("exit 4"))));
    for (job, runtime) in jobs.iter().zip(&runtimes) {
        runtime.hold("create-before");
        rig.tracker.add_job(job.clone()).unwrap();
        runtime.reached("create-before");
    }
    let [ended, held] = jobs.each_ref().map(|job| job.id.as_str());
    rig.tracker.job_control(ended, Control::Terminate).unwrap();
    assert_eq!(rig.tracker.withdraw(held).unwrap(), Withdrawn::Nothing);
    let mut left = BTreeSet::from([ended, held]);
    while !left.is_empty() {
        match rig.until(|fact| fact.id().is_some_and(|id| left.contains(id))).last() {
            Some(Fact::Ended { id, outcome }) => {
                assert_eq!((id.as_str(), outcome.exit_status), (ended, None), "{outcome:?}");
                left.remove(ended);
            }
            Some(Fact::Withdrawn { id }) => {
                assert_eq!(id, held);
                left.remove(held);
            }
            Some(Fact::Progress { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    runtimes.iter().for_each(|runtime| runtime.release("create-before"));
    // The deletion of what the daemon has given up takes some tries, as a session makes them.
    for id in [ended, held] {
        let is_answer = |fact: &Fact| matches!(fact, Fact::Deleted { id: of } | Fact::NotDeleted { id: of, .. } if of == id);
        let is_deleted = || {
            rig.tracker.delete_job(id).unwrap();
            matches!(rig.until(is_answer).last(), Some(Fact::Deleted { .. }))
        };
        assert!((0..20).any(|_| is_deleted()), "{id}");
    }
    assert_eq!((daemon.list("containers"), daemon.shims()), (Vec::<String>::new(), Vec::<u32>::new()));
}

/// The runtime and the daemon can say that an id is in use without having a container of that id.
#[test]
fn an_id_that_is_in_use_is_not_the_end_of_a_job() {
    let Some(daemon) = Daemon::start() else { return };
    let runtime = Runtime::new("runc");
    let Some(rig) = daemon.rig() else { return };
    let state = Path::new("/run/containerd/runc/once");
    let bundles = daemon.dir.path().join("state/io.containerd.runtime.v2.task/once");
    for place in [state, &bundles] {
        let job = runtime.run(job(script("exit 4")));
        fs::create_dir_all(place.join(&job.id)).unwrap();
        assert_eq!(rig.run(job.clone()).exit_status, Some(4), "{place:?}");
        rig.until_swept();
        let _ = fs::remove_dir_all(place.join(&job.id));
    }
}

/// A job with a device that brings a hook which fails, after it has said why.
fn hooked(rig: &Rig, name: &str) -> NewJob {
    let place = rig.dir.path().join("cdi");
    let hook = rig.dir.path().join("hook");
    fs::write(&hook, "#!/bin/sh\necho no such luck >&2\nexit 3\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let (path, args) = match name {
        // Those of the container are programs of its image.
        "startContainer" => ("/bin/sh", r#"["sh", "-c", "echo no such luck >&2; exit 3"]"#),
        _ => (hook.to_str().unwrap(), r#"["hook"]"#),
    };
    let kind = name.to_lowercase();
    let text = format!(
        r#"{{"cdiVersion": "0.6.0", "kind": "test.example/{kind}", "devices": [{{"name": "x", "containerEdits":
            {{"hooks": [{{"hookName": "{name}", "path": "{path}", "args": {args}}}]}}}}]}}"#
    );
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(format!("{kind}.json")), text).unwrap();
    let mut template = script("echo ran");
    let device = format!("test.example/{kind}=x");
    template.extensions.insert("containerd_jt_devices".to_owned(), device.as_str().into());
    let settings = resolved_with(&template, |settings| settings.cdi_dirs = vec![place]);
    NewJob { settings, ..job(template) }
}

#[test]
fn a_hook_that_fails_is_told_as_such() {
    let Some(rig) = rig() else { return };
    for name in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let (outcome, output) = rig.output(hooked(&rig, name));
        let reason = outcome.reason.as_deref().unwrap();
        assert!(reason.contains("hook") && reason.contains("no such luck"), "{name}: {outcome:?}");
        assert_eq!(
            (outcome.state(), outcome.exit_status, outcome.signal),
            (JobState::Failed, None, None)
        );
        assert_eq!((output.as_str(), outcome.lost), ("", false), "{name}");
    }
}

fn without_init(rig: &Rig, runtime: &Runtime) -> Talker {
    let mut talker = Talker::new(rig, runtime);
    talker.job.template.extensions.insert("containerd_jt_init".to_owned(), "off".into());
    talker
}

/// A process that was stopped while it made a job ready goes on when another one has started the job.
#[test]
fn a_process_that_comes_late_leaves_the_attempt_of_another_alone() {
    let Some(rig) = rig() else { return };
    let Some(other) = rig_elsewhere(|settings| settings.jobs_dir = rig.settings.jobs_dir.clone()) else {
        return;
    };
    let (fails, works) = (Runtime::new("false"), Runtime::new("runc"));
    let talker = without_init(&rig, &works);
    fails.hold("create-before");
    rig.tracker.prepare_job(fails.run(talker.job.clone())).unwrap();
    fails.reached("create-before");
    other.tracker.add_job(talker.job.clone()).unwrap();
    talker.has_run(&rig);
    fails.release("create-before");
    rig.until(|fact| matches!(fact, Fact::NotPrepared { id, .. } if id == talker.id()));
    talker.go_on();
    let outcome = talker.outcome(&other);
    assert_eq!((talker.output().as_str(), outcome.exit_status), ("ran\n", Some(4)), "{outcome:?}");
    other.delete_kept(talker.id());
    rig.until_swept();
}

/// The same, when nothing is left of that job any more: no attempt is begun anew.
#[test]
fn a_process_that_comes_late_makes_nothing_of_a_job_that_is_over() {
    let Some(rig) = rig() else { return };
    let Some(other) = rig_elsewhere(|settings| settings.jobs_dir = rig.settings.jobs_dir.clone()) else {
        return;
    };
    // The answer of a runtime if an earlier attempt is in the way: the next one is not.
    let program = rig.dir.path().join("refuses");
    let text = r#"#!/bin/sh
mkdir "$0.once" 2>/dev/null || exec runc "$@"
while [ "$1" != --log ]; do [ $# -gt 0 ] || exit 1; shift; done
echo '{"level":"error","msg":"container with given ID already exists"}' >>"$2"
exit 1
"#;
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (refuses, works) = (Runtime::new(program.to_str().unwrap()), Runtime::new("runc"));
    let talker = Talker::new(&rig, &works);
    refuses.hold("create-before");
    rig.tracker.prepare_job(refuses.run(talker.job.clone())).unwrap();
    refuses.reached("create-before");
    other.tracker.add_job(talker.job.clone()).unwrap();
    talker.has_run(&rig);
    talker.go_on();
    let outcome = talker.outcome(&other);
    other.delete_kept(talker.id());
    refuses.release("create-before");
    rig.until(|fact| matches!(fact, Fact::NotPrepared { id, .. } if id == talker.id()));
    assert_eq!((talker.output().as_str(), outcome.exit_status), ("ran\n", Some(4)), "{outcome:?}");
    rig.until_swept();
    assert_eq!(rig.traces(talker.id()), Vec::<&str>::new());
}

/// A job without an init leaves no record, and no fence of its own.
#[test]
fn a_job_without_init_that_may_have_run_is_lost() {
    let Some(daemon) = Daemon::start() else { return };
    let runtime = Runtime::new("runc");
    let Some(rig) = daemon.rig() else { return };
    let talker = without_init(&rig, &runtime);
    runtime.hold("start-after");
    rig.tracker.add_job(talker.job.clone()).unwrap();
    runtime.reached("start-after");
    talker.has_run(&rig);
    let pid_1 = Init::of(talker.id());
    daemon.tell("kill");
    talker.go_on();
    pid_1.until_ended();
    kill(&daemon.shims());
    daemon.tell("start");
    let outcome = talker.outcome(&rig);
    assert_eq!((talker.output().as_str(), outcome.lost), ("ran\n", true), "{outcome:?}");
    rig.delete(talker.id());
    runtime.release("start-after");
}

/// Its shim may believe that it was never started.
#[test]
fn a_job_without_init_that_runs_is_found_running() {
    let Some(daemon) = Daemon::start() else { return };
    let runtime = Runtime::new("runc");
    let Some(rig) = daemon.rig() else { return };
    let talker = without_init(&rig, &runtime);
    runtime.hold("start-after");
    rig.tracker.add_job(talker.job.clone()).unwrap();
    runtime.reached("start-after");
    talker.has_run(&rig);
    daemon.tell("kill");
    daemon.tell("start");
    rig.until_started(talker.id());
    talker.go_on();
    let outcome = talker.outcome(&rig);
    assert_eq!((talker.output().as_str(), outcome.exit_status), ("ran\n", Some(4)), "{outcome:?}");
    rig.delete(talker.id());
    runtime.release("start-after");
}
