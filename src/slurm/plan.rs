//! The plan of a job, or of the tasks of an array: the files in their directory for the program on the node.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use drmaa2_init::{CONTAINER_FILE, GPUS_FILE, Order, RERUNNABLE_FILE, SITE_FILE, SPEC_FILE, mark};

/// The work of a job.
pub(super) struct Plan<'a> {
    pub(super) order: &'a Order,
    pub(super) rerunnable: bool,
    pub(super) container: Option<&'a InContainer>,
}

/// The parts of the container of a job.
pub(super) struct InContainer {
    pub(super) start: Start,
    /// Its spec, or what else starts it reads, if it needs anything.
    pub(super) spec: Option<String>,
    /// The kind of the CDI devices of its GPUs, and the directories that describe them.
    pub(super) gpus: Option<(String, Vec<PathBuf>)>,
}

/// The start of a container on a node.
pub(super) enum Start {
    /// By an OCI runtime, over the root file system of the image.
    Runtime { program: String, lower: PathBuf },
    /// By a command of the site's.
    Site(Vec<String>),
}

/// Write what a job is to run.
pub(super) fn write(dir: &Path, plan: &Plan<'_>) -> io::Result<()> {
    if plan.rerunnable {
        mark(&dir.join(RERUNNABLE_FILE))?;
    }
    if let Some(container) = plan.container {
        match &container.start {
            Start::Runtime { program, lower } => {
                let lines = [lower.as_os_str().as_bytes(), program.as_bytes()];
                fs::write(dir.join(CONTAINER_FILE), lines.join(&b'\n'))?;
            }
            Start::Site(command) => {
                let words: String = command.iter().flat_map(|word| [word, "\0"]).collect();
                fs::write(dir.join(SITE_FILE), words)?;
            }
        }
        if let Some(spec) = &container.spec {
            fs::write(dir.join(SPEC_FILE), spec)?;
        }
        if let Some((kind, dirs)) = &container.gpus {
            let dirs = dirs.iter().map(|dir| dir.as_os_str().as_bytes());
            let lines: Vec<&[u8]> = [kind.as_bytes()].into_iter().chain(dirs).collect();
            fs::write(dir.join(GPUS_FILE), lines.join(&b'\n'))?;
        }
    }
    plan.order.write_unsynced(dir)
}
