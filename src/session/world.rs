//! The world: all that the library keeps at work in one process, namely store, waits, the dispatcher,
//! and an engine for each runtime.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::engine::Engine;
use super::kick::Kick;
use super::listener::Listener;
use super::only_copy::OnlyCopy;
use super::pending::Pending;
use super::progress::Doing;
use super::waits::Waits;
use crate::config::{Agent, Config, Limits, Target};
use crate::model::{Error, Machine, Result, now};
use crate::store::{Claim, Session, Store};
use crate::sync::Mutex;
use crate::tracker::JobTracker;

/// The longest time that closing a session waits for the clean-up of its jobs.
const DRAIN: Duration = Duration::from_secs(20);

pub(super) type MakeTracker = Box<dyn Fn(&Config, &Target) -> Result<Arc<dyn JobTracker>> + Send + Sync>;

/// A machine and its capacity.
pub(super) struct Capacity {
    pub(super) machine: Machine,
    /// The name of its runtime in the store.
    pub(super) target: String,
    /// The limits that apply to jobs.
    pub(super) limits: Limits,
    pub(super) slots: i64,
    /// Kilobytes; `None` if unknown.
    pub(super) memory: Option<i64>,
}

/// The id of a job or array, and the engine that runs it.
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
    pub(super) kick: Arc<Kick>,
    pub(super) pending: Pending,
    /// This process.
    pub(super) mine: Claim,
    /// Kept as long as the store is used.
    _only_copy: Option<OnlyCopy>,
    /// The submissions of each session, kept if only this process may be there to start them.
    accepted: Mutex<HashMap<i64, Vec<Accepted>>>,
}

impl World {
    /// Make it without its threads.
    pub(super) fn new(
        (store, only_copy): (Store, Option<OnlyCopy>),
        config: Config,
        mine: Claim,
        make_tracker: MakeTracker,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            config,
            store: Arc::new(store),
            waits: Arc::default(),
            changes: Arc::default(),
            listener: Listener::default(),
            make_tracker,
            engines: Mutex::default(),
            kick: Arc::new(Kick::new()?),
            pending: Pending::default(),
            mine,
            _only_copy: only_copy,
            accepted: Mutex::default(),
        }))
    }

    /// The name in the store of the runtime that a contact string selects, and the limits for
    /// submissions there.
    pub(super) fn contact(&self, contact: Option<&str>) -> Result<(String, Limits)> {
        let (target, limits) = self.config.reload()?.contact(contact)?;
        Ok((target.name()?, limits))
    }

    /// The engine of a runtime, if there is one yet.
    pub(super) fn present_engine(&self, target: &str) -> Option<Arc<Engine>> {
        self.engines.lock().get(target).cloned()
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

    /// Returns whether the store has work for an agent.
    pub(super) fn has_work(&self) -> Result<bool> {
        Ok(self.store.any_mail()? || !self.store.unsettled_targets()?.is_empty())
    }

    /// Take up the work of processes that are gone, on the runtime of a session and on those of all
    /// jobs.
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

    /// The existing engines.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        self.engines.lock().values().cloned().collect()
    }

    /// The capacity for reservations for a session with this contact string.
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

    /// The engine of the default runtime, which no contact string selects.
    pub(super) fn default_engine(&self) -> Result<Arc<Engine>> {
        self.engine(&self.contact(None)?.0)
    }

    /// Note a stored job or job array of a session.
    pub(super) fn accepted(&self, session: i64, id: &str, engine: &Arc<Engine>) {
        if self.config.agent == Agent::Off {
            let job = (id.to_owned(), Arc::clone(engine));
            self.accepted.lock().entry(session).or_default().push(job);
        }
    }

    /// Let the begun work of this process end, and bring the store to stable storage. Without an agent,
    /// the submissions of the session are started first, as far as their time has come.
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
            engine.drain(|doing| !matches!(doing, Doing::Preparing | Doing::Unchecked), deadline);
        }
        self.store.sync()
    }
}

/// The number of processors of the machine.
pub(super) fn processors() -> i64 {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    i64::try_from(processors).unwrap_or(i64::MAX)
}

impl Drop for World {
    fn drop(&mut self) {
        // The threads find that the world is gone.
        self.kick.ring();
        self.changes.tell();
    }
}
