//! The dispatcher, the thread that starts jobs: it lets the scheduler choose, and does the work that the
//! store then assigns to this process.
//!
//! There is no leader: every process has such a thread, and a transaction of the store decides. It
//! sleeps until something happens that may let a job start: a change of the store, a time, the death of
//! a process that worked on jobs.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::kick::{Alarm, Kick};
use super::mail::{self, Sending};
use super::world::World;
use crate::model::{Control, Millis, Result, now};
use crate::procfs;
use crate::runtime;
use crate::scheduler::{Candidate, Turns, plan};
use crate::store::{Claim, Glance, NextMail, Queue, Targets, Unsettled};

/// Launches in flight for each core: a launch mostly waits for programs that the runtime starts, and
/// with more of them the rate falls again.
const LAUNCHES_PER_CORE: usize = 4;
/// Jobs made ready for each core.
const READY_PER_CORE: usize = 2;

/// The most processes that send mails at one time.
const MAILS: usize = 4;

/// The pause after a failure, milliseconds.
const RETRY: Millis = 1000;

/// The thread's state from one turn to the next.
struct Dispatcher {
    cores: usize,
    /// Other processes that work on jobs, send mails about them, or listen to their states.
    others: HashMap<Claim, OwnedFd>,
    /// The ones that are known to have died and may have left work to later processes.
    dead: HashSet<Claim>,
    /// Processes that send mails.
    mails: Vec<Sending>,
    /// The mails of those that have ended.
    tried: Vec<i64>,
}

/// After a turn that has taken this long the thread rests for so many times as long, at most for so long.
const LONG: Duration = Duration::from_millis(10);
const REST: u32 = 3;
const MAX_REST: Duration = Duration::from_millis(200);

/// One turn of the thread.
struct Round {
    failed: bool,
}

impl Round {
    /// The result of a step; nothing if it failed.
    fn step<T: Default>(&mut self, what: &str, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot {what}");
            self.failed = true;
            T::default()
        })
    }
}

/// End a job that has started, or waits in the queue of its runtime.
fn terminate(world: &World, id: &str) -> Result<()> {
    if let Some(job) = world.store.unsettled_job(id)? {
        world.engine(&job.target)?.control(job.id, Control::Terminate);
    }
    Ok(())
}

/// Start the thread.
pub(super) fn start(world: Weak<World>, kick: Arc<Kick>) -> Result<()> {
    let alarm = Alarm::new()?;
    let mut dispatcher = Dispatcher {
        cores: thread::available_parallelism().map_or(1, usize::from),
        others: HashMap::new(),
        dead: HashSet::new(),
        mails: Vec::new(),
        tried: Vec::new(),
    };
    let body = move || {
        while let Some(world) = world.upgrade() {
            let begun = Instant::now();
            let next = dispatcher.dispatch(&world);
            let took = begun.elapsed();
            alarm.set(next);
            drop(world);
            dispatcher.wait(&alarm, &kick);
            // With thousands of jobs in progress a turn takes long, and each of them ends with a kick: those that
            // come meanwhile are one.
            if took >= LONG {
                thread::sleep((took * REST).min(MAX_REST));
            }
        }
    };
    runtime::thread("drmaa2-dispatch", body)
}

impl Dispatcher {
    fn wait(&mut self, alarm: &Alarm, kick: &Kick) {
        let (claims, processes): (Vec<&Claim>, Vec<&OwnedFd>) = self.others.iter().unzip();
        let processes = processes.into_iter().map(AsFd::as_fd);
        let all: Vec<BorrowedFd<'_>> = processes.chain(self.mails.iter().map(AsFd::as_fd)).collect();
        let ended = alarm.wait(kick, &all);
        let ended: Vec<Claim> =
            ended.into_iter().filter_map(|at| claims.get(at).copied().cloned()).collect();
        for claim in ended {
            self.others.remove(&claim);
        }
        // Here, so that it is done despite other failures: the pipe of an ended program stays readable
        // for ever.
        let over = self.mails.extract_if(.., Sending::is_over);
        self.tried.extend(over.map(|sending| sending.mail));
    }

    /// Do the pending work. Returns the time at which there may be more without an event. A step that fails is
    /// tried again, and keeps no other from being made.
    fn dispatch(&mut self, world: &World) -> Option<Millis> {
        let now = now();
        let mut round = Round { failed: false };
        // Without it, each step looks by itself.
        let glance: Option<Glance> = match world.pending.take() {
            Some(glance) => Some(glance),
            None => round.step("look", world.store.glance(&world.mine, now).map(Some)),
        };
        let idle = glance.as_ref().filter(|glance| glance.is_idle()).cloned();
        if glance.as_ref().is_none_or(|glance| glance.overdue) {
            Self::end_overdue(world, now, &mut round);
        }
        let engines = world.engines();
        let next = match &glance {
            Some(glance) => glance.next,
            None => round.step("find the next time to work", world.store.next_change(now)),
        };
        let mut wakes = vec![next];
        // Before the work is done: what rests then has its time here, even if that comes meanwhile.
        wakes.extend(engines.iter().map(|engine| engine.next_try().map(|at| time_of(at, now))));
        let mut live: Vec<&Arc<Engine>> = Vec::new();
        for engine in &engines {
            match engine.is_ready() {
                Ok(()) => live.push(engine),
                Err(until) => wakes.push(until.map(|until| time_of(until, now))),
            }
        }
        // Anything that was ended, or admitted, is other work than the glance has seen.
        let is_busy = glance.as_ref().is_none_or(|glance| glance.overdue || glance.waits);
        if is_busy {
            round.step("admit jobs", self.admit(world, &live, now));
        }
        let sends = !self.tried.is_empty() || glance.as_ref().is_none_or(|glance| glance.mails);
        let (claimed, claimers) = match glance {
            Some(Glance { claimed: Some(claimed), claimers, .. }) if !is_busy => (claimed, Ok(claimers)),
            _ => {
                let claimed = world.store.claimed_jobs(&world.mine);
                (round.step("find the jobs to work on", claimed), world.store.claimers())
            }
        };
        // The tasks of an array are handed over together.
        let together = |one: &Unsettled, other: &Unsettled| {
            one.submission == other.submission
                && [one, other].into_iter().all(Unsettled::is_to_be_handed_over)
        };
        for jobs in claimed.chunk_by(together) {
            match (live.iter().find(|engine| engine.target == jobs[0].target), jobs) {
                (Some(engine), [job]) => engine.work(job),
                (Some(engine), _) => engine.hand_over(jobs),
                (None, _) => {}
            }
        }
        for engine in &live {
            engine.delete_leftovers();
        }
        let watched = claimers.and_then(|claimers| self.watch_others(world, &engines, claimers));
        let all_watched = round.step("watch other processes", watched);
        if sends {
            wakes.push(round.step("send mails", self.send_mails(world)));
        }
        let more = round.step("give space back", world.store.shrink());
        wakes.push(more.then_some(now));
        wakes.push(round.failed.then_some(now + RETRY));
        world.pending.idle(idle.filter(|_| all_watched && !round.failed));
        wakes.into_iter().flatten().min()
    }

    /// End what is beyond its time.
    fn end_overdue(world: &World, now: Millis, round: &mut Round) {
        for id in round.step("end what outlasts its reservation", world.store.expire_reservations(now)) {
            round.step("end a job with its reservation", terminate(world, &id));
        }
        for id in round.step("end what waits beyond its deadline", world.store.expire_deadlines(now)) {
            round.step("end a job at its deadline", terminate(world, &id));
        }
        for job in round.step("find what is suspended beyond its time", world.store.overdue_jobs(now)) {
            // Its init ends it after it is resumed.
            let engine = world.engine(&job.target);
            round.step("resume a job", engine.map(|engine| engine.control(job.id, Control::Resume)));
        }
    }

    /// Send the mails that are due. Returns the time to continue if others remain.
    fn send_mails(&mut self, world: &World) -> Result<Option<Millis>> {
        for mail in self.tried.drain(..) {
            if let Some(error) = world.store.mail_error(mail)? {
                tracing::warn!(error, "a mail has to wait");
            }
        }
        while self.mails.len() < MAILS {
            let mail = match world.store.claim_mail(&world.mine, now())? {
                NextMail::Claimed(mail) => mail,
                NextMail::DueAt(time) => return Ok(Some(time)),
                NextMail::None => return Ok(None),
            };
            match mail::start(world, mail) {
                Ok(sending) => self.mails.push(sending),
                Err(error) => {
                    world.store.mail_failed(mail, &world.mine, &error.message)?;
                    self.tried.push(mail);
                }
            }
        }
        // Sooner if one of the processes ends.
        Ok(Some(now() + mail::PATIENCE))
    }

    fn admit(&self, world: &World, live: &[&Arc<Engine>], now: Millis) -> Result<()> {
        let starting: usize = live.iter().map(|engine| engine.starting()).sum();
        let room = (self.cores * LAUNCHES_PER_CORE).saturating_sub(starting);
        if live.is_empty() {
            return Ok(());
        }
        let prepares = live.iter().all(|engine| engine.can_prepare());
        let ahead = if prepares { self.cores * READY_PER_CORE } else { 0 };
        let targets = Targets::new(live.iter().map(|engine| engine.target.as_str()))?;
        let crowded: HashSet<i64> = live.iter().flat_map(|engine| engine.crowded()).collect();
        let fair = world.config.fair_share;
        let mut decide = |queue: Queue<'_>| {
            let may_start = |candidate: &Result<Candidate>| {
                candidate.as_ref().map_or(true, |candidate| !crowded.contains(&candidate.submission))
            };
            let mut candidates = queue.candidates.filter(may_start);
            if !fair {
                return plan(now, queue.machine, queue.pools, &mut candidates, room, ahead);
            }
            let mut turns = Turns::new(queue.machine, &mut candidates);
            plan(now, queue.machine, queue.pools, &mut turns, room, ahead)
        };
        world.store.admit(now, &targets, &world.mine, &mut decide).map(drop)
    }

    /// Watch for the death of every process that works on jobs, sends mails about them, or listens to
    /// their states. Returns whether that is possible for all of them; if not, each change is a reason to look again.
    fn watch_others(
        &mut self,
        world: &World,
        engines: &[Arc<Engine>],
        claimers: Vec<Claim>,
    ) -> Result<bool> {
        self.others.retain(|claim, _| claimers.contains(claim));
        self.dead.retain(|claim| claimers.contains(claim));
        let (mut dead, mut all_watched) = (Vec::new(), true);
        for claim in claimers {
            if claim == world.mine || self.others.contains_key(&claim) || self.dead.contains(&claim) {
                continue;
            }
            let descriptor = claim.pid().and_then(procfs::descriptor);
            // In this order: the descriptor may be that of a later process with the same id.
            match (claim.is_alive(), descriptor) {
                (true, Some(descriptor)) => {
                    self.others.insert(claim, descriptor);
                }
                (true, None) => {
                    tracing::debug!(%claim, "the death of this process will not be noticed");
                    all_watched = false;
                }
                (false, _) => dead.push(claim),
            }
        }
        if !dead.is_empty() {
            engines.iter().for_each(|engine| engine.settle_soon());
            world.store.forget_dead_listeners()?;
            // Only when all is done: after an error it is tried again.
            self.dead.extend(dead);
        }
        Ok(all_watched)
    }
}

/// The time of an instant, by the clock that shows `now`.
fn time_of(instant: Instant, now: Millis) -> Millis {
    let span = instant.saturating_duration_since(Instant::now()).as_millis();
    now.saturating_add(Millis::try_from(span).unwrap_or(Millis::MAX)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_process_that_has_ended_wakes_the_thread_once() {
        let mut dispatcher = Dispatcher {
            cores: 1,
            others: HashMap::new(),
            dead: HashSet::new(),
            mails: vec![mail::start_program(Path::new("/bin/true"))],
            tried: Vec::new(),
        };
        dispatcher.wait(&Alarm::new().unwrap(), &Kick::new().unwrap());
        assert!(dispatcher.mails.is_empty());
        assert_eq!(dispatcher.tried, [1]);
    }
}
