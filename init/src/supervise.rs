//! The life of a running job: pass signals on, reap, suspend and end it when asked to, leave nothing behind.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use drmaa2_init::is_marked;
use libc::{c_int, pid_t};

use crate::limit::Limits;
use drmaa2_init::family::{self, ask_to_end, kill};
use drmaa2_init::signals::Signals;
use drmaa2_init::suspension::{SUSPEND_FILE, SUSPEND_SIGNAL, Switched};

/// The end of the command.
pub(crate) struct End {
    /// Its wait status.
    pub(crate) status: c_int,
    /// The part that the status does not tell: that the command was asked to end, and why.
    pub(crate) reason: Option<Reason>,
    /// A remark if processes that outlived a command that ended by itself had to be asked to end.
    pub(crate) remark: Option<String>,
}

/// The reason why a command ended, or was not started.
pub(crate) struct Reason {
    /// For people.
    pub(crate) text: String,
    /// Nobody asked for the end, see [`drmaa2_init::Record::interrupted`].
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
    /// Any signal is a request once the file is there. Not so for the work at the end of a job, which
    /// continues after the request that brought the end.
    pub(crate) any_signal: bool,
}

impl Request<'_> {
    fn is_noted(&self) -> bool {
        is_marked(self.file)
    }

    /// The directory in which requests are noted.
    fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

/// The reason of an end by a signal without the file of a request.
const UNASKED: &str = "ended by a signal that nobody asked for: the machine went down, or its container \
                       was signalled from outside";

/// The time that processes get to end.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// By themselves, for those that outlive the command.
    pub(crate) linger: Duration,
    /// Once they have been asked to.
    pub(crate) grace: Duration,
}

/// Supervise the job until its command and all its other processes have ended.
///
/// A request to end is SIGTERM, the stop signal itself, or any signal once the file is there. It is
/// passed on once; repeating it does not prolong the grace. A limit that is exceeded first is such a
/// request. Without the file the signal was no request: a machine that goes down sends one to every
/// process.
///
/// Other processes may outlive a command that ended by itself for a while, and are then asked to end.
///
/// A request to suspend stops all processes. Time passes all the same, and the end of a limit, or a request to end, lets
/// them go on first.
pub(crate) fn supervise(
    command: pid_t,
    signals: &Signals,
    stop: c_int,
    patience: Patience,
    request: &Request<'_>,
    limits: &Limits,
) -> End {
    let mut job = Job::new(command, stop, patience);
    // Its signal may have come before.
    job.suspend_or_resume(request.dir());
    loop {
        let signal = signals.next(job.next_look(limits));
        // Before the signal is checked: a command that ended by itself was not asked to.
        let any_left = job.reap();
        if let (Some(status), false) = (job.status, any_left) {
            return job.end(status, request.is_noted());
        }
        match signal {
            None => job.look(limits, request.dir()),
            Some(libc::SIGCHLD) => {}
            Some(signal)
                if signal == libc::SIGTERM
                    || signal == stop
                    || (request.any_signal && request.is_noted()) =>
            {
                job.go_on(request.dir());
                job.ask();
            }
            Some(SUSPEND_SIGNAL) if job.suspend_or_resume(request.dir()) => {}
            Some(signal) if job.status.is_none() => drop(kill(command, signal)),
            Some(_) => {}
        }
    }
}

/// A supervised job.
struct Job {
    command: pid_t,
    stop: c_int,
    patience: Patience,
    phase: Phase,
    /// The end of the phase, if it has one.
    until: Option<Instant>,
    /// The command's wait status, once it has ended.
    status: Option<c_int>,
    /// The job was asked to end.
    asked: bool,
    /// The limit that was exceeded.
    exceeded: Option<String>,
    /// Processes that outlived the command have used up their time and were asked to end.
    outstayed: bool,
    /// The processes that were stopped, if the job is suspended.
    stopped: Option<Vec<pid_t>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command runs.
    Runs,
    /// The command has ended by itself, other processes have not.
    Lingers,
    /// All remaining processes were asked to end.
    Ends,
    /// All remaining processes were killed, with the command if it was left.
    Killed { command: bool },
}

impl Job {
    fn new(command: pid_t, stop: c_int, patience: Patience) -> Self {
        let (phase, until, status, exceeded) = (Phase::Runs, None, None, None);
        let (asked, outstayed, stopped) = (false, false, None);
        Self { command, stop, patience, phase, until, status, asked, exceeded, outstayed, stopped }
    }

    fn next_look(&self, limits: &Limits) -> Option<Instant> {
        let limited = matches!(self.phase, Phase::Runs | Phase::Lingers);
        let limit = limited.then(|| limits.next_look()).flatten();
        // A suspended job cannot end by itself, and is not asked to before it goes on.
        let until = self.until.filter(|_| self.stopped.is_none());
        until.into_iter().chain(limit).min()
    }

    /// Reap the processes that have ended. False if nothing is left.
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
            // The command's process group was asked already.
            Phase::Ends => family::outside(self.command).for_each(|pid| _ = ask_to_end(pid, self.stop)),
            Phase::Lingers | Phase::Killed { .. } => {}
        }
    }

    /// Begin a phase of this length; one beyond the range of the clock has no end.
    fn begin(&mut self, phase: Phase, length: Duration) {
        (self.phase, self.until) = (phase, Instant::now().checked_add(length));
    }

    /// Ask the job to end.
    fn ask(&mut self) {
        let grace = self.patience.grace;
        match self.phase {
            // A child that does not lead its group yet gets the signal alone.
            Phase::Runs if !ask_to_end(-self.command, self.stop) => {
                ask_to_end(self.command, self.stop);
            }
            Phase::Runs => {}
            Phase::Lingers => family::ask_all(self.stop),
            // The signal is sent once; but the request now concerns more than the processes that
            // outlived the command.
            Phase::Ends | Phase::Killed { .. } => {
                self.asked = true;
                return;
            }
        }
        self.asked = true;
        self.begin(Phase::Ends, grace);
    }

    /// Suspend or resume the job, as the file in this directory says. False if there was nothing to do.
    fn suspend_or_resume(&mut self, dir: &Path) -> bool {
        // A job that ends goes on until it has.
        if !matches!(self.phase, Phase::Runs | Phase::Lingers) {
            return false;
        }
        if !is_marked(&dir.join(SUSPEND_FILE)) {
            return self.go_on(dir);
        }
        let is_news = self.stopped.is_none();
        // Once more if it is suspended: a batch system that suspends jobs as well has sent the signal to all of them.
        let stopped = family::stop_all();
        self.stopped.get_or_insert_default().extend(stopped);
        if is_news && Switched::note(dir, true).is_err() {
            // Nobody would know, and it would not be let go on.
            self.go_on(dir);
        }
        true
    }

    /// Let the job go on if it is suspended. False if it is not.
    fn go_on(&mut self, dir: &Path) -> bool {
        let Some(stopped) = self.stopped.take() else { return false };
        // Before: what its processes do then was done by a job that runs.
        let _ = Switched::note(dir, false);
        family::continue_all(&stopped);
        true
    }

    /// React to a timeout: no signal came before it. Requests are noted in this directory.
    fn look(&mut self, limits: &Limits, dir: &Path) {
        match self.phase {
            Phase::Runs | Phase::Lingers => {
                self.exceeded = limits.exceeded();
                if self.exceeded.is_some() {
                    self.go_on(dir);
                    self.ask();
                } else if self.stopped.is_none()
                    && self.until.is_some_and(|until| until <= Instant::now())
                {
                    self.outstayed = true;
                    family::ask_all(self.stop);
                    self.begin(Phase::Ends, self.patience.grace);
                }
            }
            Phase::Ends => {
                family::kill_all();
                (self.phase, self.until) = (Phase::Killed { command: self.status.is_none() }, None);
            }
            Phase::Killed { .. } => {}
        }
    }

    /// The result, now that nothing of the job is left. `noted` is whether a request is noted by now: it
    /// may have come after the end was begun by a signal that was none.
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
