//! The runtimes that jobs run on, and the contact strings that select them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Config, Limits};
use crate::model::{Error, ErrorCode, Result};

const CONTAINERD_SCHEME: &str = "containerd://";
const SLURM_SCHEME: &str = "slurm:";

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
}

impl Slurm {
    /// The cluster that the rest of a contact string after the scheme names.
    fn parse(rest: &str) -> std::result::Result<Self, String> {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            "" => Ok(Self::default()),
            _ if path.contains('?') => Err("a cluster has no keys".to_owned()),
            _ if Path::new(path).is_absolute() => Ok(Self { conf: Some(path.into()) }),
            _ => Err(format!("the slurm.conf \"{path}\" is not an absolute path")),
        }
    }
}

impl Config {
    /// Set what jobs run on by the key `address`.
    pub(super) fn set_address(&mut self, address: PathBuf) -> Result<()> {
        let text = address.to_str();
        if let Some(rest) = text.and_then(|text| text.strip_prefix(SLURM_SCHEME)) {
            let slurm = Slurm::parse(rest).map_err(|cause| {
                let text = format!("address \"{}\": {cause}", address.display());
                Error::new(ErrorCode::SessionManagement, text).of("configuration")
            })?;
            self.slurm = Some(slurm);
            return Ok(());
        }
        // `ctr` and `nerdctl` accept the socket's path with or without a scheme.
        let path = text.and_then(|text| text.strip_prefix("unix://")).map(PathBuf::from);
        (self.containerd.address, self.slurm) = (path.unwrap_or(address), None);
        Ok(())
    }

    /// The runtime of sessions that name none.
    pub fn target(&self) -> Target {
        match &self.slurm {
            Some(slurm) => Target::Slurm { slurm: self.located(slurm.clone()) },
            None => Target::Containerd(self.containerd.clone()),
        }
    }

    /// The cluster with the slurm.conf that this process would use: a later one may have another environment.
    fn located(&self, slurm: Slurm) -> Slurm {
        let variable = || self.variable("SLURM_CONF").filter(|path| !path.is_empty()).map(PathBuf::from);
        Slurm { conf: slurm.conf.or_else(variable) }
    }

    /// The runtime that a session's contact string selects, and the limits that apply there; NULL and ""
    /// select the configured one.
    pub fn contact(&self, contact: Option<&str>) -> Result<(Target, Limits)> {
        let Some(contact) = contact.filter(|contact| !contact.is_empty()) else {
            let target = self.target();
            let limits = match target {
                Target::Containerd(_) => self.limits,
                Target::Slurm { .. } => Limits::default(),
            };
            return Ok((target, limits));
        };
        let refuse = |cause: String| Error::argument(format!("contact \"{contact}\": {cause}"));
        if let Some(rest) = contact.strip_prefix(SLURM_SCHEME) {
            let slurm = self.located(Slurm::parse(rest).map_err(refuse)?);
            return Ok((Target::Slurm { slurm }, Limits::default()));
        }
        let rest = contact.strip_prefix(CONTAINERD_SCHEME).ok_or_else(|| {
            refuse(format!("it starts neither with {CONTAINERD_SCHEME} nor with {SLURM_SCHEME}//"))
        })?;
        let (target, limits) = self.containerd_at(rest).map_err(refuse)?;
        Ok((Target::Containerd(target), limits))
    }

    /// The containerd that the rest of a contact string after the scheme names.
    fn containerd_at(&self, rest: &str) -> std::result::Result<(Containerd, Limits), String> {
        let (mut target, mut limits) = (self.containerd.clone(), self.limits);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.is_empty() {
            target.address = path.into();
        }
        if !target.address.is_absolute() {
            return Err(format!("the socket \"{path}\" is not an absolute path"));
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((_, "")) | None => return Err(format!("\"{pair}\" has no value")),
                Some(("namespace", value)) => value.clone_into(&mut target.namespace),
                Some(("snapshotter", value)) => target.snapshotter = Some(value.to_owned()),
                Some(("slots", value)) => limits.slots = Some(number(value)?),
                Some(("memory", value)) => limits.memory = Some(number(value)?),
                Some((key, _)) => return Err(format!("unknown key \"{key}\"")),
            }
        }
        Ok((target, limits))
    }
}

fn number(text: &str) -> std::result::Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("\"{text}\" is no number above 0"))
}
