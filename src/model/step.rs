//! The container of a step: what the program on a node of a cluster asks the broker of that node for.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Error, JobTemplate, Result};

/// The version of the messages to the broker. Both sides have to have the same.
pub const PROTOCOL: u32 = 1;

/// The socket of the broker, unless another is said. Packages put it there.
pub const BROKER_SOCKET: &str = "/run/drmaa2/drmaa2.sock";

/// The attributes of a template that are those of the container. All others are those of the init.
pub const STEP_ATTRIBUTES: [&str; 6] = [
    "containerd_jt_mounts",
    "containerd_jt_tmpfs",
    "containerd_jt_read_only",
    "containerd_jt_shm_size",
    "containerd_jt_hostname",
    "containerd_jt_pull",
];

/// A container, in which the init of the asking user's job is to run as this user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepContainer {
    /// The image as its category, and attributes of the container: mounts, hostname and the like.
    pub template: Box<JobTemplate>,
    /// Path of the init.
    pub init: String,
    /// Path of the directory of its run.
    pub job_dir: String,
    /// The files that it needs.
    pub files: Vec<StepFile>,
}

/// A file or directory of the node for the init in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// Its path on the node.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// It is only read.
    pub read_only: bool,
}

impl StepContainer {
    /// The messages to the broker, a line each.
    pub fn messages(&self) -> Result<String> {
        let hello = json!({ "Hello": { "protocol": PROTOCOL, "umask": 0o077 } });
        let step = serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))?;
        Ok(format!("{hello}\n{{\"Step\":{step}}}\n"))
    }
}
