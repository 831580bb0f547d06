//! Jobs, for those who hold one; the waits for them.

use std::time::{Duration, Instant};

use super::behalf::Behalf;
use super::call::{Call, Content};
use super::door::Door;
use super::refs::JobRef;
use super::waits::Look;
use super::watched::Known;
use super::{Timeout, process};
use crate::model::{Control, Error, ErrorCode, JobInfo, JobState, JobTemplate, Result};
use crate::store::Kind;

impl JobRef {
    /// Its state and substate.
    pub fn state(&self) -> Result<(JobState, Option<String>)> {
        self.ask(Call::JobState(self.clone()))
    }

    /// A snapshot of its account.
    pub fn info(&self) -> Result<JobInfo> {
        self.ask(Call::JobInfo(self.clone())).map(|info: Box<_>| *info)
    }

    /// The template that it was submitted with.
    pub fn template(&self) -> Result<JobTemplate> {
        self.ask(Call::JobTemplate(self.clone())).map(|template: Box<_>| *template)
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
        self.ask(Call::ControlJob { job: self.clone(), control })
    }

    /// Reap it; it must have ended.
    pub fn reap(&self) -> Result<()> {
        self.ask(Call::ReapJob(self.clone()))
    }

    /// Wait until it has started, or has ended.
    pub fn wait_started(&self, timeout: Timeout) -> Result<()> {
        self.wait(timeout, has_started)
    }

    /// Wait until it has ended.
    pub fn wait_terminated(&self, timeout: Timeout) -> Result<()> {
        self.wait(timeout, JobState::is_terminated)
    }

    fn wait(&self, timeout: Timeout, reached: Reached) -> Result<()> {
        if self.ask(Call::IsStored(self.clone()))? {
            return wait_any(std::slice::from_ref(self), timeout, reached).map(drop);
        }
        let states: Vec<JobState> = JobState::ALL.into_iter().filter(|state| reached(*state)).collect();
        let span = match timeout {
            Timeout::Zero => Some(Duration::ZERO),
            Timeout::Infinite => None,
            Timeout::After(span) => Some(span),
        };
        // The broker tells nothing of jobs that it has not stored.
        let Door::Here(world) = process::door()? else { return Err(self.unknown()) };
        let engine = world.default_engine()?;
        let waited = engine.tracker().wait(&self.id, span, &states);
        self.named(waited.map(drop))
    }

    /// Ask about the job if its session is open.
    pub(super) fn ask<T: Content>(&self, call: Call) -> Result<T> {
        process::check_session(Kind::Job, self.session.as_deref())?;
        process::ask(call)
    }
}

/// Tells whether a state is one that is waited for.
pub(super) type Reached = fn(JobState) -> bool;

/// A job that has ended counts as one that had started.
pub(super) fn has_started(state: JobState) -> bool {
    state.is_started() || state.is_terminated()
}

/// Wait until one of `jobs`, all of them made through DRMAA, is in a state that counts as `reached`, and return it.
pub(super) fn wait_any(jobs: &[JobRef], timeout: Timeout, reached: Reached) -> Result<JobRef> {
    let found = watch(jobs, timeout)?;
    let place = wait_until(jobs, timeout.deadline(), reached)?;
    found.into_iter().nth(place).ok_or_else(|| Error::internal("no such place"))
}

/// Wait until each of `jobs`, all of them made through DRMAA, has been in a state that counts as `reached`.
pub(super) fn wait_all(jobs: &[JobRef], timeout: Timeout, reached: Reached) -> Result<Vec<JobRef>> {
    let deadline = timeout.deadline();
    let found = watch(jobs, timeout)?;
    // One after the other: only changes of the next job that is not there yet matter.
    jobs.chunks(1).try_for_each(|job| wait_until(job, deadline, reached).map(drop))?;
    Ok(found)
}

/// Look jobs up, but for those that were waited for before, and are in the table of waits. Returns them as they were found.
fn watch(jobs: &[JobRef], timeout: Timeout) -> Result<Vec<JobRef>> {
    let door = process::door()?;
    let wait = timeout != Timeout::Zero;
    let mut found: Vec<Option<JobRef>> = vec![None; jobs.len()];
    if wait {
        door.catch_up()?;
        // The answer may tell that some of them have ended or gone, so it is looked again.
        look_up(&door, jobs, &door.waits().kept(jobs), wait, &mut found)?;
        found = found.into_iter().zip(door.waits().kept(jobs)).map(|(new, kept)| new.or(kept)).collect();
    }
    // Without a wait nobody is told of them later, so each is asked for.
    let known = found.clone();
    if !wait || known.contains(&None) {
        look_up(&door, jobs, &known, wait, &mut found)?;
    }
    found.into_iter().collect::<Option<_>>().ok_or_else(|| Error::internal("a job was not found"))
}

/// Ask for the jobs that are not known, and enter them in `found`.
fn look_up(
    door: &Door,
    jobs: &[JobRef],
    known: &[Option<JobRef>],
    wait: bool,
    found: &mut [Option<JobRef>],
) -> Result<()> {
    let new = jobs.iter().zip(known).filter(|(_, known)| known.is_none());
    let new = new.map(|(job, _)| job.clone()).collect();
    let answer: Vec<JobRef> = process::ask(Call::Watch { jobs: new, wait })?;
    door.waits().keep(&answer);
    let places = found.iter_mut().zip(known).filter(|(_, known)| known.is_none());
    places.zip(answer).for_each(|((place, _), job)| *place = Some(job));
    Ok(())
}

/// Returns the index of the job that has reached the state.
fn wait_until(jobs: &[JobRef], deadline: Option<Instant>, reached: Reached) -> Result<usize> {
    let door = process::door()?;
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
    let place = door.wait(&ids, deadline, look)?;
    place.ok_or_else(|| {
        let text = match jobs {
            [job] => format!("job {} is not there yet, and the time is over", job.id),
            _ => format!("none of {} jobs is there yet, and the time is over", jobs.len()),
        };
        Error::new(ErrorCode::Timeout, text)
    })
}
