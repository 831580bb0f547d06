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
        } else {
            self.table.forget();
            let unfinished = self.table.unfinished();
            let unfinished: Vec<&str> = unfinished.iter().map(String::as_str).collect();
            let learn = |id: &str, known| self.table.learn(id, known, messengers);
            if let Err(error) = look_up(store, &unfinished, learn) {
                tracing::warn!(%error, "cannot look up all jobs that are waited for");
            }
        }
        self.seen = Some(changes.last);
        self.forget_dropped();
    }

    /// Nobody but the store tells of jobs, and it tells of all.
    fn forget_dropped(&mut self) {
        self.table.take_dropped();
        if self.table.is_empty() {
            self.seen = None;
        }
    }
}

/// Look up jobs in the store, and pass on what it says. Those that cannot be read do not keep from reading the others; the
/// error is that of the last.
fn look_up(store: &Store, ids: &[&str], mut found: impl FnMut(&str, Known)) -> Result<()> {
    let mut all = Ok(());
    for (id, state) in ids.iter().zip(store.job_states(ids)?) {
        match state {
            Ok(state) => found(id, state.map_or(Known::Gone, Known::State)),
            Err(error) => all = Err(error.of(format!("job {id}"))),
        }
    }
    all
}

/// Tells a table of waits what happens to jobs.
pub(super) trait Source {
    /// Tell the table what has happened while nobody waited.
    fn catch_up(&self, waits: &Waits) -> Result<()>;

    /// Have the table told of these jobs, which are in it, from now on, and of their states now.
    fn follow(&self, waits: &Waits, ids: &[&str]) -> Result<()>;

    /// The end of that, for jobs that are not in it any more.
    fn unfollow(&self, ids: &[String]);
}

impl Source for Store {
    fn catch_up(&self, waits: &Waits) -> Result<()> {
        let mut messengers = Messengers::new();
        let mut state = waits.state.lock();
        if let Some(seen) = state.seen {
            let changes = self.changes_since(seen)?;
            state.enter(self, changes, &mut messengers);
        }
        drop(state);
        pass_on(&messengers);
        Ok(())
    }

    fn follow(&self, waits: &Waits, ids: &[&str]) -> Result<()> {
        let mut state = waits.state.lock();
        // Before the jobs are looked up: later changes are entered afterwards.
        if state.seen.is_none() {
            state.seen = Some(self.last_change()?);
        }
        let unknown: Vec<&str> = ids.iter().copied().filter(|id| state.table.is_unknown(id)).collect();
        look_up(self, &unknown, |id, known| state.table.found(id, known))
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
        // Before anybody waits: of a job that has ended and gone since, nobody has to be told the end.
        source.catch_up(self)?;
        let watch = Watch::new(self, source, ids);
        source.follow(self, ids)?;
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

    /// Have a waiter that is no thread learn what is known of jobs now, which it is not asked to pass on, and told of all
    /// that follows.
    pub(super) fn follow(&self, store: &Store, ids: &[&str], waiter: &Arc<dyn Waiter>) -> Result<()> {
        store.catch_up(self)?;
        let mut state = self.state.lock();
        ids.iter().for_each(|id| state.table.add(id, Arc::clone(waiter)));
        drop(state);
        let followed = store.follow(self, ids);
        let state = self.state.lock();
        for id in ids {
            if let Some(known) = state.table.known(id) {
                waiter.learn(id, known);
            }
        }
        followed
    }

    /// The end of that.
    pub(super) fn unfollow(&self, ids: &[&str], waiter: &Arc<dyn Waiter>) {
        let mut state = self.state.lock();
        ids.iter().for_each(|id| state.table.remove(id, waiter));
        state.forget_dropped();
    }

    /// The knowledge about a job that is waited for.
    pub(super) fn known(&self, id: &str) -> Known {
        self.state.lock().table.known(id).cloned().unwrap_or_default()
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

impl<'a, S: Source> Watch<'a, S> {
    fn new(waits: &'a Waits, source: &'a S, ids: &'a [&'a str]) -> Self {
        let news = Arc::new(Condvar::new());
        let waiter: Arc<dyn Waiter> = news.clone();
        let mut state = waits.state.lock();
        ids.iter().for_each(|id| state.table.add(id, Arc::clone(&waiter)));
        drop(state);
        Self { waits, source, ids, news }
    }
}

impl<S: Source> Drop for Watch<'_, S> {
    fn drop(&mut self) {
        let waiter: Arc<dyn Waiter> = self.news.clone();
        let mut state = self.waits.state.lock();
        self.ids.iter().for_each(|id| state.table.remove(id, &waiter));
        let dropped = state.table.take_dropped();
        state.forget_dropped();
        drop(state);
        self.source.unfollow(&dropped);
    }
}
