//! The session handles in use. A handle that was freed, or is not the library's, is recognised by its
//! address alone: the memory behind it is never read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::fork;
use crate::model::{Error, Result};
use crate::session::{JobSession, MonitoringSession, ReservationSession};
use crate::sync::{Mutex, MutexGuard};

/// By address of the handle, until it is freed.
type Table<S> = BTreeMap<usize, Arc<S>>;

/// The handles of one kind of session. The lock is held for look-ups only, never during a call out.
pub(super) struct Handles<S: 'static> {
    what: &'static str,
    table: Mutex<Table<S>>,
}

pub(super) static JOB_SESSIONS: Handles<JobSession> = Handles::new("job session");
pub(super) static RESERVATION_SESSIONS: Handles<ReservationSession> =
    Handles::new("reservation session");
pub(super) static MONITORING_SESSIONS: Handles<MonitoringSession> = Handles::new("monitoring session");

impl<S> Handles<S> {
    const fn new(what: &'static str) -> Self {
        Self { what, table: Mutex::new(BTreeMap::new()) }
    }

    /// Register a handle that is about to be handed out.
    pub(super) fn add<T>(&self, handle: *const T, session: Arc<S>) {
        survive_fork();
        // An earlier one exists if the client has freed it with free(): it must not be dropped under the
        // lock.
        let replaced = self.table.lock().insert(handle.addr(), session);
        drop(replaced);
    }

    /// The session behind a handle, which may be closed. INVALID_SESSION if there is none.
    pub(super) fn get<T>(&self, handle: *const T) -> Result<Arc<S>> {
        if handle.is_null() {
            return Err(Error::session(format!("{} is NULL", self.what)));
        }
        let session = self.table.lock().get(&handle.addr()).cloned();
        session.ok_or_else(|| Error::session(format!("{} was freed, or never was one", self.what)))
    }

    /// Remove a handle. `None` if there is no such handle.
    pub(super) fn remove<T>(&self, handle: *const T) -> Option<Arc<S>> {
        self.table.lock().remove(&handle.addr())
    }
}

thread_local! {
    /// The locks, while this thread forks.
    static HELD: fork::Place<Held> = const { Cell::new(None) };
}

struct Held {
    _jobs: MutexGuard<'static, Table<JobSession>>,
    _reservations: MutexGuard<'static, Table<ReservationSession>>,
    _monitoring: MutexGuard<'static, Table<MonitoringSession>>,
}

/// A thread that forks holds the locks meanwhile. So the child, in which no other thread exists, finds
/// them free and the tables complete.
fn survive_fork() {
    static HANDLERS: AtomicBool = AtomicBool::new(false);
    fork::register(&HANDLERS, before_fork, after_fork, after_fork);
}

extern "C" fn before_fork() {
    fork::hold(&HELD, || Held {
        _jobs: JOB_SESSIONS.table.lock(),
        _reservations: RESERVATION_SESSIONS.table.lock(),
        _monitoring: MONITORING_SESSIONS.table.lock(),
    });
}

extern "C" fn after_fork() {
    drop(fork::let_go(&HELD));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;

    #[test]
    fn only_a_handle_in_use_leads_to_its_session() {
        let handles = Handles::new("thing");
        let handle = &raw const handles;
        let code = || handles.get(handle).map(|session| *session).map_err(|error| error.code);
        assert_eq!(code(), Err(ErrorCode::InvalidSession), "never added");
        handles.add(handle, Arc::new(42));
        assert_eq!(code(), Ok(42));
        assert!(handles.remove(handle).is_some());
        assert_eq!(handles.remove(handle), None, "freed twice");
        assert_eq!(code(), Err(ErrorCode::InvalidSession), "freed");
        assert!(handles.get(std::ptr::null::<u8>()).unwrap_err().message.contains("NULL"));
    }

    #[test]
    fn a_child_finds_the_locks_free() {
        survive_fork();
        let busy = std::thread::spawn(|| {
            for _ in 0..20_000 {
                let _ = JOB_SESSIONS.get(std::ptr::dangling::<u64>());
            }
        });
        while !busy.is_finished() {
            // SAFETY: the child only takes the lock, or is ended by the alarm, and exits at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: a plain call.
                unsafe { libc::alarm(60) };
                let _ = JOB_SESSIONS.get(std::ptr::dangling::<u64>());
                // SAFETY: leaves without a trace in the parent's world.
                unsafe { libc::_exit(0) };
            }
            let mut status = -1;
            // SAFETY: waits for the child made above.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
        }
        busy.join().unwrap();
    }
}
