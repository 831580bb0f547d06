//! The present work of an engine, and whether it may start jobs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::model::Error;
use crate::store::{Phase, Unsettled};

/// The pause after a failure; doubled each time up to [`MAX_RETRY`].
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// The number of delayed jobs that do not block others. Each of them is checked whenever something
/// happens.
const MAX_DELAYED: usize = 512;
/// The same for one submission: its other jobs have to wait for the same reason, and can do so in the
/// queue.
const MAX_OF_SUBMISSION: usize = 64;
/// The number of failures after which nothing waits for a removal any more.
const FEW: u32 = 3;
/// See [`RETRY`].
pub(super) const MAX_RETRY: Duration = Duration::from_secs(60);

/// The pause after another failure: twice the one before, which ends or ended then.
pub(super) fn next_pause(before: Option<(Instant, Duration)>) -> Duration {
    before.map_or(RETRY, |(_, pause)| (pause * 2).min(MAX_RETRY))
}

/// See the module.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) link: Link,
    /// The arrays that this process hands over at present, as one.
    pub(super) arrays: HashSet<String>,
    /// The jobs that this process works on at present.
    pub(super) working: HashMap<String, Work>,
    /// The ones among them that are delayed for longer than usual.
    pub(super) delayed: HashSet<String>,
    /// Nothing is started before this time; the pause after the next failure.
    pub(super) pause: Option<(Instant, Duration)>,
    /// The tracker cannot make jobs ready.
    pub(super) unready: bool,
    /// Removals that have failed.
    failures: HashMap<String, Failure>,
    /// Leftovers of attempts at jobs that were found and are to be removed.
    leftovers: HashSet<String>,
    /// A search for leftovers is in progress.
    pub(super) sweeping: bool,
}

/// A failed removal.
struct Failure {
    /// The number of failures.
    times: u32,
    /// Time of the next try.
    until: Instant,
}

impl Progress {
    /// The number of jobs being started that block others.
    pub(super) fn starting(&self) -> usize {
        let starting = self.working.iter().filter(|(_, work)| work.doing == Doing::Starting);
        let (delayed, busy): (Vec<_>, Vec<_>) = starting.partition(|(id, _)| self.delayed.contains(*id));
        busy.len() + delayed.len().saturating_sub(MAX_DELAYED)
    }

    /// The submissions with so many delayed jobs that no more are to be begun.
    pub(super) fn crowded(&self) -> Vec<i64> {
        let mut delayed: HashMap<i64, usize> = HashMap::new();
        for work in self.delayed.iter().filter_map(|id| self.working.get(id)) {
            *delayed.entry(work.submission).or_default() += 1;
        }
        let crowded = delayed.into_iter().filter(|(_, count)| *count >= MAX_OF_SUBMISSION);
        crowded.map(|(submission, _)| submission).collect()
    }

    /// Note that this work is in progress for a job. False if other work is that it does not follow on.
    pub(super) fn take_up(&mut self, id: &str, work: Work) -> bool {
        if id.rsplit_once('.').is_some_and(|(array, _)| self.arrays.contains(array)) {
            return false;
        }
        match self.working.get(id) {
            None => {}
            // Work for a run that was lost, or withdrawn, is over, or will be.
            Some(before) if before.run < work.run => {}
            Some(before) if before.doing == Doing::Preparing && work.doing != Doing::Preparing => {}
            Some(before) if before.doing == Doing::Unchecked && work.doing == Doing::Checking => {}
            Some(_) => return false,
        }
        self.working.insert(id.to_owned(), work);
        true
    }

    /// Note that this process hands over a job that was just submitted.
    pub(super) fn starts_new(&mut self, id: &str) {
        let work = Work { doing: Doing::Starting, run: 0, submission: 0 };
        self.working.entry(id.to_owned()).or_insert(work);
    }

    /// Note that a job is being cleaned up. Returns its work before.
    pub(super) fn clean(&mut self, id: &str) -> Option<Doing> {
        let submission = self.working.get(id).map_or(0, |before| before.submission);
        let work = Work { doing: Doing::Cleaning, run: i64::MAX, submission };
        self.working.insert(id.to_owned(), work).map(|before| before.doing)
    }

    /// Note that a removal failed. Returns the number of failures.
    pub(super) fn failed(&mut self, id: &str) -> u32 {
        self.working.remove(id);
        let times = self.failures.get(id).map_or(0, |failure| failure.times) + 1;
        let pause = RETRY.saturating_mul(2_u32.saturating_pow(times)).min(MAX_RETRY);
        let failure = Failure { times, until: Instant::now() + pause };
        self.failures.insert(id.to_owned(), failure);
        times
    }

    /// Note that it was removed, or is not tried any more.
    pub(super) fn forget_failure(&mut self, id: &str) {
        self.failures.remove(id);
        self.leftovers.remove(id);
    }

    /// Returns whether it is too early for another try of this removal.
    pub(super) fn rests(&self, id: &str) -> bool {
        self.failures.get(id).is_some_and(|failure| failure.until > Instant::now())
    }

    /// The time of the next try.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.failures.values().map(|failure| failure.until).filter(|until| *until > Instant::now()).min()
    }

    /// Note leftovers that were found.
    pub(super) fn found(&mut self, leftovers: Vec<String>) {
        self.leftovers.extend(leftovers);
        self.sweeping = false;
    }

    /// Note a leftover of an attempt at a job that the tracker removes by itself.
    pub(super) fn left(&mut self, name: &str) {
        self.leftovers.insert(name.to_owned());
        self.clean(name);
    }

    /// Returns whether there are leftovers of attempts at jobs that this process may still remove.
    pub(super) fn has_leftovers(&self) -> bool {
        self.sweeping || !self.leftovers.is_empty()
    }

    /// Returns whether leftovers of attempts at jobs are being looked for, or removed. One whose removal
    /// has failed only a few times counts: the runtime may have been about to finish a call of a process
    /// that died.
    pub(super) fn sweeps(&self) -> bool {
        let times = |name| self.failures.get(name).map_or(0, |failure: &Failure| failure.times);
        self.sweeping || self.leftovers.iter().any(|name| times(name) <= FEW)
    }

    /// Take the leftovers that are due for removal.
    pub(super) fn take_up_leftovers(&mut self) -> Vec<String> {
        let waits = |name: &&String| !self.working.contains_key(*name) && !self.rests(name);
        let names: Vec<String> = self.leftovers.iter().filter(waits).cloned().collect();
        for name in &names {
            self.clean(name);
        }
        names
    }

    /// The work in progress for a job.
    pub(super) fn doing(&self, id: &str) -> Option<Doing> {
        self.working.get(id).map(|work| work.doing)
    }

    /// Note that a job that was handed over is to end.
    pub(super) fn ends(&mut self, id: &str) {
        let is_begun = |work: &&mut Work| matches!(work.doing, Doing::Starting | Doing::Checking);
        if let Some(work) = self.working.get_mut(id).filter(is_begun) {
            work.doing = Doing::Ending;
        }
    }

    /// Note that this process no longer works on the job, except that it cleans up after it: another thread may have
    /// begun that since. Returns whether there was work.
    pub(super) fn ends_work(&mut self, id: &str) -> bool {
        let works = self.doing(id).is_some_and(|doing| doing != Doing::Cleaning);
        if works {
            self.forget_work(id);
        }
        works
    }

    /// Note that no work on a job is in progress any more, of whatever kind.
    pub(super) fn forget_work(&mut self, id: &str) {
        self.working.remove(id);
        self.delayed.remove(id);
    }

    /// Note that this process no longer starts the job, nor finds out whether it is to, nor ends it where it waits.
    pub(super) fn starts_no_more(&mut self, id: &str) {
        use Doing::{Checking, Ending, Starting, Unchecked};
        if matches!(self.doing(id), Some(Starting | Checking | Unchecked | Ending)) {
            self.forget_work(id);
        }
    }

    /// Note that it could not be found out whether the job has started. Until it is, nothing starts it.
    pub(super) fn leave_unchecked(&mut self, id: &str) {
        if let Some(work) = self.working.get_mut(id).filter(|work| work.doing == Doing::Checking) {
            work.doing = Doing::Unchecked;
        }
    }

    /// Forget work for runs of the job before this one.
    pub(super) fn forget_before(&mut self, id: &str, run: i64) {
        if self.working.get(id).is_some_and(|work| work.run < run) {
            self.working.remove(id);
        }
    }

    /// Start nothing for a while, each time longer. Failures during a pause are of starts that began
    /// before it, most likely for the same reason, and do not prolong it.
    pub(super) fn pause(&mut self) {
        if self.pause.is_some_and(|(until, _)| until > Instant::now()) {
            return;
        }
        let pause = next_pause(self.pause);
        self.pause = Some((Instant::now() + pause, pause));
    }
}

/// Work on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) doing: Doing,
    /// Number of the job's run.
    pub(super) run: i64,
    /// Number of its submission.
    pub(super) submission: i64,
}

/// The kind of work for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It is made ready, or is ready.
    Preparing,
    /// It is being started.
    Starting,
    /// It may have been started before, by a process that died: the runtime is asked.
    Checking,
    /// The same, but the runtime has not answered. It is asked again.
    Unchecked,
    /// It waits in the queue of its runtime, and is to end there.
    Ending,
    /// Its preparation is undone.
    Undoing,
    /// Its leftovers are removed.
    Cleaning,
}

/// The validity of the stored states of started jobs.
#[derive(Default, Clone)]
pub(super) enum Link {
    /// Not known yet.
    #[default]
    Starting,
    /// They are current.
    Live,
    /// They may be outdated.
    Lost(Error),
}

/// The work of a job's claimer.
pub(super) fn task(job: &Unsettled) -> Option<Doing> {
    match (job.phase, job.state.is_queued()) {
        (Phase::Ready, true) => Some(Doing::Preparing),
        (Phase::Active | Phase::There, true) => Some(Doing::Starting),
        (Phase::Undoing, true) => Some(Doing::Undoing),
        (Phase::Idle, false) if job.state.is_terminated() => Some(Doing::Cleaning),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_fail_together_are_one_reason_to_wait() {
        let mut progress = Progress::default();
        (0..20).for_each(|_| progress.pause());
        assert_eq!(progress.pause.unwrap().1, RETRY);
        progress.pause = progress.pause.map(|(_, pause)| (Instant::now(), pause));
        (0..20).for_each(|_| progress.pause());
        assert_eq!(progress.pause.unwrap().1, RETRY * 2);
    }

    #[test]
    fn a_job_that_may_have_started_is_not_started_before_that_is_known() {
        let mut progress = Progress::default();
        let work = |doing| Work { doing, run: 0, submission: 0 };
        assert!(progress.take_up("a", work(Doing::Checking)));
        let others = [Doing::Checking, Doing::Starting, Doing::Preparing];
        assert!(others.iter().all(|doing| !progress.take_up("a", work(*doing))), "one thread checks it");
        progress.leave_unchecked("a");
        assert!(!progress.take_up("a", work(Doing::Starting)));
        assert!(progress.take_up("a", work(Doing::Checking)));
        progress.starts_no_more("a");
        assert!(progress.take_up("a", work(Doing::Starting)));
        progress.leave_unchecked("a");
        assert_eq!(progress.doing("a"), Some(Doing::Starting));
    }

    #[test]
    fn tasks_of_an_array_that_is_handed_over_as_one_are_left_alone() {
        let mut progress = Progress::default();
        let work = Work { doing: Doing::Starting, run: 0, submission: 0 };
        progress.arrays.insert("a".into());
        assert!(!progress.take_up("a.1", work));
        assert!(progress.take_up("a", work) && progress.take_up("b.1", work));
        progress.arrays.remove("a");
        assert!(progress.take_up("a.1", work));
    }

    #[test]
    fn jobs_that_wait_are_not_in_the_way_and_no_more_of_theirs_are_begun() {
        let mut progress = Progress::default();
        let mut wait = |submission: i64, count: usize| {
            for place in 0..count {
                let id = format!("{submission}.{place}");
                assert!(progress.take_up(&id, Work { doing: Doing::Starting, run: 0, submission }));
                progress.delayed.insert(id);
            }
            (progress.starting(), progress.crowded())
        };
        assert_eq!(wait(1, MAX_OF_SUBMISSION - 1), (0, vec![]));
        assert_eq!(wait(2, MAX_OF_SUBMISSION), (0, vec![2]));
        let (starting, _) = wait(3, MAX_DELAYED);
        assert_eq!(starting, 2 * MAX_OF_SUBMISSION - 1);
        progress.delayed.remove("2.0");
        assert_eq!(progress.crowded(), [3]);
    }
}
