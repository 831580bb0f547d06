//! Starts a world: makes it, and starts its threads.

use std::fs::File;
use std::mem;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use super::only_copy::OnlyCopy;
use super::world::{MakeTracker, World};
use super::{dispatch, watch};
use crate::config::{Config, Target};
use crate::drms;
use crate::model::{Error, Result, now};
use crate::runtime::Runtime;
use crate::store::{self, Claim, Store, damage};

impl World {
    /// Start it with this configuration.
    pub(super) fn start(config: Config) -> Result<Arc<Self>> {
        occupy_standard_streams();
        // The store first: it is what may be missing, and leaves nothing then.
        store::make_dir(&config.state_dir)?;
        let only_copy = OnlyCopy::take(&config.state_dir)?;
        let dir = &config.state_dir;
        let store = Store::open(dir).map_err(|error| if_damaged(error, dir, &only_copy))?;
        let runtime = Arc::new(Runtime::start()?);
        let shared = Arc::clone(&runtime);
        let make = move |config: &Config, target: &Target| drms::tracker(config, target, &shared);
        Self::on((store, Some(only_copy)), config, Claim::mine(), Box::new(make)).inspect_err(|_| {
            // Nobody else has it any more.
            if let Some(runtime) = Arc::into_inner(runtime) {
                runtime.end();
            }
        })
    }

    /// Start it with a tracker of the caller's choice, as the process `mine`.
    #[cfg(test)]
    pub(super) fn with(config: Config, mine: Claim, make_tracker: MakeTracker) -> Result<Arc<Self>> {
        // A test has several processes in one.
        Self::on((Store::open(&config.state_dir)?, None), config, mine, make_tracker)
    }

    fn on(
        store: (Store, Option<OnlyCopy>),
        config: Config,
        mine: Claim,
        make_tracker: MakeTracker,
    ) -> Result<Arc<Self>> {
        let world = Self::new(store, config, mine, make_tracker)?;
        dispatch::start(Arc::downgrade(&world), Arc::clone(&world.kick))?;
        // Last: nothing but a change of the store would end this thread.
        let watched = Arc::downgrade(&world);
        watch::start(&world.store.bell(), move || {
            let Some(world) = watched.upgrade() else { return false };
            world.waits.learn(&world.store, |seen| {
                let (glance, changes) = world.store.news(&world.mine, now(), seen);
                // Jobs that wait to be started take precedence over callers that wait for them.
                if world.pending.note(glance) || world.store.may_shrink() {
                    world.kick.ring();
                }
                changes
            });
            world.changes.tell();
            true
        })?;
        Ok(world)
    }
}

/// Set a database aside that cannot be opened since it is damaged, unless another process uses it. The
/// error says so: what was stored is not known any more.
fn if_damaged(error: Error, state_dir: &Path, only_copy: &OnlyCopy) -> Error {
    if !damage::is_there(state_dir) {
        return error;
    }
    let text = match only_copy.is_alone().then(|| damage::set_aside(state_dir)) {
        Some(Ok(aside)) => format!(
            "it was damaged, and is {} now; a new one, without its sessions and jobs, is begun by the next call",
            aside.display()
        ),
        Some(Err(cause)) => format!("it is damaged, and cannot be set aside: {cause}"),
        None => "it is damaged, and is set aside once no other process uses it".to_owned(),
    };
    Error { message: format!("{}: {text}", error.message), ..error }
}

/// Open what is closed of the standard streams, so that no file of the library gets such a number: what the program
/// writes to its standard error would go into the database.
fn occupy_standard_streams() {
    // The lowest number that is free is taken, so three times are enough.
    for _ in 0..3 {
        match File::options().read(true).write(true).open("/dev/null") {
            Ok(file) if file.as_raw_fd() <= libc::STDERR_FILENO => mem::forget(file),
            _ => return,
        }
    }
}
