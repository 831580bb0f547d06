//! The singletons of a process: its way to jobs, and the list of its open sessions.
//!
//! Both are behind one lock that is held across `fork()`, so a forked child finds it free. The child
//! cannot use the parent's way, whose threads do not exist in it, and finds a new one at its next
//! call; sessions stay open, since the store is their authority.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use nix::unistd::geteuid;

use super::agent;
use super::behalf::Behalf;
use super::call::{Call, Content};
use super::connection::Connection;
use super::door::{self, Door};
use super::world::World;
use crate::config::Config;
use crate::model::{Error, Result};
use crate::store::{Kind, Session};
use crate::sync::{Mutex, MutexGuard};
use crate::{drms, fork};

struct Process {
    door: Option<Door>,
    /// Those of the processes that this one is forked from, and of users that it is no more. The threads of the former do
    /// not exist here, and somebody may wait at one of the latter, so they are never dropped.
    former: Vec<Door>,
    /// The open sessions, one entry for each handle.
    sessions: Vec<Session>,
    /// The number of open monitoring sessions.
    monitors: usize,
}

static PROCESS: Mutex<Process> =
    Mutex::new(Process { door: None, former: Vec::new(), sessions: Vec::new(), monitors: 0 });
static HANDLERS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The lock while this thread forks.
    static HELD: fork::Place<MutexGuard<'static, Process>> = const { Cell::new(None) };
    #[cfg(test)]
    static TEST_DOOR: Cell<Option<Door>> = const { Cell::new(None) };
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
        && let Some(door) = process.door.take()
    {
        // Now, as long as the descriptors are what they were: many a child closes all, and opens its own.
        match &door {
            Door::Here(world) => world.store.abandon(),
            Door::There(connection) => connection.abandon(),
        }
        process.former.push(door);
    }
}

/// The way of this process to jobs; found at the first call, and for another user anew if it is the broker's.
pub(super) fn door() -> Result<Door> {
    let door = way()?;
    if let Door::There(connection) = &door {
        // The world of this process has read it by now.
        connection.compat()?;
    }
    Ok(door)
}

/// The same for a question about the build, which is no use of the library.
pub(super) fn way() -> Result<Door> {
    #[cfg(test)]
    if let Some(door) = test_door() {
        return Ok(door);
    }
    let mut process = lock();
    let uid = geteuid().as_raw();
    match &process.door {
        Some(Door::There(connection)) if connection.uid != uid => {}
        Some(door) => return Ok(door.clone()),
        None => {}
    }
    drms::start_log();
    let config = Config::load()?;
    let door = match door::broker(&config) {
        Some(path) => Door::There(Connection::new(&path, uid)),
        None => Door::Here(World::start(config)?),
    };
    if let Some(former) = process.door.replace(door.clone()) {
        process.former.push(former);
    }
    Ok(door)
}

/// The way that has been found.
pub(super) fn present_door() -> Option<Door> {
    #[cfg(test)]
    if let Some(door) = test_door() {
        return Some(door);
    }
    lock().door.clone()
}

/// Make a call.
pub(super) fn ask<T: Content>(call: Call) -> Result<T> {
    T::of(door()?.ask(is_monitoring(), call)?)
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
    if let Some(Door::Here(world)) = present_door() {
        agent::resume(&world);
    }
}

/// Wake the waits for jobs of sessions that are no longer open, and the thread that notifies about those
/// that are.
fn wake() {
    if let Some(door) = present_door() {
        door.waits().wake();
        door.changes().tell();
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
fn test_door() -> Option<Door> {
    let door = TEST_DOOR.take();
    TEST_DOOR.set(door.clone());
    door
}

/// Make `door` the process's way for the rest of this thread's life.
#[cfg(test)]
pub(super) fn use_door(door: Door) {
    TEST_DOOR.set(Some(door));
}
