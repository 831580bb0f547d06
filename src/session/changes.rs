//! Counts the changes of the store, for threads that must look at all of it again.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// The number of changes noticed.
#[derive(Default)]
pub(super) struct Changes {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    count: u64,
    /// Threads that wait. Without any, a call of the system is saved that is slow beside many other waits.
    waiting: usize,
}

impl Changes {
    /// Count a change of the store.
    pub(super) fn tell(&self) {
        let mut state = self.state.lock();
        state.count += 1;
        if state.waiting > 0 {
            self.news.notify_all();
        }
    }

    /// The count now. Take it before looking at the store, so that no change is missed.
    pub(super) fn seen(&self) -> u64 {
        self.state.lock().count
    }

    /// Wait for a change after `seen`, at most for `limit`. False if there was none.
    pub(super) fn wait(&self, seen: u64, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.state.lock();
        state.waiting += 1;
        let mut over = false;
        while state.count == seen && !over {
            match deadline {
                None => state = self.news.wait(state),
                Some(deadline) => (state, over) = self.news.wait_until(state, deadline),
            }
        }
        state.waiting -= 1;
        state.count != seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_after_the_look_ends_the_wait_and_one_before_does_not() {
        let changes = Changes::default();
        changes.tell();
        let seen = changes.seen();
        assert!(!changes.wait(seen, Some(Duration::ZERO)));
        changes.tell();
        assert!(changes.wait(seen, None));
        let seen = changes.seen();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| changes.wait(seen, None));
            changes.tell();
            assert!(waiter.join().unwrap());
        });
    }
}
