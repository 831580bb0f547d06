//! The connection that writes, and the transaction on it that waits for another thread.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use super::turn::Turn;
use crate::sync::{Condvar, Mutex};

/// The connection that writes.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) connection: Option<Connection>,
    pub(super) open: Option<Open>,
}

/// A transaction that waits for the next thread.
pub(super) struct Open {
    pub(super) outcome: Arc<Outcome>,
    pub(super) changes: usize,
    /// One of them was made.
    pub(super) has_news: bool,
    pub(super) begun: Instant,
    pub(super) _turn: Turn,
}

/// Whether a transaction was committed, once that is known.
#[derive(Default)]
pub(super) struct Outcome {
    committed: Mutex<Option<bool>>,
    told: Condvar,
}

impl Outcome {
    pub(super) fn tell(&self, committed: bool) {
        self.committed.lock().get_or_insert(committed);
        self.told.notify_all();
    }

    pub(super) fn wait(&self) -> bool {
        let mut committed = self.committed.lock();
        loop {
            match *committed {
                Some(committed) => return committed,
                None => committed = self.told.wait(committed),
            }
        }
    }
}

impl Drop for Open {
    /// Whatever has become of it, nobody waits for it any more.
    fn drop(&mut self) {
        self.outcome.tell(false);
    }
}
