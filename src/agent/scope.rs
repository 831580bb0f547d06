//! The control group of an agent.
//!
//! systemd ends a unit or a login session by killing everything in its control group. An agent started
//! there would end with it, and waiting jobs would have none. So it asks systemd for a scope, which is a
//! unit of processes that systemd has not started.

use std::io::{self, Error, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Uid, geteuid};

/// A directory that exists if systemd is the init of this machine, see sd_booted(3).
const SYSTEMD: &str = "/run/systemd/system";
/// The longest run time of each of the two programs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The signals that systemd sends to every process of a control group that it ends.
const ENDS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGHUP];

/// Move this process to a scope of its own; every signal has to be blocked. Does nothing if systemd is
/// not the init. After an error the process is where it was.
///
/// A signal that a service manager has sent meanwhile was meant for the unit that this process has left,
/// so it is discarded.
pub fn enter() -> io::Result<()> {
    if !Path::new(SYSTEMD).exists() {
        return Ok(());
    }
    let user = geteuid();
    let manager = if user.is_root() { "--system" } else { "--user" };
    let (unit, pid) = (format!("drmaa2d-{}.scope", process::id()), process::id().to_string());
    let request = [
        "--quiet",
        manager,
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        &unit,
        "fail",
        "3",
        "Description",
        "s",
        "DRMAA2 agent, started with a job",
        "CollectMode",
        "s",
        "inactive-or-failed",
        "PIDs",
        "au",
        "1",
        &pid,
        "0",
    ];
    run("busctl", &request, user, PATIENCE)?;
    // The answer to the first call comes before the process is moved, the end of this one after it.
    run("systemctl", &["--quiet", manager, "start", &unit], user, PATIENCE)?;
    for end in ENDS {
        for handler in [SigHandler::SigIgn, SigHandler::SigDfl] {
            // SAFETY: neither is a function of this program. An ignored signal is no longer pending.
            unsafe { signal(end, handler) }?;
        }
    }
    Ok(())
}

/// Run a program, out of reach of the signals that end this process's unit, until it has ended with
/// success.
fn run(program: &str, arguments: &[&str], user: Uid, patience: Duration) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // It locates the socket of the user's manager; a service, or sudo, may not have set it.
    command.env("XDG_RUNTIME_DIR", PathBuf::from(format!("/run/user/{user}")));
    // SAFETY: between fork and exec there is one system call.
    unsafe { command.pre_exec(|| SigSet::all().thread_set_mask().map_err(Into::into)) };
    let named = |error: &dyn std::fmt::Display| format!("{program}: {error}");
    let mut child = command.spawn().map_err(|error| Error::new(error.kind(), named(&error)))?;
    if let Some(output) = &child.stdout {
        // The pipe is closed at the program's end, and not before.
        let mut ended = [PollFd::new(output.as_fd(), PollFlags::empty())];
        if poll(&mut ended, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX))? == 0 {
            child.kill()?;
            child.wait()?;
            let text = named(&format_args!("it has not ended within {} s", patience.as_secs_f32()));
            return Err(Error::new(ErrorKind::TimedOut, text));
        }
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::other(named(&String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_hangs_is_an_error_that_names_it() {
        let run = |script, patience| {
            let done = run("sh", &["-c", script], geteuid(), Duration::from_secs(patience));
            done.map_err(|error| error.to_string())
        };
        assert_eq!(run("echo fine", 60), Ok(()));
        assert_eq!(run("echo no bus >&2; exit 1", 60), Err("sh: no bus".to_owned()));
        assert_eq!(run("exec sleep 1000", 1), Err("sh: it has not ended within 1 s".to_owned()));
        let missing = super::run("/no/such/program", &[], geteuid(), PATIENCE).unwrap_err();
        assert!(missing.to_string().starts_with("/no/such/program: "), "{missing}");
    }

    #[test]
    fn what_ends_a_unit_does_not_end_the_program() {
        let done = run("sh", &["-c", "kill $$; echo lives"], geteuid(), PATIENCE);
        assert!(done.is_ok(), "{done:?}");
    }
}
