//! The runtime of the model check, and the access of each process to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Control, Error, ErrorCode, JobInfo, JobState, JobTemplate, Outcome, Result, Version, now,
};
use crate::sync::Mutex;
use crate::tracker::{
    Contact, EventSink, Fact, JobTracker, NewJob, Queueing, Settings, Waiting, Withdrawn,
};

/// A request of a process to the runtime.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Prepare(String),
    Start(String),
    Delete(String),
}

/// The runtime, which knows no owners: its content outlives every process.
#[derive(Default)]
pub(super) struct Runtime {
    pub(super) jobs: BTreeMap<String, JobState>,
    /// Jobs of which it knows only that they were started.
    pub(super) lost: BTreeSet<String>,
    /// The number of losses of each job.
    pub(super) losses: BTreeMap<String, usize>,
    /// The number of starts of each job's command.
    pub(super) runs: BTreeMap<String, usize>,
    /// The number of requests to start each job.
    pub(super) asked: BTreeMap<String, usize>,
    /// Started jobs whose command has not begun.
    pub(super) starting: BTreeSet<String>,
    /// Jobs that do not begin.
    pub(super) withdrawn: BTreeSet<String>,
    /// Jobs that were reported as held.
    pub(super) held: BTreeSet<String>,
    /// Requests that are not carried out yet, by process.
    pub(super) requests: Vec<VecDeque<Request>>,
    /// Facts that are not delivered yet, by process.
    pub(super) facts: Vec<VecDeque<Fact>>,
    /// It has a queue of its own.
    pub(super) queues: bool,
    /// Jobs that are to be held from the beginning.
    pub(super) submitted_held: BTreeSet<String>,
    /// It does not answer questions.
    pub(super) mute: bool,
}

impl Runtime {
    pub(super) fn tell_all(&mut self, fact: &Fact) {
        self.facts.iter_mut().for_each(|facts| facts.push_back(fact.clone()));
    }

    /// Let the command of a started job begin.
    pub(super) fn begin(&mut self, id: &str) {
        let waits = matches!(self.jobs.get(id), Some(JobState::Queued | JobState::Requeued));
        if self.queues && waits {
            self.jobs.insert(id.to_owned(), JobState::Running);
            *self.runs.entry(id.to_owned()).or_default() += 1;
            return self.tell_all(&Fact::Started { id: id.to_owned(), at: now(), image: None });
        }
        if self.starting.remove(id) {
            assert!(!self.held.contains(id), "{id} runs though it is held");
            *self.runs.entry(id.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn withdraw(&mut self, id: &str) -> Withdrawn {
        if self.starting.remove(id) {
            self.jobs.insert(id.to_owned(), JobState::Queued);
            self.tell_all(&Fact::Withdrawn { id: id.to_owned() });
        } else if self.jobs.get(id).is_some_and(|state| !state.is_queued()) {
            return Withdrawn::Begun;
        }
        self.withdrawn.insert(id.to_owned());
        Withdrawn::Nothing
    }

    /// Let the job's command end.
    pub(super) fn exit(&mut self, id: &str, exit_status: i32) {
        self.begin(id);
        if self.jobs.get(id).is_some_and(|state| state.is_started()) {
            let state = if exit_status == 0 { JobState::Done } else { JobState::Failed };
            self.jobs.insert(id.to_owned(), state);
            let outcome =
                Outcome { exit_status: Some(exit_status), finished: now(), ..Outcome::default() };
            self.tell_all(&Fact::Ended { id: id.to_owned(), outcome });
        }
    }

    /// End a job that was begun; one that waits in the queue does not run.
    pub(super) fn terminate(&mut self, id: &str) {
        if !self.queues || !self.jobs.get(id).is_some_and(|state| state.is_queued()) {
            return self.exit(id, 143);
        }
        self.jobs.insert(id.to_owned(), JobState::Failed);
        let outcome = Outcome::failed("terminated before it started");
        self.tell_all(&Fact::Ended { id: id.to_owned(), outcome });
    }

    /// Hold or release a job that waits in the queue.
    pub(super) fn switch(&mut self, id: &str, held: bool) {
        use JobState::{Queued, QueuedHeld, Requeued, RequeuedHeld};
        let next = match (self.jobs.get(id), held) {
            (Some(Queued), true) => QueuedHeld,
            (Some(Requeued), true) => RequeuedHeld,
            (Some(QueuedHeld), false) => Queued,
            (Some(RequeuedHeld), false) => Requeued,
            _ => return,
        };
        self.jobs.insert(id.to_owned(), next);
        self.tell_waiting(id);
    }

    /// Let a job be unknown that waits, or runs.
    pub(super) fn forget(&mut self, id: &str) {
        if let Some(state) = self.jobs.get(id).copied().filter(|state| !state.is_terminated()) {
            self.jobs.remove(id);
            if state.is_started() {
                *self.losses.entry(id.to_owned()).or_default() += 1;
            }
        }
    }

    /// Let a job that runs wait to run again.
    pub(super) fn requeue(&mut self, id: &str) {
        if self.jobs.get(id).is_some_and(|state| state.is_started()) {
            self.jobs.insert(id.to_owned(), JobState::Requeued);
            *self.losses.entry(id.to_owned()).or_default() += 1;
            self.tell_waiting(id);
        }
    }

    fn tell_waiting(&mut self, id: &str) {
        if let Some(how) = self.jobs.get(id).and_then(|state| Waiting::of(&JobInfo::new(id, *state))) {
            self.tell_all(&Fact::Waits { id: id.to_owned(), how });
        }
    }

    /// Let the job's command vanish without a result.
    pub(super) fn lose(&mut self, id: &str) {
        self.begin(id);
        if self.jobs.get(id).is_some_and(|state| state.is_started()) {
            self.jobs.insert(id.to_owned(), JobState::Failed);
            self.lost.insert(id.to_owned());
            *self.losses.entry(id.to_owned()).or_default() += 1;
            self.tell_all(&end_of_lost(id));
        }
    }

    /// Carry out the first request of a process, with success or not.
    pub(super) fn serve(&mut self, process: usize, works: bool) {
        let Some(request) = self.requests[process].pop_front() else { return };
        let prepares = matches!(request, Request::Prepare(_));
        match request {
            Request::Start(id) if self.withdrawn.remove(&id) => {
                self.jobs.remove(&id);
                self.facts[process].push_back(Fact::Withdrawn { id });
            }
            Request::Prepare(id) | Request::Start(id)
                if (!works || self.withdrawn.contains(&id))
                    && self.jobs.get(&id).is_none_or(|state| state.is_queued() && !self.queues) =>
            {
                self.jobs.remove(&id);
                let error = Error::new(ErrorCode::TryLater, "full");
                self.facts[process].push_back(match prepares {
                    true => Fact::NotPrepared { id, error },
                    false => Fact::NotStarted { id, error },
                });
            }
            Request::Prepare(id) => drop(self.jobs.insert(id, JobState::Queued)),
            // As in the tracker, a started job is not started a second time.
            Request::Start(id) if self.jobs.get(&id).is_some_and(|state| state.is_started()) => {
                self.tell_all(&Fact::Started { id, at: now(), image: None });
            }
            Request::Start(id)
                if self.queues && self.jobs.get(&id).is_some_and(|state| state.is_queued()) =>
            {
                self.tell_waiting(&id);
            }
            Request::Start(id) if self.lost.contains(&id) => self.tell_all(&end_of_lost(&id)),
            Request::Start(id) if self.jobs.get(&id).is_some_and(|state| state.is_terminated()) => {
                let outcome = Outcome { exit_status: Some(0), finished: now(), ..Outcome::default() };
                self.tell_all(&Fact::Ended { id, outcome });
            }
            Request::Start(id) if self.queues => {
                let held = self.submitted_held.contains(&id);
                self.jobs.insert(id.clone(), if held { JobState::QueuedHeld } else { JobState::Queued });
                self.tell_waiting(&id);
            }
            Request::Start(id) => {
                self.starting.insert(id.clone());
                self.jobs.insert(id.clone(), JobState::Running);
                self.tell_all(&Fact::Started { id, at: now(), image: None });
            }
            Request::Delete(id) => {
                assert!(!self.jobs.get(&id).is_some_and(|state| state.is_started()), "deleted {id}");
                self.jobs.remove(&id);
                self.lost.remove(&id);
                self.withdrawn.remove(&id);
                self.facts[process].push_back(Fact::Deleted { id });
            }
        }
    }

    pub(super) fn running(&self) -> usize {
        self.jobs.values().filter(|state| state.is_started()).count()
    }
}

fn end_of_lost(id: &str) -> Fact {
    Fact::Ended { id: id.to_owned(), outcome: Outcome { lost: true, ..Outcome::failed("lost") } }
}

/// The runtime as one process reaches it.
pub(super) struct Reach {
    pub(super) runtime: Arc<Mutex<Runtime>>,
    pub(super) process: usize,
}

impl Reach {
    fn ask(&self, request: Request) -> Result<()> {
        self.runtime.lock().requests[self.process].push_back(request);
        Ok(())
    }
}

impl JobTracker for Reach {
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    fn check_template(&self, _: &JobTemplate, _: &Settings) -> Result<()> {
        Ok(())
    }

    fn list_jobs(&self) -> Result<Vec<String>> {
        Ok(self.runtime.lock().jobs.keys().cloned().collect())
    }

    fn list_array_jobs(&self, _: &str) -> Result<Vec<String>> {
        self.list_jobs()
    }

    fn add_job(&self, job: NewJob) -> Result<()> {
        let mut runtime = self.runtime.lock();
        *runtime.asked.entry(job.id.clone()).or_default() += 1;
        if job.held {
            runtime.submitted_held.insert(job.id.clone());
        }
        drop(runtime);
        self.ask(Request::Start(job.id))
    }

    fn prepare_job(&self, job: NewJob) -> Result<bool> {
        self.ask(Request::Prepare(job.id)).map(|()| true)
    }

    fn withdraw(&self, id: &str) -> Result<Withdrawn> {
        Ok(self.runtime.lock().withdraw(id))
    }

    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)> {
        self.job_info(id).map(|info| (info.state, None))
    }

    fn job_info(&self, id: &str) -> Result<JobInfo> {
        let runtime = self.runtime.lock();
        if runtime.mute {
            return Err(Error::new(ErrorCode::DrmCommunication, "mute"));
        }
        let state = runtime.jobs.get(id).copied().ok_or_else(|| Error::argument("no such job"))?;
        Ok(JobInfo { lost: runtime.lost.contains(id), ..JobInfo::new(id, state) })
    }

    fn job_control(&self, id: &str, control: Control) -> Result<()> {
        assert_eq!(control, Control::Terminate);
        self.runtime.lock().exit(id, 143);
        Ok(())
    }

    fn wait(&self, _: &str, _: Option<Duration>, _: &[JobState]) -> Result<JobState> {
        Err(Error::unsupported("waiting"))
    }

    fn delete_job(&self, id: &str) -> Result<()> {
        self.ask(Request::Delete(id.to_owned()))
    }

    fn queueing(&self) -> Option<&dyn Queueing> {
        self.runtime.lock().queues.then_some(self as &dyn Queueing)
    }

    fn list_job_categories(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn contact(&self) -> Result<Contact> {
        Ok(Contact { name: "model".into(), version: Version::parse("1") })
    }

    fn subscribe(&self, _: Arc<dyn EventSink>) {}
}

impl Queueing for Reach {
    fn hold(&self, ids: &[String]) -> Result<()> {
        ids.iter().for_each(|id| self.runtime.lock().switch(id, true));
        Ok(())
    }

    fn release(&self, ids: &[String]) -> Result<()> {
        ids.iter().for_each(|id| self.runtime.lock().switch(id, false));
        Ok(())
    }

    fn end(&self, ids: &[String], how: Control) -> Result<()> {
        ids.iter().try_for_each(|id| self.job_control(id, how))
    }
}
