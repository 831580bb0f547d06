//! The connections for reading: a few, however many threads read.

use rusqlite::Connection;

use crate::sync::{Condvar, Mutex};

/// The most connections at a time. Each has two descriptors, and a look-up takes microseconds.
const MOST: usize = 8;

/// See the module.
#[derive(Default)]
pub(super) struct Readers {
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Connections, or rights to make one, that are in use.
    used: usize,
    /// Threads that wait for one. Without any, a call of the system is saved that is slow beside many other waits.
    waiting: usize,
}

impl Readers {
    /// Wait for a connection; `None` is the right to make one.
    pub(super) fn take(&self) -> Place<'_> {
        let mut pool = self.pool.lock();
        while pool.used == MOST {
            pool.waiting += 1;
            pool = self.returned.wait(pool);
            pool.waiting -= 1;
        }
        pool.used += 1;
        Place { readers: self, connection: pool.idle.pop() }
    }

    /// Close those that are idle.
    pub(super) fn clear(&self) {
        self.pool.lock().idle.clear();
    }
}

/// The right to use one connection; it is given back when this is dropped.
pub(super) struct Place<'a> {
    readers: &'a Readers,
    /// The connection, as far as there is one.
    pub(super) connection: Option<Connection>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool.lock();
        pool.used -= 1;
        pool.idle.extend(self.connection.take());
        if pool.waiting > 0 {
            self.readers.returned.notify_one();
        }
    }
}
