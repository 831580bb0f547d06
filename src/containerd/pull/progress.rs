//! The progress of a pull.

use std::time::Duration;

use tokio::sync::watch;

/// The least time between two reports to a job that waits: each is a transaction of the store.
const INTERVAL: Duration = Duration::from_millis(250);
/// With more of those who wait, each of them hears of it more seldom.
const MANY: usize = 8;

/// The parts of a pull, as far as they are known or done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) layers: usize,
    pub(super) bytes: u64,
}

/// The state of a pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Layers that are unpacked, and bytes that are read.
    done: Parts,
    /// `None` while it is not known.
    total: Option<Parts>,
    /// The number of listeners.
    listeners: usize,
}

impl State {
    /// For the user, about the image of this name.
    pub(super) fn text(self, image: &str) -> String {
        let Some(total) = self.total else { return format!("pulling {image}") };
        // So many digits that each bar moves.
        let (unit, size) = if total.bytes < 10_000_000 { ("kB", 1000) } else { ("MB", 1_000_000) };
        let (layers, bytes) = (self.done.layers, self.done.bytes.min(total.bytes) / size);
        let (all_layers, all_bytes) = (total.layers, total.bytes / size);
        format!("pulling {image}: {layers} of {all_layers} layers, {bytes} of {all_bytes} {unit}")
    }

    /// The time until the same listener is told again.
    pub(super) fn interval(&self) -> Duration {
        INTERVAL.saturating_mul(u32::try_from(self.listeners / MANY).unwrap_or(u32::MAX).max(1))
    }
}

/// The channel on which a pull reports its state.
pub(super) struct Progress(watch::Sender<State>);

impl Progress {
    /// One that tells who listens to the receiver.
    pub(super) fn new() -> (Self, watch::Receiver<State>) {
        let (news, receiver) = watch::channel(State::default());
        (Self(news), receiver)
    }

    /// It is known how much there is to do.
    pub(super) fn begin(&self, total: Parts) {
        self.change(|state| *state = State { total: Some(total), ..State::default() });
    }

    /// So many more bytes are read.
    pub(super) fn read(&self, bytes: u64) {
        self.change(|state| state.done.bytes = state.done.bytes.saturating_add(bytes));
    }

    /// One more layer is unpacked.
    pub(super) fn unpacked(&self) {
        self.change(|state| state.done.layers += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let listeners = self.0.receiver_count();
        self.0.send_modify(|state| {
            change(state);
            state.listeners = listeners;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_bytes_are_counted() {
        let (progress, news) = Progress::new();
        let told = || news.borrow().text("app:1");
        assert_eq!(told(), "pulling app:1");
        progress.begin(Parts { layers: 2, bytes: 100_000 });
        assert_eq!(told(), "pulling app:1: 0 of 2 layers, 0 of 100 kB");
        progress.read(98_000);
        progress.unpacked();
        assert_eq!(told(), "pulling app:1: 1 of 2 layers, 98 of 100 kB");
        progress.read(2000);
        progress.unpacked();
        assert_eq!(told(), "pulling app:1: 2 of 2 layers, 100 of 100 kB");
    }

    #[test]
    fn large_images_are_counted_in_megabytes() {
        let (progress, news) = Progress::new();
        progress.begin(Parts { layers: 20, bytes: 1_000_000_001 });
        progress.read(430_900_000);
        assert_eq!(news.borrow().text("a"), "pulling a: 0 of 20 layers, 430 of 1000 MB");
    }

    #[test]
    fn the_more_listen_the_more_seldom_is_each_told() {
        let (progress, news) = Progress::new();
        progress.read(1);
        assert_eq!(news.borrow().interval(), INTERVAL);
        let _others: Vec<_> = (1..MANY * 3).map(|_| news.clone()).collect();
        progress.read(1);
        assert_eq!(news.borrow().interval(), INTERVAL * 3);
    }
}
