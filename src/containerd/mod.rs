//! The tracker for containerd: every job is a container with the project's own init as PID 1.
//!
//! The daemon is the authority on processes, init's record on the end of a job. The tracker keeps no
//! state that a new process could not determine again.

mod account;
mod ahead;
mod attempt;
mod attributes;
mod bare;
mod cdi;
mod connect;
mod control;
mod cpuset;
mod devices;
mod document;
mod environment;
mod events;
mod facts;
mod finish;
mod grants;
mod group;
mod host_root;
mod image;
mod labels;
mod launch;
mod machine;
mod metrics;
mod names;
mod order;
mod platform;
mod pull;
mod remove;
mod rlimits;
mod runtime;
mod sandbox;
mod seccomp;
mod settings;
mod shim;
mod snapshot;
mod spec;
mod start;
mod status;
mod sweep;
mod unpack;
mod withdraw;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use containerd_client::services::v1::ListImagesRequest;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::model::extensions::Pull;
use crate::model::{
    Control, Error, ErrorCode, Extensions, JobInfo, JobState, JobTemplate, Machine, Queue, Result, Text,
    Version,
};
use crate::registry::Name;
use crate::runtime::Runtime;
use crate::sync::Mutex;
use crate::tracker::{
    self, Contact, EventSink, Fact, JobTracker, Monitoring, NewJob, TemplateSource, Withdrawn,
};

use attributes::ATTRIBUTES;
use connect::{Daemon, QUICK};
use control::Request;
use facts::{Facts, Word};
use finish::Exit;
use image::{Image, Images};
use pull::Pulls;
use sandbox::Sandbox;
pub use settings::{JobSettings, Settings};
use spec::Host;

/// Launches in flight for each core: a launch mostly waits for programs that the daemon starts, and with
/// more of them the rate falls again.
const LAUNCHES_PER_CORE: usize = 4;
/// Jobs being made ready for each core: few, since nothing waits for them yet.
const PREPARATIONS_PER_CORE: usize = 1;
/// Deletions in flight for each core: fewer, so that they do not keep jobs from starting, but not none,
/// or leftovers of ended jobs would pile up.
const DELETIONS_PER_CORE: usize = 1;
/// containerd's limit of the length of an id.
const MAX_ID: usize = 76;

/// Runs jobs as containers of a containerd daemon.
pub struct ContainerdTracker {
    runtime: Arc<Runtime>,
    core: Arc<Core>,
    following: AtomicBool,
}

/// The state shared by the tracker's background tasks. None of its locks is held across an await, except
/// `unpacking`, and none while another is taken.
struct Core {
    settings: Settings,
    machine: String,
    daemon: Daemon,
    images: Images,
    pulls: Pulls,
    /// Held while an image is unpacked.
    unpacking: tokio::sync::Mutex<()>,
    facts: Facts,
    launches: Semaphore,
    preparations: Semaphore,
    deletions: Semaphore,
    /// Jobs of which the kernel killed a process for lack of memory.
    memory: Mutex<HashSet<String>>,
}

impl Core {
    /// The directory of a job. The id was checked.
    fn job_dir(&self, id: &str) -> PathBuf {
        self.settings.jobs_dir.join(id)
    }

    /// The part of it that the job's init sees as well.
    fn shared_dir(&self, id: &str) -> PathBuf {
        shared(&self.job_dir(id))
    }

    /// The image of a job.
    async fn image_of(&self, wanted: &Extensions, settings: &JobSettings) -> Result<Arc<Image>> {
        if settings.is_on_host() {
            return Ok(Arc::new(host_root::image()));
        }
        let name = settings.image()?;
        let name = match settings.policy(wanted) {
            // A pulled image has its full name; another image may have the short one.
            Pull::Always => Name::parse(name)?.to_string(),
            Pull::Missing | Pull::Never => name.to_owned(),
        };
        self.images.resolve(&self.daemon, self.snapshotter(wanted), &name).await
    }

    /// The facts about this machine that the spec of a job needs.
    async fn host(&self) -> Host {
        Host::look(grants::grants(&self.daemon).await)
    }

    /// The snapshotter that makes the root file system of a job.
    fn snapshotter<'a>(&'a self, wanted: &'a Extensions) -> &'a str {
        wanted.snapshotter.as_ref().unwrap_or(&self.settings.snapshotter)
    }

    /// Refuse an image that can never be available, as far as that is known without a registry.
    async fn check_image(&self, name: &str, snapshotter: &str, policy: Pull) -> Result<()> {
        match policy {
            Pull::Never => self.images.resolve(&self.daemon, snapshotter, name).await.map(drop),
            Pull::Always => pull::check_name(name),
            Pull::Missing => match self.images.find(&self.daemon, snapshotter, name).await? {
                Some(_) => Ok(()),
                None => pull::check_name(name),
            },
        }
    }

    /// Report the end of a job, if it has ended; `reason` is the reason, unless its record has another.
    async fn report_end(&self, id: &str, exit: Option<Exit>, reason: Option<String>) {
        match finish::end(self, id, exit, reason).await {
            Ok(Some(outcome)) => self.facts.report(Fact::Ended { id: id.to_owned(), outcome }),
            Ok(None) if withdraw::is_withdrawn(&self.job_dir(id)) => {
                self.facts.report(Fact::Withdrawn { id: id.to_owned() });
            }
            // It was no job of the library, or has not run; those that wait for it look themselves.
            Ok(None) => self.facts.changed(id),
            // The connection is down; when it is up again, `Live` triggers another look.
            Err(error) => tracing::debug!(%error, id, "cannot tell how a job ended"),
        }
    }

    /// Wait until the job is in one of `states`.
    async fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState> {
        // Subscribe before looking, or a change in between would be missed.
        let mut changes = self.facts.changes();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let state = account::job_info(self, id).await?.state;
            if states.contains(&state) {
                return Ok(state);
            }
            let change = async {
                loop {
                    match changes.recv().await {
                        Ok(Some(changed)) if *changed != *id => {}
                        Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                    }
                }
            };
            match deadline {
                None => change.await,
                Some(deadline) => tokio::time::timeout_at(deadline, change)
                    .await
                    .map_err(|_| Error::new(ErrorCode::Timeout, format!("job {id} is still {state}")))?,
            }
        }
    }
}

impl ContainerdTracker {
    /// A tracker. It connects at its first use.
    pub fn new(settings: Settings, runtime: Arc<Runtime>) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let core = Core {
            machine: machine::name(),
            daemon: Daemon::new(settings.address.clone(), settings.namespace.clone()),
            settings,
            images: Images::default(),
            pulls: Pulls::new(),
            unpacking: tokio::sync::Mutex::default(),
            facts: Facts::new(),
            launches: Semaphore::new(cores * LAUNCHES_PER_CORE),
            preparations: Semaphore::new(cores * PREPARATIONS_PER_CORE),
            deletions: Semaphore::new(cores * DELETIONS_PER_CORE),
            memory: Mutex::default(),
        };
        Arc::new(Self { runtime, core: Arc::new(core), following: AtomicBool::new(false) })
    }

    /// Run something that needs the core to its end.
    fn run<T, F>(&self, work: impl FnOnce(Arc<Core>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.run(work(self.core.clone()))
    }

    /// Begin an attempt at a job. From now on it can be told to end: the request is a file in its
    /// directory.
    fn begin(&self, job: &NewJob) -> Result<()> {
        let old = attempt::begin(&self.core, job).inspect_err(|_| self.core.facts.cancel(&job.id))?;
        if let Some(old) = old {
            let core = self.core.clone();
            self.runtime.spawn(async move { remove::remove_in_background(&core, old) });
        }
        Ok(())
    }

    /// Follow the daemon's events from now on.
    fn follow(&self) {
        if !self.following.swap(true, Ordering::AcqRel) {
            self.runtime.spawn(events::follow(self.core.clone()));
        }
    }
}

/// Returns the id if containerd could have issued it; any other belongs to no job, and must not become
/// part of a path.
fn checked(id: &str) -> Result<String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let fits = id.len() <= MAX_ID && id.starts_with(|char: char| char.is_ascii_alphanumeric());
    if fits && id.chars().all(plain) { Ok(id.to_owned()) } else { Err(account::unknown_job(id)) }
}

/// The part of a job's directory that is mounted into its container. A job that runs as root can put
/// anything there; only the library can touch what is beside it.
fn shared(dir: &Path) -> PathBuf {
    dir.join("shared")
}

/// The error for a second attempt at a job at the same time.
fn under_way(id: &str) -> Error {
    Error::state(format!("job {id} is being started"))
}

impl JobTracker for ContainerdTracker {
    fn attributes(&self) -> &'static [&'static str] {
        &ATTRIBUTES
    }

    fn check_template(&self, template: &JobTemplate, settings: &tracker::Settings) -> Result<()> {
        // An image may have a command of its own; the image of the default category is not meant to be
        // run.
        let set = |text: &Option<Text>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !set(&template.remote_command) && !set(&template.job_category) {
            return Err(Error::argument("the job template has neither remoteCommand nor jobCategory"));
        }
        let wanted = template.extensions()?;
        sandbox::check_without_init(template, &wanted)?;
        bare::check(template, &wanted)?;
        wanted.cpuset.as_ref().map_or(Ok(()), cpuset::check)?;
        let settings: JobSettings = settings.read()?;
        Sandbox::read(&settings.cdi_dirs, &wanted)?;
        if settings.is_on_host() {
            return host_root::check(&wanted);
        }
        let name = settings.image()?.to_owned();
        let category = template.job_category.as_ref().filter(|category| !category.is_empty());
        let category = category.map_or_else(|| name.clone(), Text::to_string);
        self.run(|core| async move {
            snapshot::check(&core, &wanted).await?;
            let policy = settings.policy(&wanted);
            let checked = core.check_image(&name, core.snapshotter(&wanted), policy).await;
            checked.map_err(|error| error.of(format_args!("jobCategory \"{category}\"")))
        })
    }

    fn list_jobs(&self) -> Result<Vec<String>> {
        Ok(self.all_jobs()?.into_iter().map(|info| info.id).collect())
    }

    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>> {
        let is_task = |id: &String| id.strip_prefix(array).is_some_and(|rest| rest.starts_with('.'));
        Ok(self.list_jobs()?.into_iter().filter(is_task).collect())
    }

    fn add_job(&self, job: NewJob) -> Result<()> {
        let id = checked(&job.id)?;
        let Err(Word::Start(job)) = self.core.facts.tell(&id, Word::Start(Box::new(job))) else {
            return Ok(());
        };
        let ticket = self.core.facts.launch(&id).ok_or_else(|| under_way(&id))?;
        let core = self.core.clone();
        if start::was_tried(&self.core.job_dir(&id)) {
            self.runtime.spawn(async move { start::resume(&core, &job, ticket).await });
            return Ok(());
        }
        self.begin(&job)?;
        self.runtime.spawn(async move { start::launch(&core, &job, ticket).await });
        Ok(())
    }

    fn prepare_job(&self, job: NewJob) -> Result<bool> {
        let id = checked(&job.id)?;
        let (ticket, words) = self.core.facts.prepare(&id).ok_or_else(|| under_way(&id))?;
        self.begin(&job)?;
        let core = self.core.clone();
        self.runtime.spawn(async move { ahead::prepare(&core, job, ticket, words).await });
        Ok(true)
    }

    fn withdraw(&self, id: &str) -> Result<Withdrawn> {
        withdraw::withdraw(&self.core, &checked(id)?)
    }

    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)> {
        self.job_info(id).map(|info| (info.state, info.substate))
    }

    fn job_info(&self, id: &str) -> Result<JobInfo> {
        let id = checked(id)?;
        self.run(|core| async move { account::job_info(&core, &id).await })
    }

    fn recorded(&self, id: &str) -> Option<JobInfo> {
        account::recorded(&self.core, &checked(id).ok()?)
    }

    fn job_control(&self, id: &str, control: Control) -> Result<()> {
        let id = checked(id)?;
        self.run(|core| async move { control::control(&core, &id, control).await })
    }

    fn end_again(&self, id: &str, how: Control) -> Result<()> {
        let id = checked(id)?;
        self.run(|core| async move { control::end(&core, &id, how, Request::Again).await })
    }

    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState> {
        let (id, states) = (checked(id)?, states.to_owned());
        self.follow();
        self.run(|core| async move { core.wait(&id, timeout, &states).await })
    }

    fn delete_job(&self, id: &str) -> Result<()> {
        let id = checked(id)?;
        if self.core.facts.tell(&id, Word::Undo).is_err() {
            let core = self.core.clone();
            self.runtime.spawn(async move { remove::delete(&core, id).await });
        }
        Ok(())
    }

    fn list_job_categories(&self) -> Result<Vec<String>> {
        let images = self.run(|core| async move {
            let answer = core.daemon.within(QUICK)?.images().list(ListImagesRequest::default()).await;
            Ok(answer.map_err(|status| core.daemon.error(status))?.into_inner().images)
        })?;
        let images = images.into_iter().map(|image| image.name);
        Ok([host_root::CATEGORY.to_owned()].into_iter().chain(images).collect())
    }

    fn leftovers(&self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        self.run(|core| async move { sweep::traces(&core).await })?.unneeded(needed)
    }

    fn delete_leftover(&self, name: &str) -> Result<()> {
        let (core, name) = (self.core.clone(), name.to_owned());
        self.runtime.spawn(async move { sweep::delete(&core, name).await });
        Ok(())
    }

    fn contact(&self) -> Result<Contact> {
        let answer = self.run(|core| async move {
            let answer = core.daemon.within(QUICK)?.version().version(()).await;
            Ok(answer.map_err(|status| core.daemon.error(status))?.into_inner())
        })?;
        let version = Version {
            revision: Some(answer.revision).filter(|revision| !revision.is_empty()),
            address: Some(self.core.settings.address.display().to_string()),
            ..Version::parse(&answer.version)
        };
        Ok(Contact { name: "containerd".to_owned(), version })
    }

    fn job_template(&self) -> Option<&dyn TemplateSource> {
        Some(self)
    }

    fn monitoring(&self) -> Option<&dyn Monitoring> {
        Some(self)
    }

    fn subscribe(&self, sink: Arc<dyn EventSink>) {
        if let Some(delivery) = self.core.facts.deliver(sink) {
            self.runtime.spawn(delivery);
        }
        self.follow();
    }
}

impl TemplateSource for ContainerdTracker {
    fn job_template(&self, id: &str) -> Result<JobTemplate> {
        let id = checked(id)?;
        self.run(|core| async move { account::job_template(&core, &id).await })
    }
}

impl Monitoring for ContainerdTracker {
    fn all_jobs(&self) -> Result<Vec<JobInfo>> {
        self.run(|core| async move { account::all_jobs(&core).await })
    }

    fn all_queues(&self) -> Result<Vec<Queue>> {
        Ok(Vec::new())
    }

    fn all_machines(&self) -> Result<Vec<Machine>> {
        // A machine whose daemon does not answer exists, but takes no jobs.
        Ok(vec![machine::machine(self.contact().is_ok())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::extensions::JOB_TEMPLATE;

    #[test]
    fn every_attribute_that_is_listed_is_honoured() {
        for attribute in &JOB_TEMPLATE {
            assert!(ATTRIBUTES.contains(&attribute.name), "{}", attribute.name);
        }
    }

    #[test]
    fn an_id_never_leaves_its_directory() {
        for id in ["", ".", "..", "../x", "a/b", "/etc", "a\0", "-a", &"a".repeat(MAX_ID + 1)] {
            assert_eq!(checked(id).unwrap_err().code, ErrorCode::InvalidArgument, "{id}");
        }
        for id in ["01j9z", "01j9z.1000000", "Some_other-container"] {
            assert_eq!(checked(id).unwrap(), id);
        }
    }
}
