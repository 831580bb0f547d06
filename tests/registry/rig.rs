//! A tracker whose namespace is empty at first, so that all that is in it comes from the test.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::{
    CreateImageRequest, CreateNamespaceRequest, CreateRequest, DeleteContentRequest, DeleteRequest,
    GetImageRequest, Image, Info, InfoRequest, ListContentRequest, ListImagesRequest, ListRequest,
    ListStatusesRequest, Namespace, UpdateNamespaceRequest, UpdateRequest,
};
use containerd_client::tonic::Request;
use containerd_client::tonic::metadata::{Ascii, MetadataValue};
use containerd_client::types::Descriptor;
use drmaa2::containerd::{ContainerdTracker, JobSettings, Settings};
use drmaa2::model::extensions::Pull;
use drmaa2::model::{JobTemplate, Outcome, Text};
use drmaa2::registry;
use drmaa2::runtime::Runtime;
use drmaa2::tracker::{self, EventSink, Fact, JobTracker, NewJob, Stdio, Submitter};

/// Nothing here takes so long unless it hangs.
pub const LONG: Duration = Duration::from_secs(120);

struct Sink(Mutex<mpsc::Sender<Fact>>);

impl EventSink for Sink {
    fn fact(&self, fact: Fact) {
        let _ = self.0.lock().unwrap().send(fact);
    }
}

pub struct Rig {
    pub tracker: Arc<ContainerdTracker>,
    pub dir: tempfile::TempDir,
    pub settings: Settings,
    /// The settings that jobs are run with; their template names the image.
    pub configured: JobSettings,
    facts: Mutex<mpsc::Receiver<Fact>>,
}

/// The things that containerd has in the rig's namespace, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub images: Vec<String>,
    pub content: Vec<String>,
    pub ingests: Vec<String>,
    pub snapshots: Vec<String>,
    pub leases: Vec<String>,
}

impl Held {
    /// Snapshots that others can be made on.
    pub fn whole(&self) -> Vec<&String> {
        self.snapshots.iter().filter(|name| name.starts_with("sha256:")).collect()
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The snapshotter of the machine's containerd.
pub fn usual_snapshotter() -> String {
    setting("CONTAINERD_SNAPSHOTTER").unwrap_or_else(|| "overlayfs".into())
}

/// All that a test needs is there, or it may be skipped.
pub fn is_possible() -> bool {
    let missing: Vec<_> = ["CONTAINERD_ADDRESS", "DRMAA2_INIT"]
        .into_iter()
        .filter(|name| setting(name).is_none())
        .collect();
    let required = setting("DRMAA2_TEST_REQUIRE").as_deref() == Some("1");
    assert!(!required || missing.is_empty(), "DRMAA2_TEST_REQUIRE=1, but {missing:?} not set");
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} not set; nothing was pulled");
    }
    missing.is_empty()
}

impl Rig {
    /// `None` if there is no containerd to test with.
    pub fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Option<Self> {
        is_possible().then(|| Self::make(change))
    }

    fn make(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            address: setting("CONTAINERD_ADDRESS").unwrap().into(),
            namespace: format!("drmaa2-pull-{}", ulid::Ulid::generate().to_string().to_lowercase()),
            snapshotter: Some(usual_snapshotter()),
            jobs_dir: dir.path().join("jobs"),
            init: setting("DRMAA2_INIT").unwrap().into(),
            pulls_dir: dir.path().join("pulls"),
        };
        change(&mut settings);
        let configured = JobSettings {
            image: None,
            runtime: None,
            runtime_binary: None,
            cgroup_parent: None,
            cdi_dirs: vec![],
            grace: Duration::from_secs(1),
            linger: None,
            pull: Pull::Missing,
            registry: registry::Settings {
                certs_dir: dir.path().join("certs.d").as_path().into(),
                auth_files: vec![dir.path().join("auth.json").as_path().into()],
                env: [("PATH".to_owned(), dir.path().into())].into(),
                owner: None,
            },
        };
        let tracker = ContainerdTracker::new(settings.clone(), Arc::new(Runtime::start().unwrap()));
        let (sender, facts) = mpsc::channel();
        tracker.subscribe(Arc::new(Sink(Mutex::new(sender))));
        let rig = Self { tracker, dir, settings, configured, facts: Mutex::new(facts) };
        rig.until(|fact| matches!(fact, Fact::Live).then_some(()));
        rig
    }

    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The first fact that `wanted` makes something of.
    pub fn until<T>(&self, wanted: impl Fn(&Fact) -> Option<T>) -> T {
        let deadline = Instant::now() + LONG;
        let facts = self.facts.lock().unwrap();
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match facts.recv_timeout(left) {
                Ok(fact) => match wanted(&fact) {
                    Some(found) => return found,
                    None => seen.push(fact),
                },
                Err(error) => panic!("{error}; so far: {seen:?}"),
            }
        }
    }

    /// Wait until a pull that a job waits for has come so far.
    pub fn until_pulled(&self, id: &str, so_far: impl Fn(&str) -> bool) -> String {
        self.until(|fact| match fact {
            Fact::Progress { id: of, text: Some(text) } if of == id && so_far(text) => {
                Some(text.clone())
            }
            _ => None,
        })
    }

    pub fn start(&self, template: JobTemplate, stdio: Stdio) -> String {
        let submitter = Submitter {
            user: "root".into(),
            uid: 0,
            gid: 0,
            groups: vec![],
            umask: 0o022,
            machine: "m".into(),
        };
        let image = template.job_category.as_ref().map(ToString::to_string);
        let settings = JobSettings { image, ..self.configured.clone() };
        let job = NewJob {
            held: false,
            settings: tracker::Settings::of(&settings).unwrap(),
            slots: None,
            id: ulid::Ulid::generate().to_string().to_lowercase(),
            session: "pull".into(),
            template,
            submitter,
            stdio,
            task: None,
            wall_clock: None,
            ends: None,
        };
        let id = job.id.clone();
        self.tracker.add_job(job).unwrap();
        id
    }

    /// The end of a job, which is then removed.
    pub fn end(&self, id: &str) -> Outcome {
        self.end_or_error(id).unwrap()
    }

    /// The same, or why it could not be started.
    pub fn end_or_error(&self, id: &str) -> Result<Outcome, String> {
        let outcome = self.until(|fact| match fact {
            Fact::Ended { id: ended, outcome } if ended == id => Some(Ok(outcome.clone())),
            Fact::NotStarted { id: other, error } if other == id => Some(Err(error.to_string())),
            _ => None,
        });
        self.tracker.delete_job(id).unwrap();
        self.until(|fact| matches!(fact, Fact::Deleted { id: gone } if gone == id).then_some(()));
        outcome
    }

    /// Run a script in an image, and give how it ended and what it wrote.
    pub fn run(&self, image: &str, script: &str) -> (Outcome, String) {
        let output = self.file(&format!("out.{}", ulid::Ulid::generate()), "");
        let stdio = Stdio { output: Some(output.as_path().into()), join: true, ..Stdio::default() };
        let id = self.start(job(image, script), stdio);
        (self.end(&id), fs::read_to_string(output).unwrap())
    }

    /// Run a job that must not start, and give the reason.
    pub fn refused(&self, image: &str) -> String {
        let (outcome, _) = self.run(image, "true");
        assert_eq!(outcome.exit_status, None, "{outcome:?}");
        outcome.reason.unwrap()
    }

    /// Run a script that must succeed, and give what it wrote.
    pub fn output(&self, image: &str, script: &str) -> String {
        let (outcome, output) = self.run(image, script);
        assert_eq!(outcome.exit_status, Some(0), "{outcome:?} {output}");
        output
    }

    /// Give an image of the namespace another name as well.
    pub fn alias(&self, name: &str, alias: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = containerd_client::Client::from_path(&self.settings.address).await.unwrap();
            let space: MetadataValue<Ascii> = self.settings.namespace.parse().unwrap();
            let request = to(&space, GetImageRequest { name: name.to_owned() });
            let image = client.images().get(request).await.unwrap().into_inner().image.unwrap();
            self.store(Image { name: alias.to_owned(), ..image }).await;
        });
    }

    /// An image of which containerd has the name alone.
    pub fn hollow(&self, name: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let target = Descriptor {
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
            size: 1,
            ..Descriptor::default()
        };
        let image = Image { name: name.to_owned(), target: Some(target), ..Image::default() };
        runtime.block_on(self.store(image));
    }

    /// Ask the daemon something about the namespace.
    fn ask<T>(
        &self,
        question: impl AsyncFnOnce(containerd_client::Client, MetadataValue<Ascii>) -> T,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = containerd_client::Client::from_path(&self.settings.address).await.unwrap();
            question(client, self.settings.namespace.parse().unwrap()).await
        })
    }

    /// Remove content, whoever needs it.
    pub fn remove(&self, digests: &[String]) {
        self.ask(async |client, space| {
            for digest in digests {
                let request = DeleteContentRequest { digest: digest.clone() };
                client.content().delete(to(&space, request)).await.unwrap();
            }
        });
    }

    /// The labels of content.
    pub fn labels(&self, digest: &str) -> HashMap<String, String> {
        self.ask(async |client, space| {
            let request = InfoRequest { digest: digest.to_owned() };
            let info = client.content().info(to(&space, request)).await.unwrap().into_inner().info;
            info.unwrap().labels
        })
    }

    /// Give content a label.
    pub fn label(&self, digest: &str, name: &str, value: &str) {
        self.ask(async |client, space| {
            let labels = [(name.to_owned(), value.to_owned())].into();
            let paths = vec![format!("labels.{name}")];
            let request = UpdateRequest {
                info: Some(Info { digest: digest.to_owned(), labels, ..Info::default() }),
                update_mask: Some(prost_types::FieldMask { paths }),
            };
            client.content().update(to(&space, request)).await.unwrap();
        });
    }

    /// Have the daemon remove what nothing refers to.
    pub fn collect(&self) {
        self.ask(async |client, space| {
            let lease = CreateRequest { id: "collect".to_owned(), ..CreateRequest::default() };
            client.leases().create(to(&space, lease)).await.unwrap();
            let lease = DeleteRequest { id: "collect".to_owned(), sync: true };
            client.leases().delete(to(&space, lease)).await.unwrap();
        });
    }

    /// Give the namespace these labels and no others; it need not be there yet.
    pub fn say_of_namespace(&self, labels: &[(&str, &str)]) {
        let name = self.settings.namespace.clone();
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let namespace = Some(Namespace { name, labels: labels.collect() });
        self.ask(async |client, space| {
            let request = CreateNamespaceRequest { namespace: namespace.clone() };
            // It fails if it is there, which is as well.
            let _ = client.namespaces().create(to(&space, request)).await;
            let request = UpdateNamespaceRequest { namespace, update_mask: None };
            client.namespaces().update(to(&space, request)).await.unwrap();
        });
    }

    /// The names of all snapshots in the namespace that a snapshotter has.
    pub fn snapshots(&self, snapshotter: &str) -> Vec<String> {
        let snapshotter = snapshotter.to_owned();
        self.ask(async |client, space| {
            let request = to(&space, ListSnapshotsRequest { snapshotter, filters: vec![] });
            let mut all = client.snapshots().list(request).await.unwrap().into_inner();
            let mut names = Vec::new();
            while let Some(part) = all.message().await.unwrap() {
                names.extend(part.info.into_iter().map(|info| info.name));
            }
            names
        })
    }

    async fn store(&self, image: Image) {
        let client = containerd_client::Client::from_path(&self.settings.address).await.unwrap();
        let space: MetadataValue<Ascii> = self.settings.namespace.parse().unwrap();
        let request = CreateImageRequest { image: Some(image), ..CreateImageRequest::default() };
        client.images().create(to(&space, request)).await.unwrap();
    }

    /// The things that containerd has in the namespace.
    pub fn held(&self) -> Held {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let settings = self.settings.clone();
        let snapshotter = settings.snapshotter.unwrap_or_else(usual_snapshotter);
        let snapshots = self.snapshots(&snapshotter);
        runtime.block_on(async move {
            let client = containerd_client::Client::from_path(settings.address).await.unwrap();
            let space: MetadataValue<Ascii> = settings.namespace.parse().unwrap();
            let mut held = Held { snapshots, ..Held::default() };
            let images = client.images().list(to(&space, ListImagesRequest::default())).await.unwrap();
            held.images = images.into_inner().images.into_iter().map(|image| image.name).collect();
            let request = to(&space, ListContentRequest::default());
            let mut content = client.content().list(request).await.unwrap().into_inner();
            while let Some(part) = content.message().await.unwrap() {
                held.content.extend(part.info.into_iter().map(|info| info.digest));
            }
            let request = to(&space, ListStatusesRequest::default());
            let ingests = client.content().list_statuses(request).await.unwrap().into_inner().statuses;
            held.ingests = ingests.into_iter().map(|status| status.r#ref).collect();
            let leases = client.leases().list(to(&space, ListRequest::default())).await.unwrap();
            held.leases = leases.into_inner().leases.into_iter().map(|lease| lease.id).collect();
            held
        })
    }
}

/// The number of bytes that containerd has of content that is not whole.
pub fn unfinished(namespace: &str) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = setting("CONTAINERD_ADDRESS").unwrap();
        let client = containerd_client::Client::from_path(address).await.unwrap();
        let request = to(&namespace.parse().unwrap(), ListStatusesRequest::default());
        let all = client.content().list_statuses(request).await.unwrap().into_inner().statuses;
        all.iter().map(|status| status.offset).sum()
    })
}

fn to<T>(namespace: &MetadataValue<Ascii>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.clone());
    request
}

/// A script to run in an image.
pub fn job(image: &str, script: &str) -> JobTemplate {
    JobTemplate {
        remote_command: Some("sh".into()),
        args: Some(vec!["-c".into(), script.into()]),
        job_category: Some(image.into()),
        ..JobTemplate::default()
    }
}

/// The same with a policy.
pub fn job_with(image: &str, script: &str, policy: &str) -> JobTemplate {
    let extensions = [("containerd_jt_pull".to_owned(), Text::from(policy))].into();
    JobTemplate { extensions, ..job(image, script) }
}
