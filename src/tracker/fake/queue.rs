//! The fake as a system with a queue of its own.

use std::sync::Arc;

use super::{FakeTracker, State};
use crate::model::{Control, ErrorCode, JobInfo, JobState, Result};
use crate::tracker::{Accepted, Fact, JobTracker, NewArray, NewJob, Queueing, Waiting};

impl FakeTracker {
    /// A system without jobs that has a queue of its own.
    pub fn with_queue() -> Arc<Self> {
        let fake = Self::default();
        fake.state.lock().queues = true;
        Arc::new(fake)
    }

    /// Let a running job wait to run again.
    pub fn requeue(&self, id: &str) {
        let mut state = self.state.lock();
        let order = state.orders.iter().rfind(|order| order.id == id).cloned();
        if let Some(info) = state.jobs.get_mut(id).filter(|info| info.state.is_started()) {
            info.state = JobState::Requeued;
            state.starting.extend(order);
            state.say_waiting(id);
        }
        drop(state);
        self.start_waiting();
    }

    /// Take a job into the queue, unless it is known.
    pub(super) fn take_into_queue(&self, job: NewJob) -> Result<()> {
        let mut state = self.up()?;
        let id = job.id.clone();
        if let Some(error) = state.refusal.take() {
            return Err(error);
        }
        match state.jobs.get(&id).map(|info| (info.state, info.outcome(), info.dispatched)) {
            None => {
                let waits = if job.held { JobState::QueuedHeld } else { JobState::Queued };
                state.jobs.insert(id.clone(), JobInfo::new(&id, waits));
                state.starting.push(job);
                state.say_waiting(&id);
                self.changed.notify_all();
            }
            Some((known, ..)) if known.is_queued() => state.say_waiting(&id),
            Some((known, outcome, _)) if known.is_terminated() => state.say(Fact::Ended { id, outcome }),
            Some((_, _, at)) => state.say(Fact::Started { id, at: at.unwrap_or_default(), image: None }),
        }
        drop(state);
        self.start_waiting();
        Ok(())
    }

    /// Take the tasks of an array, as one if that is possible.
    pub(super) fn take_array(&self, array: &NewArray) -> Result<Accepted> {
        let tasks: Vec<NewJob> = array.indices.iter().map(|index| array.task(*index)).collect();
        match self.take_whole_array_into_queue(&tasks)? {
            Some(how) => Ok(Accepted::Wait(how)),
            None => {
                tasks.into_iter().try_for_each(|task| self.add_job(task)).map(|()| Accepted::Reports)
            }
        }
    }

    /// Take all tasks of an array into the queue, and report nothing of that; `None` if that is no answer, because one of
    /// them is known, or there is no queue.
    fn take_whole_array_into_queue(&self, tasks: &[NewJob]) -> Result<Option<Waiting>> {
        let mut state = self.up()?;
        if !state.queues || tasks.iter().any(|task| state.jobs.contains_key(&task.id)) {
            return Ok(None);
        }
        if let Some(error) = state.refusal.take() {
            return Err(error);
        }
        let held = tasks.iter().any(|task| task.held);
        let waits = if held { JobState::QueuedHeld } else { JobState::Queued };
        for task in tasks {
            state.jobs.insert(task.id.clone(), JobInfo::new(&task.id, waits));
            state.starting.push(task.clone());
        }
        self.changed.notify_all();
        drop(state);
        self.start_waiting();
        Ok(Some(Waiting { held, ..Waiting::default() }))
    }

    /// Hold or release those of these jobs that wait.
    fn switch(&self, ids: &[String], from: fn(JobState) -> Option<JobState>) -> Result<()> {
        let mut state = self.up()?;
        for id in ids {
            let job = state.job(id)?;
            if let Some(to) = from(job.state) {
                job.state = to;
                state.say_waiting(id);
            }
        }
        drop(state);
        self.start_waiting();
        Ok(())
    }
}

impl State {
    fn say_waiting(&self, id: &str) {
        if let Some(how) = self.jobs.get(id).and_then(Waiting::of) {
            self.say(Fact::Waits { id: id.to_owned(), how });
        }
    }
}

impl Queueing for FakeTracker {
    fn hold(&self, ids: &[String]) -> Result<()> {
        self.switch(ids, |state| match state {
            JobState::Queued => Some(JobState::QueuedHeld),
            JobState::Requeued => Some(JobState::RequeuedHeld),
            _ => None,
        })
    }

    fn end(&self, ids: &[String], how: Control) -> Result<()> {
        for id in ids {
            match self.job_control(id, how) {
                Err(error)
                    if matches!(error.code, ErrorCode::InvalidState | ErrorCode::InvalidArgument) => {}
                done => done?,
            }
        }
        Ok(())
    }

    fn release(&self, ids: &[String]) -> Result<()> {
        self.switch(ids, |state| match state {
            JobState::QueuedHeld => Some(JobState::Queued),
            JobState::RequeuedHeld => Some(JobState::Requeued),
            _ => None,
        })
    }
}
