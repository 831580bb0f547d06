//! Finds and starts the agent.

use std::path::PathBuf;

use super::world::World;
use crate::config::{Agent, Config};
use crate::model::Result;
use crate::{agent, drms};

/// Make sure that there is an agent, unless it is switched off. Call it after a job is stored: either
/// there is no agent and one is started, or the existing one sees the job before it leaves.
pub(super) fn ensure(world: &World) -> Result<()> {
    let state_dir = &world.config.state_dir;
    match &world.config.agent {
        Agent::Off => Ok(()),
        Agent::At(_) | Agent::On => agent::ensure(state_dir, || program(&world.config)),
    }
}

/// The path of the agent's program.
pub(super) fn program(config: &Config) -> Result<PathBuf> {
    match &config.agent {
        Agent::At(path) => Ok(path.clone()),
        Agent::On | Agent::Off => drms::agent(),
    }
}

/// Make sure that there is an agent for the work that an earlier one has left: it may have been killed
/// with the unit or the session that it was started in. Without one, this process does the work while it
/// lives.
pub(super) fn resume(world: &World) {
    let needed = world.has_work().and_then(|has_work| if has_work { ensure(world) } else { Ok(()) });
    if let Err(error) = needed {
        tracing::warn!(%error, "no agent for the jobs that are there");
    }
}
