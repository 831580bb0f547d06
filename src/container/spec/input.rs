//! The input that a spec is made from.

use std::path::{Path, PathBuf};

use super::host::Host;
use crate::model::Extensions;

/// The path at which a container sees its own control group.
pub(super) const CGROUPS: &str = "/sys/fs/cgroup";

/// The properties that differ from job to job.
#[derive(Debug)]
pub struct SpecInput<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The namespace, which contains the control group.
    pub namespace: &'a str,
    /// Host path of init.
    pub init: &'a Path,
    /// Host path of the directory that the job's init shares with the library.
    pub job_dir: &'a Path,
    /// Host files to mount.
    pub files: &'a [FileMount],
    /// The job's name files.
    pub names: &'a [FileMount],
    /// The job's other requests.
    pub extensions: &'a Extensions,
    /// Its allotted slots, if they are counted.
    pub slots: Option<i64>,
    /// Init may have to give it higher limits than its own.
    pub raises_limits: bool,
    /// The properties of this machine.
    pub host: &'a Host,
}

/// A host file or directory for init.
#[derive(Debug, PartialEq, Eq)]
pub struct FileMount {
    /// Its path on the host.
    pub source: PathBuf,
    /// Its path in the container.
    pub target: String,
    /// The job may only read it.
    pub read_only: bool,
}
