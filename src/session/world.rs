//! All that the library keeps at work in one process: store, waits, the dispatcher, and an engine for
//! each runtime.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::engine::Engine;
use super::kick::Kick;
use super::notify::Listener;
use super::progress::Doing;
use super::waits::Waits;
use super::{dispatch, watch};
use crate::config::{Agent, Config, Limits, Target};
use crate::drms;
use crate::model::{Error, Machine, Result, now};
use crate::runtime::Runtime;
use crate::store::{Claim, Session, Store};
use crate::sync::Mutex;
use crate::tracker::JobTracker;

/// How long closing a session waits for the clean-up of its jobs.
const DRAIN: Duration = Duration::from_secs(20);

type MakeTracker = Box<dyn Fn(&Config, &Target) -> Result<Arc<dyn JobTracker>> + Send + Sync>;

/// A machine, and what it has to give.
pub(super) struct Capacity {
    pub(super) machine: Machine,
    /// The name of its runtime in the store.
    pub(super) target: String,
    /// Those that jobs are held to.
    pub(super) limits: Limits,
    pub(super) slots: i64,
    /// Kilobytes; `None` if unknown.
    pub(super) memory: Option<i64>,
}

/// The id of what was submitted, and what runs it.
type Accepted = (String, Arc<Engine>);

/// See the module.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) store: Arc<Store>,
    pub(super) waits: Arc<Waits>,
    pub(super) changes: Arc<Changes>,
    pub(super) listener: Listener,
    make_tracker: MakeTracker,
    /// By the name of the runtime in the store.
    engines: Mutex<HashMap<String, Arc<Engine>>>,
    kick: Arc<Kick>,
    /// This process.
    pub(super) mine: Claim,
    /// What was submitted through each session, if nobody but this process may be there to start it.
    accepted: Mutex<HashMap<i64, Vec<Accepted>>>,
}

impl World {
    /// With the configuration of this process, on containerd.
    pub(super) fn start() -> Result<Arc<Self>> {
        drms::start_log();
        Self::on_containerd(Config::load()?)
    }

    /// With this configuration, on containerd.
    pub(super) fn on_containerd(config: Config) -> Result<Arc<Self>> {
        let runtime = Arc::new(Runtime::start()?);
        let make = move |config: &Config, target: &Target| drms::tracker(config, target, &runtime);
        Self::with(config, Claim::mine(), Box::new(make))
    }

    /// With a tracker of the caller's choice, as the process `mine`.
    pub(super) fn with(config: Config, mine: Claim, make_tracker: MakeTracker) -> Result<Arc<Self>> {
        let store = Arc::new(Store::open(&config.state_dir)?);
        let waits = Arc::new(Waits::default());
        let changes = Arc::new(Changes::default());
        let kick = Arc::new(Kick::new()?);
        let engines = Mutex::default();
        let world = Arc::new(Self {
            config,
            store,
            waits,
            changes,
            listener: Listener::default(),
            make_tracker,
            engines,
            kick: Arc::clone(&kick),
            mine,
            accepted: Mutex::default(),
        });
        let watched = Arc::downgrade(&world);
        watch::start(&world.store.bell(), move || {
            let Some(world) = watched.upgrade() else { return false };
            // Jobs that wait to be started come before people who wait for them.
            world.kick.ring();
            world.waits.refresh(&world.store);
            world.changes.tell();
            true
        })?;
        dispatch::start(Arc::downgrade(&world), kick)?;
        Ok(world)
    }

    /// The name in the store of the runtime that a contact string selects, and the limits that hold
    /// for what is submitted there.
    pub(super) fn contact(&self, contact: Option<&str>) -> Result<(String, Limits)> {
        let (target, limits) = self.config.reload()?.contact(contact)?;
        Ok((target.name()?, limits))
    }

    /// The engine of a runtime.
    pub(super) fn engine(&self, target: &str) -> Result<Arc<Engine>> {
        let mut engines = self.engines.lock();
        if let Some(engine) = engines.get(target) {
            return Ok(Arc::clone(engine));
        }
        let tracker = (self.make_tracker)(&self.config, &Target::named(target)?)?;
        let (store, waits) = (Arc::clone(&self.store), Arc::clone(&self.waits));
        let engine = Engine::start(
            tracker,
            target.to_owned(),
            store,
            waits,
            (Arc::clone(&self.kick), Arc::clone(&self.changes)),
            self.mine.clone(),
        )?;
        engines.insert(target.to_owned(), Arc::clone(&engine));
        Ok(engine)
    }

    /// Is there anything in the store that an agent would see to?
    pub(super) fn has_work(&self) -> Result<bool> {
        Ok(self.store.any_mail()? || !self.store.unsettled_targets()?.is_empty())
    }

    /// Take up what processes that are gone have left, on the runtime of a session and on those of all jobs.
    pub(super) fn take_up(&self, session: &Session) {
        let targets = || {
            let mut targets = self.store.unsettled_targets()?;
            targets.extend(self.store.given_up_targets()?);
            targets.push(self.contact(session.contact.as_deref())?.0);
            Ok::<_, Error>(targets)
        };
        let targets = targets().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot take up what others have left");
            Vec::new()
        });
        for target in targets {
            match self.engine(&target) {
                Ok(engine) => engine.subscribe(),
                Err(error) => tracing::debug!(%error, %target, "cannot take up what others have left"),
            }
        }
    }

    /// The engines that are there.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        self.engines.lock().values().cloned().collect()
    }

    /// What can be reserved for the jobs of a session with this contact string.
    pub(super) fn capacity(&self, contact: Option<&str>) -> Result<Capacity> {
        let (target, limits) = self.contact(contact)?;
        let engine = self.engine(&target)?;
        let machines = engine.tracker().monitoring().map(|monitoring| monitoring.all_machines());
        let machine = machines.transpose()?.and_then(|machines| machines.into_iter().next());
        let machine = machine
            .ok_or_else(|| Error::unsupported("a reservation on a runtime that shows no machine"))?;
        let physical = Some(machine.phys_memory).filter(|memory| *memory > 0);
        Ok(Capacity {
            slots: limits.slots.unwrap_or_else(processors),
            memory: limits.memory.or(physical),
            limits,
            target,
            machine,
        })
    }

    /// The engine of the runtime that no contact string selects.
    pub(super) fn default_engine(&self) -> Result<Arc<Engine>> {
        self.engine(&self.contact(None)?.0)
    }

    /// A session has stored a job or a job array.
    pub(super) fn accepted(&self, session: i64, id: &str, engine: &Arc<Engine>) {
        if self.config.agent == Agent::Off {
            let job = (id.to_owned(), Arc::clone(engine));
            self.accepted.lock().entry(session).or_default().push(job);
        }
    }

    /// Let what this process has begun end, and bring the store to stable storage. Without an agent,
    /// what was submitted through the session is started first, as far as it is its time.
    pub(super) fn drain(&self, session: &Session) -> Result<()> {
        let accepted = self.accepted.lock().remove(&session.id).unwrap_or_default();
        loop {
            let seen = self.changes.seen();
            let startable = accepted.iter().filter(|(_, engine)| !engine.is_lost()).map(|(id, _)| id);
            if !self.store.any_waits(startable, now())? {
                break;
            }
            self.changes.wait(seen, None);
        }
        let deadline = Instant::now() + DRAIN;
        for engine in self.engines() {
            engine.drain(
                |doing| matches!(doing, Doing::Starting | Doing::Undoing | Doing::Cleaning),
                deadline,
            );
        }
        self.store.sync()
    }
}

/// How many processors the machine has.
pub(super) fn processors() -> i64 {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    i64::try_from(processors).unwrap_or(i64::MAX)
}

impl Drop for World {
    fn drop(&mut self) {
        // The threads find the world gone.
        self.kick.ring();
        self.changes.tell();
    }
}
