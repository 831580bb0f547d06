//! The one queue through which all facts pass to the session module, so that they come in order.
//!
//! Two sources report on the same job: the task that launches it, as soon as the daemon has answered,
//! and the stream of events. A short job's end may be in the stream before the launch has its answer; it
//! must not overtake the start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc};

use super::job_dir::Identity;
use crate::model::{Error, ImageRef, Millis};
use crate::sync::Mutex;
use crate::tracker::{EventSink, Fact, NewJob};

/// A waiter with a larger backlog looks at its job again anyway.
const CHANGES: usize = 256;

/// The collector of facts.
pub(super) struct Facts {
    queue: mpsc::UnboundedSender<Fact>,
    outlet: Mutex<Option<mpsc::UnboundedReceiver<Fact>>>,
    /// Jobs whose start was not reported yet. The lock is held while a fact is put into the queue, which
    /// never blocks.
    launching: Mutex<HashMap<String, Launch>>,
    launches: AtomicU64,
    changes: broadcast::Sender<Change>,
}

/// A launch in progress.
struct Launch {
    ticket: Ticket,
    /// The process of its task, once there is one. Events about any other are of an earlier attempt.
    pid: Option<u32>,
    /// The attempt that it has begun, or continues.
    attempt: Option<Identity>,
    /// Its end was seen already.
    ended: bool,
    /// The channel to the launch, while it waits for the word about its task.
    words: Option<mpsc::UnboundedSender<Word>>,
    /// It was withdrawn, and the process that did that waits until nothing is left of it.
    undo: bool,
}

/// The word about a job that was, or is being, made ready.
pub(super) enum Word {
    /// Start it; no other word follows.
    Start(Box<NewJob>),
    /// Remove everything of it.
    Undo,
}

/// The channel on which the maker of a prepared job receives the word about it.
pub(super) type Words = mpsc::UnboundedReceiver<Word>;

/// Distinguishes a launch from a later one of the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// The result of a launch that has its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Launched {
    /// The job runs.
    Started,
    /// Its end was seen in between.
    Ended,
    /// It was withdrawn in between.
    Undo,
}

/// A change of this job, or with `None` perhaps of any.
pub(super) type Change = Option<Arc<str>>;

/// Wait for a change of a job. A change that was missed counts as one: looking does no harm.
pub(super) async fn change_of(id: &str, changes: &mut broadcast::Receiver<Change>) {
    while matches!(changes.recv().await, Ok(Some(other)) if *other != *id) {}
}

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

    /// The task that hands the facts to the sink. `None` if that is being done.
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

    /// Receive changes from now on.
    pub(super) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Report a fact whose order does not matter.
    pub(super) fn report(&self, fact: Fact) {
        // The progress of a start changes nothing for those that wait for the job's state.
        if !matches!(fact, Fact::Progress { .. }) {
            // Without waiters there is no receiver, which is fine.
            let _ = self.changes.send(fact.id().map(Arc::from));
        }
        // The receiver is kept here or by the delivery; neither ever ends.
        let _ = self.queue.send(fact);
    }

    /// Report a change of this job that is no fact.
    pub(super) fn changed(&self, id: &str) {
        let _ = self.changes.send(Some(Arc::from(id)));
    }

    /// Begin a launch. `None` if one of the same job is in progress.
    pub(super) fn launch(&self, id: &str) -> Option<Ticket> {
        self.begin(id, None)
    }

    /// Begin a launch that makes the task and then waits for a [`Word`]. `None` if one of the same job
    /// is in progress.
    pub(super) fn prepare(&self, id: &str) -> Option<(Ticket, Words)> {
        let (sender, words) = mpsc::unbounded_channel();
        Some((self.begin(id, Some(sender))?, words))
    }

    fn begin(&self, id: &str, words: Option<mpsc::UnboundedSender<Word>>) -> Option<Ticket> {
        let ticket = Ticket(self.launches.fetch_add(1, Ordering::Relaxed));
        match self.launching.lock().entry(id.to_owned()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                let launch =
                    Launch { ticket, pid: None, attempt: None, ended: false, words, undo: false };
                Some(place.insert(launch).ticket)
            }
        }
    }

    /// Send the word about a prepared job; a job that is being started can only be undone, once it was
    /// withdrawn. Returns the word if there is no such job.
    pub(super) fn tell(&self, id: &str, word: Word) -> Result<(), Word> {
        let mut launching = self.launching.lock();
        let Some(launch) = launching.get_mut(id) else { return Err(word) };
        let words = match word {
            Word::Start(_) => launch.words.take(),
            Word::Undo => launch.words.clone(),
        };
        match words {
            Some(words) => words.send(word).map_err(|unheard| unheard.0),
            None if matches!(word, Word::Undo) => {
                launch.undo = true;
                Ok(())
            }
            None => Err(word),
        }
    }

    /// Report that nothing is left of a prepared job; `fact` is the reason. Words sent meanwhile count:
    /// for a removal the failure does not matter, and a job that was wanted afterwards is returned.
    pub(super) fn undone(&self, id: &str, words: &mut Words, mut fact: Fact) -> Option<NewJob> {
        let mut launching = self.launching.lock();
        while let Ok(word) = words.try_recv() {
            match word {
                Word::Undo => fact = Fact::Deleted { id: id.to_owned() },
                Word::Start(job) => {
                    self.report(fact);
                    return Some(*job);
                }
            }
        }
        launching.remove(id);
        self.report(fact);
        None
    }

    /// Note the attempt that the launch has begun, or continues.
    pub(super) fn begun(&self, id: &str, attempt: Option<Identity>) {
        if let Some(launch) = self.launching.lock().get_mut(id) {
            launch.attempt = attempt;
        }
    }

    /// The attempt of the launch in progress, if it has begun one.
    pub(super) fn attempt(&self, id: &str) -> Option<Identity> {
        self.launching.lock().get(id).and_then(|launch| launch.attempt)
    }

    /// Drop a launch that was not accepted after all.
    pub(super) fn cancel(&self, id: &str) {
        self.launching.lock().remove(id);
    }

    /// Note the task of a launch, or another one in place of a lost one.
    pub(super) fn created(&self, id: &str, pid: u32) {
        if let Some(launch) = self.launching.lock().get_mut(id) {
            launch.pid = Some(pid);
            launch.ended = false;
        }
    }

    /// Report the start after the answer to the launch.
    #[must_use]
    pub(super) fn launched(
        &self,
        id: &str,
        ticket: Ticket,
        at: Millis,
        image: Option<ImageRef>,
    ) -> Launched {
        let mut launching = self.launching.lock();
        match launching.get(id) {
            Some(launch) if launch.ticket == ticket && launch.undo => Launched::Undo,
            Some(launch) if launch.ticket == ticket => {
                let ended = launch.ended;
                launching.remove(id);
                self.report(Fact::Started { id: id.to_owned(), at, image });
                if ended { Launched::Ended } else { Launched::Started }
            }
            // The stream was faster.
            _ => Launched::Started,
        }
    }

    /// Report that a launch failed; `fact` is the failure, `left` the reason why something is left of
    /// it.
    pub(super) fn not_launched(&self, id: &str, fact: Fact, left: Option<Error>) {
        let mut launching = self.launching.lock();
        let undo = launching.remove(id).is_some_and(|launch| launch.undo);
        let id = id.to_owned();
        self.report(match (fact, left) {
            // A process that waits for the removal learns of it by the clean-up of the ended job.
            (fact @ Fact::Ended { .. }, _) => fact,
            (_, Some(error)) if undo => Fact::NotDeleted { id, error },
            (_, None) if undo => Fact::Deleted { id },
            (fact, _) => fact,
        });
    }

    /// Report a start from the stream of events.
    pub(super) fn started(&self, id: String, pid: u32, at: Millis, image: Option<ImageRef>) {
        let mut launching = self.launching.lock();
        // One that is undone is handled by the launch.
        if launching.get(&id).is_some_and(|launch| launch.pid != Some(pid) || launch.undo) {
            return;
        }
        launching.remove(&id);
        self.report(Fact::Started { id, at, image });
    }

    /// Note an end from the stream. True if a launch is in progress that will look into it.
    pub(super) fn ended_while_launching(&self, id: &str, pid: u32) -> bool {
        let mut launching = self.launching.lock();
        let launch = launching.get_mut(id);
        launch.map(|launch| launch.ended |= launch.pid == Some(pid)).is_some()
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
        Fact::Started { id: "j".into(), at, image: None }
    }

    #[test]
    fn a_start_that_the_stream_told_is_not_told_after_the_end() {
        let facts = Facts::new();
        let ticket = facts.launch("j").unwrap();
        assert_eq!(facts.launch("j"), None);
        facts.created("j", 10);
        facts.started("j".into(), 10, 1, None);
        assert!(!facts.ended_while_launching("j", 10));
        let end = Fact::Ended { id: "j".into(), outcome: Outcome::default() };
        facts.report(end.clone());
        assert_eq!(facts.launched("j", ticket, 2, None), Launched::Started);
        assert_eq!(queued(&facts), [started(1), end]);
    }

    #[test]
    fn an_end_before_the_start_is_left_to_the_launch() {
        let facts = Facts::new();
        let ticket = facts.launch("j").unwrap();
        facts.created("j", 10);
        assert!(facts.ended_while_launching("j", 10));
        assert_eq!(facts.launched("j", ticket, 2, None), Launched::Ended);
        assert_eq!(queued(&facts), [started(2)]);
    }

    #[test]
    fn events_of_an_earlier_attempt_are_not_those_of_the_launch() {
        let facts = Facts::new();
        let ticket = facts.launch("j").unwrap();
        facts.started("j".into(), 9, 1, None);
        assert!(facts.ended_while_launching("j", 9));
        facts.created("j", 10);
        facts.started("j".into(), 9, 1, None);
        assert_eq!(facts.launched("j", ticket, 2, None), Launched::Started);
        assert_eq!(queued(&facts), [started(2)]);
    }

    #[test]
    fn a_launch_does_not_speak_for_a_later_one() {
        let facts = Facts::new();
        let first = facts.launch("j").unwrap();
        facts.created("j", 9);
        facts.started("j".into(), 9, 1, None);
        let second = facts.launch("j").unwrap();
        assert_eq!(facts.launched("j", first, 2, None), Launched::Started);
        assert_eq!(facts.launched("j", second, 3, None), Launched::Started);
        assert_eq!(queued(&facts), [started(1), started(3)]);
    }

    fn job() -> Box<NewJob> {
        Box::new(NewJob::for_tests("j"))
    }

    fn deleted() -> Fact {
        Fact::Deleted { id: "j".into() }
    }

    #[test]
    fn a_prepared_job_is_started_once_and_its_task_may_be_replaced() {
        let facts = Facts::new();
        assert!(facts.tell("j", Word::Undo).is_err());
        let (ticket, mut words) = facts.prepare("j").unwrap();
        assert!(facts.prepare("j").is_none() && facts.launch("j").is_none());
        facts.created("j", 9);
        // Killed while it waited.
        assert!(facts.ended_while_launching("j", 9));
        assert!(facts.tell("j", Word::Start(job())).is_ok());
        assert!(facts.tell("j", Word::Start(job())).is_err());
        assert!(matches!(words.try_recv(), Ok(Word::Start(_))));
        facts.created("j", 10);
        assert_eq!(facts.launched("j", ticket, 2, None), Launched::Started);
        assert_eq!(queued(&facts), [started(2)]);
    }

    #[test]
    fn what_was_said_while_a_job_was_undone_counts() {
        let failed = || Fact::NotPrepared { id: "j".into(), error: Error::internal("x") };
        for (said, fact, expected, wanted) in [
            (&[][..], deleted(), &[deleted()][..], false),
            (&["undo"], deleted(), &[deleted()], false),
            (&["start"], deleted(), &[deleted()], true),
            (&["undo", "start"], failed(), &[deleted()], true),
            (&["undo"], failed(), &[deleted()], false),
            (&["start"], failed(), &[failed()], true),
            (&[], failed(), &[failed()], false),
        ] {
            let facts = Facts::new();
            let (_, mut words) = facts.prepare("j").unwrap();
            for word in said {
                let word = if *word == "undo" { Word::Undo } else { Word::Start(job()) };
                assert!(facts.tell("j", word).is_ok());
            }
            assert_eq!(facts.undone("j", &mut words, fact).is_some(), wanted, "{said:?}");
            assert_eq!(queued(&facts), expected, "{said:?}");
            // Only one that is wanted again is still in progress.
            assert_eq!(facts.launch("j").is_none(), wanted, "{said:?}");
        }
    }

    #[test]
    fn a_launch_that_is_undone_tells_when_nothing_is_left_of_it() {
        let not_started = || Fact::NotStarted { id: "j".into(), error: Error::internal("x") };
        let not_deleted = || Fact::NotDeleted { id: "j".into(), error: Error::internal("y") };
        let ended = || Fact::Ended { id: "j".into(), outcome: Outcome::failed("x") };
        for (fact, left, expected) in [
            (not_started(), false, deleted()),
            (Fact::Withdrawn { id: "j".into() }, false, deleted()),
            (not_started(), true, not_deleted()),
            (ended(), false, ended()),
        ] {
            let facts = Facts::new();
            let ticket = facts.launch("j").unwrap();
            facts.created("j", 10);
            assert!(facts.tell("j", Word::Undo).is_ok());
            facts.started("j".into(), 10, 1, None);
            assert_eq!(facts.launched("j", ticket, 2, None), Launched::Undo);
            facts.not_launched("j", fact, left.then(|| Error::internal("y")));
            assert_eq!(queued(&facts), [expected]);
            assert!(facts.launch("j").is_some());
        }
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
