//! The agent, `drmaa2d`: its existence for a state directory, and never twice.
//!
//! Its work is done by the session module; this module knows only its lock, its start and its leaving.

pub mod lock;
pub mod scope;
pub mod stay;

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::fork;
use crate::model::{Error, ErrorCode, Result};
use crate::spawn::{DESCRIPTOR, Handed, spawn};
pub use lock::Lock;

/// The variable with the state directory, which makes the agent serve the same one.
pub const STATE_DIR: &str = "DRMAA2_STATE_DIR";
/// The argument with the number of the descriptor on which the lock is handed over.
pub const LOCK_FD: &str = "--lock-fd";

/// Make sure that an agent serves a state directory. `program` returns its path, and is called only if
/// there is none yet.
pub fn ensure(state_dir: &Path, program: impl FnOnce() -> Result<PathBuf>) -> Result<()> {
    // A child made meanwhile would keep the lock open and so held, agent or not.
    let _whole = fork::whole();
    let Some(lock) = Lock::try_take(state_dir)? else { return Ok(()) };
    let started = program().and_then(|program| start(&program, state_dir, &lock));
    if started.is_err() {
        // Closing it is not enough: a program that the host starts now has a copy for a moment.
        lock.release()?;
    }
    started
}

fn start(program: &Path, state_dir: &Path, lock: &Lock) -> Result<()> {
    let descriptor = DESCRIPTOR.to_string();
    let arguments = [program.as_os_str(), OsStr::new(LOCK_FD), OsStr::new(&descriptor)];
    let handed = Handed::Descriptor(lock.as_fd());
    spawn(program, &arguments, &environment(state_dir), handed).map(drop).map_err(|error| {
        let text = format!("cannot start the agent {}: {error}", program.display());
        Error::new(ErrorCode::of_own(&error), text)
    })
}

/// The variables of this process, with the state directory in use.
pub fn environment(state_dir: &Path) -> Vec<(OsString, OsString)> {
    env::vars_os()
        .filter(|(name, _)| name != STATE_DIR)
        .chain([(STATE_DIR.into(), state_dir.into())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_gets_the_state_directory_in_use() {
        let variables = environment(Path::new("/in/use"));
        let value = |wanted: &str| {
            let mut found = variables.iter().filter(|(name, _)| name == wanted);
            let value = found.next().map(|(_, value)| value.clone());
            assert!(found.next().is_none(), "{wanted} is there twice");
            value
        };
        assert_eq!(value(STATE_DIR), Some("/in/use".into()));
        assert_eq!(value("PATH"), env::var_os("PATH"));
    }
}
