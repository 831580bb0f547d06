//! The slots that the jobs of each user hold, where a user has a limit of them.
//!
//! Jobs in reservations do not count: their slots were promised. A job that its user's limit keeps waiting blocks later jobs
//! of that user, and nobody else's.

use std::collections::{HashMap, HashSet};

use super::{Candidate, Machine, Pool};

/// All users of a plan.
pub(super) struct Users {
    /// The slots of each: in use, given out since, and kept for the first of his jobs that waits.
    held: HashMap<i64, i64>,
    /// Those for whom something is kept.
    kept: HashSet<i64>,
    /// Those whose later jobs wait.
    blocked: HashSet<i64>,
}

impl Users {
    pub(super) fn new(machine: &Machine) -> Self {
        Self { held: machine.held(), kept: HashSet::new(), blocked: HashSet::new() }
    }

    /// The slots that the user of the candidate may still get; `None` if there is no limit for it.
    pub(super) fn left(&self, candidate: &Candidate, pool: &Pool) -> Option<i64> {
        let limit = candidate.user_slots(pool)?;
        if self.blocked.contains(&candidate.owner) {
            return Some(0);
        }
        Some(limit.saturating_sub(self.held.get(&candidate.owner).copied().unwrap_or(0)))
    }

    /// Note a job of the candidate that starts with so many slots.
    pub(super) fn start(&mut self, candidate: &Candidate, slots: i64) {
        if candidate.reservation.is_none() {
            *self.held.entry(candidate.owner).or_insert(0) += slots;
        }
    }

    /// Let a job wait that its user's limit does not allow now.
    pub(super) fn block(&mut self, candidate: &Candidate) {
        self.blocked.insert(candidate.owner);
    }

    /// Let a job wait for something else. If it is the user's first, the later ones may not take what his limit leaves it.
    pub(super) fn wait(&mut self, candidate: &Candidate) {
        if candidate.reservation.is_none() && self.kept.insert(candidate.owner) {
            self.start(candidate, candidate.min_slots);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, active, busy, inside, job, pool, short};
    use super::super::{Active, Candidate, Machine, Pick, Plan, Pool, Reserved, plan};

    /// Two slots for each user, of eight.
    fn limited() -> Pool {
        Pool { slots: Some(8), user_slots: Some(2), ..pool() }
    }

    fn planned(machine: &Machine, pool: Pool, jobs: &[Candidate]) -> Plan {
        plan(NOW, machine, &[pool], &mut jobs.iter().cloned().map(Ok), usize::MAX, 0).unwrap()
    }

    fn of(owner: i64, job: Candidate) -> Candidate {
        Candidate { owner, ..job }
    }

    fn started(plan: Plan) -> Vec<(i64, Vec<i64>)> {
        plan.start.into_iter().map(|Pick { submission, slots }| (submission, slots)).collect()
    }

    #[test]
    fn a_user_gets_no_more_than_his_limit_and_others_pass() {
        let many = Candidate { waiting: 5, ..job(1, 1) };
        let jobs = [of(1, many), of(1, job(2, 1)), of(2, job(3, 1))];
        assert_eq!(started(planned(&busy(vec![]), limited(), &jobs)), [(1, vec![1, 1]), (3, vec![1])]);
        let machine = busy(vec![Active { owner: 1, ..active(1, None) }]);
        assert_eq!(started(planned(&machine, limited(), &jobs)), [(1, vec![1]), (3, vec![1])]);
        // His limit is also one of what a job that takes more is given.
        let greedy = Candidate { max_slots: 6, ..job(1, 1) };
        assert_eq!(started(planned(&machine, limited(), &[of(1, greedy)])), [(1, vec![1])]);
    }

    #[test]
    fn a_users_later_jobs_do_not_take_what_an_earlier_one_waits_for() {
        let machine = busy(vec![Active { owner: 1, ..active(1, None) }]);
        // The first needs both of his slots.
        let jobs = [of(1, job(1, 2)), of(1, job(2, 1)), of(2, job(3, 1))];
        assert_eq!(started(planned(&machine, limited(), &jobs)), [(3, vec![1])]);
        // The machine is what the first waits for; a short job that would pass takes his limit from it.
        let machine = busy(vec![Active { owner: 2, ..active(7, Some(NOW + 100)) }]);
        let jobs = [of(1, job(1, 2)), of(1, short(2, 1, 50)), of(3, short(3, 1, 50))];
        assert_eq!(started(planned(&machine, limited(), &jobs)), [(3, vec![1])]);
    }

    #[test]
    fn what_a_limit_never_allows_blocks_nobody() {
        let jobs = [of(1, job(1, 3)), of(1, job(2, 1))];
        assert_eq!(started(planned(&busy(vec![]), limited(), &jobs)), [(2, vec![1])]);
    }

    #[test]
    fn slots_of_a_reservation_do_not_count() {
        let reserved = Reserved { number: 7, begins: 0, ends: NOW + 100, slots: 4, memory: 0 };
        let inner = Active { owner: 1, reservation: Some(7), ..active(1, None) };
        let machine = Machine { active: vec![inner], reserved: vec![reserved] };
        let jobs = [of(1, inside(1, 3)), of(1, job(2, 2))];
        let limited = Pool { slots: Some(8), ..limited() };
        assert_eq!(started(planned(&machine, limited, &jobs)), [(1, vec![3]), (2, vec![2])]);
    }
}
