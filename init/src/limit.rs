//! When a job is ended without anybody asking for it.

use std::time::{Duration, Instant};

use drmaa2_init::Order;

/// The time at which a job is asked to end.
pub(crate) struct Limit {
    /// When.
    pub(crate) at: Instant,
    /// Why, for the record.
    pub(crate) reason: String,
}

impl Limit {
    /// The earlier one of an order's limits, for a command that is started now. A deadline is turned
    /// into the time that is left to it, so a clock that is set later moves neither.
    pub(crate) fn of(order: &Order) -> Option<Self> {
        let wall_clock = order.wall_clock.map(|millis| {
            let span = Duration::from_millis(millis);
            (span, format!("exceeded its wall clock limit of {} s", span.as_secs_f64()))
        });
        let deadline = order.deadline.map(|at| {
            let left = u64::try_from(at.saturating_sub(crate::now())).unwrap_or(0);
            let reason = match order.deadline_reason.as_slice() {
                [] => "ended at its deadline".to_owned(),
                reason => String::from_utf8_lossy(reason).into_owned(),
            };
            (Duration::from_millis(left), reason)
        });
        let (left, reason) = wall_clock.into_iter().chain(deadline).min_by_key(|(left, _)| *left)?;
        // One beyond the end of time is none.
        let at = Instant::now().checked_add(left)?;
        Some(Self { at, reason })
    }

    /// Is it too late to start?
    pub(crate) fn has_passed(&self) -> bool {
        self.at <= Instant::now()
    }
}
