//! From a registry to a directory.

use std::fs;
use std::time::Duration;

use oci_spec::image::{Config, Descriptor, ImageConfiguration, ImageManifest};
use tokio::sync::{mpsc, oneshot};

use super::archive::{Hashed, Pieces, may_be_packed};
use super::document;
use super::flat::{Flat, Owners};
use super::manifest::{self, Found};
use super::store::{Store, Unpacked};
use super::temporary::{self, Temporary};
use super::turn::turn;
use crate::model::{Error, Result, io_error};
use crate::registry::{Failure, Manifest, Name, Registry, Settings, is_digest};
use crate::runtime::{self, blocking};

/// The time for which another process that pulls the image is waited for. After that, both do it.
const PATIENCE: Duration = Duration::from_secs(600);
/// Pieces on their way to the thread that unpacks.
const PIECES: usize = 4;

/// Bring an image here, unless it is here under another name.
pub(super) async fn pull(store: &Store, name: &str, settings: &Settings) -> Result<Unpacked> {
    let registry = Registry::of(Name::parse(name)?, settings).await.map_err(cause)?;
    let Found { last, says_platform, .. } = manifest::find(&registry).await.map_err(cause)?;
    let manifest: ImageManifest = manifest::parsed(&last)?;
    document::check_declared(&manifest)?;
    let Manifest { digest, .. } = last;
    if let Some(there) = named(store, name, &digest).await? {
        return Ok(there);
    }
    let _turn = turn(store.lock(&digest), PATIENCE).await?;
    if let Some(there) = named(store, name, &digest).await? {
        return Ok(there);
    }
    let (text, diff_ids) = configuration(&registry, &manifest, says_platform).await?;
    let tmp = store.tmp();
    let mut work = blocking(move || {
        temporary::sweep(&tmp).map_err(|error| io_error(&tmp, &error))?;
        Work::new(Temporary::new(&tmp).map_err(|error| io_error(&tmp, &error))?)
    })
    .await?;
    for ((_, layer), diff_id) in document::layers(&manifest).into_iter().zip(diff_ids) {
        let done = unpack(work, &registry, layer, diff_id).await;
        work = done.map_err(|error| error.of(format_args!("layer {}", layer.digest())))?;
    }
    let (store, name) = (store.clone(), name.to_owned());
    blocking(move || work.publish(&store, &name, &digest, &text)).await
}

/// The configuration of an image alone.
pub(super) async fn config(name: &str, settings: &Settings) -> Result<Config> {
    let registry = Registry::of(Name::parse(name)?, settings).await.map_err(cause)?;
    let Found { last, says_platform, .. } = manifest::find(&registry).await.map_err(cause)?;
    let manifest: ImageManifest = manifest::parsed(&last)?;
    document::check_declared(&manifest)?;
    let (text, _) = configuration(&registry, &manifest, says_platform).await?;
    // It was read by the check.
    let config: ImageConfiguration =
        document::read(&text).map_err(|error| Error::internal(error.to_string()))?;
    Ok(config.config().clone().unwrap_or_default())
}

fn cause(failure: Failure) -> Error {
    failure.error
}

/// The image of a digest, which gets the name.
async fn named(store: &Store, name: &str, digest: &str) -> Result<Option<Unpacked>> {
    let (store, name, digest) = (store.clone(), name.to_owned(), digest.to_owned());
    blocking(move || {
        store.prepare()?;
        let there = store.load(&name, &digest)?;
        if there.is_some() {
            store.name(&name, &digest)?;
        }
        Ok(there)
    })
    .await
}

/// The configuration of an image that can be run here, and the digests of its layers as they are to be.
async fn configuration(
    registry: &Registry,
    manifest: &ImageManifest,
    says_platform: bool,
) -> Result<(Vec<u8>, Vec<String>)> {
    let descriptor = manifest.config();
    let (digest, size) = (checked(descriptor)?, descriptor.size());
    let text = match manifest::given(descriptor) {
        Some(text) => text,
        None => {
            let mut text = Vec::new();
            let mut blob = registry.blob(digest, size, 0);
            // No more comes than the manifest says, and that is not too much.
            while let Some(piece) = blob.next().await.map_err(cause)? {
                text.extend_from_slice(&piece);
            }
            let mut hashed = Hashed::new(text.as_slice());
            std::io::copy(&mut hashed, &mut std::io::sink())
                .map_err(|error| Error::internal(error.to_string()))?;
            check_digest(digest, &hashed.finish())?;
            text
        }
    };
    let config: ImageConfiguration = document::read(&text).map_err(|error| {
        if document::is_image(manifest) {
            Error::argument(format!("configuration {digest}: {error}"))
        } else {
            document::artifact(manifest)
        }
    })?;
    manifest::check(manifest, &config, says_platform)?;
    for (_, layer) in document::layers(manifest) {
        let (digest, media_type) = (checked(layer)?, layer.media_type().to_string());
        if media_type.ends_with("zstd") {
            let text = format!("layer {digest} of type \"{media_type}\" cannot be unpacked");
            return Err(Error::argument(text));
        }
    }
    Ok((text, config.rootfs().diff_ids().clone()))
}

/// The digest of a blob, if it can be checked.
fn checked(descriptor: &Descriptor) -> Result<&str> {
    let digest = descriptor.digest().as_ref();
    if is_digest(digest) {
        return Ok(digest);
    }
    Err(Error::argument(format!("{digest} is no SHA-256 digest, and no other is known")))
}

fn check_digest(wanted: &str, found: &str) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::argument(format!("its digest is {found} but should be {wanted}")))
}

/// Unpack the next layer while it is read.
async fn unpack(work: Work, registry: &Registry, layer: &Descriptor, diff_id: String) -> Result<Work> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let (done, unpacked) = oneshot::channel();
    let wanted = (checked(layer)?.to_owned(), diff_id);
    let may_be_packed = may_be_packed(layer.media_type());
    runtime::thread("drmaa2-layer", move || {
        // One that nobody waits for any more is removed.
        let _ = done.send(work.layer(receiver.into(), may_be_packed, wanted));
    })?;
    let read = feed(registry, layer, sender).await;
    let unpacked = unpacked.await.map_err(|_| Error::internal("the thread that unpacks it died"))?;
    match (read, unpacked) {
        // The layer did not come as a whole, so nothing that unpacking says of it matters.
        (Err(error), Ok(work)) => {
            blocking(move || {
                work.end();
                Err(error)
            })
            .await
        }
        (Err(error), Err(_)) => Err(error),
        (Ok(()), unpacked) => unpacked,
    }
}

/// Read a layer, as long as somebody wants it.
async fn feed(registry: &Registry, layer: &Descriptor, pieces: mpsc::Sender<Vec<u8>>) -> Result<()> {
    if let Some(bytes) = manifest::given(layer) {
        let _ = pieces.send(bytes).await;
        return Ok(());
    }
    let mut blob = registry.blob(layer.digest().as_ref(), layer.size(), 0);
    while let Some(piece) = blob.next().await.map_err(cause)? {
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// An image that is being made.
struct Work {
    temporary: Temporary,
    flat: Flat,
}

impl Work {
    fn new(temporary: Temporary) -> Result<Self> {
        let rootfs = temporary.path().join("rootfs");
        match Flat::new(&rootfs, Owners::possible()) {
            Ok(flat) => Ok(Self { temporary, flat }),
            Err(error) => {
                temporary.end();
                Err(io_error(&rootfs, &error))
            }
        }
    }

    /// Unpack a layer; both its digests, packed and as an archive, are to be these.
    fn layer(
        mut self,
        pieces: Pieces,
        may_be_packed: bool,
        (digest, diff_id): (String, String),
    ) -> Result<Self> {
        self.temporary.touch();
        let mut packed = Hashed::new(pieces);
        let done = self.flat.layer(&mut packed, may_be_packed).and_then(|found| {
            check_digest(&digest, &packed.finish())?;
            check_digest(&diff_id, &found).map_err(|error| error.of("unpacked"))
        });
        match done {
            Ok(()) => Ok(self),
            Err(error) => {
                self.end();
                Err(error)
            }
        }
    }

    /// Give the image its place and its name. Another process may have done so meanwhile.
    fn publish(self, store: &Store, name: &str, digest: &str, config: &[u8]) -> Result<Unpacked> {
        let Self { temporary, flat } = self;
        let done = publish(&temporary, flat, store, (name, digest), config);
        temporary.end();
        done
    }

    /// Remove it.
    fn end(self) {
        let Self { temporary, flat } = self;
        drop(flat);
        temporary.end();
    }
}

fn publish(
    temporary: &Temporary,
    flat: Flat,
    store: &Store,
    (name, digest): (&str, &str),
    config: &[u8],
) -> Result<Unpacked> {
    let (path, place) = (temporary.path(), store.place(digest));
    let failed = |error: std::io::Error| io_error(&path, &error);
    flat.finish().map_err(failed)?;
    fs::write(path.join("config.json"), config).map_err(failed)?;
    if !temporary.publish(&place).map_err(failed)? && store.load(name, digest)?.is_none() {
        // Something is there that is no image.
        temporary.take_away(&place).map_err(failed)?;
        temporary.publish(&place).map_err(failed)?;
    }
    store.name(name, digest)?;
    let damaged = || Error::internal(format!("{} was removed", place.display()));
    store.load(name, digest)?.ok_or_else(damaged)
}
