//! Holding jobs, including those that are being started: see `store/hold.rs`.

use super::engine::Engine;
use super::hand_over::pass_on;
use super::jobs::settle;
use super::world::World;
use crate::model::{Control, Error, ErrorCode, ImageRef, JobState, Millis, Result};
use crate::store::{Holding, Unsettled, Which};
use crate::tracker::Withdrawn;

/// Keep jobs from starting, or let them. Returns the number of those that are held, or released, then.
pub(super) fn hold_or_release(world: &World, which: Which<'_>, control: Control) -> Result<usize> {
    let here = match control {
        Control::Hold => hold(world, which)?,
        _ => world.store.release(which)?,
    };
    Ok(here + pass_on(world, which, control)?)
}

/// Keep jobs from starting. Returns their number; the stored state of all others shows that they have
/// begun.
fn hold(world: &World, which: Which<'_>) -> Result<usize> {
    let Holding { mut held, starting } = world.store.hold(which)?;
    let mut failed = None;
    for (id, target) in starting {
        match hold_starting(world, &id, &target) {
            Ok(true) => held += 1,
            Ok(false) => {}
            Err(error) => failed = Some(error.of(format!("job {id}"))),
        }
    }
    failed.map_or(Ok(held), Err)
}

/// Hold a job that is being started. False if its command has begun.
fn hold_starting(world: &World, id: &str, target: &str) -> Result<bool> {
    let engine = world.engine(target)?;
    // The start, if there is one, must be reported for the caller.
    engine.subscribe();
    let withdrawn = engine.withdraw(id);
    if matches!(withdrawn, Ok(Withdrawn::Nothing)) {
        return Ok(true);
    }
    if withdrawn.is_ok() {
        engine.adopt_started(id)?;
    }
    // If that failed here, the process that starts the job may still do it.
    let is_open = |state| matches!(state, JobState::Queued | JobState::Requeued);
    settle(world, id, |state| !is_open(state))?;
    match world.store.job_state(id)? {
        Some(state) if is_open(state) => {
            world.store.forget_hold(id)?;
            withdrawn?;
            let text = "its command has begun, but the runtime has not said so yet";
            Err(Error::new(ErrorCode::TryLater, text))
        }
        Some(state) => Ok(state.is_queued()),
        None => Ok(false),
    }
}

impl Engine {
    /// Withdraw the start of a job that is to be held, and store that.
    pub(super) fn withdraw(&self, id: &str) -> Result<Withdrawn> {
        // Before: the job may be on to another run by the time that the result is stored.
        let run = self.store.unsettled_job(id)?.map(|job| job.run);
        let withdrawn = self.tracker.withdraw(id)?;
        if let (Withdrawn::Nothing, Some(run)) = (withdrawn, run) {
            self.store.job_withdrawn(id, run)?;
        }
        Ok(withdrawn)
    }

    /// The same for a job that this process would have to start. False if it has begun.
    pub(super) fn withdraws(&self, id: &str) -> bool {
        // A hold that is no longer wanted must not block the next start.
        let withdraw = || match self.store.is_to_be_held(id)? {
            true => self.withdraw(id),
            false => Ok(Withdrawn::Nothing),
        };
        match withdraw() {
            Ok(withdrawn) => withdrawn == Withdrawn::Nothing,
            Err(error) => {
                tracing::warn!(job = %id, %error, "cannot tell whether a job can still be held");
                true
            }
        }
    }

    /// Store that a job has started, unless its start is withdrawn. True if that was news.
    pub(super) fn store_started(
        &self,
        id: &str,
        at: Millis,
        image: Option<&ImageRef>,
    ) -> Result<Option<bool>> {
        let news = self.store.job_started(id, at, image)?;
        if news || !self.store.is_to_be_held(id)? {
            return Ok(Some(news));
        }
        match self.withdraw(id)? {
            Withdrawn::Begun => self.store.job_begun(id, at, image).map(Some),
            Withdrawn::Nothing => Ok(None),
        }
    }

    /// Store that the start of a job, most often one of this process, was withdrawn.
    pub(super) fn withdrawn(&self, id: &str) -> Result<()> {
        // The dispatcher sees both or neither: it may start the job again as soon as it is released.
        let mut progress = self.progress.lock();
        let stored = self.store.start_withdrawn(id, &self.mine);
        progress.starts_no_more(id);
        drop(progress);
        self.changed.notify_all();
        self.kick.ring();
        match stored? {
            true => self.tell(Ok(true)),
            false => self.settle(id),
        }
    }

    /// Note that this process no longer starts the job; the dispatcher finds the next work for it.
    pub(super) fn starts_no_more(&self, id: &str) {
        self.progress.lock().starts_no_more(id);
        self.changed.notify_all();
        self.kick.ring();
    }

    /// Store that a start that was reported has not happened: a process that wanted to hold an earlier
    /// run of the job was so late that it withdrew this one after its start was reported.
    pub(super) fn run_withdrawn(&self, job: &Unsettled) -> Result<()> {
        let news = self.store.run_withdrawn(&job.id, job.run, &self.mine);
        self.kick.ring();
        self.tell(news)
    }

    /// Ask the runtime whether the job has started already.
    fn adopt_started(&self, id: &str) -> Result<()> {
        let (Some(job), Ok(info)) = (self.store.unsettled_job(id)?, self.tracker.job_info(id)) else {
            return Ok(());
        };
        match job.state.is_queued() && (info.state.is_started() || info.state.is_terminated()) {
            true => self.adopt(&job, &info),
            false => Ok(()),
        }
    }
}
