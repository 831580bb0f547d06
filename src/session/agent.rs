//! The submitter's side of the agent.

use super::world::World;
use crate::config::Agent;
use crate::model::Result;
use crate::{agent, drms};

/// Make sure that there is an agent, unless it is switched off. To be called after a job is stored:
/// either there is no agent and one is started, or the one there is sees the job before it leaves.
pub(super) fn ensure(world: &World) -> Result<()> {
    let state_dir = &world.config.state_dir;
    match &world.config.agent {
        Agent::Off => Ok(()),
        Agent::At(path) => agent::ensure(state_dir, || Ok(path.clone())),
        Agent::On => agent::ensure(state_dir, drms::agent),
    }
}
