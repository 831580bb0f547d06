//! Containers for the steps of another workload manager, which limits what is in its control groups and shows who runs
//! there. They are no jobs here: nothing of them is stored, and no slot is counted.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::job::{Settings, Submitter};
use crate::model::{Error, JobTemplate};

/// A container that is to be run. Its files are open: whatever becomes of their names, these are mounted.
#[derive(Debug)]
pub struct Step {
    /// Its attributes, and the mounts, whose files follow.
    pub template: JobTemplate,
    /// As those of a job.
    pub settings: Settings,
    /// Its user.
    pub submitter: Submitter,
    /// The init, which is the container's first process.
    pub init: OpenFile,
    /// The directory that the init shares with its client.
    pub job_dir: OpenFile,
    /// Files for the init, with their paths in the container; the last says that it is only read.
    pub files: Vec<(OpenFile, String, bool)>,
    /// The files of the mounts of the template, in this order.
    pub mounts: Vec<OpenFile>,
    /// The control group that the container's is made below, by its path from the root, without a slash at its ends.
    pub group: String,
    /// The directories of this name in the hierarchies that the workload manager does not use. They go with the container.
    pub own_groups: Vec<PathBuf>,
    /// Its limits: the name, the soft one and the hard one.
    pub rlimits: Vec<(&'static str, u64, u64)>,
    /// The text by which the client is found again, see [`Steps::tend_steps`].
    pub client: String,
    /// The client's process. The container ends with it.
    pub process: OwnedFd,
}

/// A file or directory that is open as no more than its place.
#[derive(Debug)]
pub struct OpenFile {
    /// It.
    pub file: File,
    /// Whether it is a directory. Its file system may be one that hangs, and is not asked again.
    pub is_dir: bool,
}

/// The news of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepNews {
    /// Its first process runs, under this id.
    Begun {
        /// On this machine.
        pid: u32,
    },
    /// It has ended, and nothing is left of it.
    Ended {
        /// The exit status of its first process; 128 + n for a signal.
        status: u32,
    },
    /// It could not be run, or nobody knows how it ended.
    Failed(Error),
}

/// Finds the process of a client by its text; `None` if it has ended.
pub type FindClient = Box<dyn Fn(&str) -> Option<OwnedFd> + Send + Sync>;

/// A tracker that can run such containers.
pub trait Steps {
    /// Run one. Returns at once; the news are told in order, the last of which is `Ended` or `Failed`.
    fn run_step(&self, step: Step, told: Box<dyn Fn(StepNews) + Send + Sync>);
    /// See to those that a broker has left that was killed: they go on as long as their clients live.
    fn tend_steps(&self, find: FindClient);
}
