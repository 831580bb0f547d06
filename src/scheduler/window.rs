//! Reservations: when are so many slots free for so long?

use super::Machine;
use crate::model::Millis;

/// What shall be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The window begins here; `None` is as early as possible.
    pub begins: Option<Millis>,
    /// The window ends here, or before if it has a duration and no begin.
    pub ends: Option<Millis>,
    /// How long the window is.
    pub duration: Option<Millis>,
    /// At least so many slots.
    pub min_slots: i64,
    /// At most so many slots.
    pub max_slots: i64,
    /// Memory.
    pub memory: i64,
}

/// What can be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Begin.
    pub begins: Millis,
    /// End; not part of it.
    pub ends: Millis,
    /// Slots.
    pub slots: i64,
}

/// The window that a request gets on a machine of so many slots and so much memory, or `None`.
pub fn find_window(
    now: Millis,
    slots: i64,
    memory: Option<i64>,
    machine: &Machine,
    request: &Request,
) -> Option<Window> {
    let _ = (now, slots, memory, machine, request);
    None
}
