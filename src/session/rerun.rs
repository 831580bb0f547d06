//! Jobs that run again because their runtime has lost them.
//!
//! Such a job has several runs, as has one whose start was withdrawn, and a fact does not name its run:
//! it may have been delayed. So the runtime is asked if that matters.

use super::engine::Engine;
use crate::model::{ErrorCode, JobInfo, Outcome, Result};
use crate::store::{Loss, Phase};

impl Engine {
    /// Returns whether a reported start is that of the run that the store waits for.
    pub(super) fn is_of_this_run(&self, id: &str) -> Result<bool> {
        let Some(run) = self.store.run_after_another(id)? else { return Ok(true) };
        self.progress.lock().forget_before(id, run);
        self.changed.notify_all();
        let info = self.look(id)?;
        Ok(info
            .is_some_and(|info| info.state.is_started() || (info.state.is_terminated() && !info.lost)))
    }

    /// The end of the job by the end of a run; `None` if it is not the end of the job: it waits to run
    /// again, or the fact was about an earlier run.
    pub(super) fn end_of_run(&self, id: &str, outcome: &Outcome) -> Result<Option<Outcome>> {
        // Only a record has the time of the start. Without one, the end may be that of a task that could
        // not be started; this is left to the process that starts it, or to the one that takes over
        // after its death.
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
            // Asked after the losses were counted: a loss now is that of the run after this number of
            // losses.
            match self.look(id)? {
                Some(info) if info.lost => {}
                Some(info) if info.state.is_terminated() => return Ok(Some(info.outcome())),
                None if started => {}
                // It has not begun, which was found after its start had been reported.
                Some(info) if started && info.state.is_queued() => {}
                _ => return Ok(None),
            }
            let reason = outcome.reason.as_deref().unwrap_or_default();
            if self.requeue(id, losses, reason)? {
                self.tell(Ok(true))?;
                return Ok(None);
            }
        }
    }

    /// Returns whether another process is starting the job, as far as known.
    fn is_started_elsewhere(&self, id: &str) -> Result<bool> {
        let job = self.store.unsettled_job(id)?;
        Ok(job.is_some_and(|job| {
            let starter =
                job.claim.as_ref().filter(|_| matches!(job.phase, Phase::Active | Phase::There));
            job.state.is_queued() && starter.is_some_and(|starter| starter != &self.mine)
        }))
    }

    /// Put a job back. The dispatcher removes the leftovers of its run.
    fn requeue(&self, id: &str, losses: i64, reason: &str) -> Result<bool> {
        // The dispatcher sees both or neither: that the job is put back, and that no work is in progress
        // for it.
        let mut progress = self.progress.lock();
        let requeued = self.store.job_requeued(id, losses, reason, &self.mine)?;
        progress.starts_no_more(id);
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        Ok(requeued)
    }

    /// The runtime's view of a job, if it has it. Without an answer, the thread of the facts compares all
    /// jobs later: nothing else may come that makes it look again.
    pub(super) fn look(&self, id: &str) -> Result<Option<JobInfo>> {
        match self.tracker.job_info(id) {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.code == ErrorCode::InvalidArgument => Ok(None),
            Err(error) => Err(error),
        }
    }
}
