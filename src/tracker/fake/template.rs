//! The templates of the jobs that the fake takes.

use crate::model::{Error, JobTemplate, Result};

/// The category that the fake knows.
pub const CATEGORY: &str = "fake-image";

pub(super) const ATTRIBUTES: [&str; 9] = [
    "remoteCommand",
    "args",
    "jobCategory",
    "jobName",
    "inputPath",
    "outputPath",
    "errorPath",
    "containerd_jt_memory",
    "containerd_jt_pids",
];

pub(super) fn check(template: &JobTemplate) -> Result<()> {
    if template.remote_command.as_ref().is_none_or(|command| command.is_empty()) {
        return Err(Error::argument("remoteCommand is not set"));
    }
    match &template.job_category {
        Some(category) if *category == CATEGORY.into() => Ok(()),
        category => Err(Error::argument(format!("no category {category:?}"))),
    }
}
