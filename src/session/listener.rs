//! The callback of a process for new states of jobs, and its calls.

use std::sync::Arc;
use std::thread::{self, ThreadId};

use crate::model::JobState;
use crate::sync::{Condvar, Mutex};

/// A new state of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The job.
    pub job: String,
    /// The job's session; `None` if it has been destroyed.
    pub session: Option<String>,
    /// The state.
    pub state: JobState,
}

/// The function to call.
pub type Callback = Arc<dyn Fn(&Notification) + Send + Sync>;

/// The callback of a process.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) state: Mutex<State>,
    /// Notified when a call has returned.
    pub(super) returned: Condvar,
}

/// See [`Listener`].
#[derive(Default)]
pub(super) struct State {
    pub(super) callback: Option<Callback>,
    /// The last event that the callback was called for, or is not to be called for.
    pub(super) seen: i64,
    /// There is a thread that calls it.
    pub(super) running: bool,
    /// The thread that is in a call now.
    pub(super) calling: Option<ThreadId>,
}

impl Listener {
    /// The event after which the thread continues. `None` if there is no callback: then it ends.
    pub(super) fn goes_on(&self) -> Option<i64> {
        let mut state = self.state.lock();
        state.running = state.callback.is_some();
        state.running.then_some(state.seen)
    }

    /// Call the callback about this event, if there is one: the event may be older than it.
    pub(super) fn call(&self, number: i64, told: Option<Notification>) {
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
            // be that of a thread that does not exist here.
            // SAFETY: it ends this process, and runs nothing of the inherited state.
            unsafe { libc::_exit(0) };
        }
    }
}

/// A call in progress.
struct Call<'a>(&'a Listener);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.state.lock().calling = None;
        self.0.returned.notify_all();
    }
}
