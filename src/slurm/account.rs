//! The account of a job: from the record that its run has left, and from what Slurm says of it, in this order.

use super::job_dir::{Files, Run, unknown_job};
use super::sacct::Past;
use super::squeue::Entry;
use super::words::{is_over, said_of_end, state};
use crate::container::outcome::of_record;
use crate::model::{JobInfo, JobState, Millis, Outcome, Result, SlotInfo, now};
use drmaa2_init::Record;

/// The time that the record of a run may take to be seen here after Slurm has shown its end: the file system of a
/// cluster shows the work of other nodes late.
pub(super) const RECORD_DELAY: Millis = 10_000;

/// The word of Slurm about a job.
pub(super) enum Said<'a> {
    /// This, and for how long it has said that it is over.
    Shown(&'a Entry, Option<Millis>),
    /// Nothing; and the start of the controller that says so.
    Nothing(&'a str),
}

/// The account of a job of the library. INVALID_ARGUMENT if Slurm was never given it, or has forgotten it before it
/// has run.
pub(super) fn account(id: &str, files: &Files, said: &Said<'_>) -> Result<JobInfo> {
    let session = files.submitted.as_ref().map(|submitted| submitted.session.clone());
    judge(id, files, said).map(|info| JobInfo { session, ..info })
}

fn judge(id: &str, files: &Files, said: &Said<'_>) -> Result<JobInfo> {
    let info = |state| match said {
        Said::Shown(entry, _) => entry.info(id, state),
        Said::Nothing(_) => JobInfo::new(id, state),
    };
    if let Some(record) = files.final_record() {
        return Ok(ended(info(JobState::Failed), files, recorded(record.clone(), files, None)));
    }
    match said {
        Said::Shown(entry, over) => Ok(shown(id, entry, *over, files)),
        Said::Nothing(start) => match (&files.run, &files.submitted) {
            (Some(run), _) => {
                let outcome = match &run.record {
                    Some(record) => recorded(
                        record.clone(),
                        files,
                        Some("ended while nobody watched: Slurm does not know it any more"),
                    ),
                    None => lost(format!(
                        "runtime lost the job: it ran on {}, and left no record of its end",
                        run.node
                    )),
                };
                Ok(ended(info(JobState::Failed), files, outcome))
            }
            (None, None) => Err(unknown_job(id)),
            // The controller was restarted since, and may have forgotten what it had accepted just before.
            (None, Some(submitted)) if !submitted.is_known_to(start) => match files.terminated {
                true => {
                    Ok(ended(info(JobState::Failed), files, not_run("terminated before it started")))
                }
                false => Err(unknown_job(id)),
            },
            (None, Some(_)) => {
                let reason = match files.terminated {
                    true => "terminated before it started",
                    false => {
                        "Slurm does not know the job any more: it was cancelled there before it had run"
                    }
                };
                Ok(ended(info(JobState::Failed), files, not_run(reason)))
            }
        },
    }
}

/// The account of a job that Slurm shows and that has no final record.
fn shown(id: &str, entry: &Entry, over: Option<Millis>, files: &Files) -> JobInfo {
    let state = match state(entry, files.run.is_some()) {
        // Slurm does not know that its init has stopped it.
        JobState::Running if files.run.as_ref().is_some_and(Run::is_suspended) => JobState::Suspended,
        state => state,
    };
    if !state.is_terminated() && !waits_in_vain(entry, files) {
        return entry.info(id, state);
    }
    let (words, began) = (entry.words(), files.run.as_ref());
    let outcome = match began.map(|run| run.record.clone()) {
        Some(Some(record)) => recorded(record, files, said_of_end(&entry.line.state).as_deref()),
        // It may just not be visible yet.
        _ if may_have_run(entry, began) && over.is_none_or(|over| over < RECORD_DELAY) => {
            let info = entry.info(id, JobState::Running);
            return match began {
                Some(run) => of_run(info, run),
                None => info,
            };
        }
        Some(None) if entry.line.state == "NODE_FAIL" => {
            lost(format!("runtime lost the job: Slurm: {words}"))
        }
        Some(None) if files.killed => killed(),
        Some(None) => {
            let node = &files.run.as_ref().map(|run| run.node.clone()).unwrap_or_default();
            lost(format!("runtime lost the job: Slurm: {words}; its run on {node} left no record"))
        }
        None => not_begun(entry, files),
    };
    ended(entry.info(id, JobState::Failed), files, outcome)
}

/// The end of a job that Slurm takes for over, and that was not begun as far as its directory tells.
fn not_begun(entry: &Entry, files: &Files) -> Outcome {
    let words = entry.words();
    match entry.nodes() {
        // Slurm had begun with it, as far as anybody could see.
        nodes if files.killed && !nodes.is_empty() => Outcome { exit_status: None, ..killed() },
        _ if files.terminated => not_run("terminated before it started"),
        _ if entry.line.state == "CANCELLED" => not_run("cancelled in Slurm before it was started"),
        _ => not_run(&format!(
            "Slurm: {words}; the job was not begun on its node: the library's directory and programs must be there at \
             the same paths"
        )),
    }
}

/// The account of a job that Slurm does not show any more, by that of its accounting. `unaccounted` is what there is to
/// say without.
pub(super) fn accounted(
    id: &str,
    files: &Files,
    past: &Past,
    unaccounted: Result<JobInfo>,
) -> Result<JobInfo> {
    // A job that has begun, and is to run again, may have been queued again before it was forgotten.
    let is_told = past.was_ended() || past.exit_code().is_some();
    if unaccounted.is_err() && (past.may_be_forgotten() || files.run.is_some() && !is_told) {
        return unaccounted;
    }
    let session = files.submitted.as_ref().map(|submitted| submitted.session.clone());
    let why = said_of_end(&past.entry.line.state);
    let (outcome, remark) = match &files.run {
        Some(Run { record: Some(record), .. }) => {
            (recorded(record.clone(), files, why.as_deref()), None)
        }
        Some(Run { node, .. }) => {
            // That of a kill, if it was asked for, is told as such.
            let is_kill = |code: &i32| files.killed && *code == 128 + libc::SIGKILL;
            let outcome = match (past.exit_code().filter(|code| !is_kill(code)), why) {
                (None, _) if files.killed => killed(),
                (Some(code), _) => Outcome { exit_status: Some(code), ..Outcome::default() },
                (None, Some(why)) if past.was_ended() => Outcome::failed(why),
                _ => lost("runtime lost the job".to_owned()),
            };
            (outcome, Some(format!(": its run on {node} left no record")))
        }
        None => (not_begun(&past.entry, files), Some(String::new())),
    };
    let outcome = match remark {
        None => outcome,
        Some(remark) => Outcome {
            remark: Some(format!("the account is Slurm's ({}){remark}", past.words())),
            finished: past.ended,
            usage: past.usage.clone(),
            ..outcome
        },
    };
    let info = JobInfo { session, ..past.entry.info(id, JobState::Failed) };
    Ok(ended(info, files, outcome))
}

/// Returns whether Slurm does not run a job, and the job is not to run any more: one that has begun is over then.
pub(super) fn has_given_up(entry: &Entry, files: &Files) -> bool {
    is_over(&entry.line.state) || waits_in_vain(entry, files)
}

/// Returns whether a job has begun, waits to run again, and is not rerunnable: the program on the node would do nothing.
fn waits_in_vain(entry: &Entry, files: &Files) -> bool {
    let waits = || matches!(state(entry, true), JobState::Requeued | JobState::RequeuedHeld);
    files.run.is_some() && !files.rerunnable && waits()
}

/// Returns whether a job that has no record may have run, as far as Slurm shows.
fn may_have_run(entry: &Entry, run: Option<&Run>) -> bool {
    run.is_some() || (entry.line.start.is_some() && entry.line.state != "CANCELLED")
}

/// The account of a job of Slurm that the library has not submitted.
pub(super) fn foreign(id: &str, entry: &Entry) -> JobInfo {
    entry.info(id, state(entry, false))
}

/// The end that a record tells. One that was interrupted was brought about for this reason; without one, by a signal of
/// somebody on the node.
fn recorded(record: Record, files: &Files, interrupted: Option<&str>) -> Outcome {
    let outcome = of_record(record);
    let reason = match interrupted {
        // A signal to end, without a word of Slurm, was one of the node's.
        None if outcome.lost && outcome.signal == Some(libc::SIGTERM) => None,
        Some(why) if outcome.lost => Some(why.to_owned()),
        // Also what was killed when only processes that had outlived the command were left.
        _ if files.killed && (outcome.lost || outcome.signal == Some(libc::SIGKILL)) => {
            Some("killed on request".to_owned())
        }
        _ => outcome.reason,
    };
    // Slurm decides whether it runs again.
    Outcome { reason, lost: false, ..outcome }
}

fn lost(reason: String) -> Outcome {
    Outcome { lost: true, ..Outcome::failed(reason) }
}

fn killed() -> Outcome {
    let signal = Some(libc::SIGKILL);
    Outcome { exit_status: Some(128 + libc::SIGKILL), signal, ..Outcome::failed("killed on request") }
}

fn not_run(reason: &str) -> Outcome {
    Outcome::failed(reason)
}

/// The account of a job that has ended so.
fn ended(mut info: JobInfo, files: &Files, outcome: Outcome) -> JobInfo {
    info.state = outcome.state();
    info.substate = None;
    match &files.run {
        Some(run) => info = of_run(info, run),
        // Slurm gives a start, and a machine, also to what was cancelled while it waited.
        None => (info.dispatched, info.slots, info.allocated_machines) = (None, None, Vec::new()),
    }
    info.end(Outcome {
        finished: if outcome.finished == 0 { now() } else { outcome.finished },
        ..outcome
    });
    info
}

/// This account of a job, with the place and the start of its last run: Slurm tells those of the next one of what it
/// would run again.
fn of_run(info: JobInfo, run: &Run) -> JobInfo {
    if info.allocated_machines.iter().any(|place| place.machine == run.node) {
        return info;
    }
    let place = SlotInfo { machine: run.node.clone(), slots: info.slots.unwrap_or(1) };
    JobInfo { dispatched: Some(run.claimed), allocated_machines: vec![place], ..info }
}

#[cfg(test)]
mod tests;
