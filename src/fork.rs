//! What must not be cut in two by the `fork()` of another thread.
//!
//! SQLite and the C library's user database keep locks of their own. A child that is made while
//! some other thread holds one of them finds it held for ever. So all that may take such a lock
//! runs as [`whole`], and a thread that forks waits for the end of that.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::LocalKey;

static GATE: RwLock<()> = RwLock::new(());

/// What a thread keeps while it forks. Nothing is to be dropped when the thread ends, so there is such
/// a place until its very last moment: exit handlers may fork.
pub type Place<T> = Cell<Option<ManuallyDrop<T>>>;

thread_local! {
    static HELD: Place<RwLockWriteGuard<'static, ()>> = const { Cell::new(None) };
}

/// No thread forks as long as the result lives. Not to be called while one lives already.
pub fn whole() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// This thread is about to fork.
pub fn prepare() {
    hold(&HELD, || GATE.write().unwrap_or_else(PoisonError::into_inner));
}

/// This thread has forked; called in parent and child.
pub fn finish() {
    drop(let_go(&HELD));
}

/// Have functions called before each fork of this process, and after it in parent and child, unless
/// that is `done`.
///
/// This is no `Once`: if a fork comes between, the child would wait for ever for the thread that was
/// at it. So two threads may both do it, and the functions must bear to be called twice.
pub fn register(
    done: &AtomicBool,
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) {
    if !done.load(Ordering::Acquire) {
        // SAFETY: the functions are there as long as the library, which stays loaded.
        unsafe {
            libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child));
        }
        done.store(true, Ordering::Release);
    }
}

/// Take something and keep it in this thread, unless that was done already.
pub fn hold<T>(place: &'static LocalKey<Place<T>>, take: impl FnOnce() -> T) {
    let held = place.take().unwrap_or_else(|| ManuallyDrop::new(take()));
    place.set(Some(held));
}

/// Give up what this thread keeps there.
pub fn let_go<T>(place: &'static LocalKey<Place<T>>) -> Option<T> {
    place.take().map(ManuallyDrop::into_inner)
}
