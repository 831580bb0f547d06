//! Mails about jobs: starts the processes that send them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read, pipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::agent;
use super::world::World;
use crate::agent::environment;
use crate::model::{Error, ErrorCode, Millis, Result, now};
use crate::spawn::{Handed, Streams, spawn};

/// The argument that makes the agent's program send a mail; two more are its number and the holder of
/// its claim.
pub(crate) const SEND_MAIL: &str = "--mail";

/// The time that a process may take for a mail before others are started anyway, milliseconds.
pub(super) const PATIENCE: Millis = 60_000;

/// A process that may still be at work on a mail.
pub(super) struct Sending {
    /// The number of the mail.
    pub(super) mail: i64,
    /// The other end of its lifeline.
    lifeline: PipeReader,
    begun: Millis,
}

impl Sending {
    /// Returns whether it has ended, or has used up its time.
    pub(super) fn is_over(&mut self) -> bool {
        match self.lifeline.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => now() - self.begun > PATIENCE,
            _ => true,
        }
    }
}

impl AsFd for Sending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lifeline.as_fd()
    }
}

/// Start a process that sends a mail claimed by this one.
pub(super) fn start(world: &World, mail: i64) -> Result<Sending> {
    let program = agent::program(&world.config)?;
    let (number, claim) = (mail.to_string(), world.mine.to_string());
    run(&program, &[SEND_MAIL, &number, &claim], &environment(&world.config.state_dir), mail)
}

/// Call it without a lock: the program may be on a slow file system. A child that is forked meanwhile
/// has the lifeline as well, which then shows no end, and the process is taken to be at work for all of
/// its time.
fn run(
    program: &Path,
    arguments: &[&str],
    variables: &[(OsString, OsString)],
    mail: i64,
) -> Result<Sending> {
    let refuse = |error: std::io::Error| {
        Error::new(ErrorCode::of_io(&error), format!("cannot start {}: {error}", program.display()))
    };
    let nowhere = File::options().read(true).write(true).open("/dev/null").map_err(refuse)?;
    let (lifeline, end) = pipe().map_err(refuse)?;
    fcntl(&lifeline, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| refuse(error.into()))?;
    let arguments: Vec<&OsStr> =
        [program.as_os_str()].into_iter().chain(arguments.iter().map(OsStr::new)).collect();
    let nowhere = nowhere.as_fd();
    let handed = Handed::Streams(Streams {
        input: nowhere,
        output: nowhere,
        errors: nowhere,
        lifeline: Some(end.as_fd()),
        user: None,
    });
    spawn(program, &arguments, variables, handed).map_err(refuse)?;
    Ok(Sending { mail, lifeline, begun: now() })
}

#[cfg(test)]
pub(super) fn start_program(program: &Path) -> Sending {
    run(program, &[], &[], 1).unwrap()
}
