//! The types of the values that are more than a text, a number or a list.

use serde::{Deserialize, Serialize};

use crate::model::Text;

/// The network of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// A loopback interface of its own.
    #[default]
    None,
    /// The host's.
    Host,
}

impl Network {
    /// Their names.
    pub const NAMES: [(&str, Self); 2] = [("none", Self::None), ("host", Self::Host)];

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, network)| *network)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
        }
    }
}

/// A host file or directory in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its path on the host.
    pub source: String,
    /// Its path in the container.
    pub destination: String,
    /// The job may only read it.
    pub read_only: bool,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Its path in the container.
    pub destination: String,
    /// Its size in bytes; `None` is the kernel's default.
    pub size: Option<i64>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A device node.
    Node {
        /// Its path on the host.
        source: Text,
        /// Its path in the container.
        destination: Text,
        /// The permitted access: some of r, w and m.
        access: String,
    },
    /// A name of the Container Device Interface, `vendor/class=name`.
    Cdi(String),
}

/// The time to pull an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pull {
    /// If containerd does not have it.
    #[default]
    Missing,
    /// For each job.
    Always,
    /// Never.
    Never,
}

/// The system calls that a job may make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// Those of the default profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// Those of the profile in this file of the host.
    Profile(Text),
}

/// A resource limit of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// Its name, as `nofile`.
    pub name: String,
    /// The limit in force; `None` is no limit.
    pub soft: Option<u64>,
    /// The value that the job may raise it to.
    pub hard: Option<u64>,
}
