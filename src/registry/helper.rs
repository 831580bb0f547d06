//! Credential helpers: programs that keep passwords, spoken to through their standard streams.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;
use rustix::process::{Signal, pidfd_send_signal};
use serde::Deserialize;

use super::Settings;
use super::settings::kept_names;
use crate::model::{Error, ErrorCode, Result};
use crate::spawn::{Handed, Streams, spawn};

/// The words of a helper that has nothing.
const NOTHING: &str = "credentials not found";
/// The time that a helper may take: somebody may have to be asked by it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A secret is a few kilobytes; this much is a mistake.
const MAX_OUTPUT: usize = 1 << 20;
/// The time that a helper that was killed may take to end, milliseconds.
const FAREWELL: u16 = 1000;
/// A pipe holds at least as many bytes.
const MAX_QUESTION: usize = 4096;

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
    let output = helper(path, settings)
        .get(server, PATIENCE)
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

/// A helper, and what it is started with.
struct Helper {
    path: PathBuf,
    variables: Vec<(OsString, OsString)>,
    /// The user and the group that it runs as, if they are not those of this process.
    user: Option<(u32, u32)>,
}

/// The helper of the user whose credentials are meant. It finds its way by the variables that were kept;
/// one that takes a secret from a variable has it only where this process does, and is that user's.
fn helper(path: PathBuf, settings: &Settings) -> Helper {
    let kept = settings.env.iter().map(|(name, value)| (name.into(), value.as_path().into()));
    match &settings.owner {
        Some(owner) if owner.uid != geteuid().as_raw() => {
            Helper { path, variables: kept.collect(), user: Some((owner.uid, owner.gid)) }
        }
        _ => {
            let is_kept = |name: &OsStr| kept_names().any(|kept| name == kept);
            let own = env::vars_os().filter(|(name, _)| !is_kept(name));
            Helper { path, variables: own.chain(kept).collect(), user: None }
        }
    }
}

impl Helper {
    /// Ask it for what it keeps. It is no child of this process, whose program may have its own way with
    /// children.
    fn get(&self, server: &str, patience: Duration) -> io::Result<Vec<u8>> {
        let nowhere = File::options().write(true).open("/dev/null")?;
        let ((input, mut question), (answer, output)) = (pipe()?, pipe()?);
        let question_of = format!("{server}\n");
        if question_of.len() > MAX_QUESTION {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name of the registry is too long",
            ));
        }
        // Before there is a reader: one that does not want to know cannot make this a broken pipe.
        question.write_all(question_of.as_bytes())?;
        drop(question);
        let streams = Streams {
            input: input.as_fd(),
            output: output.as_fd(),
            errors: nowhere.as_fd(),
            lifeline: None,
            user: self.user,
        };
        let arguments = [self.path.as_os_str(), OsStr::new("get")];
        let process = spawn(&self.path, &arguments, &self.variables, Handed::Streams(streams))?;
        drop((input, output));
        let heard = read(answer, process.as_ref(), Instant::now() + patience);
        if let (Err(_), Some(process)) = (&heard, process) {
            end(&process);
        }
        heard.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                let text = format!("it has not answered within {} s", patience.as_secs_f32());
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
            _ => error,
        })
    }
}

/// Kill a helper, which may have ended by itself, and wait until it has.
fn end(process: &OwnedFd) {
    let _ = pidfd_send_signal(process, Signal::KILL);
    let _ = poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], FAREWELL);
}

/// All that a helper says up to its end, if that does not take too long and is not too much.
fn read(mut answer: PipeReader, process: Option<&OwnedFd>, end: Instant) -> io::Result<Vec<u8>> {
    let (mut output, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)].to_vec();
        // A program that the host starts at this moment may keep the pipe open for longer.
        ready.extend(process.map(|process| PollFd::new(process.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, left) {
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) if ready[0].any() == Some(false) => return Ok(output),
            Ok(_) => {}
        }
        match answer.read(&mut part)? {
            0 => return Ok(output),
            length if output.len() + length > MAX_OUTPUT => {
                let text = format!("its answer is larger than {MAX_OUTPUT} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            length => output.extend_from_slice(&part[..length]),
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
        let helper = Helper { path, variables: Vec::new(), user: None };
        let error = helper.get("h", Duration::from_secs(10)).unwrap_err();
        let pid = fs::read_to_string(pid).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
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
