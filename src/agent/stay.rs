//! When an agent stays and when it leaves.
//!
//! It leaves without losing a job: whoever submits stores the job first and then looks at the lock.
//! So either he finds the lock free, or the agent, which lets go of the lock and then looks at the
//! store once more, sees the job.

use std::time::Duration;

use super::Lock;
use crate::model::Result;

/// What keeps an agent.
pub trait Work {
    /// See to what is unfinished. False if nothing is.
    fn unfinished(&mut self) -> Result<bool>;

    /// Wait until what was unfinished at the last look may have changed, at most so long. False if
    /// that time is over without a change.
    fn wait(&mut self, limit: Option<Duration>) -> bool;
}

/// Do all work there is; return once there has been none for the time of `linger`, which keeps a row
/// of short jobs from starting an agent each. Without `linger`, stay for ever.
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
