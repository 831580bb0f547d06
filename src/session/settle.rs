//! Settling: compares the stored jobs with the runtime, after a gap in the facts, and after the death of
//! a process that worked on jobs.

use super::engine::Engine;
use super::progress::{Doing, Link};
use crate::model::{Error, ErrorCode, JobInfo, JobState, Outcome, Result, now};
use crate::store::{Claim, Phase, Unsettled, Word};
use crate::tracker::{JobTracker, Waiting};

/// The runtime as a source of accounts. One that does not answer is asked once, and not for each job.
pub(super) struct Runtime<'a> {
    tracker: &'a dyn JobTracker,
    /// It does not answer, for this reason.
    silent: Option<Error>,
}

impl Runtime<'_> {
    /// The account of a job. If the runtime does not answer, the job's record may do.
    pub(super) fn job_info(&mut self, id: &str) -> Result<JobInfo> {
        let error = match &self.silent {
            Some(error) => error.clone(),
            None => match self.tracker.job_info(id) {
                Err(error) if error.code == ErrorCode::DrmCommunication => error,
                told => return told,
            },
        };
        self.silent = Some(error.clone());
        self.tracker.recorded(id).ok_or(error)
    }
}

impl Engine {
    /// Compare every job of this runtime that was begun and is not settled, as far as the runtime
    /// answers. If the link to it is lost, records alone are read.
    pub(super) fn settle_all(&self) -> Result<()> {
        let silent = match &self.progress.lock().link {
            Link::Lost(error) => Some(error.clone()),
            Link::Starting | Link::Live => None,
        };
        self.settle_with(silent)
    }

    /// Compare them with a runtime that does not answer, for this reason, or that is asked. Then a missing
    /// answer is an error too, so that it is tried again: the link may stay up.
    pub(super) fn settle_with(&self, silent: Option<Error>) -> Result<()> {
        let (mut result, asks) = (Ok(()), silent.is_none());
        let mut runtime = Runtime { tracker: self.tracker(), silent };
        for job in self.store.unsettled_jobs(&self.target)? {
            match self.settle_one(&job, &mut runtime) {
                Err(error) if asks || error.code != ErrorCode::DrmCommunication => {
                    result = Err(error.of(format!("job {}", job.id)));
                }
                _ => {}
            }
        }
        result
    }

    /// Compare one job.
    pub(super) fn settle(&self, id: &str) -> Result<()> {
        let job = self.store.unsettled_job(id)?;
        let mut runtime = Runtime { tracker: self.tracker(), silent: None };
        let settled = job.map_or(Ok(()), |job| self.settle_one(&job, &mut runtime));
        let progress = self.progress.lock();
        if progress.doing(id) == Some(Doing::Unchecked) && matches!(progress.link, Link::Live) {
            // Else the link comes up some time, and all jobs are compared then.
            self.settle_soon();
        }
        settled
    }

    fn settle_one(&self, job: &Unsettled, runtime: &mut Runtime<'_>) -> Result<()> {
        if job.state.is_started() {
            return self.compare(job, runtime, false);
        }
        let id = &job.id;
        let holder = job.claim.as_ref();
        if job.phase == Phase::There && holder.is_none() {
            return self.compare_waiting(job, runtime);
        }
        let is_mine = holder == Some(&self.mine);
        let doing = self.progress.lock().doing(id);
        if is_mine && doing == Some(Doing::Ending) {
            return self.compare_ending(job, runtime);
        }
        if !is_mine && holder.is_some_and(Claim::is_alive) {
            return Ok(());
        }
        // A job that was being started is checked before any process starts it again, and by one thread. Its run may
        // end and be cleaned up at any time: a request to start it, made before that is stored, would run it twice.
        let looks = matches!(job.phase, Phase::Active | Phase::There);
        if looks && !self.take_up(job, Doing::Checking) {
            return Ok(());
        }
        let taken = if is_mine { Ok(true) } else { self.store.take_over(id, holder, &self.mine) };
        match (taken, job.phase) {
            (Ok(true), Phase::Active | Phase::There) => {
                self.compare(job, runtime, !is_mine || doing == Some(Doing::Unchecked))
            }
            (Ok(true), Phase::Idle) => {
                if !self.progress.lock().rests(id) {
                    self.clean_up(id);
                }
                Ok(())
            }
            // Left to the dispatcher.
            (Ok(true), Phase::Ready | Phase::Undoing) => Ok(()),
            (other, _) => {
                if looks {
                    self.done(id);
                }
                other.map(drop)
            }
        }
    }

    /// Compare a job that has started, or that this process is to start, perhaps in place of one that died.
    fn compare(&self, job: &Unsettled, runtime: &mut Runtime<'_>, taken_over: bool) -> Result<()> {
        let id = &job.id;
        let compared = match runtime.job_info(id) {
            Ok(info) if job.phase == Phase::There && info.state.is_queued() => {
                let stored = Waiting::of(&info).map_or(Ok(()), |how| self.waits_there(id, &how));
                if job.terminate.is_some() && stored.is_ok() {
                    // It was told to end just now, and stays this process's work until it has.
                    return stored;
                }
                stored
            }
            Ok(info) if info.state.is_started() || info.state.is_terminated() => {
                let adopted = self.adopt(job, &info);
                // It is begun, in any state.
                self.progress.lock().starts_no_more(id);
                return adopted;
            }
            Ok(info) if info.state.is_queued() && job.state.is_started() => self.run_withdrawn(job),
            Ok(_) => Ok(()),
            Err(error) if error.code != ErrorCode::InvalidArgument => Err(error),
            Err(_) if job.state.is_queued() && taken_over && job.phase == Phase::There => {
                return self.starts_anew(job);
            }
            Err(_) if job.state.is_queued() => Ok(()),
            Err(error) if job.phase == Phase::There && self.is_handed_over_again(job, &error)? => {
                return Ok(());
            }
            Err(error) => {
                let reason = format!("runtime lost: the job ended without a trace ({error})");
                return self.ended(id, &Outcome { lost: true, ..Outcome::failed(reason) });
            }
        };
        if job.state.is_queued() {
            match compared {
                // The dispatcher starts it.
                Ok(()) => self.done(id),
                Err(_) => self.progress.lock().leave_unchecked(id),
            }
        }
        compared
    }

    /// Note that the queue of the runtime does not know a job that was taken over. It may have forgotten it: late
    /// reports about that are none about the next start.
    fn starts_anew(&self, job: &Unsettled) -> Result<()> {
        // The dispatcher sees both or neither: the new run, and that no work is in progress for the job.
        let mut progress = self.progress.lock();
        let stored = self.store.start_forgotten(&job.id, job.run, &self.mine);
        match stored {
            Ok(()) => progress.starts_no_more(&job.id),
            Err(_) => progress.leave_unchecked(&job.id),
        }
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        stored
    }

    /// Store the runtime's view of a job.
    pub(super) fn adopt(&self, job: &Unsettled, info: &JobInfo) -> Result<()> {
        let id = &job.id;
        if let Some(place) = info.allocated_machines.first().filter(|_| self.queues_itself()) {
            self.store.job_placed(id, &place.machine, Some(place.slots))?;
        }
        if info.state.is_terminated() {
            return self.ended(id, &info.outcome());
        }
        if job.state.is_queued() {
            self.started(id, info.dispatched.unwrap_or_else(now), info.image.as_ref())?;
        }
        let found = Word::Found { last: job.switched };
        let news = match info.state {
            JobState::Suspended => self.store.job_suspended(id, found),
            _ => self.store.job_resumed(id, found),
        };
        self.tell(news)?;
        if job.state.is_started() {
            self.end_if_asked(id, job.terminate);
        }
        Ok(())
    }
}
