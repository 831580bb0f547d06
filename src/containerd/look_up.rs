//! Look-ups of what the daemon has of a job.

use std::path::Path;

use containerd_client::services::v1::{
    Container, GetContainerRequest, GetRequest, ListContainersRequest,
};
use containerd_client::types::v1::{Process, Status};
use serde_json::Value;

use super::connect::QUICK;
use super::tracker_core::Core;
use super::{labels, status};
use crate::model::{Error, ErrorCode, Result};

/// containerd's limit of the length of an id.
pub(super) const MAX_ID: usize = 76;

/// Returns the id if containerd could have issued it; any other belongs to no job, and must not become
/// part of a path.
pub(super) fn checked(id: &str) -> Result<String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let fits = id.len() <= MAX_ID && id.starts_with(|char: char| char.is_ascii_alphanumeric());
    if fits && id.chars().all(plain) { Ok(id.to_owned()) } else { Err(unknown_job(id)) }
}

/// The error for a missing job.
pub(super) fn unknown_job(id: &str) -> Error {
    Error::argument(format!("containerd has no job {id}"))
}

/// A job's container, if there is one.
pub(super) async fn container(core: &Core, id: &str) -> Result<Option<Container>> {
    let container = record(core, id).await?;
    Ok(container.filter(|container| !is_relic(container, &core.job_dir(id))))
}

/// Returns whether a container was kept of a deleted job. It belongs to no job any more.
pub(super) fn is_relic(container: &Container, dir: &Path) -> bool {
    labels::is_kept(&container.labels) && !dir.is_dir()
}

/// The daemon's container with a job's id.
pub(super) async fn record(core: &Core, id: &str) -> Result<Option<Container>> {
    container_record(core, &core.container_of(id)).await
}

/// The daemon's record of a container.
pub(super) async fn container_record(core: &Core, container: &str) -> Result<Option<Container>> {
    let request = GetContainerRequest { id: container.to_owned() };
    let answer = core.daemon.within(QUICK)?.containers().get(request).await;
    Ok(known(core, answer)?.and_then(|answer| answer.container))
}

/// A job's PID 1, if there is one; DRM_COMMUNICATION if its shim does not tell.
pub(super) async fn process(core: &Core, id: &str) -> Result<Option<Process>> {
    first_process(core, &core.container_of(id)).await
}

/// The first process of a container, likewise.
pub(super) async fn first_process(core: &Core, container: &str) -> Result<Option<Process>> {
    match shown_process(core, container).await? {
        Some(process) if process.status() == Status::Unknown => {
            let text = format!("container {container}: its shim does not tell its state");
            Err(Error::new(ErrorCode::DrmCommunication, text))
        }
        process => Ok(process),
    }
}

/// The first process of a container as the daemon shows it: one whose shim does not answer within two seconds has an unknown
/// state, and the pid 0.
pub(super) async fn shown_process(core: &Core, container: &str) -> Result<Option<Process>> {
    let request = GetRequest { container_id: container.to_owned(), exec_id: String::new() };
    let answer = core.daemon.within(QUICK)?.tasks().get(request).await;
    Ok(known(core, answer)?.and_then(|answer| answer.process))
}

/// The requested containers. One message each: a single answer may not be larger than 16 MiB.
pub(super) async fn containers(core: &Core, wanted: ListContainersRequest) -> Result<Vec<Container>> {
    let mut containers = core.daemon.within(QUICK)?.containers();
    let list = async {
        let mut stream = containers.list_stream(wanted).await?.into_inner();
        let mut all = Vec::new();
        while let Some(message) = stream.message().await? {
            all.extend(message.container);
        }
        Ok(all)
    };
    list.await.map_err(|status| core.daemon.error(status))
}

/// A container's spec; empty if it has none that can be read.
pub(super) fn spec_of(container: &Container) -> Value {
    let bytes = container.spec.as_ref().map_or(&[][..], |spec| &spec.value);
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// The memory limit of a container, bytes.
pub(super) fn memory_limit(container: &Container) -> Option<i64> {
    spec_of(container)["linux"]["resources"]["memory"]["limit"].as_i64()
}

/// The result of a call; `None` for NOT_FOUND.
fn known<T>(
    core: &Core,
    answer: std::result::Result<containerd_client::tonic::Response<T>, containerd_client::tonic::Status>,
) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status::not_found(&status) => Ok(None),
        Err(status) => Err(core.daemon.error(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;

    #[test]
    fn an_id_never_leaves_its_directory() {
        for id in ["", ".", "..", "../x", "a/b", "/etc", "a\0", "-a", &"a".repeat(MAX_ID + 1)] {
            assert_eq!(checked(id).unwrap_err().code, ErrorCode::InvalidArgument, "{id}");
        }
        for id in ["01j9z", "01j9z.1000000", "Some_other-container"] {
            assert_eq!(checked(id).unwrap(), id);
        }
    }
}
