//! The engine: it turns the facts of a tracker into stored states, and is the only place that does.
//!
//! Facts pass through a channel to one thread, so they are stored in the order in which they happened.
//! The process that stores the end of a job also has it cleaned up.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::kick::Kick;
use super::news::{News, gather_waiting};
use super::progress::{Doing, Link, Progress, Work, next_pause, task};
use super::requests::{Request, Requests};
use super::waits::Waits;
use crate::model::{Control, Error, ErrorCode, ImageRef, JobState, Millis, Outcome, Result};
use crate::runtime;
use crate::store::{Claim, Store, Unsettled, Word};
use crate::sync::{Condvar, Mutex};
use crate::tracker::{EventSink, Fact, JobTracker, NewJob};

/// The longest time that a call waits for the first report of a tracker.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// A tracker, and the handling of its facts.
pub(super) struct Engine {
    pub(super) tracker: Arc<dyn JobTracker>,
    /// The name of the tracker's runtime in the store.
    pub(super) target: String,
    pub(super) store: Arc<Store>,
    pub(super) waits: Arc<Waits>,
    pub(super) mine: Claim,
    pub(super) kick: Arc<Kick>,
    pub(super) changes: Arc<Changes>,
    subscribed: Once,
    news: Sender<News>,
    requests: Arc<Requests>,
    /// Work for the clean-up thread.
    pub(super) chores: Sender<Chore>,
    pub(super) progress: Mutex<Progress>,
    pub(super) changed: Condvar,
}

/// A piece of work for the clean-up thread.
pub(super) enum Chore {
    /// Remove the leftovers of an ended job.
    Clean(String),
    /// Find leftovers of attempts at jobs.
    Sweep,
}

struct Sink(Sender<News>, Arc<Waits>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        // The receiver lives as long as the process.
        let _ = self.0.send(News::Fact(Box::new(fact)));
    }

    fn is_awaited(&self) -> bool {
        self.1.is_any()
    }
}

impl Engine {
    pub(super) fn start(
        tracker: Arc<dyn JobTracker>,
        target: String,
        store: Arc<Store>,
        waits: Arc<Waits>,
        (kick, changes): (Arc<Kick>, Arc<Changes>),
        mine: Claim,
    ) -> Result<Arc<Self>> {
        let (engine, news, chores) = Self::new(tracker, target, store, waits, (kick, changes), mine);
        let (facts, cleaner) = (Arc::clone(&engine), Arc::clone(&engine));
        runtime::threads([
            ("drmaa2-facts", Box::new(move || facts.follow(&news))),
            ("drmaa2-cleanup", Box::new(move || cleaner.clean(&chores))),
        ])?;
        Ok(engine)
    }

    /// Without its threads: their input comes out of the receivers.
    pub(super) fn new(
        tracker: Arc<dyn JobTracker>,
        target: String,
        store: Arc<Store>,
        waits: Arc<Waits>,
        (kick, changes): (Arc<Kick>, Arc<Changes>),
        mine: Claim,
    ) -> (Arc<Self>, Receiver<News>, Receiver<Chore>) {
        let (news, news_receiver) = mpsc::channel();
        let (chores, chores_receiver) = mpsc::channel();
        let engine = Self {
            requests: Requests::to(Arc::clone(&tracker)),
            tracker,
            target,
            store,
            waits,
            mine,
            kick,
            changes,
            subscribed: Once::new(),
            news,
            chores,
            progress: Mutex::default(),
            changed: Condvar::new(),
        };
        (Arc::new(engine), news_receiver, chores_receiver)
    }

    pub(super) fn tracker(&self) -> &dyn JobTracker {
        &*self.tracker
    }

    /// Make the tracker report, on the first call.
    pub(super) fn subscribe(&self) {
        let sink = Sink(self.news.clone(), Arc::clone(&self.waits));
        self.subscribed.call_once(|| self.tracker.subscribe(Arc::new(sink)));
    }

    /// Let all jobs be compared with the runtime, soon.
    pub(super) fn settle_soon(&self) {
        // The receiver lives as long as the process.
        let _ = self.news.send(News::Settle);
    }

    /// Make sure that the stored state of a begun job is current. True if it may have changed.
    pub(super) fn refresh(&self, id: &str) -> Result<bool> {
        self.subscribe();
        let deadline = Instant::now() + FIRST_WORD;
        let mut progress = self.progress.lock();
        let mut waited = false;
        while matches!(progress.link, Link::Starting) {
            waited = true;
            let over;
            (progress, over) = self.changed.wait_until(progress, deadline);
            if over {
                break;
            }
        }
        let link = progress.link.clone();
        drop(progress);
        match link {
            Link::Live if self.tracker.attend() => Ok(waited),
            // Nobody has waited for its facts for a while.
            Link::Live => self.settle(id).map(|()| true),
            Link::Starting => self.settle(id).map(|()| true),
            // The job may have left its record; if not, the call fails with the reason why the state is
            // unknown.
            Link::Lost(error) => self.settle(id).map(|()| true).map_err(|_| error),
        }
    }

    /// Returns whether jobs may be started now. If not, there may be a time at which that changes by
    /// itself.
    pub(super) fn is_ready(&self) -> std::result::Result<(), Option<Instant>> {
        let progress = self.progress.lock();
        match (&progress.link, progress.pause) {
            (Link::Live, Some((until, _))) if until > Instant::now() => Err(Some(until)),
            (Link::Live, _) => Ok(()),
            _ => Err(None),
        }
    }

    /// Returns whether the runtime is out of reach.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.progress.lock().link, Link::Lost(_))
    }

    /// Returns whether the tracker can make jobs ready, as far as known.
    pub(super) fn can_prepare(&self) -> bool {
        !self.progress.lock().unready
    }

    /// The number of jobs being started, as far as they block others.
    pub(super) fn starting(&self) -> usize {
        self.progress.lock().starting()
    }

    /// The submissions of which no more jobs are to be started for the time being.
    pub(super) fn crowded(&self) -> Vec<i64> {
        self.progress.lock().crowded()
    }

    /// Wait until the work of this process that `counts` selects is over, at most until `deadline`.
    pub(super) fn drain(&self, counts: fn(Doing) -> bool, deadline: Instant) {
        let mut progress = self.progress.lock();
        // A new connection may have to take up work that other processes have left.
        let looks = |progress: &Progress| {
            matches!(progress.link, Link::Starting) && self.subscribed.is_completed()
        };
        while (progress.working.values().any(|work| counts(work.doing))
            || !progress.arrays.is_empty()
            || progress.sweeps()
            || looks(&progress))
            && !matches!(progress.link, Link::Lost(_))
        {
            let over;
            (progress, over) = self.changed.wait_until(progress, deadline);
            if over {
                tracing::warn!("jobs are still being started or cleaned up");
                return;
            }
        }
    }

    /// Do the work for a job that the store assigns to this process.
    pub(super) fn work(&self, job: &Unsettled) {
        let Some(doing) = task(job) else { return };
        if job.is_to_be_handed_over() {
            return self.hand_over(std::slice::from_ref(job));
        }
        let id = &job.id;
        if matches!(doing, Doing::Cleaning | Doing::Undoing) && self.progress.lock().rests(id) {
            return;
        }
        if doing == Doing::Cleaning {
            return self.clean_up(id);
        }
        if let Some(how) = job.terminate
            && self.progress.lock().delayed.remove(id)
        {
            // Its start may be far off.
            self.control(id.clone(), how);
        }
        if doing == Doing::Starting && job.hold && self.withdraws(id) {
            return;
        }
        if !self.take_up(job, doing) {
            return;
        }
        // Facts are stored before they end the work. So the job was without work a moment ago, and if
        // the store still assigns this work now, it is not over already.
        if !self.is_assigned(job, doing) {
            return self.done(id);
        }
        if doing == Doing::Starting && job.terminate.is_some() {
            return self.give_up(job);
        }
        if let Err(error) = self.begin(job, doing) {
            self.not_begun(id, doing, error);
        }
    }

    /// Have a fact taken as one of the tracker's.
    pub(super) fn report(&self, fact: Fact) {
        // The receiver lives as long as the process.
        let _ = self.news.send(News::Fact(Box::new(fact)));
    }

    /// Note that this work is in progress. False if other work is that it does not follow on.
    pub(super) fn take_up(&self, job: &Unsettled, doing: Doing) -> bool {
        let work = Work { doing, run: job.run, submission: job.submission };
        self.progress.lock().take_up(&job.id, work)
    }

    fn begin(&self, job: &Unsettled, doing: Doing) -> Result<()> {
        match doing {
            Doing::Preparing => {
                if !self.tracker.prepare_job(self.order(&job.id)?)? {
                    self.progress.lock().unready = true;
                    return Err(Error::new(ErrorCode::TryLater, "the runtime makes no job ready"));
                }
                Ok(())
            }
            Doing::Starting => self.tracker.add_job(self.order(&job.id)?),
            // The runtime is asked already.
            Doing::Checking | Doing::Unchecked | Doing::Ending => Ok(()),
            Doing::Undoing | Doing::Cleaning => self.tracker.delete_job(&job.id),
        }
    }

    /// End a job that was about to be started, unless a process that died has started it.
    pub(super) fn give_up(&self, job: &Unsettled) {
        let id = &job.id;
        let given_up = match self.tracker.job_info(id) {
            Ok(info) if info.state.is_started() || info.state.is_terminated() => self.adopt(job, &info),
            Err(error) if error.code != ErrorCode::InvalidArgument => Err(error),
            _ => self.ended(id, &Outcome::failed("terminated before it started")),
        };
        if let Err(error) = given_up {
            tracing::warn!(job = %id, %error, "cannot tell whether a job has started");
            self.done(id);
        }
    }

    pub(super) fn order(&self, id: &str) -> Result<NewJob> {
        self.store.order(id)?.ok_or_else(|| Error::argument(format!("job {id} does not exist")))
    }

    /// The thread of the facts. A fact that could not be stored, for instance on a full disk, is not lost: the jobs are
    /// compared with the runtime until that works, all but those that this process starts: what ends a start is kept.
    fn follow(&self, news: &Receiver<News>) {
        let mut kept: Vec<Fact> = Vec::new();
        // The time of the next comparison of the jobs, and the pause after a failure of it.
        let mut retry: Option<(Instant, Duration)> = None;
        let mut next = None;
        loop {
            let item = match (next.take(), retry) {
                (Some(item), _) => Ok(item),
                (None, Some((at, _))) => news.recv_timeout(at.saturating_duration_since(Instant::now())),
                (None, None) => news.recv().map_err(Into::into),
            };
            let done = match item {
                Ok(News::Fact(fact)) => match *fact {
                    Fact::Waits { id, how } => {
                        let reports;
                        (reports, next) = gather_waiting((id, how), news);
                        self.are_said_to_wait(&reports)
                    }
                    fact => self.take_or_keep(fact, &mut kept),
                },
                Ok(News::Settle) => self.settle_all(),
                Err(RecvTimeoutError::Timeout) => {
                    self.kick.ring();
                    self.retry(&mut kept).inspect(|()| retry = None)
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = done {
                tracing::error!(%error, "it will be looked into again");
                // Failures before that have the same reason, most likely, and do not put it off.
                if retry.is_none_or(|(at, _)| at <= Instant::now()) {
                    let pause = next_pause(retry);
                    retry = Some((Instant::now() + pause, pause));
                }
            }
        }
    }

    pub(super) fn take_or_keep(&self, fact: Fact, kept: &mut Vec<Fact>) -> Result<()> {
        let ends_start = match &fact {
            Fact::Started { .. } => true,
            Fact::Ended { id, .. } => self.progress.lock().doing(id) == Some(Doing::Starting),
            _ => false,
        };
        let keep = ends_start.then(|| fact.clone());
        self.take(fact).inspect_err(|_| kept.extend(keep))
    }

    /// Take what was kept again, and compare the jobs.
    pub(super) fn retry(&self, kept: &mut Vec<Fact>) -> Result<()> {
        let again = std::mem::take(kept).into_iter();
        let taken = again.map(|fact| self.take_or_keep(fact, kept)).fold(Ok(()), Result::and);
        taken.and(self.settle_all())
    }

    pub(super) fn take(&self, fact: Fact) -> Result<()> {
        fact.id().into_iter().for_each(|id| self.shows_array_of(id));
        match fact {
            Fact::Started { id, at, image } if self.is_of_this_run(&id)? => {
                self.started(&id, at, image.as_ref())
            }
            Fact::Started { .. } => Ok(()),
            Fact::Placed { id, machine, slots } => self.store.job_placed(&id, &machine, slots),
            Fact::Waits { id, how } => self.are_said_to_wait(&[(id, how)]),
            Fact::Suspended { id, at } => {
                let news = self.store.job_suspended(&id, Word::Told { at });
                self.switched(&id, JobState::Suspended, news)
            }
            Fact::Resumed { id, at } => {
                let news = self.store.job_resumed(&id, Word::Told { at });
                self.switched(&id, JobState::Running, news)
            }
            Fact::Ended { id, outcome } => self.ended(&id, &outcome),
            Fact::NotStarted { id, error } => self.not_started(&id, &error),
            Fact::Withdrawn { id } => self.withdrawn(&id),
            Fact::NotPrepared { id, error } => self.not_prepared(&id, &error),
            Fact::Progress { id, text } => self.delayed(&id, text.as_deref()),
            Fact::Left { id } => {
                self.progress.lock().left(&id);
                Ok(())
            }
            Fact::Deleted { id } => self.deleted(&id),
            Fact::NotDeleted { id, error } => {
                self.not_deleted(&id, &error);
                Ok(())
            }
            Fact::Live => {
                // Once: a removal that failed a moment ago need not be repeated at once.
                let retried = match self.progress.lock().link {
                    Link::Starting => self.store.retry_deleting(&self.target),
                    Link::Live | Link::Lost(_) => Ok(()),
                };
                // Before the link counts as live: what is asked for then has the answers of now.
                let settled = self.settle_with(None);
                self.sweep();
                self.set_link(Link::Live);
                retried.and(settled)
            }
            // Reported at each attempt to reconnect: a job that ended meanwhile left its record.
            Fact::Lost { error } => {
                self.set_link(Link::Lost(error));
                self.settle_all()
            }
        }
    }

    /// Note the reason that delays the start of a job, or that there is none any more.
    fn delayed(&self, id: &str, text: Option<&str>) -> Result<()> {
        let delayed = &mut self.progress.lock().delayed;
        let news = if text.is_some() { delayed.insert(id.to_owned()) } else { delayed.remove(id) };
        let stored = self.store.job_progress(id, text);
        if news {
            // There is room for another launch; and the end of the job may have been requested before.
            self.kick.ring();
        }
        stored
    }

    fn set_link(&self, link: Link) {
        self.progress.lock().link = link;
        self.changed.notify_all();
        self.changes.tell();
        self.kick.ring();
    }

    /// Let the waits see what was stored. They read it from there: another process may have stored more since.
    pub(super) fn tell(&self, news: Result<bool>) -> Result<()> {
        if news? {
            self.waits.refresh(&self.store);
        }
        Ok(())
    }

    fn switched(&self, id: &str, state: JobState, news: Result<bool>) -> Result<()> {
        let stored = if matches!(news, Ok(false)) { self.store.job_state(id)? } else { None };
        match stored {
            // A late report, or one out of order because the clock was set: the runtime knows.
            Some(stored) if stored.is_started() && stored != state => self.settle(id),
            _ => self.tell(news),
        }
    }

    pub(super) fn started(&self, id: &str, at: Millis, image: Option<&ImageRef>) -> Result<()> {
        let Some(news) = self.store_started(id, at, image)? else {
            self.starts_no_more(id);
            return Ok(());
        };
        let mut progress = self.progress.lock();
        if progress.ends_work(id) {
            progress.pause = None;
        }
        drop(progress);
        self.changed.notify_all();
        // There is room for another launch.
        self.kick.ring();
        self.tell(Ok(news))?;
        if news {
            self.end_if_asked(id, self.store.job(id)?.and_then(|job| job.terminate));
        }
        Ok(())
    }

    /// End a job whose end was requested before it started.
    pub(super) fn end_if_asked(&self, id: &str, how: Option<Control>) {
        if let Some(how) = how {
            self.requests.add(Request::EndAgain(id.to_owned(), how));
        }
    }

    /// Ask the runtime for a control of a job. In another thread: facts must not wait for it.
    pub(super) fn control(&self, id: String, control: Control) {
        self.requests.add(Request::Control(id, control));
    }

    pub(super) fn ended(&self, id: &str, outcome: &Outcome) -> Result<()> {
        match self.end_of_run(id, outcome)? {
            Some(outcome) => self.ended_for_good(id, &outcome),
            None => Ok(()),
        }
    }

    fn ended_for_good(&self, id: &str, outcome: &Outcome) -> Result<()> {
        // Before the end is visible: a caller that then closes its session waits for the clean-up.
        let before = self.progress.lock().clean(id);
        let news = self.store.job_ended(id, outcome, &self.mine);
        if matches!(news, Ok(true)) {
            self.send_to_cleaner(id);
        } else if before != Some(Doing::Cleaning) && !self.cleans(id) {
            self.cleaned(id);
        }
        self.tell(news)
    }

    /// Note that this process no longer works on the job, except that it may clean up after it.
    pub(super) fn done(&self, id: &str) {
        self.progress.lock().ends_work(id);
        self.changed.notify_all();
        self.kick.ring();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.requests.close();
    }
}
