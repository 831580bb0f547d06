//! Notifications: one thread calls the callback of the process for each new state of a job.
//!
//! The store keeps the events in order; the bell wakes the thread. No lock is held during a call, so a
//! callback may call the API, register another callback, or none.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use super::call::{Call, Content};
use super::door::{Door, WeakDoor};
use super::listener::{Callback, Listener, Notification};
use super::process;
use super::progress::RETRY;
use super::world::World;
use crate::model::Result;
use crate::runtime;
use crate::store::Event;

/// Make `callback` the only callback from now on, for the jobs of open sessions. `None` for no callback:
/// then a call in progress has ended when this returns, unless it is the caller.
pub fn notify(callback: Option<Callback>) -> Result<()> {
    match (callback, process::present_door()) {
        (Some(callback), _) => register(&process::door()?, callback),
        (None, Some(door)) => unregister(&door),
        (None, None) => Ok(()),
    }
}

fn register(door: &Door, callback: Callback) -> Result<()> {
    let mut state = door.listener().state.lock();
    if !state.running {
        let listener = door.downgrade();
        // The thread ends by itself if the rest fails.
        runtime::thread("drmaa2-notify", move || listen(&listener))?;
        state.running = true;
    }
    if state.callback.is_none() {
        state.seen = i64::of(door.ask(false, Call::Listen)?)?;
        door.waits().listens();
    }
    state.callback = Some(callback);
    Ok(())
}

fn unregister(door: &Door) -> Result<()> {
    let listener = door.listener();
    let mut state = listener.state.lock();
    let unlistened = match state.callback.take() {
        Some(_) => {
            door.waits().unlistens();
            door.changes().tell();
            door.ask(false, Call::Unlisten).map(drop)
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
fn listen(door: &WeakDoor) {
    let mut followed = HashSet::new();
    while let Some(door) = door.upgrade() {
        let changes = Arc::clone(door.changes());
        let change = changes.seen();
        let Some(seen) = door.listener().goes_on() else { return };
        if let Door::Here(world) = &door {
            follow(world, &mut followed);
        }
        let taken = door.ask(false, Call::TakeEvents(seen)).and_then(Vec::<Event>::of);
        let limit = match taken {
            Ok(events) if events.is_empty() => None,
            Ok(events) => {
                deliver_all(door.listener(), seen, events);
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "events will be looked for again");
                Some(RETRY)
            }
        };
        drop(door);
        changes.wait(change, limit);
    }
}

fn deliver_all(listener: &Listener, mut seen: i64, events: Vec<Event>) {
    for event in events {
        let missing = event.number - seen - 1;
        if missing > 0 {
            tracing::warn!(missing, "the callback is too slow, events are lost");
        }
        seen = event.number;
        deliver(listener, event);
    }
}

fn deliver(listener: &Listener, event: Event) {
    // One of a job that the user may not see names none.
    let shown = !event.job.is_empty() && process::shows(event.session.as_ref());
    let session = event.session.map(|session| session.name);
    let told = Notification { job: event.job, session, state: event.state };
    listener.call(event.number, shown.then_some(told));
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
