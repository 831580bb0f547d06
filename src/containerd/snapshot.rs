//! The snapshotter of a job.

use containerd_client::services::v1::snapshots::StatSnapshotRequest;
use containerd_client::tonic::Code;

use super::connect::QUICK;
use super::defaults::SNAPSHOTTER_LABEL;
use super::tracker_core::Core;
use crate::model::{Error, Extensions, Result};

/// Refuse a snapshotter that the daemon does not have, if the job or the namespace names one.
pub(super) async fn check(core: &Core, wanted: &Extensions) -> Result<()> {
    let (place, snapshotter) = match (&wanted.snapshotter, &core.settings.snapshotter) {
        (Some(own), _) => ("job template attribute containerd_jt_snapshotter".to_owned(), own.clone()),
        (None, Some(_)) => return Ok(()),
        (None, None) => match core.defaults.of(&core.daemon).await?.snapshotter {
            Some(label) => {
                (format!("label {SNAPSHOTTER_LABEL} of namespace {}", core.daemon.namespace()), label)
            }
            None => return Ok(()),
        },
    };
    let attribute = format!("{place} is \"{snapshotter}\"");
    // Only an existing snapshotter can report that it has no such snapshot.
    let request = StatSnapshotRequest { snapshotter, key: "drmaa2-is-it-there".to_owned() };
    match core.daemon.within(QUICK)?.snapshots().stat(request).await {
        Err(status) if status.code() == Code::InvalidArgument => Err(Error::argument(format!(
            "{attribute}: containerd does not have it: {}",
            status.message()
        ))),
        Err(status) if status.code() != Code::NotFound => Err(core.daemon.error(status).of(attribute)),
        _ => Ok(()),
    }
}
