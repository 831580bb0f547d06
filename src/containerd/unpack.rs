//! Snapshots of images, made of their layers: of one that was never unpacked, or of one that is on its way.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::services::v1::{
    AddResourceRequest, ApplyRequest, CreateRequest as CreateLeaseRequest,
    DeleteRequest as DeleteLeaseRequest, Info, Resource, UpdateRequest as UpdateContentRequest,
};
use containerd_client::types::Descriptor;
use ulid::Ulid;

use super::connect::{Calls, Daemon, QUICK, RUN, UNPACK};
use super::image::{Image, Layer};
use super::status;
use crate::model::{Error, Result};

/// A lease ends by itself after this time, should its maker die.
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);

/// Make all snapshots of an image. May run at the same time here and in other programs: a layer
/// that somebody else has committed meanwhile counts as done.
pub(super) async fn unpack(daemon: &Daemon, snapshotter: &str, image: &Image) -> Result<()> {
    let lease = format!("drmaa2-unpack-{}", Ulid::generate().to_string().to_lowercase());
    let quick = daemon.within(QUICK)?;
    let request = CreateLeaseRequest { id: lease.clone(), labels: lease_labels() };
    quick.leases().create(request).await.map_err(|status| daemon.error(status))?;
    let done = unpack_leased(daemon, snapshotter, image, &lease).await;
    let request = DeleteLeaseRequest { id: lease, sync: false };
    if let Err(status) = quick.leases().delete(request).await {
        tracing::debug!(%status, "cannot delete a lease; it will expire");
    }
    done.map_err(|error| error.of(format_args!("cannot unpack image {}", image.name)))
}

async fn unpack_leased(daemon: &Daemon, snapshotter: &str, image: &Image, lease: &str) -> Result<()> {
    let snapshots = Snapshots::under(daemon, snapshotter, lease)?;
    let mut parent = "";
    for layer in &image.layers {
        snapshots.make(parent, layer).await?;
        parent = &layer.chain_id;
    }
    snapshots.belong_to(&image.config_digest, parent).await
}

/// The snapshots of an image, made one after another under a lease that keeps them until all are there.
pub(super) struct Snapshots<'a> {
    daemon: &'a Daemon,
    snapshotter: &'a str,
    lease: &'a str,
    /// A snapshotter may copy all that is below a layer.
    calls: Calls,
    quick: Calls,
}

impl<'a> Snapshots<'a> {
    /// None yet; the lease is there.
    pub(super) fn under(daemon: &'a Daemon, snapshotter: &'a str, lease: &'a str) -> Result<Self> {
        let calls = daemon.within(UNPACK)?.leased(lease)?;
        let quick = daemon.within(QUICK)?.leased(lease)?;
        Ok(Self { daemon, snapshotter, lease, calls, quick })
    }

    /// Make that of a layer, whose content is there, on that of the layer below.
    pub(super) async fn make(&self, parent: &str, layer: &Layer) -> Result<()> {
        if self.has(&layer.chain_id).await? {
            return Ok(());
        }
        let made = self.unpack(parent, layer).await;
        made.map_err(|error| error.of(format_args!("layer {}", layer.content.digest())))
    }

    /// The image keeps its snapshots from the collector through a label of its configuration.
    pub(super) async fn belong_to(&self, config_digest: &str, top: &str) -> Result<()> {
        let label = format!("containerd.io/gc.ref.snapshot.{}", self.snapshotter);
        let request = UpdateContentRequest {
            update_mask: Some(prost_types::FieldMask { paths: vec![format!("labels.{label}")] }),
            info: Some(Info {
                digest: config_digest.to_owned(),
                labels: [(label, top.to_owned())].into(),
                ..Info::default()
            }),
        };
        let updated = self.quick.content().update(request).await;
        updated.map(drop).map_err(|status| self.daemon.error(status))
    }

    /// Returns whether a snapshot is there. The lease keeps it from the collector, which may remove at any moment the
    /// rest of a pull that failed, or of an image that is gone; so it is added before the look.
    async fn has(&self, name: &str) -> Result<bool> {
        let kind = format!("snapshots/{}", self.snapshotter);
        let resource = Some(Resource { id: name.to_owned(), r#type: kind });
        let request = AddResourceRequest { id: self.lease.to_owned(), resource };
        self.quick.leases().add_resource(request).await.map_err(|status| self.daemon.error(status))?;
        let stat =
            StatSnapshotRequest { snapshotter: self.snapshotter.to_owned(), key: name.to_owned() };
        match self.quick.snapshots().stat(stat).await {
            Ok(_) => Ok(true),
            Err(status) if status::not_found(&status) => Ok(false),
            Err(status) => Err(self.daemon.error(status)),
        }
    }

    async fn unpack(&self, parent: &str, layer: &Layer) -> Result<()> {
        let (daemon, calls, snapshotter) = (self.daemon, &self.calls, self.snapshotter);
        let name = &layer.chain_id;
        // A key of its own, in the form containerd's own tools use.
        let key = format!("extract-{} {name}", Ulid::generate());
        let prepare = PrepareSnapshotRequest {
            snapshotter: snapshotter.to_owned(),
            key: key.clone(),
            parent: parent.to_owned(),
            labels: HashMap::new(),
        };
        let mounts = calls.snapshots().prepare(prepare).await.map_err(|status| daemon.error(status))?;
        let apply = ApplyRequest {
            diff: Some(descriptor(layer)),
            mounts: mounts.into_inner().mounts,
            ..ApplyRequest::default()
        };
        let committed = async {
            let applied = calls.diff().apply(apply).await.map_err(|status| daemon.error(status))?;
            let applied = applied.into_inner().applied.unwrap_or_default().digest;
            if applied != layer.diff_id {
                let wanted = &layer.diff_id;
                return Err(Error::argument(format!("it is {applied} but should be {wanted}")));
            }
            let commit = CommitSnapshotRequest {
                snapshotter: snapshotter.to_owned(),
                name: name.clone(),
                key: key.clone(),
                labels: HashMap::new(),
            };
            match daemon.within(RUN)?.leased(self.lease)?.snapshots().commit(commit).await {
                Ok(_) => Ok(true),
                Err(status) if status::exists(&status) => Ok(false),
                Err(status) => Err(daemon.error(status)),
            }
        };
        let committed = committed.await;
        if !matches!(committed, Ok(true)) {
            let remove = RemoveSnapshotRequest { snapshotter: snapshotter.to_owned(), key };
            if let Err(status) = calls.snapshots().remove(remove).await {
                tracing::debug!(%status, "cannot remove an unfinished snapshot; the collector will");
            }
        }
        committed.map(drop)
    }
}

fn descriptor(layer: &Layer) -> Descriptor {
    Descriptor {
        media_type: layer.content.media_type().to_string(),
        digest: layer.content.digest().to_string(),
        size: layer.content.size().try_into().unwrap_or(i64::MAX),
        annotations: HashMap::new(),
    }
}

fn lease_labels() -> HashMap<String, String> {
    let expires = prost_types::Timestamp::from(SystemTime::now() + LEASE);
    [("containerd.io/gc.expire".to_owned(), expires.to_string())].into()
}
