//! Decides which waiting jobs may start now, and which time windows can be reserved. Pure functions:
//! they use only their arguments, including the time.
//!
//! Times are milliseconds since the epoch, memory is in kilobytes.

mod fair;
mod lanes;
mod plan;
mod timeline;
mod users;
mod window;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::model::Millis;

pub use fair::Turns;
pub use plan::plan;
pub use window::{Request, Window, find_window};

/// The rules that a job was submitted under. Every job is judged by its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Slots of the machine; `None` is no limit.
    pub slots: Option<i64>,
    /// Memory of the machine that jobs may ask for; `None` is no limit.
    pub memory: Option<i64>,
    /// The job's queue.
    pub queue: String,
    /// Slots of the queue; `None` is no limit.
    pub queue_slots: Option<i64>,
    /// Slots of one user, outside of reservations; `None` is no limit.
    pub user_slots: Option<i64>,
}

/// A job that holds slots: admitted, and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// The slots that it holds.
    pub slots: i64,
    /// The memory that it asked for.
    pub memory: i64,
    /// Its queue.
    pub queue: String,
    /// The number of its user.
    pub owner: i64,
    /// The number of its reservation.
    pub reservation: Option<i64>,
    /// Its latest end, by its wall clock limit or its window; `None` is never. A time in the past means
    /// nothing: the job may need its grace.
    pub ends: Option<Millis>,
}

/// Slots and memory that are set aside from `begins` up to, and not including, `ends`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Number of the reservation.
    pub number: i64,
    /// Begin of its window.
    pub begins: Millis,
    /// End of its window.
    pub ends: Millis,
    /// Slots.
    pub slots: i64,
    /// Memory.
    pub memory: i64,
}

/// The machine's use and promises, without reservations that are over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// The jobs that hold slots.
    pub active: Vec<Active>,
    /// The reservations whose windows are not over.
    pub reserved: Vec<Reserved>,
}

impl Machine {
    /// The slots that the jobs of each user hold, outside of reservations.
    fn held(&self) -> HashMap<i64, i64> {
        let mut held = HashMap::new();
        for job in self.active.iter().filter(|job| job.reservation.is_none()) {
            *held.entry(job.owner).or_insert(0) += job.slots;
        }
        held
    }
}

/// Waiting jobs that were submitted together and are all alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Number of the submission.
    pub submission: i64,
    /// The number of its user.
    pub owner: i64,
    /// The priority of its queue, which comes before everything else.
    pub rank: i64,
    /// Index of its rules in the list of pools.
    pub pool: usize,
    /// The number of its jobs that wait and are not held.
    pub waiting: usize,
    /// The number of its jobs that hold slots.
    pub active: usize,
    /// The largest number that may hold slots at one time.
    pub max_parallel: Option<usize>,
    /// The fewest slots of each job.
    pub min_slots: i64,
    /// The most slots of each job.
    pub max_slots: i64,
    /// The memory that each job asks for.
    pub memory: i64,
    /// The earliest start.
    pub start: Option<Millis>,
    /// The reservation that the jobs run inside.
    pub reservation: Option<i64>,
    /// The longest run time of each job.
    pub wall_clock: Option<Millis>,
}

impl Candidate {
    /// The slots that all jobs of its user may hold; `None` if there is no limit for these.
    fn user_slots(&self, pool: &Pool) -> Option<i64> {
        pool.user_slots.filter(|_| self.reservation.is_none())
    }
}

/// Jobs of one submission to start, or to make ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Number of the submission.
    pub submission: i64,
    /// The slots of each job; the length is the number of jobs.
    pub slots: Vec<i64>,
}

/// The decisions for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Jobs to start.
    pub start: Vec<Pick>,
    /// The next jobs, which wait for slots only and may be made ready.
    pub ahead: Vec<Pick>,
    /// Jobs were left out because of the limit of jobs in flight, not of slots.
    pub more: bool,
}
