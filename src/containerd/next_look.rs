//! Looks at something that several ask for at one time, which one look answers for all.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt;
use futures_util::future::Shared;

use crate::sync::Mutex;

/// A look; there is no answer if it has panicked.
type Look<T> = Shared<Pin<Box<dyn Future<Output = Option<T>> + Send>>>;

/// The looks of a process, by what is looked at.
///
/// One look at a time is under way. An answer is never older than its question: who asks meanwhile gets that of the next
/// look, together with all others who ask until that begins.
pub(super) struct NextLook<K, T: Clone> {
    lines: Mutex<HashMap<K, Line<T>>>,
}

struct Line<T: Clone> {
    now: Look<T>,
    /// It begins when `now` is over.
    next: Option<Look<T>>,
}

impl<K, T: Clone> Default for NextLook<K, T> {
    fn default() -> Self {
        Self { lines: Mutex::default() }
    }
}

impl<K: Eq + Hash, T: Clone + Send + Sync + 'static> NextLook<K, T> {
    /// The answer of the next look at something; `look` is used if nobody else has asked for that. In a runtime of tokio.
    pub(super) fn ask(&self, key: K, look: impl Future<Output = T> + Send + 'static) -> Look<T> {
        let look = AssertUnwindSafe(look).catch_unwind().map(std::result::Result::ok);
        let mut lines = self.lines.lock();
        // Those of which nothing is left are forgotten here.
        lines.retain(|_, line| line.advance());
        match lines.get_mut(&key) {
            Some(line) => {
                let before = line.now.clone();
                line.next.get_or_insert_with(|| driven(before.then(|_| look))).clone()
            }
            None => {
                let now = driven(look);
                lines.insert(key, Line { now: now.clone(), next: None });
                now
            }
        }
    }
}

/// A look that goes on though the one who asked first gives it up: others wait for it.
fn driven<T>(look: impl Future<Output = Option<T>> + Send + 'static) -> Look<T>
where
    T: Clone + Send + Sync + 'static,
{
    let look = look.boxed().shared();
    tokio::spawn(look.clone().map(drop));
    look
}

impl<T: Clone> Line<T> {
    /// Go on to the look that is under way. Returns whether there is one.
    fn advance(&mut self) -> bool {
        while self.now.peek().is_some() {
            match self.next.take() {
                Some(next) => self.now = next,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Looks that each wait to be let through, and their number so far.
    struct Counted {
        looks: NextLook<&'static str, usize>,
        begun: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl Counted {
        fn new() -> Self {
            Self { looks: NextLook::default(), begun: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        fn ask(&self, key: &'static str) -> Look<usize> {
            let (begun, gate) = (self.begun.clone(), self.gate.clone());
            self.looks.ask(key, async move {
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                gate.acquire().await.unwrap().forget();
                number
            })
        }
    }

    #[tokio::test]
    async fn those_who_ask_during_a_look_share_the_next_one() {
        let looks = Counted::new();
        let first = looks.ask("a");
        assert_eq!(first.clone().now_or_never(), None);
        let (second, third) = (looks.ask("a"), looks.ask("a"));
        assert_eq!(second.clone().now_or_never(), None);
        assert_eq!(looks.begun.load(Ordering::Relaxed), 1, "the next one waits");
        looks.gate.add_permits(2);
        assert_eq!(tokio::join!(third, second, first), (Some(2), Some(2), Some(1)));
    }

    #[tokio::test]
    async fn nobody_gets_the_answer_of_a_look_that_had_begun() {
        let looks = Counted::new();
        let first = looks.ask("a");
        let second = looks.ask("a");
        looks.gate.add_permits(1);
        assert_eq!(first.await, Some(1));
        assert_eq!(second.clone().now_or_never(), None, "it has begun");
        let third = looks.ask("a");
        looks.gate.add_permits(2);
        assert_eq!(tokio::join!(third, second), (Some(3), Some(2)));
        assert_eq!(looks.ask("a").now_or_never(), None);
        assert_eq!(looks.begun.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn one_that_was_given_up_keeps_nobody_and_others_go_on() {
        let looks = Counted::new();
        let mut first = looks.ask("a");
        assert_eq!((&mut first).now_or_never(), None);
        drop(first);
        let second = looks.ask("a");
        looks.gate.add_permits(3);
        assert_eq!(second.await, Some(2));
        assert_eq!(looks.ask("b").await, Some(3));
        assert_eq!(looks.looks.lines.lock().len(), 1, "what is over is forgotten");
    }

    #[tokio::test]
    async fn one_that_is_given_up_while_another_waits_comes_to_its_end() {
        let looks = Counted::new();
        let mut first = looks.ask("a");
        assert_eq!((&mut first).now_or_never(), None);
        drop(first);
        looks.gate.add_permits(1);
        while looks.gate.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(looks.begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_that_panics_has_no_answer_and_the_next_one_has() {
        let looks = NextLook::<&str, usize>::default();
        let first = looks.ask("a", async { panic!("as if") });
        let second = looks.ask("a", async { 2 });
        assert_eq!(tokio::join!(first, second), (None, Some(2)));
    }
}
