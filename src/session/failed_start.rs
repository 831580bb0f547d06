//! Starts that failed: the job waits for another attempt, or has failed for good.

use super::engine::Engine;
use super::progress::Doing;
use crate::model::{Error, ErrorCode, Result};
use crate::store::Retry;

/// The number of attempts at a job that cannot be started for reasons that may pass.
const ATTEMPTS: i64 = 5;

impl Engine {
    /// Let a job that could not be started wait for another attempt, after a pause.
    pub(super) fn not_started(&self, id: &str, error: &Error) -> Result<()> {
        tracing::warn!(job = %id, %error, "cannot start a job");
        // A runtime that is away starts nothing, and one whose queue is full says nothing of the job, so the attempt
        // does not count.
        let counts = match error.code {
            ErrorCode::DrmCommunication => false,
            ErrorCode::TryLater => !self.queues_itself(),
            _ => true,
        };
        let attempts = counts.then_some(ATTEMPTS);
        let retry = self.store.job_not_started(id, &error.message, attempts, &self.mine);
        let mut progress = self.progress.lock();
        progress.ends_work(id);
        progress.pause();
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        if retry? == Retry::Failed {
            self.waits.refresh(&self.store);
        }
        Ok(())
    }

    /// Let a job that could not be made ready wait for its turn as before, or fail, because it could not
    /// be started either. If its turn has come meanwhile, its start decides.
    pub(super) fn not_prepared(&self, id: &str, error: &Error) -> Result<()> {
        tracing::debug!(job = %id, %error, "cannot make a job ready");
        let failure = (!error.may_pass()).then_some(error.message.as_str());
        let failed = self.store.job_not_prepared(id, failure, &self.mine);
        let mut progress = self.progress.lock();
        if progress.doing(id) == Some(Doing::Preparing) {
            progress.working.remove(id);
        }
        if error.may_pass() && !progress.unready {
            progress.pause();
        }
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        self.tell(failed)
    }
}
