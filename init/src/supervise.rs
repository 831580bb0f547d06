//! The life of a running job: pass signals on, reap, end it when asked to, leave nothing behind.

use std::fs;
use std::io;
use std::path::Path;
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
    /// The end of processes that outlived a command that ended by itself, if they had to be asked to end.
    pub(crate) remark: Option<String>,
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

/// How much time processes get to end.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// By themselves, for those that outlive the command.
    pub(crate) linger: Duration,
    /// Once they were asked to.
    pub(crate) grace: Duration,
}

/// Look after the job until its command has ended and all its other processes are gone too.
///
/// A request to end is SIGTERM, the stop signal itself, or any signal once the file is there. It is passed
/// on once; asking again does not prolong the grace. A limit that comes first is such a request. Without
/// the file the signal was no request: a machine that goes down sends one to every process.
///
/// Others may outlive a command that ended by itself for a while, and are then asked to end.
pub(crate) fn supervise(
    command: pid_t,
    signals: &Signals,
    stop: c_int,
    patience: Patience,
    request: &Request<'_>,
    limits: &Limits,
) -> End {
    let mut job = Job::new(command, stop, patience);
    loop {
        let signal = signals.next(job.next_look(limits));
        // Before the signal is looked at: a command that ended by itself was not asked to.
        let any_left = job.reap();
        if let (Some(status), false) = (job.status, any_left) {
            return job.end(status, request.is_noted());
        }
        match signal {
            None => job.look(limits),
            Some(libc::SIGCHLD) => {}
            Some(signal)
                if signal == libc::SIGTERM
                    || signal == stop
                    || (request.any_signal && request.is_noted()) =>
            {
                job.ask();
            }
            Some(signal) if job.status.is_none() => drop(kill(command, signal)),
            Some(_) => {}
        }
    }
}

/// A job that is looked after.
struct Job {
    command: pid_t,
    stop: c_int,
    patience: Patience,
    phase: Phase,
    /// When the phase ends, if it does.
    until: Option<Instant>,
    /// The command's wait status, once it has ended.
    status: Option<c_int>,
    /// The job was asked to end.
    asked: bool,
    /// The limit for which it was.
    exceeded: Option<String>,
    /// Processes that outlived the command have had their time, and were asked to end.
    outstayed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command runs.
    Runs,
    /// It has ended by itself, and others have not.
    Lingers,
    /// All that is left was asked to end.
    Ends,
    /// Everything was killed, the command too if it was left.
    Killed { command: bool },
}

impl Job {
    fn new(command: pid_t, stop: c_int, patience: Patience) -> Self {
        let (phase, until, status, exceeded) = (Phase::Runs, None, None, None);
        Self { command, stop, patience, phase, until, status, asked: false, exceeded, outstayed: false }
    }

    fn next_look(&self, limits: &Limits) -> Option<Instant> {
        let limited = matches!(self.phase, Phase::Runs | Phase::Lingers);
        let limit = limited.then(|| limits.next_look()).flatten();
        self.until.into_iter().chain(limit).min()
    }

    /// Reap what has ended. False if nothing is left.
    fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: the status is valid for writes.
            match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
                pid if pid == self.command => self.outlived(status),
                0 => return true,
                -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                -1 => return false,
                _orphan => {}
            }
        }
    }

    /// The command has ended; others may be left.
    fn outlived(&mut self, status: c_int) {
        self.status = Some(status);
        match self.phase {
            Phase::Runs => self.begin(Phase::Lingers, self.patience.linger),
            // Its process group was asked already.
            Phase::Ends => outside(self.command).for_each(|pid| _ = ask_to_end(pid, self.stop)),
            Phase::Lingers | Phase::Killed { .. } => {}
        }
    }

    /// A phase of this length; one beyond the end of time has no end.
    fn begin(&mut self, phase: Phase, length: Duration) {
        (self.phase, self.until) = (phase, Instant::now().checked_add(length));
    }

    /// The job is to end.
    fn ask(&mut self) {
        let grace = self.patience.grace;
        match self.phase {
            // A child that is not yet the leader of its group takes the signal alone.
            Phase::Runs if !ask_to_end(-self.command, self.stop) => {
                ask_to_end(self.command, self.stop);
            }
            Phase::Runs => {}
            Phase::Lingers => _ = ask_to_end(ALL, self.stop),
            // Once; but from now on it is more than the end of what outlived the command.
            Phase::Ends | Phase::Killed { .. } => {
                self.asked = true;
                return;
            }
        }
        self.asked = true;
        self.begin(Phase::Ends, grace);
    }

    /// Nothing has happened until it was time to look.
    fn look(&mut self, limits: &Limits) {
        match self.phase {
            Phase::Runs | Phase::Lingers => {
                self.exceeded = limits.exceeded();
                if self.exceeded.is_some() {
                    self.ask();
                } else if self.until.is_some_and(|until| until <= Instant::now()) {
                    self.outstayed = true;
                    ask_to_end(ALL, self.stop);
                    self.begin(Phase::Ends, self.patience.grace);
                }
            }
            Phase::Ends => {
                kill_all();
                (self.phase, self.until) = (Phase::Killed { command: self.status.is_none() }, None);
            }
            Phase::Killed { .. } => {}
        }
    }

    /// Nothing is left of it. Whether a request was noted counts as of now: it may come after a signal that was
    /// none has begun the end.
    fn end(self, status: c_int, noted: bool) -> End {
        let Patience { linger, grace } = self.patience;
        let overdue = format!("did not end within {} s of {}; killed", seconds(grace), name(self.stop));
        let by_kill = self.phase == Phase::Killed { command: true }
            && libc::WIFSIGNALED(status)
            && libc::WTERMSIG(status) == libc::SIGKILL;
        let killed = match self.phase {
            _ if by_kill => Some(overdue),
            // The remark names them before.
            Phase::Killed { command: false } if self.outstayed && !self.asked => {
                Some(format!("they {overdue}"))
            }
            Phase::Killed { command: false } => Some(format!("{OUTLIVED} {overdue}")),
            _ => None,
        };
        if !self.asked {
            let asked = format!("{OUTLIVED} were asked to end after {} s", seconds(linger));
            return End {
                status,
                reason: None,
                remark: joined([self.outstayed.then_some(asked), killed]),
            };
        }
        let interrupted = self.exceeded.is_none() && !noted;
        let requested = (!by_kill).then(|| "terminated on request".to_owned());
        let cause = if interrupted { Some(UNASKED.to_owned()) } else { self.exceeded.or(requested) };
        let text = joined([cause, killed]).unwrap_or_default();
        End { status, reason: Some(Reason { text, interrupted }), remark: None }
    }
}

const OUTLIVED: &str = "processes that outlived the command";

/// Two texts in one, as far as there are any.
fn joined(texts: [Option<String>; 2]) -> Option<String> {
    let texts: Vec<String> = texts.into_iter().flatten().collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

fn name(signal: c_int) -> String {
    match signal {
        libc::SIGTERM => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    }
}

/// Every process of the container but this one, as kill(2) takes it.
const ALL: pid_t = -1;

/// Send the stop signal to a process or a group, and wake what is stopped there: a stopped process could not act on
/// the signal. False if there is nobody to take it.
fn ask_to_end(whom: pid_t, stop: c_int) -> bool {
    // Outside a container of its own, ALL would be every process of the machine.
    (whom != ALL || std::process::id() == 1) && kill(whom, stop) && kill(whom, libc::SIGCONT)
}

/// The processes of the container that are not in this process group.
fn outside(group: pid_t) -> impl Iterator<Item = pid_t> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(move |pid: &pid_t| {
        // SAFETY: takes and returns plain numbers.
        *pid != 1 && unsafe { libc::getpgid(*pid) } != group
    })
}

/// Send a signal to the group of a process, as the kernel sends one to a process alone.
pub(crate) fn signal_group(leader: pid_t, signal: c_int) {
    kill(-leader, signal);
}

/// Kill every process of the container.
pub(crate) fn kill_all() {
    // See ask_to_end.
    if std::process::id() == 1 {
        kill(ALL, libc::SIGKILL);
    }
}

/// Send a signal; false if there is nobody to take it.
fn kill(pid: pid_t, signal: c_int) -> bool {
    // SAFETY: takes and returns plain numbers.
    unsafe { libc::kill(pid, signal) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_killed_are_named_whether_the_end_was_requested_or_not() {
        let patience = Patience { linger: Duration::from_secs(1), grace: Duration::from_secs(2) };
        let phase = Phase::Killed { command: false };
        let job = || Job { phase, outstayed: true, ..Job::new(2, libc::SIGTERM, patience) };
        let overdue = "did not end within 2 s of SIGTERM; killed";
        let by_themselves = job().end(0, false);
        let remark = format!("{OUTLIVED} were asked to end after 1 s; they {overdue}");
        assert_eq!(by_themselves.remark, Some(remark));
        let requested = Job { asked: true, ..job() }.end(0, true);
        let text = requested.reason.map(|reason| reason.text);
        assert_eq!(text, Some(format!("terminated on request; {OUTLIVED} {overdue}")));
    }
}
