//! From a job to a running container.
//!
//! The container comes before its snapshot: the daemon's garbage collector would remove a snapshot
//! that nothing refers to, even one second old.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use containerd_client::services::v1::container::Runtime as ContainerRuntime;
use containerd_client::services::v1::snapshots::PrepareSnapshotRequest;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, StartRequest,
};
use containerd_client::types::Mount;
use containerd_client::types::v1::Status;
use drmaa2_init::TERMINATE_FILE;
use prost_types::Any;

use super::connect::{QUICK, RUN};
use super::facts::Ticket;
use super::image::Image;
use super::spec::{FileMount, SPEC_TYPE, SpecInput, spec};
use super::{Core, account, finish, labels, order, status, unpack};
use crate::model::{Error, ErrorCode, Millis, Outcome, Result, now};
use crate::tracker::{Fact, NewJob, Stdio};

/// A file in the job's directory that holds the time of its start. It is written when there is a
/// task to start, and so tells a job whose task is not there yet from one whose task was lost.
const STARTED_FILE: &str = "started";
/// The shim's own streams; those of the job are files that init opens.
const NO_STREAM: &str = "/dev/null";

/// Why an attempt at a launch went wrong.
enum Obstacle {
    /// Something of an earlier attempt is in the way.
    Leftovers,
    /// Before anything was made.
    Refused(Error),
    /// When something may have been made.
    Broken(Error),
}

/// Make the directory of a new job; what an earlier attempt left in it goes.
pub(super) fn make_dir(core: &Core, id: &str) -> Result<()> {
    let dir = core.job_dir(id);
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    let made = builder.create(&dir).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => fs::remove_dir_all(&dir).and_then(|()| builder.create(&dir)),
        io::ErrorKind::NotFound => builder.recursive(true).create(&dir),
        _ => Err(error),
    });
    made.map_err(|error| io_error(&dir, &error))
}

/// When the job in this directory was started.
pub(super) fn started_at(dir: &Path) -> Option<Millis> {
    fs::read_to_string(dir.join(STARTED_FILE)).ok()?.parse().ok()
}

/// Start a job for which [`make_dir`] was called, and report what became of it.
pub(super) async fn launch(core: &Core, job: &NewJob, ticket: Ticket) {
    // The semaphore is never closed.
    let Ok(_turn) = core.launches.acquire().await else { return };
    let id = &job.id;
    let in_doubt = match start(core, job).await {
        Ok(()) => false,
        Err(error) if error.code == ErrorCode::DrmCommunication && has_started(core, id).await => true,
        Err(error) => return give_up(core, id, error).await,
    };
    if core.facts.launched(id, ticket, now()) || in_doubt {
        core.report_end(id, None).await;
    }
}

/// Did the daemon carry out what it could not answer? Waits until there is one to ask. A task that
/// ended without a record was killed before init ran: a daemon that goes down takes along what it
/// was about to start.
async fn has_started(core: &Core, id: &str) -> bool {
    let process = core.daemon.patiently(|| account::process(core, id)).await.ok().flatten();
    match process.map(|process| process.status()) {
        None | Some(Status::Created | Status::Unknown) => false,
        Some(Status::Running | Status::Pausing | Status::Paused) => true,
        Some(Status::Stopped) => finish::recorded(&core.job_dir(id)).is_some(),
    }
}

/// Undo what was done and report the failure.
async fn give_up(core: &Core, id: &str, error: Error) {
    let terminated = core.job_dir(id).join(TERMINATE_FILE).exists();
    let removed = core.daemon.patiently(|| finish::remove(core, id)).await;
    if let Err(error) = removed {
        tracing::warn!(%error, id, "cannot undo a launch");
    }
    let id = id.to_owned();
    let fact = if terminated {
        Fact::Ended { id: id.clone(), outcome: Outcome::failed("terminated before it started") }
    } else if status::may_pass(&error) {
        Fact::NotStarted { id: id.clone(), error }
    } else {
        Fact::Ended { id: id.clone(), outcome: Outcome::failed(error.message) }
    };
    core.facts.not_launched(&id, fact);
}

async fn start(core: &Core, job: &NewJob) -> Result<()> {
    if core.job_dir(&job.id).join(TERMINATE_FILE).exists() {
        return Err(Error::state("terminated"));
    }
    match attempt(core, job).await {
        Err(Obstacle::Leftovers) => {
            finish::remove_container(core, &job.id).await?;
            attempt(core, job).await
        }
        done => done,
    }
    .map_err(|obstacle| match obstacle {
        Obstacle::Refused(error) | Obstacle::Broken(error) => error,
        Obstacle::Leftovers => Error::internal("what an earlier attempt left cannot be removed"),
    })
}

async fn attempt(core: &Core, job: &NewJob) -> std::result::Result<(), Obstacle> {
    let dir = core.job_dir(&job.id);
    let (stdio, place) = (job.stdio.clone(), dir.clone());
    let files = blocking(move || files(&stdio, &place));
    let (image, files) = tokio::join!(core.image_of(&job.template), files);
    let (image, files) = (image.map_err(Obstacle::Refused)?, files.map_err(Obstacle::Refused)?);
    let container = container(core, job, &image, &dir, &files).map_err(Obstacle::Refused)?;

    // The order goes to stable storage while the daemon works; init reads it only once started.
    let order = order::order(job, &image.config, core.settings.grace);
    let written = blocking(move || order.write(&dir).map_err(|error| io_error(&dir, &error)));
    let (created, written) = tokio::join!(create(core, container, &image), written);
    created?;
    written.map_err(Obstacle::Broken)?;

    let mark = core.job_dir(&job.id).join(STARTED_FILE);
    fs::write(&mark, now().to_string()).map_err(|error| Obstacle::Broken(io_error(&mark, &error)))?;
    let request = StartRequest { container_id: job.id.clone(), exec_id: String::new() };
    let mut tasks = core.daemon.within(RUN).map_err(Obstacle::Broken)?.tasks();
    tasks.start(request).await.map(drop).map_err(|status| obstacle(core, status))
}

/// Make the container and its task; the task waits to be started.
async fn create(core: &Core, container: Container, image: &Image) -> std::result::Result<(), Obstacle> {
    let id = container.id.clone();
    let quick = core.daemon.within(QUICK).map_err(Obstacle::Refused)?;
    let request = CreateContainerRequest { container: Some(container) };
    quick.containers().create(request).await.map_err(|status| obstacle(core, status))?;
    let request = CreateTaskRequest {
        rootfs: prepare(core, &id, image).await?,
        container_id: id,
        stdin: NO_STREAM.to_owned(),
        stdout: NO_STREAM.to_owned(),
        stderr: NO_STREAM.to_owned(),
        ..CreateTaskRequest::default()
    };
    let mut tasks = core.daemon.within(RUN).map_err(Obstacle::Broken)?.tasks();
    tasks.create(request).await.map(drop).map_err(|status| obstacle(core, status))
}

/// The root file system of a new container; the image is unpacked first if it never was.
async fn prepare(core: &Core, id: &str, image: &Image) -> std::result::Result<Vec<Mount>, Obstacle> {
    let mut snapshots = core.daemon.within(QUICK).map_err(Obstacle::Broken)?.snapshots();
    let request = PrepareSnapshotRequest {
        snapshotter: core.settings.snapshotter.clone(),
        key: id.to_owned(),
        parent: image.chain_id().to_owned(),
        labels: HashMap::new(),
    };
    let answer = match snapshots.prepare(request.clone()).await {
        Err(status) if status::not_found(&status) => {
            // One at a time: many jobs may wait for the same image.
            let _unpacking = core.unpacking.lock().await;
            let unpacked = unpack::unpack(&core.daemon, &core.settings.snapshotter, image).await;
            unpacked.map_err(Obstacle::Broken)?;
            snapshots.prepare(request).await
        }
        answer => answer,
    };
    Ok(answer.map_err(|status| obstacle(core, status))?.into_inner().mounts)
}

fn obstacle(core: &Core, status: containerd_client::tonic::Status) -> Obstacle {
    if status::exists(&status) {
        Obstacle::Leftovers
    } else {
        Obstacle::Broken(core.daemon.error(status))
    }
}

fn container(
    core: &Core,
    job: &NewJob,
    image: &Image,
    dir: &Path,
    files: &[FileMount],
) -> Result<Container> {
    let settings = &core.settings;
    let input = SpecInput {
        id: &job.id,
        namespace: core.daemon.namespace(),
        init: &settings.init,
        job_dir: dir,
        files,
    };
    let spec = spec(&input).map_err(|path| Error::argument(format!("{path:?} is not UTF-8")))?;
    Ok(Container {
        id: job.id.clone(),
        labels: labels::encode(job),
        image: image.name.clone(),
        runtime: Some(ContainerRuntime { name: settings.runtime.clone(), options: None }),
        spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value: spec.to_string().into_bytes() }),
        snapshotter: settings.snapshotter.clone(),
        snapshot_key: job.id.clone(),
        ..Container::default()
    })
}

/// The host files to mount. The runtime's own words for one that is not there tell a user nothing.
fn files(stdio: &Stdio, dir: &Path) -> Result<Vec<FileMount>> {
    let mut files = order::files(stdio);
    for file in &mut files {
        fs::metadata(&file.source).map_err(|error| io_error(&file.source, &error))?;
        give_plain_name(file, dir)?;
    }
    Ok(files)
}

/// A spec holds UTF-8 only, a path any bytes: such a file is mounted through a link to it.
fn give_plain_name(file: &mut FileMount, dir: &Path) -> Result<()> {
    if file.source.to_str().is_some() {
        return Ok(());
    }
    let name = Path::new(file.target).file_name().map(PathBuf::from).unwrap_or_default();
    let link = dir.join(name);
    match symlink(&file.source, &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(&link, &error)),
        _ => {
            file.source = link;
            Ok(())
        }
    }
}

/// Work on files, on a thread that may be kept waiting by them.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::internal("work on the files of a job died")))
}

/// An error of the system with the file it is about.
fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::of_io(error), format!("{}: {error}", path.display()))
}
