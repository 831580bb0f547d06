//! A containerd of one's own, and what it holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::{
    ListContainersRequest, ListRequest, ListStatusesRequest, ListTasksRequest,
};
use containerd_client::tonic::Request;
use containerd_client::tonic::metadata::{Ascii, MetadataValue};

use serde_json::json;

use crate::image::{Image, Layer, Packing};
use crate::processes;
use crate::server::Server;

pub const IMAGE: &str = "localhost/drmaa2/busybox:1";

pub struct Daemon {
    dir: PathBuf,
    /// The directory of its programs; those of the machine if it is `None`.
    bin: Option<PathBuf>,
    pub version: String,
    pub socket: PathBuf,
    pub namespace: String,
    pub snapshotter: String,
    /// The container runtime of its jobs.
    pub runtime: PathBuf,
    died: AtomicBool,
    registry: OnceLock<Server>,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// Run a command; what it says comes to light only if it fails.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Daemon {
    /// Start one in a new directory, with the image that jobs use.
    pub fn new(dir: PathBuf, bin: Option<PathBuf>, runtime: &str) -> Self {
        let namespace = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let mut made = Self {
            socket: dir.join("sock"),
            dir,
            bin,
            version: String::new(),
            namespace,
            snapshotter: String::new(),
            runtime: PathBuf::new(),
            died: AtomicBool::new(false),
            registry: OnceLock::new(),
        };
        let found = run(made.command("sh").args(["-c", "command -v \"$0\"", runtime]));
        made.runtime = found.trim().into();
        let version = run(made.command("containerd").arg("--version"));
        made.version = version.split_whitespace().nth(2).unwrap_or_default().to_owned();
        made.begin();
        made
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(bin) = &self.bin {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", bin.display()));
        }
        command
    }

    fn private(&self, verb: &str) -> String {
        run(self.command("bash").arg(script("private-containerd")).arg(verb).arg(&self.dir))
    }

    fn begin(&mut self) {
        fs::create_dir_all(&self.dir).unwrap();
        self.private("start");
        let environment = self.private("env");
        let snapshotter =
            environment.lines().find_map(|line| line.strip_prefix("CONTAINERD_SNAPSHOTTER="));
        self.snapshotter = snapshotter.unwrap().to_owned();
        let image = self.dir.join("image.tar");
        run(Command::new("bash").arg(script("make-image")).arg(&image));
        let image = image.to_str().unwrap();
        self.ctr(&["images", "import", "--snapshotter", &self.snapshotter, image]);
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        let mut command = self.command("ctr");
        run(command.arg("-a").arg(&self.socket).args(["-n", &self.namespace]).args(arguments))
    }

    /// Put a new image, which nobody has yet, into a registry; its name.
    pub fn unknown_image(&self) -> String {
        // The last is one that containerd unpacks.
        let left = Layer::new(&[("left", b"to containerd", 0o644)], Packing::Zstd);
        let layers = vec![Layer::busybox(), Layer::random(1 << 20), left];
        let image = Image::new(layers, json!({ "Env": ["PATH=/bin"] }));
        self.registry
            .get_or_init(Server::start)
            .push(&image, &format!("faults:{}", ulid::Ulid::generate()))
    }

    /// Remove all images but the one that is there from the beginning.
    fn remove_images(&self) {
        for name in self.ctr(&["images", "ls", "-q"]).lines().filter(|name| *name != IMAGE) {
            self.ctr(&["images", "rm", "--sync", name]);
        }
    }

    /// Start it again; its jobs are found.
    pub fn start(&self) {
        self.private("start");
    }

    /// Kill it; its jobs go on.
    pub fn kill(&self) {
        self.died.store(true, Ordering::Release);
        self.private("kill");
    }

    /// Was it killed since the last play?
    pub fn has_died(&self) -> bool {
        self.died.load(Ordering::Acquire)
    }

    /// Forget what the last play has left on purpose.
    pub fn fresh(&self) {
        if self.registry.get().is_some() {
            self.remove_images();
        }
        self.died.store(false, Ordering::Release);
    }

    /// Its log so far, for somebody to read.
    pub fn copy_log(&self, to: &Path) {
        fs::copy(self.dir.join("log"), to).unwrap();
    }

    /// Make it anew, without anything that it holds.
    pub fn renew(&mut self) {
        self.remove();
        self.begin();
    }

    fn remove(&self) {
        self.private("stop");
        fs::remove_dir_all(&self.dir).unwrap();
        // Containers that the runtime has and containerd does not know of.
        let root = self.runtime_root();
        for entry in fs::read_dir(&root).into_iter().flatten() {
            let container = entry.unwrap().file_name();
            let mut command = Command::new(&self.runtime);
            command.arg("--root").arg(&root).args(["delete", "--force"]).arg(container);
            let _ = command.output();
        }
        let _ = fs::remove_dir_all(root);
    }

    fn runtime_root(&self) -> PathBuf {
        PathBuf::from("/run/containerd/runc").join(&self.namespace)
    }

    fn bundles(&self) -> PathBuf {
        self.dir.join("state/io.containerd.runtime.v2.task").join(&self.namespace)
    }

    /// Is this nothing but a directory that containerd has forgotten, and removes when it starts again?
    pub fn is_bundle(&self, trace: &str) -> bool {
        Path::new(trace).starts_with(self.bundles())
    }

    /// Is it one that containerd never removes? If it dies while the runtime makes a container, then the shim that it
    /// ends at its next start takes away the root file system before the runtime is done, which then makes its
    /// directories in the bundle, and containerd removes no root file system that has something in it.
    pub fn keeps(&self, trace: &str) -> bool {
        let rootfs = Path::new(trace).join("rootfs");
        let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_mounted = mounted.lines().any(|line| line.split(' ').nth(4) == rootfs.to_str());
        let is_empty = fs::read_dir(&rootfs).is_ok_and(|mut entries| entries.next().is_none());
        self.is_bundle(trace) && rootfs.is_dir() && !is_empty && !is_mounted
    }

    pub fn shims(&self) -> Vec<i32> {
        processes::with("cmdline", &format!("-address\0{}\0", self.socket.display()))
    }

    /// Traces of jobs in its records, its directories and the runtime's.
    pub fn traces(&self) -> Vec<String> {
        let mut traces = self.records();
        for dir in [self.runtime_root(), self.bundles()] {
            // A name that begins with a dot is the runtime's own, and of no container.
            let entries = fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap());
            let entries = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
            traces.extend(entries.map(|entry| entry.path().display().to_string()));
        }
        traces
    }

    fn records(&self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = containerd_client::Client::from_path(&self.socket).await.unwrap();
            let namespace: MetadataValue<Ascii> = self.namespace.parse().unwrap();
            let mut traces = Vec::new();
            let request = of(&namespace, ListContainersRequest::default());
            let containers = client.containers().list(request).await.unwrap().into_inner().containers;
            traces.extend(containers.into_iter().map(|container| format!("container {}", container.id)));
            let tasks = client.tasks().list(of(&namespace, ListTasksRequest::default())).await.unwrap();
            traces.extend(tasks.into_inner().tasks.into_iter().map(|task| format!("task {}", task.id)));
            let leases = client.leases().list(of(&namespace, ListRequest::default())).await.unwrap();
            // Those of a pull that broke off end by themselves.
            let leases = leases.into_inner().leases.into_iter();
            let endless = leases.filter(|lease| !lease.labels.contains_key("containerd.io/gc.expire"));
            traces.extend(endless.map(|lease| format!("lease {}", lease.id)));
            let request = of(&namespace, ListStatusesRequest::default());
            let ingests = client.content().list_statuses(request).await.unwrap().into_inner().statuses;
            traces.extend(
                ingests.into_iter().map(|ingest| format!("unfinished content {}", ingest.r#ref)),
            );
            let request =
                ListSnapshotsRequest { snapshotter: self.snapshotter.clone(), ..Default::default() };
            let mut snapshots =
                client.snapshots().list(of(&namespace, request)).await.unwrap().into_inner();
            while let Some(answer) = snapshots.message().await.unwrap() {
                // Committed ones are an image's; those that a pull was making end with its lease.
                let own = answer.info.into_iter().filter(|info| info.kind != 3);
                let own = own.filter(|info| !info.name.starts_with("extract-"));
                traces.extend(own.map(|info| format!("snapshot {}", info.name)));
            }
            traces
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.remove();
    }
}

fn of<T>(namespace: &MetadataValue<Ascii>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.clone());
    request
}
