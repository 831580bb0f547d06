//! A tracker for tests: it runs nothing, and follows the test's instructions.

mod monitoring;
mod queue;
mod reserving;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Accepted, Contact, EventSink, Fact, JobTracker, Monitoring, NewArray, NewJob, Queueing, Reserving,
    Settings, Withdrawn,
};
use crate::model::{
    Control, Error, ErrorCode, JobInfo, JobState, JobTemplate, Outcome, ReservationInfo, Result,
    Version, now, now_nanos, signal_name, signal_number,
};
use crate::sync::{Condvar, Mutex, MutexGuard};

pub use template::CATEGORY;

/// Runs jobs in memory. A job whose command is a number ends at once with that exit code; any other runs
/// until [`FakeTracker::exit`].
#[derive(Default)]
pub struct FakeTracker {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<String, JobInfo>,
    /// Jobs that were removed while all were listed.
    removed: Vec<JobInfo>,
    orders: Vec<NewJob>,
    /// Jobs that are ready to start.
    prepared: Vec<NewJob>,
    /// Jobs that were asked to end.
    terminated: BTreeSet<String>,
    /// Jobs whose start waits for [`FakeTracker::set_slow`]; with a queue of its own, also those that are held.
    starting: Vec<NewJob>,
    /// It has a queue of its own.
    queues: bool,
    /// Reservations that it keeps.
    reservations: Vec<ReservationInfo>,
    /// Jobs whose start was withdrawn.
    withdrawn: BTreeSet<String>,
    slow: bool,
    /// Leftovers of attempts at jobs.
    leftovers: BTreeSet<String>,
    /// Nothing can be removed.
    stuck: bool,
    /// The number of failed removals.
    tried: usize,
    sink: Option<Arc<dyn EventSink>>,
    down: Option<Error>,
    /// Requests about jobs get no answer.
    hung: bool,
    /// The number of requests about jobs.
    asked: usize,
    refusal: Option<Error>,
    silent: bool,
}

impl FakeTracker {
    /// A system without jobs.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// End the command of a job.
    pub fn exit(&self, id: &str, exit_status: i32) {
        self.finish(
            id,
            Outcome { exit_status: Some(exit_status), finished: now(), ..Outcome::default() },
        );
    }

    /// Let every call fail with this error, or work again.
    pub fn set_down(&self, error: Option<Error>) {
        let mut state = self.state.lock();
        state.down.clone_from(&error);
        state.say(error.map_or(Fact::Live, |error| Fact::Lost { error }));
    }

    /// Let requests about jobs wait for an answer from now on, or answer them again.
    pub fn set_hung(&self, hung: bool) {
        self.state.lock().hung = hung;
        self.changed.notify_all();
    }

    /// The number of requests about jobs so far.
    pub fn asked(&self) -> usize {
        self.state.lock().asked
    }

    /// Let the next start or preparation of a job fail, temporarily.
    pub fn refuse_next(&self, error: Error) {
        self.state.lock().refusal = Some(error);
    }

    /// Let no job start from now on, or let all start, including those that wait.
    pub fn set_slow(&self, slow: bool) {
        let mut state = self.state.lock();
        state.slow = slow;
        drop(state);
        self.start_waiting();
    }

    /// Start what waits, unless it is held or no job starts.
    fn start_waiting(&self) {
        let mut state = self.state.lock();
        let State { slow, starting, jobs, .. } = &mut *state;
        let is_held = |job: &mut NewJob| jobs.get(&job.id).is_some_and(|info| info.state.is_held());
        let ready: Vec<_> = starting.extract_if(.., |job| !*slow && !is_held(job)).collect();
        drop(state);
        ready.into_iter().for_each(|job| self.start(job));
    }

    /// Wait until the start of a job waits for [`set_slow`](Self::set_slow).
    pub fn wait_until_starting(&self, id: &str) {
        let mut state = self.state.lock();
        while !state.starting.iter().any(|job| job.id == id) {
            state = self.changed.wait(state);
        }
    }

    /// Lose facts from now on, or report them again.
    pub fn set_silent(&self, silent: bool) {
        self.state.lock().silent = silent;
    }

    /// Add a job that was not submitted here.
    pub fn add_foreign(&self, id: &str) {
        self.state.lock().jobs.insert(id.to_owned(), JobInfo::new(id, JobState::Running));
    }

    /// Let the list of all jobs have one that was removed while it was made.
    pub fn list_though_removed(&self, job: JobInfo) {
        self.state.lock().removed.push(job);
    }

    /// Add a leftover of an attempt at a job.
    pub fn leave(&self, name: &str) {
        self.state.lock().leftovers.insert(name.to_owned());
    }

    /// Let removals fail from now on, or work again.
    pub fn set_stuck(&self, stuck: bool) {
        self.state.lock().stuck = stuck;
    }

    /// The number of failed removals.
    pub fn failed_deletions(&self) -> usize {
        self.state.lock().tried
    }

    /// Let the runtime lose a job.
    pub fn lose(&self, id: &str) {
        let mut state = self.state.lock();
        state.jobs.remove(id);
        state.starting.retain(|job| job.id != id);
    }

    /// All started jobs, in order.
    pub fn orders(&self) -> Vec<NewJob> {
        self.state.lock().orders.clone()
    }

    /// All prepared jobs, in order.
    pub fn prepared(&self) -> Vec<NewJob> {
        self.state.lock().prepared.clone()
    }

    fn finish(&self, id: &str, outcome: Outcome) {
        let mut state = self.state.lock();
        let Some(info) = state.jobs.get_mut(id).filter(|info| !info.state.is_terminated()) else {
            return;
        };
        info.state = outcome.state();
        info.exit_status = outcome.exit_status;
        info.terminating_signal = outcome.signal.map(signal_name);
        info.annotation.clone_from(&outcome.reason);
        info.finished = Some(outcome.finished);
        state.say(Fact::Ended { id: id.to_owned(), outcome });
        self.changed.notify_all();
    }

    /// Start a job that is neither withdrawn nor delayed.
    fn start(&self, job: NewJob) {
        let exit = job.template.remote_command.as_ref().and_then(|text| text.to_string().parse().ok());
        let (id, at) = (job.id.clone(), now());
        let info = JobInfo {
            name: job.template.job_name.as_ref().map(ToString::to_string),
            session: Some(job.session.clone()),
            owner: Some(job.submitter.user.clone()),
            dispatched: Some(at),
            ..JobInfo::new(&id, JobState::Running)
        };
        let mut state = self.state.lock();
        if state.withdrawn.contains(&id) {
            return state.give_up(&id);
        }
        state.jobs.insert(id.clone(), info);
        state.orders.push(job);
        state.say(Fact::Started { id: id.clone(), at, image: None });
        drop(state);
        self.changed.notify_all();
        if let Some(code) = exit {
            self.exit(&id, code);
        }
    }

    /// The answer to a request, which may take long.
    fn answer(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.asked += 1;
        self.changed.notify_all();
        while state.hung {
            state = self.changed.wait(state);
        }
        drop(state);
        self.up()
    }

    fn up(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        match &state.down {
            Some(error) => Err(error.clone()),
            None => Ok(state),
        }
    }
}

impl State {
    fn say(&self, fact: Fact) {
        if let Some(sink) = self.sink.as_ref().filter(|_| !self.silent) {
            sink.fact(fact);
        }
    }

    /// Forget that a job is ready to start; false if it is not.
    fn unprepare(&mut self, id: &str) -> bool {
        let before = self.prepared.len();
        self.prepared.retain(|job| job.id != id);
        self.prepared.len() < before
    }

    /// Give up the start of a job, because it was withdrawn.
    fn give_up(&mut self, id: &str) {
        self.starting.retain(|job| job.id != id);
        self.jobs.remove(id);
        self.withdrawn.remove(id);
        self.say(Fact::Withdrawn { id: id.to_owned() });
    }

    /// Report that something cannot be removed, if removals fail.
    fn is_stuck(&mut self, id: &str) -> bool {
        if self.stuck {
            self.tried += 1;
            let error = Error::new(ErrorCode::Internal, "device or resource busy");
            self.say(Fact::NotDeleted { id: id.to_owned(), error });
        }
        self.stuck
    }

    fn job(&mut self, id: &str) -> Result<&mut JobInfo> {
        let unknown = || Error::argument(format!("job {id} is not in the fake"));
        self.jobs.get_mut(id).ok_or_else(unknown)
    }
}

impl JobTracker for FakeTracker {
    fn attributes(&self) -> &'static [&'static str] {
        &template::ATTRIBUTES
    }

    fn check_template(&self, template: &JobTemplate, _: &Settings) -> Result<()> {
        drop(self.up()?);
        template::check(template)
    }

    fn list_jobs(&self) -> Result<Vec<String>> {
        Ok(self.up()?.jobs.keys().cloned().collect())
    }

    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>> {
        let prefix = format!("{array}.");
        Ok(self.list_jobs()?.into_iter().filter(|id| id.starts_with(&prefix)).collect())
    }

    fn add_job(&self, job: NewJob) -> Result<()> {
        let mut state = self.up()?;
        if state.queues {
            drop(state);
            return self.take_into_queue(job);
        }
        let id = job.id.clone();
        state.unprepare(&id);
        if state.terminated.remove(&id) {
            drop(state);
            self.finish(&id, Outcome::failed("terminated before it started"));
            return Ok(());
        }
        if let Some(error) = state.refusal.take() {
            state.jobs.remove(&id);
            state.say(Fact::NotStarted { id, error });
            return Ok(());
        }
        if state.slow {
            state.jobs.insert(id.clone(), JobInfo::new(&id, JobState::Queued));
            state.starting.push(job);
            self.changed.notify_all();
            return Ok(());
        }
        drop(state);
        self.start(job);
        Ok(())
    }

    fn add_array_job(&self, array: NewArray) -> Result<Accepted> {
        self.take_array(&array)
    }

    fn withdraw(&self, id: &str) -> Result<Withdrawn> {
        let mut state = self.up()?;
        if state.jobs.get(id).is_some_and(|job| !job.state.is_queued()) {
            return Ok(Withdrawn::Begun);
        }
        state.withdrawn.insert(id.to_owned());
        if state.starting.iter().any(|job| job.id == id) {
            state.give_up(id);
        }
        Ok(Withdrawn::Nothing)
    }

    fn prepare_job(&self, job: NewJob) -> Result<bool> {
        let mut state = self.up()?;
        let id = job.id.clone();
        if state.prepared.iter().any(|prepared| prepared.id == id) {
            return Err(Error::state(format!("job {id} is being started")));
        }
        if let Some(error) = state.refusal.take() {
            state.say(Fact::NotPrepared { id, error });
            return Ok(true);
        }
        state.jobs.insert(id.clone(), JobInfo::new(&id, JobState::Queued));
        state.prepared.push(job);
        Ok(true)
    }

    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)> {
        Ok((self.up()?.job(id)?.state, None))
    }

    fn job_info(&self, id: &str) -> Result<JobInfo> {
        Ok(self.answer()?.job(id)?.clone())
    }

    fn recorded(&self, id: &str) -> Option<JobInfo> {
        self.state.lock().jobs.get(id).filter(|info| info.state.is_terminated()).cloned()
    }

    fn job_control(&self, id: &str, control: Control) -> Result<()> {
        let mut state = self.answer()?;
        let queues = state.queues;
        let job = state.job(id)?;
        let next = job.state.after(control)?;
        match control {
            Control::Suspend => {
                job.state = next;
                state.say(Fact::Suspended { id: id.to_owned(), at: now_nanos() });
            }
            Control::Resume => {
                job.state = next;
                state.say(Fact::Resumed { id: id.to_owned(), at: now_nanos() });
            }
            _ if next == JobState::Failed && job.state.is_queued() && queues => {
                state.starting.retain(|job| job.id != id);
                drop(state);
                self.finish(id, Outcome::failed("terminated before it started"));
            }
            _ if next == JobState::Failed && job.state.is_queued() => {
                state.terminated.insert(id.to_owned());
            }
            _ => {
                drop(state);
                let kills = control == Control::Kill;
                let signal = signal_number(if kills { "SIGKILL" } else { "SIGTERM" });
                let outcome = Outcome {
                    exit_status: signal.map(|number| 128 + number),
                    signal,
                    finished: now(),
                    ..Outcome::default()
                };
                self.finish(id, outcome);
            }
        }
        self.changed.notify_all();
        Ok(())
    }

    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.up()?;
        loop {
            let now = state.job(id)?.state;
            if states.contains(&now) {
                return Ok(now);
            }
            let timed_out = match deadline {
                Some(deadline) => {
                    let over;
                    (state, over) = self.changed.wait_until(state, deadline);
                    over
                }
                None => {
                    state = self.changed.wait(state);
                    false
                }
            };
            if timed_out {
                return Err(Error::new(ErrorCode::Timeout, format!("job {id} is {now}")));
            }
        }
    }

    fn delete_job(&self, id: &str) -> Result<()> {
        let mut state = self.up()?;
        let undone = state.unprepare(id);
        if !undone && state.jobs.get(id).is_some_and(|job| !job.state.is_terminated()) {
            return Err(Error::state(format!("job {id} has not ended")));
        }
        if state.is_stuck(id) {
            return Ok(());
        }
        state.jobs.remove(id);
        state.terminated.remove(id);
        state.withdrawn.remove(id);
        state.say(Fact::Deleted { id: id.to_owned() });
        Ok(())
    }

    fn leftovers(&self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        let names: Vec<String> = self.up()?.leftovers.iter().cloned().collect();
        let unneeded = |name: &String| needed(name).map(|needed| !needed);
        names
            .into_iter()
            .filter_map(|name| unneeded(&name).map(|is| is.then_some(name)).transpose())
            .collect()
    }

    fn delete_leftover(&self, name: &str) -> Result<()> {
        let mut state = self.up()?;
        if !state.is_stuck(name) {
            state.leftovers.remove(name);
            state.say(Fact::Deleted { id: name.to_owned() });
        }
        Ok(())
    }

    fn list_job_categories(&self) -> Result<Vec<String>> {
        self.up().map(|_| vec![CATEGORY.to_owned()])
    }

    fn contact(&self) -> Result<Contact> {
        self.up().map(|_| Contact { name: "fake".into(), version: Version::parse("1.2.3") })
    }

    fn queueing(&self) -> Option<&dyn Queueing> {
        self.state.lock().queues.then_some(self as &dyn Queueing)
    }

    fn monitoring(&self) -> Option<&dyn Monitoring> {
        Some(self)
    }

    fn reserving(&self) -> Option<&dyn Reserving> {
        self.state.lock().queues.then_some(self as &dyn Reserving)
    }

    fn subscribe(&self, sink: Arc<dyn EventSink>) {
        let mut state = self.state.lock();
        state.sink = Some(sink);
        let down = state.down.clone();
        state.say(down.map_or(Fact::Live, |error| Fact::Lost { error }));
    }
}
