//! Turns of launches, of which a machine can carry only so many at a time.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::facts::Facts;
use crate::tracker::Fact;

/// The time after which a launch lets others have its turn.
const PATIENCE: Duration = Duration::from_secs(10);

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
