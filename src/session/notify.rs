//! Notifications: one thread calls the callback of the process for each new state of a job.
//!
//! The store keeps the events in order; the bell wakes the thread. No lock is held during a call, so a
//! callback may call the API, register another callback, or none.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::thread;

use super::listener::{Callback, Notification};
use super::process;
use super::progress::RETRY;
use super::world::World;
use crate::model::Result;
use crate::runtime;
use crate::store::Event;

/// The number of events taken at a time.
const BATCH: i64 = 1000;

/// Make `callback` the only callback from now on, for the jobs of open sessions. `None` for no callback:
/// then a call in progress has ended when this returns, unless it is the caller.
pub fn notify(callback: Option<Callback>) -> Result<()> {
    match (callback, process::present_world()) {
        (Some(callback), _) => register(&process::world()?, callback),
        (None, Some(world)) => unregister(&world),
        (None, None) => Ok(()),
    }
}

fn register(world: &Arc<World>, callback: Callback) -> Result<()> {
    let mut state = world.listener.state.lock();
    if !state.running {
        let listener = Arc::downgrade(world);
        // The thread ends by itself if the rest fails.
        runtime::thread("drmaa2-notify", move || listen(&listener))?;
        state.running = true;
    }
    if state.callback.is_none() {
        state.seen = world.store.listen(&world.mine)?;
    }
    state.callback = Some(callback);
    world.waits.set_listening(true);
    Ok(())
}

fn unregister(world: &World) -> Result<()> {
    let listener = &world.listener;
    let mut state = listener.state.lock();
    let unlistened = match state.callback.take() {
        Some(_) => {
            world.waits.set_listening(false);
            world.changes.tell();
            world.store.unlisten(&world.mine)
        }
        None => Ok(()),
    };
    // After the return, the previous function may be gone. A call does not wait for itself.
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

/// Subscribe to the runtimes of the jobs that the callback is for, even if this process does nothing
/// else with them. Done once for each session; `followed` are those done. A failure is repeated with the
/// next change.
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
            // Besides the present one, the targets of earlier configurations.
            let unsettled = match &session {
                Some(session) => world.store.unsettled_targets_of(session)?,
                None => world.store.unsettled_targets()?,
            };
            unsettled.into_iter().chain([target]).try_for_each(|target| {
                let engine = world.engine(&target)?;
                engine.subscribe();
                engine.tracker().attend();
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
