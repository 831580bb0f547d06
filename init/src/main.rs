//! PID 1 of a job: runs the order's command and records how it ended.
//!
//! `drmaa2-init [--shared] [JOB_DIR]` makes the [`Fence`] in the job's directory, reads the [`Order`], starts the
//! command as its child, supervises it, and writes the [`Record`] before it exits with the command's
//! code, or 128 plus the signal that ended it. With `--shared` it need not be PID 1: the job shares the
//! processes of the machine with others, and consists of its descendants. It holds no state but these files, so nothing that
//! happens outside the container can lose how the job ended.

mod accounts;
mod cgroup;
mod child;
mod exec;
mod failure;
mod identity;
mod lifeline;
mod limit;
mod origin;
mod output;
mod place;
mod rights;
mod rlimit;
mod sole_user;
mod stage;
mod stdio;
mod supervise;
mod usage;
mod user;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use drmaa2_init::{
    Fence, JOB_DIR, Order, Record, STAGE_OUT_FILE, TERMINATE_FILE, family, is_marked, mark,
};

use cgroup::{Account, Group};
use child::Child;
use drmaa2_init::clock::now;
use drmaa2_init::signals::Signals;
use failure::Failure;
use limit::Limits;
use output::Copying;
use supervise::{Patience, Reason, Request};

/// Exit code of an init that does not run as PID 1, as Docker's for its own failures.
const REFUSED: u8 = 125;

fn main() -> ExitCode {
    // First of all: a signal that arrives from now on is kept, and a request from before has left its
    // file.
    let signals = Signals::block();
    let mut args = std::env::args_os().skip(1).peekable();
    let is_shared = args.next_if(|arg| arg == "--shared").is_some();
    if std::process::id() != 1 && !(is_shared && family::adopt_orphans()) {
        // Init ends a job by killing every process that it can see.
        complain("must be PID 1 of a container");
        return ExitCode::from(REFUSED);
    }
    let job_dir = args.next().map_or(JOB_DIR.into(), PathBuf::from);
    let group = if is_shared { Group::default() } else { Group::find() };
    let account = Account::begin(&group);
    let begun = now();
    let mut record = match Fence::begin(&job_dir) {
        Ok(true) => run(&job_dir, &signals, &group),
        Ok(false) => {
            complain("this start was withdrawn, or it is not the first");
            return ExitCode::from(REFUSED);
        }
        Err(error) => not_begun(Failure::new("cannot note that the job begins", &error)),
    };
    if record.started == 0 {
        record.started = begun;
    }
    record.finished = now();
    (record.cpu_time, record.max_rss) = usage::reaped();
    account.close(&mut record);
    explain_kill(&mut record);
    lifeline::explain(&mut record);
    if let Err(error) = record.write(&job_dir) {
        complain(format_args!("cannot write the record: {error}"));
    }
    exit_code(&record)
}

/// Carry out the order, until nothing of the job is left.
fn run(job_dir: &Path, signals: &Signals, group: &Group) -> Record {
    let order = match Order::read(job_dir) {
        Ok(order) => order,
        Err(error) => return not_begun(Failure::new("order", &error)),
    };
    let stop = stop_signal(&order);
    let terminate_file = job_dir.join(TERMINATE_FILE);
    let terminated = || Record {
        signal: Some(stop),
        ..unstarted("terminated before the command was started".to_owned().into())
    };
    if is_marked(&terminate_file) {
        return terminated();
    }
    if let Err(failure) = origin::check(&order, job_dir) {
        return not_begun(failure);
    }
    if let Some(record) = stage_in(&order, signals, &terminate_file, group) {
        return record;
    }
    // The signal may have come just after the last file was copied.
    if is_marked(&terminate_file) {
        return terminated();
    }
    let started = now();
    let limits = Limits::of(&order, group);
    if let Some(reason) = limits.exceeded() {
        return unstarted(format!("{reason}, before the command was started").into());
    }
    let (outputs, pipes) = match output::open(&order) {
        Ok(opened) => opened,
        Err(failure) => return Record { started, ..failed(failure) },
    };
    let child = match Child::start(&order, pipes) {
        Ok(child) => child,
        Err(error) => return not_begun(Failure::new("cannot start a process", &error)),
    };
    let command = child.pid;
    // After the fork: a process with threads must not fork.
    lifeline::hold(&order.lifeline);
    let copying = match outputs.copy(move || family::signal_group(command, libc::SIGXFSZ)) {
        Ok(copying) => copying,
        Err(error) => {
            family::kill_all();
            return failed(Failure::new("cannot start a thread", &error));
        }
    };
    let request = Request { file: &terminate_file, any_signal: true };
    let [linger, grace] = [order.linger, order.grace].map(Duration::from_millis);
    let patience = Patience { linger, grace };
    let end = supervise::supervise(command, signals, stop, patience, &request, &limits);
    let missing = copying.and_then(Copying::finish);
    let reason = end.reason.or_else(|| rlimit::exceeded(&order, end.status).map(Reason::from));
    let record = match child.failure() {
        Some(failure) => failed(failure),
        None => {
            let remark = end.remark.map(String::into_bytes);
            let mut record = Record { remark, ..ended(end.status, reason) };
            record.interrupted |= was_signalled_at_once(&order, &record, &terminate_file);
            let record =
                missing.into_iter().fold(record, |record, failure| because(record, failure.reason));
            stage_out(&order, signals, job_dir, record)
        }
    };
    Record { started, ..record }
}

/// Returns whether the command may have been ended by a batch system, which signals all processes of a job at once: it
/// has ended before init could pass the signal on.
fn was_signalled_at_once(order: &Order, record: &Record, terminate_file: &Path) -> bool {
    let by_signal = record.signal == Some(libc::SIGTERM) && record.reason.is_none();
    by_signal && !order.lifeline.is_empty() && !is_marked(terminate_file)
}

/// Copy the files that the command needs; otherwise return the record of a command that is not started.
fn stage_in(order: &Order, signals: &Signals, terminate_file: &Path, group: &Group) -> Option<Record> {
    if order.stage_in.is_empty() {
        return None;
    }
    // The limits that count from the command's start do not apply yet.
    let limits = Limits::of(&Order { wall_clock: None, cpu_time: None, ..order.clone() }, group);
    let request = Request { file: terminate_file, any_signal: true };
    match help(|| stage::copy_in(order), signals, &request, &limits) {
        Ok(None) => None,
        Ok(Some(Reason { text, interrupted })) => {
            let text = format!("{text}, before the command was started");
            let signal = is_marked(terminate_file).then(|| stop_signal(order));
            Some(Record { signal, ..unstarted(Reason { text, interrupted }) })
        }
        Err(failure) => Some(not_begun(failure)),
    }
}

/// Copy the files that the command has left, however it ended; a failure is added to the record.
fn stage_out(order: &Order, signals: &Signals, job_dir: &Path, record: Record) -> Record {
    if order.stage_out.is_empty() {
        return record;
    }
    // A client that asked the command to end must not kill it because the copying takes long.
    if let Err(error) = mark(&job_dir.join(STAGE_OUT_FILE)) {
        complain(format_args!("cannot tell that files are copied out: {error}"));
    }
    let request = Request { file: &job_dir.join(TERMINATE_FILE), any_signal: false };
    let (reason, interrupted) =
        match help(|| stage::copy_out(order), signals, &request, &Limits::default()) {
            Ok(None) => return record,
            Ok(Some(reason)) => {
                (format!("stageOutFiles: {}", reason.text).into_bytes(), reason.interrupted)
            }
            Err(failure) => (failure.reason, false),
        };
    because(Record { interrupted: record.interrupted || interrupted, ..record }, reason)
}

/// The record with an additional reason.
fn because(record: Record, reason: Vec<u8>) -> Record {
    let reason = match record.reason {
        Some(earlier) if earlier != reason => [earlier, reason].join(&b"; "[..]),
        _ => reason,
    };
    Record { reason: Some(reason), ..record }
}

/// Let a child do a part of init's own work; returns the reason if that was ended early.
fn help(
    work: impl FnOnce() -> Result<(), Failure>,
    signals: &Signals,
    request: &Request<'_>,
    limits: &Limits,
) -> Result<Option<Reason>, Failure> {
    let child = Child::help(work).map_err(|error| Failure::new("cannot start a process", &error))?;
    let patience = Patience { linger: Duration::ZERO, grace: Duration::MAX };
    let end = supervise::supervise(child.pid, signals, libc::SIGKILL, patience, request, limits);
    match child.failure() {
        Some(failure) => Err(failure),
        None if end.status == 0 => Ok(None),
        None => {
            Ok(Some(end.reason.unwrap_or_else(|| "the copying process was killed".to_owned().into())))
        }
    }
}

/// The signal that asks this job to end; one that does not exist is replaced by SIGTERM.
fn stop_signal(order: &Order) -> i32 {
    if (1..=libc::SIGRTMAX()).contains(&order.stop_signal) { order.stop_signal } else { libc::SIGTERM }
}

/// The record of a command that was not to be started any more. After a request to end, it has the
/// request's signal: by then the job had been told to run.
fn unstarted(Reason { text, interrupted }: Reason) -> Record {
    Record { reason: Some(text.into_bytes()), interrupted, untried: true, ..Record::default() }
}

/// The record of a command that was not tried, because a step before it failed.
fn not_begun(failure: Failure) -> Record {
    Record { reason: Some(failure.reason), untried: true, ..Record::default() }
}

/// The record of a command that could not be run, with a shell's exit code for that.
fn failed(failure: Failure) -> Record {
    let Failure { code, reason } = failure;
    Record { exit_code: Some(code.into()), reason: Some(reason), ..Record::default() }
}

/// The record of a command that ended with this wait status.
fn ended(status: i32, reason: Option<Reason>) -> Record {
    Record {
        exit_code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        interrupted: reason.as_ref().is_some_and(|reason| reason.interrupted),
        reason: reason.map(|reason| reason.text.into_bytes()),
        ..Record::default()
    }
}

/// Add the reason if the kernel killed the command, or something that the failed command relied on.
fn explain_kill(record: &mut Record) {
    if !record.oom_killed || record.reason.is_some() {
        return;
    }
    let what = match (record.signal, record.exit_code) {
        (Some(libc::SIGKILL), _) => "killed for want of memory",
        (_, Some(0)) => return,
        _ => "a process of the job was killed for want of memory",
    };
    let peak = record.peak_memory.map(|bytes| format!("; it had {} KiB at most", bytes / 1024));
    record.reason = Some(format!("{what}{}", peak.unwrap_or_default()).into_bytes());
}

/// The exit code that a shell would report for this end.
fn exit_code(record: &Record) -> ExitCode {
    let code = record.signal.map_or(record.exit_code, |signal| Some(128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(REFUSED).into()
}

/// Write a message to where somebody who debugs a container may look; no other place is left.
fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "drmaa2-init: {what}");
}
