//! The decision of an agent to stay or to leave.
//!
//! It leaves without losing a job: a submitter stores the job first and then checks the lock. So either
//! the submitter finds the lock free, or the agent, which releases the lock and then checks the store
//! once more, sees the job.

use std::time::Duration;

use super::Lock;
use crate::model::Result;

/// The work that keeps an agent.
pub trait Work {
    /// Do the unfinished work. False if there is none.
    fn unfinished(&mut self) -> Result<bool>;

    /// Wait until the unfinished work may have changed since the last look, at most for `limit`. False
    /// if that time has passed without a change.
    fn wait(&mut self, limit: Option<Duration>) -> bool;
}

/// Do all work; return once there has been none for the time of `linger`, which avoids one agent for
/// each of a series of short jobs. Without `linger`, stay for ever.
pub fn stay(lock: &Lock, work: &mut impl Work, linger: Option<Duration>) -> Result<()> {
    loop {
        let limit = if work.unfinished()? { None } else { linger };
        if work.wait(limit) {
            continue;
        }
        lock.release()?;
        if !work.unfinished()? || !lock.try_again()? {
            return Ok(());
        }
    }
}
