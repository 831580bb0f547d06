//! Monitoring sessions: the whole system, read-only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::job::{JobRef, matching};
use super::jobs::settled;
use super::reservation::ReservationRef;
use super::world::World;
use super::{process, reserving};
use crate::model::{Error, ErrorCode, JobFilter, JobInfo, Machine, Queue, Result, now};
use crate::tracker::{JobTracker, Monitoring};

/// An open monitoring session.
pub struct MonitoringSession {
    closed: AtomicBool,
}

impl MonitoringSession {
    /// Open one.
    pub fn open() -> Result<Arc<Self>> {
        process::world()?;
        process::monitor_opened();
        Ok(Arc::new(Self { closed: AtomicBool::new(false) }))
    }

    /// Close it.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(is_closed());
        }
        process::monitor_closed();
        Ok(())
    }

    /// INVALID_SESSION if it is closed.
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(is_closed()) } else { Ok(()) }
    }

    /// All matching jobs that the user may see, of every session and of none.
    pub fn jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        let world = self.world()?;
        let stored = settled(&world, || world.store.all_jobs())?;
        let mut jobs = matching(&stored, filter);
        let engine = world.default_engine()?;
        if let Some(monitoring) = engine.tracker().monitoring() {
            let now = now();
            for info in monitoring.all_jobs()? {
                let matches = filter.is_none_or(|filter| filter.matches(&info, now));
                if matches && !world.store.knows(&info.id)? && !is_removed(engine.tracker(), &info) {
                    // A job of another user's session is, for this user, a job from outside.
                    jobs.push(JobRef { session: None, ..JobRef::of(&info) });
                }
            }
        }
        Ok(jobs)
    }

    /// All reservations that the user may see and that are not over.
    pub fn reservations(&self) -> Result<Vec<ReservationRef>> {
        let world = self.world()?;
        let stored = reserving::in_force(&world, world.store.all_reservations()?)?;
        let others = reserving::foreign(&world)?;
        let foreign = others.into_iter().map(|info| ReservationRef { id: info.id, session: None });
        Ok(stored.iter().map(ReservationRef::of).chain(foreign).collect())
    }

    /// All machines, or those named.
    pub fn machines(&self, names: Option<&[String]>) -> Result<Vec<Machine>> {
        self.list(
            names,
            |_| Ok(Vec::new()),
            |monitoring| monitoring.all_machines(),
            |machine| &machine.name,
        )
    }

    /// All queues, or those named.
    pub fn queues(&self, names: Option<&[String]>) -> Result<Vec<Queue>> {
        let configured = |world: &World| {
            let queues = world.config.reload()?.queues;
            Ok(queues.into_keys().map(|name| Queue { name }).collect())
        };
        self.list(names, configured, |monitoring| monitoring.all_queues(), |queue| &queue.name)
    }

    fn list<T>(
        &self,
        names: Option<&[String]>,
        ours: fn(&World) -> Result<Vec<T>>,
        all: fn(&dyn Monitoring) -> Result<Vec<T>>,
        name: fn(&T) -> &String,
    ) -> Result<Vec<T>> {
        let world = self.world()?;
        let engine = world.default_engine()?;
        let mut items = ours(&world)?;
        if let Some(monitoring) = engine.tracker().monitoring() {
            items.extend(all(monitoring)?);
        }
        if let Some(names) = names {
            items.retain(|item| names.contains(name(item)));
        }
        Ok(items)
    }

    fn world(&self) -> Result<Arc<World>> {
        self.check_open()?;
        process::world()
    }
}

impl Drop for MonitoringSession {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            process::monitor_closed();
        }
    }
}

/// Returns whether a job of some session was reaped, and has been removed since the runtime listed it. The
/// store forgets such a job once nothing is left of it.
fn is_removed(tracker: &dyn JobTracker, job: &JobInfo) -> bool {
    let is_unknown = |error: Error| error.code == ErrorCode::InvalidArgument;
    job.session.is_some() && tracker.job_info(&job.id).is_err_and(is_unknown)
}

fn is_closed() -> Error {
    Error::session("the monitoring session is closed")
}
