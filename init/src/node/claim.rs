//! The claim to a run of a job: a name in the job's directory that is made exactly once.
//!
//! It is a dangling symbolic link, whose text exists from its first moment, see the fence of an attempt. The text is
//! the number of the job in the workload manager and the node. A further run is claimed only if the job may be run
//! again and the last run was interrupted. The workload manager may take a run for dead that goes on, as when its own
//! process beside it was killed; so a run also holds a lock to its end.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drmaa2_init::signals::Signals;
use drmaa2_init::{CLAIM, LOCK_FILE, RERUNNABLE_FILE, RUN, Record, is_marked};

use super::job::Job;

/// The time between two tries to get the lock of a job.
const PAUSE: Duration = Duration::from_millis(500);

/// The result of claiming a run.
pub(crate) enum Claim {
    /// The run with this directory is this process's, as is the lock of the job.
    Taken(PathBuf, File),
    /// The job has ended before, with this code.
    Over(u8),
    /// The job must not be run, for this reason.
    Refused(String),
}

impl Claim {
    /// Claim the next run of the job, once no other one goes on.
    pub(crate) fn take(job: &Job, signals: &Signals) -> io::Result<Self> {
        let number = env::var("SLURM_JOB_ID").unwrap_or_default();
        if number.is_empty() {
            return Ok(Self::Refused("not started by Slurm: there is no SLURM_JOB_ID".to_owned()));
        }
        let node = env::var("SLURMD_NODENAME").unwrap_or_default();
        let wait = || signals.next(Some(Instant::now() + PAUSE)) != Some(libc::SIGTERM);
        Self::take_as(job, &number, &node, wait)
    }

    /// `wait` lets some time pass; false if there is no more of it.
    fn take_as(job: &Job, number: &str, node: &str, mut wait: impl FnMut() -> bool) -> io::Result<Self> {
        if !job.make()? {
            return Ok(Self::Refused("nothing is left of the job".to_owned()));
        }
        // A network file system locks only what is open for writing.
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(job.dir.join(LOCK_FILE))?;
        while is_locked(&lock) {
            let first = fs::read_link(job.dir.join(format!("{CLAIM}0")));
            if first.is_ok_and(|text| owner(&text) != Some(number)) {
                break;
            }
            if !wait() {
                return Ok(Self::Refused("ended while an earlier run went on".to_owned()));
            }
        }
        if job.is_to_end() {
            return Ok(Self::Refused("terminated before it started".to_owned()));
        }
        for run in 0u32.. {
            let claim = job.dir.join(format!("{CLAIM}{run}"));
            match symlink(format!("{number}@{node}"), &claim) {
                Ok(()) => {
                    let dir = job.dir.join(format!("{RUN}{run}"));
                    fs::create_dir(&dir)?;
                    return Ok(Self::Taken(dir, lock));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let text = fs::read_link(&claim)?;
            if owner(&text) != Some(number) {
                return Ok(Self::Refused(format!("it is run by job {} of Slurm", text.display())));
            }
            match Record::read(&job.dir.join(format!("{RUN}{run}"))) {
                Ok(record) if !record.interrupted => return Ok(Self::Over(exit_code(&record))),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if !is_marked(&job.file(RERUNNABLE_FILE)) {
                return Ok(Self::Refused("it has run, and is not to be run again".to_owned()));
            }
        }
        Ok(Self::Refused("it was run too often".to_owned()))
    }
}

/// The number of the job in the workload manager that has made a claim.
fn owner(claim: &Path) -> Option<&str> {
    Some(claim.to_str()?.split_once('@')?.0)
}

/// Lock a file until it is closed. True if another process has locked it; a file system without locks has no say.
fn is_locked(file: &File) -> bool {
    // SAFETY: takes plain numbers; the descriptor is open.
    let failed = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == -1;
    failed && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// The exit code of a job that has ended.
pub(super) fn exit_code(record: &Record) -> u8 {
    let code = record.signal.map_or(record.exit_code, |signal| Some(128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(super::REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmaa2_init::TERMINATE_FILE;

    fn scratch(name: &str) -> PathBuf {
        let dir = env::temp_dir().join(format!("drmaa2-claim-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn taken(dir: &Path, number: &str) -> Option<PathBuf> {
        match Claim::take_as(&Job::at(dir), number, "n1", || panic!("it waits")).unwrap() {
            Claim::Taken(dir, _) => Some(dir),
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
        let again = Claim::take_as(&Job::at(&dir), "7", "n1", || false).unwrap();
        assert!(matches!(again, Claim::Over(4)));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_run_that_goes_on_is_waited_for() {
        let dir = scratch("goes-on");
        let job = Job::at(&dir);
        let first = Claim::take_as(&job, "7", "n1", || false).unwrap();
        assert!(matches!(Claim::take_as(&job, "7", "n2", || false).unwrap(), Claim::Refused(_)));
        // No other job of the workload manager waits.
        assert_eq!(taken(&dir, "8"), None);
        let mut first = Some(first);
        let second = Claim::take_as(&job, "7", "n2", || {
            let record = Record { exit_code: Some(4), ..Record::default() };
            record.write(&dir.join("run.0")).unwrap();
            first.take().is_some()
        });
        assert!(matches!(second.unwrap(), Claim::Over(4)));
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
