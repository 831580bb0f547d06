//! Notices writes of any process to the store, by inotify on its bell: no polling.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};

use crate::model::{Error, ErrorCode, Result};
use crate::runtime;

/// Start the thread that calls `changed` after every change of the store, until it returns false, or the store is deleted.
pub(super) fn start(bell: &Path, changed: impl Fn() -> bool + Send + 'static) -> Result<()> {
    let error = |cause: Errno| {
        let error = std::io::Error::from(cause);
        Error::new(ErrorCode::of_io(&error), format!("cannot watch {}: {error}", bell.display()))
    };
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(error)?;
    // The deletion of the bell, and of the store with it, is a change of its attributes.
    inotify.add_watch(bell, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ATTRIB).map_err(error)?;
    let bell = bell.to_owned();
    let is_deleted =
        move |event: &InotifyEvent| event.mask.contains(AddWatchFlags::IN_ATTRIB) && !bell.exists();
    let body = move || {
        loop {
            match inotify.read_events() {
                Ok(events) if changed() && !events.iter().any(&is_deleted) => {}
                Ok(_) => return,
                Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::error!(%error, "changes by other processes are no longer noticed");
                    return;
                }
            }
        }
    };
    runtime::thread("drmaa2-watch", body)
}
