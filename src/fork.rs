//! What must not be cut in two by the `fork()` of another thread.
//!
//! SQLite and the C library's user database keep locks of their own. A child that is made while
//! some other thread holds one of them finds it held for ever. So all that may take such a lock
//! runs as [`whole`], and a thread that forks waits for the end of that.

use std::cell::Cell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static HELD: Cell<Option<RwLockWriteGuard<'static, ()>>> = const { Cell::new(None) };
}

/// No thread forks as long as the result lives. Not to be called while one lives already.
pub fn whole() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// This thread is about to fork.
pub fn prepare() {
    let guard = GATE.write().unwrap_or_else(PoisonError::into_inner);
    // A thread so near its end that its locals are gone forks without waiting.
    let _ = HELD.try_with(|held| held.set(Some(guard)));
}

/// This thread has forked; called in parent and child.
pub fn finish() {
    let _ = HELD.try_with(Cell::take);
}
