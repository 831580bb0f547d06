//! From a registry to an image of the daemon.
//!
//! The image is named last, when its snapshots are made: so it is there as a whole or not at all. They are
//! made while further layers are read: unpacking takes longest, and can only be done one by one.

use std::collections::HashMap;
use std::path::Path;

use containerd_client::services::v1::{CreateImageRequest, Image as StoredImage, UpdateImageRequest};
use containerd_client::types::Descriptor as Target;
use futures_util::future::{self, BoxFuture, Either, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use oci_spec::image::{Descriptor, ImageManifest};
use tokio::sync::oneshot;

use super::super::connect::{Calls, Daemon, QUICK};
use super::super::image::{self, Layer};
use super::super::unpack::{Snapshots, Turns, Unpacked};
use super::super::{private, status};
use super::ingest::{Content, Ingest, label, signed};
use super::lease::{Lease, Leases};
use super::progress::{Parts, Progress};
use crate::images::document;
use crate::images::manifest::{self, Found};
use crate::model::Error;
use crate::registry::{Failure, Manifest, Name, Registry, Settings};

/// The number of times that the daemon is asked to write the same content.
const WRITES: u32 = 3;
/// Layers that are read at a time.
const LAYERS: usize = 3;
/// Label that keeps what content refers to from the collector; the rest of it is free.
const REFERENCE: &str = "containerd.io/gc.ref.content";
/// The rest of it for the entry of an index. Other clients number the entries, and one of them may have
/// brought the index with entries for other machines, which are not to be lost.
const ENTRY: &str = "drmaa2";

/// A pull.
pub(super) struct Fetch<'a> {
    pub(super) daemon: &'a Daemon,
    pub(super) snapshotter: &'a str,
    pub(super) settings: &'a Settings,
    /// The directory of the lock that keeps other pulls of the image away.
    pub(super) locks: &'a Path,
    pub(super) unpacks: &'a Turns,
    /// The image's full name.
    pub(super) name: &'a str,
    pub(super) progress: &'a Progress,
    /// The user whose credentials are meant, see [`private`].
    pub(super) owner: Option<u32>,
}

/// The source of blobs, and the way to the daemon's store.
#[derive(Clone, Copy)]
struct Writing<'a> {
    registry: &'a Registry,
    calls: &'a Calls,
    lease: &'a Lease<'a>,
    labels: &'a HashMap<String, String>,
}

impl Fetch<'_> {
    /// Do it.
    pub(super) async fn run(&self) -> Result<(), Error> {
        let leases = Leases::of(self.daemon, self.name, self.locks);
        let done = self.pull(Name::parse(self.name)?, &leases).await;
        if done.as_ref().err().is_none_or(|failure| !failure.passes) {
            leases.end(done.is_err()).await;
        }
        done.map_err(|failure| failure.error)
    }

    async fn pull(&self, name: Name, leases: &Leases<'_>) -> Result<(), Failure> {
        let source = HashMap::from([(
            format!("containerd.io/distribution.source.{}", name.host),
            name.repository.clone(),
        )]);
        let registry = Registry::of(name, self.settings).await?;
        let Found { indexes, last, says_platform } = manifest::find(&registry).await?;
        let manifest: ImageManifest = manifest::parsed(&last)?;
        document::check_declared(&manifest)?;
        let (config, layers) = (manifest.config(), document::layers(&manifest));
        let sizes = layers.iter().map(|(_, layer)| layer.size());
        self.progress.begin(Parts {
            layers: layers.len(),
            bytes: sizes.fold(config.size(), u64::saturating_add),
        });
        // Nothing is written before.
        let lease = &leases.take().await?;
        let calls = lease.calls()?;
        let writing = Writing { registry: &registry, calls: &calls, lease, labels: &source };
        self.blob(&writing, "config", config, None).await?;
        // Before all the rest is read for nothing.
        let reading = self.daemon.within(QUICK)?;
        let checked = image::config(self.daemon, &reading, &manifest, says_platform).await;
        let parts = image::layers(&manifest, &checked.map_err(Error::from)?);
        let snapshots = Snapshots::under(self.daemon, self.snapshotter, lease.id(), Some(self.unpacks))?;
        let reads = parts.iter().map(|layer| {
            self.blob(&writing, "layer", &layer.content, Some((&snapshots, layer))).boxed()
        });
        let done = self.layers(reads.collect(), &parts, &snapshots).await;
        snapshots.clear().await;
        done?;
        let references = layers
            .iter()
            .map(|(at, layer)| (format!("l.{at}"), *layer))
            .chain([("config".to_owned(), config)])
            .map(|(part, to)| (format!("{REFERENCE}.{part}"), to.digest().to_string()));
        self.document(&calls, lease, "manifest", &last, source.clone(), references.collect()).await?;
        let mut below = &last;
        for index in indexes.iter().rev() {
            let reference = (format!("{REFERENCE}.{ENTRY}"), below.digest.clone());
            self.document(&calls, lease, "index", index, source.clone(), [reference].into()).await?;
            below = index;
        }
        let top = parts.last().map_or("", |layer| &layer.chain_id);
        snapshots.belong_to(config.digest().as_ref(), top).await?;
        let target = Target {
            media_type: below.media_type.clone(),
            digest: below.digest.clone(),
            size: signed(u64::try_from(below.bytes.len()).unwrap_or(u64::MAX)),
            annotations: HashMap::new(),
        };
        self.store(target, registry.has_shown_credentials()).await
    }

    /// Read all layers, and make the snapshot of each as soon as it is there and those below are made: the daemon
    /// can make a snapshot on none but a whole one.
    async fn layers(
        &self,
        reads: Vec<BoxFuture<'_, Result<Option<Unpacked>, Failure>>>,
        layers: &[Layer],
        snapshots: &Snapshots<'_>,
    ) -> Result<(), Failure> {
        let (there, arrivals): (Vec<_>, Vec<_>) = layers.iter().map(|_| oneshot::channel()).unzip();
        let reads = reads.into_iter().zip(there).map(|(read, there)| async move {
            // Nobody listens once unpacking has failed.
            let _ = there.send(read.await?);
            Ok(())
        });
        // Begun from below, since the lowest is wanted first.
        let reading = stream::iter(reads).buffer_unordered(LAYERS).try_collect::<()>().boxed();
        let unpacking = async {
            let mut parent = "";
            for (layer, arrival) in layers.iter().zip(arrivals) {
                // It does not come if reading has failed, which is then what went wrong.
                let Ok(unpacked) = arrival.await else { break };
                let made = snapshots.make(parent, layer, unpacked).await;
                made.map_err(|error| error.of("cannot unpack it"))?;
                self.progress.unpacked();
                parent = &layer.chain_id;
            }
            Ok(())
        };
        match future::select(reading, unpacking.boxed()).await {
            Either::Left((read, unpacking)) => {
                // The daemon is not left in the middle of a layer, whose lease may end now.
                let unpacked = unpacking.await;
                read.and(unpacked)
            }
            Either::Right((unpacked, reading)) => {
                unpacked?;
                reading.await
            }
        }
    }

    /// Bring a layer or a configuration into the daemon's store. Returns a layer that was unpacked meanwhile.
    async fn blob(
        &self,
        writing: &Writing<'_>,
        kind: &str,
        descriptor: &Descriptor,
        layer: Option<(&Snapshots<'_>, &Layer)>,
    ) -> Result<Option<Unpacked>, Failure> {
        let Writing { registry, calls, lease, labels } = *writing;
        let (digest, size) = (descriptor.digest().to_string(), descriptor.size());
        let given = manifest::given(descriptor);
        let is_given = given.is_some();
        let content = Content { kind, digest: &digest, size };
        let (mut counted, mut tries) = (0, 0);
        let mut apart = None;
        loop {
            let Some(mut ingest) = Ingest::open(self.daemon, calls, content).await? else {
                self.progress.read(size - counted);
                lease.keep(&digest).await?;
                return Ok(None);
            };
            self.progress.read(ingest.offset.saturating_sub(counted));
            counted = counted.max(ingest.offset);
            if let Some((snapshots, layer)) = layer.filter(|_| ingest.offset == 0 && tries == 0) {
                apart = snapshots.apart(layer).await;
            }
            let mut blob = registry.blob(&digest, size, ingest.offset);
            let mut given = given.as_deref().and_then(|all| rest(all, ingest.offset));
            let written = loop {
                let next = match given.take() {
                    Some(bytes) if !bytes.is_empty() => Ok(Some(bytes)),
                    _ if is_given => Ok(None),
                    _ => blob.next().await,
                };
                let bytes = match next {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => break ingest.commit(labels.clone()).await,
                    Err(failure) => {
                        ingest.leave().await;
                        return Err(failure);
                    }
                };
                if let Some(apart) = &mut apart {
                    apart.feed(ingest.offset, &bytes).await;
                }
                if let Err(failure) = ingest.write(bytes).await {
                    break Err(failure);
                }
                self.progress.read(ingest.offset.saturating_sub(counted));
                counted = counted.max(ingest.offset);
            };
            tries += 1;
            match written {
                // The part that the daemon has is not lost.
                Err(failure) if failure.passes && tries < WRITES => {
                    tracing::debug!(error = %failure.error, "writing it again");
                }
                Err(failure) => return Err(failure),
                Ok(()) => break,
            }
        }
        Ok(match apart {
            Some(apart) => Some(apart.finish().await),
            None => None,
        })
    }

    /// Bring a manifest or an index into the daemon's store.
    async fn document(
        &self,
        calls: &Calls,
        lease: &Lease<'_>,
        kind: &str,
        manifest: &Manifest,
        mut labels: HashMap<String, String>,
        references: HashMap<String, String>,
    ) -> Result<(), Failure> {
        let size = u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX);
        let content = Content { kind, digest: &manifest.digest, size };
        let Some(mut ingest) = Ingest::open(self.daemon, calls, content).await? else {
            lease.keep(&manifest.digest).await?;
            // The program that brought it may not have needed everything that it refers to.
            return label(self.daemon, &manifest.digest, references).await;
        };
        ingest.write(rest(&manifest.bytes, ingest.offset).unwrap_or_default()).await?;
        labels.extend(references);
        ingest.commit(labels).await
    }

    /// Give the image its name, or a name its new image, and note who may have it.
    async fn store(&self, target: Target, shown_credentials: bool) -> Result<(), Failure> {
        let calls = self.daemon.within(QUICK)?;
        let before = image::target(self.daemon, &calls, self.name).await?;
        let known = before.as_ref().map(|(old, users)| (users.as_deref(), old.digest == target.digest));
        let users = private::after_pull(known, shown_credentials, self.owner);
        // The daemon stores no label that is empty, and removes it from an image that is there.
        let labels = HashMap::from([(private::LABEL.to_owned(), users)]);
        let image = StoredImage {
            name: self.name.to_owned(),
            target: Some(target),
            labels,
            ..StoredImage::default()
        };
        let mut images = calls.images();
        let request = CreateImageRequest { image: Some(image.clone()), ..CreateImageRequest::default() };
        let stored = match images.create(request).await {
            Err(status) if status::exists(&status) => {
                let paths = vec!["target".to_owned(), format!("labels.{}", private::LABEL)];
                let request = UpdateImageRequest {
                    image: Some(image),
                    update_mask: Some(prost_types::FieldMask { paths }),
                    ..UpdateImageRequest::default()
                };
                images.update(request).await.map(drop)
            }
            created => created.map(drop),
        };
        stored.map_err(|status| self.daemon.error(status).into())
    }
}

/// The bytes after the first so many.
fn rest(all: &[u8], offset: u64) -> Option<Vec<u8>> {
    all.get(usize::try_from(offset).ok()?..).map(<[u8]>::to_vec)
}
