//! The account of a job: from the record that its run has left, and from what Slurm says of it, in this order.

use super::job_dir::{Files, Run, unknown_job};
use super::squeue::Entry;
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
            (None, Some(submitted)) if submitted.controller != *start => match files.terminated {
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
    let state = state(entry, files.run.is_some());
    if !state.is_terminated() {
        return entry.info(id, state);
    }
    let (words, began) = (entry.words(), files.run.as_ref());
    let outcome = match began.map(|run| run.record.clone()) {
        Some(Some(record)) => recorded(record, files, said_of_end(&entry.line.state).as_deref()),
        // It may just not be visible yet.
        _ if may_have_run(entry, began) && over.is_none_or(|over| over < RECORD_DELAY) => {
            return entry.info(id, JobState::Running);
        }
        Some(None) if entry.line.state == "NODE_FAIL" => lost(format!("Slurm: {words}")),
        Some(None) if files.killed => killed(),
        Some(None) => {
            let node = &files.run.as_ref().map(|run| run.node.clone()).unwrap_or_default();
            lost(format!("Slurm: {words}; its run on {node} left no record"))
        }
        // Slurm had begun with it, as far as anybody could see.
        None if files.killed => Outcome { exit_status: None, ..killed() },
        None if files.terminated => not_run("terminated before it started"),
        None if entry.line.state == "CANCELLED" => not_run("cancelled in Slurm before it was started"),
        None => not_run(&format!(
            "Slurm: {words}; the job was not begun on its node: the library's directory and programs must be there at \
             the same paths"
        )),
    };
    ended(entry.info(id, JobState::Failed), files, outcome)
}

/// Returns whether a job that has no record may have run, as far as Slurm shows.
fn may_have_run(entry: &Entry, run: Option<&Run>) -> bool {
    run.is_some() || (entry.line.start.is_some() && entry.line.state != "CANCELLED")
}

/// The state that a word of Slurm stands for, of a job that has begun or not.
fn state(entry: &Entry, has_begun: bool) -> JobState {
    let reason = entry.line.reason.as_str();
    let is_held = matches!(reason, "JobHeldUser" | "JobHeldAdmin") || reason.ends_with("requeued_held");
    match (entry.line.state.as_str(), has_begun) {
        ("PENDING" | "CONFIGURING" | "STAGE_IN", false) if is_held => JobState::QueuedHeld,
        ("PENDING" | "CONFIGURING" | "STAGE_IN", false) => JobState::Queued,
        ("PENDING", true) if is_held => JobState::RequeuedHeld,
        ("REQUEUE_HOLD" | "SPECIAL_EXIT", _) => JobState::RequeuedHeld,
        ("PENDING" | "CONFIGURING" | "STAGE_IN" | "REQUEUED" | "REQUEUE_FED", _) => JobState::Requeued,
        ("RUNNING" | "RESIZING" | "SIGNALING" | "COMPLETING" | "STAGE_OUT", _) => JobState::Running,
        ("SUSPENDED" | "STOPPED", _) => JobState::Suspended,
        ("COMPLETED", _) => JobState::Done,
        (
            "FAILED" | "CANCELLED" | "TIMEOUT" | "DEADLINE" | "OUT_OF_MEMORY" | "PREEMPTED"
            | "BOOT_FAIL" | "NODE_FAIL",
            _,
        ) => JobState::Failed,
        _ => JobState::Undetermined,
    }
}

/// The account of a job of Slurm that the library has not submitted.
pub(super) fn foreign(id: &str, entry: &Entry) -> JobInfo {
    entry.info(id, state(entry, false))
}

/// The reason of an end that Slurm has brought about.
fn said_of_end(state: &str) -> Option<String> {
    match state {
        "COMPLETED" | "FAILED" => None,
        "TIMEOUT" => Some("ended by Slurm: its time limit was reached".to_owned()),
        "CANCELLED" => Some("cancelled in Slurm".to_owned()),
        state => Some(format!("ended by Slurm: {state}")),
    }
}

/// The end that a record tells. One that was interrupted was brought about for this reason; without one, by a signal of
/// somebody on the node.
fn recorded(record: Record, files: &Files, interrupted: Option<&str>) -> Outcome {
    let outcome = of_record(record);
    let reason = match interrupted {
        // A signal to end, without a word of Slurm, was one of the node's.
        None if outcome.lost && outcome.signal == Some(libc::SIGTERM) => None,
        Some(why) if outcome.lost => Some(why.to_owned()),
        _ if files.killed && outcome.signal == Some(libc::SIGKILL) => {
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
    // Slurm gives a start, and a machine, also to what was cancelled while it waited.
    if files.run.is_none() {
        (info.dispatched, info.slots, info.allocated_machines) = (None, None, Vec::new());
    }
    if let Some(run) = &files.run
        && info.allocated_machines.is_empty()
    {
        info.allocated_machines = vec![SlotInfo { machine: run.node.clone(), slots: 1 }];
    }
    info.end(Outcome {
        finished: if outcome.finished == 0 { now() } else { outcome.finished },
        ..outcome
    });
    info
}

#[cfg(test)]
mod tests {
    use super::super::job_dir::Submitted;
    use super::super::squeue::{self, tests::line};
    use super::*;
    use crate::model::ErrorCode;

    fn entry(state: &str, reason: &str, start: &str) -> Entry {
        let text =
            line(["drmaa2:j", "7", "N/A", state, reason, start, "90", "2", "n1", "main", "me", "x"]);
        squeue::parse(&text).get("j").unwrap().clone()
    }

    fn submitted() -> Files {
        let (number, controller, session) = ("7".to_owned(), "12".to_owned(), "s".to_owned());
        Files { submitted: Some(Submitted { number, controller, session }), ..Files::default() }
    }

    fn run(record: Option<Record>) -> Files {
        Files { run: Some(Run { node: "n2".into(), claimed: 5, record }), ..submitted() }
    }

    fn shown(files: &Files, state: &str, reason: &str) -> JobInfo {
        let entry = entry(state, reason, "100");
        account("j", files, &Said::Shown(&entry, Some(RECORD_DELAY))).unwrap()
    }

    #[test]
    fn the_states_are_those_of_the_mapping() {
        use JobState::*;
        for (state, reason, not_begun, begun) in [
            ("PENDING", "Resources", Queued, Requeued),
            ("PENDING", "JobHeldUser", QueuedHeld, RequeuedHeld),
            ("PENDING", "JobHeldAdmin", QueuedHeld, RequeuedHeld),
            ("PENDING", "launch_failed_requeued_held", QueuedHeld, RequeuedHeld),
            ("REQUEUED", "None", Requeued, Requeued),
            ("REQUEUE_HOLD", "None", RequeuedHeld, RequeuedHeld),
            ("SPECIAL_EXIT", "None", RequeuedHeld, RequeuedHeld),
            ("CONFIGURING", "None", Queued, Requeued),
            ("RUNNING", "None", Running, Running),
            ("COMPLETING", "None", Running, Running),
            ("SUSPENDED", "None", Suspended, Suspended),
            ("STOPPED", "None", Suspended, Suspended),
            ("REVOKED", "None", Undetermined, Undetermined),
            ("NEW_WORD", "None", Undetermined, Undetermined),
        ] {
            assert_eq!(shown(&submitted(), state, reason).state, not_begun, "{state} {reason}");
            assert_eq!(shown(&run(None), state, reason).state, begun, "{state} {reason}");
        }
        assert_eq!(shown(&submitted(), "NEW_WORD", "Why").substate.as_deref(), Some("NEW_WORD Why"));
    }

    #[test]
    fn the_record_decides_and_slurm_tells_why() {
        let done = Record { exit_code: Some(0), started: 3, finished: 9, ..Record::default() };
        for state in ["RUNNING", "PENDING", "FAILED", "NODE_FAIL", "CANCELLED"] {
            let info = shown(&run(Some(done.clone())), state, "None");
            assert_eq!((info.state, info.dispatched, info.finished), (JobState::Done, Some(3), Some(9)));
        }
        let cut = Record { exit_code: None, signal: Some(15), interrupted: true, ..done };
        for (state, reason) in [
            ("TIMEOUT", Some("ended by Slurm: its time limit was reached")),
            ("CANCELLED", Some("cancelled in Slurm")),
            ("PREEMPTED", Some("ended by Slurm: PREEMPTED")),
            ("FAILED", None),
        ] {
            let info = shown(&run(Some(cut.clone())), state, "None");
            assert_eq!((info.state, info.exit_status), (JobState::Failed, Some(143)), "{state}");
            assert_eq!((info.annotation.as_deref(), info.lost), (reason, false));
        }
        // It may run again.
        assert_eq!(shown(&run(Some(cut)), "PENDING", "BeginTime").state, JobState::Requeued);
    }

    #[test]
    fn what_left_no_record_is_waited_for_and_then_lost() {
        let entry = entry("COMPLETED", "None", "100");
        let young = account("j", &run(None), &Said::Shown(&entry, Some(0))).unwrap();
        assert_eq!(young.state, JobState::Running);
        let info = shown(&run(None), "COMPLETED", "None");
        assert!(info.lost && info.annotation.unwrap().contains("left no record"));
        assert!(shown(&run(None), "NODE_FAIL", "None").lost);
        assert!(account("j", &run(None), &Said::Nothing("12")).unwrap().lost);
        // One that never began has no machine, whatever Slurm shows.
        let info = shown(&submitted(), "CANCELLED", "None");
        assert_eq!((info.state, info.exit_status, info.dispatched), (JobState::Failed, None, None));
        assert!(info.allocated_machines.is_empty() && !info.lost);
        let info = shown(&submitted(), "FAILED", "None");
        assert!(info.annotation.unwrap().contains("not begun on its node"));
    }

    #[test]
    fn what_a_later_controller_does_not_know_may_be_forgotten() {
        let unknown = account("j", &submitted(), &Said::Nothing("13")).unwrap_err();
        assert_eq!(unknown.code, ErrorCode::InvalidArgument);
        let cancelled = account("j", &submitted(), &Said::Nothing("12")).unwrap();
        assert_eq!(cancelled.state, JobState::Failed);
        assert!(account("j", &Files::default(), &Said::Nothing("12")).is_err());
        let ended = Files { terminated: true, ..submitted() };
        assert_eq!(account("j", &ended, &Said::Nothing("13")).unwrap().state, JobState::Failed);
    }
}
