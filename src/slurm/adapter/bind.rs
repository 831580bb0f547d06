//! The files and directories of the node in a container, for programs that take no OCI spec.

use std::path::{Path, PathBuf};

use drmaa2_init::{INIT_PATH, JOB_DIR, RUN_PLACEHOLDER};

use crate::container::order;
use crate::model::{Error, Result};
use crate::tracker::NewJob;

/// A file or directory of the node in a container.
pub(super) struct Bind {
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) read_only: bool,
}

/// Those of a job: what its template wants, outer ones first; then what its init needs, which nothing is to cover.
pub(super) fn binds(job: &NewJob, job_dir: &Path, init: &Path) -> Result<Vec<Bind>> {
    let bind = |source: PathBuf, destination: &str, read_only| {
        let source = source.into_os_string().into_string();
        let source = source.map_err(|path| Error::argument(format!("{path:?} is not UTF-8")))?;
        Ok::<_, Error>(Bind { source, destination: destination.to_owned(), read_only })
    };
    let mounts = order::extensions(job)?.mounts.into_iter();
    let mut binds: Vec<Bind> = mounts
        .map(|mount| bind(mount.source.into(), &mount.destination, mount.read_only))
        .collect::<Result<_>>()?;
    binds.sort_by_key(|bind| Path::new(&bind.destination).components().count());
    binds.push(bind(init.to_owned(), INIT_PATH, true)?);
    binds.push(bind(job_dir.join(RUN_PLACEHOLDER), JOB_DIR, false)?);
    for file in order::files(&job.stdio) {
        binds.push(bind(file.source, &file.target, file.read_only)?);
    }
    Ok(binds)
}
