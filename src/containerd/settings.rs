//! The settings of a tracker, and those that are stored with each job.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host_root;
use crate::container::order::Patience;
use crate::model::extensions::Pull;
use crate::model::{Error, Extensions, Result};
use crate::registry;
use crate::tracker::NewJob;

/// The settings of a tracker: the location of its jobs. None of them affects how a job is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The daemon's socket.
    pub address: PathBuf,
    /// The daemon's namespace that jobs live in.
    pub namespace: String,
    /// The daemon's plugin for root file systems; `None` is that of the namespace.
    pub snapshotter: Option<String>,
    /// Directory of the jobs' directories. The same for all users of the namespace; UTF-8.
    pub jobs_dir: PathBuf,
    /// Directory of the locks of processes that pull. The same for all users of the namespace.
    pub pulls_dir: PathBuf,
    /// The init program; UTF-8. It belongs to this build, since it has to understand its orders.
    pub init: PathBuf,
}

/// The settings of a job that its template does not have: stored with it at submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSettings {
    /// The image of its category; `None` if it has no category.
    pub image: Option<String>,
    /// The daemon's plugin that runs containers, such as `io.containerd.runc.v2`; `None` is that of the namespace.
    pub runtime: Option<String>,
    /// The program that this plugin uses; `None` is the plugin's own choice.
    pub runtime_binary: Option<String>,
    /// The control group that contains the job's; `None` is one with the name of the namespace.
    #[serde(default)]
    pub cgroup_parent: Option<String>,
    /// Directories with descriptions of devices, the most important last.
    pub cdi_dirs: Vec<PathBuf>,
    /// The time from a request to end a job until it is killed.
    pub grace: Duration,
    /// The time that processes may outlive its command before they are asked to end; `None` is the
    /// grace.
    #[serde(default)]
    pub linger: Option<Duration>,
    /// The time to pull its image.
    pub pull: Pull,
    /// The access to registries.
    pub registry: registry::Settings,
}

impl JobSettings {
    pub(super) fn patience(&self) -> Patience {
        Patience { grace: self.grace, linger: self.linger }
    }

    /// The settings of a job.
    pub(super) fn of(job: &NewJob) -> Result<Self> {
        job.settings.read()
    }

    /// The name of its image.
    pub(super) fn image(&self) -> Result<&str> {
        self.image.as_deref().ok_or_else(|| {
            Error::argument("the job template has no jobCategory, and there is no default category")
        })
    }

    /// Returns whether it runs without an image, in the machine's own root file system.
    pub(super) fn is_on_host(&self) -> bool {
        self.image.as_deref() == Some(host_root::CATEGORY)
    }

    /// The time to pull its image, which the job may override.
    pub(super) fn policy(&self, wanted: &Extensions) -> Pull {
        wanted.pull.unwrap_or(self.pull)
    }
}
