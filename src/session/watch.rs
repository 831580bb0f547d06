//! Notices what other processes write to the store, by inotify on its bell: no polling.

use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::waits::Waits;
use crate::model::{Error, ErrorCode, Result};
use crate::runtime;
use crate::store::Store;

/// Start the thread that refreshes `waits` after every change of the store.
pub(super) fn start(store: &Arc<Store>, waits: &Arc<Waits>) -> Result<()> {
    let bell = store.bell();
    let error = |cause: Errno| {
        let error = std::io::Error::from(cause);
        Error::new(ErrorCode::of_io(&error), format!("cannot watch {}: {error}", bell.display()))
    };
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(error)?;
    inotify.add_watch(&bell, AddWatchFlags::IN_MODIFY).map_err(error)?;
    let (store, waits) = (Arc::downgrade(store), Arc::downgrade(waits));
    let body = move || {
        loop {
            match inotify.read_events() {
                Ok(_) => {
                    let (Some(store), Some(waits)) = (store.upgrade(), waits.upgrade()) else { return };
                    waits.refresh(&store);
                }
                Err(Errno::EINTR) => {}
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
