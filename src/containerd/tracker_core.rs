//! The state of a tracker that its background tasks share.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::connect::Daemon;
use super::defaults::{self, Defaults};
use super::facts::Facts;
use super::image::{Image, Images};
use super::job_dir::shared;
use super::pull::Pulls;
use super::settings::{JobSettings, Settings};
use super::{grants, host_root, machine};
use crate::container::spec::Host;
use crate::model::extensions::Pull;
use crate::model::{Extensions, Result};
use crate::registry::Name;
use crate::sync::Mutex;

/// Launches in flight for each core: a launch mostly waits for programs that the daemon starts, and with
/// more of them the rate falls again.
const LAUNCHES_PER_CORE: usize = 4;
/// Jobs being made ready for each core: few, since nothing waits for them yet.
const PREPARATIONS_PER_CORE: usize = 1;
/// Deletions in flight for each core: fewer, so that they do not keep jobs from starting, but not none,
/// or leftovers of ended jobs would pile up.
const DELETIONS_PER_CORE: usize = 1;

/// See the module. None of its locks is held across an await, except
/// `unpacking`, and none while another is taken.
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) machine: String,
    pub(super) daemon: Daemon,
    pub(super) defaults: Defaults,
    pub(super) images: Images,
    pub(super) pulls: Pulls,
    /// Held while an image is unpacked.
    pub(super) unpacking: tokio::sync::Mutex<()>,
    pub(super) facts: Facts,
    pub(super) launches: Semaphore,
    pub(super) preparations: Semaphore,
    pub(super) deletions: Semaphore,
    /// Held by those that make control groups for steps, and alone by those that remove some.
    pub(super) step_groups: tokio::sync::RwLock<()>,
    /// Jobs of which the kernel killed a process for lack of memory.
    pub(super) memory: Mutex<HashSet<String>>,
}

impl Core {
    /// The state of a tracker that connects at its first use.
    pub(super) fn new(settings: Settings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            machine: machine::name(),
            daemon: Daemon::new(settings.address.clone(), settings.namespace.clone()),
            settings,
            defaults: Defaults::default(),
            images: Images::default(),
            pulls: Pulls::new(),
            unpacking: tokio::sync::Mutex::default(),
            facts: Facts::new(),
            launches: Semaphore::new(cores * LAUNCHES_PER_CORE),
            preparations: Semaphore::new(cores * PREPARATIONS_PER_CORE),
            deletions: Semaphore::new(cores * DELETIONS_PER_CORE),
            step_groups: tokio::sync::RwLock::default(),
            memory: Mutex::default(),
        }
    }

    /// The directory of a job. The id was checked.
    pub(super) fn job_dir(&self, id: &str) -> PathBuf {
        self.settings.jobs_dir.join(id)
    }

    /// The part of it that the job's init sees as well.
    pub(super) fn shared_dir(&self, id: &str) -> PathBuf {
        shared(&self.job_dir(id))
    }

    /// The image of a job.
    pub(super) async fn image_of(
        &self,
        wanted: &Extensions,
        settings: &JobSettings,
    ) -> Result<Arc<Image>> {
        if settings.is_on_host() {
            return Ok(Arc::new(host_root::image()));
        }
        let name = settings.image()?;
        let name = match settings.policy(wanted) {
            // A pulled image has its full name; another image may have the short one.
            Pull::Always => Name::parse(name)?.to_string(),
            Pull::Missing | Pull::Never => name.to_owned(),
        };
        let snapshotter = self.snapshotter(wanted).await?;
        self.images.resolve(&self.daemon, &snapshotter, &name).await
    }

    /// The facts about this machine that the spec of a job needs.
    pub(super) async fn host(&self) -> Host {
        Host::look(grants::grants(&self.daemon).await)
    }

    /// The snapshotter that makes the root file system of a job.
    pub(super) async fn snapshotter(&self, wanted: &Extensions) -> Result<String> {
        match wanted.snapshotter.as_ref().or(self.settings.snapshotter.as_ref()) {
            Some(said) => Ok(said.clone()),
            None => {
                let named = self.defaults.of(&self.daemon).await?.snapshotter;
                Ok(named.unwrap_or_else(|| defaults::SNAPSHOTTER.to_owned()))
            }
        }
    }
}
