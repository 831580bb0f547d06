//! A program of the site that makes the container of a job, in place of an OCI runtime: it is given a command, and
//! signals for the init that the command starts.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use drmaa2_init::suspension::SUSPEND_SIGNAL;
use drmaa2_init::{ERRORS_FILE, STEP_PROGRAM};

/// Start a command, whose messages go to a file of the run.
pub(crate) fn run(words: &[OsString], run_dir: &Path) -> io::Result<Child> {
    let (program, args) = words.split_first().ok_or(io::ErrorKind::InvalidData)?;
    let errors = File::create(run_dir.join(ERRORS_FILE))?;
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    command.stdin(Stdio::null()).stdout(errors.try_clone()?).stderr(errors);
    command.spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot run \"{}\": {error}", program.display()))
    })
}

/// Returns whether a command is a step of Slurm's.
pub(crate) fn is_step(words: &[OsString]) -> bool {
    words.first().is_some_and(|program| Path::new(program).file_name() == Some(STEP_PROGRAM.as_ref()))
}

/// Wake the init in the step, so that it looks for a request. Not by the program of the step, which takes some signals
/// for its own: at SIGTERM it kills the step. Slurm sends a signal to all processes of a step, so it is one that lets
/// those do what they do that init is to ask first.
pub(crate) fn wake_step() {
    let job = env::var("SLURM_JOB_ID").unwrap_or_default();
    let mut command = Command::new("scancel");
    // The job has no other step.
    command.args(["--quiet", &format!("--signal={SUSPEND_SIGNAL}"), &format!("{job}.0")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A step that has ended needs no signal, and one that has not begun finds the request.
    if let Err(error) = command.spawn() {
        super::complain(format_args!("cannot run scancel: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let dir = env::temp_dir().join(format!("drmaa2-site-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let error = run(&["no-such-program".into(), "x".into()], &dir).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot run \"no-such-program\": No such file"),
            "{error}"
        );
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_step_is_known_by_its_program() {
        assert!(is_step(&["/opt/slurm/bin/srun".into(), "apptainer".into()]));
        assert!(!is_step(&["apptainer".into(), "srun".into()]) && !is_step(&[]));
    }
}
