//! From a job to a running container.
//!
//! The container comes before its snapshot: the daemon's garbage collector would remove a snapshot
//! that nothing refers to, even one second old.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots::PrepareSnapshotRequest;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, StartRequest,
};
use containerd_client::types::Mount;
use containerd_client::types::v1::Status;
use drmaa2_init::{Order, Record, TERMINATE_FILE, is_marked};
use prost_types::Any;
use serde_json::Value;

use super::bare::Held;
use super::connect::{QUICK, RUN};
use super::facts::{Launched, Ticket};
use super::image::Image;
use super::runtime::runtime;
use super::sandbox::Sandbox;
use super::spec::{FileMount, Host, SPEC_TYPE, SpecInput, arrange, spec};
use super::{
    Core, JobSettings, account, bare, finish, labels, order, pull, rlimits, shared, status, unpack,
    withdraw,
};
use crate::model::extensions::Mount as HostMount;
use crate::model::{Error, ErrorCode, Extensions, ImageRef, Millis, Outcome, Result, now};
use crate::tracker::{Fact, NewJob, Stdio};

/// Between attempts at a launch that leftovers are in the way of, doubled each time up to
/// [`MAX_PAUSE`]; that is about as long as the making of a task may take.
const MIN_PAUSE: Duration = Duration::from_millis(20);
/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A file in the job's directory that holds the time of its start. It is written when there is a
/// task to start, and so tells a job whose task is not there yet from one whose task was lost.
const STARTED_FILE: &str = "started";
/// A file in the job's directory that holds name and digest of its image, a line each.
const IMAGE_FILE: &str = "image";
/// The shim's own streams; those of the job are files that init opens.
const NO_STREAM: &str = "/dev/null";

/// Why an attempt at a launch went wrong.
enum Obstacle {
    /// Something of an earlier attempt is in the way.
    Leftovers,
    /// Anything else.
    Failure(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Failure(error)
    }
}

/// How a job was started.
#[derive(PartialEq, Eq)]
pub(super) enum Started {
    /// The daemon said so.
    Answered,
    /// The daemon died over it; the job may have ended unseen.
    Unanswered,
}

/// Make the directory of a new job. That of an earlier attempt is moved out of the way to where the
/// result says: its container may still be there, and write to it.
pub(super) fn make_dir(core: &Core, id: &str) -> Result<Option<PathBuf>> {
    let (dir, shared) = (core.job_dir(id), core.shared_dir(id));
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    let made = builder.create(&dir).map(|()| None).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let old = finish::take_away(core, &dir)?;
            builder.create(&dir).map(|()| Some(old))
        }
        io::ErrorKind::NotFound => builder.recursive(true).create(&dir).map(|()| None),
        _ => Err(error),
    });
    let made = made.and_then(|old| {
        // Who withdraws the start at this moment may have made it.
        builder.recursive(true).create(&shared)?;
        old.iter().try_for_each(|old| withdraw::carry_over(old, &dir)).map(|()| old)
    });
    made.map_err(|error| io_error(&dir, &error))
}

/// When the job in this directory was started.
pub(super) fn started_at(dir: &Path) -> Option<Millis> {
    fs::read_to_string(dir.join(STARTED_FILE)).ok()?.parse().ok()
}

/// The image that the job in this directory runs in.
pub(super) fn image_of(dir: &Path) -> Option<ImageRef> {
    let text = fs::read_to_string(dir.join(IMAGE_FILE)).ok()?;
    let (name, digest) = text.split_once('\n')?;
    Some(ImageRef { name: name.to_owned(), digest: Some(digest.to_owned()) })
}

fn note_image(dir: &Path, image: &ImageRef) -> Result<()> {
    let file = dir.join(IMAGE_FILE);
    let digest = image.digest.as_deref().unwrap_or_default();
    fs::write(&file, format!("{}\n{digest}", image.name)).map_err(|error| io_error(&file, &error))
}

/// Start a job for which [`make_dir`] was called, and report what became of it.
pub(super) async fn launch(core: &Arc<Core>, job: &NewJob, ticket: Ticket, old: Option<PathBuf>) {
    let started = launch_ready(core, job).await;
    forget(old).await;
    conclude(core, &job.id, ticket, started).await;
}

/// Remove the directory of an earlier attempt. If that fails, who opens next tries again.
pub(super) async fn forget(old: Option<PathBuf>) {
    if let Some(old) = old
        && let Err(error) = finish::remove_dir(old).await
    {
        tracing::warn!(%error, "cannot remove what an earlier attempt left");
    }
}

/// Start a job once its image is there.
async fn launch_ready(core: &Arc<Core>, job: &NewJob) -> Result<Started> {
    // Others are started while it waits for that.
    pull::ready(core, job).await?;
    // The semaphore is never closed.
    let _turn = core.launches.acquire().await;
    start_anew(core, job).await
}

/// Start a job whose start was begun already by somebody who died: his last call may still be on its
/// way, or may have been carried out. So its task is started as it is, which can happen only once, and
/// if it was started, what became of it is reported.
pub(super) async fn resume(core: &Core, id: &str, ticket: Ticket) {
    let created = match account::process(core, id).await {
        Ok(Some(process)) => {
            core.facts.created(id, process.pid);
            process.status() == Status::Created
        }
        Ok(None) => false,
        Err(error) => return conclude(core, id, ticket, Err(error)).await,
    };
    let started = match created {
        true => start(core, id).await,
        false => Ok(Started::Unanswered),
    };
    let started = match started {
        Err(_) if has_started(core, id).await => Ok(Started::Unanswered),
        started => started,
    };
    conclude(core, id, ticket, started).await;
}

/// Make a job's task and start it.
pub(super) async fn start_anew(core: &Core, job: &NewJob) -> Result<Started> {
    make(core, job).await?;
    start(core, &job.id).await
}

/// Report what became of a start.
pub(super) async fn conclude(core: &Core, id: &str, ticket: Ticket, started: Result<Started>) {
    let started = started.and_then(|started| not_withdrawn(core, id).map(|()| started));
    let started = match started {
        Ok(started) => started,
        Err(error) => return give_up(core, id, error).await,
    };
    let image = image_of(&core.job_dir(id));
    match core.facts.launched(id, ticket, now(), image) {
        Launched::Undo => give_up(core, id, withdrawn()).await,
        Launched::Started if started == Started::Answered => {}
        Launched::Started | Launched::Ended => core.report_end(id, None).await,
    }
}

/// Undo what was done, and report how the launch failed.
async fn give_up(core: &Core, id: &str, error: Error) {
    let (terminated, withdrawn) = (terminated(core, id), not_withdrawn(core, id).is_err());
    let error = finish::starved(core, id, error).await;
    let left = undo(core, id).await.err();
    let job = id.to_owned();
    let fact = if terminated {
        Fact::Ended { id: job, outcome: Outcome::failed("terminated before it started") }
    } else if withdrawn {
        Fact::Withdrawn { id: job }
    } else if error.may_pass() {
        Fact::NotStarted { id: job, error }
    } else {
        Fact::Ended { id: job, outcome: Outcome::failed(error.message) }
    };
    core.facts.not_launched(id, fact, left);
}

/// Remove what an attempt has made. True if its start was withdrawn.
pub(super) async fn undo(core: &Core, id: &str) -> Result<bool> {
    let undone = core.daemon.patiently(|| finish::remove(core, id)).await;
    undone.inspect_err(|error| tracing::warn!(%error, id, "cannot undo a launch"))
}

/// Make a job's container and its task, which waits to be started. Gives the job's image.
pub(super) async fn make(core: &Core, job: &NewJob) -> Result<Arc<Image>> {
    let mut pause = MIN_PAUSE;
    loop {
        still_wanted(core, &job.id)?;
        match attempt(core, job).await {
            Ok(image) => return Ok(image),
            Err(Obstacle::Failure(error)) => return Err(error),
            Err(Obstacle::Leftovers) if pause > MAX_PAUSE => {
                let text = "what an earlier attempt left cannot be removed yet";
                return Err(Error::new(ErrorCode::TryLater, text));
            }
            Err(Obstacle::Leftovers) => finish::remove_container(core, &job.id).await?,
        }
        // The daemon may still be at work for somebody who died, and nobody hears when it is through.
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Was a job asked to end?
pub(super) fn terminated(core: &Core, id: &str) -> bool {
    is_marked(&core.job_dir(id).join(TERMINATE_FILE))
}

/// A job that was asked to end, or is to wait on, need not be started any more.
pub(super) fn still_wanted(core: &Core, id: &str) -> Result<()> {
    if terminated(core, id) { Err(Error::state("terminated")) } else { not_withdrawn(core, id) }
}

fn not_withdrawn(core: &Core, id: &str) -> Result<()> {
    let dir = core.job_dir(id);
    let withdrawn = withdraw::decide(&dir).map_err(|error| io_error(&dir, &error))?;
    if withdrawn { Err(self::withdrawn()) } else { Ok(()) }
}

/// The job can be started another time.
fn withdrawn() -> Error {
    Error::new(ErrorCode::TryLater, "its start was withdrawn")
}

async fn attempt(core: &Core, job: &NewJob) -> std::result::Result<Arc<Image>, Obstacle> {
    let dir = core.job_dir(&job.id);
    let (wanted, settings) = (order::extensions(job)?, JobSettings::of(job)?);
    let on_host = {
        let (stdio, place, wanted) = (job.stdio.clone(), dir.clone(), wanted.clone());
        let (submitter, cdi_dirs) = (job.submitter.clone(), settings.cdi_dirs.clone());
        blocking(move || {
            let sandbox = Sandbox::read_for(&submitter, &cdi_dirs, &wanted)?;
            let files = match wanted.no_init {
                true => Held::hold(&stdio)?,
                false => (files(&stdio, &place, &wanted.mounts)?, Held::default()),
            };
            Ok((files, sandbox))
        })
    };
    let (image, on_host, host) = tokio::join!(core.image_of(&wanted, &settings), on_host, core.host());
    // Held until the task is made: then the shim has opened them.
    let (image, ((files, _held), sandbox)) = (image?, on_host?);
    let mut order = order::order(job, &image.config, settings.grace, &host)?;
    sandbox.amend(&mut order);
    let mut spec = spec_of(core, job, &wanted, &dir, &files, &order, &host)?;
    sandbox.apply(&mut spec);
    arrange(&mut spec);
    let mut streams = [NO_STREAM; 3].map(str::to_owned);
    if wanted.no_init {
        bare::mark(&dir)?;
        bare::apply(&mut spec, &order)?;
        bare::limit_open_files(&mut spec, core.daemon.pid().await);
        streams = bare::streams(&files, job.stdio.join)?;
    }
    let mounted = if wanted.no_init { order.origins.clone() } else { Vec::new() };
    let runtime = runtime(&settings, &wanted);
    let container = container(core, job, &wanted, runtime, &image, &spec);
    note_image(&dir, &image.reference())?;

    // The order goes to stable storage while the daemon works; init reads it only once started.
    let (created, written) =
        tokio::join!(create(core, container, streams, &image), write_order(core, &job.id, order));
    let pid = created?;
    written?;
    blocking(move || bare::check_mounts(pid, &mounted)).await?;
    Ok(image)
}

/// Write a job's order, in the place of an earlier one, and keep room for its record.
pub(super) async fn write_order(core: &Core, id: &str, order: Order) -> Result<()> {
    let dir = core.shared_dir(id);
    let write = move || {
        let written = order.write(&dir).and_then(|()| Record::reserve(&dir));
        written.map_err(|error| io_error(&dir, &error))
    };
    blocking(write).await
}

/// Start a task that [`make`] made.
pub(super) async fn start(core: &Core, id: &str) -> Result<Started> {
    still_wanted(core, id)?;
    let dir = core.job_dir(id);
    let mark = dir.join(STARTED_FILE);
    fs::write(&mark, now().to_string()).map_err(|error| io_error(&mark, &error))?;
    if bare::is(&dir) {
        // Nobody can look into it before its command runs.
        let begun = withdraw::begin_without_init(&dir).map_err(|error| io_error(&dir, &error))?;
        if !begun {
            return Err(withdrawn());
        }
    }
    let request = StartRequest { container_id: id.to_owned(), exec_id: String::new() };
    match core.daemon.within(RUN)?.tasks().start(request).await {
        Ok(_) => Ok(Started::Answered),
        Err(status) => {
            let error = core.daemon.error(status);
            if error.code == ErrorCode::DrmCommunication && has_started(core, id).await {
                Ok(Started::Unanswered)
            } else {
                Err(error)
            }
        }
    }
}

/// A task was not started after all; another one will be made for its job.
pub(super) fn unmark(core: &Core, id: &str) -> Result<()> {
    let mark = core.job_dir(id).join(STARTED_FILE);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&mark, &error)),
        _ => Ok(()),
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
        Some(Status::Stopped) => {
            let dir = core.job_dir(id);
            finish::recorded(&dir).is_some() || bare::is(&dir)
        }
    }
}

/// Make the container and its task, which waits to be started. Gives the task's process.
async fn create(
    core: &Core,
    container: Container,
    [stdin, stdout, stderr]: [String; 3],
    image: &Image,
) -> std::result::Result<u32, Obstacle> {
    let (id, snapshotter) = (container.id.clone(), container.snapshotter.clone());
    let quick = core.daemon.within(QUICK)?;
    let request = CreateContainerRequest { container: Some(container) };
    quick.containers().create(request).await.map_err(|status| obstacle(core, status))?;
    let request = CreateTaskRequest {
        rootfs: prepare(core, &id, &snapshotter, image).await?,
        container_id: id,
        stdin,
        stdout,
        stderr,
        ..CreateTaskRequest::default()
    };
    let mut tasks = core.daemon.within(RUN)?.tasks();
    let answer = tasks.create(request).await.map_err(|status| obstacle(core, status))?.into_inner();
    core.facts.created(&answer.container_id, answer.pid);
    Ok(answer.pid)
}

/// The root file system of a new container; the image is unpacked first if it never was.
async fn prepare(
    core: &Core,
    id: &str,
    snapshotter: &str,
    image: &Image,
) -> std::result::Result<Vec<Mount>, Obstacle> {
    let mut snapshots = core.daemon.within(QUICK)?.snapshots();
    let request = PrepareSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: id.to_owned(),
        parent: image.chain_id().to_owned(),
        labels: HashMap::new(),
    };
    let answer = match snapshots.prepare(request.clone()).await {
        Err(status) if status::not_found(&status) => {
            // One at a time: many jobs may wait for the same image.
            let _unpacking = core.unpacking.lock().await;
            let unpacked = unpack::unpack(&core.daemon, snapshotter, image).await;
            unpacked.inspect_err(|_| core.images.forget(image))?;
            snapshots.prepare(request).await
        }
        answer => answer,
    };
    Ok(answer.map_err(|status| obstacle(core, status))?.into_inner().mounts)
}

fn obstacle(core: &Core, status: containerd_client::tonic::Status) -> Obstacle {
    if status::exists(&status) { Obstacle::Leftovers } else { core.daemon.error(status).into() }
}

fn spec_of(
    core: &Core,
    job: &NewJob,
    wanted: &Extensions,
    dir: &Path,
    files: &[FileMount],
    order: &Order,
    host: &Host,
) -> Result<Value> {
    let input = SpecInput {
        id: &job.id,
        namespace: core.daemon.namespace(),
        init: &core.settings.init,
        job_dir: &shared(dir),
        files,
        extensions: wanted,
        slots: job.slots,
        raises_limits: rlimits::may_raise(&order.rlimits, &job.submitter),
        host,
    };
    spec(&input).map_err(|path| Error::argument(format!("{path:?} is not UTF-8")))
}

fn container(
    core: &Core,
    job: &NewJob,
    wanted: &Extensions,
    runtime: Runtime,
    image: &Image,
    spec: &Value,
) -> Container {
    let mut labels = labels::encode(job, &image.reference(), &wanted.labels);
    labels::belong(&mut labels, &core.settings.jobs_dir);
    if wanted.keep {
        labels::keep(&mut labels);
    }
    Container {
        id: job.id.clone(),
        labels,
        image: image.name.clone(),
        runtime: Some(runtime),
        spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value: spec.to_string().into_bytes() }),
        snapshotter: core.snapshotter(wanted).to_owned(),
        snapshot_key: job.id.clone(),
        ..Container::default()
    }
}

/// The host files to mount. The runtime's own words for one that is not there tell a user nothing.
fn files(stdio: &Stdio, dir: &Path, mounts: &[HostMount]) -> Result<Vec<FileMount>> {
    for mount in mounts {
        let source = Path::new(&mount.source);
        fs::metadata(source).map_err(|error| io_error(source, &error).of("containerd_jt_mounts"))?;
    }
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
    let link = dir.join(file.target.trim_start_matches('/').replace('/', "-"));
    match symlink(&file.source, &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(&link, &error)),
        _ => {
            file.source = link;
            Ok(())
        }
    }
}

/// Work on files, on a thread that may be kept waiting by them.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::internal("work on the files of a job died")))
}

/// An error of the system with the file it is about.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::of_io(error), format!("{}: {error}", path.display()))
}
