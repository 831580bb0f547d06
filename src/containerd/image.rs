//! From an image's name to what a container needs of it: its root's snapshot and its configuration.

use std::collections::HashMap;
use std::sync::Arc;

use containerd_client::services::v1::snapshots::StatSnapshotRequest;
use containerd_client::services::v1::{GetImageRequest, InfoRequest, ReadContentRequest};
use containerd_client::tonic::Status;
use oci_spec::image::{
    Arch, Config, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType,
};
use sha2::{Digest, Sha256};

use super::connect::{Calls, Daemon, QUICK};
use super::next_look::NextLook;
use super::{private, status};
use crate::images::document::{self, MAX_DOCUMENT};
use crate::images::manifest::{self, MAX_DEPTH};
use crate::images::platform;
use crate::model::{Error, ImageRef, Result};
use crate::registry::Name;
use crate::sync::Mutex;

/// An image of the daemon, for this machine's platform.
#[derive(Debug)]
pub(super) struct Image {
    /// The name it is stored under.
    pub(super) name: String,
    /// Digest of what the name stands for; empty where there is no image.
    pub(super) target: String,
    /// The users who may have it, see [`private`].
    pub(super) users: Option<String>,
    /// Digest of its configuration.
    pub(super) config_digest: String,
    /// The way its programs want to be run.
    pub(super) config: Config,
    /// Its layers, lowest first.
    pub(super) layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Debug)]
pub(super) struct Layer {
    /// Descriptor of its compressed content.
    pub(super) content: Descriptor,
    /// Digest of the content, uncompressed.
    pub(super) diff_id: String,
    /// Name of the snapshot that holds this layer and all below it.
    pub(super) chain_id: String,
}

impl Image {
    /// The image as the account of a job names it.
    pub(super) fn reference(&self) -> ImageRef {
        ImageRef { name: self.name.clone(), digest: self.is_there().then(|| self.target.clone()) }
    }

    /// Returns whether this user may have it, see [`private::may_use`].
    pub(super) fn is_for(&self, user: Option<u32>) -> bool {
        private::may_use(self.users.as_deref(), user)
    }

    /// False for what stands for the image of a job that has none.
    pub(super) fn is_there(&self) -> bool {
        !self.target.is_empty()
    }

    /// The snapshot that holds the whole image; empty for an image without layers.
    pub(super) fn chain_id(&self) -> &str {
        self.layers.last().map_or("", |layer| &layer.chain_id)
    }
}

/// The reason why an image cannot be read.
pub(super) enum Flaw {
    /// The daemon does not have this part of it.
    Incomplete(String),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Flaw {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Incomplete(digest) => Self::argument(format!("{digest} is not there")),
            Flaw::Other(error) => error,
        }
    }
}

/// The result of reading an image.
type Read<T> = std::result::Result<T, Flaw>;

/// Images that are kept in memory; more of them are looked up anew.
const MOST_KNOWN: usize = 256;

/// The images that were asked for, by the name used to ask and the snapshotter that was to have them.
#[derive(Default)]
pub(super) struct Images {
    known: Mutex<HashMap<(String, String), Arc<Image>>>,
    /// Looks at whether something has changed. Many jobs that are submitted at one time need one.
    looks: NextLook<String, std::result::Result<Option<Found>, Status>>,
}

/// The descriptor behind an image's name, and the users who may have it.
type Found = (Target, Option<String>);

impl Images {
    /// The image that `text` names.
    pub(super) async fn resolve(
        &self,
        daemon: &Daemon,
        snapshotter: &str,
        text: &str,
    ) -> Result<Arc<Image>> {
        self.find(daemon, snapshotter, text).await?.ok_or_else(|| {
            let name = Name::parse(text).map_or_else(|_| text.to_owned(), |name| name.to_string());
            Error::argument(format!("image {name} not found in namespace {}", daemon.namespace()))
        })
    }

    /// The image that `text` names, if the daemon has all of it: its description, and its snapshot or the
    /// layers to make that of. One call to the daemon while nothing has changed there.
    pub(super) async fn find(
        &self,
        daemon: &Daemon,
        snapshotter: &str,
        text: &str,
    ) -> Result<Option<Arc<Image>>> {
        let calls = daemon.within(QUICK)?;
        let key = (text.to_owned(), snapshotter.to_owned());
        let known = self.known.lock().get(&key).cloned();
        if let Some(image) = known
            && let Some((now, users)) = self.target(daemon, &calls, &image.name).await?
            && (&now.digest, &users) == (&image.target, &image.users)
        {
            return Ok(Some(image));
        }
        for name in candidates(text) {
            if let Some((target, users)) = target(daemon, &calls, &name).await? {
                let image = match load_whole(daemon, &calls, snapshotter, &name, target).await {
                    Ok(image) => Arc::new(Image { users, ..image }),
                    // Somebody has brought it for other machines, or removed some of it.
                    Err(Flaw::Incomplete(digest)) => {
                        tracing::debug!(image = name, digest, "an image is not whole");
                        continue;
                    }
                    Err(Flaw::Other(error)) => return Err(error.of(format_args!("image {name}"))),
                };
                let mut known = self.known.lock();
                if known.len() >= MOST_KNOWN {
                    known.clear();
                }
                known.insert(key, image.clone());
                return Ok(Some(image));
            }
        }
        self.known.lock().remove(&key);
        Ok(None)
    }

    /// The same as [`target`], by one call for all who ask.
    async fn target(&self, daemon: &Daemon, calls: &Calls, name: &str) -> Result<Option<Found>> {
        let look = look_at(calls.clone(), name.to_owned());
        let found = self.looks.ask(name.to_owned(), look).await;
        found
            .ok_or_else(|| Error::internal("a look at an image has panicked"))?
            .map_err(|status| daemon.error(status))
    }

    /// Look at an image anew when it is asked for the next time: something of it is gone.
    pub(super) fn forget(&self, image: &Image) {
        self.known.lock().retain(|_, known| known.target != image.target);
    }
}

/// The names under which the image `text` may be stored, the most likely first: as it is written, which for containerd
/// may be anything, then in full.
fn candidates(text: &str) -> Vec<String> {
    let full = Name::parse(text).ok().map(|name| name.to_string());
    [text.to_owned()].into_iter().chain(full.filter(|full| full != text)).collect()
}

type Target = containerd_client::types::Descriptor;

/// The descriptor behind an image's name, if the daemon has it, and the users who may have it.
pub(super) async fn target(daemon: &Daemon, calls: &Calls, name: &str) -> Result<Option<Found>> {
    look_at(calls.clone(), name.to_owned()).await.map_err(|status| daemon.error(status))
}

async fn look_at(calls: Calls, name: String) -> std::result::Result<Option<Found>, Status> {
    match calls.images().get(GetImageRequest { name }).await {
        Ok(answer) => Ok(answer.into_inner().image.and_then(|image| {
            let users = private::users(&image.labels);
            Some((image.target?, users))
        })),
        Err(status) if status::not_found(&status) => Ok(None),
        Err(status) => Err(status),
    }
}

/// Read what the daemon has of an image.
pub(super) async fn load(daemon: &Daemon, calls: &Calls, name: &str, target: Target) -> Read<Image> {
    let mut digest = target.digest.clone();
    let mut is_index = manifest::is_index(&MediaType::from(target.media_type.as_str()));
    let mut says_platform = false;
    for _ in 0..MAX_DEPTH {
        if !is_index {
            return load_manifest(daemon, calls, name, target.digest, (&digest, says_platform)).await;
        }
        let index: ImageIndex = document(daemon, calls, &digest).await?;
        let chosen = platform::choose(index.manifests(), &Arch::default())?;
        says_platform = chosen.platform().is_some();
        digest = chosen.digest().to_string();
        is_index = manifest::is_index(chosen.media_type());
    }
    Err(manifest::too_deep().into())
}

/// The same, if a root file system can be made of it.
async fn load_whole(
    daemon: &Daemon,
    calls: &Calls,
    snapshotter: &str,
    name: &str,
    target: Target,
) -> Read<Image> {
    let image = load(daemon, calls, name, target).await?;
    // From above: what lies below a snapshot is in it.
    for layer in image.layers.iter().rev() {
        let stat =
            StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: layer.chain_id.clone() };
        if there(daemon, calls.snapshots().stat(stat).await)? {
            break;
        }
        let digest = layer.content.digest().to_string();
        let info = InfoRequest { digest: digest.clone() };
        if !there(daemon, calls.content().info(info).await)? {
            return Err(Flaw::Incomplete(digest));
        }
    }
    Ok(image)
}

/// Was something found?
fn there<T>(daemon: &Daemon, answer: std::result::Result<T, Status>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(status) if status::not_found(&status) => Ok(false),
        Err(status) => Err(daemon.error(status)),
    }
}

/// The configuration of an image, which the daemon has, if it can be run here. What an index says of its platform
/// counts more than what the configuration says.
pub(super) async fn config(
    daemon: &Daemon,
    calls: &Calls,
    manifest: &ImageManifest,
    says_platform: bool,
) -> Read<ImageConfiguration> {
    document::check_declared(manifest)?;
    let digest = manifest.config().digest().to_string();
    let config: ImageConfiguration = match document(daemon, calls, &digest).await {
        Err(Flaw::Other(error)) if !error.may_pass() && !document::is_image(manifest) => {
            return Err(document::artifact(manifest).into());
        }
        config => config?,
    };
    manifest::check(manifest, &config, says_platform)?;
    Ok(config)
}

async fn load_manifest(
    daemon: &Daemon,
    calls: &Calls,
    name: &str,
    target: String,
    (digest, says_platform): (&str, bool),
) -> Read<Image> {
    let manifest: ImageManifest = document(daemon, calls, digest).await?;
    let config_digest = manifest.config().digest().to_string();
    let config = config(daemon, calls, &manifest, says_platform).await?;
    let layers = layers(&manifest, &config);
    let config = config.config().clone().unwrap_or_default();
    Ok(Image { name: name.to_owned(), target, users: None, config_digest, config, layers })
}

/// The layers of an image, lowest first.
pub(super) fn layers(manifest: &ImageManifest, config: &ImageConfiguration) -> Vec<Layer> {
    let diff_ids = config.rootfs().diff_ids();
    let parts = document::layers(manifest).into_iter().map(|(_, content)| content);
    let parts = parts.zip(diff_ids).zip(chain_ids(diff_ids));
    let layer = |((content, diff_id), chain_id): ((&Descriptor, &String), String)| Layer {
        content: content.clone(),
        diff_id: diff_id.clone(),
        chain_id,
    };
    parts.map(layer).collect()
}

/// The names of the snapshots of all layers (OCI image specification, "Layer ChainID").
fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(below) => format!("sha256:{:x}", Sha256::digest(format!("{below} {diff_id}"))),
        });
    }
    chain
}

/// Read a JSON document from the content store.
async fn document<T: document::Document>(daemon: &Daemon, calls: &Calls, digest: &str) -> Read<T> {
    let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
    let read = async {
        let mut stream = calls.content().read(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await? {
            bytes.extend_from_slice(&part.data);
            if bytes.len() > MAX_DOCUMENT {
                break;
            }
        }
        Ok(bytes)
    };
    let bytes = match read.await {
        Ok(bytes) => bytes,
        Err(status) if status::not_found(&status) => return Err(Flaw::Incomplete(digest.to_owned())),
        Err(status) => return Err(daemon.error(status).into()),
    };
    if bytes.len() > MAX_DOCUMENT {
        return Err(Error::argument(format!("{digest} is too large for a manifest")).into());
    }
    document::read(&bytes).map_err(|error| Error::argument(format!("{digest}: {error}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_itself_is_tried_first_and_once() {
        assert_eq!(candidates("busybox"), ["busybox", "docker.io/library/busybox:latest"]);
        assert_eq!(candidates("localhost/a:1"), ["localhost/a:1"]);
        assert_eq!(candidates("No name, but somebody's"), ["No name, but somebody's"]);
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let layers: Vec<String> = ["sha256:a", "sha256:b", "sha256:c"].map(String::from).into();
        let chain = chain_ids(&layers);
        assert_eq!(chain.len(), 3);
        assert_eq!(chain[0], "sha256:a");
        assert_eq!(chain[1], format!("sha256:{:x}", Sha256::digest("sha256:a sha256:b")));
        assert_eq!(chain[2], format!("sha256:{:x}", Sha256::digest(format!("{} sha256:c", chain[1]))));
        assert!(chain_ids(&[]).is_empty());
    }
}
