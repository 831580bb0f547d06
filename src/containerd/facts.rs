//! The one queue through which all facts pass to the session room, so that they come in order.
//!
//! Two sources report on the same job: the task that launches it, as soon as the daemon has
//! answered, and the stream of events. A short job's end may be in the stream before the launch
//! has its answer; it must not overtake the start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc};

use crate::model::Millis;
use crate::tracker::{EventSink, Fact};

/// A waiter that falls so far behind looks at its job again anyway.
const CHANGES: usize = 256;

/// Where facts come together.
pub(super) struct Facts {
    queue: mpsc::UnboundedSender<Fact>,
    outlet: Mutex<Option<mpsc::UnboundedReceiver<Fact>>>,
    /// Jobs whose start was not reported yet. The lock is held while a fact is put into the queue,
    /// which never blocks.
    launching: Mutex<HashMap<String, Launch>>,
    launches: AtomicU64,
    changes: broadcast::Sender<Change>,
}

/// A launch under way.
struct Launch {
    ticket: Ticket,
    /// Was an end of the job seen already?
    ended: bool,
}

/// Tells one launch from a later one of the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// Something changed for this job, or with `None` perhaps for any.
pub(super) type Change = Option<Arc<str>>;

impl Facts {
    pub(super) fn new() -> Self {
        let (queue, outlet) = mpsc::unbounded_channel();
        Self {
            queue,
            outlet: Mutex::new(Some(outlet)),
            launching: Mutex::default(),
            launches: AtomicU64::new(0),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    /// What hands the facts to the sink. `None` if that is being done.
    pub(super) fn deliver(
        &self,
        sink: Arc<dyn EventSink>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let mut outlet = self.outlet.lock().take()?;
        Some(async move {
            while let Some(fact) = outlet.recv().await {
                sink.fact(fact);
            }
        })
    }

    /// Hear of changes from here on.
    pub(super) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// A fact that needs no care about its order.
    pub(super) fn report(&self, fact: Fact) {
        // Without waiters nobody listens, and that is fine.
        let _ = self.changes.send(subject(&fact).map(Arc::from));
        // The receiver is kept here or by the delivery; neither ever ends.
        let _ = self.queue.send(fact);
    }

    /// A launch begins. `None` if one of the same job is under way.
    pub(super) fn launch(&self, id: &str) -> Option<Ticket> {
        let ticket = Ticket(self.launches.fetch_add(1, Ordering::Relaxed));
        match self.launching.lock().entry(id.to_owned()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => Some(place.insert(Launch { ticket, ended: false }).ticket),
        }
    }

    /// The launch was not accepted after all.
    pub(super) fn cancel(&self, id: &str) {
        self.launching.lock().remove(id);
    }

    /// The launch got its answer: the job has started. True if an end was seen in between, of this
    /// attempt or of an earlier one.
    #[must_use]
    pub(super) fn launched(&self, id: &str, ticket: Ticket, at: Millis) -> bool {
        let mut launching = self.launching.lock();
        match launching.get(id) {
            Some(launch) if launch.ticket == ticket => {
                let ended = launch.ended;
                launching.remove(id);
                self.report(Fact::Started { id: id.to_owned(), at });
                ended
            }
            // The stream was faster.
            _ => false,
        }
    }

    /// The launch failed; `fact` says how.
    pub(super) fn not_launched(&self, id: &str, fact: Fact) {
        let mut launching = self.launching.lock();
        launching.remove(id);
        self.report(fact);
    }

    /// The stream of events says that the job has started.
    pub(super) fn started(&self, id: String, at: Millis) {
        let mut launching = self.launching.lock();
        launching.remove(&id);
        self.report(Fact::Started { id, at });
    }

    /// The stream says that the job ended. True if a launch is under way that will look into it.
    pub(super) fn ended_while_launching(&self, id: &str) -> bool {
        self.launching.lock().get_mut(id).map(|launch| launch.ended = true).is_some()
    }
}

/// The job that a fact is about.
fn subject(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::Started { id, .. }
        | Fact::Suspended { id }
        | Fact::Resumed { id }
        | Fact::Ended { id, .. }
        | Fact::NotStarted { id, .. }
        | Fact::Deleted { id } => Some(id),
        Fact::Live | Fact::Lost { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    fn queued(facts: &Facts) -> Vec<Fact> {
        let mut outlet = facts.outlet.lock();
        std::iter::from_fn(|| outlet.as_mut()?.try_recv().ok()).collect()
    }

    fn started(at: Millis) -> Fact {
        Fact::Started { id: "j".into(), at }
    }

    #[test]
    fn a_start_that_the_stream_told_is_not_told_after_the_end() {
        let facts = Facts::new();
        let ticket = facts.launch("j").unwrap();
        assert_eq!(facts.launch("j"), None);
        facts.started("j".into(), 1);
        assert!(!facts.ended_while_launching("j"));
        let end = Fact::Ended { id: "j".into(), outcome: Outcome::default() };
        facts.report(end.clone());
        assert!(!facts.launched("j", ticket, 2));
        assert_eq!(queued(&facts), [started(1), end]);
    }

    #[test]
    fn an_end_before_the_start_is_left_to_the_launch() {
        let facts = Facts::new();
        let ticket = facts.launch("j").unwrap();
        assert!(facts.ended_while_launching("j"));
        assert!(facts.launched("j", ticket, 2));
        assert_eq!(queued(&facts), [started(2)]);
    }

    #[test]
    fn a_launch_does_not_speak_for_a_later_one() {
        let facts = Facts::new();
        let first = facts.launch("j").unwrap();
        facts.started("j".into(), 1);
        let second = facts.launch("j").unwrap();
        assert!(!facts.launched("j", first, 2));
        assert_eq!(queued(&facts), [started(1)]);
        assert!(!facts.launched("j", second, 3));
        assert_eq!(queued(&facts), [started(3)]);
    }

    #[test]
    fn a_change_names_its_job() {
        let facts = Facts::new();
        let mut changes = facts.changes();
        facts.report(Fact::Live);
        facts.report(Fact::Deleted { id: "j".into() });
        assert_eq!(changes.try_recv().unwrap(), None);
        assert_eq!(changes.try_recv().unwrap().as_deref(), Some("j"));
    }
}
