//! How far a pull is.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::sync::Mutex;

/// Who waits hears no more often of more bytes: each time is a transaction of the store.
const INTERVAL: Duration = Duration::from_millis(250);
/// With more of those who wait, each of them hears of it more seldom.
const MANY: usize = 8;

/// What is known of a pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    done: u64,
    /// 0 while it is not known.
    total: u64,
}

impl Bytes {
    /// For the user.
    pub(super) fn text(self) -> String {
        match self.total {
            0 => "pulling".to_owned(),
            total => format!("pulling {}/{total} bytes", self.done.min(total)),
        }
    }
}

/// Where a pull tells how far it is.
pub(super) struct Progress {
    news: watch::Sender<Bytes>,
    now: Mutex<(Bytes, Option<Instant>)>,
}

impl Progress {
    /// One that tells who listens to the receiver.
    pub(super) fn new() -> (Self, watch::Receiver<Bytes>) {
        let (news, receiver) = watch::channel(Bytes::default());
        (Self { news, now: Mutex::default() }, receiver)
    }

    /// It is known how much there is to do.
    pub(super) fn begin(&self, total: u64) {
        let mut now = self.now.lock();
        *now = (Bytes { done: 0, total }, None);
        self.news.send_replace(now.0);
    }

    /// So many more are done.
    pub(super) fn add(&self, bytes: u64) {
        let crowds = u32::try_from(self.news.receiver_count() / MANY).unwrap_or(u32::MAX);
        let interval = INTERVAL.saturating_mul(crowds.max(1));
        let mut now = self.now.lock();
        now.0.done = now.0.done.saturating_add(bytes);
        if now.0.done >= now.0.total || now.1.is_none_or(|told| told.elapsed() >= interval) {
            now.1 = Some(Instant::now());
            self.news.send_replace(now.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_at_once_at_intervals_and_at_the_end() {
        let (progress, news) = Progress::new();
        assert_eq!(news.borrow().text(), "pulling");
        progress.begin(100);
        assert_eq!(news.borrow().text(), "pulling 0/100 bytes");
        progress.add(1);
        assert_eq!(news.borrow().text(), "pulling 1/100 bytes");
        progress.add(1);
        assert_eq!(news.borrow().text(), "pulling 1/100 bytes");
        progress.add(98);
        assert_eq!(news.borrow().text(), "pulling 100/100 bytes");
    }
}
