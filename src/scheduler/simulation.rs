//! Random jobs and reservations on a simulated clock: after every plan, nothing is promised twice, no
//! usable resource is idle, and no job waits for a later one.

use proptest::prelude::*;

use super::oracle::{Oracle, check};
use super::{Active, Candidate, Machine, Plan, Pool, Request, Reserved, Turns, find_window, plan};
use crate::model::Millis;

/// A submission and its time.
#[derive(Debug, Clone)]
struct Submission {
    arrives: Millis,
    priority: i32,
    job: Candidate,
    /// The run times of its jobs, in turn, unless they are ended before.
    runs: Vec<Millis>,
}

/// A wish for a reservation: the request, its time, and how long before the end it is terminated.
#[derive(Debug, Clone)]
struct Wish {
    asks: Millis,
    request: Request,
    gives_up: Option<Millis>,
}

#[derive(Debug, Clone)]
struct Story {
    pools: Vec<Pool>,
    submissions: Vec<Submission>,
    wishes: Vec<Wish>,
    /// Users take turns.
    fair: bool,
    /// The number of jobs that a plan may start; if it is too small for all, more plans are needed.
    room: usize,
}

/// A job that runs.
#[derive(Debug)]
struct Running {
    submission: i64,
    leaves: Millis,
    active: Active,
}

struct World<'a> {
    story: &'a Story,
    now: Millis,
    running: Vec<Running>,
    reserved: Vec<Reserved>,
    /// The waiting jobs of each submission, and how many of its jobs have started.
    waiting: Vec<(Candidate, usize)>,
}

fn slots() -> impl Strategy<Value = (i64, i64)> {
    (1i64..5, 0i64..3).prop_map(|(min, more)| (min, min + more))
}

prop_compose! {
    fn submission()(
        arrives in prop_oneof![2 => Just(0i64), 1 => 0i64..40],
        priority in 0i32..3,
        pool in 0usize..2,
        owner in 0i64..3,
        waiting in prop_oneof![2 => Just(1usize), 1 => 1usize..5],
        max_parallel in prop_oneof![3 => Just(None), 1 => (1usize..4).prop_map(Some)],
        (min_slots, max_slots) in slots(),
        memory in 0i64..4,
        start in prop_oneof![3 => Just(None), 1 => (0i64..50).prop_map(Some)],
        reservation in prop_oneof![3 => Just(None), 2 => (0i64..4).prop_map(Some)],
        wall_clock in prop_oneof![1 => Just(None), 3 => (1i64..25).prop_map(Some)],
        runs in prop::collection::vec(1i64..25, 1..4),
    ) -> Submission {
        let job = Candidate {
            submission: 0, owner, rank: 0, pool, waiting, active: 0, max_parallel, min_slots, max_slots, memory, start,
            reservation, wall_clock,
        };
        Submission { arrives, priority, job, runs }
    }
}

prop_compose! {
    fn wish()(
        asks in 0i64..30,
        begins in prop_oneof![1 => Just(None), 1 => (0i64..20).prop_map(Some)],
        duration in 1i64..20,
        (min_slots, max_slots) in slots(),
        memory in 0i64..5,
        gives_up in prop_oneof![3 => Just(None), 1 => (1i64..20).prop_map(Some)],
    ) -> Wish {
        let begins = begins.map(|after| asks + after);
        let request =
            Request { begins, ends: None, duration: Some(duration), min_slots, max_slots, memory };
        Wish { asks, request, gives_up }
    }
}

prop_compose! {
    fn story()(
        slots in 2i64..9,
        memory in prop_oneof![1 => Just(None), 1 => (3i64..9).prop_map(Some)],
        queue_slots in 1i64..6,
        user_slots in prop_oneof![1 => Just(None), 1 => (1i64..6).prop_map(Some)],
        mut submissions in prop::collection::vec(submission(), 1..14),
        wishes in prop::collection::vec(wish(), 0..4),
        fair in prop::bool::weighted(0.25),
        room in prop_oneof![2 => Just(usize::MAX), 1 => 1usize..4],
    ) -> Story {
        for (number, submission) in submissions.iter_mut().enumerate() {
            submission.job.submission = number as i64;
        }
        let pool = |queue: &str, queue_slots| {
            Pool { slots: Some(slots), memory, queue: queue.to_owned(), queue_slots, user_slots }
        };
        let pools = vec![pool("wide", None), pool("narrow", Some(queue_slots))];
        Story { pools, submissions, wishes, fair, room }
    }
}

impl World<'_> {
    fn machine(&self) -> Machine {
        let active = self.running.iter().map(|job| job.active.clone()).collect();
        Machine { active, reserved: self.reserved.clone() }
    }

    fn oracle(&self) -> Oracle<'_> {
        Oracle { now: self.now, pools: &self.story.pools, machine: self.machine() }
    }

    /// The waiting jobs, in serving order.
    fn candidates(&self) -> Vec<Candidate> {
        let submission = |job: &Candidate| &self.story.submissions[job.submission as usize];
        let mut jobs: Vec<Candidate> = self
            .waiting
            .iter()
            .filter(|(job, _)| job.waiting > 0 && submission(job).arrives <= self.now)
            .map(|(job, _)| job.clone())
            .collect();
        jobs.sort_by_key(|job| (-submission(job).priority, submission(job).arrives, job.submission));
        jobs
    }

    /// The time of the next event.
    fn next(&self) -> Option<Millis> {
        let story = self.story;
        let leaves = self.running.iter().map(|job| job.leaves);
        let windows = self.reserved.iter().flat_map(|reserved| [reserved.begins, reserved.ends]);
        let given_up = self.reserved.iter().filter_map(|reserved| self.gives_up(reserved));
        let arrives = story.submissions.iter().map(|submission| submission.arrives);
        let starts = story.submissions.iter().filter_map(|submission| submission.job.start);
        let asks = story.wishes.iter().map(|wish| wish.asks);
        let times = leaves.chain(windows).chain(given_up).chain(arrives).chain(starts).chain(asks);
        times.filter(|at| *at > self.now).min()
    }

    fn gives_up(&self, reserved: &Reserved) -> Option<Millis> {
        let before = self.story.wishes[reserved.number as usize].gives_up?;
        Some(reserved.ends - before).filter(|at| *at > reserved.begins)
    }

    /// The events of this time, before planning.
    fn happen(&mut self) {
        let now = self.now;
        for job in self.running.extract_if(.., |job| job.leaves <= now) {
            self.waiting[job.submission as usize].0.active -= 1;
        }
        let over: Vec<i64> = self
            .reserved
            .iter()
            .filter(|reserved| {
                reserved.ends <= now || self.gives_up(reserved).is_some_and(|at| at <= now)
            })
            .map(|reserved| reserved.number)
            .collect();
        self.reserved.retain(|reserved| !over.contains(&reserved.number));
        for (number, wish) in self.story.wishes.iter().enumerate().filter(|(_, wish)| wish.asks == now) {
            let Pool { slots, memory, .. } = self.story.pools[0];
            let found = find_window(now, slots.unwrap(), memory, &self.machine(), &wish.request);
            self.reserved.extend(found.map(|window| Reserved {
                number: number as i64,
                begins: window.begins,
                ends: window.ends,
                slots: window.slots,
                memory: wish.request.memory,
            }));
        }
    }

    fn plan(&self, jobs: &[Candidate], room: usize) -> Plan {
        let (machine, mut candidates) = (self.machine(), jobs.iter().cloned().map(Ok));
        let mut turns;
        let order: &mut dyn Iterator<Item = _> = match self.story.fair {
            true => {
                turns = Turns::new(&machine, &mut candidates);
                &mut turns
            }
            false => &mut candidates,
        };
        plan(self.now, &machine, &self.story.pools, order, room, 2).unwrap()
    }

    /// Start the jobs of the plan.
    fn apply(&mut self, plan: &Plan) {
        for pick in &plan.start {
            let submission = &self.story.submissions[pick.submission as usize];
            for slots in &pick.slots {
                let (job, started) = &mut self.waiting[pick.submission as usize];
                let window = self.reserved.iter().find(|r| Some(r.number) == job.reservation);
                let ends = job.wall_clock.map(|length| self.now + length);
                let ends = ends.into_iter().chain(window.map(|reserved| reserved.ends)).min();
                let leaves = self.now + submission.runs[*started % submission.runs.len()];
                self.running.push(Running {
                    submission: pick.submission,
                    leaves: ends.map_or(leaves, |ends| leaves.min(ends)),
                    active: Active {
                        slots: *slots,
                        memory: job.memory,
                        queue: self.story.pools[job.pool].queue.clone(),
                        owner: job.owner,
                        reservation: job.reservation,
                        ends,
                    },
                });
                job.waiting -= 1;
                job.active += 1;
                *started += 1;
            }
        }
    }

    /// Check that nothing is given out twice.
    fn check_promises(&self) -> Result<(), TestCaseError> {
        let oracle = self.oracle();
        let (slots, memory) = oracle.general(self.now);
        let pool = &self.story.pools[0];
        prop_assert!(slots <= pool.slots.unwrap(), "{} slots at {}", slots, self.now);
        prop_assert!(pool.memory.is_none_or(|limit| memory <= limit), "{} kB at {}", memory, self.now);
        for reserved in &self.reserved {
            let (slots, memory) = oracle.in_reservation(reserved.number, self.now);
            prop_assert!(slots <= reserved.slots && memory <= reserved.memory, "{:?}", reserved);
            prop_assert!(slots == 0 || oracle.open(reserved.number, self.now), "{:?}", reserved);
        }
        let narrow = &self.story.pools[1];
        prop_assert!(oracle.in_queue(&narrow.queue, self.now) <= narrow.queue_slots.unwrap());
        for owner in 0..3 {
            let held = oracle.of_user(owner);
            prop_assert!(
                narrow.user_slots.is_none_or(|limit| held <= limit),
                "{} of user {}",
                held,
                owner
            );
        }
        for (job, _) in &self.waiting {
            prop_assert!(job.max_parallel.is_none_or(|most| job.active <= most), "{:?}", job);
            let running = self.running.iter().filter(|one| one.submission == job.submission);
            prop_assert_eq!(job.active, running.count());
        }
        Ok(())
    }

    /// Plan, as often as the room requires.
    fn admit(&mut self) -> Result<(), TestCaseError> {
        loop {
            let jobs = self.candidates();
            let whole = self.plan(&jobs, usize::MAX);
            // The rules are about jobs in serving order, which is this one unless users take turns.
            let after = match self.story.fair {
                true => None,
                false => {
                    let checked = check(&self.oracle(), &jobs, &whole);
                    Some(
                        checked
                            .map_err(|error| TestCaseError::fail(format!("{}: {error}", self.now)))?,
                    )
                }
            };
            let part = self.plan(&jobs, self.story.room);
            let count = |plan: &Plan| plan.start.iter().map(|pick| pick.slots.len()).sum::<usize>();
            prop_assert_eq!(count(&part), count(&whole).min(self.story.room));
            prop_assert_eq!(part.more, count(&part) < count(&whole));
            self.apply(&part);
            self.check_promises()?;
            if !part.more {
                prop_assert!(after.is_none_or(|after| after == self.machine()));
                // The amount kept for a waiting job may no longer be needed after others were started.
                if self.plan(&self.candidates(), usize::MAX).start.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

/// Play the story to its end; returns the jobs that still wait then.
fn play(story: &Story) -> Result<Vec<Candidate>, TestCaseError> {
    let mut world = World {
        story,
        now: 0,
        running: Vec::new(),
        reserved: Vec::new(),
        waiting: story.submissions.iter().map(|submission| (submission.job.clone(), 0)).collect(),
    };
    loop {
        world.happen();
        world.check_promises()?;
        world.admit()?;
        match world.next() {
            Some(next) => world.now = next,
            None => break,
        }
    }
    prop_assert!(world.running.is_empty());
    Ok(world.candidates())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn every_plan_keeps_the_rules_and_in_the_end_all_that_could_run_has_run(story in story()) {
        for job in play(&story)? {
            // Nothing runs, nothing is reserved, nothing lies in the future: only its own limits can
            // hold a job back.
            let pool = &story.pools[job.pool];
            let too_wide = job.min_slots > pool.slots.unwrap()
                || pool.queue_slots.is_some_and(|limit| job.min_slots > limit)
                || pool.user_slots.is_some_and(|limit| job.min_slots > limit);
            let too_large = pool.memory.is_some_and(|limit| job.memory > limit);
            prop_assert!(job.reservation.is_some() || too_wide || too_large, "{:?} waits", job);
        }
    }
}
