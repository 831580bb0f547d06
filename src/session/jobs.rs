//! Look-ups of stored jobs, in current states.

use std::time::{Duration, Instant};

use super::refs::JobRef;
use super::waits::Look;
use super::watched::Known;
use super::world::World;
use crate::model::{Error, ErrorCode, JobFilter, JobState, Result, now};
use crate::store::Job;

/// The longest time that a control call waits until the state shows the accepted change.
const SETTLE: Duration = Duration::from_secs(5);

/// Jobs from the store, in current states.
pub(super) fn settled(world: &World, mut load: impl FnMut() -> Result<Vec<Job>>) -> Result<Vec<Job>> {
    let jobs = load()?;
    let mut changed = false;
    for job in jobs.iter().filter(|job| job.begun) {
        changed |= world.engine(&job.target)?.refresh(&job.info.id)?;
    }
    if changed { load() } else { Ok(jobs) }
}

/// Those of stored jobs that match, as a caller names them.
pub(super) fn matching(jobs: &[Job], filter: Option<&JobFilter>) -> Vec<JobRef> {
    let now = now();
    let matches = |job: &&Job| filter.is_none_or(|filter| filter.matches(&job.info, now));
    jobs.iter().filter(matches).map(|job| JobRef::of(&job.info)).collect()
}

/// Wait for the fact of an accepted change, so that the caller's next look sees it.
pub(super) fn settle(world: &World, id: &str, settled: impl Fn(JobState) -> bool) -> Result<()> {
    let deadline = Instant::now().checked_add(SETTLE);
    let look = |known: &[Known]| {
        Ok(match known {
            [Known::State(state)] if !settled(*state) => Look::Wait,
            _ => Look::Done(()),
        })
    };
    world.waits.wait(&*world.store, &[id], deadline, look).map(|_| ())
}

/// Returns whether a runtime has refused a control because the job has ended meanwhile. It may have been cleaned up since:
/// then the runtime does not know it any more.
pub(super) fn has_ended(world: &World, id: &str, refusal: &Error) -> bool {
    match refusal.code {
        ErrorCode::InvalidState => true,
        ErrorCode::InvalidArgument => {
            world.store.job_state(id).is_ok_and(|state| state.is_none_or(JobState::is_terminated))
        }
        _ => false,
    }
}
