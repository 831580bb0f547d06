//! The settings of a tracker, and those that are stored with each job.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Programs;
use crate::container::order::Patience;
use crate::model::extensions::Pull;
use crate::model::{Containers, Error, JobTemplate, Result, Text};
use crate::registry;
use crate::tracker::NewJob;

/// The category of jobs that run in no container, in place of an image.
pub(super) const HOST: &str = "host";

/// The attributes that jobs in containers alone can have.
pub(super) const IN_CONTAINERS: [&str; 7] = [
    "containerd_jt_mounts",
    "containerd_jt_tmpfs",
    "containerd_jt_read_only",
    "containerd_jt_shm_size",
    "containerd_jt_hostname",
    "containerd_jt_entrypoint",
    "containerd_jt_pull",
];

/// The settings of a tracker: the way to Slurm, and the location of its jobs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The way to Slurm's programs.
    pub programs: Programs,
    /// Directory of the directories of jobs and of news. All nodes have it at the same path.
    pub dir: PathBuf,
    /// The program that runs a job on its node. Its directory contains `drmaa2-init` too, and all nodes have it.
    pub node: PathBuf,
}

impl Settings {
    /// The directory of the directories of jobs.
    pub(super) fn jobs_dir(&self) -> PathBuf {
        self.dir.join("jobs")
    }

    /// The directory of the directories of arrays.
    pub(super) fn arrays_dir(&self) -> PathBuf {
        self.dir.join(drmaa2_init::array::ARRAYS_DIR)
    }

    /// The directory of images.
    pub(super) fn images_dir(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// The directory of the names of jobs that are cleaned up, and that Slurm may still hold.
    pub(super) fn ended_dir(&self) -> PathBuf {
        self.dir.join("ended")
    }

    /// The directory in which a node tells that there is something new about a job.
    pub(super) fn news_dir(&self) -> PathBuf {
        self.dir.join(drmaa2_init::NEWS_DIR)
    }
}

/// The settings of a job that its template does not have: stored with it at submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSettings {
    /// The image of its category; `None` if it has no category.
    pub image: Option<String>,
    /// The program that makes its container.
    #[serde(default)]
    pub containers: Containers,
    /// The name or path of that program on the node; `None` is the usual one.
    #[serde(rename = "runtime_binary")]
    pub runtime: Option<String>,
    /// The kind of the CDI devices of the GPUs that it is granted; `None` gives its container none.
    #[serde(default)]
    pub gpu_devices: Option<String>,
    /// Directories with descriptions of devices on the node, the most important last.
    #[serde(default)]
    pub cdi_dirs: Vec<PathBuf>,
    /// The time from a request to end a job until it is killed.
    pub grace: Duration,
    /// The time that processes may outlive its command before they are asked to end; `None` is the grace.
    pub linger: Option<Duration>,
    /// The time to pull its image.
    pub pull: Pull,
    /// The access to registries.
    pub registry: registry::Settings,
}

impl JobSettings {
    /// The settings of a job.
    pub(super) fn of(job: &NewJob) -> Result<Self> {
        job.settings.read()
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { grace: self.grace, linger: self.linger }
    }

    /// The name of its image; `None` if it runs on the machine itself.
    pub(super) fn image(&self) -> Result<Option<&str>> {
        let image = self.image.as_deref().ok_or_else(|| {
            Error::argument("the job template has no jobCategory, and there is no default category")
        })?;
        Ok(Some(image).filter(|image| *image != HOST))
    }

    /// Refuse a category in which no job can be run, and what a job without a container cannot have.
    pub(super) fn check(&self, template: &JobTemplate) -> Result<()> {
        let Some(image) = self.image()? else {
            let asked = template.set_attributes().into_iter().find(|name| IN_CONTAINERS.contains(name));
            return match asked {
                Some(name) => {
                    let text = format!(
                        "job template attribute {name}: with jobCategory \"{HOST}\" there is no container"
                    );
                    Err(Error::argument(text))
                }
                None if template.remote_command.as_ref().is_none_or(Text::is_empty) => {
                    Err(Error::argument("the job template has no remoteCommand"))
                }
                None => Ok(()),
            };
        };
        registry::Name::parse(image)
            .map(drop)
            .map_err(|error| error.of(format_args!("jobCategory \"{image}\"")))
    }
}
