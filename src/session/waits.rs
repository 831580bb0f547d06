//! The waits for jobs, and the news for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::refs::JobRef;
use super::watched::{Known, Messengers, Table, Waiter};
use crate::model::Result;
use crate::store::{self, Store};
use crate::sync::{Condvar, Mutex};

/// The jobs with waits, and the last known state of each.
#[derive(Default)]
pub(super) struct Waits {
    state: Mutex<State>,
    /// The number of callbacks, which wait for the states of all jobs.
    listening: AtomicUsize,
}

#[derive(Default)]
struct State {
    table: Table,
    /// The last change of the store that is in the table; `None` while there is nothing in it. While nobody waits it is
    /// not the last one.
    seen: Option<i64>,
}

impl State {
    /// Enter changes of the store.
    fn enter(&mut self, store: &Store, changes: store::Changes, messengers: &mut Messengers) {
        if let Some(jobs) = changes.jobs {
            for (id, state) in jobs {
                self.table.learn(&id, state.map_or(Known::Gone, Known::State), messengers);
            }
        } else if let Err(error) = self.look_up_all(store, messengers) {
            // They are read again with the next change.
            tracing::warn!(%error, "cannot look up the jobs that are waited for");
            return;
        }
        self.seen = Some(changes.last);
        self.forget_dropped();
    }

    /// Look up all jobs that somebody waits for.
    fn look_up_all(&mut self, store: &Store, messengers: &mut Messengers) -> Result<()> {
        self.table.forget();
        let unfinished = self.table.unfinished();
        let unfinished: Vec<&str> = unfinished.iter().map(String::as_str).collect();
        for (id, known) in look_up(store, &unfinished)? {
            match known {
                Ok(known) => self.table.learn(id, known, messengers),
                Err(error) => {
                    tracing::warn!(job = %id, %error, "cannot look up a job that is waited for");
                }
            }
        }
        Ok(())
    }

    /// Enter what has happened while nobody waited.
    fn catch_up(&mut self, store: &Store, messengers: &mut Messengers) -> Result<()> {
        if let Some(seen) = self.seen {
            let changes = store.changes_since(seen)?;
            self.enter(store, changes, messengers);
        }
        Ok(())
    }

    /// Add a waiter for jobs, and look up those that are new.
    fn add(&mut self, store: &Store, ids: &[&str], waiter: &Arc<dyn Waiter>) -> Result<()> {
        // Before the jobs are looked up: later changes are entered afterwards.
        if self.seen.is_none() {
            self.seen = Some(store.last_change()?);
        }
        ids.iter().for_each(|id| self.table.add(id, Arc::clone(waiter)));
        let unknown: Vec<&str> = ids.iter().copied().filter(|id| self.table.is_unknown(id)).collect();
        for (id, known) in look_up(store, &unknown)? {
            self.table.found(id, known.map_err(|error| error.of(format!("job {id}")))?);
        }
        Ok(())
    }

    /// Nobody but the store tells of jobs, and it tells of all.
    fn forget_dropped(&mut self) {
        self.table.take_dropped();
        if self.table.is_empty() {
            self.seen = None;
        }
    }
}

/// Look up jobs in the store. One that cannot be read is no reason not to read the others.
fn look_up<'a>(store: &Store, ids: &[&'a str]) -> Result<Vec<(&'a str, Result<Known>)>> {
    let known = |state: Option<_>| state.map_or(Known::Gone, Known::State);
    let states = store.job_states(ids)?.into_iter();
    Ok(ids.iter().zip(states).map(|(id, state)| (*id, state.map(known))).collect())
}

/// Tells a table of waits what happens to jobs.
pub(super) trait Source {
    /// Tell the table what has happened while nobody waited.
    fn catch_up(&self, waits: &Waits) -> Result<()>;

    /// Enter the waiter of these jobs in the table, and have it told of them from now on, and of their states now.
    fn follow(&self, waits: &Waits, ids: &[&str], waiter: &Arc<dyn Waiter>) -> Result<()>;

    /// The end of that, for jobs that are not in it any more.
    fn unfollow(&self, ids: &[String]);
}

impl Source for Store {
    fn catch_up(&self, waits: &Waits) -> Result<()> {
        let mut messengers = Messengers::new();
        let mut state = waits.state.lock();
        let caught_up = state.catch_up(self, &mut messengers);
        drop(state);
        pass_on(&messengers);
        caught_up
    }

    fn follow(&self, waits: &Waits, ids: &[&str], waiter: &Arc<dyn Waiter>) -> Result<()> {
        let mut messengers = Messengers::new();
        let mut state = waits.state.lock();
        // Before this one waits: of a job that has ended and gone since, nobody has to be told the end. With the table
        // locked until it does: what happens while nobody waits is not entered.
        let caught_up = state.catch_up(self, &mut messengers);
        let followed = caught_up.and_then(|()| state.add(self, ids, waiter));
        drop(state);
        pass_on(&messengers);
        followed
    }

    fn unfollow(&self, _: &[String]) {}
}

fn pass_on(messengers: &Messengers) {
    messengers.iter().for_each(|waiter| waiter.pass_on());
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
        let watch = Watch { waits: self, source, ids, news: Arc::default() };
        source.follow(self, ids, &watch.waiter())?;
        let mut state = self.state.lock();
        loop {
            let known: Vec<Known> =
                ids.iter().map(|id| state.table.known(id).cloned().unwrap_or(Known::Gone)).collect();
            if let Look::Done(value) = look(&known)? {
                return Ok(Some(value));
            }
            match deadline {
                None => state = watch.news.wait(state),
                Some(deadline) if Instant::now() >= deadline => return Ok(None),
                Some(deadline) => state = watch.news.wait_until(state, deadline).0,
            }
        }
    }

    /// Those of some jobs that need not be looked up before a wait, in their places.
    pub(super) fn kept(&self, jobs: &[JobRef]) -> Vec<Option<JobRef>> {
        let state = self.state.lock();
        jobs.iter().map(|job| state.table.kept(job).cloned()).collect()
    }

    /// Note that these jobs were looked up.
    pub(super) fn keep(&self, found: &[JobRef]) {
        self.state.lock().table.keep(found);
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
        let mut state = self.state.lock();
        let seen = state.seen.filter(|_| state.table.is_waited_for());
        match read(seen) {
            Some(Ok(changes)) => state.enter(store, changes, &mut messengers),
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot look for changes of jobs that are waited for");
            }
            None => {}
        }
        drop(state);
        pass_on(&messengers);
    }

    /// Enter what a source tells of jobs. Returns those that it need not tell of any more.
    pub(super) fn enter(&self, news: Vec<(String, Known)>) -> Vec<String> {
        let mut messengers = Messengers::default();
        let mut state = self.state.lock();
        for (id, known) in news {
            state.table.learn(&id, known, &mut messengers);
        }
        let dropped = state.table.take_dropped();
        drop(state);
        pass_on(&messengers);
        dropped
    }

    /// Add a waiter for jobs that a source is about to tell of.
    pub(super) fn add(&self, ids: &[&str], waiter: &Arc<dyn Waiter>) {
        let mut state = self.state.lock();
        ids.iter().for_each(|id| state.table.add(id, Arc::clone(waiter)));
    }

    /// Have a waiter that is no thread learn what is known of jobs now, which it is not asked to pass on: of `new` ones, of
    /// which it is told from now on, and of others of which it is told already.
    pub(super) fn follow(
        &self,
        store: &Store,
        new: &[&str],
        others: &[&str],
        waiter: &Arc<dyn Waiter>,
    ) -> Result<()> {
        let followed = store.follow(self, new, waiter);
        // Locked, so that nothing that is learned meanwhile is followed by what was before.
        let state = self.state.lock();
        for id in new.iter().chain(others) {
            if let Some(known) = state.table.known(id) {
                waiter.learn(id, known);
            }
        }
        drop(state);
        followed.inspect_err(|_| self.unfollow(new, waiter))
    }

    /// The end of that.
    pub(super) fn unfollow(&self, ids: &[&str], waiter: &Arc<dyn Waiter>) {
        let mut state = self.state.lock();
        ids.iter().for_each(|id| state.table.remove(id, waiter));
        state.forget_dropped();
    }

    /// Drop all that nobody waits for. Returns the jobs.
    pub(super) fn forget(&self) -> Vec<String> {
        let mut state = self.state.lock();
        state.table.forget();
        let dropped = state.table.take_dropped();
        state.forget_dropped();
        dropped
    }

    /// Returns whether a job is in the table, and has not been looked up.
    pub(super) fn is_unknown(&self, id: &str) -> bool {
        self.state.lock().table.is_unknown(id)
    }

    /// Returns whether a job is in the table.
    pub(super) fn has(&self, id: &str) -> bool {
        self.state.lock().table.known(id).is_some()
    }

    /// Returns whether anybody waits for the states of jobs.
    pub(super) fn is_any(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0 || self.state.lock().table.is_waited_for()
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
        self.state.lock().table.tell_all(&mut messengers);
        pass_on(&messengers);
    }
}

/// Keeps jobs in the table.
struct Watch<'a, S: Source> {
    waits: &'a Waits,
    source: &'a S,
    ids: &'a [&'a str],
    news: Arc<Condvar>,
}

impl<S: Source> Watch<'_, S> {
    fn waiter(&self) -> Arc<dyn Waiter> {
        self.news.clone()
    }
}

impl<S: Source> Drop for Watch<'_, S> {
    fn drop(&mut self) {
        let waiter = self.waiter();
        let mut state = self.waits.state.lock();
        self.ids.iter().for_each(|id| state.table.remove(id, &waiter));
        let dropped = state.table.take_dropped();
        state.forget_dropped();
        drop(state);
        self.source.unfollow(&dropped);
    }
}
