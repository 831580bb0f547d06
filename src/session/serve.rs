//! The agent's work: it serves every job of the store that is not settled, of any runtime.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::broker;
use super::engine::Engine;
use super::world::World;
use crate::agent::Lock;
use crate::agent::stay::{self, Work};
use crate::config::{Broker, Config};
use crate::model::{Error, ErrorCode, Result};

/// The time that an agent started for a job stays after its work is done.
const LINGER: Duration = Duration::from_secs(1);

/// Serve the configured state directory. With a lock that was handed over, until no work is left;
/// without one for ever, once no other agent is there. An error is one of the store.
pub fn serve(config: Config, handed: Option<Lock>) -> Result<()> {
    let world = World::start(config)?;
    if handed.is_none() {
        let path = match &world.config.broker {
            Broker::At(path) => Some(path.as_path()),
            Broker::Default | Broker::Off => None,
        };
        if let Some(socket) = broker::listener(path)? {
            broker::open(&world, socket)?;
        }
    }
    let linger = handed.is_some().then_some(LINGER);
    let lock = match handed {
        Some(lock) => lock,
        None => Lock::wait(&world.config.state_dir)?,
    };
    stay::stay(&lock, &mut Service::new(world), linger)
}

/// The service of a world's store.
struct Service {
    world: Arc<World>,
    /// The served runtimes, by their names in the store, which keeps their engines.
    served: HashMap<String, Arc<Engine>>,
    /// Runtimes that cannot be served, so that this is logged once.
    refused: HashSet<String>,
    /// There were jobs since the last sweep. A call of a process that died may have been carried out
    /// after that.
    unswept: bool,
    /// The changes of the store up to the last look.
    seen: u64,
}

impl Service {
    fn new(world: Arc<World>) -> Self {
        let (served, refused) = Default::default();
        Self { world, served, refused, unswept: false, seen: 0 }
    }

    /// Follow the jobs of a runtime. False if that is impossible, for another agent too: for instance
    /// without an init.
    fn follow(&mut self, target: String) -> bool {
        if self.served.contains_key(&target) {
            return true;
        }
        match self.world.engine(&target) {
            Ok(engine) => {
                engine.subscribe();
                self.served.insert(target, engine);
                true
            }
            Err(error) => {
                if self.refused.insert(target) {
                    tracing::error!(%error, "the jobs of a runtime cannot be seen to");
                }
                false
            }
        }
    }
}

impl Work for Service {
    fn unfinished(&mut self) -> Result<bool> {
        self.seen = self.world.changes.seen();
        if !self.world.store.is_there() {
            let text = format!("{} is gone", self.world.config.state_dir.display());
            return Err(Error::new(ErrorCode::SessionManagement, text).of("state directory"));
        }
        let mut any = self.world.store.any_mail()?;
        for target in self.world.store.unsettled_targets()? {
            let follows = self.follow(target);
            self.unswept |= follows;
            any |= follows;
        }
        any |= self.served.values().any(|engine| engine.has_leftovers());
        if !any && std::mem::take(&mut self.unswept) {
            self.served.values().for_each(|engine| engine.sweep());
            any = true;
        }
        Ok(any)
    }

    fn wait(&mut self, limit: Option<Duration>) -> bool {
        self.world.changes.wait(self.seen, limit)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::config::Target;
    use crate::model::Outcome;
    use crate::session::JobSession;
    use crate::session::tests::{Bench, config, start, template};
    use crate::store::Claim;
    use crate::tracker::JobTracker;
    use crate::tracker::fake::FakeTracker;

    /// The agent of a state directory; without a tracker, none of its runtimes can be served.
    fn agent(state_dir: &Path, tracker: Option<&Arc<FakeTracker>>) -> Service {
        let tracker = tracker.cloned();
        let make = move |_: &Config, _: &Target| match &tracker {
            Some(tracker) => Ok(Arc::clone(tracker) as Arc<dyn JobTracker>),
            None => Err(Error::internal("no tracker")),
        };
        Service::new(World::with(config(state_dir, None), Claim::mine(), Box::new(make)).unwrap())
    }

    fn serve_all(service: &mut Service) {
        while service.unfinished().unwrap() {
            assert!(service.wait(None));
        }
    }

    #[test]
    fn a_job_keeps_the_agent_until_it_is_cleaned_up() {
        let dir = tempfile::tempdir().unwrap();
        let tracker = FakeTracker::new();
        let _submitter = Bench::on(dir.path(), Arc::clone(&tracker));
        let mut service = agent(dir.path(), Some(&tracker));
        assert!(!service.unfinished().unwrap());
        let session = JobSession::create(None, None).unwrap();
        let job = start(&session, template("sleep"));
        assert!(service.wait(None), "the submission is noticed");
        assert!(service.unfinished().unwrap());
        tracker.exit(&job.id, 0);
        serve_all(&mut service);
        assert!(tracker.list_jobs().unwrap().is_empty());
    }

    #[test]
    fn the_agent_looks_for_leftovers_once_more_before_it_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let tracker = FakeTracker::new();
        let _submitter = Bench::on(dir.path(), Arc::clone(&tracker));
        let session = JobSession::create(None, None).unwrap();
        let job = start(&session, template("sleep"));
        let mut service = agent(dir.path(), Some(&tracker));
        assert!(service.unfinished().unwrap());
        // Until its first look is over.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        service.served.values().for_each(|engine| engine.drain(|_| false, deadline));
        // A call of a process that died is carried out late.
        tracker.leave("an attempt");
        tracker.exit(&job.id, 0);
        serve_all(&mut service);
        assert!(tracker.leftovers(&|_| Ok(false)).unwrap().is_empty());
    }

    #[test]
    fn who_dies_before_his_clean_up_leaves_it_to_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let tracker = FakeTracker::new();
        let submitter = Bench::on(dir.path(), Arc::clone(&tracker));
        let session = JobSession::create(None, None).unwrap();
        let job = start(&session, template("sleep"));
        let mut service = agent(dir.path(), Some(&tracker));
        tracker.set_silent(true);
        tracker.exit(&job.id, 3);
        // The end is stored by a process that does nothing else.
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let claim = Claim::of_process(other.id()).unwrap();
        assert!(submitter.world.store.job_ended(&job.id, &Outcome::failed("x"), &claim).unwrap());
        tracker.set_silent(false);
        assert!(service.unfinished().unwrap());
        other.kill().unwrap();
        other.wait().unwrap();
        serve_all(&mut service);
        assert!(tracker.list_jobs().unwrap().is_empty());
    }

    #[test]
    fn a_runtime_that_cannot_be_served_keeps_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let _submitter = Bench::new(dir.path());
        let session = JobSession::create(None, None).unwrap();
        start(&session, template("sleep"));
        let mut service = agent(dir.path(), None);
        assert_eq!(service.world.store.unsettled_targets().unwrap().len(), 1);
        assert!(!service.unfinished().unwrap());
    }

    #[test]
    fn a_deleted_state_directory_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut service = agent(&state, None);
        // The bell of the creation of the store arrives as a change too.
        while service.unfinished().is_ok() {
            // A look at the store that is under way may make a file of its journal meanwhile.
            while state.exists() {
                let _ = fs::remove_dir_all(&state);
            }
            assert!(service.wait(None));
        }
        assert!(service.unfinished().unwrap_err().message.contains("is gone"));
    }
}
