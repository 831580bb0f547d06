//! Job arrays: look-up, and control of all their tasks at once.

use std::collections::HashSet;
use std::sync::Arc;

use super::behalf::Behalf;
use super::hold::hold_or_release;
use super::job::JobRef;
use super::jobs::{has_ended, settle, settled};
use super::process;
use super::process::Kind;
use super::world::World;
use crate::model::{Control, Error, JobState, JobTemplate, Result};
use crate::runtime;
use crate::store::{Array, Job, Which};
use crate::sync::Mutex;

/// The number of tasks that the runtime is asked about concurrently.
const AT_A_TIME: usize = 8;

/// A job array as a caller names it: by its id and its session. Every call looks it up anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobArray {
    /// Its id.
    pub id: String,
    /// Its session.
    pub session: Option<String>,
}

impl JobArray {
    /// Its tasks that are not reaped, in the order of their indices.
    pub fn jobs(&self) -> Result<Vec<JobRef>> {
        self.within(|world| {
            let jobs = world.store.array_jobs(&self.id)?;
            Ok(jobs.iter().map(|job| JobRef::of(&job.info)).collect())
        })
    }

    /// The template that it was submitted with.
    pub fn template(&self) -> Result<JobTemplate> {
        self.within(|world| world.store.template(&self.id)?.ok_or_else(|| self.unknown()))
    }

    /// The same array, if it may be controlled on behalf of a user, otherwise DENIED_BY_DRMS.
    pub fn on_behalf(self, behalf: &Behalf) -> Result<Self> {
        self.look_up(|_, array| behalf.check_owner("it", Some(&array.owner)))?;
        Ok(self)
    }

    /// Suspend, resume, hold, release, terminate or kill all tasks whose state allows it. INVALID_STATE
    /// if no task's state does.
    pub fn control(&self, control: Control) -> Result<()> {
        self.within(|world| {
            let which = Which::Array(&self.id);
            let acted = match control {
                Control::Hold | Control::Release => hold_or_release(world, which, control)?,
                Control::Terminate | Control::Kill => {
                    let terminating = world.store.terminate(which, control)?;
                    let jobs = world.store.array_jobs(&self.id)?;
                    let all: HashSet<&String> = terminating.begun.iter().collect();
                    let begun = |job: &&Job| all.contains(&job.info.id);
                    ask(world, jobs.iter().filter(begun), control)?;
                    terminating.found
                }
                Control::Suspend | Control::Resume => self.pause(world, control)?,
            };
            match acted {
                0 => Err(Error::state(format!("no task is in a state in which one can {control} it"))),
                _ => Ok(()),
            }
        })
    }

    /// Suspend or resume. Returns the number of tasks.
    fn pause(&self, world: &World, control: Control) -> Result<usize> {
        let jobs = settled(world, || world.store.array_jobs(&self.id))?;
        let fit = jobs.iter().filter(|job| job.info.state.after(control).is_ok());
        let acted = ask(world, fit, control)?;
        let next = if control == Control::Suspend { JobState::Suspended } else { JobState::Running };
        for id in &acted {
            settle(world, id, |state| state == next || state.is_terminated())?;
        }
        Ok(acted.len())
    }

    /// Reap it with all its tasks; they must have ended.
    pub fn reap(&self) -> Result<()> {
        self.within(|world| world.store.reap(Which::Array(&self.id)))
    }

    /// Run `body` if the array's session is open; an error names the array.
    fn within<T>(&self, body: impl FnOnce(&World) -> Result<T>) -> Result<T> {
        self.look_up(|world, _| body(world))
    }

    fn look_up<T>(&self, body: impl FnOnce(&World, &Array) -> Result<T>) -> Result<T> {
        process::check_session(Kind::Job, self.session.as_deref())?;
        let world = process::world()?;
        let run = |world: &Arc<World>| {
            let array = world.store.array(&self.id)?.ok_or_else(|| self.unknown())?;
            if self.session.is_some() && self.session.as_deref() != Some(&array.session) {
                return Err(self.unknown());
            }
            if array.orphaned && !process::is_monitoring() {
                return Err(Error::session("its job session has been destroyed"));
            }
            body(world, &array)
        };
        run(&world).map_err(|error| error.of(format!("job array {}", self.id)))
    }

    fn unknown(&self) -> Error {
        Error::argument(match &self.session {
            Some(session) => format!("not in job session \"{session}\""),
            None => "there is no such job array".to_owned(),
        })
    }
}

impl JobRef {
    /// Control all tasks of its job array; the job alone if it is no task.
    pub fn control_all(&self, control: Control) -> Result<()> {
        match self.array()? {
            Some(array) => array.control(control),
            None => self.control(control),
        }
    }

    fn array(&self) -> Result<Option<JobArray>> {
        self.within(|world| {
            let array = match self.stored(world)? {
                Some(job) => world.store.array_of(&self.id)?.map(|id| (id, job.info.session)),
                None => None,
            };
            Ok(array.map(|(id, session)| JobArray { id, session }))
        })
    }
}

/// Ask the runtime for a control of many jobs, several at a time. Returns the jobs that it was done for,
/// without those whose state no longer allows it. Any other error is the call's.
fn ask<'a>(
    world: &World,
    jobs: impl Iterator<Item = &'a Job> + Send,
    control: Control,
) -> Result<Vec<String>> {
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
            let asked =
                world.engine(&job.target).and_then(|engine| engine.tracker().job_control(id, control));
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
