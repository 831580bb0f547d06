//! Make the snapshots of an image whose content is there but was never unpacked.

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

use super::connect::{Calls, Daemon, QUICK, UNPACK};
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
    let calls = daemon.within(UNPACK)?.leased(lease)?;
    let mut parent = "";
    for layer in &image.layers {
        keep(daemon, &calls, snapshotter, lease, &layer.chain_id).await?;
        unpack_layer(daemon, &calls, snapshotter, parent, layer).await?;
        parent = &layer.chain_id;
    }
    // The image keeps its snapshots from the collector through a label of its configuration.
    let label = format!("containerd.io/gc.ref.snapshot.{snapshotter}");
    let request = UpdateContentRequest {
        update_mask: Some(prost_types::FieldMask { paths: vec![format!("labels.{label}")] }),
        info: Some(Info {
            digest: image.config_digest.clone(),
            labels: [(label, parent.to_owned())].into(),
            ..Info::default()
        }),
    };
    calls.content().update(request).await.map_err(|status| daemon.error(status))?;
    Ok(())
}

/// Keep a snapshot from the collector, whoever makes it or has made it: what an attempt that failed has left is removed
/// at any moment, and it may be found just before. It need not be there yet.
async fn keep(
    daemon: &Daemon,
    calls: &Calls,
    snapshotter: &str,
    lease: &str,
    chain_id: &str,
) -> Result<()> {
    let resource = Resource { id: chain_id.to_owned(), r#type: format!("snapshots/{snapshotter}") };
    let request = AddResourceRequest { id: lease.to_owned(), resource: Some(resource) };
    let added = calls.leases().add_resource(request).await;
    added.map(drop).map_err(|status| daemon.error(status))
}

async fn unpack_layer(
    daemon: &Daemon,
    calls: &Calls,
    snapshotter: &str,
    parent: &str,
    layer: &Layer,
) -> Result<()> {
    let name = &layer.chain_id;
    let stat = StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: name.clone() };
    match calls.snapshots().stat(stat).await {
        Ok(_) => return Ok(()),
        Err(status) if status::not_found(&status) => {}
        Err(status) => return Err(daemon.error(status)),
    }
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
            return Err(Error::argument(format!("a layer is {applied} but should be {wanted}")));
        }
        let commit = CommitSnapshotRequest {
            snapshotter: snapshotter.to_owned(),
            name: name.clone(),
            key: key.clone(),
            labels: HashMap::new(),
        };
        match calls.snapshots().commit(commit).await {
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
