//! From facts to stored states: the one place where what a tracker reports becomes what the API says.
//!
//! Facts of a tracker pass through a channel to one thread, so they are stored in the order in which
//! they happened. Whoever stores the end of a job also sees to its clean-up.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::waits::Waits;
use crate::model::{Control, Error, ErrorCode, JobInfo, JobState, Outcome, Result, now, signal_number};
use crate::runtime;
use crate::store::{Claim, Store, Unsettled};
use crate::tracker::{EventSink, Fact, JobTracker};

/// How long a call waits for the first word from a tracker.
const FIRST_WORD: Duration = Duration::from_secs(30);
/// How long after a failure jobs are compared again; doubled each time up to [`MAX_RETRY`].
const RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// A tracker, and the work that its facts give.
pub(super) struct Engine {
    tracker: Arc<dyn JobTracker>,
    /// The name of the tracker's runtime in the store.
    target: String,
    store: Arc<Store>,
    waits: Arc<Waits>,
    subscribed: Once,
    facts: Sender<Fact>,
    /// Jobs to clean up.
    ended: Sender<String>,
    progress: Mutex<Progress>,
    news: Condvar,
}

#[derive(Default)]
struct Progress {
    link: Link,
    /// Jobs that a `run_job` of this process is about to report, with the reason if it cannot.
    submitting: HashMap<String, Option<Error>>,
    /// Jobs being cleaned up.
    cleaning: HashSet<String>,
}

/// Do the stored states of started jobs hold?
#[derive(Default, Clone)]
enum Link {
    /// Not known yet.
    #[default]
    Starting,
    /// They do.
    Live,
    /// They may be behind.
    Lost(Error),
}

struct Sink(Sender<Fact>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        // The receiver lives as long as the process.
        let _ = self.0.send(fact);
    }
}

impl Engine {
    pub(super) fn start(
        tracker: Arc<dyn JobTracker>,
        target: String,
        store: Arc<Store>,
        waits: Arc<Waits>,
    ) -> Result<Arc<Self>> {
        let (facts, fact_receiver) = mpsc::channel();
        let (ended, ended_receiver) = mpsc::channel();
        let engine = Arc::new(Self {
            tracker,
            target,
            store,
            waits,
            subscribed: Once::new(),
            facts,
            ended,
            progress: Mutex::default(),
            news: Condvar::new(),
        });
        let thread = |name, body: Box<dyn FnOnce() + Send>| {
            runtime::thread(name, body)
                .map_err(|error| Error::new(ErrorCode::of_io(&error), format!("thread {name}: {error}")))
        };
        let facts = Arc::clone(&engine);
        thread("drmaa2-facts", Box::new(move || facts.follow(&fact_receiver)))?;
        let cleaner = Arc::clone(&engine);
        thread("drmaa2-cleanup", Box::new(move || cleaner.clean(&ended_receiver)))?;
        Ok(engine)
    }

    pub(super) fn tracker(&self) -> &dyn JobTracker {
        &*self.tracker
    }

    /// Make the tracker report, from the first call on.
    pub(super) fn subscribe(&self) {
        let sink = Sink(self.facts.clone());
        self.subscribed.call_once(|| self.tracker.subscribe(Arc::new(sink)));
    }

    /// Make sure that the stored state of an unfinished job holds. True if it may have changed.
    pub(super) fn refresh(&self, id: &str) -> Result<bool> {
        self.subscribe();
        let deadline = Instant::now() + FIRST_WORD;
        let mut progress = self.progress.lock();
        let mut waited = false;
        while matches!(progress.link, Link::Starting) {
            waited = true;
            if self.news.wait_until(&mut progress, deadline).timed_out() {
                break;
            }
        }
        let link = progress.link.clone();
        drop(progress);
        match link {
            Link::Live => Ok(waited),
            Link::Starting => self.settle(id).map(|()| true),
            // The job may have left its record; if not, the reason why nobody knows is the error.
            Link::Lost(error) => self.settle(id).map(|()| true).map_err(|_| error),
        }
    }

    /// Wait until every clean-up that this process has begun is over, at most until `deadline`.
    pub(super) fn drain(&self, deadline: Instant) {
        let mut progress = self.progress.lock();
        while !progress.cleaning.is_empty() && !matches!(progress.link, Link::Lost(_)) {
            if self.news.wait_until(&mut progress, deadline).timed_out() {
                tracing::warn!(left = progress.cleaning.len(), "ended jobs are not cleaned up yet");
                return;
            }
        }
    }

    /// Launch a new job; `wait` sees it through until it can be reported to its submitter.
    pub(super) fn submit<T>(&self, id: &str, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        self.progress.lock().submitting.insert(id.to_owned(), None);
        let result = match self.launch(id) {
            Ok(()) => wait(),
            Err(error) => self.store.withdraw_job(id).and(Err(error)),
        };
        let refusal = self.progress.lock().submitting.remove(id).flatten();
        refusal.map_or(result, Err)
    }

    /// Start a job that this process has claimed. Returns when the tracker has accepted it.
    fn launch(&self, id: &str) -> Result<()> {
        self.subscribe();
        let order = self.store.order(id)?;
        let order = order.ok_or_else(|| Error::argument(format!("job {id} does not exist")))?;
        self.tracker.add_job(order)
    }

    /// The thread of the facts. One that could not be stored, for want of disk space say, is not
    /// lost: the jobs are compared with the runtime until that works.
    fn follow(&self, facts: &Receiver<Fact>) {
        let mut retry = None;
        loop {
            let fact = match retry {
                Some(pause) => facts.recv_timeout(pause),
                None => facts.recv().map_err(Into::into),
            };
            let done = match fact {
                Ok(fact) => self.take(fact),
                Err(RecvTimeoutError::Timeout) => self.settle_all().inspect(|()| retry = None),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = done {
                tracing::error!(%error, "a fact about a job could not be stored");
                retry = Some(retry.map_or(RETRY, |pause: Duration| (pause * 2).min(MAX_RETRY)));
            }
        }
    }

    fn take(&self, fact: Fact) -> Result<()> {
        match fact {
            Fact::Started { id, at } => self.started(&id, at),
            Fact::Suspended { id } => {
                let news = self.store.job_suspended(&id);
                self.tell(&id, JobState::Suspended, news)
            }
            Fact::Resumed { id } => {
                let news = self.store.job_resumed(&id);
                self.tell(&id, JobState::Running, news)
            }
            Fact::Ended { id, outcome } => self.ended(&id, &outcome),
            Fact::NotStarted { id, error } => self.refused(&id, error),
            Fact::Deleted { id } => {
                let stored = self.store.job_deleted(&id);
                self.cleaned(&id);
                stored
            }
            Fact::Live => {
                let settled = self.settle_all();
                self.set_link(Link::Live);
                settled
            }
            // Told again at each attempt to reconnect: a job that ended meanwhile left its record.
            Fact::Lost { error } => {
                self.set_link(Link::Lost(error));
                self.settle_all()
            }
        }
    }

    fn set_link(&self, link: Link) {
        self.progress.lock().link = link;
        self.news.notify_all();
    }

    fn tell(&self, id: &str, state: JobState, news: Result<bool>) -> Result<()> {
        if news? {
            self.waits.state(id, state);
        }
        Ok(())
    }

    fn started(&self, id: &str, at: i64) -> Result<()> {
        let news = self.store.job_started(id, at)?;
        self.tell(id, JobState::Running, Ok(news))?;
        if news && self.store.job(id)?.is_some_and(|job| job.terminate) {
            self.terminate(id.to_owned());
        }
        Ok(())
    }

    /// End a job that somebody gave up before it started. Not here: facts must not wait for it.
    fn terminate(&self, id: String) {
        let tracker = Arc::clone(&self.tracker);
        let spawned = runtime::thread("drmaa2-terminate", move || {
            if let Err(error) = tracker.job_control(&id, Control::Terminate) {
                tracing::warn!(job = %id, %error, "cannot terminate a job that has just started");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to terminate a job");
        }
    }

    fn ended(&self, id: &str, outcome: &Outcome) -> Result<()> {
        // Before anybody can see the end: who then closes his session waits for the clean-up.
        let was_cleaning = !self.progress.lock().cleaning.insert(id.to_owned());
        let news = self.store.job_ended(id, outcome);
        if matches!(news, Ok(true)) {
            self.clean_up(id);
        } else if !was_cleaning {
            self.cleaned(id);
        }
        self.tell(id, outcome.state(), news)
    }

    /// A job that its submitter has not seen yet is withdrawn; any other has failed.
    fn refused(&self, id: &str, error: Error) -> Result<()> {
        let mut progress = self.progress.lock();
        let Some(refusal) = progress.submitting.get_mut(id) else {
            drop(progress);
            return self.ended(id, &Outcome::failed(error.message));
        };
        *refusal = Some(error);
        drop(progress);
        if self.store.withdraw_job(id)? {
            self.waits.gone(id);
        }
        Ok(())
    }

    fn clean_up(&self, id: &str) {
        self.progress.lock().cleaning.insert(id.to_owned());
        // The receiver lives as long as the process.
        let _ = self.ended.send(id.to_owned());
    }

    fn cleaned(&self, id: &str) {
        self.progress.lock().cleaning.remove(id);
        self.news.notify_all();
    }

    /// The clean-up thread: a result is on stable storage before its job's files go.
    fn clean(&self, ended: &Receiver<String>) {
        while let Ok(first) = ended.recv() {
            let batch: Vec<String> = std::iter::once(first).chain(ended.try_iter()).collect();
            let synced = self.store.sync();
            for id in batch {
                let deleted = synced.clone().and_then(|()| self.tracker.delete_job(&id));
                if let Err(error) = deleted {
                    // It stays marked in the store; the next process, or the next Live, tries again.
                    tracing::warn!(job = %id, %error, "cannot clean up an ended job");
                    self.cleaned(&id);
                }
            }
        }
    }

    /// Compare every job of this runtime that is not settled with what the runtime has, as far as
    /// it answers.
    fn settle_all(&self) -> Result<()> {
        let mut result = Ok(());
        for job in self.store.unsettled_jobs(&self.target)? {
            match self.settle_one(&job) {
                Err(error) if error.code != ErrorCode::DrmCommunication => {
                    result = Err(error.of(format!("job {}", job.id)));
                }
                _ => {}
            }
        }
        result
    }

    fn settle(&self, id: &str) -> Result<()> {
        let jobs = self.store.unsettled_jobs(&self.target)?;
        jobs.iter().find(|job| job.id == id).map_or(Ok(()), |job| self.settle_one(job))
    }

    fn settle_one(&self, job: &Unsettled) -> Result<()> {
        let id = &job.id;
        if job.state.is_terminated() {
            self.clean_up(id);
            return Ok(());
        }
        if job.state.is_queued() && job.claim.as_ref().is_some_and(Claim::is_alive) {
            return Ok(());
        }
        match self.tracker.job_info(id) {
            Ok(info) if info.state.is_started() || info.state.is_terminated() => self.adopt(job, &info),
            Ok(_) if job.state.is_started() => Ok(()),
            Ok(_) => self.take_over(job),
            Err(error) if error.code != ErrorCode::InvalidArgument => Err(error),
            Err(_) if job.state.is_queued() => self.take_over(job),
            Err(error) => {
                let reason = format!("runtime lost: the job ended without a trace ({error})");
                self.ended(id, &Outcome::failed(reason))
            }
        }
    }

    /// Store what the runtime says of a job.
    fn adopt(&self, job: &Unsettled, info: &JobInfo) -> Result<()> {
        let id = &job.id;
        if info.state.is_terminated() {
            return self.ended(id, &outcome(info));
        }
        if job.state.is_queued() {
            self.started(id, info.dispatched.unwrap_or_else(now))?;
        }
        let news = match info.state {
            JobState::Suspended => self.store.job_suspended(id),
            _ => self.store.job_resumed(id),
        };
        self.tell(id, info.state, news)?;
        if job.terminate && job.state.is_started() {
            self.terminate(id.clone());
        }
        Ok(())
    }

    /// Start a job whose claimer died, or never came to claim it.
    fn take_over(&self, job: &Unsettled) -> Result<()> {
        if job.terminate {
            return self.ended(&job.id, &Outcome::failed("terminated before it started"));
        }
        if !self.store.claim_job(&job.id, job.claim.as_ref(), &Claim::mine())? {
            return Ok(());
        }
        match self.launch(&job.id) {
            Ok(()) => Ok(()),
            Err(error) => self.ended(&job.id, &Outcome::failed(error.message)),
        }
    }
}

/// The end that an account tells of.
fn outcome(info: &JobInfo) -> Outcome {
    Outcome {
        exit_status: info.exit_status,
        signal: info.terminating_signal.as_deref().and_then(signal_number),
        reason: info.annotation.clone(),
        started: info.dispatched,
        finished: info.finished.unwrap_or_else(now),
        cpu_time: info.cpu_time,
        max_rss: info.max_rss,
    }
}
