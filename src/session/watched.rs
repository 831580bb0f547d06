//! The jobs that are waited for, and what is known of each. It asks nobody.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::refs::JobRef;
use crate::model::JobState;
use crate::sync::Condvar;

/// The most jobs that are kept for the next wait.
const MOST_KEPT: usize = 50_000;

/// Waits for jobs.
pub(super) trait Waiter: Send + Sync {
    /// Learn the present knowledge about a job; called with the table locked. It may be the same as before. Returns
    /// whether [`Waiter::pass_on`] is to be called for it.
    fn learn(&self, id: &str, known: &Known) -> bool;

    /// Tell on what was learned; called with nothing locked.
    fn pass_on(&self) {}
}

/// A thread that waits.
impl Waiter for Condvar {
    fn learn(&self, _: &str, _: &Known) -> bool {
        self.notify_all();
        false
    }
}

/// Those who have something to pass on.
pub(super) type Messengers = Vec<Arc<dyn Waiter>>;

/// The knowledge about a watched job.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Known {
    /// Not looked up yet.
    #[default]
    Nothing,
    /// Its state.
    State(JobState),
    /// It is not in the store (any more).
    Gone,
}

impl Known {
    /// Returns whether nothing more will happen to the job.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::State(state) if state.is_terminated())
    }

    /// Returns whether it is of use to a later wait.
    fn may_change(&self) -> bool {
        matches!(self, Self::State(_)) && !self.is_final()
    }
}

#[derive(Default)]
struct Watched {
    waiters: Vec<Arc<dyn Waiter>>,
    known: Known,
}

impl Watched {
    fn tell(&self, id: &str, messengers: &mut Messengers) {
        let learn = |waiter: &&Arc<dyn Waiter>| waiter.learn(id, &self.known);
        messengers.extend(self.waiters.iter().filter(learn).cloned());
    }
}

/// See the module.
///
/// A program that waits for any of many jobs does so again and again. So a job that has not ended stays in the table after
/// a wait, as far as it was found to be one of the caller's: the next wait need not ask for it.
#[derive(Default)]
pub(super) struct Table {
    jobs: HashMap<String, Watched>,
    /// The jobs that stay, as they were found.
    kept: HashMap<String, JobRef>,
    /// The number of waiters of all jobs.
    waiters: usize,
    /// See [`Table::take_dropped`].
    dropped: Vec<String>,
}

impl Table {
    /// Returns whether anybody waits for anything.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiters > 0
    }

    /// Returns whether nothing in it can become outdated.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Note that somebody waits for a job.
    pub(super) fn add(&mut self, id: &str, waiter: Arc<dyn Waiter>) {
        self.waiters += 1;
        match self.jobs.get_mut(id) {
            Some(watched) => watched.waiters.push(waiter),
            None => {
                let watched = Watched { waiters: vec![waiter], known: Known::Nothing };
                self.jobs.insert(id.to_owned(), watched);
            }
        }
    }

    /// Note that somebody does not wait any more.
    pub(super) fn remove(&mut self, id: &str, waiter: &Arc<dyn Waiter>) {
        let Some(watched) = self.jobs.get_mut(id) else { return };
        if let Some(at) = watched.waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            watched.waiters.swap_remove(at);
            self.waiters -= 1;
        }
        self.drop_useless(id);
    }

    /// Drop a job that nobody waits for, unless it is of use to the next wait.
    fn drop_useless(&mut self, id: &str) {
        let Some(watched) = self.jobs.get(id).filter(|watched| watched.waiters.is_empty()) else {
            return;
        };
        if !watched.known.may_change() {
            self.kept.remove(id);
        }
        if !self.kept.contains_key(id) {
            self.dropped.extend(self.jobs.remove_entry(id).map(|(id, _)| id));
        }
    }

    /// The jobs that were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dropped)
    }

    /// Let these jobs, which were found, stay after their waits.
    pub(super) fn keep(&mut self, found: &[JobRef]) {
        if self.kept.len() + found.len() > MOST_KEPT {
            // What has ended while nobody waited for it.
            self.kept.retain(|id, _| self.jobs.contains_key(id));
        }
        for job in found.iter().take(MOST_KEPT.saturating_sub(self.kept.len())) {
            if let Entry::Vacant(place) = self.kept.entry(job.id.clone()) {
                place.insert(job.clone());
            }
        }
    }

    /// The job as it was found, if it is in the table and stays.
    pub(super) fn kept(&self, job: &JobRef) -> Option<&JobRef> {
        let kept = self.kept.get(&job.id).filter(|kept| kept.session == job.session)?;
        self.jobs.contains_key(&job.id).then_some(kept)
    }

    /// Drop all that nobody waits for, if it may be outdated.
    pub(super) fn forget(&mut self) {
        self.dropped
            .extend(self.jobs.extract_if(|_, watched| watched.waiters.is_empty()).map(|(id, _)| id));
        self.kept.clear();
    }

    /// The present knowledge about a job; `None` if it is not in the table.
    pub(super) fn known(&self, id: &str) -> Option<&Known> {
        self.jobs.get(id).map(|watched| &watched.known)
    }

    /// Returns whether a job is in the table, but has not been looked up.
    pub(super) fn is_unknown(&self, id: &str) -> bool {
        self.known(id) == Some(&Known::Nothing)
    }

    /// The jobs to which something may still happen.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let unfinished = self.jobs.iter().filter(|(_, watched)| !watched.known.is_final());
        unfinished.map(|(id, _)| id.clone()).collect()
    }

    /// Note what was found of a job that is in the table. Nobody is told: whoever waits looks after this.
    pub(super) fn found(&mut self, id: &str, known: Known) {
        if let Some(watched) = self.jobs.get_mut(id) {
            watched.known = known;
        }
    }

    /// Note what is known of a job, if it is in the table, and tell it if it is news.
    pub(super) fn learn(&mut self, id: &str, known: Known, messengers: &mut Messengers) {
        let Some(watched) = self.jobs.get_mut(id) else {
            if !known.may_change() {
                self.kept.remove(id);
            }
            return;
        };
        if !watched.known.is_final() && watched.known != known {
            watched.known = known;
            watched.tell(id, messengers);
        }
        self.drop_useless(id);
    }

    /// Let every wait check again.
    pub(super) fn tell_all(&self, messengers: &mut Messengers) {
        self.jobs.iter().for_each(|(id, watched)| watched.tell(id, messengers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> JobRef {
        JobRef { id: id.into(), session: Some("s".into()), name: Some("n".into()) }
    }

    fn waiter() -> Arc<dyn Waiter> {
        Arc::new(Condvar::new())
    }

    #[test]
    fn a_job_that_was_found_stays_until_it_has_ended() {
        let (mut table, waiter, mut none) = (Table::default(), waiter(), Messengers::new());
        let running = Known::State(JobState::Running);
        for id in ["found", "not found", "not looked up"] {
            table.add(id, Arc::clone(&waiter));
        }
        table.keep(&[job("found"), job("not looked up")]);
        table.learn("found", running.clone(), &mut none);
        table.learn("not found", running.clone(), &mut none);
        assert!(table.is_waited_for() && table.take_dropped().is_empty());
        ["found", "not found", "not looked up"].iter().for_each(|id| table.remove(id, &waiter));
        assert!(!table.is_waited_for());
        assert_eq!(table.take_dropped(), ["not found", "not looked up"]);
        assert_eq!(table.known("found"), Some(&running));
        assert_eq!(table.kept(&job("found")), Some(&job("found")));
        assert_eq!(table.kept(&JobRef { session: Some("t".into()), ..job("found") }), None);
        assert_eq!(table.kept(&job("not looked up")), None);
        table.learn("found", Known::State(JobState::Done), &mut none);
        assert!(table.is_empty() && table.kept(&job("found")).is_none());
        assert_eq!(table.take_dropped(), ["found"]);
    }

    #[test]
    fn a_job_that_has_gone_does_not_stay() {
        let (mut table, waiter, mut none) = (Table::default(), waiter(), Messengers::new());
        table.add("a", Arc::clone(&waiter));
        table.keep(&[job("a"), job("never in the table")]);
        table.learn("a", Known::State(JobState::Queued), &mut none);
        table.learn("a", Known::Gone, &mut none);
        assert_eq!(table.known("a"), Some(&Known::Gone), "somebody waits for it");
        table.remove("a", &waiter);
        assert!(table.is_empty() && table.kept(&job("a")).is_none());
        table.learn("never in the table", Known::Gone, &mut none);
        assert!(table.kept(&job("never in the table")).is_none());
    }

    #[test]
    fn what_may_be_outdated_is_forgotten_as_far_as_nobody_waits() {
        let (mut table, waiter, mut none) = (Table::default(), waiter(), Messengers::new());
        table.keep(&[job("a"), job("b")]);
        for id in ["a", "b"] {
            table.add(id, Arc::clone(&waiter));
            table.learn(id, Known::State(JobState::Queued), &mut none);
        }
        table.remove("a", &waiter);
        assert!(table.known("a").is_some());
        table.forget();
        assert_eq!(table.take_dropped(), ["a"]);
        assert!(table.known("a").is_none() && table.kept(&job("b")).is_none());
        assert_eq!(table.unfinished(), ["b"]);
    }

    #[test]
    fn no_more_than_so_many_stay() {
        let mut table = Table::default();
        let many: Vec<JobRef> = (0..MOST_KEPT + 10).map(|number| job(&number.to_string())).collect();
        table.add("0", waiter());
        table.keep(&many[..20]);
        table.keep(&many[10..]);
        // The first one stays, and the others that are not in the table do not.
        assert_eq!(table.kept.len(), MOST_KEPT);
        assert!(table.kept(&many[0]).is_some() && !table.kept.contains_key("1"));
        table.keep(&many);
        assert!(table.kept.len() <= MOST_KEPT);
    }
}
