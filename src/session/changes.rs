//! Counts the changes of the store, for threads that must look at all of it again.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// The number of changes noticed.
#[derive(Default)]
pub(super) struct Changes {
    count: Mutex<u64>,
    news: Condvar,
}

impl Changes {
    /// Count a change of the store.
    pub(super) fn tell(&self) {
        *self.count.lock() += 1;
        self.news.notify_all();
    }

    /// The count now. Take it before looking at the store, so that no change is missed.
    pub(super) fn seen(&self) -> u64 {
        *self.count.lock()
    }

    /// Wait for a change after `seen`, at most for `limit`. False if there was none.
    pub(super) fn wait(&self, seen: u64, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut count = self.count.lock();
        while *count == seen {
            match deadline {
                None => count = self.news.wait(count),
                Some(deadline) => {
                    let over;
                    (count, over) = self.news.wait_until(count, deadline);
                    if over {
                        return *count != seen;
                    }
                }
            }
        }
        true
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
