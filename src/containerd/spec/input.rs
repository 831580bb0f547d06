//! The input that a spec is made from.

use std::path::{Path, PathBuf};

use super::host::Host;
use crate::model::Extensions;

/// The path at which a container sees its own control group.
pub(super) const CGROUPS: &str = "/sys/fs/cgroup";

/// The properties that differ from job to job.
#[derive(Debug)]
pub(in crate::containerd) struct SpecInput<'a> {
    /// The container's id.
    pub(in crate::containerd) id: &'a str,
    /// The namespace, which contains the control group.
    pub(in crate::containerd) namespace: &'a str,
    /// Host path of init.
    pub(in crate::containerd) init: &'a Path,
    /// Host path of the directory that the job's init shares with the library.
    pub(in crate::containerd) job_dir: &'a Path,
    /// Host files to mount.
    pub(in crate::containerd) files: &'a [FileMount],
    /// The job's name files.
    pub(in crate::containerd) names: &'a [FileMount],
    /// The job's other requests.
    pub(in crate::containerd) extensions: &'a Extensions,
    /// Its allotted slots, if they are counted.
    pub(in crate::containerd) slots: Option<i64>,
    /// Init may have to give it higher limits than its own.
    pub(in crate::containerd) raises_limits: bool,
    /// The properties of this machine.
    pub(in crate::containerd) host: &'a Host,
}

/// A host file or directory for init.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::containerd) struct FileMount {
    /// Its path on the host.
    pub(in crate::containerd) source: PathBuf,
    /// Its path in the container.
    pub(in crate::containerd) target: String,
    /// Whether the job may only read it.
    pub(in crate::containerd) read_only: bool,
}
