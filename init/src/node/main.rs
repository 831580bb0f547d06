//! The batch script of a job on a node of a cluster: claims the job, starts its init, and passes signals on.
//!
//! `drmaa2-node JOBS_DIR JOB` runs the job with this directory below `JOBS_DIR`.
//!
//! `drmaa2-node JOBS_DIR ARRAY FIRST STEP OFFSET STAND_IN` runs a task of this array: the one at the place that is the
//! sum of `OFFSET` and the number that Slurm gives it. `FIRST` is the index at place 0, `STEP` the difference between
//! two, `STAND_IN` the number that stands for the index of a task in what they share.
//!
//! `drmaa2-node --containerd SOCKET MESSAGES RUN_DIR` is what that starts where the node's containerd makes the container.
//!
//! A workload manager may start a job twice, so it is claimed in its directory first, see [`claim`]. The end is told
//! by init's record alone.

mod claim;
mod container;
mod containerd;
mod gpus;
mod job;
mod run;
mod site;
mod slurm;

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::process::parent_id;
use std::process::ExitCode;

use drmaa2_init::CONTAINERD;
use drmaa2_init::signals::Signals;

use claim::Claim;
use job::Job;

/// Exit code if nothing was run, as Docker's for its own failures.
const REFUSED: u8 = 125;

fn main() -> ExitCode {
    let (signals, parent) = (Signals::block(), parent_id());
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    if let [word, socket, messages, run_dir] = &args[..]
        && *word == *CONTAINERD
    {
        return containerd::run(signals, socket.as_ref(), messages.as_ref(), run_dir.as_ref());
    }
    let Some(job) = Job::of(&args) else {
        complain("usage: drmaa2-node JOBS_DIR {JOB | ARRAY FIRST STEP OFFSET STAND_IN}");
        return ExitCode::from(REFUSED);
    };
    match Claim::take(&job, &signals) {
        Ok(Claim::Taken(run_dir, _lock)) => {
            let ended = run::run(&job, &run_dir, &signals);
            let ended = ended.unwrap_or_else(|error| {
                run::complete(&run_dir, &error.to_string());
                ExitCode::from(REFUSED)
            });
            job.ring();
            slurm::tell_end(&job, &run_dir, parent);
            ended
        }
        Ok(Claim::Over(code)) => ExitCode::from(code),
        Ok(Claim::Refused(why)) => {
            complain(why);
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            complain(format_args!("{}: {error}", job.dir.display()));
            ExitCode::from(REFUSED)
        }
    }
}

fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "drmaa2-node: {what}");
}
