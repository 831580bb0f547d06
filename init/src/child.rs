//! The child that becomes the job's command, and its report if it cannot.
//!
//! All preparation happens in the child: PID 1 keeps its own rights and working directory, and continues
//! to serve requests even while the child waits, for instance for the writer of a FIFO. The process has
//! one thread when it forks, so the child may use the heap.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use drmaa2_init::{HOME_PLACEHOLDER, Order, signals};

use crate::failure::Failure;
use crate::identity::Identity;
use crate::output::Pipes;
use crate::place::Directory;
use crate::user::User;
use crate::{accounts, exec, rights, rlimit, sole_user, stdio};

/// The longest reason that is kept; it fits into a pipe without a reader.
const MAX_REASON: usize = 4096;

/// The child, from its fork.
pub(crate) struct Child {
    /// Its process id; also that of its session and process group once it has begun.
    pub(crate) pid: libc::pid_t,
    report: PipeReader,
}

impl Child {
    /// Fork the child that becomes the command.
    pub(crate) fn start(order: &Order, pipes: Pipes) -> io::Result<Self> {
        // Moved, so that PID 1 keeps no end of a pipe open that the job writes to.
        Self::fork(move || become_command(order, &pipes).map(|never| match never {}))
    }

    /// Fork a child for a part of init's own work that may take long.
    pub(crate) fn help(work: impl FnOnce() -> Result<(), Failure>) -> io::Result<Self> {
        Self::fork(|| {
            signals::reset();
            // SAFETY: takes and returns a number.
            unsafe { libc::umask(0) };
            work()
        })
    }

    fn fork(work: impl FnOnce() -> Result<(), Failure>) -> io::Result<Self> {
        let (report, writer) = io::pipe()?;
        // SAFETY: the process has one thread, so the child finds no lock held by another.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let code = work().map_or_else(
                    |failure| {
                        tell(writer, &failure);
                        failure.code
                    },
                    |()| 0,
                );
                // SAFETY: ends the child here; nothing of PID 1's is to be run in it.
                unsafe { libc::_exit(code.into()) }
            }
            pid => Ok(Self { pid, report }),
        }
    }

    /// The reason why the command was not started, if it was not. Call it only after the child has
    /// ended: exec or exit closes the other end of the pipe.
    pub(crate) fn failure(mut self) -> Option<Failure> {
        let mut message = Vec::new();
        self.report.read_to_end(&mut message).ok()?;
        let (code, reason) = message.split_first()?;
        Some(Failure { code: *code, reason: reason.to_vec() })
    }
}

/// Send a failure to PID 1.
fn tell(mut writer: impl Write, failure: &Failure) {
    let mut message = vec![failure.code];
    message.extend(failure.reason.iter().take(MAX_REASON));
    // Without PID 1 there is no reader.
    let _ = writer.write_all(&message);
}

/// Turn this process into the order's command.
fn become_command(order: &Order, pipes: &Pipes) -> Result<Infallible, Failure> {
    // SAFETY: takes no argument. A fresh child leads no group, so it cannot be refused.
    unsafe { libc::setsid() };
    // From now on, a request to end the job ends this process.
    signals::reset();
    let mut user = User::find(order)?;
    accounts::provide(&mut user);
    stdio::connect(order, pipes)?;
    let directory = directory(order, &user);
    if order.create_directory {
        create(&directory, &user.identity())?;
    }
    if let Some(umask) = order.umask {
        // SAFETY: takes and returns a number.
        unsafe { libc::umask(umask) };
    }
    rlimit::raise(&order.rlimits);
    rights::give_up(&order.drop_capabilities)?;
    if order.sole_user { sole_user::enter(&user) } else { user.take_on() }?;
    // As the user: the directory must be accessible to the user, and on a network file system root may
    // have no access.
    match std::env::set_current_dir(&directory) {
        Err(_) if order.directory.is_empty() => std::env::set_current_dir("/"),
        entered => entered,
    }
    .map_err(|error| directory_failure(&directory, &error))?;
    // Last, so that no limit affects the steps before.
    rlimit::set(&order.rlimits)?;
    exec::exec(order, &user)
}

/// The working directory; one that is not absolute starts at the root of the image.
pub(crate) fn directory(order: &Order, user: &User) -> PathBuf {
    let directory = match order.directory.strip_prefix(HOME_PLACEHOLDER) {
        None if order.directory.is_empty() => user.home.clone(),
        Some(below) => [&user.home, below].concat(),
        None => order.directory.clone(),
    };
    Path::new("/").join(OsStr::from_bytes(&directory))
}

/// Create a missing working directory: as the user, or on the user's behalf in the container's own file
/// system. Below a mount, root creates nothing.
pub(crate) fn create(directory: &Path, user: &Identity) -> Result<(), Failure> {
    Directory::of_container(directory, user, true)
        .map(drop)
        .map_err(|error| directory_failure(directory, &error))
}

fn directory_failure(directory: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("working directory \"{}\"", directory.display()), error)
}
