//! The settings of a tracker, and those that each job brings along.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host_root;
use crate::model::extensions::Pull;
use crate::model::{Error, Extensions, Result};
use crate::registry;
use crate::tracker::NewJob;

/// The settings of a tracker: where its jobs are. None of them says how a job is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The daemon's socket.
    pub address: PathBuf,
    /// The daemon's namespace that jobs live in.
    pub namespace: String,
    /// The daemon's plugin that makes root file systems.
    pub snapshotter: String,
    /// Directory for the jobs' directories. The same for all who use the namespace; UTF-8.
    pub jobs_dir: PathBuf,
    /// Directory for the locks of processes that pull. The same for all that use the namespace.
    pub pulls_dir: PathBuf,
    /// The init program; UTF-8. It belongs to this build, whose orders it has to understand.
    pub init: PathBuf,
}

/// How a job is run, as far as its template does not say: stored with it where it was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSettings {
    /// The image that its category stands for; `None` if it has no category.
    pub image: Option<String>,
    /// The daemon's plugin that runs containers, such as `io.containerd.runc.v2`.
    pub runtime: String,
    /// The program that this plugin uses; `None` is the plugin's own choice.
    pub runtime_binary: Option<String>,
    /// Directories with descriptions of devices, the most important last.
    pub cdi_dirs: Vec<PathBuf>,
    /// How long a job may take to end after it was asked to, before it is killed.
    pub grace: Duration,
    /// How long processes may outlive its command before they are asked to end; `None` is as long as the grace.
    #[serde(default)]
    pub linger: Option<Duration>,
    /// When its image is pulled.
    pub pull: Pull,
    /// How registries are spoken to.
    pub registry: registry::Settings,
}

/// How much time the processes of a job get to end, as far as its template does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// See [`JobSettings::grace`].
    pub(super) grace: Duration,
    /// See [`JobSettings::linger`].
    pub(super) linger: Option<Duration>,
}

impl JobSettings {
    pub(super) fn patience(&self) -> Patience {
        Patience { grace: self.grace, linger: self.linger }
    }

    /// Those of a job.
    pub(super) fn of(job: &NewJob) -> Result<Self> {
        job.settings.read()
    }

    /// The name of its image.
    pub(super) fn image(&self) -> Result<&str> {
        self.image.as_deref().ok_or_else(|| {
            Error::argument("the job template has no jobCategory, and there is no default category")
        })
    }

    /// Does it run without one, in the machine's own root file system?
    pub(super) fn is_on_host(&self) -> bool {
        self.image.as_deref() == Some(host_root::CATEGORY)
    }

    /// When that is pulled, for a job that may say so itself.
    pub(super) fn policy(&self, wanted: &Extensions) -> Pull {
        wanted.pull.unwrap_or(self.pull)
    }
}
