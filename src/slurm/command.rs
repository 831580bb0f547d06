//! Slurm's programs: each is run with a deadline, an environment of our own, and a bound on what it may say.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::failure;
use crate::model::{Error, ErrorCode, Result};
use crate::spawn::{Handed, Streams, end_session, spawn};

/// The time that a request to the controller may take. Slurm's programs try again by themselves for longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that a program may say: some hundred bytes for each of a million jobs.
const MAX_OUTPUT: u64 = 512 << 20;
const MAX_ERRORS: u64 = 64 << 10;
/// A pipe holds at least as many bytes.
const MAX_INPUT: usize = 4096;
/// Runs a program and tells its exit code: it is no child of this process, which could not be told otherwise. That takes
/// a millisecond.
const SHELL: &str = "/bin/sh";
const SCRIPT: &str = r#""$@" 3>&-; echo "$?" >&3"#;

/// The way to Slurm's programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The value of `PATH`.
    pub path: OsString,
    /// The slurm.conf; `None` is the one that they find.
    pub conf: Option<PathBuf>,
}

/// The call of a program.
struct Call<'a> {
    args: &'a [&'a str],
    /// Its standard input.
    input: &'a [u8],
    /// Variables for it alone.
    more: &'a [(&'a str, &'a str)],
    patience: Duration,
}

/// A program that has ended.
struct Ended {
    code: i32,
    output: String,
    errors: String,
}

impl Programs {
    /// Run a program that asks or tells the controller something; the result is its output.
    pub(super) async fn ask(&self, program: &str, args: &[&str]) -> Result<String> {
        self.ask_within(PATIENCE, program, args).await
    }

    /// The same, with less time.
    pub(super) async fn ask_within(
        &self,
        patience: Duration,
        program: &str,
        args: &[&str],
    ) -> Result<String> {
        self.run(program, None, Call { args, input: b"", more: QUERY, patience }).await
    }

    /// Run a program that submits this script; the result is its output, without which it has failed.
    pub(super) async fn submit(&self, program: &str, args: &[&str], script: &str) -> Result<String> {
        // Its environment becomes that of the script: nothing in it but what a program needs to be found.
        let call = Call { args, input: script.as_bytes(), more: &[], patience: PATIENCE };
        self.run(program, self.find(program), call).await
    }

    /// The file of a program.
    fn find(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path).map(|dir| dir.join(program)).find(|path| path.is_file())
    }

    /// Run a program. With its file, it is run without a shell, and its exit code is not known.
    async fn run(&self, program: &str, file: Option<PathBuf>, call: Call<'_>) -> Result<String> {
        let patience = call.patience;
        let of = |error: Error| error.of(program);
        // Slurm's programs would try to find another for a minute.
        if let Some(conf) = &self.conf
            && let Err(error) = File::open(conf)
        {
            let text = format!("{}: {error}", conf.display());
            return Err(of(Error::new(ErrorCode::DrmCommunication, text)));
        }
        let started = self.start(program, file, call);
        let (process, reading) = started.map_err(|error| of(failure::of_io(&error)))?;
        match tokio::time::timeout(patience, reading).await {
            Ok(Ok(Ended { code: 0, output, .. })) => Ok(output),
            Ok(Ok(Ended { code, errors, .. })) => Err(failure::of_program(program, code, &errors)),
            Ok(Err(error)) => {
                process.as_ref().inspect(|process| end_session(process));
                Err(of(failure::of_io(&error)))
            }
            Err(_) => {
                process.as_ref().inspect(|process| end_session(process));
                let text = format!("no answer within {} s", patience.as_secs());
                Err(of(Error::new(ErrorCode::DrmCommunication, text)))
            }
        }
    }

    fn start(
        &self,
        program: &str,
        file: Option<PathBuf>,
        Call { args, input, more, .. }: Call<'_>,
    ) -> io::Result<(Option<OwnedFd>, impl Future<Output = io::Result<Ended>> + use<>)> {
        if input.len() > MAX_INPUT {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let nothing = File::open("/dev/null")?;
        let ((script, mut given), (output, out)) = (pipe()?, pipe()?);
        let ((errors, err), (code, status)) = (pipe()?, pipe()?);
        // Before there is a reader, for which it has room.
        given.write_all(input)?;
        drop(given);
        let streams = Streams {
            input: if input.is_empty() { nothing.as_fd() } else { script.as_fd() },
            output: out.as_fd(),
            errors: err.as_fd(),
            lifeline: file.is_none().then(|| status.as_fd()),
            user: None,
        };
        let (shell, tells) = (["sh", "-c", SCRIPT, "sh", program], file.is_none());
        let arguments = [if tells { &shell } else { &shell[4..] }, args].concat();
        let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
        let file = file.unwrap_or_else(|| SHELL.into());
        let process = spawn(&file, &arguments, &self.variables(more), Handed::Streams(streams))?;
        drop((out, err, status));
        let [output, errors, code] = [output, errors, code].map(|end| receiver(end.into()));
        let (output, errors, code) = (output?, errors?, code?);
        let reading = async move {
            let read = tokio::try_join!(all(output, MAX_OUTPUT), all(errors, MAX_ERRORS), all(code, 16));
            let (output, errors, code) = read?;
            let is_silent = output.is_empty() && errors.is_empty();
            let code = match code.trim().parse() {
                Ok(code) => code,
                Err(_) if tells || is_silent => return Err(io::Error::other("it was killed")),
                Err(_) => i32::from(output.is_empty()),
            };
            Ok(Ended { code, output, errors })
        };
        Ok((process, reading))
    }

    fn variables(&self, more: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        let mut variables = vec![("PATH".into(), self.path.clone()), ("LC_ALL".into(), "C".into())];
        variables.extend(self.conf.iter().map(|conf| ("SLURM_CONF".into(), conf.into())));
        variables.extend(more.iter().map(|(name, value)| (name.into(), value.into())));
        variables
    }
}

/// Times as seconds since the epoch, and lists of any length.
const QUERY: &[(&str, &str)] = &[("SLURM_TIME_FORMAT", "%s"), ("SLURM_BITSTR_LEN", "0")];

fn receiver(end: OwnedFd) -> io::Result<Receiver> {
    rustix::io::ioctl_fionbio(&end, true)?;
    Receiver::from_owned_fd(end)
}

/// All that is said, if it is not too much.
async fn all(from: Receiver, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("its answer is larger than {limit} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs() -> Programs {
        Programs { path: "/nowhere:/usr/bin:/bin".into(), conf: Some("/etc/passwd".into()) }
    }

    #[tokio::test]
    async fn a_program_says_what_it_has_to_say() {
        let said =
            programs().ask("sh", &["-c", "echo \"$SLURM_CONF $SLURM_TIME_FORMAT $0\"", "a b"]).await;
        assert_eq!(said.unwrap(), "/etc/passwd %s a b\n");
        let said = programs().submit("sh", &["-c", "cat; env"], "the script\n").await.unwrap();
        assert!(said.starts_with("the script\n") && !said.contains("TIME_FORMAT"), "{said}");
    }

    #[tokio::test]
    async fn a_submission_without_an_answer_has_failed_or_was_killed() {
        let refused = programs().submit("sh", &["-c", "echo 'sh: error: no such place' >&2"], "x").await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, &*refused.message), (ErrorCode::InvalidArgument, "sh: no such place"));
        let killed = programs().submit("sh", &["-c", "kill -9 $$"], "x").await.unwrap_err();
        assert_eq!(killed.code, ErrorCode::DrmCommunication);
        assert!(killed.message.contains("killed"), "{killed}");
        let unknown = programs().submit("no-such-program-of-slurm", &[], "x").await.unwrap_err();
        assert_eq!(unknown.code, ErrorCode::DrmCommunication, "{unknown}");
        assert!(unknown.message.contains("not found"), "{unknown}");
    }

    #[tokio::test]
    async fn a_failure_is_that_of_the_program() {
        let error = programs()
            .ask("sh", &["-c", "echo 'sh: error: Access/permission denied' >&2; exit 1"])
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert_eq!(error.message, "sh: Access/permission denied");
        let error = programs().ask("no-such-program-of-slurm", &[]).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::DrmCommunication, "{error}");
        assert!(error.message.contains("not found"), "{error}");
        let error = programs().ask("sh", &["-c", "kill -9 $PPID"]).await.unwrap_err();
        assert!(error.message.contains("killed"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_ended() {
        let error = programs().ask("sh", &["-c", "sleep 1000 & sleep 1000"]).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::DrmCommunication);
        assert!(error.message.contains("within 20 s"), "{error}");
    }
}
