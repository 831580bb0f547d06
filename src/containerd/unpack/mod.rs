//! Snapshots of images, made of their layers: of one that was never unpacked, or of one that is on its way.

mod apart;
mod extract;
mod implied;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
    UsageRequest,
};
use containerd_client::services::v1::{
    AddResourceRequest, ApplyRequest, CreateRequest as CreateLeaseRequest,
    DeleteRequest as DeleteLeaseRequest, Info, Resource, UpdateRequest as UpdateContentRequest,
};
use containerd_client::types::{Descriptor, Mount};
use ulid::Ulid;

pub(super) use self::apart::{Apart, Turns, Unpacked};
use self::extract::Form;
use super::connect::{Calls, Daemon, QUICK, RUN, UNPACK};
use super::image::{Image, Layer};
use super::status;
use crate::images::archive::{is_plain, may_be_packed};
#[cfg(feature = "fuzzing")]
use crate::images::entry::{self, Kind, Place};
use crate::model::{Error, Result};
use crate::sync::Mutex;

/// The snapshotter whose directories are known.
const OVERLAYFS: &str = "overlayfs";
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
    let snapshots = Snapshots::under(daemon, snapshotter, lease, None)?;
    let mut parent = "";
    for layer in &image.layers {
        snapshots.make(parent, layer, None).await?;
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
    /// The turns to unpack layers here; without, all are left to containerd.
    turns: Option<&'a Turns>,
    /// The keys of those in which layers are unpacked that have no place yet.
    apart: Mutex<Vec<String>>,
    /// A layer that was unpacked has no place in its snapshot, so others will have none.
    in_vain: AtomicBool,
}

impl<'a> Snapshots<'a> {
    /// None yet; the lease is there.
    pub(super) fn under(
        daemon: &'a Daemon,
        snapshotter: &'a str,
        lease: &'a str,
        turns: Option<&'a Turns>,
    ) -> Result<Self> {
        let calls = daemon.within(UNPACK)?.leased(lease)?;
        let quick = daemon.within(QUICK)?.leased(lease)?;
        Ok(Self {
            daemon,
            snapshotter,
            lease,
            calls,
            quick,
            turns,
            apart: Mutex::default(),
            in_vain: AtomicBool::default(),
        })
    }

    /// Make that of a layer, whose content is there, on that of the layer below.
    pub(super) async fn make(
        &self,
        parent: &str,
        layer: &Layer,
        unpacked: Option<Unpacked>,
    ) -> Result<()> {
        let made = match self.has(&layer.chain_id).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let made = self.unpack(parent, layer, unpacked.as_ref()).await;
                made.map_err(|error| error.of(format_args!("layer {}", layer.content.digest())))
            }
            Err(error) => Err(error),
        };
        if let Some(unpacked) = unpacked {
            self.apart.lock().retain(|key| *key != unpacked.key);
            self.remove(unpacked.key).await;
        }
        made
    }

    /// Begin to unpack a layer as its bytes come, if this process can do that.
    pub(super) async fn apart(&self, layer: &Layer) -> Option<Apart> {
        if self.snapshotter != OVERLAYFS || !is_plain(layer.content.media_type()) {
            return None;
        }
        if self.in_vain.load(Ordering::Relaxed) {
            return None;
        }
        let turn = self.turns?.take()?;
        if !matches!(self.has(&layer.chain_id).await, Ok(false)) {
            return None;
        }
        let key = format!("extract-{} {} apart", Ulid::generate(), layer.chain_id);
        let mounts = self.prepare(&self.quick, &key, "").await.ok()?;
        let form = Form {
            is_lowest: layer.chain_id == layer.diff_id,
            may_be_packed: may_be_packed(layer.content.media_type()),
        };
        let begun = match self.seen(&key, &mounts).await {
            Some(directory) => Apart::begin(&key, directory, form, turn).ok(),
            None => None,
        };
        if begun.is_none() {
            self.remove(key).await;
        } else {
            self.apart.lock().push(key);
        }
        begun
    }

    /// Remove what is left of layers that were to be unpacked.
    pub(super) async fn clear(&self) {
        let left = std::mem::take(&mut *self.apart.lock());
        for key in left {
            self.remove(key).await;
        }
    }

    /// The directory of a new snapshot, if containerd sees what happens in it: the same path could be another directory,
    /// if one of us is in a container.
    async fn seen(&self, key: &str, mounts: &[Mount]) -> Option<apart::Directory> {
        let directory = apart::Directory::of(mounts)?;
        directory.mark().ok()?;
        let request = UsageRequest { snapshotter: self.snapshotter.to_owned(), key: key.to_owned() };
        let usage = self.quick.snapshots().usage(request).await;
        directory.clear().ok()?;
        // The directory itself, and the mark.
        (usage.ok()?.into_inner().inodes == 2).then_some(directory)
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

    async fn prepare(&self, calls: &Calls, key: &str, parent: &str) -> Result<Vec<Mount>> {
        let request = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: HashMap::new(),
        };
        let prepared = calls.snapshots().prepare(request).await;
        Ok(prepared.map_err(|status| self.daemon.error(status))?.into_inner().mounts)
    }

    async fn remove(&self, key: String) {
        let request = RemoveSnapshotRequest { snapshotter: self.snapshotter.to_owned(), key };
        if let Err(status) = self.quick.snapshots().remove(request).await {
            tracing::debug!(%status, "cannot remove an unfinished snapshot; the collector will");
        }
    }

    async fn unpack(&self, parent: &str, layer: &Layer, unpacked: Option<&Unpacked>) -> Result<()> {
        let name = &layer.chain_id;
        // A key of its own, in the form containerd's own tools use.
        let key = format!("extract-{} {name}", Ulid::generate());
        let mounts = self.prepare(&self.calls, &key, parent).await?;
        let committed = async {
            let unpacked = unpacked.filter(|unpacked| unpacked.is(&layer.diff_id));
            let place = unpacked.and_then(|unpacked| unpacked.place(&mounts, parent.is_empty()));
            self.in_vain.fetch_or(unpacked.is_some() && place.is_none(), Ordering::Relaxed);
            let is_there =
                unpacked.zip(place).is_some_and(|(unpacked, place)| unpacked.exchange(&place, &mounts));
            if !is_there {
                self.apply(layer, mounts).await?;
            }
            self.commit(&key, name).await
        };
        let committed = committed.await;
        if !matches!(committed, Ok(true)) {
            self.remove(key).await;
        }
        committed.map(drop)
    }

    /// Let containerd unpack a layer.
    async fn apply(&self, layer: &Layer, mounts: Vec<Mount>) -> Result<()> {
        let apply = ApplyRequest { diff: Some(descriptor(layer)), mounts, ..ApplyRequest::default() };
        let applied =
            self.calls.diff().apply(apply).await.map_err(|status| self.daemon.error(status))?;
        let applied = applied.into_inner().applied.unwrap_or_default().digest;
        if applied != layer.diff_id {
            let wanted = &layer.diff_id;
            return Err(Error::argument(format!("it is {applied} but should be {wanted}")));
        }
        Ok(())
    }

    /// Returns whether it is this snapshot that has got the name, and not another's.
    async fn commit(&self, key: &str, name: &str) -> Result<bool> {
        let commit = CommitSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: HashMap::new(),
        };
        match self.daemon.within(RUN)?.leased(self.lease)?.snapshots().commit(commit).await {
            Ok(_) => Ok(true),
            Err(status) if status::exists(&status) => Ok(false),
            Err(status) => Err(self.daemon.error(status)),
        }
    }
}

/// Read the entries of an archive: none leads out of the directory that it is unpacked into.
#[cfg(feature = "fuzzing")]
pub(super) fn check_entries(archive: &[u8]) {
    let is_name =
        |name: &[u8]| !name.contains(&0) && !name.contains(&b'/') && !matches!(name, b"" | b"." | b"..");
    let is_within = |place: &Place| {
        let path = place.path();
        path.is_empty() || path.split(|byte| *byte == b'/').all(is_name)
    };
    let _ = entry::each(archive, |entry, _| {
        assert!(is_within(&entry.place), "{entry:?}");
        if let Kind::HardLink(target) = &entry.kind {
            assert!(is_within(target), "{entry:?}");
        }
        Ok(())
    });
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
