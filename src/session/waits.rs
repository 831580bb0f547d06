//! The waits for jobs, and the news for them.

use std::collections::HashMap;
use std::time::Instant;

use crate::model::{JobState, Result};
use crate::store::Store;
use crate::sync::{Condvar, Mutex};

/// The jobs with waits, and the last known state of each.
#[derive(Default)]
pub(super) struct Waits {
    table: Mutex<HashMap<String, Watched>>,
    news: Condvar,
}

#[derive(Default)]
struct Watched {
    waiters: usize,
    known: Known,
}

/// The knowledge about a watched job.
#[derive(Default, Clone)]
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
        let _watch = Watch::new(self, ids);
        let mut table = self.table.lock();
        for id in ids {
            // Under the lock: the news of a later change of the store is entered afterwards.
            if let Some(watched) = table.get_mut(*id)
                && matches!(watched.known, Known::Nothing)
            {
                watched.known = stored(store, id)?;
            }
        }
        loop {
            let known: Vec<Known> = ids
                .iter()
                .map(|id| table.get(*id).map_or(Known::Gone, |watched| watched.known.clone()))
                .collect();
            if let Look::Done(value) = look(&known)? {
                return Ok(Some(value));
            }
            match deadline {
                None => table = self.news.wait(table),
                Some(deadline) if Instant::now() >= deadline => return Ok(None),
                Some(deadline) => table = self.news.wait_until(table, deadline).0,
            }
        }
    }

    /// Enter the new state of a job.
    pub(super) fn state(&self, id: &str, state: JobState) {
        let mut table = self.table.lock();
        if let Some(watched) = table.get_mut(id)
            && !watched.known.is_final()
        {
            watched.known = Known::State(state);
            self.news.notify_all();
        }
    }

    /// Look up the watched jobs after a change of the store.
    pub(super) fn refresh(&self, store: &Store) {
        let mut table = self.table.lock();
        for (id, watched) in table.iter_mut().filter(|(_, watched)| !watched.known.is_final()) {
            match stored(store, id) {
                Ok(known) => watched.known = known,
                Err(error) => {
                    tracing::warn!(job = %id, %error, "cannot look up a job that is waited for")
                }
            }
        }
        if !table.is_empty() {
            self.news.notify_all();
        }
    }

    /// Let every wait check again conditions other than jobs.
    pub(super) fn wake(&self) {
        let _table = self.table.lock();
        self.news.notify_all();
    }
}

fn stored(store: &Store, id: &str) -> Result<Known> {
    Ok(store.job_state(id)?.map_or(Known::Gone, Known::State))
}

/// Keeps jobs in the table.
struct Watch<'a> {
    waits: &'a Waits,
    ids: &'a [&'a str],
}

impl<'a> Watch<'a> {
    fn new(waits: &'a Waits, ids: &'a [&'a str]) -> Self {
        let mut table = waits.table.lock();
        for id in ids {
            table.entry((*id).to_owned()).or_default().waiters += 1;
        }
        drop(table);
        Self { waits, ids }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut table = self.waits.table.lock();
        for id in self.ids {
            let Some(watched) = table.get_mut(*id) else { continue };
            watched.waiters -= 1;
            if watched.waiters == 0 {
                table.remove(*id);
            }
        }
    }
}
