//! The rules of admission, one by one.

use super::{Active, Candidate, Machine, Pick, Plan, Pool, Reserved, plan};
use crate::model::{Error, Millis, Result};

pub(super) const NOW: Millis = 1_000;

/// Four slots, no other limits.
pub(super) fn pool() -> Pool {
    Pool { slots: Some(4), memory: None, queue: "all".into(), queue_slots: None, user_slots: None }
}

fn queue(name: &str, slots: i64) -> Pool {
    Pool { queue: name.into(), queue_slots: Some(slots), ..pool() }
}

/// One job with this many slots and no time limit.
pub(super) fn job(submission: i64, slots: i64) -> Candidate {
    Candidate {
        submission,
        owner: 0,
        rank: 0,
        pool: 0,
        waiting: 1,
        active: 0,
        max_parallel: None,
        min_slots: slots,
        max_slots: slots,
        memory: 0,
        start: None,
        reservation: None,
        wall_clock: None,
    }
}

pub(super) fn short(submission: i64, slots: i64, wall_clock: Millis) -> Candidate {
    Candidate { wall_clock: Some(wall_clock), ..job(submission, slots) }
}

pub(super) fn inside(submission: i64, slots: i64) -> Candidate {
    Candidate { reservation: Some(7), ..job(submission, slots) }
}

pub(super) fn active(slots: i64, ends: Option<Millis>) -> Active {
    Active { slots, memory: 0, queue: "all".into(), owner: 0, reservation: None, ends }
}

fn reserved(begins: Millis, ends: Millis, slots: i64) -> Reserved {
    Reserved { number: 7, begins, ends, slots, memory: 0 }
}

pub(super) fn busy(active: Vec<Active>) -> Machine {
    Machine { active, reserved: vec![] }
}

fn promised(reserved: Vec<Reserved>) -> Machine {
    Machine { active: vec![], reserved }
}

/// The plan, and the number of candidates that it read.
fn pulled(
    machine: &Machine,
    pools: &[Pool],
    jobs: impl IntoIterator<Item = Candidate>,
    room: usize,
    ahead: usize,
) -> (Plan, usize) {
    let mut pulled = 0;
    let mut candidates = jobs.into_iter().map(Ok).inspect(|_| pulled += 1);
    let plan = plan(NOW, machine, pools, &mut candidates, room, ahead).unwrap();
    (plan, pulled)
}

fn picks(picks: &[Pick]) -> Vec<(i64, Vec<i64>)> {
    picks.iter().map(|pick| (pick.submission, pick.slots.clone())).collect()
}

/// The started submissions, and the slots of their jobs.
fn starts<const N: usize>(
    machine: &Machine,
    pools: &[Pool],
    jobs: [Candidate; N],
) -> Vec<(i64, Vec<i64>)> {
    picks(&pulled(machine, pools, jobs, usize::MAX, 0).0.start)
}

fn ahead<const N: usize>(
    machine: &Machine,
    pools: &[Pool],
    jobs: [Candidate; N],
    ahead: usize,
) -> Vec<(i64, Vec<i64>)> {
    picks(&pulled(machine, pools, jobs, usize::MAX, ahead).0.ahead)
}

#[test]
fn jobs_start_in_order_while_there_are_slots() {
    let machine = busy(vec![active(1, None)]);
    let jobs = [job(1, 1), job(2, 1), job(3, 1), job(4, 1)];
    assert_eq!(starts(&machine, &[pool()], jobs), [(1, vec![1]), (2, vec![1]), (3, vec![1])]);
}

#[test]
fn without_a_limit_everything_starts() {
    let unlimited = Pool { slots: None, ..pool() };
    let jobs = [Candidate { waiting: 3, ..job(1, 50) }, job(2, 1_000)];
    let machine = promised(vec![reserved(0, 2_000, 4)]);
    assert_eq!(starts(&machine, &[unlimited], jobs), [(1, vec![50, 50, 50]), (2, vec![1_000])]);
}

#[test]
fn every_job_is_judged_by_its_own_limits() {
    let larger = Pool { slots: Some(8), ..pool() };
    let jobs = [job(1, 1), Candidate { pool: 1, ..job(2, 3) }];
    assert_eq!(starts(&busy(vec![active(4, None)]), &[pool(), larger], jobs), [(2, vec![3])]);
}

#[test]
fn a_job_takes_as_many_slots_as_are_free_up_to_its_most() {
    let greedy = |submission| Candidate { max_slots: 3, ..job(submission, 1) };
    let jobs = [greedy(1), greedy(2), greedy(3)];
    assert_eq!(starts(&busy(vec![]), &[pool()], jobs), [(1, vec![3]), (2, vec![1])]);
}

#[test]
fn a_start_in_the_future_keeps_nobody_waiting() {
    let later = Candidate { start: Some(NOW + 1), ..job(1, 4) };
    let due = Candidate { start: Some(NOW), ..job(2, 4) };
    assert_eq!(starts(&busy(vec![]), &[pool()], [later, due]), [(2, vec![4])]);
}

#[test]
fn an_array_at_its_limit_keeps_nobody_waiting() {
    let array = Candidate { waiting: 9, active: 1, max_parallel: Some(2), ..job(1, 1) };
    assert_eq!(starts(&busy(vec![]), &[pool()], [array, job(2, 1)]), [(1, vec![1]), (2, vec![1])]);
}

#[test]
fn a_wide_job_is_not_overtaken_by_one_that_may_run_for_ever() {
    for ends in [None, Some(NOW + 50)] {
        let machine = busy(vec![active(1, ends)]);
        assert_eq!(starts(&machine, &[pool()], [job(1, 4), job(2, 1)]), []);
    }
}

#[test]
fn who_is_done_before_the_wide_job_can_start_may_pass_it() {
    let machine = busy(vec![active(1, Some(NOW + 50))]);
    let jobs = [job(1, 4), short(2, 1, 51), short(3, 1, 50)];
    assert_eq!(starts(&machine, &[pool()], jobs), [(3, vec![1])]);
}

#[test]
fn nobody_passes_a_job_whose_start_cannot_be_told() {
    for ends in [None, Some(NOW), Some(NOW - 1)] {
        let machine = busy(vec![active(1, ends)]);
        assert_eq!(starts(&machine, &[pool()], [job(1, 4), short(2, 1, 1)]), [], "{ends:?}");
    }
}

#[test]
fn slots_that_the_first_job_will_not_need_are_for_all() {
    let machine = busy(vec![active(2, Some(NOW + 50))]);
    let jobs = [job(1, 3), job(2, 2), job(3, 1), job(4, 1)];
    assert_eq!(starts(&machine, &[pool()], jobs), [(3, vec![1])]);
}

#[test]
fn a_job_that_can_never_start_keeps_nobody_waiting() {
    let memory = Pool { memory: Some(10), ..pool() };
    let jobs = [job(1, 5), Candidate { memory: 11, ..job(2, 1) }, job(3, 4)];
    assert_eq!(starts(&busy(vec![]), &[memory], jobs), [(3, vec![4])]);
}

#[test]
fn memory_is_given_out_like_slots() {
    let memory = Pool { memory: Some(10), ..pool() };
    let large = |submission, memory| Candidate { memory, ..job(submission, 1) };
    let jobs = [large(1, 6), large(2, 6), large(3, 4), large(4, 0)];
    // The third would take what the second waits for; the fourth takes none of it.
    assert_eq!(starts(&busy(vec![]), &[memory], jobs), [(1, vec![1]), (4, vec![1])]);
}

#[test]
fn a_full_queue_keeps_no_other_queue_waiting() {
    let pools = [queue("all", 2), queue("other", 4)];
    let jobs = [job(1, 2), job(2, 1), Candidate { pool: 1, ..job(3, 1) }];
    assert_eq!(starts(&busy(vec![]), &pools, jobs), [(1, vec![2]), (3, vec![1])]);
}

#[test]
fn in_a_queue_a_wide_job_is_not_overtaken() {
    let machine = busy(vec![active(1, Some(NOW + 50))]);
    let jobs = || [job(1, 3), job(2, 1), short(3, 1, 50)];
    assert_eq!(starts(&machine, &[queue("all", 3)], jobs()), [(3, vec![1])]);
}

#[test]
fn who_waits_for_the_machine_keeps_its_place_in_its_queue() {
    let machine = Machine {
        active: vec![Active { queue: "other".into(), ..active(2, None) }],
        reserved: vec![reserved(NOW - 10, NOW + 10, 2)],
    };
    // The third could have the reservation's slots, but not those of the queue, which the first waits
    // for.
    let jobs = [job(1, 1), inside(2, 1), inside(3, 1)];
    assert_eq!(starts(&machine, &[queue("all", 2)], jobs), [(2, vec![1])]);
}

#[test]
fn reserved_slots_are_not_given_away() {
    let machine = promised(vec![reserved(NOW - 10, NOW + 10, 3)]);
    assert_eq!(starts(&machine, &[pool()], [job(1, 1), short(2, 1, 1)]), [(1, vec![1])]);
}

#[test]
fn a_job_starts_only_if_it_is_done_when_the_window_opens() {
    let machine = promised(vec![reserved(NOW + 100, NOW + 200, 4)]);
    let jobs = [job(1, 1), short(2, 1, 101), short(3, 1, 100)];
    assert_eq!(starts(&machine, &[pool()], jobs), [(3, vec![1])]);
    let over = promised(vec![reserved(NOW - 100, NOW, 4)]);
    assert_eq!(starts(&over, &[pool()], [job(1, 4)]), [(1, vec![4])]);
}

#[test]
fn a_job_in_a_reservation_waits_for_its_window_and_keeps_nobody_waiting() {
    let machine = promised(vec![reserved(NOW + 100, NOW + 200, 2)]);
    assert_eq!(starts(&machine, &[pool()], [inside(1, 1), job(2, 2)]), [(2, vec![2])]);
    assert_eq!(starts(&busy(vec![]), &[pool()], [inside(1, 1), job(2, 4)]), [(2, vec![4])]);
}

#[test]
fn a_job_in_a_reservation_takes_the_slots_of_the_reservation() {
    let machine =
        Machine { active: vec![active(2, None)], reserved: vec![reserved(NOW - 10, NOW + 10, 2)] };
    let jobs = [job(1, 1), inside(2, 1), inside(3, 2), inside(4, 1)];
    assert_eq!(starts(&machine, &[pool()], jobs), [(2, vec![1])]);
}

#[test]
fn a_job_in_a_reservation_is_limited_by_its_queue() {
    let machine = promised(vec![reserved(NOW - 10, NOW + 10, 4)]);
    assert_eq!(starts(&machine, &[queue("all", 2)], [inside(1, 1), inside(2, 2)]), [(1, vec![1])]);
}

#[test]
fn a_job_that_outlives_its_reservation_holds_its_slots() {
    let stays = Active { reservation: Some(7), ..active(3, Some(NOW)) };
    assert_eq!(starts(&busy(vec![stays]), &[pool()], [job(1, 1), job(2, 1)]), [(1, vec![1])]);
}

#[test]
fn no_more_start_than_there_is_room() {
    let jobs = || [Candidate { waiting: 3, ..job(1, 1) }, job(2, 1), job(3, 1)];
    let (plan, _) = pulled(&busy(vec![]), &[pool()], jobs(), 2, 9);
    assert_eq!(
        plan,
        Plan { start: vec![Pick { submission: 1, slots: vec![1, 1] }], ahead: vec![], more: true }
    );
    let (plan, _) = pulled(&busy(vec![]), &[pool()], jobs(), 4, 9);
    assert!(!plan.more, "the last waits for a slot, not for room");
    assert_eq!(picks(&plan.ahead), [(3, vec![1])]);
}

#[test]
fn those_that_come_next_are_made_ready() {
    let machine = busy(vec![active(4, None)]);
    let jobs = [Candidate { max_slots: 4, ..job(1, 2) }, Candidate { waiting: 5, ..job(2, 1) }];
    assert_eq!(ahead(&machine, &[pool()], jobs, 3), [(1, vec![2]), (2, vec![1, 1])]);
}

#[test]
fn the_rest_of_an_array_is_made_ready_as_far_as_it_may_run_at_a_time() {
    let unlimited = Pool { slots: None, ..pool() };
    let array = Candidate { waiting: 9, active: 2, max_parallel: Some(2), ..job(1, 1) };
    assert_eq!(ahead(&busy(vec![]), &[unlimited], [array], 5), [(1, vec![1, 1])]);
}

#[test]
fn what_waits_for_something_else_is_not_made_ready() {
    let full = Machine {
        active: vec![active(2, None)],
        reserved: vec![
            Reserved { number: 8, ..reserved(NOW - 10, NOW + 10, 2) },
            reserved(NOW + 50, NOW + 60, 2),
        ],
    };
    let later = Candidate { start: Some(NOW + 1), ..job(1, 1) };
    assert_eq!(ahead(&full, &[pool()], [later, inside(2, 1), job(3, 1)], 3), [(3, vec![1])]);
    // A slot is free, but not for as long as the job may need it.
    let soon = promised(vec![reserved(NOW + 50, NOW + 60, 4)]);
    assert_eq!(ahead(&soon, &[pool()], [job(1, 1)], 3), []);
}

#[test]
fn no_more_are_made_ready_than_there_is_memory() {
    let memory = Pool { memory: Some(10), ..pool() };
    let machine = busy(vec![Active { memory: 4, ..active(4, None) }]);
    let jobs = [Candidate { waiting: 5, memory: 3, ..job(1, 1) }, job(2, 1)];
    assert_eq!(ahead(&machine, &[memory], jobs, 5), [(1, vec![1, 1])]);
}

#[test]
fn an_error_of_the_candidates_is_the_plans() {
    let broken: Vec<Result<Candidate>> = vec![Ok(job(1, 1)), Err(Error::internal("disk"))];
    let found = plan(NOW, &busy(vec![]), &[pool()], &mut broken.into_iter(), 9, 0);
    assert_eq!(found, Err(Error::internal("disk")));
    let lost = Candidate { pool: 3, ..job(1, 1) };
    let found = plan(NOW, &busy(vec![]), &[pool()], &mut [Ok(lost)].into_iter(), 9, 0);
    assert!(found.is_err());
}

#[test]
fn a_full_machine_looks_at_no_more_than_it_makes_ready() {
    let full = busy(vec![active(4, None)]);
    let many = || (0..100_000).map(|number| job(number, 1));
    assert_eq!(pulled(&full, &[pool()], many(), 8, 4).1, 4);
    assert_eq!(pulled(&full, &[pool()], many(), 8, 0).1, 0);
    // The jobs that start, and among those made ready the one that finds the machine full.
    assert_eq!(pulled(&busy(vec![]), &[pool()], many(), 8, 4).1, 8);
}

#[test]
fn memory_for_no_more_ends_the_search_for_what_comes_next() {
    let memory = Pool { memory: Some(10), ..pool() };
    let full = busy(vec![Active { memory: 10, ..active(4, None) }]);
    let many = (0..100_000).map(|number| Candidate { memory: 1, ..job(number, 1) });
    assert_eq!(pulled(&full, &[memory], many, 8, 4).1, 1);
}

#[test]
fn full_queues_and_a_wide_job_end_the_search() {
    let full = busy(vec![active(2, None)]);
    let many = || (0..100_000).map(|number| job(number, 1));
    assert_eq!(pulled(&full, &[queue("all", 2)], many(), 8, 4).1, 4);
    let wide_first = std::iter::once(job(-1, 4)).chain(many());
    assert_eq!(pulled(&full, &[pool()], wide_first, 8, 4).1, 4);
}

#[test]
fn the_search_goes_on_while_a_reservation_has_free_slots() {
    let machine =
        Machine { active: vec![active(2, None)], reserved: vec![reserved(NOW - 10, NOW + 10, 2)] };
    let many = (0..100_000).map(|number| job(number, 1));
    let jobs = many.chain([inside(-1, 2)]).chain((0..1_000).map(|number| job(number, 1)));
    let (plan, count) = pulled(&machine, &[pool()], jobs, 8, 4);
    assert_eq!(picks(&plan.start), [(-1, vec![2])]);
    assert_eq!(count, 100_001);
}
