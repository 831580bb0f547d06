//! The singletons of a process: its world, and the list of its open sessions.
//!
//! Both are behind one lock that is held across `fork()`, so a forked child finds it free. The child
//! cannot use the parent's world, whose threads do not exist in it, and makes a new one at its next
//! call; sessions stay open, since the store is their authority.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::agent;
use super::behalf::Behalf;
use super::call::{Call, Content};
use super::desk::Desk;
use super::world::World;
use crate::fork;
use crate::model::{Error, Result};
use crate::store::{Kind, Session};
use crate::sync::{Mutex, MutexGuard};

struct Process {
    world: Option<Arc<World>>,
    /// Those of the processes that this one is forked from. Their threads do not exist here, so they are never dropped.
    parents: Vec<Arc<World>>,
    /// The open sessions, one entry for each handle.
    sessions: Vec<Session>,
    /// The number of open monitoring sessions.
    monitors: usize,
}

static PROCESS: Mutex<Process> =
    Mutex::new(Process { world: None, parents: Vec::new(), sessions: Vec::new(), monitors: 0 });
static HANDLERS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The lock while this thread forks.
    static HELD: fork::Place<MutexGuard<'static, Process>> = const { Cell::new(None) };
    #[cfg(test)]
    static TEST_WORLD: Cell<Option<Arc<World>>> = const { Cell::new(None) };
}

fn lock() -> MutexGuard<'static, Process> {
    fork::register(&HANDLERS, before_fork, after_fork_in_parent, after_fork_in_child);
    PROCESS.lock()
}

extern "C" fn before_fork() {
    fork::hold(&HELD, || PROCESS.lock());
    // In this order: a thread that makes the world holds the lock while it opens the store.
    fork::prepare();
}

extern "C" fn after_fork_in_parent() {
    fork::finish();
    drop(fork::let_go(&HELD));
}

extern "C" fn after_fork_in_child() {
    fork::finish();
    if let Some(mut process) = fork::let_go(&HELD)
        && let Some(world) = process.world.take()
    {
        // Now, as long as the descriptors are what they were: many a child closes all, and opens its own.
        world.store.abandon();
        process.parents.push(world);
    }
}

/// The world of this process; made at the first call.
pub(super) fn world() -> Result<Arc<World>> {
    #[cfg(test)]
    if let Some(world) = test_world() {
        return Ok(world);
    }
    let mut process = lock();
    if let Some(world) = &process.world {
        return Ok(Arc::clone(world));
    }
    let world = World::start()?;
    process.world = Some(Arc::clone(&world));
    Ok(world)
}

/// The world of this process, if it has been made.
pub(super) fn present_world() -> Option<Arc<World>> {
    #[cfg(test)]
    if let Some(world) = test_world() {
        return Some(world);
    }
    lock().world.clone()
}

/// Make a call.
pub(super) fn ask<T: Content>(call: Call) -> Result<T> {
    let world = world()?;
    let desk = Desk { world: &world, scope: Behalf::Himself.scope(), monitoring: is_monitoring() };
    T::of(desk.answer(call)?)
}

/// Register an opened session.
pub(super) fn session_opened(session: &Session) {
    lock().sessions.push(session.clone());
    opened();
}

/// Remove one handle of a closed session.
pub(super) fn session_closed(session: &Session) {
    let mut process = lock();
    // The name alone is not enough: by now it may be that of another session.
    if let Some(at) = process.sessions.iter().position(|open| open == session) {
        process.sessions.swap_remove(at);
    }
    drop(process);
    wake();
}

/// Destroy a session, which makes every handle of it invalid.
pub(super) fn destroy_session(kind: Kind, behalf: &Behalf, name: &str) -> Result<()> {
    let behalf = behalf.clone();
    let id: i64 = ask(Call::DestroySession { kind, behalf, name: name.to_owned() })?;
    lock().sessions.retain(|open| (open.kind, open.id, open.name.as_str()) != (kind, id, name));
    wake();
    Ok(())
}

/// Register an opened monitoring session.
pub(super) fn monitor_opened() {
    lock().monitors += 1;
    opened();
}

/// Remove a closed monitoring session.
pub(super) fn monitor_closed() {
    let mut process = lock();
    process.monitors = process.monitors.saturating_sub(1);
    drop(process);
    wake();
}

/// The process that opens a session may be the first since the agent was killed.
fn opened() {
    wake();
    if let Some(world) = present_world() {
        agent::resume(&world);
    }
}

/// Wake the waits for jobs of sessions that are no longer open, and the thread that notifies about those
/// that are.
fn wake() {
    if let Some(world) = present_world() {
        world.waits.wake();
        world.changes.tell();
    }
}

/// Returns whether a monitoring session is open.
pub(super) fn is_monitoring() -> bool {
    lock().monitors > 0
}

/// The open job sessions.
pub(super) fn job_sessions() -> Vec<Session> {
    let process = lock();
    let open = process.sessions.iter().filter(|session| session.kind == Kind::Job);
    open.cloned().collect()
}

/// Returns whether the open sessions show the jobs of this one; for `None`, the jobs without a session.
pub(super) fn shows(session: Option<&Session>) -> bool {
    let process = lock();
    let is_open = |session: &Session| process.sessions.contains(session);
    process.monitors > 0 || session.is_some_and(is_open)
}

/// Check that objects of a session may be used: INVALID_SESSION unless it, or a monitoring session, is
/// open.
pub(super) fn check_session(kind: Kind, name: Option<&str>) -> Result<()> {
    let process = lock();
    let is_open =
        |name: &str| process.sessions.iter().any(|open| open.kind == kind && open.name == name);
    if process.monitors > 0 || name.is_some_and(is_open) {
        return Ok(());
    }
    Err(Error::session(match (kind, name) {
        (kind, Some(name)) => format!("{kind} \"{name}\" is not open in this process"),
        (_, None) => "no monitoring session is open in this process".to_owned(),
    }))
}

#[cfg(test)]
fn test_world() -> Option<Arc<World>> {
    let world = TEST_WORLD.take();
    TEST_WORLD.set(world.clone());
    world
}

/// Make `world` the process's world for the rest of this thread's life.
#[cfg(test)]
pub(super) fn use_world(world: &Arc<World>) {
    TEST_WORLD.set(Some(Arc::clone(world)));
}
