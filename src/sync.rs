//! The library's locks: std's, without poison.
//!
//! Their whole state is in the lock. Others (`parking_lot`) queue the threads of all locks in one table
//! of the process, which a `fork()` may copy while a thread changes it; and in a child the table still
//! holds threads that do not exist there, whose places new threads get. So a child could hang in a lock
//! that it made itself.

use std::sync::{PoisonError, TryLockError};
use std::time::Instant;

pub use std::sync::MutexGuard;

/// A mutex. After a panic under it, the next holder sees the data as left; every lock here is held for
/// steps that leave its data consistent.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Make one around a value.
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Wait for the lock and take it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take the lock if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The value of a mutex with no other owner.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The condition that threads with a mutex wait for.
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// Make one without waiters.
    pub const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// Release the mutex, wait for a notification, take the mutex again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, at most until `deadline`. Returns whether that has passed.
    pub fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        let left = deadline.saturating_duration_since(Instant::now());
        let (guard, result) = self.0.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
        (guard, result.timed_out())
    }

    /// Wake one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wake all waiters.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Threads that all take the same lock, and wait for each other.
    fn contend(stop: impl Fn(u32) -> bool + Sync) {
        let turn = Mutex::new(0_u32);
        let news = Condvar::new();
        thread::scope(|scope| {
            for me in 0..4 {
                let (turn, news, stop) = (&turn, &news, &stop);
                scope.spawn(move || {
                    for round in 0.. {
                        let mut whose = turn.lock();
                        while *whose % 4 != me {
                            whose = news.wait(whose);
                        }
                        *whose = whose.wrapping_add(1);
                        drop(whose);
                        news.notify_all();
                        if stop(round) {
                            break;
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_child_that_was_made_while_locks_were_fought_for_can_use_its_own() {
        let over = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..2)
            .map(|_| {
                let over = Arc::clone(&over);
                // All four leave in the same round, so that none waits for one that is gone.
                let last = Mutex::new(None);
                thread::spawn(move || {
                    contend(|round| {
                        let mut last = last.lock();
                        if last.is_none() && over.load(Ordering::Relaxed) {
                            *last = Some(round + 1);
                        }
                        last.is_some_and(|last| round >= last)
                    });
                })
            })
            .collect();
        for _ in 0..200 {
            // SAFETY: the child uses locks, threads and malloc, and exits at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // A hang ends the child, which the test notices.
                // SAFETY: plain calls.
                unsafe { libc::alarm(60) };
                contend(|round| round == 20);
                // SAFETY: as above.
                unsafe { libc::_exit(0) };
            }
            let mut status = -1;
            // SAFETY: waits for the child made above.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
        }
        over.store(true, Ordering::Relaxed);
        for thread in busy {
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_lock_outlives_a_panic_under_it() {
        let lock = Arc::new(Mutex::new(1));
        let theirs = Arc::clone(&lock);
        let _ = thread::spawn(move || {
            let _guard = theirs.lock();
            panic!("expected by the test");
        })
        .join();
        assert_eq!(*lock.lock(), 1);
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let lock = Mutex::new(());
        let begun = Instant::now();
        let (_guard, over) = Condvar::new().wait_until(lock.lock(), begun + Duration::from_millis(1));
        assert!(over || begun.elapsed() < Duration::from_millis(1));
    }
}
