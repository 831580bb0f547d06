//! Jobs: look-up, control, waits.

use std::time::{Duration, Instant};

use super::behalf::Behalf;
use super::hold::hold_or_release;
use super::jobs::{has_ended, settle};
use super::process::Kind;
use super::waits::{Known, Look};
use super::world::World;
use super::{Timeout, process};
use crate::model::{Control, Error, ErrorCode, JobFilter, JobInfo, JobState, JobTemplate, Result, now};
use crate::store::{Job, Standing, Which};

/// A job as a caller names it: by its id and its session. Every call looks it up anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    /// Its id.
    pub id: String,
    /// Its session; `None` for a job that was not made through DRMAA.
    pub session: Option<String>,
    /// The name from its template. Never read from a handle that a caller passes in.
    pub name: Option<String>,
}

impl JobRef {
    pub(super) fn of(info: &JobInfo) -> Self {
        Self { id: info.id.clone(), session: info.session.clone(), name: info.name.clone() }
    }

    /// Its state and substate.
    pub fn state(&self) -> Result<(JobState, Option<String>)> {
        self.within(|world| {
            let Some(standing) = self.standing(world)? else {
                return world.default_engine()?.tracker().job_state(&self.id);
            };
            let has_changed = standing.begun && world.engine(&standing.target)?.refresh(&self.id)?;
            if has_changed || (standing.state.is_queued() && !standing.state.is_held()) {
                let job = self.stored(world)?.ok_or_else(|| self.unknown())?;
                return Ok((job.info.state, job.info.substate));
            }
            // The others have no substate.
            Ok((standing.state, None))
        })
    }

    /// A snapshot of its account.
    pub fn info(&self) -> Result<JobInfo> {
        self.within(|world| match self.fresh(world)? {
            Some(job) => Ok(job.info),
            None => world.default_engine()?.tracker().job_info(&self.id),
        })
    }

    /// The template that it was submitted with.
    pub fn template(&self) -> Result<JobTemplate> {
        self.within(|world| {
            if self.stored(world)?.is_some() {
                return world.store.template(&self.id)?.ok_or_else(|| self.unknown());
            }
            match world.default_engine()?.tracker().job_template() {
                Some(source) => source.job_template(&self.id),
                None => Ok(JobTemplate::default()),
            }
        })
    }

    /// The same job, if it may be controlled on behalf of a user, otherwise DENIED_BY_DRMS.
    pub fn on_behalf(self, behalf: &Behalf) -> Result<Self> {
        if behalf.only().is_some() {
            behalf.check_owner(&format!("job {}", self.id), self.info()?.owner.as_deref())?;
        }
        Ok(self)
    }

    /// Suspend, resume, hold, release, terminate or kill it.
    pub fn control(&self, control: Control) -> Result<()> {
        self.within(|world| {
            let Some(job) = self.fresh(world)? else {
                let engine = world.default_engine()?;
                let (state, _) = engine.tracker().job_state(&self.id)?;
                state.after(control)?;
                return engine.tracker().job_control(&self.id, control);
            };
            let next = world.store.check_control(&self.id, control)?;
            let which = Which::Job(&self.id);
            let acted = match control {
                Control::Hold | Control::Release => hold_or_release(world, which, control)?,
                Control::Terminate | Control::Kill => return self.end(world, &job, control),
                Control::Suspend | Control::Resume => {
                    world.engine(&job.target)?.tracker().job_control(&self.id, control)?;
                    return settle(world, &self.id, |state| state == next || state.is_terminated());
                }
            };
            // Its state has changed since the look-up.
            if acted == 0 { world.store.check_control(&self.id, control).map(drop) } else { Ok(()) }
        })
    }

    fn end(&self, world: &World, job: &Job, how: Control) -> Result<()> {
        let terminating = world.store.terminate(Which::Job(&self.id), how)?;
        if terminating.begun.is_empty() {
            return Ok(());
        }
        match world.engine(&job.target)?.tracker().job_control(&self.id, how) {
            // It ended by itself meanwhile, which is equivalent.
            Err(error) if has_ended(world, &self.id, &error) => Ok(()),
            result => result,
        }
    }

    /// Reap it; it must have ended.
    pub fn reap(&self) -> Result<()> {
        self.within(|world| match self.fresh(world)? {
            Some(_) => world.store.reap(Which::Job(&self.id)),
            None => {
                let engine = world.default_engine()?;
                let (state, _) = engine.tracker().job_state(&self.id)?;
                if state.is_terminated() {
                    return engine.tracker().delete_job(&self.id);
                }
                Err(Error::state(format!("cannot reap a job that is {state}")))
            }
        })
    }

    /// Wait until it has started, or has ended.
    pub fn wait_started(&self, timeout: Timeout) -> Result<()> {
        self.wait(timeout, has_started)
    }

    /// Wait until it has ended.
    pub fn wait_terminated(&self, timeout: Timeout) -> Result<()> {
        self.wait(timeout, JobState::is_terminated)
    }

    fn wait(&self, timeout: Timeout, reached: fn(JobState) -> bool) -> Result<()> {
        self.within(|world| {
            if self.stored(world)?.is_some() {
                return wait_any(world, &[self], timeout, reached).map(|_| ());
            }
            let states: Vec<JobState> =
                JobState::ALL.into_iter().filter(|state| reached(*state)).collect();
            let span = match timeout {
                Timeout::Zero => Some(Duration::ZERO),
                Timeout::Infinite => None,
                Timeout::After(span) => Some(span),
            };
            world.default_engine()?.tracker().wait(&self.id, span, &states).map(|_| ())
        })
    }

    /// Run `body` if the job's session is open; an error names the job.
    pub(super) fn within<T>(&self, body: impl FnOnce(&World) -> Result<T>) -> Result<T> {
        process::check_session(Kind::Job, self.session.as_deref())?;
        let world = process::world()?;
        body(&world).map_err(|error| {
            let named = format!("job {}", self.id);
            if error.message.starts_with(&named) { error } else { error.of(named) }
        })
    }

    /// The stored job; `None` for one that was not made through DRMAA.
    pub(super) fn stored(&self, world: &World) -> Result<Option<Job>> {
        let Some(job) = world.store.job(&self.id)? else {
            return if self.session.is_none() { Ok(None) } else { Err(self.unknown()) };
        };
        self.check(job.info.session.as_deref(), job.orphaned)?;
        Ok(Some(job))
    }

    /// The same, no more than what is needed to tell its state.
    fn standing(&self, world: &World) -> Result<Option<Standing>> {
        let Some(standing) = world.store.standing(&self.id)? else {
            return if self.session.is_none() { Ok(None) } else { Err(self.unknown()) };
        };
        self.check(Some(&standing.session), standing.orphaned)?;
        Ok(Some(standing))
    }

    /// Check that the stored job of this session may be used.
    fn check(&self, session: Option<&str>, orphaned: bool) -> Result<()> {
        if self.session.is_some() && self.session.as_deref() != session {
            return Err(self.unknown());
        }
        if orphaned && !process::is_monitoring() {
            return Err(Error::session("its job session has been destroyed"));
        }
        Ok(())
    }

    /// The stored job, in a current state.
    fn fresh(&self, world: &World) -> Result<Option<Job>> {
        match self.stored(world)? {
            // For a job without a begun start, the store is complete.
            Some(job) if job.begun => {
                let changed = world.engine(&job.target)?.refresh(&self.id)?;
                if changed { self.stored(world) } else { Ok(Some(job)) }
            }
            job => Ok(job),
        }
    }

    fn unknown(&self) -> Error {
        let session = self.session.as_deref().unwrap_or_default();
        Error::argument(format!("job {}: not in job session \"{session}\"", self.id))
    }
}

/// Those of stored jobs that match, as a caller names them.
pub(super) fn matching(jobs: &[Job], filter: Option<&JobFilter>) -> Vec<JobRef> {
    let now = now();
    let matches = |job: &&Job| filter.is_none_or(|filter| filter.matches(&job.info, now));
    jobs.iter().filter(matches).map(|job| JobRef::of(&job.info)).collect()
}

/// A job that has ended counts as one that had started.
pub(super) fn has_started(state: JobState) -> bool {
    state.is_started() || state.is_terminated()
}

/// Wait until one of `jobs`, all of them stored, is in a state that counts as `reached`, and return it.
pub(super) fn wait_any(
    world: &World,
    jobs: &[&JobRef],
    timeout: Timeout,
    reached: fn(JobState) -> bool,
) -> Result<JobRef> {
    let found = watch(world, jobs, timeout)?;
    let place = wait_until(world, jobs, timeout.deadline(), reached)?;
    found.into_iter().nth(place).ok_or_else(|| Error::internal("no such place"))
}

/// Wait until each of `jobs`, all of them stored, has been in a state that counts as `reached`.
pub(super) fn wait_all(
    world: &World,
    jobs: &[&JobRef],
    timeout: Timeout,
    reached: fn(JobState) -> bool,
) -> Result<Vec<JobRef>> {
    let deadline = timeout.deadline();
    let found = watch(world, jobs, timeout)?;
    // One after the other: only changes of the next job that is not there yet matter.
    jobs.iter().try_for_each(|job| wait_until(world, &[job], deadline, reached).map(drop))?;
    Ok(found)
}

/// Subscribe to the changes of stored jobs. With a zero timeout, look them up instead. Returns the jobs
/// with all that a handle contains.
fn watch(world: &World, jobs: &[&JobRef], timeout: Timeout) -> Result<Vec<JobRef>> {
    let mut found = Vec::with_capacity(jobs.len());
    for job in jobs {
        let stored = job.stored(world)?.ok_or_else(|| job.unknown())?;
        if !stored.info.state.is_terminated() {
            let engine = world.engine(&stored.target)?;
            engine.subscribe();
            match timeout {
                Timeout::Zero if stored.begun => drop(engine.refresh(&job.id)?),
                Timeout::Zero => {}
                _ => drop(engine.tracker().attend()),
            }
        }
        found.push(JobRef::of(&stored.info));
    }
    Ok(found)
}

/// Returns the index of the job that has reached the state.
fn wait_until(
    world: &World,
    jobs: &[&JobRef],
    deadline: Option<Instant>,
    reached: fn(JobState) -> bool,
) -> Result<usize> {
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let look = |known: &[Known]| {
        let hit = |known: &Known| matches!(known, Known::State(state) if reached(*state));
        if let Some(place) = known.iter().position(hit) {
            return Ok(Look::Done(place));
        }
        for (job, known) in jobs.iter().zip(known) {
            process::check_session(Kind::Job, job.session.as_deref())?;
            match known {
                Known::Gone => return Err(job.unknown()),
                Known::State(JobState::Undetermined) => {
                    return Err(Error::state(format!("job {}: it is UNDETERMINED", job.id)));
                }
                Known::State(_) | Known::Nothing => {}
            }
        }
        Ok(Look::Wait)
    };
    let place = world.waits.wait(&world.store, &ids, deadline, look)?;
    place.ok_or_else(|| {
        let text = match jobs {
            [job] => format!("job {} is not there yet, and the time is over", job.id),
            _ => format!("none of {} jobs is there yet, and the time is over", jobs.len()),
        };
        Error::new(ErrorCode::Timeout, text)
    })
}
