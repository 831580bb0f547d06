//! Starting a program must not be noticed by its host. In a process of its own, because what is
//! looked at, children and signals, belongs to the process.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use drmaa2::agent::{self, Lock};
use drmaa2::model::{Error, ErrorCode};
use drmaa2::spawn::{Handed, Streams, spawn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// The tests count children and signals of the process: one at a time.
static ALONE: Mutex<()> = Mutex::new(());
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

fn count_signals() {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler adds to an atomic number and nothing else.
    unsafe { sigaction(Signal::SIGCHLD, &action) }.unwrap();
    SIGNALS.store(0, Ordering::SeqCst);
}

/// A program on the other end of a connection.
struct Started(UnixStream);

impl Started {
    /// It tells its pid and session, then waits to be let go.
    fn shell() -> Self {
        let script = "read -r pid _ _ _ _ session _ </proc/$$/stat; \
                      printf '%s %s %s\\n' $$ $session \"$GREETING\" >&3; read -r word <&3; exit 3";
        Self::script(script)
    }

    fn script(script: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let arguments = ["sh", "-c", script].map(OsStr::new);
        let variables = [(OsString::from("GREETING"), OsString::from("hello there"))];
        spawn(Path::new("/bin/sh"), &arguments, &variables, Handed::Descriptor(theirs.as_fd())).unwrap();
        Self(ours)
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.0.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Let it go; returns when no process has its end of the connection any more.
    fn end(mut self) -> String {
        self.0.write_all(b"go\n").unwrap();
        self.rest()
    }

    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

fn assert_no_children() {
    let any = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL));
    assert_eq!(any, Err(Errno::ECHILD));
}

/// The number of processes in a session.
fn members(session: &str) -> usize {
    let stats = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("stat")).ok());
    stats
        .filter(|stat| {
            let (_, fields) = stat.rsplit_once(')').unwrap();
            fields.split_ascii_whitespace().nth(3) == Some(session)
        })
        .count()
}

#[test]
fn one_orphan_is_left_in_a_session_of_its_own_and_the_host_notices_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    count_signals();
    let mut started = Started::shell();
    let line = started.line();
    let mut words = line.splitn(3, ' ');
    let (pid, session) = (words.next().unwrap(), words.next().unwrap());
    assert_eq!(words.next(), Some("hello there"));
    assert_ne!(session, pid, "it leads no session, so it gets no terminal");
    assert_eq!(members(session), 1);
    assert_no_children();
    assert_eq!(started.end(), "");
    assert_eq!(SIGNALS.load(Ordering::SeqCst), 0);
    // The counter does count.
    Command::new("/bin/true").status().unwrap();
    assert_eq!(SIGNALS.load(Ordering::SeqCst), 1);
}

/// The output of a shell script, as this user. It has to read its input, which ends once the program has
/// been looked at: one that has ended cannot be stood for.
fn said(script: &str, user: Option<(u32, u32)>) -> String {
    let (mut ours, output) = std::io::pipe().unwrap();
    let (input, mut question) = std::io::pipe().unwrap();
    question.write_all(b"a question\n").unwrap();
    let nowhere = fs::File::options().write(true).open("/dev/null").unwrap();
    let streams = Streams {
        input: input.as_fd(),
        output: output.as_fd(),
        errors: nowhere.as_fd(),
        lifeline: None,
        user,
    };
    let arguments = ["sh", "-c", script].map(OsStr::new);
    let path = [(OsString::from("PATH"), OsString::from("/usr/bin:/bin"))];
    let process =
        spawn(Path::new("/bin/sh"), &arguments, &path, Handed::Streams(streams)).unwrap().unwrap();
    drop((output, question));
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    let mut end = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut end, 10_000_u16), Ok(1), "it stands for the program");
    text
}

#[test]
fn a_program_speaks_on_its_streams_as_the_user_that_is_meant_and_the_host_notices_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    count_signals();
    assert_eq!(said("echo no >&2; cat; ls /proc/self/fd | wc -w", None), "a question\n4\n");
    let script = "cat; echo $(id -u) $(id -g) $(id -G) $PWD; grep SigBlk /proc/self/status";
    let blocked = "SigBlk:\t0000000000000000\n";
    if nix::unistd::geteuid().is_root() {
        assert_eq!(
            said(script, Some((65534, 65533))),
            format!("a question\n65534 65533 65533 /\n{blocked}")
        );
    }
    let own = std::env::current_dir().unwrap();
    assert!(said(script, None).ends_with(&format!(" {}\n{blocked}", own.display())));
    assert_no_children();
    assert_eq!(SIGNALS.load(Ordering::SeqCst), 0);
    assert_eq!(nix::unistd::geteuid(), nix::unistd::getuid(), "the host is who it was");
}

#[test]
fn several_threads_may_start_programs_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    count_signals();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut started = Started::shell();
                    assert!(started.line().ends_with("hello there"));
                    assert_eq!(started.end(), "");
                }
            });
        }
    });
    assert_no_children();
    assert_eq!(SIGNALS.load(Ordering::SeqCst), 0);
}

#[test]
fn a_program_that_cannot_be_executed_is_an_error() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    for (program, errno) in [("/no/such/program", Errno::ENOENT), ("/etc/passwd", Errno::EACCES)] {
        let error =
            spawn(Path::new(program), &[OsStr::new("x")], &[], Handed::Descriptor(theirs.as_fd()))
                .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno as i32), "{program}: {error}");
    }
    assert_no_children();
    drop(theirs);
    let mut rest = String::new();
    ours.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "no process is left that has the connection");
}

#[test]
fn the_callers_signal_mask_stays_and_the_program_starts_with_all_blocked() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut mask = SigSet::thread_get_mask().unwrap();
    mask.add(Signal::SIGUSR2);
    mask.thread_set_mask().unwrap();
    let blocked =
        Started::script("while read -r line; do echo \"$line\"; done </proc/$$/status >&3").rest();
    assert_eq!(SigSet::thread_get_mask().unwrap(), mask);
    let line = blocked.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    let bits = u64::from_str_radix(line.trim(), 16).unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2] {
        assert_ne!(bits & 1 << (signal as u32 - 1), 0, "{signal} can interrupt the start");
    }
}

#[test]
fn what_the_host_ignores_the_program_does_not() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    let ignored = [Signal::SIGCHLD, Signal::SIGPIPE];
    // SAFETY: no handler is installed.
    let before = ignored.map(|signal| unsafe { sigaction(signal, &ignore) }.unwrap());
    let status =
        Started::script("while read -r line; do echo \"$line\"; done </proc/$$/status >&3").rest();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    for (signal, before) in ignored.iter().zip(&before) {
        // SAFETY: as it was, which counts or ignores.
        unsafe { sigaction(*signal, before) }.unwrap();
    }
    let bits = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(bits(&status), 0);
    assert_ne!(bits(&own), 0, "the host's own stay as they are");
}

#[test]
fn an_agent_that_cannot_be_started_is_an_error_and_leaves_the_lock_free() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let error = agent::ensure(dir.path(), || Ok("/no/such/drmaa2d".into())).unwrap_err();
    assert_eq!(error.code, ErrorCode::Internal);
    assert!(error.message.contains("/no/such/drmaa2d"), "{error}");
    assert!(error.message.contains("No such file"), "{error}");
    let error = agent::ensure(dir.path(), || Err(Error::internal("not found"))).unwrap_err();
    assert_eq!(error.message, "not found");
    assert!(Lock::try_take(dir.path()).unwrap().is_some());
}

#[test]
fn nothing_is_started_where_an_agent_is() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let _agent = Lock::try_take(dir.path()).unwrap().unwrap();
    agent::ensure(dir.path(), || panic!("an agent is looked for")).unwrap();
}

#[test]
fn the_lock_passes_to_the_agent_that_is_started() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("agent");
    let told = dir.path().join("told");
    let script = format!(
        "#!/bin/sh\necho \"$@\" \"$DRMAA2_STATE_DIR\" >>{told}\nexec flock -u 3\n",
        told = told.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    for _ in 0..2 {
        agent::ensure(dir.path(), || Ok(program.clone())).unwrap();
        // It is the agent's until that lets go of it, and then anybody's.
        drop(Lock::wait(dir.path()).unwrap());
    }
    let line = format!("--lock-fd 3 {}\n", dir.path().display());
    assert_eq!(fs::read_to_string(&told).unwrap(), line.repeat(2));
}
