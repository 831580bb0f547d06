//! The words of Slurm for the state of a job, and what they mean.

use super::squeue::Entry;
use crate::model::JobState;

/// The state that a word of Slurm stands for, of a job that has begun or not.
pub(super) fn state(entry: &Entry, has_begun: bool) -> JobState {
    let reason = entry.line.reason.as_str();
    // 22.05 has blanks in it where later versions have none.
    let is_requeued = reason.ends_with("requeued_held") || reason.ends_with("requeued held");
    let is_held = matches!(reason, "JobHeldUser" | "JobHeldAdmin") || is_requeued;
    match (entry.line.state.as_str(), has_begun) {
        ("PENDING" | "CONFIGURING" | "STAGE_IN", false) if is_held => JobState::QueuedHeld,
        // Its reservation is over.
        ("RESV_DEL_HOLD", false) => JobState::QueuedHeld,
        ("RESV_DEL_HOLD", true) => JobState::RequeuedHeld,
        // A node could not start it.
        ("REQUEUE_HOLD" | "SPECIAL_EXIT", false) => JobState::QueuedHeld,
        ("PENDING" | "CONFIGURING" | "STAGE_IN" | "REQUEUED" | "REQUEUE_FED", false) => JobState::Queued,
        ("PENDING", true) if is_held => JobState::RequeuedHeld,
        ("REQUEUE_HOLD" | "SPECIAL_EXIT", true) => JobState::RequeuedHeld,
        ("PENDING" | "CONFIGURING" | "STAGE_IN" | "REQUEUED" | "REQUEUE_FED", true) => {
            JobState::Requeued
        }
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

/// Returns whether a word of Slurm stands for the end of a job.
pub(super) fn is_over(state: &str) -> bool {
    !matches!(
        state,
        "PENDING"
            | "RUNNING"
            | "SUSPENDED"
            | "STOPPED"
            | "COMPLETING"
            | "CONFIGURING"
            | "RESIZING"
            | "SIGNALING"
            | "STAGE_IN"
            | "STAGE_OUT"
            | "REQUEUED"
            | "REQUEUE_FED"
            | "REQUEUE_HOLD"
            | "SPECIAL_EXIT"
            | "RESV_DEL_HOLD"
            | "REVOKED"
    )
}

/// Returns whether these words of Slurm are that it holds a job which a node could not start.
pub(super) fn could_not_start(words: &str) -> bool {
    ["launch_failed_requeued_held", "launch failed requeued held"].iter().any(|end| words.ends_with(end))
}

/// The reason of an end that Slurm has brought about.
pub(super) fn said_of_end(state: &str) -> Option<String> {
    match state {
        "COMPLETED" | "FAILED" => None,
        state if !is_over(state) => {
            Some("ended by Slurm, to run it again: but it is not rerunnable".to_owned())
        }
        "TIMEOUT" => Some("ended by Slurm: its time limit was reached".to_owned()),
        "CANCELLED" => Some("cancelled in Slurm".to_owned()),
        state => Some(format!("ended by Slurm: {state}")),
    }
}
