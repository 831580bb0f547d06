//! The claim to a run of a job: a name in the job's directory that is made exactly once.
//!
//! It is a dangling symbolic link, whose text exists from its first moment, see the fence of an attempt. The text is
//! the number of the job in the workload manager and the node. A further run is claimed only if the job may be run
//! again and the last run was interrupted.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use drmaa2_init::{CLAIM, RERUNNABLE_FILE, RUN, Record, TERMINATE_FILE, is_marked};

/// The result of claiming a run.
pub(crate) enum Claim {
    /// The run with this directory is this process's.
    Taken(PathBuf),
    /// The job has ended before, with this code.
    Over(u8),
    /// The job must not be run, for this reason.
    Refused(String),
}

impl Claim {
    /// Claim the next run of the job with this directory.
    pub(crate) fn take(job_dir: &Path) -> io::Result<Self> {
        let number = env::var("SLURM_JOB_ID").unwrap_or_default();
        if number.is_empty() {
            return Ok(Self::Refused("not started by Slurm: there is no SLURM_JOB_ID".to_owned()));
        }
        let node = env::var("SLURMD_NODENAME").unwrap_or_default();
        Self::take_as(job_dir, &number, &node)
    }

    fn take_as(job_dir: &Path, number: &str, node: &str) -> io::Result<Self> {
        if is_marked(&job_dir.join(TERMINATE_FILE)) {
            return Ok(Self::Refused("terminated before it started".to_owned()));
        }
        for run in 0u32.. {
            let claim = job_dir.join(format!("{CLAIM}{run}"));
            match symlink(format!("{number}@{node}"), &claim) {
                Ok(()) => {
                    let dir = job_dir.join(format!("{RUN}{run}"));
                    fs::create_dir(&dir)?;
                    return Ok(Self::Taken(dir));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let text = fs::read_link(&claim)?;
            let owner = text.to_str().and_then(|text| text.split_once('@')).map(|(number, _)| number);
            if owner != Some(number) {
                return Ok(Self::Refused(format!("it is run by job {} of Slurm", text.display())));
            }
            match Record::read(&job_dir.join(format!("{RUN}{run}"))) {
                Ok(record) if !record.interrupted => return Ok(Self::Over(code(&record))),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if !is_marked(&job_dir.join(RERUNNABLE_FILE)) {
                return Ok(Self::Refused("it has run, and is not to be run again".to_owned()));
            }
        }
        Ok(Self::Refused("it was run too often".to_owned()))
    }
}

/// The exit code of a job that has ended.
fn code(record: &Record) -> u8 {
    let code = record.signal.map_or(record.exit_code, |signal| Some(128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(super::REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = env::temp_dir().join(format!("drmaa2-claim-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn taken(dir: &Path, number: &str) -> Option<PathBuf> {
        match Claim::take_as(dir, number, "n1").unwrap() {
            Claim::Taken(dir) => Some(dir),
            _ => None,
        }
    }

    #[test]
    fn a_job_is_run_once() {
        let dir = scratch("once");
        assert_eq!(taken(&dir, "7"), Some(dir.join("run.0")));
        assert_eq!(taken(&dir, "7"), None);
        assert_eq!(taken(&dir, "8"), None);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_job_that_may_run_again_does_so_after_an_interruption_by_the_same_job_of_slurm_only() {
        let dir = scratch("again");
        fs::write(dir.join(RERUNNABLE_FILE), "").unwrap();
        assert!(taken(&dir, "7").is_some());
        assert_eq!(taken(&dir, "8"), None);
        assert_eq!(taken(&dir, "7"), Some(dir.join("run.1")));
        let record = Record { exit_code: Some(4), ..Record::default() };
        Record { interrupted: true, ..record.clone() }.write(&dir.join("run.1")).unwrap();
        assert_eq!(taken(&dir, "7"), Some(dir.join("run.2")));
        record.write(&dir.join("run.2")).unwrap();
        assert!(matches!(Claim::take_as(&dir, "7", "n1").unwrap(), Claim::Over(4)));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_job_that_was_terminated_before_is_not_run() {
        let dir = scratch("terminated");
        fs::write(dir.join(TERMINATE_FILE), "").unwrap();
        assert_eq!(taken(&dir, "7"), None);
        assert!(fs::read_link(dir.join("claim.0")).is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
