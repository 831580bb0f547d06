//! The batch script of a job on a node of a cluster: claims the job, starts its init, and passes signals on.
//!
//! `drmaa2-node JOBS_DIR JOB [FIRST STEP]` runs the job with this directory below `JOBS_DIR`; with `FIRST` and
//! `STEP`, a task of this array, by the number that Slurm gives it. A workload manager may start a job twice, so it
//! is claimed in its directory first, see [`claim`]. The end is told by init's record alone.

mod claim;
mod container;
mod run;

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drmaa2_init::NEWS_DIR;
use drmaa2_init::signals::Signals;

use claim::Claim;

/// Exit code if nothing was run, as Docker's for its own failures.
const REFUSED: u8 = 125;

fn main() -> ExitCode {
    let signals = Signals::block();
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let Some((jobs_dir, job)) = job(&args) else {
        complain("usage: drmaa2-node JOBS_DIR JOB [FIRST STEP]");
        return ExitCode::from(REFUSED);
    };
    match Claim::take(&jobs_dir.join(&job)) {
        Ok(Claim::Taken(run_dir)) => {
            let ring = || ring(&jobs_dir, &job);
            let ended = run::run(&jobs_dir.join(&job), &run_dir, &signals, ring);
            let ended = ended.unwrap_or_else(|error| {
                run::complete(&run_dir, &error.to_string());
                ExitCode::from(REFUSED)
            });
            ring();
            ended
        }
        Ok(Claim::Over(code)) => ExitCode::from(code),
        Ok(Claim::Refused(why)) => {
            complain(why);
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            complain(format_args!("{}: {error}", jobs_dir.join(&job).display()));
            ExitCode::from(REFUSED)
        }
    }
}

/// The directory of the jobs, and the job's name in it.
fn job(args: &[OsString]) -> Option<(PathBuf, String)> {
    match args {
        [dir, job] => Some((dir.into(), job.to_str()?.to_owned())),
        [dir, array, first, step] => {
            let [first, step] = [first, step].map(|number| number.to_str()?.parse::<i64>().ok());
            let place: i64 = env::var("SLURM_ARRAY_TASK_ID").ok()?.parse().ok()?;
            let index = place.checked_mul(step?)?.checked_add(first?)?;
            Some((dir.into(), format!("{}.{index}", array.to_str()?)))
        }
        _ => None,
    }
}

/// Tell those that watch the directory of news on this machine that there is something new about the job.
fn ring(jobs_dir: &Path, job: &str) {
    let _ = std::fs::write(jobs_dir.with_file_name(NEWS_DIR).join(job), "");
}

fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "drmaa2-node: {what}");
}
