//! The state of a tracker that its background tasks share: what Slurm has said last, and who wants to know.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OnceCell, watch};

use super::account::{Said, account, foreign};
use super::job_dir::{self, Files, unknown_job};
use super::settings::Settings;
use super::squeue::{self, Jobs};
use crate::model::{Error, JobInfo, JobState, Millis, Result, now};
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
    /// The start of the controller that has said it, once somebody wanted to know.
    controller: OnceCell<String>,
}

/// Slurm's controller.
#[derive(Clone)]
pub(super) struct Controller {
    /// Its start, in its own words.
    pub(super) start: String,
    /// The number of places of an array.
    pub(super) max_array: i64,
}

/// The time for which what is known of the controller is used again.
const CONTROLLER_AGE: Duration = Duration::from_secs(60);
/// The number of places of an array unless it is configured.
const MAX_ARRAY: i64 = 1001;

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
    changes: watch::Sender<()>,
    controller: Mutex<Option<(Instant, Controller)>>,
    sink: Mutex<Option<Arc<dyn EventSink>>>,
    /// The last reports of jobs.
    pub(super) known: Mutex<HashMap<String, Known>>,
    /// The times since which jobs are seen as over that have not left a record.
    over: Mutex<HashMap<String, Millis>>,
}

impl Core {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            last: tokio::sync::Mutex::default(),
            requests: AtomicU64::new(0),
            kick: Notify::new(),
            changes: watch::channel(()).0,
            controller: Mutex::default(),
            sink: Mutex::default(),
            known: Mutex::default(),
            over: Mutex::default(),
        }
    }

    pub(super) fn job_dir(&self, id: &str) -> Result<PathBuf> {
        job_dir::of(&self.settings, id)
    }

    /// Report facts to this sink from now on.
    pub(super) fn deliver(&self, sink: Arc<dyn EventSink>) {
        *self.sink.lock() = Some(sink);
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

    /// Note that Slurm was asked to change something.
    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.kick.notify_one();
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
        let said = self.settings.programs.ask("squeue", &args).await;
        // The next answer may be that of another controller.
        let text = said.inspect_err(|_| *self.controller.lock() = None)?;
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

    /// The account of a job.
    pub(super) async fn job_info(&self, id: &str) -> Result<JobInfo> {
        let Some(files) = self.files(id).await? else {
            // A job with our comment and without a directory is deleted, or another's.
            let said = self.recent().await?;
            let entry = said.jobs.get(id).filter(|entry| !entry.is_ours);
            return entry.map(|entry| foreign(id, entry)).ok_or_else(|| unknown_job(id));
        };
        if files.final_record().is_some() {
            return account(id, &files, &Said::Nothing(""));
        }
        let looked = Instant::now();
        let mut said = self.recent().await?;
        // An older answer does not show what has begun, or was submitted by another process, since.
        let is_old = match said.jobs.get(id) {
            Some(entry) => files.run.is_some() && entry.line.state == "PENDING",
            None => !self.known.lock().contains_key(id),
        };
        if is_old {
            said = self.asked_after(looked).await?;
        }
        self.judge(id, &files, &said).await
    }

    /// The account of a job with these files, of which Slurm says this.
    async fn judge(&self, id: &str, files: &Files, said: &Snapshot) -> Result<JobInfo> {
        let Some(entry) = said.jobs.get(id) else {
            let start = match files.run {
                // Asked after the answer: if the controller was restarted in between, that is noticed.
                None => {
                    said.controller
                        .get_or_try_init(|| async { Ok::<_, Error>(self.controller().await?.start) })
                        .await?
                }
                Some(_) => "",
            };
            return account(id, files, &Said::Nothing(start));
        };
        let since = self.over.lock().get(id).copied();
        let info =
            account(id, files, &Said::Shown(entry, Some(since.map_or(0, |since| now() - since))))?;
        // Slurm shows its end, which is not believed at once, and stays so from then on.
        let mut over = self.over.lock();
        if is_over(&entry.line.state) {
            over.entry(id.to_owned()).or_insert_with(now);
        } else {
            over.remove(id);
        }
        Ok(info)
    }

    /// Returns whether the record of a job may be awaited, which Slurm shows as over.
    pub(super) fn is_awaited(&self, id: &str) -> bool {
        self.over.lock().contains_key(id)
    }

    /// Forget a job of which nothing is left.
    pub(super) fn forget(&self, id: &str) {
        self.over.lock().remove(id);
        self.known.lock().remove(id);
    }

    /// The content of a job's directory.
    pub(super) async fn files(&self, id: &str) -> Result<Option<Files>> {
        let dir = self.job_dir(id)?;
        blocking(move || Files::look(&dir)).await
    }

    /// The present controller, as it was not long ago.
    pub(super) async fn recent_controller(&self) -> Result<Controller> {
        let known = self.controller.lock().clone().filter(|(asked, _)| asked.elapsed() < CONTROLLER_AGE);
        match known {
            Some((_, controller)) => Ok(controller),
            None => self.controller().await,
        }
    }

    /// The present controller.
    async fn controller(&self) -> Result<Controller> {
        let asked = Instant::now();
        let config = self.config().await?;
        let size = config.get("MaxArraySize").and_then(|size| size.parse().ok());
        let controller = Controller {
            start: config.get("BOOT_TIME").cloned().unwrap_or_default(),
            max_array: size.unwrap_or(MAX_ARRAY),
        };
        *self.controller.lock() = Some((asked, controller.clone()));
        Ok(controller)
    }

    /// Slurm's configuration.
    pub(super) async fn config(&self) -> Result<HashMap<String, String>> {
        let text = self.settings.programs.ask("scontrol", &["show", "config"]).await?;
        let pair = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }
}

/// Returns whether a word of Slurm stands for the end of a job.
pub(super) fn is_over(state: &str) -> bool {
    !matches!(
        state,
        "PENDING"
            | "RUNNING"
            | "SUSPENDED"
            | "STOPPED"
            | "COMPLETING"
            | "CONFIGURING"
            | "RESIZING"
            | "SIGNALING"
            | "STAGE_IN"
            | "STAGE_OUT"
            | "REQUEUED"
            | "REQUEUE_FED"
            | "REQUEUE_HOLD"
            | "SPECIAL_EXIT"
            | "REVOKED"
    )
}
