//! Turns of launches, of which a machine can carry only so many at a time.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::facts::Facts;
use crate::tracker::Fact;

/// The time after which a launch lets others have its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time that other work gives way to starts.
const DELAY: Duration = Duration::from_millis(100);

/// The starts of tasks in progress. Somebody waits for each, and for nothing else that is done here: so what makes other
/// jobs ready, or removes them, gives way.
#[derive(Default)]
pub(super) struct Starts(watch::Sender<usize>);

/// A start in progress.
pub(super) struct Start<'a>(&'a Starts);

impl Starts {
    /// Begin one; it ends with the result.
    pub(super) fn begin(&self) -> Start<'_> {
        self.0.send_modify(|starts| *starts += 1);
        Start(self)
    }

    /// Wait until there is none, or for a while.
    pub(super) async fn give_way(&self) {
        let mut starts = self.0.subscribe();
        // The sender lives as long as this.
        let _ = tokio::time::timeout(DELAY, starts.wait_for(|starts| *starts == 0)).await;
    }
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|starts| *starts -= 1);
    }
}

/// The turn of a launch among others, which it loses if the daemon takes long.
pub(super) struct Turn<'a> {
    held: Option<SemaphorePermit<'a>>,
    patience: Duration,
}

impl<'a> Turn<'a> {
    /// Wait for the turn.
    pub(super) async fn wait(among: &'a Semaphore) -> Self {
        // The semaphore is never closed.
        Self { held: among.acquire().await.ok(), patience: PATIENCE }
    }

    /// Wait for a call to the daemon for a job. A call that has lost the turn is dropped as soon as there is
    /// another answer, `instead` of its own.
    pub(super) async fn keep<T>(
        &mut self,
        facts: &Facts,
        id: &str,
        call: impl Future<Output = T>,
        instead: impl Future<Output = T>,
    ) -> T {
        let mut call = pin!(call);
        if let Ok(answer) = tokio::time::timeout(self.patience, &mut call).await {
            return answer;
        }
        self.held = None;
        let tell = |text: Option<&str>| {
            facts.report(Fact::Progress { id: id.to_owned(), text: text.map(str::to_owned) });
        };
        tell(Some("waiting for the runtime"));
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            other = instead => other,
        };
        tell(None);
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::{Arc, Mutex};

    use tokio::sync::oneshot;

    use super::*;
    use crate::tracker::EventSink;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Fact>>);

    impl EventSink for Heard {
        fn fact(&self, fact: Fact) {
            self.0.lock().unwrap().push(fact);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_work_waits_for_starts_but_not_for_ever() {
        let starts = Starts::default();
        starts.give_way().await;
        let (one, other) = (starts.begin(), starts.begin());
        let begun = tokio::time::Instant::now();
        starts.give_way().await;
        assert_eq!(begun.elapsed(), DELAY);
        drop(one);
        let (waiting, begun) = (starts.give_way(), tokio::time::Instant::now());
        tokio::join!(waiting, async { drop(other) });
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_launch_that_the_daemon_keeps_waiting_lets_others_go_first() {
        let (among, facts, heard) = (Semaphore::new(1), Facts::new(), Arc::new(Heard::default()));
        tokio::spawn(facts.deliver(heard.clone()).unwrap());
        let mut turn = Turn::wait(&among).await;
        assert_eq!(turn.keep(&facts, "j", async { 1 }, pending()).await, 1);
        assert_eq!(among.available_permits(), 0);
        turn.patience = Duration::ZERO;
        let (answer, question) = oneshot::channel();
        let other = async {
            let _turn = Turn::wait(&among).await;
            answer.send(2).unwrap();
        };
        let (answered, ()) = tokio::join!(turn.keep(&facts, "j", question, pending()), other);
        assert_eq!(answered, Ok(2));
        assert_eq!(turn.keep(&facts, "j", pending(), async { 3 }).await, 3);
        tokio::task::yield_now().await;
        let text = |text: Option<&str>| Fact::Progress { id: "j".into(), text: text.map(str::to_owned) };
        let told = [text(Some("waiting for the runtime")), text(None)];
        assert_eq!(*heard.0.lock().unwrap(), [told.clone(), told].concat());
    }
}
