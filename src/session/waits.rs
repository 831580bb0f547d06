//! The waits for jobs, and the news for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::model::{JobState, Result};
use crate::store::{self, Store};
use crate::sync::{Condvar, Mutex};

/// The jobs with waits, and the last known state of each.
#[derive(Default)]
pub(super) struct Waits {
    table: Mutex<Table>,
    /// A callback waits for the states of all jobs.
    listening: AtomicBool,
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Watched>,
    /// The last change of the store that is known here; `None` while there are no waits.
    seen: Option<i64>,
}

#[derive(Default)]
struct Watched {
    /// Each wakes one wait.
    waits: Vec<Arc<Condvar>>,
    known: Known,
}

impl Watched {
    /// Note what is known now, and wake the waits if it is news.
    fn learn(&mut self, known: Known) {
        if self.known.is_final() || self.known == known {
            return;
        }
        self.known = known;
        self.wake();
    }

    fn wake(&self) {
        self.waits.iter().for_each(|wait| wait.notify_all());
    }
}

/// The knowledge about a watched job.
#[derive(Default, Clone, PartialEq, Eq)]
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
        store: &Store,
        ids: &[&str],
        deadline: Option<Instant>,
        mut look: impl FnMut(&[Known]) -> Result<Look<T>>,
    ) -> Result<Option<T>> {
        let watch = Watch::new(self, ids);
        let mut table = self.table.lock();
        // Before the jobs are looked up: later changes are entered afterwards.
        if table.seen.is_none() {
            table.seen = Some(store.last_change()?);
        }
        for id in ids {
            if let Some(watched) = table.jobs.get_mut(*id)
                && matches!(watched.known, Known::Nothing)
            {
                watched.known = stored(store, id)?;
            }
        }
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
                        watched.learn(state.map_or(Known::Gone, Known::State));
                    }
                }
            }
            None => table.look_up_all(store),
        }
        table.seen = Some(changes.last);
    }

    /// Returns whether anybody waits for the states of jobs.
    pub(super) fn is_any(&self) -> bool {
        self.listening.load(Ordering::Relaxed) || !self.table.lock().jobs.is_empty()
    }

    /// Note that a callback waits for states, or none any more.
    pub(super) fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Let every wait check again conditions other than jobs.
    pub(super) fn wake(&self) {
        self.table.lock().jobs.values().for_each(Watched::wake);
    }
}

impl Table {
    fn look_up_all(&mut self, store: &Store) {
        for (id, watched) in self.jobs.iter_mut().filter(|(_, watched)| !watched.known.is_final()) {
            match stored(store, id) {
                Ok(known) => watched.learn(known),
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
struct Watch<'a> {
    waits: &'a Waits,
    ids: &'a [&'a str],
    news: Arc<Condvar>,
}

impl<'a> Watch<'a> {
    fn new(waits: &'a Waits, ids: &'a [&'a str]) -> Self {
        let news = Arc::new(Condvar::new());
        let mut table = waits.table.lock();
        for id in ids {
            table.jobs.entry((*id).to_owned()).or_default().waits.push(Arc::clone(&news));
        }
        drop(table);
        Self { waits, ids, news }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut table = self.waits.table.lock();
        for id in self.ids {
            let Some(watched) = table.jobs.get_mut(*id) else { continue };
            if let Some(at) = watched.waits.iter().position(|wait| Arc::ptr_eq(wait, &self.news)) {
                watched.waits.swap_remove(at);
            }
            if watched.waits.is_empty() {
                table.jobs.remove(*id);
            }
        }
    }
}
