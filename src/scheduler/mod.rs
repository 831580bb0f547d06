//! Which waiting jobs may start now, and which windows of time can be reserved. Pure: what it is
//! shown and the time it is told are all it knows.
//!
//! Times are milliseconds since the epoch, memory is in kilobytes.

mod lanes;
mod plan;
mod timeline;
mod window;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::model::Millis;

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
}

/// A job that holds slots: admitted, and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Slots it holds.
    pub slots: i64,
    /// Memory it asked for.
    pub memory: i64,
    /// Its queue.
    pub queue: String,
    /// The number of its reservation.
    pub reservation: Option<i64>,
    /// When it is ended at the latest, by its wall clock limit or its window; `None` is never. A
    /// time that has passed says nothing: the job may need its grace.
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

/// What is in use, and what is promised. Reservations that are over are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// The jobs that hold slots.
    pub active: Vec<Active>,
    /// The reservations whose windows are not over.
    pub reserved: Vec<Reserved>,
}

/// Waiting jobs that were submitted together, and so are all alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Number of the submission.
    pub submission: i64,
    /// Place of its rules in the list of pools.
    pub pool: usize,
    /// How many of its jobs wait and are not held.
    pub waiting: usize,
    /// How many of its jobs hold slots.
    pub active: usize,
    /// How many may do so at a time.
    pub max_parallel: Option<usize>,
    /// Slots each of them takes at least.
    pub min_slots: i64,
    /// Slots each of them takes at most.
    pub max_slots: i64,
    /// Memory each of them asks for.
    pub memory: i64,
    /// They start at this time or later.
    pub start: Option<Millis>,
    /// They run inside this reservation.
    pub reservation: Option<i64>,
    /// How long each of them may run.
    pub wall_clock: Option<Millis>,
}

/// Jobs of one submission to start, or to make ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Number of the submission.
    pub submission: i64,
    /// The slots that each of them gets; its length is their number.
    pub slots: Vec<i64>,
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Start these.
    pub start: Vec<Pick>,
    /// These come next and wait for slots alone: they may be made ready.
    pub ahead: Vec<Pick>,
    /// Jobs were left out for want of room in flight, not of slots.
    pub more: bool,
}
