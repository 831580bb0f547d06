//! The way from a job to a running container.
//!
//! The container comes before its snapshot: the daemon's garbage collector would remove a snapshot
//! without a reference, even one second old.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots::PrepareSnapshotRequest;
use containerd_client::services::v1::{Container, CreateContainerRequest, CreateTaskRequest};
use containerd_client::types::Mount;
use drmaa2_init::{Order, Record, keep_locked_options};
use prost_types::Any;
use serde_json::Value;

use super::bare::Held;
use super::connect::{QUICK, RUN};
use super::files::{NO_STREAM, blocking, io_error};
use super::image::Image;
use super::job_dir::{ERRORS_FILE, note_image, shared};
use super::runtime::runtime;
use super::sandbox::Sandbox;
use super::tracker_core::Core;
use super::turn::Turn;
use super::withdraw::{still_wanted, unwanted};
use super::{
    JobSettings, attempt, bare, cpuset, host_root, job_dir, labels, names, remove, status, unpack,
};
use crate::container::spec::{FileMount, Host, SPEC_TYPE, SpecInput, arrange, spec};
use crate::container::{environment, order, rlimits};
use crate::model::extensions::{Mount as HostMount, Network};
use crate::model::{Error, ErrorCode, Extensions, Result};
use crate::tracker::{NewJob, Stdio};

/// The number of immediate attempts if a name is taken.
const ATTEMPTS: u32 = 3;
/// The reason why an attempt to make a task failed.
enum Obstacle {
    /// Its container's id cannot be used: another object has it, or another process removes it.
    Taken(Error),
    /// Anything else.
    Failure(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Failure(error)
    }
}

/// The file for the messages of the runtime's own init.
fn errors(dir: &Path) -> Result<String> {
    let file = dir.join(ERRORS_FILE);
    File::create(&file).map_err(|error| io_error(&file, &error))?;
    let path = file.to_str().map(str::to_owned);
    path.ok_or_else(|| Error::argument(format!("{file:?} is not UTF-8")))
}

/// Give up the current attempt at a job, which must not have begun, and begin another one.
pub(super) fn renew(core: &Arc<Core>, job: &NewJob) -> Result<()> {
    attempt::still_ours(core, &job.id)?;
    if let Some(old) = attempt::begin(core, job)? {
        remove::remove_in_background(core, old);
    }
    Ok(())
}

/// Make a job's container and its task, which waits to be started. Returns the job's image.
pub(super) async fn make(core: &Arc<Core>, job: &NewJob, turn: &mut Turn<'_>) -> Result<Arc<Image>> {
    for _ in 1..ATTEMPTS {
        still_wanted(core, &job.id)?;
        let began_as = attempt::identity(core, &job.id);
        match attempt(core, job, turn).await {
            Ok(image) => return Ok(image),
            // Its directory was taken away: the failure does not concern the job.
            Err(Obstacle::Failure(error)) if attempt::identity(core, &job.id) != began_as => {
                return Err(Error { code: ErrorCode::TryLater, ..error });
            }
            Err(Obstacle::Failure(error)) => return Err(error),
            Err(Obstacle::Taken(error)) => {
                tracing::info!(%error, id = job.id, "another container is made");
                renew(core, job)?;
            }
        }
    }
    still_wanted(core, &job.id)?;
    let last = attempt(core, job, turn).await;
    last.map_err(|(Obstacle::Taken(error) | Obstacle::Failure(error))| error)
}

async fn attempt(
    core: &Core,
    job: &NewJob,
    turn: &mut Turn<'_>,
) -> std::result::Result<Arc<Image>, Obstacle> {
    let dir = core.job_dir(&job.id);
    let (mut wanted, settings) = (order::extensions(job)?, JobSettings::of(job)?);
    wanted.cgroup_parent = wanted.cgroup_parent.or_else(|| settings.cgroup_parent.clone());
    let on_host = settings.is_on_host();
    if on_host {
        wanted.network.get_or_insert(Network::Host);
    }
    let found = {
        let (stdio, place, wanted) = (job.stdio.clone(), dir.clone(), wanted.clone());
        let (submitter, cdi_dirs) = (job.submitter.clone(), settings.cdi_dirs.clone());
        let (jobs_dir, id) = (core.settings.jobs_dir.clone(), job.id.clone());
        let slots = environment::slots(job);
        blocking(move || {
            let mut sandbox = Sandbox::read_for(&submitter, &cdi_dirs, &wanted)?;
            let files = match wanted.no_init {
                true => Held::hold(&stdio)?,
                false => (files(&stdio, &place, &wanted.mounts)?, Held::default()),
            };
            let mut names = names::files(&place, &wanted)?;
            if on_host {
                host_root::keep_names(&mut names);
                sandbox.leave_files();
            }
            let set = wanted.cpuset.as_ref();
            let cpus = set.map(|set| cpuset::choose(&jobs_dir, &id, set, slots)).transpose()?;
            Ok((files, names, sandbox, cpus))
        })
    };
    let (image, found, host) = tokio::join!(core.image_of(&wanted, &settings), found, core.host());
    // Held until the task is made: then the shim has opened them.
    let (image, ((files, _held), names, sandbox, cpus)) = (image?, found?);
    let mut order = order::order(job, &image.config, settings.patience(), &host)?;
    sandbox.amend(&mut order);
    if on_host {
        host_root::amend(&mut order);
    }
    let mut spec = spec_of(core, job, &wanted, &dir, [&files, &names], &order, &host)?;
    sandbox.apply(&mut spec)?;
    if on_host {
        host_root::apply(&mut spec, &wanted)?;
    }
    if let Some(cpus) = cpus {
        spec["linux"]["resources"]["cpu"]["cpus"] = cpus.to_string().into();
    }
    arrange(&mut spec);
    if host.locks_mounts {
        spec = blocking(move || {
            keep_locked_options(&mut spec);
            Ok(spec)
        })
        .await?;
    }
    let mut streams = [NO_STREAM; 3].map(str::to_owned);
    if wanted.no_init {
        job_dir::mark_bare(&dir)?;
        bare::apply(&mut spec, &order)?;
        bare::limit_open_files(&mut spec, core.daemon.pid().await);
        streams = bare::streams(&files, job.stdio.join)?;
    } else {
        streams[2] = errors(&dir)?;
    }
    let mounted = if wanted.no_init { order.origins.clone() } else { Vec::new() };
    let runtime = runtime(core, &settings, &wanted).await?;
    let snapshotter = if image.is_there() { core.snapshotter(&wanted).await? } else { String::new() };
    let container = container(core, job, &wanted, (runtime, snapshotter), &image, &spec);
    note_image(&dir, &image.reference())?;

    // The order goes to stable storage while the daemon works; init reads it only once started.
    let create = create(core, job, container, streams, &image);
    let unwanted = async { Err(unwanted(core, &job.id).await.into()) };
    let create = turn.keep(&core.facts, &job.id, create, unwanted);
    let (created, written) = tokio::join!(create, write_order(core, &job.id, order));
    let pid = created?;
    core.facts.created(&job.id, pid);
    written?;
    blocking(move || bare::check_mounts(pid, &mounted)).await?;
    Ok(image)
}

/// Write a job's order, in place of an earlier one, and reserve space for its record.
pub(super) async fn write_order(core: &Core, id: &str, mut order: Order) -> Result<()> {
    let dir = core.shared_dir(id);
    let write = move || {
        order.place = dir.metadata().ok().map(|found| (found.dev(), found.ino()));
        let written = order.write(&dir).and_then(|()| Record::reserve(&dir));
        written.map_err(|error| io_error(&dir, &error))
    };
    blocking(write).await
}

/// Make the container and its task, which waits to be started. Returns the task's process.
async fn create(
    core: &Core,
    job: &NewJob,
    container: Container,
    [stdin, stdout, stderr]: [String; 3],
    image: &Image,
) -> std::result::Result<u32, Obstacle> {
    let (id, snapshotter) = (container.id.clone(), container.snapshotter.clone());
    let quick = core.daemon.within(QUICK)?;
    let request = CreateContainerRequest { container: Some(container) };
    quick.containers().create(request).await.map_err(|status| obstacle(core, status))?;
    let request = CreateTaskRequest {
        rootfs: match image.is_there() {
            true => guarded(prepare(core, &id, &snapshotter, image).await?, job.submitter.uid),
            false => vec![host_root::root()],
        },
        container_id: id,
        stdin,
        stdout,
        stderr,
        ..CreateTaskRequest::default()
    };
    let mut tasks = core.daemon.within(RUN)?.tasks();
    let answer = tasks.create(request).await.map_err(|status| obstacle(core, status))?.into_inner();
    Ok(answer.pid)
}

/// The root file system of a new container; an image that was never unpacked is unpacked first.
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

/// The root file system of a new container of this user.
pub(super) async fn root_of(
    core: &Core,
    id: &str,
    snapshotter: &str,
    image: &Image,
    uid: u32,
) -> Result<Vec<Mount>> {
    let prepared = prepare(core, id, snapshotter, image).await;
    let mounts = prepared.map_err(|(Obstacle::Taken(error) | Obstacle::Failure(error))| error)?;
    Ok(guarded(mounts, uid))
}

/// The root file system of a job of this user: of one who is not root, nothing in the image counts as a
/// device or as set-user-ID.
fn guarded(mut mounts: Vec<Mount>, uid: u32) -> Vec<Mount> {
    if uid != 0 {
        for mount in &mut mounts {
            mount.options.extend(["nosuid", "nodev"].map(str::to_owned));
        }
    }
    mounts
}

fn obstacle(core: &Core, status: containerd_client::tonic::Status) -> Obstacle {
    let is_taken = status::exists(&status) || status::is_removed(&status);
    let error = core.daemon.error(status);
    if is_taken { Obstacle::Taken(error) } else { Obstacle::Failure(error) }
}

fn spec_of(
    core: &Core,
    job: &NewJob,
    wanted: &Extensions,
    dir: &Path,
    [files, names]: [&[FileMount]; 2],
    order: &Order,
    host: &Host,
) -> Result<Value> {
    let input = SpecInput {
        id: &core.container_of(&job.id),
        namespace: core.daemon.namespace(),
        init: &core.settings.init,
        job_dir: &shared(dir),
        files,
        names,
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
    (runtime, snapshotter): (Runtime, String),
    image: &Image,
    spec: &Value,
) -> Container {
    let mut labels = labels::encode(job, &image.reference(), &wanted.labels);
    labels::belong(&mut labels, &core.settings.jobs_dir);
    if wanted.keep {
        labels::keep(&mut labels);
    }
    let id = core.container_of(&job.id);
    Container {
        snapshot_key: if image.is_there() { id.clone() } else { String::new() },
        id,
        labels,
        image: image.name.clone(),
        runtime: Some(runtime),
        spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value: spec.to_string().into_bytes() }),
        snapshotter,
        ..Container::default()
    }
}

/// The host files to mount. The runtime's own message for a missing one is useless to a user.
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
