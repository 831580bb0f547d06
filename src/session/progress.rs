//! What an engine is doing at this moment, and whether it may start jobs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::model::Error;
use crate::store::{Phase, Unsettled};

/// How long after a failure something is tried again; doubled each time up to [`MAX_RETRY`].
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// So many jobs may be kept from starting without being in the way of others.
const MAX_DELAYED: usize = 64;
/// See [`RETRY`].
pub(super) const MAX_RETRY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) link: Link,
    /// The jobs that this process works on at this moment.
    pub(super) working: HashMap<String, Doing>,
    /// Those of them that something keeps from starting for longer than usual.
    pub(super) delayed: HashSet<String>,
    /// Nothing is started before; the pause after the next failure.
    pub(super) pause: Option<(Instant, Duration)>,
    /// The tracker can make no job ready.
    pub(super) unready: bool,
}

impl Progress {
    /// How many jobs are being started that keep others from it.
    pub(super) fn starting(&self) -> usize {
        let starting = self.working.iter().filter(|(_, doing)| **doing == Doing::Starting);
        let (delayed, busy): (Vec<_>, Vec<_>) = starting.partition(|(id, _)| self.delayed.contains(*id));
        busy.len() + delayed.len().saturating_sub(MAX_DELAYED)
    }

    /// Start nothing for a while, each time longer.
    pub(super) fn pause(&mut self) {
        let pause = self.pause.map_or(RETRY, |(_, pause)| (pause * 2).min(MAX_RETRY));
        self.pause = Some((Instant::now() + pause, pause));
    }
}

/// What is being done for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It is made ready, or is ready.
    Preparing,
    /// It is being started.
    Starting,
    /// What made it ready is undone.
    Undoing,
    /// What is left of it is removed.
    Cleaning,
}

/// Do the stored states of started jobs hold?
#[derive(Default, Clone)]
pub(super) enum Link {
    /// Not known yet.
    #[default]
    Starting,
    /// They do.
    Live,
    /// They may be behind.
    Lost(Error),
}

/// What the claimer of a job has to do.
pub(super) fn task(job: &Unsettled) -> Option<Doing> {
    match (job.phase, job.state.is_queued()) {
        (Phase::Ready, true) => Some(Doing::Preparing),
        (Phase::Active, true) => Some(Doing::Starting),
        (Phase::Undoing, true) => Some(Doing::Undoing),
        (Phase::Idle, false) if job.state.is_terminated() => Some(Doing::Cleaning),
        _ => None,
    }
}
