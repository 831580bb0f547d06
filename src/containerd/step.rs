//! Containers for the steps of another workload manager, below its control groups.
//!
//! Each belongs to a client, which has one at a time, and lives no longer. Nothing is stored but its labels, by which a
//! broker that starts anew finds it.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, KillRequest, ListContainersRequest,
    StartRequest, WaitRequest,
};
use containerd_client::types::v1::Status;
use prost_types::Any;
use serde_json::{Value, json};
use tokio::io::unix::AsyncFd;
use ulid::Ulid;

use super::attempt::Attempt;
use super::connect::{QUICK, RUN};
use super::files::{NO_STREAM, blocking};
use super::launch::root_of;
use super::runtime::runtime;
use super::sandbox::Sandbox;
use super::step_mounts::StepMounts;
use super::tracker_core::Core;
use super::{JobSettings, look_up, pull, remove, status, step_mounts};
use crate::container::spec::{
    FileMount, SPEC_TYPE, SpecInput, arrange, is_private, resolve_names, spec,
};
use crate::model::extensions::Network;
use crate::model::{Error, ErrorCode, Extensions, Result};
use crate::tracker::{OpenFile, Step, StepNews};

/// The label with the text by which the client is found again.
const CLIENT: &str = "drmaa2.step";
/// The label with the directories that go with the container.
const GROUPS: &str = "drmaa2.step_groups";
/// Between two of these.
const SEPARATOR: char = ':';
/// The place of the first file among the mounts, see [`mounted`].
const FIRST_FILE: usize = 2;
/// Ids begin so.
const PREFIX: &str = "drmaa2-step-";

/// A client's process, whose end can be waited for.
struct Client(AsyncFd<OwnedFd>);

impl Client {
    fn of(process: OwnedFd) -> Result<Self> {
        // SAFETY: it owns the descriptor, which stays open and the same until it is dropped.
        let watched = unsafe { AsyncFd::register(process) };
        watched.map(Self).map_err(|error| Error::internal(format!("the process of a client: {error}")))
    }

    async fn ended(&self) {
        // It becomes readable once.
        let _ = self.0.readable().await;
    }
}

/// A container that is made.
struct Made {
    id: String,
    snapshotter: String,
    /// The directories that go with it.
    groups: Vec<PathBuf>,
}

/// Run a container to its end. Returns the last of its news.
pub(super) async fn run(core: &Arc<Core>, step: Step, told: &(impl Fn(StepNews) + ?Sized)) -> StepNews {
    match run_to_end(core, step, told).await {
        Ok(status) => StepNews::Ended { status },
        Err(error) => StepNews::Failed(error),
    }
}

async fn run_to_end(
    core: &Arc<Core>,
    mut step: Step,
    told: &(impl Fn(StepNews) + ?Sized),
) -> Result<u32> {
    let process = step.process.try_clone();
    let client = Client::of(process.map_err(|error| Error::internal(error.to_string()))?)?;
    // A broker that was killed may have made it.
    for (_, made) in left(core, &format!("labels.{CLIENT:?}=={:?}", step.client)).await? {
        if let Some(pid) = running(core, &made.id).await? {
            return follow(core, &made, Ok(pid), &client, told).await;
        }
        remove(core, &made).await;
    }
    let settings: JobSettings = step.settings.read()?;
    let mut wanted = step.template.extensions()?;
    let gone = || Error::new(ErrorCode::TryLater, "its client has ended");
    tokio::select! {
        pulled = pull::image(core, &settings, &wanted) => pulled?,
        () = client.ended() => return Err(gone()),
    }
    let image = core.image_of(&wanted, &settings).await?;
    let snapshotter = core.snapshotter(&wanted).await?;
    wanted.network = Some(Network::Host);
    wanted.cgroup_parent = Some(std::mem::take(&mut step.group));
    let id = format!("{PREFIX}{}", Ulid::generate().to_string().to_lowercase());
    let mounts = mounted(core, &id, &step)?;
    let spec = spec_of(core, &id, &step, &mut wanted, &mounts).await?;
    let groups = std::mem::take(&mut step.own_groups);
    let container = Container {
        id: id.clone(),
        snapshot_key: id.clone(),
        labels: labels(step.client, &groups),
        image: image.name.clone(),
        runtime: Some(runtime(core, &settings, &wanted).await?),
        spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value: spec.to_string().into_bytes() }),
        snapshotter: snapshotter.clone(),
        ..Container::default()
    };
    let made = Made { id, snapshotter, groups };
    let start = async {
        // The semaphore is never closed.
        let _turn = core.launches.acquire().await;
        let _groups = core.step_groups.read().await;
        create(core, container).await?;
        let root = root_of(core, &made.id, &made.snapshotter, &image, step.submitter.uid).await?;
        start(core, &made.id, root).await
    };
    let started = tokio::select! {
        started = start => started,
        () = client.ended() => Err(gone()),
    };
    // The container has its own.
    drop(mounts);
    follow(core, &made, started, &client, told).await
}

/// Wait for the end of a container, if it was started, and remove it. Returns its exit status.
async fn follow(
    core: &Core,
    made: &Made,
    started: Result<u32>,
    client: &Client,
    told: &(impl Fn(StepNews) + ?Sized),
) -> Result<u32> {
    let ended = match started {
        Ok(pid) => {
            told(StepNews::Begun { pid });
            end_of(core, &made.id, client).await
        }
        Err(error) => Err(error),
    };
    remove(core, made).await;
    ended
}

/// See to the containers that a broker has left.
pub(super) async fn tend(core: Arc<Core>, find: impl Fn(&str) -> Option<OwnedFd>) {
    step_mounts::sweep(&core.settings.jobs_dir);
    let any = format!("labels.{CLIENT:?}");
    let left = core.daemon.patiently(|| left(&core, &any)).await;
    let left = left.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot see which containers of steps are left");
        Vec::new()
    });
    for (text, made) in left {
        let (core, client) = (Arc::clone(&core), find(&text));
        tokio::spawn(async move {
            // One that was not started never will be.
            let runs = core.daemon.patiently(|| running(&core, &made.id)).await;
            match (runs, client.and_then(|process| Client::of(process).ok())) {
                (Ok(Some(pid)), Some(client)) => {
                    let ended = follow(&core, &made, Ok(pid), &client, &|_| {}).await;
                    tracing::debug!(id = made.id, ?ended, "a container of a step has ended");
                }
                _ => remove(&core, &made).await,
            }
        });
    }
}

/// The containers that this filter finds, with the texts of their clients.
async fn left(core: &Core, filter: &str) -> Result<Vec<(String, Made)>> {
    let filters = vec![filter.to_owned()];
    let listed = look_up::containers(core, ListContainersRequest { filters }).await?;
    let made = listed.into_iter().filter_map(|container| {
        let Container { id, snapshotter, mut labels, .. } = container;
        let groups = labels.remove(GROUPS).unwrap_or_default();
        let groups = groups.split(SEPARATOR).filter(|dir| !dir.is_empty()).map(PathBuf::from).collect();
        Some((labels.remove(CLIENT)?, Made { id, snapshotter, groups }))
    });
    Ok(made.collect())
}

/// The first process of a container, if it runs.
async fn running(core: &Core, id: &str) -> Result<Option<u32>> {
    let found = look_up::first_process(core, id).await?;
    let runs = |status| matches!(status, Status::Running | Status::Pausing | Status::Paused);
    Ok(found.filter(|process| runs(process.status())).map(|process| process.pid))
}

fn labels(client: String, groups: &[PathBuf]) -> HashMap<String, String> {
    let groups: Vec<_> = groups.iter().map(|dir| dir.to_string_lossy()).collect();
    let groups = groups.join(&SEPARATOR.to_string());
    HashMap::from([(CLIENT.to_owned(), client), (GROUPS.to_owned(), groups)])
}

/// The files of a container as the runtime finds them: the init, the directory of its run, its files, and the mounts.
fn mounted(core: &Core, id: &str, step: &Step) -> Result<StepMounts> {
    let files = step.files.iter().map(|(file, _, _)| file);
    let all: Vec<&OpenFile> =
        [&step.init, &step.job_dir].into_iter().chain(files).chain(&step.mounts).collect();
    StepMounts::make(&core.settings.jobs_dir, id, &all).map_err(|error| {
        Error::new(ErrorCode::of_own(&error), format!("the files of a step cannot be mounted: {error}"))
    })
}

async fn spec_of(
    core: &Core,
    id: &str,
    step: &Step,
    wanted: &mut Extensions,
    mounts: &StepMounts,
) -> Result<Value> {
    let host = core.host().await;
    let first = FIRST_FILE + step.files.len();
    for (number, mount) in (first..).zip(&mut wanted.mounts) {
        mount.source = mounts.path(number).display().to_string();
    }
    let files = (FIRST_FILE..).zip(&step.files).map(|(number, (_, target, read_only))| FileMount {
        source: mounts.path(number),
        target: target.clone(),
        read_only: *read_only,
    });
    let input = SpecInput {
        id,
        namespace: core.daemon.namespace(),
        init: &mounts.path(0),
        job_dir: &mounts.path(1),
        files: &files.collect::<Vec<_>>(),
        names: &[],
        extensions: wanted,
        slots: None,
        raises_limits: false,
        host: &host,
    };
    let mut spec = spec(&input).map_err(|path| Error::argument(format!("{path:?} is not UTF-8")))?;
    adapt(&mut spec, step);
    let sandbox = {
        let (submitter, wanted) = (step.submitter.clone(), wanted.clone());
        blocking(move || Sandbox::read_for(&submitter, &[], &wanted)).await?
    };
    sandbox.apply(&mut spec)?;
    arrange(&mut spec);
    Ok(spec)
}

/// Run the init as the user, and let it see its own directory.
fn adapt(spec: &mut Value, step: &Step) {
    let user = &step.submitter;
    let process = &mut spec["process"];
    process["user"] =
        json!({ "uid": user.uid, "gid": user.gid, "additionalGids": user.groups, "umask": user.umask });
    if user.uid != 0 {
        for set in ["effective", "permitted"] {
            process["capabilities"][set] = json!([]);
        }
    }
    let limits = step.rlimits.iter();
    let limits = limits.map(|(name, soft, hard)| json!({ "type": name, "soft": soft, "hard": hard }));
    process["rlimits"] = limits.collect();
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        for mount in mounts.iter_mut().filter(|mount| is_private(mount) && mount["type"] == "tmpfs") {
            mount["options"] = json!(["nosuid", "nodev", "noexec", "mode=755", "size=64k"]);
        }
    }
    resolve_names(spec);
}

async fn create(core: &Core, container: Container) -> Result<()> {
    let request = CreateContainerRequest { container: Some(container) };
    let made = core.daemon.within(QUICK)?.containers().create(request).await;
    made.map(drop).map_err(|status| core.daemon.error(status))
}

/// Make the task and start it. Returns its process.
async fn start(core: &Core, id: &str, rootfs: Vec<containerd_client::types::Mount>) -> Result<u32> {
    let [stdin, stdout, stderr] = [NO_STREAM; 3].map(str::to_owned);
    let container_id = id.to_owned();
    let request = CreateTaskRequest {
        container_id,
        rootfs,
        stdin,
        stdout,
        stderr,
        ..CreateTaskRequest::default()
    };
    let mut tasks = core.daemon.within(RUN)?.tasks();
    let made = tasks.create(request).await.map_err(|status| core.daemon.error(status))?.into_inner();
    let request = StartRequest { container_id: id.to_owned(), exec_id: String::new() };
    tasks.start(request).await.map_err(|status| core.daemon.error(status))?;
    Ok(made.pid)
}

/// Wait for the end of a container, which comes with that of its client. Returns its exit status.
async fn end_of(core: &Core, id: &str, client: &Client) -> Result<u32> {
    let mut status = std::pin::pin!(core.daemon.patiently(|| exit_status(core, id)));
    tokio::select! {
        status = &mut status => return status,
        () = client.ended() => {}
    }
    core.daemon.patiently(|| kill(core, id)).await?;
    status.await
}

async fn exit_status(core: &Core, id: &str) -> Result<u32> {
    let request = WaitRequest { container_id: id.to_owned(), exec_id: String::new() };
    let ended = core.daemon.endless()?.tasks().wait(request).await;
    Ok(ended.map_err(|status| core.daemon.error(status))?.into_inner().exit_status)
}

async fn kill(core: &Core, id: &str) -> Result<()> {
    let request = KillRequest {
        container_id: id.to_owned(),
        exec_id: String::new(),
        signal: libc::SIGKILL.unsigned_abs(),
        all: true,
    };
    match core.daemon.within(QUICK)?.tasks().kill(request).await {
        Err(status) if !status::not_found(&status) => Err(core.daemon.error(status)),
        _ => Ok(()),
    }
}

/// Remove all of a container. What cannot be removed is left to the next broker.
async fn remove(core: &Core, made: &Made) {
    let Made { id, snapshotter, groups } = made;
    let attempt = Attempt { container: id.clone(), snapshotter: Some(snapshotter.clone()) };
    // It has no directory of a job.
    let none = core.settings.jobs_dir.join(".none");
    let removed = core.daemon.patiently(|| remove::remove_container(core, &attempt, &none)).await;
    if let Err(error) = removed {
        tracing::warn!(%error, id, "cannot remove the container of a step");
        return;
    }
    let _alone = core.step_groups.write().await;
    let groups = groups.clone();
    let _ = blocking(move || {
        groups.iter().for_each(|dir| remove_empty(dir));
        Ok(())
    })
    .await;
}

/// Remove a control group, and those above it, as far as there is nothing in them.
fn remove_empty(group: &Path) {
    let mut group = Some(group);
    while let Some(dir) = group.filter(|dir| fs::remove_dir(dir).is_ok()) {
        group = dir.parent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::NewJob;

    fn step(uid: u32) -> Step {
        let file = || std::fs::File::open("/dev/null").unwrap();
        let null = || OpenFile { file: file(), is_dir: false };
        let job = NewJob::for_tests("01j");
        Step {
            template: job.template,
            settings: job.settings,
            submitter: crate::tracker::Submitter { uid, gid: 7, groups: vec![7, 8], ..job.submitter },
            init: null(),
            job_dir: null(),
            files: vec![(null(), "/.drmaa2/stdout".to_owned(), false)],
            mounts: Vec::new(),
            group: "job_1/step_batch".to_owned(),
            own_groups: Vec::new(),
            rlimits: vec![("RLIMIT_NOFILE", 10, 20)],
            client: "1 2 3".to_owned(),
            process: file().into(),
        }
    }

    #[test]
    fn a_user_gets_his_own_rights_and_sees_the_directory_of_his_init() {
        let mut spec = json!({
            "process": { "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] } },
            "mounts": [
                { "destination": "/.drmaa2", "type": "tmpfs", "options": ["mode=700"] },
                { "destination": "/tmp", "type": "tmpfs", "options": ["mode=1777"] },
            ],
        });
        adapt(&mut spec, &step(1000));
        let process = &spec["process"];
        assert_eq!(process["user"]["uid"], 1000);
        assert_eq!(process["user"]["additionalGids"], json!([7, 8]));
        assert_eq!(process["capabilities"]["effective"], json!([]));
        assert_eq!(process["capabilities"]["permitted"], json!([]));
        assert_eq!(process["rlimits"], json!([{ "type": "RLIMIT_NOFILE", "soft": 10, "hard": 20 }]));
        let options = |place: usize| spec["mounts"][place]["options"].to_string();
        assert!(options(0).contains("mode=755") && options(1).contains("mode=1777"));
        adapt(&mut spec, &step(0));
        assert_eq!(spec["process"]["user"]["uid"], 0);
    }

    #[test]
    fn only_empty_groups_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other) = (dir.path().join("n1/job_1/step_batch"), dir.path().join("n1/job_2"));
        fs::create_dir_all(&mine).unwrap();
        fs::create_dir_all(&other).unwrap();
        remove_empty(&mine);
        assert!(!dir.path().join("n1/job_1").exists() && other.exists());
        remove_empty(&mine);
        assert!(other.exists());
    }

    #[test]
    fn labels_hold_what_is_needed_later() {
        let labels = labels("1 2 3".to_owned(), &["/a/b".into(), "/c".into()]);
        assert_eq!((labels[CLIENT].as_str(), labels[GROUPS].as_str()), ("1 2 3", "/a/b:/c"));
    }
}
