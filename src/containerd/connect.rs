//! The connection to the daemon: one channel, every call with a namespace and a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1 as api;
use containerd_client::tonic::metadata::{Ascii, MetadataValue};
use containerd_client::tonic::service::Interceptor;
use containerd_client::tonic::service::interceptor::InterceptedService;
use containerd_client::tonic::transport::{Channel, Endpoint};
use containerd_client::tonic::{Request, Status};
use once_cell::sync::OnceCell;
use tokio::net::UnixStream;

use super::status;
use crate::model::{Error, ErrorCode, Result};

/// For calls that read or write the daemon's database, or signal a process.
pub(super) const QUICK: Duration = Duration::from_secs(10);
/// For calls that start programs: creating, starting, deleting a task.
pub(super) const RUN: Duration = Duration::from_secs(120);
/// For unpacking one layer of an image.
pub(super) const UNPACK: Duration = Duration::from_secs(30 * 60);

/// Largest accepted answer. The daemon itself sends at most 16 MiB.
const MAX_ANSWER: usize = 64 << 20;
/// First pause before the daemon is tried again, doubled up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A client's transport: the channel, with the headers of a call added.
pub(super) type Service = InterceptedService<Channel, Headers>;

/// The daemon behind a socket, in one namespace.
pub(super) struct Daemon {
    address: PathBuf,
    namespace: String,
    channel: OnceCell<Channel>,
}

/// The headers of every message of a client.
#[derive(Clone)]
pub(super) struct Headers {
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
    deadline: Option<Duration>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            request.metadata_mut().insert("containerd-lease", lease.clone());
        }
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        Ok(request)
    }
}

impl Daemon {
    /// Make it; the first call connects.
    pub(super) fn new(address: PathBuf, namespace: String) -> Self {
        Self { address, namespace, channel: OnceCell::new() }
    }

    /// The daemon's socket.
    pub(super) fn address(&self) -> &Path {
        &self.address
    }

    /// The namespace that all calls go to.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Calls that take at most `deadline` each. Must be called on the runtime: the channel lives there,
    /// connects at its first use, and reconnects after a restart of the daemon.
    pub(super) fn within(&self, deadline: Duration) -> Result<Calls> {
        self.calls(Some(deadline))
    }

    /// Calls without a deadline: for a stream that lasts as long as the connection.
    pub(super) fn endless(&self) -> Result<Calls> {
        self.calls(None)
    }

    fn calls(&self, deadline: Option<Duration>) -> Result<Calls> {
        let channel = self.channel.get_or_try_init(|| open(&self.address))?.clone();
        let namespace = header("namespace", &self.namespace)?;
        Ok(Calls { channel, headers: Headers { namespace, lease: None, deadline } })
    }

    /// The error for a failed call.
    pub(super) fn error(&self, status: Status) -> Error {
        status::error(&status, &self.address)
    }

    /// The daemon's process, if it is visible from here.
    pub(super) async fn pid(&self) -> Option<u32> {
        let connected = tokio::time::timeout(QUICK, UnixStream::connect(&self.address)).await;
        let pid = connected.ok()?.ok()?.peer_cred().ok()?.pid()?;
        u32::try_from(pid).ok().filter(|pid| *pid > 0)
    }

    /// Repeat something until the daemon answers.
    pub(super) async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = MIN_PAUSE;
        loop {
            match attempt().await {
                Err(error) if error.code == ErrorCode::DrmCommunication => {
                    tracing::debug!(%error, "waiting for containerd");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                done => return done,
            }
        }
    }
}

/// Clients of the daemon's services, with the headers they send.
#[derive(Clone)]
pub(super) struct Calls {
    channel: Channel,
    headers: Headers,
}

macro_rules! client {
    ($name:ident, $client:ty) => {
        pub(super) fn $name(&self) -> $client {
            <$client>::new(InterceptedService::new(self.channel.clone(), self.headers.clone()))
                .max_decoding_message_size(MAX_ANSWER)
        }
    };
}

impl Calls {
    client!(containers, api::containers_client::ContainersClient<Service>);
    client!(content, api::content_client::ContentClient<Service>);
    client!(diff, api::diff_client::DiffClient<Service>);
    client!(events, api::events_client::EventsClient<Service>);
    client!(images, api::images_client::ImagesClient<Service>);
    client!(leases, api::leases_client::LeasesClient<Service>);
    client!(namespaces, api::namespaces_client::NamespacesClient<Service>);
    client!(snapshots, api::snapshots::snapshots_client::SnapshotsClient<Service>);
    client!(tasks, api::tasks_client::TasksClient<Service>);
    client!(version, api::version_client::VersionClient<Service>);

    /// The same calls under a lease, which protects the objects that they make from the garbage
    /// collector.
    pub(super) fn leased(mut self, lease: &str) -> Result<Self> {
        self.headers.lease = Some(header("lease", lease)?);
        Ok(self)
    }
}

fn open(address: &Path) -> Result<Channel> {
    let bad = || Error::argument(format!("containerd address {:?} is not a path", address.display()));
    let path = address.to_str().filter(|path| !path.is_empty()).ok_or_else(bad)?;
    let endpoint = Endpoint::from_shared(format!("unix://{path}")).map_err(|_| bad())?;
    Ok(endpoint.connect_lazy())
}

fn header(what: &str, value: &str) -> Result<MetadataValue<Ascii>> {
    value.parse().map_err(|_| Error::argument(format!("{what} {value:?} is not plain ASCII")))
}
