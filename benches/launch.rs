//! What the library adds to the bare RPCs, measured side by side in one run.
//!
//! The floor is the launch sequence that containerd cannot do without, with the same image and the
//! same sandbox, but without store, init and clean-up. Rounds of both alternate, so that whatever
//! else the machine does falls on both. What counts is the ratio; the times are for orientation.
//!
//! `scripts/bench` sets up a containerd and runs it.

use std::collections::HashMap;
use std::process::ExitCode;
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
use containerd_client::tonic::{Request, Response, Status};
use containerd_client::types::Envelope;
use drmaa2::model::JobTemplate;
use drmaa2::session::{JobRef, JobSession, Timeout};
use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};
use tokio::runtime::Handle;

const ROUNDS: usize = 30;
const STATE_CALLS: u32 = 10_000;

type Error = Box<dyn std::error::Error>;

/// containerd without the library.
struct Floor {
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
    fn like(job: &JobRef, runtime: Handle) -> Result<Self, Error> {
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

    /// The launch sequence; gives the time it took.
    fn launch(&self, id: &str, args: &[&str]) -> Result<Duration, Error> {
        let mut spec = self.spec.clone();
        spec["process"]["args"] = json!(args);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", self.namespace));
        let value = spec.to_string().into_bytes();
        let begin = Instant::now();
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
        let request = self.to(StartRequest { container_id: id.to_owned(), exec_id: String::new() });
        self.call(self.client.tasks().start(request))?;
        Ok(begin.elapsed())
    }

    /// End it and take it away; not part of what is measured.
    fn remove(&self, id: &str) -> Result<(), Error> {
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
        self.call(self.client.snapshots().remove(self.to(request)))?;
        Ok(())
    }

    /// When the event of an exit came.
    fn exit_of(&self, id: &str) -> Result<Instant, Error> {
        loop {
            let (job, at) = self.exits.recv_timeout(Duration::from_secs(30))?;
            if job == id {
                return Ok(at);
            }
        }
    }
}

fn template(args: &[&str]) -> Result<JobTemplate, Error> {
    let image = std::env::var("DRMAA2_TEST_IMAGE").map_err(|_| "DRMAA2_TEST_IMAGE is not set")?;
    Ok(JobTemplate {
        remote_command: args.first().map(|command| (*command).into()),
        args: Some(args.iter().skip(1).map(|arg| (*arg).into()).collect()),
        job_category: Some(image.into()),
        ..JobTemplate::default()
    })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn measure() -> Result<bool, Error> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let session = JobSession::create(None, None)?;
    let sleeper = template(&["/bin/sleep", "1000"])?;
    let model = session.run_job(sleeper.clone())?;
    let floor = Floor::like(&model, io.handle().clone())?;

    let (mut bare, mut ours, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let id = format!("bench-{}-{round}", std::process::id());
        let bare_time = floor.launch(&id, &["/bin/sleep", "1000"])?;
        floor.remove(&id)?;

        let begin = Instant::now();
        let job = session.run_job(sleeper.clone())?;
        let our_time = begin.elapsed();
        job.control(drmaa2::model::Control::Terminate)?;
        job.wait_terminated(Timeout::Infinite)?;
        let waited = Instant::now();
        let late = waited.saturating_duration_since(floor.exit_of(&job.id)?);
        // The first round warms up.
        if round > 0 {
            bare.push(bare_time);
            ours.push(our_time);
            told.push(late);
        }
    }

    let begin = Instant::now();
    for _ in 0..STATE_CALLS {
        model.state()?;
    }
    let state = begin.elapsed() / STATE_CALLS;
    model.control(drmaa2::model::Control::Terminate)?;
    model.wait_terminated(Timeout::Infinite)?;
    session.close()?;
    JobSession::destroy(session.name())?;

    let (bare, ours, told) = (median(&mut bare), median(&mut ours), median(&mut told));
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    let goals = [ratio <= 1.1, told < Duration::from_millis(2), state < Duration::from_micros(50)];
    println!("medians of {ROUNDS} rounds");
    println!(
        "submit -> running      raw {bare:.1?}, library {ours:.1?}: {ratio:.3}x, goal 1.1x: {}",
        verdict(goals[0])
    );
    println!("exit event -> wait     {told:.1?}, goal under 2 ms: {}", verdict(goals[1]));
    println!("state of a known job   {state:.1?}, goal under 50 µs: {}", verdict(goals[2]));
    Ok(goals.into_iter().all(|met| met))
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("launch: {error}");
            ExitCode::FAILURE
        }
    }
}
