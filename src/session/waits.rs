//! Who waits for which job, and how the news reaches him.

use std::collections::HashMap;
use std::time::Instant;

use crate::model::{JobState, Result};
use crate::store::Store;
use crate::sync::{Condvar, Mutex};

/// The jobs that somebody waits for, and the last that is known of each.
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

/// What is known of a watched job.
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
    /// Nothing more will happen to the job.
    fn is_final(&self) -> bool {
        matches!(self, Self::State(state) if state.is_terminated())
    }
}

/// Why a wait ends.
pub(super) enum Look<T> {
    /// It has what it wants.
    Done(T),
    /// Not yet.
    Wait,
}

impl Waits {
    /// Wait until `look`, which is shown what is known of each of `ids`, has what it wants. `None`
    /// is the timeout: the deadline has come. Without a deadline, wait for ever.
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
            // Under the lock: what a change of the store brings afterwards comes in afterwards.
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

    /// A job is in a new state.
    pub(super) fn state(&self, id: &str, state: JobState) {
        let mut table = self.table.lock();
        if let Some(watched) = table.get_mut(id)
            && !watched.known.is_final()
        {
            watched.known = Known::State(state);
            self.news.notify_all();
        }
    }

    /// The store has changed: look up what is waited for.
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

    /// Let every wait look again at what it depends on beside the jobs.
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
