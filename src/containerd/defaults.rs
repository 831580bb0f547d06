//! The defaults for jobs where neither they nor the configuration say: the labels of the daemon's namespace, by which
//! containerd's own clients go too, and the built-in ones.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use containerd_client::services::v1::GetNamespaceRequest;

use super::connect::{Daemon, QUICK};
use super::status;
use crate::model::Result;
use crate::sync::Mutex;

/// The snapshotter of a namespace that names none.
pub(super) const SNAPSHOTTER: &str = "overlayfs";
/// The runtime of a namespace that names none.
pub(super) const RUNTIME: &str = "io.containerd.runc.v2";

/// The label of a namespace with the name of its snapshotter.
pub(super) const SNAPSHOTTER_LABEL: &str = "containerd.io/defaults/snapshotter";
/// The label of a namespace with the name of its runtime.
const RUNTIME_LABEL: &str = "containerd.io/defaults/runtime";

/// The time for which an answer of the daemon counts: the jobs of a burst share a call.
const FRESH: Duration = Duration::from_secs(2);

/// The defaults of a namespace; `None` where it names none.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    pub(super) snapshotter: Option<String>,
    pub(super) runtime: Option<String>,
}

/// The defaults of the namespace that a tracker works in.
#[derive(Default)]
pub(super) struct Defaults {
    known: Mutex<Option<(Instant, Named)>>,
}

impl Defaults {
    /// The present ones.
    pub(super) async fn of(&self, daemon: &Daemon) -> Result<Named> {
        let known = self.known.lock().clone();
        if let Some((_, named)) = known.filter(|(asked, _)| asked.elapsed() < FRESH) {
            return Ok(named);
        }
        let asked = Instant::now();
        let request = GetNamespaceRequest { name: daemon.namespace().to_owned() };
        let mut labels = match daemon.within(QUICK)?.namespaces().get(request).await {
            Ok(answer) => answer.into_inner().namespace.unwrap_or_default().labels,
            // It comes with its first object.
            Err(status) if status::not_found(&status) => HashMap::new(),
            Err(status) => return Err(daemon.error(status)),
        };
        let mut label = |name| labels.remove(name).filter(|value: &String| !value.is_empty());
        let named = Named { snapshotter: label(SNAPSHOTTER_LABEL), runtime: label(RUNTIME_LABEL) };
        *self.known.lock() = Some((asked, named.clone()));
        Ok(named)
    }
}
