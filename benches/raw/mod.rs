//! containerd without the library: the floor that a benchmark is measured against.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use containerd_client::events::TaskExit;
use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots::{PrepareSnapshotRequest, StatSnapshotRequest};
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, GetContainerRequest, KillRequest,
    StartRequest, SubscribeRequest,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Request, Response, Status};
use containerd_client::types::Envelope;
use drmaa2::model::JobTemplate;
use drmaa2::session::JobRef;
use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::report::Error;

/// containerd without the library.
pub(crate) struct Floor {
    runtime: Handle,
    client: containerd_client::Client,
    namespace: String,
    snapshotter: String,
    /// The snapshot of the image, and the sandbox of a job of the library.
    parent: String,
    spec: Value,
    exits: mpsc::Receiver<(String, Instant)>,
}

impl Floor {
    /// Take image and sandbox from a running job.
    pub(crate) fn like(job: &JobRef, runtime: Handle) -> Result<Self, Error> {
        let set = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        let channel = runtime.block_on(containerd_client::connect(set("CONTAINERD_ADDRESS")?))?;
        let (exit, exits) = mpsc::channel();
        let mut floor = Self {
            runtime,
            client: containerd_client::Client::from(channel.clone()),
            namespace: set("CONTAINERD_NAMESPACE")?,
            snapshotter: set("CONTAINERD_SNAPSHOTTER")?,
            parent: String::new(),
            spec: Value::Null,
            exits,
        };
        let request = floor.to(GetContainerRequest { id: job.id.clone() });
        let container = floor.call(floor.client.containers().get(request))?.container;
        let spec = container.and_then(|container| container.spec).ok_or("a container without a spec")?;
        floor.spec = serde_json::from_slice(&spec.value)?;
        if let Some(mounts) = floor.spec["mounts"].as_array_mut() {
            mounts.retain(|mount| {
                !mount["destination"].as_str().is_some_and(|path| path.starts_with("/.drmaa2"))
            });
        }
        let snapshotter = floor.snapshotter.clone();
        let request = floor.to(StatSnapshotRequest { snapshotter, key: job.id.clone() });
        let info = floor.call(floor.client.snapshots().stat(request))?.info;
        floor.parent = info.ok_or("a job without a snapshot")?.parent;
        floor.follow_exits(channel, exit);
        Ok(floor)
    }

    fn follow_exits(&self, channel: Channel, exit: mpsc::Sender<(String, Instant)>) {
        let filters = vec![format!("namespace=={:?},topic==\"/tasks/exit\"", self.namespace)];
        self.runtime.spawn(async move {
            let mut events = containerd_client::Client::from(channel).events();
            let Ok(stream) = events.subscribe(SubscribeRequest { filters }).await else { return };
            let mut stream = stream.into_inner();
            while let Ok(Some(Envelope { event: Some(event), .. })) = stream.message().await {
                let at = Instant::now();
                if let Ok(event) = TaskExit::decode(event.value.as_slice()) {
                    // The bench may be over.
                    let _ = exit.send((event.container_id, at));
                }
            }
        });
    }

    fn to<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Ok(namespace) = self.namespace.parse() {
            request.metadata_mut().insert("containerd-namespace", namespace);
        }
        request
    }

    fn call<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
        Ok(self.runtime.block_on(call)?.into_inner())
    }

    /// The launch sequence but for the start of the task.
    pub(crate) fn create(&self, id: &str, args: &[&str]) -> Result<(), Error> {
        let mut spec = self.spec.clone();
        spec["process"]["args"] = json!(args);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", self.namespace));
        let value = spec.to_string().into_bytes();
        let container = Container {
            id: id.to_owned(),
            runtime: Some(Runtime { name: "io.containerd.runc.v2".to_owned(), options: None }),
            spec: Some(Any {
                type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec".to_owned(),
                value,
            }),
            snapshotter: self.snapshotter.clone(),
            snapshot_key: id.to_owned(),
            ..Container::default()
        };
        let request = self.to(CreateContainerRequest { container: Some(container) });
        self.call(self.client.containers().create(request))?;
        let request = self.to(PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: id.to_owned(),
            parent: self.parent.clone(),
            labels: HashMap::new(),
        });
        let rootfs = self.call(self.client.snapshots().prepare(request))?.mounts;
        let null = || "/dev/null".to_owned();
        let request = self.to(CreateTaskRequest {
            container_id: id.to_owned(),
            rootfs,
            stdin: null(),
            stdout: null(),
            stderr: null(),
            ..CreateTaskRequest::default()
        });
        self.call(self.client.tasks().create(request))?;
        Ok(())
    }

    /// Start what [`create`](Self::create) made; gives the time it took.
    pub(crate) fn start(&self, id: &str) -> Result<Duration, Error> {
        let begin = Instant::now();
        let request = self.to(StartRequest { container_id: id.to_owned(), exec_id: String::new() });
        self.call(self.client.tasks().start(request))?;
        Ok(begin.elapsed())
    }

    /// End it and take it away; not part of what is measured.
    pub(crate) fn remove(&self, id: &str) -> Result<(), Error> {
        use containerd_client::services::v1::snapshots::RemoveSnapshotRequest;
        use containerd_client::services::v1::{DeleteContainerRequest, DeleteTaskRequest};
        let request =
            KillRequest { container_id: id.to_owned(), signal: 9, all: true, ..KillRequest::default() };
        self.call(self.client.tasks().kill(self.to(request)))?;
        self.exit_of(id)?;
        let request = DeleteTaskRequest { container_id: id.to_owned() };
        self.call(self.client.tasks().delete(self.to(request)))?;
        let request = DeleteContainerRequest { id: id.to_owned() };
        self.call(self.client.containers().delete(self.to(request)))?;
        let (snapshotter, key) = (self.snapshotter.clone(), id.to_owned());
        let request = RemoveSnapshotRequest { snapshotter, key };
        match self.call(self.client.snapshots().remove(self.to(request))) {
            // The garbage collector may have been faster.
            Err(status) if status.code() != Code::NotFound => Err(status.into()),
            _ => Ok(()),
        }
    }

    /// The time at which the event of an exit came.
    pub(crate) fn exit_of(&self, id: &str) -> Result<Instant, Error> {
        loop {
            let (job, at) = self.exits.recv_timeout(Duration::from_secs(30))?;
            if job == id {
                return Ok(at);
            }
        }
    }
}

/// A job of the library with this command.
pub(crate) fn template(args: &[&str]) -> Result<JobTemplate, Error> {
    let image = std::env::var("DRMAA2_TEST_IMAGE").map_err(|_| "DRMAA2_TEST_IMAGE is not set")?;
    Ok(JobTemplate {
        remote_command: args.first().map(|command| (*command).into()),
        args: Some(args.iter().skip(1).map(|arg| (*arg).into()).collect()),
        job_category: Some(image.into()),
        ..JobTemplate::default()
    })
}
