//! Notices what other processes write to the store, by inotify on its journal: no polling.

use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::waits::Waits;
use crate::model::{Error, ErrorCode, Result};
use crate::runtime;
use crate::store::Store;

/// Start the thread that refreshes `waits` after every change of the store.
pub(super) fn start(store: &Arc<Store>, waits: &Arc<Waits>) -> Result<()> {
    let journal = store.journal();
    let error = |cause: Errno| {
        let error = std::io::Error::from(cause);
        Error::new(ErrorCode::of_io(&error), format!("cannot watch {}: {error}", journal.display()))
    };
    // The directory, not the file: SQLite may make the journal anew.
    let directory = journal.parent().unwrap_or(Path::new("/"));
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(error)?;
    inotify.add_watch(directory, AddWatchFlags::IN_MODIFY).map_err(error)?;
    let name = journal.file_name().map(ToOwned::to_owned);
    let (store, waits) = (Arc::downgrade(store), Arc::downgrade(waits));
    let body = move || {
        loop {
            match inotify.read_events() {
                Ok(events) if events.iter().any(|event| event.name == name) => {
                    let (Some(store), Some(waits)) = (store.upgrade(), waits.upgrade()) else { return };
                    waits.refresh(&store);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::error!(%error, "changes by other processes are no longer noticed");
                    return;
                }
            }
        }
    };
    runtime::thread("drmaa2-watch", body)
        .map_err(|error| Error::new(ErrorCode::of_io(&error), format!("thread drmaa2-watch: {error}")))
}
