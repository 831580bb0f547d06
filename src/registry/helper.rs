//! Credential helpers: programs that keep passwords, spoken to through their standard streams.

use std::env;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;
use serde::Deserialize;

use super::Settings;
use super::settings::kept_names;
use crate::model::{Error, ErrorCode, Result};

/// How a helper says that it has nothing.
const NOTHING: &str = "credentials not found";
/// How long a helper may take: somebody may have to be asked by it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A secret is a few kilobytes; this much is a mistake.
const MAX_OUTPUT: usize = 1 << 20;

/// The secret that a helper keeps for a server.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Answer {
    /// The user's name, or a word that tells what the secret is.
    pub(super) username: String,
    /// A password or a token.
    pub(super) secret: String,
}

/// Ask the helper `name` for what it keeps for a server.
pub(super) fn ask(name: &str, server: &str, settings: &Settings) -> Result<Option<Answer>> {
    let program = format!("docker-credential-{name}");
    let of = |error: Error| error.of(format_args!("helper {program}"));
    let path = find(&program, settings)
        .ok_or_else(|| of(Error::argument("there is no such program in PATH")))?;
    let output = run(command(&path, settings), server, PATIENCE)
        .map_err(|error| of(Error::new(ErrorCode::of_io(&error), error.to_string())))?;
    match serde_json::from_slice::<Answer>(&output) {
        Ok(answer) => Ok(Some(answer)),
        Err(_) => {
            let text = String::from_utf8_lossy(&output);
            if text.contains(NOTHING) { Ok(None) } else { Err(of(Error::argument(text.trim()))) }
        }
    }
}

fn find(program: &str, settings: &Settings) -> Option<PathBuf> {
    let path = settings.variable("PATH").unwrap_or_default();
    env::split_paths(path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// The helper of the user whose credentials are meant. It finds its way by the variables that were kept;
/// one that takes a secret from a variable has it only where this process does, and is that user's.
fn command(path: &Path, settings: &Settings) -> Command {
    let mut command = Command::new(path);
    match &settings.owner {
        Some(owner) if owner.uid != geteuid().as_raw() => {
            command.env_clear().current_dir("/").uid(owner.uid).gid(owner.gid);
        }
        _ => kept_names().for_each(|name| {
            command.env_remove(name);
        }),
    }
    for (name, value) in &settings.env {
        command.env(name, value.as_path());
    }
    command
}

fn run(mut command: Command, server: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let mut child =
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let spoken = match (child.stdin.take(), child.stdout.take()) {
        (Some(mut stdin), Some(mut stdout)) => {
            // One that does not want to know has its answer ready.
            let _ = stdin.write_all(server.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
            drop(stdin);
            read(&mut stdout, patience)
        }
        _ => Ok(Vec::new()),
    };
    if spoken.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    // The program that this library is part of may have its own way with children: then somebody else
    // has taken its end, and its output says enough.
    let _ = child.wait();
    spoken
}

/// All that a helper says, if that does not take too long and is not too much.
fn read(stdout: &mut ChildStdout, patience: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + patience;
    let (mut output, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => {
                let text = format!("it has not answered within {} s", patience.as_secs_f32());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Ok(_) => match stdout.read(&mut part)? {
                0 => return Ok(output),
                length if output.len() + length > MAX_OUTPUT => {
                    let text = format!("its answer is larger than {MAX_OUTPUT} bytes");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                length => output.extend_from_slice(&part[..length]),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Ask a helper that goes on with this command; tells what is wrong with it, once it is gone.
    fn refusal(command: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let (path, pid) = (dir.path().join("helper"), dir.path().join("pid"));
        let script = format!("#!/bin/sh\necho $$ >{}\necho begun\nexec {command}\n", pid.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = run(Command::new(&path), "h", Duration::from_secs(10)).unwrap_err();
        let pid = fs::read_to_string(pid).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
        error.to_string()
    }

    #[test]
    fn a_helper_that_does_not_answer_is_ended() {
        let error = refusal("sleep 1000");
        assert!(error.contains("within 10 s"), "{error}");
    }

    #[test]
    fn a_helper_that_does_not_stop_to_answer_is_ended() {
        assert_eq!(refusal("yes"), "its answer is larger than 1048576 bytes");
    }
}
