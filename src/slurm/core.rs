//! The state of a tracker that its background tasks share: what Slurm has said last, and who wants to know.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OnceCell, watch};

use super::account::{RECORD_DELAY, Said, account, accounted, foreign, has_given_up};
use super::attention::Attention;
use super::controller::Controller;
use super::job_dir::{self, Files, Looker, unknown_job};
use super::sacct::Accounting;
use super::settings::Settings;
use super::squeue::{self, Jobs};
use crate::model::{Error, ErrorCode, JobInfo, JobState, Millis, Result, now};
use crate::runtime::blocking;
use crate::sync::Mutex;
use crate::tracker::{EventSink, Fact};

/// An answer of Slurm is used again for so many times as long as it took: so questions about many jobs cost a few
/// percent of its time.
const USES: u32 = 20;
/// But not for longer than this.
const MAX_AGE: Duration = Duration::from_secs(3);

/// An answer of Slurm about all jobs.
pub(super) struct Snapshot {
    pub(super) jobs: Jobs,
    asked: Instant,
    /// The time that the answer took.
    pub(super) cost: Duration,
    /// See [`Core::requests`].
    requests: u64,
    /// The controller that has said it, once somebody wanted to know.
    controller: OnceCell<Controller>,
}

/// The time for which what is known of the controller is used again.
const CONTROLLER_AGE: Duration = Duration::from_secs(60);

/// The last report of a job.
pub(super) struct Known {
    /// The words of Slurm.
    pub(super) words: Option<String>,
    pub(super) state: JobState,
}

/// See the module.
pub(super) struct Core {
    pub(super) settings: Settings,
    last: tokio::sync::Mutex<Option<Arc<Snapshot>>>,
    /// Requests made so far: what Slurm has said before them is old.
    requests: AtomicU64,
    /// Tells the poller that there is something to see.
    pub(super) kick: Notify,
    /// The same, but not at once: a submission is stored before it is looked at.
    pub(super) new: Notify,
    pub(super) attention: Attention,
    changes: watch::Sender<()>,
    controller: Mutex<Option<(Instant, Controller)>>,
    /// Held by who asks for it.
    asks_controller: tokio::sync::Mutex<()>,
    sink: Mutex<Option<Arc<dyn EventSink>>>,
    /// The last reports of jobs.
    pub(super) known: Mutex<HashMap<String, Known>>,
    /// The times since which jobs are seen as over that have not left a record.
    over: Mutex<HashMap<String, Millis>>,
    /// Jobs whose inits are to suspend or resume them.
    switching: Mutex<HashSet<String>>,
    accounting: Accounting,
    /// Jobs that have ended, and that this process sees to it that Slurm lets go.
    pub(super) letting_go: Mutex<HashSet<String>>,
}

impl Core {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            last: tokio::sync::Mutex::default(),
            requests: AtomicU64::new(0),
            kick: Notify::new(),
            new: Notify::new(),
            attention: Attention::default(),
            changes: watch::channel(()).0,
            controller: Mutex::default(),
            asks_controller: tokio::sync::Mutex::default(),
            sink: Mutex::default(),
            known: Mutex::default(),
            over: Mutex::default(),
            switching: Mutex::default(),
            accounting: Accounting::default(),
            letting_go: Mutex::default(),
        }
    }

    pub(super) fn job_dir(&self, id: &str) -> Result<PathBuf> {
        job_dir::of(&self.settings, id)
    }

    /// Report facts to this sink from now on.
    pub(super) fn deliver(&self, sink: Arc<dyn EventSink>) {
        *self.sink.lock() = Some(sink);
    }

    /// Returns whether anybody wants to know at once what becomes of jobs.
    pub(super) fn is_watched(&self) -> bool {
        let sink = self.sink.lock().clone();
        self.attention.is_recent() || sink.is_some_and(|sink| sink.is_awaited())
    }

    /// Report a fact, and wake those that wait for a change.
    pub(super) fn report(&self, fact: Fact) {
        let sink = self.sink.lock().clone();
        if let Some(sink) = sink {
            sink.fact(fact);
        }
        self.changes.send_replace(());
    }

    /// Changes of jobs from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Note that Slurm was asked to change something, and have the poller look at once.
    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.kick.notify_one();
    }

    /// Note that something was submitted, and have the poller look soon.
    pub(super) fn submitted(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.new.notify_one();
    }

    /// A recent answer of Slurm.
    pub(super) async fn recent(&self) -> Result<Arc<Snapshot>> {
        self.snapshot(|last| last.asked.elapsed() < (last.cost * USES).min(MAX_AGE)).await
    }

    /// An answer to a question that was asked after this time.
    pub(super) async fn asked_after(&self, time: Instant) -> Result<Arc<Snapshot>> {
        self.snapshot(|last| last.asked >= time).await
    }

    async fn snapshot(&self, serves: impl Fn(&Snapshot) -> bool) -> Result<Arc<Snapshot>> {
        // Others wait for the answer to this question instead of asking theirs.
        let mut last = self.last.lock().await;
        let requests = self.requests.load(Ordering::SeqCst);
        if let Some(last) = last.as_ref().filter(|last| last.requests == requests && serves(last)) {
            return Ok(Arc::clone(last));
        }
        let asked = Instant::now();
        let (format, user) =
            (format!("--format={}", squeue::format()), nix::unistd::geteuid().to_string());
        let user = format!("--user={user}");
        let mut args = vec!["--noheader", "--all", "--states=all", &format];
        // Root's jobs are those of any user.
        if !nix::unistd::geteuid().is_root() {
            args.push(&user);
        }
        let said = self.question("squeue", &args).await;
        // The next answer may be that of another controller.
        let mut text = said.inspect_err(|_| *self.controller.lock() = None)?;
        let mixed = format!("--jobs={}", squeue::mixed(&text).join(","));
        if mixed != "--jobs=" {
            args.extend(["--array", &mixed]);
            // The last word about a job counts.
            text += &self.question("squeue", &args).await?;
        }
        let cost = asked.elapsed();
        let new = Arc::new(Snapshot {
            jobs: squeue::parse(&text),
            asked,
            cost,
            requests,
            controller: OnceCell::new(),
        });
        *last = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Ask Slurm about no job in particular. An error that nobody has seen before is one of the way to Slurm: a refusal would
    /// mean that there is no such job.
    async fn question(&self, program: &str, args: &[&str]) -> Result<String> {
        let said = self.settings.programs.ask(program, args).await;
        said.map_err(|error| match error.code {
            ErrorCode::InvalidArgument => Error { code: ErrorCode::DrmCommunication, ..error },
            _ => error,
        })
    }

    /// The account of a job.
    pub(super) async fn job_info(&self, id: &str) -> Result<JobInfo> {
        let mut infos = self.job_infos(&[id.to_owned()]).await?;
        infos.pop().map_or_else(|| Err(unknown_job(id)), |(_, info)| info)
    }

    /// The accounts of jobs, with as few questions as can be.
    pub(super) async fn job_infos(&self, ids: &[String]) -> Result<Vec<(String, Result<JobInfo>)>> {
        let looked = Instant::now();
        let files = self.files_of(ids).await?;
        let is_recorded = |files: &Result<Option<Files>>| match files {
            Ok(Some(files)) => files.final_record().is_some(),
            Ok(None) => false,
            Err(_) => true,
        };
        let said = match files.iter().all(is_recorded) {
            true => None,
            false => Some(self.recent().await),
        };
        // An older answer does not show what has begun, or was submitted by another process, since.
        let is_old = |said: &Snapshot, id: &String, files: &Result<Option<Files>>| match (
            said.jobs.get(id),
            files,
        ) {
            (Some(entry), Ok(Some(files))) => files.run.is_some() && entry.line.state == "PENDING",
            (None, Ok(Some(_))) => !self.known.lock().contains_key(id),
            (None, Ok(None)) => true,
            _ => false,
        };
        let is_any_old = matches!(&said, Some(Ok(said)) if ids
            .iter()
            .zip(&files)
            .any(|(id, files)| !is_recorded(files) && is_old(said, id, files)));
        let said = if is_any_old { Some(self.asked_after(looked).await) } else { said };
        let mut infos = Vec::with_capacity(ids.len());
        for (id, files) in ids.iter().zip(&files) {
            let info = match (files, &said) {
                (Err(error), _) => Err(error.clone()),
                (Ok(Some(files)), _) if files.final_record().is_some() => {
                    account(id, files, &Said::Nothing(""))
                }
                (Ok(Some(files)), Some(Ok(said))) => self.judge(id, files, said).await,
                // A job with our comment and without a directory is deleted, or another's.
                (Ok(None), Some(Ok(said))) => {
                    let entry = said.jobs.get(id).filter(|entry| !entry.is_ours);
                    entry.map(|entry| foreign(id, entry)).ok_or_else(|| unknown_job(id))
                }
                (Ok(_), Some(Err(error))) => Err(error.clone()),
                (Ok(_), None) => Err(unknown_job(id)),
            };
            infos.push((id.clone(), info));
        }
        if let Some(Ok(said)) = &said {
            self.consult_accounts(&files, said, &mut infos).await;
        }
        Ok(infos)
    }

    /// Look up in Slurm's accounting what has become of jobs that Slurm does not show, and whose end is guessed so far.
    async fn consult_accounts(
        &self,
        files: &[Result<Option<Files>>],
        said: &Snapshot,
        infos: &mut [(String, Result<JobInfo>)],
    ) {
        let mut guessed = Vec::new();
        for (files, (id, info)) in files.iter().zip(infos) {
            let is_guessed = match info {
                Ok(info) => info.state.is_terminated(),
                Err(error) => error.code == ErrorCode::InvalidArgument,
            };
            if let Ok(Some(files)) = files
                && let Some(submitted) = &files.submitted
                && is_guessed
                && said.jobs.get(id).is_none()
                && files.final_record().is_none()
                // One that was to end before it began has ended so.
                && (files.run.is_some() || !files.terminated)
            {
                guessed.push((submitted.number.as_str(), files, id, info));
            }
        }
        if guessed.is_empty() {
            return;
        }
        let numbers = guessed.iter().map(|(number, ..)| *number);
        let accounts = self.accounting.ask(&self.settings.programs, numbers).await;
        for (_, files, id, info) in guessed {
            if let Some(past) = accounts.get(id.as_str()) {
                *info = accounted(id, files, past, info.clone());
            }
        }
    }

    /// The account of a job with these files, of which Slurm says this.
    async fn judge(&self, id: &str, files: &Files, said: &Snapshot) -> Result<JobInfo> {
        let Some(entry) = said.jobs.get(id) else {
            let controller = match files.run.is_none() || files.rerunnable {
                // Asked after the answer: if the controller was restarted in between, that is noticed.
                true => Some(said.controller.get_or_try_init(|| self.controller()).await?),
                false => None,
            };
            let start = controller.map_or("", |controller| &controller.start);
            let info = self.unless_it_goes_on(account(id, files, &Said::Nothing(start))?).await?;
            let is_over = info.state.is_terminated();
            let forgot = |controller: &Controller| is_over && controller.has_forgotten(files, now());
            return if controller.is_some_and(forgot) { Err(unknown_job(id)) } else { Ok(info) };
        };
        let since = self.over.lock().get(id).copied();
        let info =
            account(id, files, &Said::Shown(entry, Some(since.map_or(0, |since| now() - since))))?;
        // The end that Slurm shows is not believed at once, and stays so from then on.
        if has_given_up(entry, files) {
            self.over.lock().entry(id.to_owned()).or_insert_with(now);
        } else {
            self.over.lock().remove(id);
        }
        self.unless_it_goes_on(info).await
    }

    /// This account of a job. If it is that of a lost one, then only once no run of it goes on, and its record would be
    /// visible: Slurm gives up what it cannot see, such as a job on a node whose daemon is dead.
    async fn unless_it_goes_on(&self, info: JobInfo) -> Result<JobInfo> {
        if !info.lost {
            return Ok(info);
        }
        let dir = self.job_dir(&info.id)?;
        let goes_on = blocking(move || Ok(job_dir::goes_on(&dir))).await?;
        let mut over = self.over.lock();
        let since = over.entry(info.id.clone()).or_insert_with(now);
        if goes_on {
            *since = now();
        } else if now() - *since >= RECORD_DELAY {
            return Ok(info);
        }
        let (session, allocated_machines) = (info.session, info.allocated_machines);
        Ok(JobInfo { session, allocated_machines, ..JobInfo::new(info.id, JobState::Running) })
    }

    /// Returns whether a file of a job may be awaited: the record of one that Slurm shows as over, or the answer to a
    /// request to suspend or resume it.
    pub(super) fn is_awaited(&self, id: &str) -> bool {
        self.over.lock().contains_key(id) || self.switching.lock().contains(id)
    }

    /// Await that the init of a job suspends or resumes it, or do not any more.
    pub(super) fn await_switch(&self, id: &str, awaited: bool) {
        let mut switching = self.switching.lock();
        _ = if awaited { switching.insert(id.to_owned()) } else { switching.remove(id) };
    }

    /// Forget a job of which nothing is left.
    pub(super) fn forget(&self, id: &str) {
        self.over.lock().remove(id);
        self.await_switch(id, false);
        self.known.lock().remove(id);
    }

    /// The files that are left of a job.
    pub(super) async fn files(&self, id: &str) -> Result<Option<Files>> {
        self.files_of(&[id.to_owned()]).await?.pop().unwrap_or(Ok(None))
    }

    /// The files that are left of jobs, in this order.
    pub(super) async fn files_of(&self, ids: &[String]) -> Result<Vec<Result<Option<Files>>>> {
        let (settings, ids) = (self.settings.clone(), ids.to_vec());
        blocking(move || {
            let mut looker = Looker::new(&settings);
            Ok(ids.iter().map(|id| looker.look(id)).collect())
        })
        .await
    }

    /// A controller not later than the present one: the last that is known, whatever its age. What a later one accepts
    /// may be noted under it, and counts as doubtful then.
    pub(super) async fn known_controller(&self) -> Result<Controller> {
        let known = self.controller.lock().as_ref().map(|(_, controller)| controller.clone());
        match known {
            Some(known) => Ok(known),
            None => self.recent_controller().await,
        }
    }

    /// Ask for the controller again if that was long ago, for the next submission: this one need not wait for it.
    pub(super) fn renew_controller(self: &Arc<Self>) {
        if self.recently_asked().is_none() {
            let core = Arc::clone(self);
            tokio::spawn(async move { drop(core.recent_controller().await) });
        }
    }

    /// The present controller, as it was not long ago.
    async fn recent_controller(&self) -> Result<Controller> {
        // Several that ask at the same time get the same answer.
        let _asking = self.asks_controller.lock().await;
        match self.recently_asked() {
            Some(known) => Ok(known),
            None => self.controller().await,
        }
    }

    /// The present controller.
    async fn controller(&self) -> Result<Controller> {
        let asked = Instant::now();
        let config = self.config().await?;
        let controller = Controller::of(&config);
        *self.controller.lock() = Some((asked, controller.clone()));
        Ok(controller)
    }

    fn recently_asked(&self) -> Option<Controller> {
        let known = self.controller.lock();
        let recent = known.as_ref().filter(|(asked, _)| asked.elapsed() < CONTROLLER_AGE);
        recent.map(|(_, controller)| controller.clone())
    }

    /// Slurm's configuration.
    pub(super) async fn config(&self) -> Result<HashMap<String, String>> {
        let text = self.question("scontrol", &["show", "config"]).await?;
        let pair = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }
}
