//! The whole system.

use super::Desk;
use crate::model::{Error, ErrorCode, JobFilter, JobInfo, Machine, Queue, Result, now};
use crate::session::capabilities;
use crate::session::jobs::{matching, settled};
use crate::session::refs::{JobRef, ReservationRef};
use crate::session::reserving;
use crate::store::Job;
use crate::tracker::JobTracker;

impl Desk<'_> {
    pub(super) fn all_jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        let (store, mut others) = (&self.world.store, Vec::new());
        // Those of others are not looked at.
        let stored = settled(self.world, || {
            let (seen, unseen) = store.all_jobs()?.into_iter().partition(|job| self.sees(job.whose));
            others = unseen;
            Ok(seen)
        })?;
        let mut jobs = matching(&stored, filter);
        if self.is_guest {
            if self.shows_others()? {
                others.iter_mut().for_each(|job: &mut Job| job.info = job.info.for_others());
                jobs.extend(matching(&others, filter));
            }
            // Containers that were not made through DRMAA are nobody's.
            return Ok(jobs);
        }
        let engine = self.world.default_engine()?;
        if let Some(monitoring) = engine.tracker().monitoring() {
            let now = now();
            for info in monitoring.all_jobs()? {
                let matches = filter.is_none_or(|filter| filter.matches(&info, now));
                if matches && !store.knows(&info.id)? && !is_removed(engine.tracker(), &info) {
                    // A job of another user's session is, for this user, a job from outside.
                    jobs.push(JobRef { session: None, ..JobRef::of(&info) });
                }
            }
        }
        Ok(jobs)
    }

    /// The part that a guest with a monitoring session may know of this job of another user. `None` if it is none, or the site hides
    /// them.
    pub(super) fn job_of_another(&self, job: &JobRef) -> Result<Option<JobInfo>> {
        // It has no session that he could name.
        if job.session.is_some() || !self.monitoring || !self.shows_others()? {
            return Ok(None);
        }
        let stored = self.world.store.job(&job.id)?.filter(|stored| !self.sees(stored.whose));
        Ok(stored.map(|stored| stored.info.for_others()))
    }

    fn shows_others(&self) -> Result<bool> {
        Ok(self.is_guest && !self.world.config.reload()?.guests.hide_others)
    }

    pub(super) fn all_reservations(&self) -> Result<Vec<ReservationRef>> {
        let mut stored = reserving::in_force(self.world, self.world.store.all_reservations()?)?;
        stored.retain(|reservation| self.sees(reservation.whose));
        if self.is_guest {
            return Ok(stored.iter().map(ReservationRef::of).collect());
        }
        let others = reserving::foreign(self.world)?;
        let foreign = others.into_iter().map(|info| ReservationRef { id: info.id, session: None });
        Ok(stored.iter().map(ReservationRef::of).chain(foreign).collect())
    }

    pub(super) fn machines(&self) -> Result<Vec<Machine>> {
        let engine = self.world.default_engine()?;
        engine.tracker().monitoring().map_or_else(|| Ok(Vec::new()), |it| it.all_machines())
    }

    pub(super) fn supports(&self, capability: i32) -> Result<bool> {
        let config = self.world.config.reload()?;
        Ok(match self.is_guest {
            true => capabilities::guest_has(&config, capability),
            false => capabilities::has(Some(&config), capability),
        })
    }

    pub(super) fn queues(&self) -> Result<Vec<Queue>> {
        let engine = self.world.default_engine()?;
        let configured = self.world.config.reload()?.queues.into_keys();
        let mut queues: Vec<Queue> = configured.map(|name| Queue { name }).collect();
        if let Some(monitoring) = engine.tracker().monitoring() {
            queues.extend(monitoring.all_queues()?);
        }
        Ok(queues)
    }
}

/// Returns whether a job of some session was reaped, and has been removed since the runtime listed it. The
/// store forgets such a job once nothing is left of it.
fn is_removed(tracker: &dyn JobTracker, job: &JobInfo) -> bool {
    let is_unknown = |error: Error| error.code == ErrorCode::InvalidArgument;
    job.session.is_some() && tracker.job_info(&job.id).is_err_and(is_unknown)
}
