//! The implementation-specific attributes of a job template: their names, and the meaning of their
//! values.
//!
//! Values are text, as they come through `drmaa2_set_instance_value`. The items of a list are separated
//! by commas, or by newlines if the value holds one. Sizes take the suffixes k, m, g and t.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

mod cpuset;
mod names;
mod parse;
#[cfg(test)]
mod tests;
mod values;

use super::{Error, JobTemplate, Millis, Result, Text, signal_number};
use parse::Refusal;
pub(crate) use parse::{MIN_MEMORY, cgroup, size};

pub use cpuset::{CpuList, CpuSet};
pub use names::{Attribute, CAPABILITIES, JOB_INFO, JOB_TEMPLATE, PREFIX, RLIMITS, Right, VERSION};
pub use values::{Device, Mount, Network, Pull, Rlimit, Seccomp, Tmpfs};

/// The values of the implementation-specific attributes of a job template.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Extensions {
    pub network: Option<Network>,
    pub mounts: Vec<Mount>,
    pub tmpfs: Vec<Tmpfs>,
    pub devices: Vec<Device>,
    /// As Slurm takes them.
    pub gres: Option<String>,
    pub user: Option<Text>,
    pub groups: Option<Vec<Text>>,
    /// Full names, `CAP_…`; or `ALL`.
    pub cap_add: Vec<String>,
    /// Likewise.
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub read_only: bool,
    /// Bytes.
    pub shm_size: Option<i64>,
    pub hostname: Option<String>,
    pub rlimits: Vec<Rlimit>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Thousandths of a processor.
    pub cpus: Option<i64>,
    pub cpuset: Option<CpuSet>,
    pub pids: Option<i64>,
    pub cgroup_parent: Option<String>,
    pub labels: Vec<(String, String)>,
    pub runtime: Option<String>,
    pub runtime_binary: Option<String>,
    pub snapshotter: Option<String>,
    /// The command is PID 1 itself.
    pub no_init: bool,
    pub stop_signal: Option<i32>,
    pub grace: Option<Millis>,
    pub linger: Option<Millis>,
    /// `None` is the site's choice.
    pub pull: Option<Pull>,
    pub entrypoint: Option<Vec<Text>>,
    pub keep: bool,
    pub seccomp: Seccomp,
}

impl JobTemplate {
    /// The values of the implementation-specific attributes, including those that the category gives;
    /// INVALID_ARGUMENT with name and value for one that is not valid.
    pub fn extensions(&self) -> Result<Extensions> {
        let mut all = Extensions::default();
        for attribute in &JOB_TEMPLATE {
            self.read_extension(attribute, &mut all)?;
        }
        all.check_places()?;
        Ok(all)
    }

    /// Returns whether an implementation-specific attribute is set to something else than its default;
    /// INVALID_ARGUMENT if its value is not valid.
    pub fn asks_for(&self, attribute: &Attribute) -> Result<bool> {
        let mut alone = Extensions::default();
        self.read_extension(attribute, &mut alone)?;
        Ok(alone != Extensions::default())
    }

    fn read_extension(&self, attribute: &Attribute, into: &mut Extensions) -> Result<()> {
        let set = |values: &BTreeMap<String, Text>| {
            values.get(attribute.name).filter(|value| !value.is_empty()).cloned()
        };
        let Some(value) = set(&self.extensions).or_else(|| set(&self.defaults)) else { return Ok(()) };
        into.set(attribute.name, &value).map_err(|cause| {
            let text = format!("job template attribute {} is \"{value}\": {cause}", attribute.name);
            Error::argument(text)
        })
    }
}

impl Extensions {
    /// Returns whether they name files of the host, or devices.
    pub fn name_files(&self) -> bool {
        matches!(self.seccomp, Seccomp::Profile(_))
            || !self.devices.is_empty()
            || !self.mounts.is_empty()
    }

    /// Refuse two mounts in the same place: one would hide the other.
    fn check_places(&self) -> Result<()> {
        let mounts = self.mounts.iter().map(|mount| ("mounts", &mount.destination));
        let tmpfs = self.tmpfs.iter().map(|tmpfs| ("tmpfs", &tmpfs.destination));
        let mut taken = HashSet::new();
        for (attribute, place) in mounts.chain(tmpfs) {
            if !taken.insert(Path::new(place).components().collect::<PathBuf>()) {
                return Err(Error::argument(format!(
                    "job template attribute {PREFIX}{attribute}: something else is mounted at \"{place}\""
                )));
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &Text) -> std::result::Result<(), Refusal> {
        match name.strip_prefix(PREFIX).unwrap_or(name) {
            "network" => {
                self.network = Some(parse::choice(value, &Network::NAMES)?);
            }
            "mounts" => self.mounts = parse::mounts(value)?,
            "tmpfs" => self.tmpfs = parse::each(value, parse::tmpfs)?,
            "devices" => self.devices = parse::each(value, parse::device)?,
            "gres" => self.gres = Some(parse::word(parse::text(value)?)?),
            "user" => self.user = Some(parse::user(value)?),
            "groups" => self.groups = Some(parse::each(value, parse::group)?),
            "cap_add" => self.cap_add = parse::each(value, parse::capability)?,
            "cap_drop" => self.cap_drop = parse::each(value, parse::capability)?,
            "privileged" => self.privileged = parse::boolean(value)?,
            "read_only" => self.read_only = parse::boolean(value)?,
            "shm_size" => self.shm_size = Some(parse::size(parse::text(value)?)?),
            "hostname" => self.hostname = Some(parse::hostname(parse::text(value)?)?),
            "rlimits" => self.rlimits = parse::each(value, parse::rlimit)?,
            "memory" => self.memory = Some(parse::memory(parse::text(value)?)?),
            "cpus" => self.cpus = Some(parse::cpus(parse::text(value)?)?),
            "cpuset" => self.cpuset = Some(parse::cpuset(parse::text(value)?)?),
            "pids" => self.pids = Some(parse::pids(parse::text(value)?)?),
            "cgroup_parent" => self.cgroup_parent = Some(parse::cgroup(parse::text(value)?)?),
            "labels" => self.labels = parse::each(value, parse::label)?,
            "runtime" => self.runtime = Some(parse::runtime(parse::text(value)?)?),
            "runtime_binary" => self.runtime_binary = Some(parse::word(parse::text(value)?)?),
            "snapshotter" => self.snapshotter = Some(parse::word(parse::text(value)?)?),
            "init" => self.no_init = !parse::boolean(value)?,
            "stop_signal" => {
                self.stop_signal = Some(signal_number(parse::text(value)?).ok_or("it is no signal")?);
            }
            "grace" => self.grace = Some(parse::seconds(value)?),
            "linger" => self.linger = Some(parse::seconds(value)?),
            "pull" => {
                let choices =
                    [("missing", Pull::Missing), ("always", Pull::Always), ("never", Pull::Never)];
                self.pull = Some(parse::choice(value, &choices)?);
            }
            "entrypoint" => self.entrypoint = Some(parse::entrypoint(value)?),
            "keep" => self.keep = parse::boolean(value)?,
            "seccomp" => self.seccomp = parse::seccomp(value)?,
            _ => return Err("there is no such attribute".to_owned()),
        }
        Ok(())
    }
}
