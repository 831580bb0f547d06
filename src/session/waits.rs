//! The waits for jobs, and the news for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::model::{JobState, Result};
use crate::store::{self, Store};
use crate::sync::{Condvar, Mutex};

/// The jobs with waits, and the last known state of each.
#[derive(Default)]
pub(super) struct Waits {
    table: Mutex<Table>,
    /// The number of callbacks, which wait for the states of all jobs.
    listening: AtomicUsize,
}

/// Waits for jobs.
pub(super) trait Waiter: Send + Sync {
    /// Learn the present knowledge about a job; called with the table locked. It may be the same as before. Returns
    /// whether [`Waiter::pass_on`] is to be called for it.
    fn learn(&self, id: &str, known: &Known) -> bool;

    /// Tell on what was learned; called with nothing locked.
    fn pass_on(&self) {}
}

/// Tells a table of waits what happens to jobs.
pub(super) trait Source {
    /// Have the table told of these jobs, which are in it, from now on, and of their states now.
    fn follow(&self, waits: &Waits, ids: &[&str]) -> Result<()>;

    /// The end of that.
    fn unfollow(&self, ids: &[&str]);
}

impl Source for Store {
    fn follow(&self, waits: &Waits, ids: &[&str]) -> Result<()> {
        let mut table = waits.table.lock();
        // Before the jobs are looked up: later changes are entered afterwards.
        if table.seen.is_none() {
            table.seen = Some(self.last_change()?);
        }
        for id in ids {
            if let Some(watched) = table.jobs.get_mut(*id)
                && matches!(watched.known, Known::Nothing)
            {
                watched.known = stored(self, id)?;
            }
        }
        Ok(())
    }

    fn unfollow(&self, _: &[&str]) {}
}

/// A thread that waits.
impl Waiter for Condvar {
    fn learn(&self, _: &str, _: &Known) -> bool {
        self.notify_all();
        false
    }
}

/// Those who have something to pass on.
type Messengers = Vec<Arc<dyn Waiter>>;

fn pass_on(messengers: &Messengers) {
    messengers.iter().for_each(|waiter| waiter.pass_on());
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Watched>,
    /// The last change of the store that is known here; `None` while there are no waits.
    seen: Option<i64>,
}

#[derive(Default)]
struct Watched {
    waiters: Vec<Arc<dyn Waiter>>,
    known: Known,
}

impl Watched {
    /// Note what is known now, and tell it if it is news.
    fn learn(&mut self, id: &str, known: Known, messengers: &mut Messengers) {
        if self.known.is_final() || self.known == known {
            return;
        }
        self.known = known;
        self.tell(id, messengers);
    }

    fn tell(&self, id: &str, messengers: &mut Messengers) {
        let learn = |waiter: &&Arc<dyn Waiter>| waiter.learn(id, &self.known);
        messengers.extend(self.waiters.iter().filter(learn).cloned());
    }
}

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
    fn is_final(&self) -> bool {
        matches!(self, Self::State(state) if state.is_terminated())
    }
}

/// The result of a check by a wait.
pub(super) enum Look<T> {
    /// The condition is met.
    Done(T),
    /// Not yet.
    Wait,
}

impl Waits {
    /// Wait until `look`, called with the knowledge about each of `ids`, has a result. `None` is the
    /// timeout: the deadline has come. Without a deadline, wait for ever.
    pub(super) fn wait<T>(
        &self,
        source: &impl Source,
        ids: &[&str],
        deadline: Option<Instant>,
        mut look: impl FnMut(&[Known]) -> Result<Look<T>>,
    ) -> Result<Option<T>> {
        let watch = Watch::new(self, source, ids);
        source.follow(self, ids)?;
        let mut table = self.table.lock();
        loop {
            let known: Vec<Known> = ids
                .iter()
                .map(|id| table.jobs.get(*id).map_or(Known::Gone, |watched| watched.known.clone()))
                .collect();
            if let Look::Done(value) = look(&known)? {
                return Ok(Some(value));
            }
            match deadline {
                None => table = watch.news.wait(table),
                Some(deadline) if Instant::now() >= deadline => return Ok(None),
                Some(deadline) => table = watch.news.wait_until(table, deadline).0,
            }
        }
    }

    /// Enter what has changed in the store. That costs nothing while nobody waits, and else no more than the
    /// changes are.
    pub(super) fn refresh(&self, store: &Store) {
        self.learn(store, |seen| Some(store.changes_since(seen?)));
    }

    /// Enter what `read` finds that has changed since the change it is given; none is given while nobody waits.
    pub(super) fn learn(
        &self,
        store: &Store,
        read: impl FnOnce(Option<i64>) -> Option<Result<store::Changes>>,
    ) {
        let mut messengers = Messengers::default();
        let mut table = self.table.lock();
        if table.jobs.is_empty() {
            table.seen = None;
        }
        let changes = match read(table.seen) {
            Some(Ok(changes)) => changes,
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot look for changes of jobs that are waited for");
                return;
            }
            None => return,
        };
        match changes.jobs {
            Some(jobs) => {
                for (id, state) in jobs {
                    if let Some(watched) = table.jobs.get_mut(&id) {
                        watched.learn(&id, state.map_or(Known::Gone, Known::State), &mut messengers);
                    }
                }
            }
            None => table.look_up_all(store, &mut messengers),
        }
        table.seen = Some(changes.last);
        drop(table);
        pass_on(&messengers);
    }

    /// Enter what a source tells of jobs.
    pub(super) fn enter(&self, news: Vec<(String, Known)>) {
        let mut messengers = Messengers::default();
        let mut table = self.table.lock();
        for (id, known) in news {
            if let Some(watched) = table.jobs.get_mut(&id) {
                watched.learn(&id, known, &mut messengers);
            }
        }
        drop(table);
        pass_on(&messengers);
    }

    /// Have a waiter that is no thread learn what is known of a job now, which it is not asked to pass on, and told of all
    /// that follows.
    pub(super) fn follow(&self, store: &Store, id: &str, waiter: Arc<dyn Waiter>) -> Result<()> {
        let watched = |table: &mut Table| {
            table.jobs.entry(id.to_owned()).or_default().waiters.push(Arc::clone(&waiter));
        };
        watched(&mut self.table.lock());
        let followed = store.follow(self, &[id]);
        if let Some(watched) = self.table.lock().jobs.get(id) {
            waiter.learn(id, &watched.known);
        }
        followed
    }

    /// The knowledge about a job that is waited for.
    pub(super) fn known(&self, id: &str) -> Known {
        self.table.lock().jobs.get(id).map(|watched| watched.known.clone()).unwrap_or_default()
    }

    /// The end of that.
    pub(super) fn unfollow(&self, id: &str, waiter: &Arc<dyn Waiter>) {
        self.table.lock().remove(id, waiter);
    }

    /// Returns whether anybody waits for the states of jobs.
    pub(super) fn is_any(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0 || !self.table.lock().jobs.is_empty()
    }

    /// Note that one more callback waits for states.
    pub(super) fn listens(&self) {
        self.listening.fetch_add(1, Ordering::Relaxed);
    }

    /// Note that it waits no more.
    pub(super) fn unlistens(&self) {
        self.listening.fetch_sub(1, Ordering::Relaxed);
    }

    /// Let every wait check again conditions other than jobs.
    pub(super) fn wake(&self) {
        let mut messengers = Messengers::default();
        self.table.lock().jobs.iter().for_each(|(id, watched)| watched.tell(id, &mut messengers));
        pass_on(&messengers);
    }
}

impl Table {
    fn remove(&mut self, id: &str, waiter: &Arc<dyn Waiter>) {
        let Some(watched) = self.jobs.get_mut(id) else { return };
        if let Some(at) = watched.waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            watched.waiters.swap_remove(at);
        }
        if watched.waiters.is_empty() {
            self.jobs.remove(id);
        }
    }

    fn look_up_all(&mut self, store: &Store, messengers: &mut Messengers) {
        for (id, watched) in self.jobs.iter_mut().filter(|(_, watched)| !watched.known.is_final()) {
            match stored(store, id) {
                Ok(known) => watched.learn(id, known, messengers),
                Err(error) => {
                    tracing::warn!(job = %id, %error, "cannot look up a job that is waited for");
                }
            }
        }
    }
}

fn stored(store: &Store, id: &str) -> Result<Known> {
    Ok(store.job_state(id)?.map_or(Known::Gone, Known::State))
}

/// Keeps jobs in the table.
struct Watch<'a, S: Source> {
    waits: &'a Waits,
    source: &'a S,
    ids: &'a [&'a str],
    news: Arc<Condvar>,
}

impl<'a, S: Source> Watch<'a, S> {
    fn new(waits: &'a Waits, source: &'a S, ids: &'a [&'a str]) -> Self {
        let news = Arc::new(Condvar::new());
        let waiter: Arc<dyn Waiter> = news.clone();
        let mut table = waits.table.lock();
        for id in ids {
            table.jobs.entry((*id).to_owned()).or_default().waiters.push(Arc::clone(&waiter));
        }
        drop(table);
        Self { waits, source, ids, news }
    }
}

impl<S: Source> Drop for Watch<'_, S> {
    fn drop(&mut self) {
        self.source.unfollow(self.ids);
        let waiter: Arc<dyn Waiter> = self.news.clone();
        let mut table = self.waits.table.lock();
        self.ids.iter().for_each(|id| table.remove(id, &waiter));
    }
}
