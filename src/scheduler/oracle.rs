//! A second, slow implementation of the rules of admission: it checks every rule at every instant. Plans
//! are compared with it.

use super::{Active, Candidate, Machine, Pick, Plan, Pool};
use crate::model::Millis;

/// By then every job with a known end has ended.
const HORIZON: Millis = 120;

/// A machine at one time.
#[derive(Clone)]
pub(super) struct Oracle<'a> {
    pub(super) now: Millis,
    pub(super) pools: &'a [Pool],
    pub(super) machine: Machine,
}

impl Oracle<'_> {
    /// Slots and memory at `at` of all jobs that hold them from now on and that `count` selects.
    fn active(&self, at: Millis, count: impl Fn(&Active) -> bool) -> (i64, i64) {
        let holds = |job: &&Active| match job.ends {
            Some(ends) if ends > self.now => at < ends,
            _ => true,
        };
        let jobs = self.machine.active.iter().filter(|job| count(job)).filter(holds);
        jobs.fold((0, 0), |(slots, memory), job| (slots + job.slots, memory + job.memory))
    }

    /// Returns whether the window of this reservation is open at `at`.
    pub(super) fn open(&self, number: i64, at: Millis) -> bool {
        self.machine.reserved.iter().any(|r| r.number == number && r.begins <= at && at < r.ends)
    }

    /// Slots and memory that are in use or reserved at `at`.
    pub(super) fn general(&self, at: Millis) -> (i64, i64) {
        let outside = |job: &Active| job.reservation.is_none_or(|number| !self.open(number, self.now));
        let (mut slots, mut memory) = self.active(at, outside);
        for reserved in self.machine.reserved.iter().filter(|r| r.begins <= at && at < r.ends) {
            slots += reserved.slots;
            memory += reserved.memory;
        }
        (slots, memory)
    }

    pub(super) fn in_queue(&self, queue: &str, at: Millis) -> i64 {
        self.active(at, |job| job.queue == queue).0
    }

    pub(super) fn in_reservation(&self, number: i64, at: Millis) -> (i64, i64) {
        self.active(at, |job| job.reservation == Some(number))
    }

    /// Slots of the jobs of a user outside of reservations.
    pub(super) fn of_user(&self, owner: i64) -> i64 {
        self.active(self.now, |job| job.owner == owner && job.reservation.is_none()).0
    }

    /// Returns whether the user's limit allows the job now.
    fn user_allows(&self, job: &Candidate, slots: i64) -> bool {
        let limit = self.pools[job.pool].user_slots.filter(|_| job.reservation.is_none());
        limit.is_none_or(|limit| self.of_user(job.owner) + slots <= limit)
    }

    fn queue_allows(&self, job: &Candidate, slots: i64, at: Millis) -> bool {
        let pool = &self.pools[job.pool];
        pool.queue_slots.is_none_or(|limit| self.in_queue(&pool.queue, at) + slots <= limit)
    }

    fn slots_allow(&self, job: &Candidate, slots: i64, at: Millis) -> bool {
        let pool = &self.pools[job.pool];
        let (limit, memory_limit, used) = match job.reservation {
            None => (pool.slots, pool.memory, self.general(at)),
            Some(number) => match self.machine.reserved.iter().find(|r| r.number == number) {
                Some(r) if self.open(number, at) => {
                    (Some(r.slots), Some(r.memory), self.in_reservation(number, at))
                }
                _ => return false,
            },
        };
        limit.is_none_or(|limit| used.0 + slots <= limit)
            && (job.memory == 0 || memory_limit.is_none_or(|limit| used.1 + job.memory <= limit))
    }

    /// The latest end of the job if it starts at `from`.
    fn end(&self, job: &Candidate, from: Millis) -> Option<Millis> {
        let window = job.reservation.and_then(|number| {
            self.machine.reserved.iter().find(|r| r.number == number).map(|r| r.ends)
        });
        let ends = job.wall_clock.map(|length| from + length);
        ends.into_iter().chain(window).min()
    }

    /// The first instant of its life at which the job, started at `from`, would not be allowed.
    fn trouble(&self, job: &Candidate, slots: i64, from: Millis, queue_alone: bool) -> Option<Millis> {
        let life = from..self.end(job, from).unwrap_or(self.now + HORIZON).max(from + 1);
        life.into_iter().find(|at| {
            !self.queue_allows(job, slots, *at) || !(queue_alone || self.slots_allow(job, slots, *at))
        })
    }

    /// Returns whether the job may start now with this many slots.
    pub(super) fn fits(&self, job: &Candidate, slots: i64) -> bool {
        self.user_allows(job, slots) && self.trouble(job, slots, self.now, false).is_none()
    }

    /// The earliest start of the job, if it is known.
    fn earliest(&self, job: &Candidate, queue_alone: bool) -> Option<Millis> {
        let mut from = self.now;
        let in_time = |from| job.reservation.is_none_or(|number| self.open(number, from));
        while from < self.now + HORIZON && in_time(from) {
            match self.trouble(job, job.min_slots, from, queue_alone) {
                None => return Some(from),
                Some(at) => from = at + 1,
            }
        }
        None
    }

    /// Let the job run from now on.
    pub(super) fn run(&mut self, job: &Candidate, slots: i64) {
        let ends = self.end(job, self.now);
        self.hold(job, slots, ends);
    }

    fn hold(&mut self, job: &Candidate, slots: i64, ends: Option<Millis>) {
        self.machine.active.push(Active {
            slots,
            memory: job.memory,
            queue: self.pools[job.pool].queue.clone(),
            owner: job.owner,
            reservation: job.reservation,
            ends,
        });
    }

    /// Returns whether `first`, which waits, or waits for its queue alone, would be delayed if `other`
    /// started now. If its start is unknown, any use of its need would delay it; so would a job that
    /// makes it wait for its queue, because then nothing keeps the machine's slots for it.
    fn delays(&self, first: &Candidate, queue_alone: bool, other: &Candidate) -> bool {
        if queue_alone && self.pools[first.pool].queue != self.pools[other.pool].queue {
            return false;
        }
        let mut with = self.clone();
        with.run(other, other.min_slots);
        if !queue_alone && with.waits_for_its_queue(first) {
            return true;
        }
        let Some(before) = self.earliest(first, queue_alone) else {
            let mut both = self.clone();
            both.hold(first, first.min_slots, None);
            return !both.fits(other, other.min_slots);
        };
        with.earliest(first, queue_alone).is_none_or(|after| after > before)
    }

    fn waits_for_its_queue(&self, job: &Candidate) -> bool {
        self.trouble(job, job.min_slots, self.now, true).is_some()
    }

    /// Returns whether the job can ever start, and waits for slots and memory only.
    fn is_eligible(&self, job: &Candidate, started: usize) -> bool {
        let alone = Oracle { machine: Machine { active: vec![], ..self.machine.clone() }, ..*self };
        let pool = &self.pools[job.pool];
        started < job.waiting
            && job.start.is_none_or(|start| start <= self.now)
            && job.max_parallel.is_none_or(|most| job.active + started < most)
            && pool.queue_slots.is_none_or(|limit| job.min_slots <= limit)
            && match job.reservation {
                Some(number) => self.open(number, self.now) && alone.fits(job, job.min_slots),
                None => {
                    pool.slots.is_none_or(|limit| job.min_slots <= limit)
                        && pool.user_slots.is_none_or(|limit| job.min_slots <= limit)
                        && pool.memory.is_none_or(|limit| job.memory <= limit)
                }
            }
    }

    /// Returns whether both jobs need slots of the same kind.
    fn same_slots(&self, one: &Candidate, other: &Candidate) -> bool {
        one.reservation == other.reservation
    }

    /// Returns whether the limit of their user leaves `job` nothing beside `first`, which waits.
    fn takes_from(&self, first: &Candidate, job: &Candidate) -> bool {
        self.same_user(first, job) && !self.user_allows(job, first.min_slots + job.min_slots)
    }

    /// Returns whether both jobs count for the limit of the same user.
    fn same_user(&self, one: &Candidate, other: &Candidate) -> bool {
        let counts = |job: &Candidate| job.reservation.is_none();
        self.pools[one.pool].user_slots.is_some()
            && one.owner == other.owner
            && counts(one)
            && counts(other)
    }

    fn same_queue(&self, one: &Candidate, other: &Candidate) -> bool {
        self.pools[one.pool].queue == self.pools[other.pool].queue
    }
}

fn picked(picks: &[Pick], job: &Candidate) -> Vec<i64> {
    let of_job = picks.iter().filter(|pick| pick.submission == job.submission);
    of_job.flat_map(|pick| pick.slots.iter().copied()).collect()
}

/// A candidate, the machine when it has been served, and whether some of its jobs wait, for more than their user.
type Turn<'a> = (&'a Candidate, Oracle<'a>, bool);

/// The first job of the same user that waits, for more than its user: what his limit leaves it is kept for that one alone.
fn first_of_user<'a>(turns: &[Turn<'a>], state: &Oracle, job: &Candidate) -> Option<&'a Candidate> {
    let waits = |(first, _, waits): &&Turn<'a>| *waits && state.same_user(first, job);
    turns.iter().find(waits).map(|(first, ..)| *first)
}

/// Check a plan that had room for everything against the rules. `jobs` are in serving order, and all
/// have the same limits except for their queues. Returns the machine after it.
pub(super) fn check(before: &Oracle, jobs: &[Candidate], plan: &Plan) -> Result<Machine, String> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut state = before.clone();
    let mut nobody_waits = true;
    let mut blocked: Vec<&Candidate> = Vec::new();
    for job in jobs {
        let slots = picked(&plan.start, job);
        for (place, granted) in slots.iter().enumerate() {
            if !before.is_eligible(job, place) {
                return Err(format!("{job:?} starts {} jobs", slots.len()));
            }
            if blocked.iter().any(|first| state.same_user(first, job)) {
                return Err(format!("{job:?} passes an earlier job of its user"));
            }
            if *granted < job.min_slots || *granted > job.max_slots || !state.fits(job, *granted) {
                return Err(format!("{job:?} starts with {granted} slots"));
            }
            if nobody_waits && *granted < job.max_slots && state.fits(job, granted + 1) {
                return Err(format!("{job:?} starts with {granted} slots only"));
            }
            state.run(job, *granted);
        }
        let waits = before.is_eligible(job, slots.len());
        let by_user = !state.user_allows(job, job.min_slots)
            || blocked.iter().any(|first| state.same_user(first, job))
            || first_of_user(&turns, &state, job).is_some_and(|first| state.takes_from(first, job));
        if waits && by_user {
            blocked.push(job);
        }
        let waits = waits && !by_user;
        nobody_waits &= !waits;
        turns.push((job, state.clone(), waits));
    }
    let after = state;
    for (place, (job, turn, waits)) in turns.iter().enumerate() {
        if *waits {
            let is_first =
                !turns[..place].iter().any(|(other, _, waits)| *waits && after.same_user(other, job));
            if is_first && !after.user_allows(job, job.min_slots) {
                return Err(format!("later jobs take what its user's limit leaves {job:?}"));
            }
            idle(&after, &turns[..place], job)?;
            overtaken(turn, &turns[..place], job, &turns[place + 1..], plan, &after)?;
        }
    }
    Ok(after.machine)
}

/// Work conservation: a job that waits although it could start would delay an earlier one.
fn idle(after: &Oracle, earlier: &[Turn], job: &Candidate) -> Result<(), String> {
    if !after.fits(job, job.min_slots) {
        return Ok(());
    }
    let waited: Vec<&Turn> = earlier.iter().filter(|(_, _, waits)| *waits).collect();
    let excused = waited.iter().enumerate().any(|(place, (first, turn, _))| {
        let queue_alone = turn.waits_for_its_queue(first);
        // Behind others of its queue, it needs only the rest that they leave of the queue.
        let is_behind = waited[..place].iter().any(|(other, ..)| after.same_queue(first, other));
        let needs_the_rest = !queue_alone && is_behind && after.same_queue(first, job);
        needs_the_rest || after.delays(first, queue_alone, job)
    });
    if excused { Ok(()) } else { Err(format!("{job:?} could start")) }
}

/// No starvation: the first job that waits for slots, or for its queue, is not delayed by any that is
/// served after it.
fn overtaken(
    turn: &Oracle,
    earlier: &[Turn],
    job: &Candidate,
    later: &[Turn],
    plan: &Plan,
    after: &Oracle,
) -> Result<(), String> {
    let queue_alone = turn.waits_for_its_queue(job);
    let waited = || earlier.iter().filter(|(_, _, waits)| *waits);
    if waited().any(|(other, ..)| turn.same_queue(job, other)) {
        return Ok(());
    }
    let another_is_first =
        waited().any(|(other, then, _)| turn.same_slots(job, other) && !then.waits_for_its_queue(other));
    if another_is_first && !queue_alone {
        return Ok(());
    }
    let Some(before) = turn.earliest(job, queue_alone) else {
        let mut kept = after.clone();
        kept.hold(job, job.min_slots, None);
        return beside(&kept, job, later, plan, queue_alone);
    };
    match after.earliest(job, queue_alone) {
        Some(then) if then <= before => Ok(()),
        then => Err(format!("{job:?} could start at {before}, now at {then:?}")),
    }
}

/// A job that passes one with an unknown start uses slots that the other does not need.
fn beside(
    kept: &Oracle,
    first: &Candidate,
    later: &[Turn],
    plan: &Plan,
    queue_alone: bool,
) -> Result<(), String> {
    for (job, ..) in later.iter().filter(|(job, ..)| !picked(&plan.start, job).is_empty()) {
        let same_queue = kept.same_queue(first, job);
        let full = |at| {
            let queue = same_queue && !kept.queue_allows(job, 0, at);
            queue || (!queue_alone && kept.same_slots(first, job) && !kept.slots_allow(job, 0, at))
        };
        if full(kept.now) {
            return Err(format!("{job:?} takes what {first:?} waits for"));
        }
    }
    Ok(())
}
