//! Job arrays: look-up, and control of all their tasks at once.

use std::collections::HashSet;

use super::Desk;
use crate::model::{Control, Error, JobState, JobTemplate, Result};
use crate::runtime;
use crate::session::hold::hold_or_release;
use crate::session::jobs::{has_ended, settle, settled};
use crate::session::refs::{JobArray, JobRef};
use crate::store::{Array, Job, Which};
use crate::sync::Mutex;

/// The number of tasks that the runtime is asked about concurrently.
const AT_A_TIME: usize = 8;

impl Desk<'_> {
    pub(super) fn array_jobs(&self, array: &JobArray) -> Result<Vec<JobRef>> {
        self.with_array(array, |_| {
            let jobs = self.world.store.array_jobs(&array.id)?;
            Ok(jobs.iter().map(|job| JobRef::of(&job.info)).collect())
        })
    }

    pub(super) fn array_template(&self, array: &JobArray) -> Result<JobTemplate> {
        self.with_array(array, |_| self.world.store.template(&array.id)?.ok_or_else(|| unknown(array)))
    }

    pub(super) fn array_owner(&self, array: &JobArray) -> Result<String> {
        self.with_array(array, |found| Ok(found.owner))
    }

    pub(super) fn control_array(&self, array: &JobArray, control: Control) -> Result<()> {
        self.with_array(array, |_| {
            let which = Which::Array(&array.id);
            let acted = match control {
                Control::Hold | Control::Release => hold_or_release(self.world, which, control)?,
                Control::Terminate | Control::Kill => {
                    let terminating = self.world.store.terminate(which, control)?;
                    let jobs = self.world.store.array_jobs(&array.id)?;
                    let all: HashSet<&String> = terminating.begun.iter().collect();
                    let begun = |job: &&Job| all.contains(&job.info.id);
                    self.ask(jobs.iter().filter(begun), control)?;
                    terminating.found
                }
                Control::Suspend | Control::Resume => self.pause(array, control)?,
            };
            match acted {
                0 => Err(Error::state(format!("no task is in a state in which one can {control} it"))),
                _ => Ok(()),
            }
        })
    }

    /// Suspend or resume. Returns the number of tasks.
    fn pause(&self, array: &JobArray, control: Control) -> Result<usize> {
        let jobs = settled(self.world, || self.world.store.array_jobs(&array.id))?;
        let fit = jobs.iter().filter(|job| job.info.state.after(control).is_ok());
        let acted = self.ask(fit, control)?;
        let next = if control == Control::Suspend { JobState::Suspended } else { JobState::Running };
        for id in &acted {
            settle(self.world, id, |state| state == next || state.is_terminated())?;
        }
        Ok(acted.len())
    }

    pub(super) fn reap_array(&self, array: &JobArray) -> Result<()> {
        self.with_array(array, |_| self.world.store.reap(Which::Array(&array.id)))
    }

    /// Run `body` with the stored array; an error names it.
    fn with_array<T>(&self, array: &JobArray, body: impl FnOnce(Array) -> Result<T>) -> Result<T> {
        let run = || {
            let found = self.world.store.array(&array.id)?.ok_or_else(|| unknown(array))?;
            let is_other = array.session.as_ref().is_some_and(|session| *session != found.session);
            if is_other || !self.sees(found.whose) {
                return Err(unknown(array));
            }
            if found.orphaned && !self.monitoring {
                return Err(Error::session("its job session has been destroyed"));
            }
            body(found)
        };
        run().map_err(|error| error.of(format!("job array {}", array.id)))
    }

    /// Ask the runtime for a control of many jobs, several at a time. Returns the jobs that it was done for,
    /// without those whose state no longer allows it. Any other error is the call's.
    fn ask<'a>(
        &self,
        jobs: impl Iterator<Item = &'a Job> + Send,
        control: Control,
    ) -> Result<Vec<String>> {
        let world = self.world;
        let jobs: Vec<&Job> = jobs.collect();
        if let (Some(first), Control::Terminate | Control::Kill) = (jobs.first(), control) {
            // All tasks of an array have one runtime.
            let engine = world.engine(&first.target)?;
            if let Some(queue) = engine.tracker().queueing() {
                let ids: Vec<String> = jobs.iter().map(|job| job.info.id.clone()).collect();
                return queue.end(&ids, control).map(|()| ids);
            }
        }
        let left = Mutex::new(jobs.into_iter());
        let done = Mutex::new(Vec::new());
        let failed = Mutex::new(None);
        let work = || {
            loop {
                let Some(job) = left.lock().next() else { return };
                let id = &job.info.id;
                let asked = world
                    .engine(&job.target)
                    .and_then(|engine| engine.tracker().job_control(id, control));
                match asked {
                    Ok(()) => done.lock().push(id.clone()),
                    Err(error) if has_ended(world, id, &error) => {}
                    Err(error) => *failed.lock() = Some(error),
                }
            }
        };
        runtime::in_parallel(AT_A_TIME, &work);
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(done.into_inner()),
        }
    }
}

fn unknown(array: &JobArray) -> Error {
    Error::argument(match &array.session {
        Some(session) => format!("not in job session \"{session}\""),
        None => "there is no such job array".to_owned(),
    })
}
