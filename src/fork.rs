//! Protection of code that the `fork()` of another thread must not interrupt.
//!
//! SQLite and the C library's user database keep locks of their own. A child that is made while some
//! other thread holds one of them finds it held for ever. So all code that may take such a lock runs as
//! [`whole`], and a thread that forks waits for its end.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::LocalKey;

static GATE: RwLock<()> = RwLock::new(());

/// A value that a thread keeps while it forks. It has no destructor at the end of the thread, so it is
/// usable until the very last moment: exit handlers may fork.
pub type Place<T> = Cell<Option<ManuallyDrop<T>>>;

thread_local! {
    static HELD: Place<RwLockWriteGuard<'static, ()>> = const { Cell::new(None) };
}

/// Prevent forks of all threads while the result lives. Not to be called while one lives already.
pub fn whole() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Prepare this thread for a fork.
pub fn prepare() {
    hold(&HELD, || GATE.write().unwrap_or_else(PoisonError::into_inner));
}

/// End the preparation after a fork; called in parent and child.
pub fn finish() {
    drop(let_go(&HELD));
}

/// Have functions called before each fork of this process, and after it in parent and child, unless
/// `done` is set. Returns whether that could be done: they take memory.
///
/// This is no `Once`: if a fork came in between, the child would wait for ever for the thread that ran
/// it. So two threads may both do it, and the functions must tolerate a second call.
pub fn register(
    done: &AtomicBool,
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> bool {
    if done.load(Ordering::Acquire) {
        return true;
    }
    // SAFETY: the functions exist as long as the library, which stays loaded.
    let error = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    if error == 0 {
        done.store(true, Ordering::Release);
    }
    error == 0
}

/// Take something and keep it in this thread, unless it is there already.
pub fn hold<T>(place: &'static LocalKey<Place<T>>, take: impl FnOnce() -> T) {
    let held = place.take().unwrap_or_else(|| ManuallyDrop::new(take()));
    place.set(Some(held));
}

/// Remove the value that this thread keeps.
pub fn let_go<T>(place: &'static LocalKey<Place<T>>) -> Option<T> {
    place.take().map(ManuallyDrop::into_inner)
}
