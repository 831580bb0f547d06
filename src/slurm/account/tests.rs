use super::super::sacct::tests::past;
use super::super::squeue::{self, tests::line};
use super::super::submission::Submitted;
use super::*;
use crate::model::ErrorCode;
use drmaa2_init::suspension::Switched;

fn entry(state: &str, reason: &str, start: &str) -> Entry {
    let text = line(["drmaa2:j", "7", "N/A", state, reason, start, "90", "2", "n1", "main", "me", "x"]);
    squeue::parse(&text).get("j").unwrap().clone()
}

fn submitted() -> Files {
    let (number, controller, session) = ("7".to_owned(), "12".to_owned(), "s".to_owned());
    Files { submitted: Some(Submitted { number, controller, session }), ..Files::default() }
}

fn run(record: Option<Record>) -> Files {
    let run = Run { node: "n2".into(), claimed: 5, record, ..Run::default() };
    Files { run: Some(run), ..submitted() }
}

fn again(files: Files) -> Files {
    Files { rerunnable: true, ..files }
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
        ("PENDING", "launch failed requeued held", QueuedHeld, RequeuedHeld),
        ("RESV_DEL_HOLD", "Reservation x was deleted", QueuedHeld, RequeuedHeld),
        ("REQUEUED", "None", Queued, Requeued),
        ("REQUEUE_HOLD", "None", QueuedHeld, RequeuedHeld),
        ("SPECIAL_EXIT", "None", QueuedHeld, RequeuedHeld),
        ("CONFIGURING", "None", Queued, Requeued),
        ("RUNNING", "None", Running, Running),
        ("COMPLETING", "None", Running, Running),
        ("SUSPENDED", "None", Suspended, Suspended),
        ("STOPPED", "None", Suspended, Suspended),
        ("REVOKED", "None", Undetermined, Undetermined),
        ("NEW_WORD", "None", Undetermined, Undetermined),
    ] {
        assert_eq!(shown(&submitted(), state, reason).state, not_begun, "{state} {reason}");
        assert_eq!(shown(&again(run(None)), state, reason).state, begun, "{state} {reason}");
    }
    assert_eq!(shown(&submitted(), "NEW_WORD", "Why").substate.as_deref(), Some("NEW_WORD Why"));
}

#[test]
fn what_its_init_has_suspended_is_suspended_though_it_runs_in_slurm() {
    let switched = |suspended, record| {
        let mut files = run(record);
        let run = files.run.as_mut().unwrap();
        run.switched = Some(Switched { suspended, at: 7 });
        files
    };
    for (suspended, expected) in [(true, JobState::Suspended), (false, JobState::Running)] {
        let info = shown(&switched(suspended, None), "RUNNING", "None");
        assert_eq!((info.state, info.substate.as_deref()), (expected, Some("RUNNING")));
    }
    assert_eq!(shown(&switched(false, None), "SUSPENDED", "None").state, JobState::Suspended);
    // One that is to run again is not.
    let requeued = shown(&again(switched(true, None)), "PENDING", "None");
    assert_eq!(requeued.state, JobState::Requeued);
    let done = Record { exit_code: Some(0), ..Record::default() };
    assert_eq!(shown(&switched(true, Some(done)), "RUNNING", "None").state, JobState::Done);
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
    let requeued = shown(&again(run(Some(cut.clone()))), "PENDING", "BeginTime");
    assert_eq!(requeued.state, JobState::Requeued);
    // Killed when only processes that had outlived the command were left.
    let left = Record { exit_code: Some(0), signal: None, ..cut };
    let left = Files { terminated: true, killed: true, ..run(Some(left)) };
    let info = shown(&left, "RUNNING", "None");
    assert_eq!(info.state, JobState::Failed);
    assert_eq!(info.annotation.as_deref(), Some("killed on request"));
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
    // Nor a signal, however it was to end, unless Slurm had begun with it.
    let killed = Files { terminated: true, killed: true, ..submitted() };
    for (node, signal, annotation) in
        [("", None, "terminated before it started"), ("n1", Some("SIGKILL"), "killed on request")]
    {
        let text = line([
            "drmaa2:j",
            "7",
            "N/A",
            "CANCELLED",
            "None",
            "100",
            "90",
            "2",
            node,
            "main",
            "me",
            "x",
        ]);
        let entry = squeue::parse(&text).get("j").unwrap().clone();
        let info = account("j", &killed, &Said::Shown(&entry, Some(RECORD_DELAY))).unwrap();
        assert_eq!(info.annotation.as_deref(), Some(annotation));
        assert_eq!((info.terminating_signal.as_deref(), info.exit_status), (signal, None));
    }
}

#[test]
fn what_must_not_run_again_has_ended_once_slurm_would_run_it_again() {
    for (state, reason) in [
        ("PENDING", "BeginTime"),
        ("PENDING", "JobHeldUser"),
        ("REQUEUED", "None"),
        ("REQUEUE_HOLD", "None"),
    ] {
        let entry = entry(state, reason, "100");
        assert!(has_given_up(&entry, &run(None)) && !has_given_up(&entry, &again(run(None))));
        assert!(!has_given_up(&entry, &submitted()));
        let young = account("j", &run(None), &Said::Shown(&entry, Some(0))).unwrap();
        // The start that Slurm shows is that of its next try.
        assert_eq!((young.state, young.dispatched), (JobState::Running, Some(5)));
        let info = shown(&run(None), state, reason);
        assert!(info.lost && info.state == JobState::Failed, "{info:?}");
        assert_eq!((info.allocated_machines[0].machine.as_str(), info.dispatched), ("n2", Some(5)));
        let cut = Record { signal: Some(15), interrupted: true, ..Record::default() };
        let info = shown(&run(Some(cut)), state, reason);
        assert_eq!((info.state, info.lost), (JobState::Failed, false));
        assert!(info.annotation.unwrap().contains("not rerunnable"));
    }
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

#[test]
fn what_slurm_has_forgotten_is_told_by_its_accounting() {
    let of = |files: &Files, state: &str, code: &str| {
        let unaccounted = account("j", files, &Said::Nothing("12"));
        accounted("j", files, &past(state, code), unaccounted).unwrap()
    };
    let info = of(&run(None), "COMPLETED", "0:0");
    assert_eq!((info.state, info.exit_status, info.lost), (JobState::Done, Some(0), false));
    let annotation = "the account is Slurm's (COMPLETED): its run on n2 left no record";
    assert_eq!(info.annotation.as_deref(), Some(annotation));
    assert_eq!((info.dispatched, info.finished), (Some(5), Some(200_000)));
    assert_eq!(info.allocated_machines, [SlotInfo { machine: "n2".into(), slots: 2 }]);
    assert_eq!((info.usage.cpu_time, info.session.as_deref()), (Some(2_500), Some("s")));
    let info = of(&run(None), "FAILED", "3:0");
    assert_eq!((info.state, info.exit_status, info.lost), (JobState::Failed, Some(3), false));
    for (state, code, lost, begin) in [
        ("TIMEOUT", "0:15", false, "ended by Slurm: its time limit was reached; the account is"),
        ("CANCELLED by 0", "0:15", false, "cancelled in Slurm; the account is Slurm's (CANCELLED 0:15)"),
        ("CANCELLED", "0:0", true, "runtime lost the job; "),
        ("NODE_FAIL", "1:0", true, "runtime lost the job; "),
        ("FAILED", "0:9", true, "runtime lost the job; the account is Slurm's (FAILED 0:9)"),
        ("FAILED", "125:0", true, "runtime lost the job; "),
    ] {
        let info = of(&run(None), state, code);
        assert_eq!((info.state, info.exit_status, info.lost), (JobState::Failed, None, lost), "{state}");
        assert!(info.annotation.as_ref().is_some_and(|text| text.starts_with(begin)), "{info:?}");
    }
    let killed = Files { terminated: true, killed: true, ..run(None) };
    for code in ["0:9", "137:0"] {
        let info = of(&killed, "FAILED", code);
        assert_eq!(info.terminating_signal.as_deref(), Some("SIGKILL"));
    }
    assert_eq!(of(&killed, "COMPLETED", "0:0").state, JobState::Done);
    // A record counts; what has ended it is Slurm's to tell.
    let cut = Record { signal: Some(15), interrupted: true, finished: 9, ..Record::default() };
    let info = of(&run(Some(cut)), "TIMEOUT", "0:15");
    assert_eq!((info.exit_status, info.finished), (Some(143), Some(9)));
    let annotation = "ended by Slurm: its time limit was reached";
    assert_eq!(info.annotation.as_deref(), Some(annotation));
}

#[test]
fn accounting_tells_what_was_cancelled_from_what_a_controller_has_forgotten() {
    let of = |state: &str, controller: &str| {
        let unaccounted = account("j", &submitted(), &Said::Nothing(controller));
        accounted("j", &submitted(), &past(state, "0:0"), unaccounted)
    };
    let info = of("CANCELLED by 0", "13").unwrap();
    assert_eq!((info.state, info.exit_status, info.dispatched), (JobState::Failed, None, None));
    assert!(info.annotation.unwrap().ends_with("; the account is Slurm's (CANCELLED)"));
    assert_eq!(of("CANCELLED", "13").unwrap_err().code, ErrorCode::InvalidArgument);
    assert!(of("CANCELLED", "12").is_ok());
    assert!(of("FAILED", "13").unwrap().annotation.unwrap().contains("not begun on its node"));
    // One that has begun was forgotten when it was to run again.
    let begun = |state, code| {
        accounted("j", &run(None), &past(state, code), Err(unknown_job("j")))
            .map(|info| info.exit_status)
    };
    assert_eq!(begun("COMPLETED", "0:0").unwrap(), Some(0));
    assert_eq!(begun("TIMEOUT", "0:15").unwrap(), None);
    for state in ["CANCELLED", "REQUEUED", "NODE_FAIL"] {
        assert_eq!(begun(state, "0:0").unwrap_err().code, ErrorCode::InvalidArgument, "{state}");
    }
}
