//! The resources that the jobs of a plan compete for: the machine, a queue, or an open reservation.

use super::timeline::{Amount, Limits, NEVER, Span, Timeline};
use super::{Candidate, Machine, Pool};
use crate::model::{Error, Millis, Result};

/// One such resource, under one set of limits.
struct Lane<'a> {
    of: Of<'a>,
    limits: Limits,
    /// The amounts in use, given out since, and kept for the first jobs that wait.
    used: Timeline,
    /// The memory in use now, including jobs to be made ready.
    memory: i64,
    /// A job waits here already, and its turn is kept.
    blocked: bool,
}

#[derive(PartialEq, Eq)]
enum Of<'a> {
    Machine,
    Queue(&'a str),
    Reservation { number: i64, ends: Millis },
}

/// The lanes in which a candidate is judged: that of the machine or of its reservation, and that of its
/// queue if the queue has a limit.
pub(super) struct Place<'a> {
    main: usize,
    queue: Option<usize>,
    queue_name: &'a str,
    in_reservation: bool,
}

/// The least that each job of a candidate needs, and the longest time that it may take.
pub(super) struct Need {
    amount: Amount,
    max_slots: i64,
    length: Millis,
    /// Its latest end if it starts now.
    ends: Millis,
    /// The end of its reservation.
    closes: Millis,
}

/// The judgement about one more job of a candidate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes, with this many slots.
    Start(i64),
    /// No: too few slots are free.
    Slots,
    /// No: memory is short, or a reservation or an earlier job needs it before this one would end.
    Other,
}

/// All lanes of a plan.
pub(super) struct Lanes<'a> {
    now: Millis,
    pools: &'a [Pool],
    lanes: Vec<Lane<'a>>,
    /// The lanes of the machine and of the queue for each pool.
    of_pools: Vec<(usize, Option<usize>)>,
}

impl<'a> Lane<'a> {
    fn new(of: Of<'a>, limits: Limits, used: Timeline) -> Self {
        let memory = used.now().memory;
        Self { of, limits, used, memory, blocked: false }
    }

    fn free_now(&self) -> i64 {
        self.limits.free_slots(self.used.now())
    }

    /// Returns whether the amount kept for a job in one lane has to be kept in the other as well.
    fn shares(&self, other: &Self) -> bool {
        let (mine, others) = (self.limits, other.limits);
        self.of == other.of
            && ((mine.slots.is_some() && mine.slots == others.slots)
                || (mine.memory.is_some() && mine.memory == others.memory))
    }

    /// Returns whether a job that starts now at `place` takes from this lane.
    fn serves(&self, at: usize, place: &Place) -> bool {
        match self.of {
            Of::Machine => !place.in_reservation,
            Of::Queue(name) => name == place.queue_name,
            Of::Reservation { .. } => at == place.main,
        }
    }

    /// Returns whether there is room for such a job all the time from `from` up to `to`.
    fn allows(&self, from: Millis, to: Millis, need: &Need) -> bool {
        self.limits.allow(self.used.peak(from, to), need.amount)
    }

    /// The earliest start of such a job; `None` if it is unknown.
    fn earliest(&self, now: Millis, need: &Need) -> Option<Millis> {
        let start = self.used.earliest(now, need.length, self.limits, need.amount)?;
        Some(start).filter(|start| *start < need.closes)
    }
}

impl<'a> Lanes<'a> {
    /// The lanes of these pools and of the reservations that are open now.
    pub(super) fn new(now: Millis, machine: &Machine, pools: &'a [Pool]) -> Self {
        let mut this = Self { now, pools, lanes: Vec::new(), of_pools: Vec::new() };
        for reserved in machine.reserved.iter().filter(|reserved| reserved.is_open(now)) {
            let inside = machine.active.iter().filter(|job| job.reservation == Some(reserved.number));
            let used = Timeline::new(now, inside.map(|job| Span::of_job(now, job)));
            let limits = Limits { slots: Some(reserved.slots), memory: Some(reserved.memory) };
            let of = Of::Reservation { number: reserved.number, ends: reserved.ends };
            this.lanes.push(Lane::new(of, limits, used));
        }
        for pool in pools {
            let limits = Limits { slots: pool.slots, memory: pool.memory };
            let of_machine = this.lane(Of::Machine, limits, || Timeline::of_machine(now, machine));
            let of_queue = pool.queue_slots.map(|slots| {
                let limits = Limits { slots: Some(slots), memory: None };
                this.lane(Of::Queue(&pool.queue), limits, || {
                    let inside = machine.active.iter().filter(|job| job.queue == pool.queue);
                    Timeline::new(now, inside.map(|job| Span::of_job(now, job)))
                })
            });
            this.of_pools.push((of_machine, of_queue));
        }
        this
    }

    /// The number of such a lane, which is made if it is missing.
    fn lane(&mut self, of: Of<'a>, limits: Limits, used: impl FnOnce() -> Timeline) -> usize {
        let known = self.lanes.iter().position(|lane| lane.of == of && lane.limits == limits);
        known.unwrap_or_else(|| {
            self.lanes.push(Lane::new(of, limits, used()));
            self.lanes.len() - 1
        })
    }

    /// The candidate's place and need; `None` if its reservation is not open, or if it asks for more
    /// than its limits will ever allow.
    pub(super) fn place(&self, candidate: &Candidate) -> Result<Option<(Place<'a>, Need)>> {
        let known = self.of_pools.get(candidate.pool).zip(self.pools.get(candidate.pool));
        let Some((&(of_machine, queue), pool)) = known else {
            return Err(Error::internal(format!("there is no pool {}", candidate.pool)));
        };
        let main = match candidate.reservation {
            None => Some(of_machine),
            Some(wanted) => self
                .lanes
                .iter()
                .position(|lane| matches!(lane.of, Of::Reservation { number, .. } if number == wanted)),
        };
        let Some(main) = main else { return Ok(None) };
        let in_reservation = candidate.reservation.is_some();
        let place = Place { main, queue, queue_name: &pool.queue, in_reservation };
        // A job takes its slots even if its time limit is 0.
        let length = candidate.wall_clock.unwrap_or(NEVER).max(1);
        let closes = match self.lanes[main].of {
            Of::Reservation { ends, .. } => ends,
            _ => NEVER,
        };
        let need = Need {
            amount: Amount { slots: candidate.min_slots, memory: candidate.memory },
            max_slots: candidate.max_slots.max(candidate.min_slots),
            length,
            ends: self.now.saturating_add(length).min(closes),
            closes,
        };
        let possible = lanes_of(&place).all(|at| {
            let limits = self.lanes[at].limits;
            limits.allow(Amount::default(), need.amount)
        });
        Ok(possible.then_some((place, need)))
    }

    /// Judge whether one such job may start now.
    pub(super) fn judge(&self, place: &Place, need: &Need) -> Verdict {
        let lanes = lanes_of(place).map(|at| &self.lanes[at]);
        if lanes.clone().any(|lane| lane.free_now() < need.amount.slots) {
            return Verdict::Slots;
        }
        if !lanes.clone().all(|lane| lane.allows(self.now, need.ends, need)) {
            return Verdict::Other;
        }
        let free = |lane: &Lane| lane.limits.free_slots(lane.used.peak(self.now, need.ends));
        Verdict::Start(lanes.fold(need.max_slots, |slots, lane| slots.min(free(lane))))
    }

    /// Start one such job now with this many slots.
    pub(super) fn start(&mut self, place: &Place, need: &Need, slots: i64) {
        let amount = Amount { slots, ..need.amount };
        let span = Span { from: self.now, to: need.ends, amount };
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.serves(at, place) {
                lane.used.add(span);
                lane.memory = lane.memory.saturating_add(amount.memory);
            }
        }
    }

    /// Make one such job ready, if its memory fits beside all others.
    pub(super) fn prepare(&mut self, place: &Place, need: &Need) -> bool {
        let memory = need.amount.memory;
        let main = &self.lanes[place.main];
        let used = Amount { slots: 0, memory: main.memory };
        if !main.limits.allow(used, Amount { slots: 0, memory }) {
            return false;
        }
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.serves(at, place) {
                lane.memory = lane.memory.saturating_add(memory);
            }
        }
        true
    }

    /// Let such a job wait. If it is the first one to wait, its need is kept for it from its earliest
    /// start, so that only jobs that do not delay it may pass.
    pub(super) fn wait(&mut self, place: &Place, need: &Need) {
        // A full queue does not block other queues.
        if let Some(queue) = place.queue
            && !self.lanes[queue].allows(self.now, need.ends, need)
        {
            if !self.lanes[queue].blocked {
                self.keep(queue, self.lanes[queue].earliest(self.now, need), need);
            }
            return;
        }
        if self.lanes[place.main].blocked {
            return;
        }
        let start = self.lanes[place.main].earliest(self.now, need);
        if let Some(queue) = place.queue {
            // The queue will be full with the jobs before it when the machine has room.
            if start.is_some_and(|start| {
                !self.lanes[queue].allows(start, start.saturating_add(need.length), need)
            }) {
                return;
            }
            // Its place in the queue is kept from now on. If others took it even for a while, this job
            // would have to wait for its queue, and then nothing keeps the machine's slots for it.
            self.keep(queue, None, need);
        }
        self.keep(place.main, start, need);
    }

    /// Keep the need of such a job from `start` on, or at all times if its start is unknown: it may come
    /// at any time, when a job without a known end ends.
    fn keep(&mut self, at: usize, start: Option<Millis>, need: &Need) {
        let to = start.map_or(NEVER, |start| start.saturating_add(need.length)).min(need.closes);
        let span = Span { from: start.unwrap_or(self.now), to, amount: need.amount };
        let sharing: Vec<usize> =
            (0..self.lanes.len()).filter(|other| self.lanes[*other].shares(&self.lanes[at])).collect();
        for other in sharing {
            self.lanes[other].used.add(span);
        }
        self.lanes[at].blocked = true;
    }

    /// Returns whether a job could still get a slot anywhere.
    pub(super) fn any_free(&self) -> bool {
        let free = |at: usize| self.lanes[at].free_now() > 0;
        let open = self
            .lanes
            .iter()
            .any(|lane| matches!(lane.of, Of::Reservation { .. }) && lane.free_now() > 0);
        self.of_pools
            .iter()
            .any(|(of_machine, queue)| queue.is_none_or(free) && (open || free(*of_machine)))
    }
}

/// The numbers of the lanes of a place.
fn lanes_of(place: &Place) -> impl Iterator<Item = usize> + Clone + use<> {
    place.queue.into_iter().chain([place.main])
}
