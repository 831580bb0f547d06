//! The life of a running job: pass signals on, reap, end it when asked to, leave nothing behind.

use std::io;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use drmaa2_init::is_marked;
use libc::{c_int, pid_t};

use crate::limit::Limits;
use crate::signals::Signals;

/// How the command ended.
pub(crate) struct End {
    /// Its wait status.
    pub(crate) status: c_int,
    /// What the status does not tell: that the command ended because it was asked to, and why.
    pub(crate) reason: Option<Reason>,
}

/// Why a command ended, or was not started.
pub(crate) struct Reason {
    /// For people.
    pub(crate) text: String,
    /// Nobody has asked for the end, see [`drmaa2_init::Record::interrupted`].
    pub(crate) interrupted: bool,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, interrupted: false }
    }
}

/// The file in which a request to end is noted before its signal is sent.
pub(crate) struct Request<'a> {
    pub(crate) file: &'a Path,
    /// Is any signal a request once the file is there? What is done at the end of a job goes on after the
    /// request that brought the end, so then it is not.
    pub(crate) any_signal: bool,
}

impl Request<'_> {
    fn is_noted(&self) -> bool {
        is_marked(self.file)
    }
}

/// Why a command ended that got a signal to end, and of a request there is no file.
const UNASKED: &str = "ended by a signal that nobody asked for: the machine went down, or its container \
                       was signalled from outside";

/// Look after the job until its command has ended and all its other processes are gone too.
///
/// A request to end is SIGTERM, the stop signal itself, or any signal once the file is there. It is passed
/// on once; asking again does not prolong the grace. A limit that comes first is such a request. Without
/// the file the signal was no request: a machine that goes down sends one to every process.
pub(crate) fn supervise(
    command: pid_t,
    signals: &Signals,
    stop: c_int,
    grace: u64,
    request: &Request<'_>,
    limits: &Limits,
) -> End {
    let (mut asked, mut killed) = (false, false);
    let mut deadline = limits.next_look();
    let mut exceeded = None;
    let status = loop {
        let signal = signals.next(deadline);
        // Before the signal is looked at: a command that ended by itself was not asked to.
        if let Some(status) = reap(command) {
            break status;
        }
        match signal {
            None if asked => {
                kill_all();
                killed = true;
                deadline = None;
                continue;
            }
            None => {
                exceeded = limits.exceeded();
                if exceeded.is_none() {
                    deadline = limits.next_look();
                    continue;
                }
            }
            Some(libc::SIGCHLD) => continue,
            Some(signal)
                if signal == libc::SIGTERM
                    || signal == stop
                    || (request.any_signal && request.is_noted()) => {}
            Some(signal) => {
                kill(command, signal);
                continue;
            }
        }
        if !asked {
            ask_to_end(command, stop);
            asked = true;
            // A grace beyond the end of time has no end.
            deadline = Instant::now().checked_add(Duration::from_millis(grace));
        }
    };
    kill_all();
    reap_all();
    let killed = killed && libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
    // At the end: a request may come after a signal that was none has begun the end.
    let interrupted = asked && exceeded.is_none() && !request.is_noted();
    let cause = if interrupted { Some(UNASKED.to_owned()) } else { exceeded };
    let text = match (cause, killed) {
        _ if !asked => None,
        (None, false) => Some("terminated on request".to_owned()),
        (None, true) => Some(overdue(stop, grace)),
        (Some(cause), false) => Some(cause),
        (Some(cause), true) => Some(format!("{cause}; {}", overdue(stop, grace))),
    };
    End { status, reason: text.map(|text| Reason { text, interrupted }) }
}

/// Why a job that was asked to end had to be killed.
fn overdue(stop: c_int, grace: u64) -> String {
    let seconds = Duration::from_millis(grace).as_secs_f64();
    let signal = match stop {
        libc::SIGTERM => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    };
    format!("did not end within {seconds} s of {signal}; killed")
}

/// Send the stop signal to the command's whole process group, and wake what is stopped in it: a
/// stopped process could not act on the signal.
fn ask_to_end(command: pid_t, stop: c_int) {
    for signal in [stop, libc::SIGCONT] {
        // A child that is not yet the leader of its group takes the signal alone.
        if !kill(-command, signal) {
            kill(command, signal);
        }
    }
}

/// Reap what has ended; the command's status if it is among them.
fn reap(command: pid_t) -> Option<c_int> {
    loop {
        let mut status = 0;
        // SAFETY: the status is valid for writes.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
            pid if pid == command => return Some(status),
            pid if pid <= 0 => return None,
            _orphan => {}
        }
    }
}

/// Wait for every process that is left, so that its resource usage is counted.
fn reap_all() {
    // SAFETY: a null status is allowed and nothing is written.
    while unsafe { libc::waitpid(-1, ptr::null_mut(), 0) } > 0
        || io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Kill every process of the container.
fn kill_all() {
    // Outside a container of its own this would be every process of the machine.
    if std::process::id() == 1 {
        kill(-1, libc::SIGKILL);
    }
}

/// Send a signal; false if there is nobody to take it.
fn kill(pid: pid_t, signal: c_int) -> bool {
    // SAFETY: takes and returns plain numbers.
    unsafe { libc::kill(pid, signal) == 0 }
}
