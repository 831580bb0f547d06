//! The attention that the states of jobs get: Slurm is asked often only while somebody wants to know.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::sync::Mutex;

/// The time for which a question counts: who asks again and again is as good as one who waits.
const MEMORY: Duration = Duration::from_secs(5);
/// A report that is older than this many times the pause between two questions is not current.
const LATE: u32 = 3;

/// See the module.
#[derive(Default)]
pub(super) struct Attention {
    state: Mutex<State>,
    /// The waits that are in progress.
    waits: AtomicUsize,
    /// Tells the poller that there is attention again.
    pub(super) news: Notify,
}

#[derive(Default)]
struct State {
    /// The last question of somebody.
    asked: Option<Instant>,
    /// The last time at which all was reported, and the pause that is due after it.
    reported: Option<(Instant, Duration)>,
}

impl Attention {
    /// Note a question. Returns whether all is reported but the very last.
    pub(super) fn attend(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let is_new = state.asked.is_none_or(|asked| now - asked > MEMORY);
        state.asked = Some(now);
        let is_current = state.reported.is_some_and(|(at, pause)| now - at <= pause * LATE);
        drop(state);
        if is_new || !is_current {
            self.news.notify_one();
        }
        is_current
    }

    /// Note a wait, until the result is dropped.
    pub(super) fn wait(&self) -> Wait<'_> {
        self.waits.fetch_add(1, Ordering::SeqCst);
        self.news.notify_one();
        Wait(self)
    }

    /// Note that all was reported just now, and when to do so next.
    pub(super) fn reported(&self, pause: Duration) {
        self.state.lock().reported = Some((Instant::now(), pause));
    }

    /// Returns whether somebody waits, or has asked not long ago.
    pub(super) fn is_recent(&self) -> bool {
        let asked = self.state.lock().asked;
        self.waits.load(Ordering::SeqCst) > 0 || asked.is_some_and(|asked| asked.elapsed() <= MEMORY)
    }
}

/// A wait in progress.
pub(super) struct Wait<'a>(&'a Attention);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reported_long_ago_is_not_current() {
        let attention = Attention::default();
        assert!(!attention.is_recent() && !attention.attend() && attention.is_recent());
        attention.reported(Duration::from_secs(60));
        assert!(attention.attend());
        attention.reported(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
        assert!(!attention.attend());
    }

    #[test]
    fn a_wait_gets_attention_until_it_is_over() {
        let attention = Attention::default();
        let wait = attention.wait();
        assert!(attention.is_recent());
        drop(wait);
        assert!(!attention.is_recent());
    }
}
