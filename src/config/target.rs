//! The runtimes that jobs run on, and the contact strings that select them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Error, Result};

/// Begins a contact string that names a containerd.
pub(super) const CONTAINERD_SCHEME: &str = "containerd://";
/// Begins one that names a cluster.
pub(super) const SLURM_SCHEME: &str = "slurm:";

/// The most that jobs may use of the machine at one time; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Slots.
    pub slots: Option<i64>,
    /// Memory that jobs ask for, kilobytes.
    pub memory: Option<i64>,
    /// Slots of the jobs of one user, outside of reservations.
    pub user_slots: Option<i64>,
}

/// A runtime, and the location of jobs in it. Stored with each job, since a later process must find the job there,
/// whatever its own configuration is. It is untagged because the rows of containerd are older than the other kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// A containerd.
    Containerd(Containerd),
    /// A cluster with Slurm.
    Slurm {
        /// The cluster.
        slurm: Slurm,
    },
}

/// A containerd, and the location of jobs in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Containerd {
    /// Path of its socket.
    pub address: PathBuf,
    /// The namespace of images and containers.
    pub namespace: String,
    /// The snapshotter of root file systems; `None` is that of the namespace.
    pub snapshotter: Option<String>,
}

/// A cluster with Slurm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slurm {
    /// Path of its slurm.conf; `None` is the one that Slurm's programs find.
    pub conf: Option<PathBuf>,
}

impl Target {
    /// Its name in the store.
    pub fn name(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// The target with this name.
    pub fn named(name: &str) -> Result<Self> {
        serde_json::from_str(name)
            .map_err(|error| Error::internal(format!("runtime \"{name}\" in the store: {error}")))
    }
}

impl Containerd {
    pub(super) fn built_in() -> Self {
        Self {
            address: "/run/containerd/containerd.sock".into(),
            namespace: "default".into(),
            snapshotter: None,
        }
    }

    /// The containerd that the rest of a contact string after the scheme names, and the limits there; this one is the
    /// configured one.
    pub(super) fn contact(
        mut self,
        rest: &str,
        mut limits: Limits,
    ) -> std::result::Result<(Self, Limits), String> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.is_empty() {
            self.address = path.into();
        }
        if !self.address.is_absolute() {
            return Err(format!("the socket \"{path}\" is not an absolute path"));
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((_, "")) | None => return Err(format!("\"{pair}\" has no value")),
                Some(("namespace", value)) => value.clone_into(&mut self.namespace),
                Some(("snapshotter", value)) => self.snapshotter = Some(value.to_owned()),
                Some(("slots", value)) => limits.slots = Some(number(value)?),
                Some(("memory", value)) => limits.memory = Some(number(value)?),
                Some((key, _)) => return Err(format!("unknown key \"{key}\"")),
            }
        }
        Ok((self, limits))
    }
}

impl Slurm {
    /// The cluster that the rest of a contact string after the scheme names.
    pub(super) fn parse(rest: &str) -> std::result::Result<Self, String> {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            "" => Ok(Self::default()),
            _ if path.contains('?') => Err("a cluster has no keys".to_owned()),
            _ if Path::new(path).is_absolute() => Ok(Self { conf: Some(path.into()) }),
            _ => Err(format!("the slurm.conf \"{path}\" is not an absolute path")),
        }
    }
}

fn number(text: &str) -> std::result::Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("\"{text}\" is no number above 0"))
}
