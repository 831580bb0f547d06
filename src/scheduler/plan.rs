//! Admission: the choice of waiting jobs that get the free slots.
//!
//! Jobs are served strictly in their order. The first that has to wait blocks later jobs from the
//! resource that it waits for, with one exception (backfill): a job that does not delay it may pass. So
//! slots are not left idle, and a job that needs many does not wait for ever behind a stream of small
//! ones.

use super::lanes::{Lanes, Need, Place, Verdict};
use super::users::Users;
use super::{Candidate, Machine, Pick, Plan, Pool};
use crate::model::{Millis, Result};

/// Decide which jobs start now.
///
/// `pools` are the rules of all waiting jobs. `candidates` come in serving order; the iterator is read
/// only as far as necessary. At most `room` jobs are started, at most `ahead` made ready.
///
/// A job that asks for more than its limits will ever allow waits for ever and blocks no other. One that waits because its
/// user has reached his limit blocks that user's later ones alone.
///
/// # Errors
///
/// Those of `candidates`, and INTERNAL if one names a missing pool.
pub fn plan(
    now: Millis,
    machine: &Machine,
    pools: &[Pool],
    candidates: &mut dyn Iterator<Item = Result<Candidate>>,
    room: usize,
    ahead: usize,
) -> Result<Plan> {
    let (lanes, users) = (Lanes::new(now, machine, pools), Users::new(machine));
    let mut planner = Planner { now, pools, lanes, users, room, ahead, plan: Plan::default() };
    while planner.goes_on() {
        let Some(candidate) = candidates.next() else { break };
        planner.serve(&candidate?)?;
    }
    Ok(planner.plan)
}

/// A plan under construction.
struct Planner<'a> {
    now: Millis,
    pools: &'a [Pool],
    lanes: Lanes<'a>,
    users: Users,
    /// The number of jobs that may still start.
    room: usize,
    /// The number of jobs that may still be made ready.
    ahead: usize,
    plan: Plan,
}

/// The reason why no more jobs of a candidate start.
enum Stop {
    /// All of them start.
    Done,
    /// The largest permitted number of them is active.
    Parallel,
    /// Its user's jobs hold too many slots.
    User,
    /// Too few slots are free.
    Slots,
    /// Any other reason; a free slot alone would not help.
    Other,
    /// The limit of jobs to start is reached.
    Room,
}

impl Planner<'_> {
    /// Returns whether the next candidate can make a difference.
    fn goes_on(&self) -> bool {
        !self.plan.more && (self.ahead > 0 || self.lanes.any_free())
    }

    fn serve(&mut self, candidate: &Candidate) -> Result<()> {
        if candidate.waiting == 0 || candidate.start.is_some_and(|start| start > self.now) {
            return Ok(());
        }
        let Some((place, need)) = self.lanes.place(candidate)? else { return Ok(()) };
        let pool = &self.pools[candidate.pool];
        if candidate.user_slots(pool).is_some_and(|limit| candidate.min_slots > limit) {
            return Ok(());
        }
        let mut slots = Vec::new();
        let stop = self.start(candidate, pool, &place, &need, &mut slots);
        let left = candidate.waiting - slots.len();
        add(&mut self.plan.start, candidate, slots);
        match stop {
            Stop::Done => {}
            Stop::Room => self.plan.more = true,
            Stop::Parallel => self.prepare(candidate, left, &place, &need),
            Stop::User => {
                self.users.block(candidate);
                self.prepare(candidate, left, &place, &need);
            }
            Stop::Slots => {
                self.wait(candidate, &place, &need);
                self.prepare(candidate, left, &place, &need);
            }
            Stop::Other => self.wait(candidate, &place, &need),
        }
        Ok(())
    }

    fn wait(&mut self, candidate: &Candidate, place: &Place, need: &Need) {
        self.lanes.wait(place, need);
        self.users.wait(candidate);
    }

    /// Start as many jobs of the candidate as possible; their slots go into `slots`.
    fn start(
        &mut self,
        candidate: &Candidate,
        pool: &Pool,
        place: &Place,
        need: &Need,
        slots: &mut Vec<i64>,
    ) -> Stop {
        let parallel = candidate.max_parallel.unwrap_or(usize::MAX).saturating_sub(candidate.active);
        loop {
            if slots.len() == candidate.waiting {
                return Stop::Done;
            }
            if slots.len() >= parallel {
                return Stop::Parallel;
            }
            let left = self.users.left(candidate, pool).unwrap_or(i64::MAX);
            if left < candidate.min_slots {
                return Stop::User;
            }
            match self.lanes.judge(place, need) {
                Verdict::Start(_) if self.room == 0 => return Stop::Room,
                Verdict::Start(granted) => {
                    let granted = granted.min(left);
                    self.lanes.start(place, need, granted);
                    self.users.start(candidate, granted);
                    slots.push(granted);
                    self.room -= 1;
                }
                Verdict::Slots => return Stop::Slots,
                Verdict::Other => return Stop::Other,
            }
        }
    }

    /// Make ready the candidate's `left` jobs, as far as they can come next.
    fn prepare(&mut self, candidate: &Candidate, left: usize, place: &Place, need: &Need) {
        let count = left.min(self.ahead).min(candidate.max_parallel.unwrap_or(usize::MAX));
        let mut slots = Vec::new();
        while slots.len() < count {
            if !self.lanes.prepare(place, need) {
                // Its turn comes before that of all others, so none of them is next.
                self.ahead = slots.len();
                break;
            }
            slots.push(candidate.min_slots);
        }
        self.ahead -= slots.len();
        add(&mut self.plan.ahead, candidate, slots);
    }
}

/// Add jobs of a candidate, which may come in several parts.
fn add(picks: &mut Vec<Pick>, candidate: &Candidate, slots: Vec<i64>) {
    let submission = candidate.submission;
    match picks.iter_mut().find(|pick| pick.submission == submission) {
        Some(pick) => pick.slots.extend(slots),
        None if slots.is_empty() => {}
        None => picks.push(Pick { submission, slots }),
    }
}
