//! The amounts in use over time, as far as known.

use super::{Active, Machine, Reserved};
use crate::model::Millis;

/// The end of a span without a known end.
pub(super) const NEVER: Millis = Millis::MAX;

/// Slots and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) slots: i64,
    pub(super) memory: i64,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        Self {
            slots: self.slots.saturating_add(other.slots),
            memory: self.memory.saturating_add(other.memory),
        }
    }
}

/// The most that may be in use at one time; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) slots: Option<i64>,
    pub(super) memory: Option<i64>,
}

impl Limits {
    /// Returns whether there is room for `need` beside `used`. A need of zero always fits.
    pub(super) fn allow(self, used: Amount, need: Amount) -> bool {
        let fits = |limit: Option<i64>, used: i64, need: i64| {
            need <= 0 || limit.is_none_or(|limit| used.saturating_add(need) <= limit)
        };
        fits(self.slots, used.slots, need.slots) && fits(self.memory, used.memory, need.memory)
    }

    /// The slots that `used` leaves.
    pub(super) fn free_slots(self, used: Amount) -> i64 {
        self.slots.map_or(i64::MAX, |limit| limit.saturating_sub(used.slots))
    }
}

/// An amount that is taken from `from` up to, and not including, `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Millis,
    pub(super) to: Millis,
    pub(super) amount: Amount,
}

impl Span {
    /// The amount that a job takes. One that should have ended already may hold its slots for any time.
    pub(super) fn of_job(now: Millis, job: &Active) -> Self {
        let to = job.ends.filter(|ends| *ends > now).unwrap_or(NEVER);
        Self { from: now, to, amount: Amount { slots: job.slots, memory: job.memory } }
    }

    fn of_reservation(reserved: &Reserved) -> Self {
        let amount = Amount { slots: reserved.slots, memory: reserved.memory };
        Self { from: reserved.begins, to: reserved.ends, amount }
    }
}

/// The amount in use from `from` to the next level.
#[derive(Debug, Clone, Copy)]
struct Level {
    from: Millis,
    used: Amount,
}

/// The amounts in use from now on.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// In order of time, beginning now; never empty.
    levels: Vec<Level>,
}

impl Timeline {
    /// The sum of `spans`, from `now` on.
    pub(super) fn new(now: Millis, spans: impl IntoIterator<Item = Span>) -> Self {
        let mut changes = Vec::new();
        for Span { from, to, amount } in spans {
            if to <= now || to <= from {
                continue;
            }
            changes.push((from.max(now), amount));
            if to < NEVER {
                let (slots, memory) = (amount.slots.saturating_neg(), amount.memory.saturating_neg());
                changes.push((to, Amount { slots, memory }));
            }
        }
        changes.sort_unstable_by_key(|(at, _)| *at);
        let mut levels = vec![Level { from: now, used: Amount::default() }];
        for (at, change) in changes {
            let last = levels.len() - 1;
            let used = levels[last].used.plus(change);
            if levels[last].from == at {
                levels[last].used = used;
            } else {
                levels.push(Level { from: at, used });
            }
        }
        Self { levels }
    }

    /// The use of all jobs without a reservation, and the reserved amounts.
    ///
    /// A job whose reservation is not open (it was terminated, or its window is over and the job has not
    /// ended yet) holds slots that no reservation accounts for, so it counts as one without.
    pub(super) fn of_machine(now: Millis, machine: &Machine) -> Self {
        let jobs = machine
            .active
            .iter()
            .filter(|job| {
                job.reservation.is_none_or(|number| {
                    !machine.reserved.iter().any(|r| r.number == number && r.is_open(now))
                })
            })
            .map(|job| Span::of_job(now, job));
        Self::new(now, jobs.chain(machine.reserved.iter().map(Span::of_reservation)))
    }

    /// Add the amount of `span`.
    pub(super) fn add(&mut self, span: Span) {
        if span.to <= span.from {
            return;
        }
        let first = self.split(span.from);
        let end = if span.to == NEVER { self.levels.len() } else { self.split(span.to) };
        for level in &mut self.levels[first..end] {
            level.used = level.used.plus(span.amount);
        }
    }

    /// Let a level begin at `at`, and return its index.
    fn split(&mut self, at: Millis) -> usize {
        match self.levels.binary_search_by_key(&at, |level| level.from) {
            Ok(found) => found,
            Err(0) => 0,
            Err(place) => {
                self.levels.insert(place, Level { from: at, used: self.levels[place - 1].used });
                place
            }
        }
    }

    /// The amount in use now.
    pub(super) fn now(&self) -> Amount {
        self.levels[0].used
    }

    /// The times at which the amount in use changes, including `now`.
    pub(super) fn changes(&self) -> impl Iterator<Item = Millis> {
        self.levels.iter().map(|level| level.from)
    }

    /// The most slots and the most memory, not necessarily at the same time, that are in use at any time
    /// from `from` up to, and not including, `to`.
    pub(super) fn peak(&self, from: Millis, to: Millis) -> Amount {
        let first = self.levels.partition_point(|level| level.from <= from).saturating_sub(1);
        self.levels[first..].iter().take_while(|level| level.from < to).fold(
            self.levels[first].used,
            |most, level| Amount {
                slots: most.slots.max(level.used.slots),
                memory: most.memory.max(level.used.memory),
            },
        )
    }

    /// The earliest time, `from` or later, from which there is room for `need` for `length`, or `None`
    /// if it is unknown.
    pub(super) fn earliest(
        &self,
        from: Millis,
        length: Millis,
        limits: Limits,
        need: Amount,
    ) -> Option<Millis> {
        let mut begin = Some(from);
        for (at, level) in self.levels.iter().enumerate() {
            let next = self.levels.get(at + 1).map(|next| next.from);
            if next.is_some_and(|next| next <= from) {
                continue;
            }
            if begin.is_some_and(|begin| level.from >= begin.saturating_add(length)) {
                break;
            }
            if !limits.allow(level.used, need) {
                begin = next;
            }
        }
        begin
    }
}

impl Reserved {
    /// Returns whether its window contains `now`.
    pub(super) fn is_open(&self, now: Millis) -> bool {
        (self.begins..self.ends).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(from: Millis, to: Millis, slots: i64) -> Span {
        Span { from, to, amount: Amount { slots, memory: 0 } }
    }

    fn peak(timeline: &Timeline, from: Millis, to: Millis) -> i64 {
        timeline.peak(from, to).slots
    }

    #[test]
    fn an_end_is_not_part_of_a_span() {
        let timeline = Timeline::new(10, [slots(0, 20, 1), slots(20, 30, 2), slots(5, 10, 4)]);
        assert_eq!(timeline.now().slots, 1);
        assert_eq!(peak(&timeline, 10, 20), 1);
        assert_eq!(peak(&timeline, 10, 21), 2);
        assert_eq!(peak(&timeline, 30, NEVER), 0);
    }

    #[test]
    fn no_amount_is_too_large_to_count() {
        let timeline = Timeline::new(0, [slots(0, 10, i64::MIN), slots(0, 10, i64::MAX)]);
        assert_eq!(timeline.now().slots, -1);
    }

    #[test]
    fn what_is_added_counts_like_what_was_there() {
        let spans = [slots(10, 20, 1), slots(15, NEVER, 2), slots(12, 18, 4), slots(5, 11, 8)];
        let whole = Timeline::new(10, spans);
        let mut parts = Timeline::new(10, []);
        for span in spans {
            parts.add(span);
        }
        for at in 10..25 {
            assert_eq!(parts.peak(at, at + 1), whole.peak(at, at + 1), "at {at}");
        }
    }

    #[test]
    fn the_earliest_time_is_the_begin_of_a_gap_that_is_long_enough() {
        let timeline = Timeline::new(0, [slots(0, 10, 4), slots(15, 30, 3), slots(40, NEVER, 4)]);
        let limits = Limits { slots: Some(4), memory: None };
        let earliest =
            |from, length, slots| timeline.earliest(from, length, limits, Amount { slots, memory: 0 });
        assert_eq!(earliest(0, 5, 4), Some(10));
        assert_eq!(earliest(0, 6, 4), Some(30));
        assert_eq!(earliest(12, 4, 4), Some(30));
        assert_eq!(earliest(0, 30, 1), Some(10));
        assert_eq!(earliest(0, 11, 4), None);
        assert_eq!(earliest(0, NEVER, 1), None);
    }
}
