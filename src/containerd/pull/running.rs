//! The pulls of a process that are under way.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use tokio::sync::{Semaphore, watch};

use super::super::unpack::Turns;
use super::progress::{Progress, State};
use crate::model::Result;
use crate::registry;
use crate::sync::Mutex;

/// Pulls at a time.
const PULLS: usize = 8;

pub(super) type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The pulls of a process.
pub(in crate::containerd) struct Pulls {
    running: Mutex<HashMap<Wanted, Known>>,
    /// The turns of pulls.
    pub(super) turns: Arc<Semaphore>,
    /// The turns to unpack a layer of any of them.
    pub(super) unpacks: Turns,
}

/// A request for a pull. Jobs with equal requests share one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// The image's full name.
    pub(super) name: String,
    /// It is pulled even if it is there.
    pub(super) always: bool,
    /// The snapshotter that is to have it.
    pub(super) snapshotter: String,
    /// The settings with which its registry is spoken to: what one may have, another may not.
    pub(super) registry: registry::Settings,
}

struct Known {
    pull: WeakShared<Running>,
    progress: watch::Receiver<State>,
}

/// A pull to wait for.
pub(super) struct Joined {
    pub(super) pull: Shared<Running>,
    pub(super) progress: watch::Receiver<State>,
}

impl Pulls {
    pub(in crate::containerd) fn new() -> Self {
        Self { running: Mutex::default(), turns: Arc::new(Semaphore::new(PULLS)), unpacks: Turns::new() }
    }

    /// The pull of an image, which may be under way; if not, `pull` makes it.
    pub(super) fn join(&self, wanted: Wanted, pull: impl FnOnce(Wanted, Progress) -> Running) -> Joined {
        let mut running = self.running.lock();
        // Those that are over, or were given up, are forgotten here.
        running.retain(|_, known| known.pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        if let Some(known) = running.get(&wanted)
            && let Some(pull) = known.pull.upgrade()
        {
            return Joined { pull, progress: known.progress.clone() };
        }
        let (sender, progress) = Progress::new();
        let pull = pull(wanted.clone(), sender).shared();
        if let Some(weak) = pull.downgrade() {
            running.insert(wanted, Known { pull: weak, progress: progress.clone() });
        }
        Joined { pull, progress }
    }
}
