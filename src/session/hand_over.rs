//! Jobs of a runtime with a queue of its own: they are handed over to it as soon as they are submitted, and wait
//! there. Their holds and releases are passed on.

use super::engine::Engine;
use super::jobs::settle;
use super::progress::{Doing, Work, task};
use super::settle::Runtime;
use super::world::World;
use crate::model::{Control, Error, ErrorCode, JobState, Outcome, Result};
use crate::store::{Unsettled, Which};
use crate::tracker::{Fact, NewJob, Waiting};

/// Hold or release those jobs that wait in the queue of their runtime. Returns the number of those that are held, or
/// released, then.
pub(super) fn pass_on(world: &World, which: Which<'_>, control: Control) -> Result<usize> {
    let releases = control == Control::Release;
    let mut jobs = world.store.waiting_there(which, releases)?;
    jobs.sort_by(|one, other| one.1.cmp(&other.1));
    let mut acted = 0;
    for jobs in jobs.chunk_by(|one, other| one.1 == other.1) {
        let engine = world.engine(&jobs[0].1)?;
        engine.subscribe();
        let ids: Vec<String> = jobs.iter().map(|(id, _)| id.clone()).collect();
        let queue = engine.tracker().queueing();
        let queue = queue.ok_or_else(|| Error::internal("a runtime without a queue of its own"))?;
        let accepted = if releases { queue.release(&ids) } else { queue.hold(&ids) };
        accepted.map_err(|error| match error.code {
            // Its process has not handed it over yet.
            ErrorCode::InvalidArgument => Error { code: ErrorCode::TryLater, ..error },
            _ => error,
        })?;
        for id in &ids {
            let is_done = |state: JobState| state.is_held() != releases;
            settle(world, id, |state| !state.is_queued() || is_done(state))?;
            match world.store.job_state(id)? {
                Some(state) if is_done(state) => acted += 1,
                Some(state) if state.is_queued() => {
                    let text = format!("job {id}: the runtime has accepted it, but has not said so yet");
                    return Err(Error::new(ErrorCode::TryLater, text));
                }
                _ => {}
            }
        }
    }
    Ok(acted)
}

impl Engine {
    /// Returns whether its runtime has a queue of its own.
    pub(super) fn queues_itself(&self) -> bool {
        self.tracker.queueing().is_some()
    }

    /// Hand jobs of one submission over that the store assigns to this process. What cannot be handed over now is
    /// tried again.
    pub(super) fn hand_over(&self, jobs: &[Unsettled]) {
        let mut orders = Vec::with_capacity(jobs.len());
        for job in jobs.iter().filter(|job| self.take_up(job, Doing::Starting)) {
            if !self.is_assigned(job, Doing::Starting) {
                self.done(&job.id);
            } else if job.terminate.is_some() {
                self.give_up(job);
            } else {
                match self.order(&job.id) {
                    Ok(order) => orders.push(order),
                    Err(error) => self.not_begun(&job.id, Doing::Starting, error),
                }
            }
        }
        let ids: Vec<String> = orders.iter().map(|order| order.id.clone()).collect();
        if let Err(error) = self.give(orders) {
            ids.iter().for_each(|id| self.not_begun(id, Doing::Starting, error.clone()));
        }
    }

    /// Note that this process works on a job that is about to be stored.
    pub(super) fn takes_up_new(&self, id: &str) {
        let work = Work { doing: Doing::Starting, run: 0, submission: 0 };
        self.progress.lock().take_up(id, work);
    }

    /// Hand over what was just submitted, after [`takes_up_new`](Self::takes_up_new). An error that will not pass is
    /// the submission's.
    pub(super) fn hand_over_now(&self, ids: &[String]) -> Result<()> {
        let orders = ids.iter().map(|id| self.order(id)).collect::<Result<Vec<_>>>();
        match orders.and_then(|orders| self.give(orders)) {
            Err(error) if error.may_pass() => {
                ids.iter().for_each(|id| self.not_begun(id, Doing::Starting, error.clone()));
                Ok(())
            }
            given => given,
        }
    }

    fn give(&self, mut orders: Vec<NewJob>) -> Result<()> {
        match orders.len() {
            0 => Ok(()),
            1 => self.tracker.add_job(orders.remove(0)),
            _ => self.tracker.add_array_job(orders),
        }
    }

    /// Store that a job waits in the queue of the runtime, as was reported. A report may be late, so the runtime is
    /// asked if it is news about a job that was handed over before.
    pub(super) fn is_said_to_wait(&self, id: &str, how: &Waiting) -> Result<()> {
        if !self.store.waits_otherwise(id, how)? {
            return self.waits_there(id, how);
        }
        match self.look(id)?.as_ref().and_then(Waiting::of) {
            Some(how) => self.waits_there(id, &how),
            // Its start or its end is reported as well.
            None => Ok(()),
        }
    }

    /// Store that a job waits in the queue of the runtime.
    pub(super) fn waits_there(&self, id: &str, how: &Waiting) -> Result<()> {
        let (news, terminate) = self.store.job_waits(id, how)?;
        self.starts_no_more(id);
        self.tell(Ok(news))?;
        self.end_if_asked(id, terminate);
        Ok(())
    }

    /// Compare a job that was handed over with the runtime.
    pub(super) fn compare_waiting(&self, job: &Unsettled, runtime: &mut Runtime<'_>) -> Result<()> {
        match runtime.job_info(&job.id) {
            Ok(info) => match Waiting::of(&info) {
                Some(how) => self.waits_there(&job.id, &how),
                None if info.state.is_started() || info.state.is_terminated() => self.adopt(job, &info),
                None => Ok(()),
            },
            Err(error) if error.code != ErrorCode::InvalidArgument => Err(error),
            // The runtime has forgotten it: it is handed over again.
            Err(_) => {
                self.store.take_over(&job.id, None, &self.mine)?;
                self.kick.ring();
                Ok(())
            }
        }
    }

    /// Returns whether the store still assigns this work to this process.
    pub(super) fn is_assigned(&self, job: &Unsettled, doing: Doing) -> bool {
        let now = self.store.unsettled_job(&job.id);
        matches!(now, Ok(Some(now)) if (&now.claim, now.run) == (&job.claim, job.run) && task(&now) == Some(doing))
    }

    /// Report that work of this process could not be begun.
    pub(super) fn not_begun(&self, id: &str, doing: Doing, error: Error) {
        let id = id.to_owned();
        self.report(match doing {
            Doing::Undoing | Doing::Cleaning => Fact::NotDeleted { id, error },
            Doing::Preparing => Fact::NotPrepared { id, error },
            Doing::Starting if error.may_pass() => Fact::NotStarted { id, error },
            Doing::Starting => Fact::Ended { id, outcome: Outcome::failed(error.message) },
        });
    }
}
