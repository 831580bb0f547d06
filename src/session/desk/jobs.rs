//! Jobs: look-up and control.

use std::sync::Arc;

use super::Desk;
use crate::model::{Control, Error, JobInfo, JobState, JobTemplate, Result};
use crate::session::engine::Engine;
use crate::session::hold::hold_or_release;
use crate::session::jobs::{has_ended, settle};
use crate::session::refs::{JobArray, JobRef};
use crate::store::{Job, Standing, Which};

impl Desk<'_> {
    pub(super) fn job_state(&self, job: &JobRef) -> Result<(JobState, Option<String>)> {
        if let Some(info) = self.job_of_another(job)? {
            return Ok((info.state, info.substate));
        }
        let Some(standing) = self.standing(job)? else {
            return self.world.default_engine()?.tracker().job_state(&job.id);
        };
        let has_changed = standing.begun && self.world.engine(&standing.target)?.refresh(&job.id)?;
        if has_changed || has_substate(standing.state) {
            let stored = self.stored(job)?.ok_or_else(|| job.unknown())?;
            return Ok((stored.info.state, stored.info.substate));
        }
        // The others have no substate.
        Ok((standing.state, None))
    }

    /// The state of a job, if it can be told without a wait for anybody, and has no substate.
    pub(in crate::session) fn job_state_at_once(&self, job: &JobRef) -> Result<Option<JobState>> {
        // Without a session it may be one of another user, or of no session.
        if job.session.is_none() {
            return Ok(None);
        }
        let Some(standing) = self.world.store.standing_at_once(&job.id)? else { return Ok(None) };
        self.check(job, Some(&standing.session), standing.orphaned, standing.whose)?;
        let is_current = |engine: Arc<Engine>| engine.is_ready().is_ok() && engine.tracker().attend();
        let is_known =
            !standing.begun || self.world.present_engine(&standing.target).is_some_and(is_current);
        Ok((is_known && !has_substate(standing.state)).then_some(standing.state))
    }

    pub(super) fn job_info(&self, job: &JobRef) -> Result<JobInfo> {
        if let Some(info) = self.job_of_another(job)? {
            return Ok(info);
        }
        match self.fresh(job)? {
            Some(stored) => Ok(stored.info),
            None => self.world.default_engine()?.tracker().job_info(&job.id),
        }
    }

    pub(super) fn job_template(&self, job: &JobRef) -> Result<JobTemplate> {
        if self.stored(job)?.is_some() {
            return self.world.store.template(&job.id)?.ok_or_else(|| job.unknown());
        }
        match self.world.default_engine()?.tracker().job_template() {
            Some(source) => source.job_template(&job.id),
            None => Ok(JobTemplate::default()),
        }
    }

    pub(super) fn control_job(&self, job: &JobRef, control: Control) -> Result<()> {
        let (id, world) = (&job.id, self.world);
        let Some(stored) = self.fresh(job)? else {
            let engine = world.default_engine()?;
            let (state, _) = engine.tracker().job_state(id)?;
            state.after(control)?;
            return engine.tracker().job_control(id, control);
        };
        let next = world.store.check_control(id, control)?;
        let acted = match control {
            Control::Hold | Control::Release => hold_or_release(world, Which::Job(id), control)?,
            Control::Terminate | Control::Kill => return self.end(&stored, control),
            Control::Suspend | Control::Resume => {
                world.engine(&stored.target)?.tracker().job_control(id, control)?;
                return settle(world, id, |state| state == next || state.is_terminated());
            }
        };
        // Its state has changed since the look-up.
        if acted == 0 { world.store.check_control(id, control).map(drop) } else { Ok(()) }
    }

    fn end(&self, job: &Job, how: Control) -> Result<()> {
        let id = &job.info.id;
        let terminating = self.world.store.terminate(Which::Job(id), how)?;
        if terminating.begun.is_empty() {
            return Ok(());
        }
        match self.world.engine(&job.target)?.tracker().job_control(id, how) {
            // It ended by itself meanwhile, which is equivalent.
            Err(error) if has_ended(self.world, id, &error) => Ok(()),
            result => result,
        }
    }

    pub(super) fn reap_job(&self, job: &JobRef) -> Result<()> {
        if self.fresh(job)?.is_some() {
            return self.world.store.reap(Which::Job(&job.id));
        }
        let engine = self.world.default_engine()?;
        let (state, _) = engine.tracker().job_state(&job.id)?;
        if state.is_terminated() {
            return engine.tracker().delete_job(&job.id);
        }
        Err(Error::state(format!("cannot reap a job that is {state}")))
    }

    pub(super) fn array_of(&self, job: &JobRef) -> Result<Option<JobArray>> {
        let Some(stored) = self.stored(job)? else { return Ok(None) };
        let array = self.world.store.array_of(&job.id)?;
        Ok(array.map(|id| JobArray { id, session: stored.info.session }))
    }

    pub(super) fn is_stored(&self, job: &JobRef) -> Result<bool> {
        Ok(self.stored(job)?.is_some())
    }

    pub(super) fn watch(&self, jobs: &[JobRef], wait: bool) -> Result<Vec<JobRef>> {
        let found: Result<Vec<JobRef>> =
            jobs.iter().map(|job| job.named(self.watch_one(job, wait))).collect();
        if wait {
            // Also for jobs that the client has found before.
            for engine in self.world.engines() {
                engine.tracker().attend();
            }
        }
        if self.is_remote {
            // The client knows the states that it was told. It is told the latest ones before this is answered.
            self.world.waits.refresh(&self.world.store);
        }
        found
    }

    fn watch_one(&self, job: &JobRef, wait: bool) -> Result<JobRef> {
        let standing = self.standing(job)?.ok_or_else(|| job.unknown())?;
        if !standing.state.is_terminated() {
            let engine = self.world.engine(&standing.target)?;
            engine.subscribe();
            if !wait && standing.begun {
                engine.refresh(&job.id)?;
            }
        }
        Ok(JobRef { id: job.id.clone(), session: Some(standing.session), name: standing.name })
    }

    /// The stored job; `None` for one that was not made through DRMAA.
    fn stored(&self, job: &JobRef) -> Result<Option<Job>> {
        let Some(stored) = self.world.store.job(&job.id)? else { return self.absent(job) };
        self.check(job, stored.info.session.as_deref(), stored.orphaned, stored.whose)?;
        Ok(Some(stored))
    }

    /// The same, no more than what is needed to tell its state.
    fn standing(&self, job: &JobRef) -> Result<Option<Standing>> {
        let Some(standing) = self.world.store.standing(&job.id)? else { return self.absent(job) };
        self.check(job, Some(&standing.session), standing.orphaned, standing.whose)?;
        Ok(Some(standing))
    }

    /// Check that the stored job of this session may be used.
    fn check(
        &self,
        job: &JobRef,
        session: Option<&str>,
        orphaned: bool,
        whose: (i64, i64),
    ) -> Result<()> {
        let is_other = job.session.is_some() && job.session.as_deref() != session;
        if is_other || !self.sees(whose) {
            return Err(job.unknown());
        }
        if orphaned && !self.monitoring {
            return Err(Error::session("its job session has been destroyed"));
        }
        Ok(())
    }

    /// The stored job, in a current state.
    fn fresh(&self, job: &JobRef) -> Result<Option<Job>> {
        match self.stored(job)? {
            // For a job without a begun start, the store is complete.
            Some(stored) if stored.begun => {
                let changed = self.world.engine(&stored.target)?.refresh(&job.id)?;
                if changed { self.stored(job) } else { Ok(Some(stored)) }
            }
            stored => Ok(stored),
        }
    }

    /// A job that is not stored was not made through DRMAA, and is no guest's, or is not there.
    fn absent<T>(&self, job: &JobRef) -> Result<Option<T>> {
        if job.session.is_none() && !self.is_guest { Ok(None) } else { Err(job.unknown()) }
    }
}

/// Returns whether a stored job in this state may have a substate: why it waits.
fn has_substate(state: JobState) -> bool {
    state.is_queued() && !state.is_held()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, Scope};
    use crate::session::Timeout;
    use crate::session::tests::{Bench, fresh, start, template};

    fn at_once(bench: &Bench, scope: Scope, job: &JobRef) -> Result<Option<JobState>> {
        let (world, claim) = (&bench.world, &bench.world.mine);
        let desk = Desk { world, scope, is_guest: true, monitoring: false, claim, is_remote: true };
        desk.job_state_at_once(job)
    }

    #[test]
    fn a_state_is_told_at_once_if_nothing_has_to_be_asked() {
        let (dir, bench, session) = fresh();
        let told = |job: &JobRef| at_once(&bench, Scope::ALL, job).unwrap();
        let held = JobTemplate { submit_as_hold: true, ..template("sleep") };
        assert_eq!(told(&session.run_job(held).unwrap()), Some(JobState::QueuedHeld));
        let job = start(&session, template("sleep"));
        assert_eq!(told(&job), Some(JobState::Running));
        // A process that does not hear of the runtime yet would have to ask.
        let another = Bench::on(dir.path(), Arc::clone(&bench.tracker));
        assert_eq!(at_once(&another, Scope::ALL, &job).unwrap(), None);
        bench.enter();
        bench.tracker.exit(&job.id, 1);
        job.wait_terminated(Timeout::Infinite).unwrap();
        assert_eq!(told(&job), Some(JobState::Failed));
        assert_eq!(told(&JobRef { session: None, ..job.clone() }), None);
        let other = at_once(&bench, Scope { uid: 4711, others: false }, &job).unwrap_err();
        assert_eq!(other.code, ErrorCode::InvalidArgument);
    }
}
