//! Limits: the ends of a job that nobody asks for.

use std::time::{Duration, Instant};

use drmaa2_init::{Order, clock};

use crate::cgroup::{Account, Group};
use crate::usage;

/// The shortest interval between two checks of the CPU time.
const LEAST: Duration = Duration::from_millis(50);

/// The limits of a job.
#[derive(Default)]
pub(crate) struct Limits {
    time: Option<Limit>,
    cpu: Option<CpuLimit>,
}

/// CPU time that all the job's processes together may use.
struct CpuLimit {
    limit: Duration,
    account: Account,
}

/// The time at which a job is asked to end.
struct Limit {
    at: Instant,
    reason: String,
}

impl Limits {
    /// The limits of an order, for a command that is started now.
    pub(crate) fn of(order: &Order, group: &Group) -> Self {
        let cpu = order.cpu_time.map(Duration::from_millis);
        let cpu = cpu.map(|limit| CpuLimit { limit, account: Account::begin(group) });
        Self { time: Limit::of(order), cpu }
    }

    /// The earliest time at which a limit can be exceeded.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let cpu = self.cpu.as_ref().and_then(|cpu| {
            // Not earlier, even if every processor works for this job alone.
            let left = cpu.limit.saturating_sub(cpu.used()) / usage::processors();
            Instant::now().checked_add(left.max(LEAST))
        });
        cpu.into_iter().chain(self.time.as_ref().map(|limit| limit.at)).min()
    }

    /// The reason to end the job, if a limit is exceeded.
    pub(crate) fn exceeded(&self) -> Option<String> {
        if let Some(limit) = self.time.as_ref().filter(|limit| limit.at <= Instant::now()) {
            return Some(limit.reason.clone());
        }
        let cpu = self.cpu.as_ref().filter(|cpu| cpu.used() >= cpu.limit)?;
        Some(format!("exceeded its CPU time limit (CPU_TIME) of {} s", cpu.limit.as_secs_f64()))
    }
}

impl CpuLimit {
    /// The processes' own counts omit children that nobody has waited for; the control group includes
    /// them, if it is the job's.
    fn used(&self) -> Duration {
        self.account.cpu_time().unwrap_or_else(usage::cpu_time)
    }
}

impl Limit {
    /// The earlier of an order's limits. A deadline is converted to the time that is left, so a later
    /// change of the clock moves neither.
    fn of(order: &Order) -> Option<Self> {
        let wall_clock = order.wall_clock.map(|millis| {
            let span = Duration::from_millis(millis);
            (span, format!("exceeded its wall clock limit (WALLCLOCK_TIME) of {} s", span.as_secs_f64()))
        });
        let deadline = order.deadline.map(|at| {
            let left = u64::try_from(at.saturating_sub(clock::now())).unwrap_or(0);
            let reason = match order.deadline_reason.as_slice() {
                [] => "ended at its deadline".to_owned(),
                reason => String::from_utf8_lossy(reason).into_owned(),
            };
            (Duration::from_millis(left), reason)
        });
        let (left, reason) = wall_clock.into_iter().chain(deadline).min_by_key(|(left, _)| *left)?;
        // A time beyond the range of the clock is no limit.
        let at = Instant::now().checked_add(left)?;
        Some(Self { at, reason })
    }
}
