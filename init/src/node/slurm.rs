//! Requests of this program to Slurm. Nobody waits for an answer: each request is for the sake of others, and the job goes
//! its way without it.

use std::env;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use drmaa2_init::Record;

use super::job::Job;

/// The time that a request may take, seconds. A controller that was restarted meanwhile may have forgotten the job, and
/// give its number to another one of the same user.
const PATIENCE: libc::c_uint = 2;
/// Cancels the job with a number, if it is still that of this submission.
const CANCEL: &str =
    r#"case $(squeue --noheader --jobs="$1" --format=%k) in "$2" | "$2":*) exec scancel "$1" ;; esac"#;

/// Ask that Slurm does not put the job into its queue again. Every job is submitted as one that it may put there: it would
/// cancel what a node cannot start otherwise. From the start of a job on that is not rerunnable it would only keep a place
/// for a run that does nothing, and end the first one if its administrator wanted to have it elsewhere.
/// Returns the program that asks.
pub(crate) fn forbid_requeue() -> Option<Child> {
    let number = number(|name| env::var(name).ok())?;
    let mut command = Command::new("scontrol");
    command.arg("update").arg(format!("JobId={number}")).arg("Requeue=0");
    ask(&mut command)
}

/// Tell Slurm that the job has ended, if its own process on the node was killed: that was the parent of this one. Slurm
/// would keep for half an hour what it has given to the job, and run it again then. What was interrupted is to run again.
pub(crate) fn tell_end(job: &Job, run_dir: &Path, parent: u32) {
    if parent_id() == parent || !Record::read(run_dir).is_ok_and(|record| !record.interrupted) {
        return;
    }
    let Some(number) = number(|name| env::var(name).ok()) else { return };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", CANCEL, "sh"]).arg(number).arg(job.submission());
    // It outlives this process.
    let _ = ask(&mut command);
}

/// The number of the job for Slurm's programs. That of the last task of an array alone would be that of all its tasks.
fn number(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID")) {
        (Some(array), Some(task)) => Some(format!("{array}_{task}")),
        _ => variable("SLURM_JOB_ID"),
    }
}

/// Start a program that asks for something.
fn ask(command: &mut Command) -> Option<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let limit = || {
        // SAFETY: takes a number. It stays across the exec, and ends the program by its signal.
        unsafe { libc::alarm(PATIENCE) };
        Ok(())
    };
    // SAFETY: the call in the child is safe there.
    unsafe { command.pre_exec(limit) };
    let started = command.spawn();
    let name = command.get_program().display();
    started.inspect_err(|error| super::complain(format_args!("{name}: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_by_its_array() {
        let number = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            number(|name| Some(value(name)?.1.to_owned()))
        };
        assert_eq!(number(&[]), None);
        assert_eq!(number(&[("SLURM_JOB_ID", "7")]).as_deref(), Some("7"));
        let last = [("SLURM_JOB_ID", "7"), ("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(number(&last).as_deref(), Some("7_3"));
    }
}
