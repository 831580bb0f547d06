//! The settings of a tracker, and those that are stored with each job.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Programs;
use crate::container::order::Patience;
use crate::model::{Error, Result};
use crate::tracker::NewJob;

/// The category of jobs that run in no container, in place of an image.
pub(super) const HOST: &str = "host";

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
    /// The time from a request to end a job until it is killed.
    pub grace: Duration,
    /// The time that processes may outlive its command before they are asked to end; `None` is the grace.
    pub linger: Option<Duration>,
}

impl JobSettings {
    /// The settings of a job.
    pub(super) fn of(job: &NewJob) -> Result<Self> {
        job.settings.read()
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { grace: self.grace, linger: self.linger }
    }

    /// Refuse a category in which no job can be run.
    pub(super) fn check_category(&self) -> Result<()> {
        match self.image.as_deref() {
            Some(HOST) => Ok(()),
            Some(image) => Err(Error::argument(format!(
                "jobCategory \"{image}\": on Slurm jobs run in the category \"{HOST}\" alone; images are not \
                 supported there yet"
            ))),
            None => Err(Error::argument(format!(
                "the job template has no jobCategory, and there is no default category; on Slurm it is \"{HOST}\""
            ))),
        }
    }
}
