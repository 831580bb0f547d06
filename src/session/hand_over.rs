//! Jobs of a runtime with a queue of its own: they are handed over to it as soon as they are submitted, and wait
//! there. Their holds and releases are passed on.

use std::collections::HashSet;

use super::engine::Engine;
use super::jobs::settle;
use super::progress::{Doing, task};
use super::settle::Runtime;
use super::world::World;
use crate::model::{Control, Error, ErrorCode, JobState, Outcome, Result};
use crate::store::{NewTasks, Unsettled, Which, task_id};
use crate::tracker::{Accepted, Fact, Queueing, TaskRange, Waiting};

/// Jobs that were just submitted and are to be handed over.
pub(super) enum New {
    /// Jobs, those that have not failed already.
    Jobs(Vec<String>),
    /// All tasks of an array, which are stored as one row.
    Array(String, TaskRange),
}

impl New {
    /// Those of a submission.
    pub(super) fn of(id: &str, tasks: Option<NewTasks<'_>>, failure: Option<&str>) -> Self {
        match tasks {
            None => Self::Jobs(failure.is_none().then(|| id.to_owned()).into_iter().collect()),
            Some(NewTasks::Alike(range)) => Self::Array(id.to_owned(), range),
            Some(NewTasks::Each(tasks)) => {
                let fit = tasks.iter().filter(|task| task.failure.is_none());
                Self::Jobs(fit.map(|task| task_id(id, task.index)).collect())
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        match self {
            Self::Jobs(ids) => ids.clone(),
            Self::Array(array, range) => range.indices().map(|index| task_id(array, index)).collect(),
        }
    }
}

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
        for id in &accept(world, queue, ids, releases)? {
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

/// Have the queue accept a hold or a release. Returns the jobs that it has accepted it for: all but those that have ended
/// meanwhile, and are cleaned up.
fn accept(
    world: &World,
    queue: &dyn Queueing,
    mut ids: Vec<String>,
    releases: bool,
) -> Result<Vec<String>> {
    while !ids.is_empty() {
        let accepted = if releases { queue.release(&ids) } else { queue.hold(&ids) };
        match accepted {
            Err(error) if error.code == ErrorCode::InvalidArgument => {
                let mut waiting = Vec::new();
                for id in &ids {
                    if world.store.job_state(id)?.is_some_and(JobState::is_queued) {
                        waiting.push(id.clone());
                    }
                }
                if waiting.len() == ids.len() {
                    // The process of one has not handed it over yet.
                    return Err(Error { code: ErrorCode::TryLater, ..error });
                }
                ids = waiting;
            }
            accepted => return accepted.map(|()| ids),
        }
    }
    Ok(ids)
}

impl Engine {
    /// Returns whether its runtime has a queue of its own.
    pub(super) fn queues_itself(&self) -> bool {
        self.tracker.queueing().is_some()
    }

    /// Hand jobs of one submission over that the store assigns to this process. What cannot be handed over now is
    /// tried again.
    pub(super) fn hand_over(&self, jobs: &[Unsettled]) {
        let mut ids = Vec::with_capacity(jobs.len());
        for job in jobs.iter().filter(|job| self.take_up(job, Doing::Starting)) {
            if !self.is_assigned(job, Doing::Starting) {
                self.done(&job.id);
            } else if job.terminate.is_some() {
                self.give_up(job);
            } else {
                ids.push(job.id.clone());
            }
        }
        if let Err(error) = self.give(&ids) {
            ids.iter().for_each(|id| self.not_begun(id, Doing::Starting, error.clone()));
        }
    }

    /// Note that this process works on what is about to be stored.
    pub(super) fn takes_up_new(&self, new: &New) {
        let mut progress = self.progress.lock();
        match new {
            New::Jobs(ids) => ids.iter().for_each(|id| progress.starts_new(id)),
            New::Array(id, _) => {
                progress.arrays.insert(id.clone());
                self.store.hands_over(id);
            }
        }
    }

    /// Note that it was not stored, or is withdrawn.
    pub(super) fn new_are_done(&self, new: &New) {
        match new {
            New::Jobs(ids) => ids.iter().for_each(|id| self.done(id)),
            New::Array(id, _) => self.array_is_given(id),
        }
    }

    /// Hand over what was just submitted, after [`takes_up_new`](Self::takes_up_new). An error that will not pass is
    /// the submission's.
    pub(super) fn hand_over_now(&self, new: &New) -> Result<()> {
        let given = match new {
            New::Jobs(ids) => self.give(ids),
            New::Array(id, range) => self.give_array(id, *range),
        };
        let given = match given {
            Err(error) if error.may_pass() => {
                let ids = new.ids();
                if matches!(new, New::Array(..)) {
                    let mut progress = self.progress.lock();
                    ids.iter().for_each(|id| progress.starts_new(id));
                }
                ids.iter().for_each(|id| self.not_begun(id, Doing::Starting, error.clone()));
                Ok(())
            }
            given => given,
        };
        if let (Ok(()), New::Array(id, _)) = (&given, new) {
            self.array_is_given(id);
        }
        given
    }

    /// Give a job, or tasks of one array, to the runtime.
    fn give(&self, ids: &[String]) -> Result<()> {
        match self.store.array_order(ids)? {
            Some(array) => {
                if let Accepted::Wait(how) = self.tracker.add_array_job(array)? {
                    self.report_waiting(ids, &how);
                }
                Ok(())
            }
            // A single job, or tasks of an array of an earlier version.
            None => ids.iter().try_for_each(|id| self.tracker.add_job(self.order(id)?)),
        }
    }

    /// Give all tasks of an array to the runtime.
    fn give_array(&self, id: &str, range: TaskRange) -> Result<()> {
        let array = self.store.whole_array_order(id)?;
        let array = array.ok_or_else(|| Error::argument(format!("job array {id} does not exist")))?;
        if let Accepted::Wait(how) = self.tracker.add_array_job(array)? {
            self.array_waits(id, range, &how);
        }
        Ok(())
    }

    /// Store that all tasks of an array wait so: of each, if somebody has seen them by now.
    fn array_waits(&self, id: &str, range: TaskRange, how: &Waiting) {
        if let Ok(true) = self.store.array_waits(id, how, &self.mine) {
            return;
        }
        let ids: Vec<String> = range.indices().map(|index| task_id(id, index)).collect();
        let reports: Vec<_> = ids.iter().map(|id| (id.clone(), how.clone())).collect();
        if let Err(error) = self.are_said_to_wait(&reports) {
            tracing::warn!(%error, id, "it is stored later that an array waits");
            self.report_waiting(&ids, how);
        }
    }

    /// Report that jobs wait so.
    fn report_waiting(&self, ids: &[String], how: &Waiting) {
        ids.iter().for_each(|id| self.report(Fact::Waits { id: id.clone(), how: how.clone() }));
    }

    /// Have a task of an array that is being handed over seen: the runtime tells news of it.
    pub(super) fn shows_array_of(&self, id: &str) {
        if let Some((array, _)) = id.rsplit_once('.')
            && self.progress.lock().arrays.contains(array)
        {
            self.store.shows_tasks(array);
        }
    }

    /// Note that this process works on an array no more, as one.
    fn array_is_given(&self, id: &str) {
        self.store.shows_tasks(id);
        self.progress.lock().arrays.remove(id);
        self.changed.notify_all();
        self.kick.ring();
    }

    /// Store that jobs wait in the queue of the runtime, as was reported of each. A report may be late, so the runtime is
    /// asked about those of which it is news and that were handed over before.
    pub(super) fn are_said_to_wait(&self, reports: &[(String, Waiting)]) -> Result<()> {
        reports.iter().for_each(|(id, _)| self.shows_array_of(id));
        let otherwise = self.store.which_wait_otherwise(reports)?;
        let (late, mut believed): (Vec<_>, Vec<_>) =
            reports.iter().cloned().partition(|(id, _)| otherwise.contains(id));
        let late: Vec<String> = late.into_iter().map(|(id, _)| id).collect();
        let mut looked = Ok(());
        for (id, info) in late.iter().zip(self.tracker.job_infos(&late)) {
            match info {
                // The start or the end of another is reported as well.
                Ok(info) => believed.extend(Waiting::of(&info).map(|how| (id.clone(), how))),
                Err(error) if error.code == ErrorCode::InvalidArgument => {}
                // One that cannot be looked at does not keep the others.
                Err(error) => looked = Err(error),
            }
        }
        self.wait_there(&believed)?;
        looked
    }

    /// Store that a job waits in the queue of the runtime.
    pub(super) fn waits_there(&self, id: &str, how: &Waiting) -> Result<()> {
        self.wait_there(&[(id.to_owned(), how.clone())])
    }

    /// Store that jobs wait in the queue of the runtime.
    fn wait_there(&self, jobs: &[(String, Waiting)]) -> Result<()> {
        let stored = self.store.jobs_wait(jobs)?;
        let ends: HashSet<&String> =
            stored.iter().filter(|(_, _, end)| end.is_some()).map(|(id, ..)| id).collect();
        let mut progress = self.progress.lock();
        for (id, _) in jobs {
            // One that is to end stays this process's work until it has ended.
            if ends.contains(id) { progress.ends(id) } else { progress.starts_no_more(id) }
        }
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        self.tell(Ok(stored.iter().any(|(_, is_news, _)| *is_news)))?;
        for (id, _, terminate) in &stored {
            self.end_if_asked(id, *terminate);
        }
        Ok(())
    }

    /// Compare a job that was handed over with the runtime.
    pub(super) fn compare_waiting(&self, job: &Unsettled, runtime: &mut Runtime<'_>) -> Result<()> {
        match runtime.job_info(&job.id) {
            Ok(info) => match Waiting::of(&info) {
                Some(how) => {
                    self.waits_there(&job.id, &how)?;
                    // The process that was to end it may have died before it could.
                    self.end_if_asked(&job.id, job.terminate);
                    Ok(())
                }
                None if info.state.is_started() || info.state.is_terminated() => self.adopt(job, &info),
                None => Ok(()),
            },
            Err(error) if error.code != ErrorCode::InvalidArgument => Err(error),
            // The runtime has forgotten it: it is handed over again.
            Err(error) => self.is_handed_over_again(job, &error).map(drop),
        }
    }

    /// Have a job handed over again that the runtime has forgotten. False if it has begun, and is not to run again.
    pub(super) fn is_handed_over_again(&self, job: &Unsettled, unknown: &Error) -> Result<bool> {
        let again = self.store.job_forgotten(&job.id, job.run, &unknown.message, &self.mine)?;
        if again {
            self.progress.lock().starts_no_more(&job.id);
            self.changed.notify_all();
            self.kick.ring();
            self.tell(Ok(true))?;
        }
        Ok(again)
    }

    /// Compare a job that waits there, and that this process has told to end, with the runtime.
    pub(super) fn compare_ending(&self, job: &Unsettled, runtime: &mut Runtime<'_>) -> Result<()> {
        match runtime.job_info(&job.id) {
            Ok(info) if info.state.is_started() || info.state.is_terminated() => self.adopt(job, &info),
            Ok(_) => {
                self.end_if_asked(&job.id, job.terminate);
                Ok(())
            }
            Err(error) if error.code != ErrorCode::InvalidArgument => Err(error),
            Err(_) => self.ended(&job.id, &Outcome::failed("terminated before it started")),
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
            _ if error.may_pass() => Fact::NotStarted { id, error },
            _ => Fact::Ended { id, outcome: Outcome::failed(error.message) },
        });
    }
}
