//! Notifications: one thread calls the callback of the process for each state that a job comes into.
//!
//! The store keeps the events in order; the bell wakes the thread. No lock is held over a call, so a
//! callback may do what it likes: call the API, register another one, or none.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};

use super::process;
use super::progress::RETRY;
use super::world::World;
use crate::model::{JobState, Result};
use crate::runtime;
use crate::store::Event;
use crate::sync::{Condvar, Mutex};

/// So many events are taken out at a time.
const BATCH: i64 = 1000;

/// A job has come into a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The job.
    pub job: String,
    /// The job's session; `None` if it has been destroyed.
    pub session: Option<String>,
    /// The state.
    pub state: JobState,
}

/// What is called.
pub type Callback = Arc<dyn Fn(&Notification) + Send + Sync>;

/// From here on have `callback` called, and no other, for the jobs of the sessions that are open. `None`
/// for nothing: then a call that is under way has ended when this returns, unless it is the caller.
pub fn notify(callback: Option<Callback>) -> Result<()> {
    match (callback, process::present_world()) {
        (Some(callback), _) => register(&process::world()?, callback),
        (None, Some(world)) => unregister(&world),
        (None, None) => Ok(()),
    }
}

/// The callback of a process.
#[derive(Default)]
pub(super) struct Listener {
    state: Mutex<State>,
    /// A call has returned.
    returned: Condvar,
}

#[derive(Default)]
struct State {
    callback: Option<Callback>,
    /// The last event that the callback was called for, or is not to be called for.
    seen: i64,
    /// There is a thread that calls it.
    running: bool,
    /// The thread that is in a call now.
    calling: Option<ThreadId>,
}

impl Listener {
    /// The event after which the thread goes on. `None` if there is nobody to call: then it ends.
    fn goes_on(&self) -> Option<i64> {
        let mut state = self.state.lock();
        state.running = state.callback.is_some();
        state.running.then_some(state.seen)
    }

    /// Call the callback about this event, if there is one: the event may be older than it.
    fn call(&self, number: i64, told: Option<Notification>) {
        let mut state = self.state.lock();
        if number <= state.seen {
            return;
        }
        state.seen = number;
        let Some((callback, told)) = state.callback.clone().zip(told) else { return };
        state.calling = Some(thread::current().id());
        drop(state);
        let _call = Call(self);
        let process = std::process::id();
        callback(&told);
        if std::process::id() != process {
            // A child that was forked inside the callback: there is nowhere to return to, and the lock may
            // be that of a thread which is not here.
            // SAFETY: it ends this process, and runs nothing of what it took over.
            unsafe { libc::_exit(0) };
        }
    }
}

/// A call that is under way.
struct Call<'a>(&'a Listener);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.state.lock().calling = None;
        self.0.returned.notify_all();
    }
}

fn register(world: &Arc<World>, callback: Callback) -> Result<()> {
    let mut state = world.listener.state.lock();
    if !state.running {
        let listener = Arc::downgrade(world);
        // It ends by itself if the rest fails.
        runtime::thread("drmaa2-notify", move || listen(&listener))?;
        state.running = true;
    }
    if state.callback.is_none() {
        state.seen = world.store.listen(&world.mine)?;
    }
    state.callback = Some(callback);
    Ok(())
}

fn unregister(world: &World) -> Result<()> {
    let listener = &world.listener;
    let mut state = listener.state.lock();
    let unlistened = match state.callback.take() {
        Some(_) => {
            world.changes.tell();
            world.store.unlisten(&world.mine)
        }
        None => Ok(()),
    };
    // Once this has returned, the function that was called may be gone. A call does not wait for itself.
    while state.callback.is_none()
        && state.calling.is_some_and(|calling| calling != thread::current().id())
    {
        state = listener.returned.wait(state);
    }
    unlistened
}

/// The thread.
fn listen(world: &Weak<World>) {
    let mut followed = HashSet::new();
    while let Some(world) = world.upgrade() {
        let changes = Arc::clone(&world.changes);
        let change = changes.seen();
        let Some(seen) = world.listener.goes_on() else { return };
        follow(&world, &mut followed);
        let limit = match world.store.take_events(&world.mine, seen, BATCH) {
            Ok(events) if events.is_empty() => None,
            Ok(events) => {
                deliver_all(&world, seen, events);
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "events will be looked for again");
                Some(RETRY)
            }
        };
        drop(world);
        changes.wait(change, limit);
    }
}

fn deliver_all(world: &World, mut seen: i64, events: Vec<Event>) {
    for event in events {
        let missing = event.number - seen - 1;
        if missing > 0 {
            tracing::warn!(missing, "the callback is too slow, events are lost");
        }
        seen = event.number;
        deliver(world, event);
    }
}

fn deliver(world: &World, event: Event) {
    let shown = process::shows(event.session.as_ref());
    let session = event.session.map(|session| session.name);
    let told = Notification { job: event.job, session, state: event.state };
    world.listener.call(event.number, shown.then_some(told));
}

/// Hear of what the runtimes do whose jobs the callback is told of, though this process may do no more
/// than that. Done once for each session; `followed` are those for which it is. What fails is tried again
/// with the next change.
fn follow(world: &World, followed: &mut HashSet<Option<i64>>) {
    let sessions = process::job_sessions().into_iter().map(Some);
    let all = process::is_monitoring().then_some(None);
    for session in sessions.chain(all) {
        let id = session.as_ref().map(|session| session.id);
        if followed.contains(&id) {
            continue;
        }
        let contact = session.as_ref().and_then(|session| session.contact.as_deref());
        let subscribed = world.contact(contact).and_then(|(target, _)| {
            // Beside the one that it has now, those that it had under another configuration.
            let unsettled = match &session {
                Some(session) => world.store.unsettled_targets_of(session)?,
                None => world.store.unsettled_targets()?,
            };
            unsettled.into_iter().chain([target]).try_for_each(|target| {
                world.engine(&target)?.subscribe();
                Ok(())
            })
        });
        match subscribed {
            Ok(()) => {
                followed.insert(id);
            }
            Err(error) => {
                tracing::warn!(%error, "the callback may be told late of what a runtime does");
            }
        }
    }
}
