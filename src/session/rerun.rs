//! Jobs that run again because their runtime has lost them.
//!
//! Such a job has several runs, as has one whose start was withdrawn, and a fact does not say to which run it
//! belongs: it may have been on its way for long. So the runtime is asked, where that matters.

use super::engine::Engine;
use crate::model::{ErrorCode, JobInfo, JobState, Outcome, Result};
use crate::store::{Loss, Phase};

impl Engine {
    /// Is the start that a fact tells of that of the run that the store waits for?
    pub(super) fn is_of_this_run(&self, id: &str) -> Result<bool> {
        let Some(run) = self.store.run_after_another(id)? else { return Ok(true) };
        self.progress.lock().forget_before(id, run);
        self.changed.notify_all();
        // Without an answer, `Live` makes everybody look again.
        let info = self.look(id)?.flatten();
        Ok(info
            .is_some_and(|info| info.state.is_started() || (info.state.is_terminated() && !info.lost)))
    }

    /// The end of a job that a run of it has come to; `None` if it is not the end of the job: it waits
    /// to run again, or the fact was about an earlier run.
    pub(super) fn end_of_run(&self, id: &str, outcome: &Outcome) -> Result<Option<Outcome>> {
        // Only a record tells when it started. Without one, the end of a job may be that of a task that
        // could not be started; who starts it tells, or who finds that it has died over it.
        if outcome.started.is_none() && self.is_started_elsewhere(id)? {
            return Ok(None);
        }
        if !outcome.lost {
            return Ok(Some(outcome.clone()));
        }
        loop {
            let (losses, started) = match self.store.loss(id, &self.mine)? {
                Loss::End => return Ok(Some(outcome.clone())),
                Loss::Known => return Ok(None),
                Loss::Rerun { losses, started } => (losses, started),
            };
            // Asked for after they were counted: what is lost now is the run after so many losses.
            match self.look(id)? {
                Some(Some(info)) if info.lost => {}
                Some(Some(info)) if info.state.is_terminated() => return Ok(Some(info.outcome())),
                Some(None) if started => {}
                _ => return Ok(None),
            }
            let reason = outcome.reason.as_deref().unwrap_or_default();
            if self.requeue(id, losses, reason)? {
                self.tell(id, JobState::Requeued, Ok(true))?;
                return Ok(None);
            }
        }
    }

    /// Is another process starting the job, as far as is known?
    fn is_started_elsewhere(&self, id: &str) -> Result<bool> {
        let job = self.store.unsettled_job(id)?;
        Ok(job.is_some_and(|job| {
            job.phase == Phase::Active && job.state.is_queued() && job.claim.as_ref() != Some(&self.mine)
        }))
    }

    /// Put a job back. What is left of its run is removed by the dispatcher.
    fn requeue(&self, id: &str, losses: i64, reason: &str) -> Result<bool> {
        // The dispatcher sees both or neither: that it is put back, and that nobody starts it.
        let mut progress = self.progress.lock();
        let requeued = self.store.job_requeued(id, losses, reason, &self.mine)?;
        progress.starts_no_more(id);
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        Ok(requeued)
    }

    /// What the runtime has of a job, if anything; `None` if it does not answer.
    fn look(&self, id: &str) -> Result<Option<Option<JobInfo>>> {
        match self.tracker.job_info(id) {
            Ok(info) => Ok(Some(Some(info))),
            Err(error) if error.code == ErrorCode::InvalidArgument => Ok(Some(None)),
            Err(error) if error.code == ErrorCode::DrmCommunication => Ok(None),
            Err(error) => Err(error),
        }
    }
}
