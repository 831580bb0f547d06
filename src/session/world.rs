//! All that the library keeps at work in one process: store, waits, and an engine for each runtime.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::engine::Engine;
use super::waits::Waits;
use super::watch;
use crate::config::{Config, Target};
use crate::drms;
use crate::model::{Error, Result};
use crate::runtime::Runtime;
use crate::store::Store;
use crate::tracker::JobTracker;

/// How long closing a session waits for the clean-up of its jobs.
const DRAIN: Duration = Duration::from_secs(20);

type MakeTracker = Box<dyn Fn(&Config, &Target) -> Result<Arc<dyn JobTracker>> + Send + Sync>;

/// See the module.
pub(super) struct World {
    config: Config,
    pub(super) store: Arc<Store>,
    pub(super) waits: Arc<Waits>,
    make_tracker: MakeTracker,
    /// By the name of the runtime in the store.
    engines: Mutex<HashMap<String, Arc<Engine>>>,
}

impl World {
    /// With the configuration of this process, on containerd.
    pub(super) fn start() -> Result<Arc<Self>> {
        drms::start_log();
        let config = Config::load()?;
        let runtime = Arc::new(Runtime::start()?);
        Self::with(config, Box::new(move |config, target| drms::tracker(config, target, &runtime)))
    }

    pub(super) fn with(config: Config, make_tracker: MakeTracker) -> Result<Arc<Self>> {
        let store = Arc::new(Store::open(&config.state_dir)?);
        let waits = Arc::new(Waits::default());
        watch::start(&store, &waits)?;
        let engines = Mutex::default();
        Ok(Arc::new(Self { config, store, waits, make_tracker, engines }))
    }

    /// The name in the store of the runtime that a contact string selects.
    pub(super) fn target(&self, contact: Option<&str>) -> Result<String> {
        let target = self.config.target(contact)?;
        serde_json::to_string(&target).map_err(|error| Error::internal(error.to_string()))
    }

    /// The engine of a runtime.
    pub(super) fn engine(&self, target: &str) -> Result<Arc<Engine>> {
        let mut engines = self.engines.lock();
        if let Some(engine) = engines.get(target) {
            return Ok(Arc::clone(engine));
        }
        let parsed: Target = serde_json::from_str(target)
            .map_err(|error| Error::internal(format!("runtime \"{target}\" in the store: {error}")))?;
        let tracker = (self.make_tracker)(&self.config, &parsed)?;
        let (store, waits) = (Arc::clone(&self.store), Arc::clone(&self.waits));
        let engine = Engine::start(tracker, target.to_owned(), store, waits)?;
        engines.insert(target.to_owned(), Arc::clone(&engine));
        Ok(engine)
    }

    /// The engine of the runtime that no contact string selects.
    pub(super) fn default_engine(&self) -> Result<Arc<Engine>> {
        self.engine(&self.target(None)?)
    }

    /// Let the clean-ups that are under way end, and bring the store to stable storage.
    pub(super) fn drain(&self) -> Result<()> {
        let deadline = Instant::now() + DRAIN;
        let engines: Vec<_> = self.engines.lock().values().cloned().collect();
        engines.iter().for_each(|engine| engine.drain(deadline));
        self.store.sync()
    }
}
