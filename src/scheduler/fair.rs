//! Turns of users: the next job is that of the user whose jobs hold the fewest slots.
//!
//! A user's own jobs keep their order. Queues of a higher priority come first, whoever's their jobs are. Jobs in
//! reservations take no turn, since their slots were promised.

use std::collections::{HashMap, VecDeque};

use super::{Candidate, Machine};
use crate::model::Result;

/// Candidates in an order in which users take turns, one job at a time where several users have some.
pub struct Turns<'a> {
    /// The candidates in serving order, those of one rank after those of a higher one.
    rest: &'a mut dyn Iterator<Item = Result<Candidate>>,
    /// The first of the next rank.
    next: Option<Candidate>,
    /// Those of this rank that take no turns.
    first: VecDeque<Candidate>,
    /// The others, by user; the users in the order of their first candidates.
    users: Vec<(i64, VecDeque<Candidate>)>,
    /// The slots of each user, with those that his earlier turns may give him.
    held: HashMap<i64, i64>,
}

impl<'a> Turns<'a> {
    /// The turns of these candidates beside the jobs that hold slots.
    pub fn new(machine: &Machine, rest: &'a mut dyn Iterator<Item = Result<Candidate>>) -> Self {
        Self { rest, next: None, first: VecDeque::new(), users: Vec::new(), held: machine.held() }
    }

    /// Take the candidates of the next rank.
    fn fill(&mut self) -> Result<()> {
        let mut rank = None;
        while let Some(candidate) = self.next.take().map(Ok).or_else(|| self.rest.next()) {
            let candidate = candidate?;
            if *rank.get_or_insert(candidate.rank) != candidate.rank {
                self.next = Some(candidate);
                break;
            }
            if candidate.reservation.is_some() {
                self.first.push_back(candidate);
                continue;
            }
            match self.users.iter_mut().find(|(owner, _)| *owner == candidate.owner) {
                Some((_, jobs)) => jobs.push_back(candidate),
                None => self.users.push((candidate.owner, [candidate].into())),
            }
        }
        Ok(())
    }

    /// The next job, of the user whose turn it is.
    fn take(&mut self) -> Option<Candidate> {
        if let Some(candidate) = self.first.pop_front() {
            return Some(candidate);
        }
        let held = |owner: i64| self.held.get(&owner).copied().unwrap_or(0);
        let turn = (0..self.users.len()).min_by_key(|at| held(self.users[*at].0))?;
        let is_alone = self.users.len() == 1;
        let (owner, jobs) = &mut self.users[turn];
        let candidate = jobs.front_mut()?;
        let count = if is_alone { candidate.waiting } else { 1 };
        let slots = candidate.min_slots.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        let held = self.held.entry(*owner).or_insert(0);
        *held = held.saturating_add(slots);
        if count < candidate.waiting {
            let one = Candidate { waiting: 1, ..candidate.clone() };
            candidate.waiting -= 1;
            candidate.active += 1;
            return Some(one);
        }
        let last = jobs.pop_front();
        if jobs.is_empty() {
            self.users.remove(turn);
        }
        last
    }
}

impl Iterator for Turns<'_> {
    type Item = Result<Candidate>;

    fn next(&mut self) -> Option<Result<Candidate>> {
        if self.first.is_empty()
            && self.users.is_empty()
            && let Err(error) = self.fill()
        {
            return Some(Err(error));
        }
        self.take().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{NOW, active, busy, inside, job, pool};
    use super::super::{Active, Pick, Pool, plan};
    use super::*;
    use crate::model::Error;

    fn of(owner: i64, rank: i64, waiting: usize, submission: i64) -> Candidate {
        Candidate { owner, rank, waiting, ..job(submission, 1) }
    }

    fn turns(machine: &Machine, jobs: &[Candidate]) -> Vec<Candidate> {
        let mut jobs = jobs.iter().cloned().map(Ok);
        Turns::new(machine, &mut jobs).map(|job| job.unwrap()).collect()
    }

    /// The submissions of the turns, and the number of jobs of each turn.
    fn told(machine: &Machine, jobs: &[Candidate]) -> Vec<(i64, usize)> {
        turns(machine, jobs).iter().map(|job| (job.submission, job.waiting)).collect()
    }

    #[test]
    fn users_take_turns_by_what_they_hold() {
        let jobs = [of(1, 0, 4, 1), of(2, 0, 2, 2)];
        let idle = busy(vec![]);
        assert_eq!(told(&idle, &jobs), [(1, 1), (2, 1), (1, 1), (2, 1), (1, 2)]);
        let machine = busy(vec![Active { owner: 1, ..active(2, None) }]);
        assert_eq!(told(&machine, &jobs), [(2, 1), (2, 1), (1, 4)]);
        // A slot that is reserved for him is none that others could have.
        let machine = busy(vec![Active { owner: 1, reservation: Some(7), ..active(2, None) }]);
        assert_eq!(told(&machine, &jobs)[0], (1, 1));
    }

    #[test]
    fn a_queue_of_a_higher_priority_and_reservations_come_first() {
        let jobs =
            [of(1, 9, 2, 1), of(1, 0, 1, 2), of(2, 0, 1, 3), Candidate { owner: 2, ..inside(4, 1) }];
        assert_eq!(told(&busy(vec![]), &jobs), [(1, 2), (4, 1), (3, 1), (2, 1)]);
    }

    #[test]
    fn the_slots_of_a_machine_are_shared() {
        let machine = busy(vec![Active { owner: 1, ..active(1, None) }]);
        let jobs = [of(1, 0, 10, 1), of(2, 0, 10, 2), of(3, 0, 1, 3)];
        let mut jobs = jobs.iter().cloned().map(Ok);
        let mut turns = Turns::new(&machine, &mut jobs);
        let pool = Pool { slots: Some(6), ..pool() };
        let plan = plan(NOW, &machine, &[pool], &mut turns, usize::MAX, 2).unwrap();
        let counts = |picks: &[Pick]| -> Vec<(i64, usize)> {
            picks.iter().map(|pick| (pick.submission, pick.slots.len())).collect()
        };
        assert_eq!(counts(&plan.start), [(2, 2), (3, 1), (1, 2)]);
        assert_eq!(plan.ahead.iter().map(|pick| pick.slots.len()).sum::<usize>(), 2);
    }

    #[test]
    fn an_error_is_passed_on_and_the_rest_follows() {
        let jobs = [Ok(of(1, 0, 1, 1)), Err(Error::internal("unreadable")), Ok(of(2, 0, 1, 2))];
        let (machine, mut jobs) = (busy(vec![]), jobs.into_iter());
        let turns: Vec<_> = Turns::new(&machine, &mut jobs).collect();
        assert_eq!(turns.iter().filter(|turn| turn.is_err()).count(), 1);
        assert_eq!(turns.len(), 3);
    }

    proptest! {
        #[test]
        fn every_turn_is_that_of_who_holds_least_and_all_jobs_have_theirs(
            jobs in prop::collection::vec((0i64..4, 0i64..2, 1usize..5, 1i64..4), 0..12),
            holds in prop::collection::vec((0i64..4, 1i64..5), 0..4),
        ) {
            let mut jobs: Vec<Candidate> = (0..).zip(jobs).map(|(number, (owner, rank, waiting, slots))| {
                Candidate { owner, rank, waiting, ..job(number, slots) }
            }).collect();
            jobs.sort_by_key(|job| -job.rank);
            let active = holds.iter().map(|(owner, slots)| Active { owner: *owner, ..active(*slots, None) });
            let machine = busy(active.collect());
            let mut held = [0; 4];
            holds.iter().for_each(|(owner, slots)| held[*owner as usize] += slots);
            let mut left = jobs.clone();
            for turn in turns(&machine, &jobs) {
                let rank = left.iter().find(|job| job.waiting > 0).unwrap().rank;
                prop_assert_eq!(turn.rank, rank);
                let rivals = left.iter().filter(|job| job.waiting > 0 && job.rank == rank);
                for rival in rivals {
                    prop_assert!(held[turn.owner as usize] <= held[rival.owner as usize], "{:?}", turn);
                }
                // His jobs come in their order.
                let next = left.iter_mut().find(|job| {
                    job.waiting > 0 && job.rank == rank && job.owner == turn.owner
                }).unwrap();
                prop_assert_eq!(next.submission, turn.submission);
                prop_assert_eq!(next.active, turn.active);
                next.waiting -= turn.waiting;
                next.active += turn.waiting;
                held[turn.owner as usize] += turn.min_slots * turn.waiting as i64;
            }
            prop_assert!(left.iter().all(|job| job.waiting == 0));
        }
    }
}
