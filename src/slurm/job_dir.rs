//! The directory of a job: what it is to run, and what its runs have left.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use drmaa2_init::{
    CLAIM, CONTAINER_FILE, KILL_FILE, Order, RERUNNABLE_FILE, RUN, Record, SPEC_FILE, TERMINATE_FILE,
    is_marked, mark,
};

use serde_json::Value;

use super::settings::Settings;
use crate::model::{Error, ErrorCode, Millis, Result};
use crate::tracker::NewJob;

/// A file with the number that Slurm has given to the job, the start of its controller, and the session, a line each.
const SUBMITTED_FILE: &str = "submitted";

/// The present content of the directory of a job.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The submission, once Slurm has accepted the job.
    pub(super) submitted: Option<Submitted>,
    /// The last run that was claimed.
    pub(super) run: Option<Run>,
    /// The job was to end.
    pub(super) terminated: bool,
    /// It was to be killed.
    pub(super) killed: bool,
}

/// The submission of a job to Slurm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submitted {
    /// Its number.
    pub(super) number: String,
    /// The start of the controller that has accepted it: a later one may have forgotten it.
    pub(super) controller: String,
    /// Its session.
    pub(super) session: String,
}

/// A run of a job.
#[derive(Debug)]
pub(super) struct Run {
    /// The node.
    pub(super) node: String,
    /// The time of the claim, by the clock of the file system.
    pub(super) claimed: Millis,
    /// Its end, once that is recorded.
    pub(super) record: Option<Record>,
}

impl Files {
    /// Look at a directory; `None` if there is none.
    pub(super) fn look(dir: &Path) -> Result<Option<Self>> {
        let submitted = match fs::read_to_string(dir.join(SUBMITTED_FILE)) {
            Ok(text) => Submitted::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(dir, &error)),
        };
        if submitted.is_none() && !dir.is_dir() {
            return Ok(None);
        }
        let run = Run::last(dir).map_err(|error| io_error(dir, &error))?;
        let [terminated, killed] = [TERMINATE_FILE, KILL_FILE].map(|file| is_marked(&dir.join(file)));
        Ok(Some(Self { submitted, run, terminated, killed }))
    }

    /// The record of a job that has ended by itself, or was to end: what Slurm says does not matter then.
    pub(super) fn final_record(&self) -> Option<&Record> {
        let record = self.run.as_ref()?.record.as_ref()?;
        (!record.interrupted || self.terminated).then_some(record)
    }
}

impl Submitted {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.splitn(3, '\n').map(str::to_owned);
        Some(Self { number: lines.next()?, controller: lines.next()?, session: lines.next()? })
    }
}

impl Run {
    fn last(dir: &Path) -> io::Result<Option<Self>> {
        let mut last = None;
        for number in 0u32.. {
            let claim = dir.join(format!("{CLAIM}{number}"));
            match fs::read_link(&claim) {
                Ok(text) => last = Some((number, text, claim.symlink_metadata()?)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        let Some((number, claim, found)) = last else { return Ok(None) };
        let claim = claim.to_string_lossy();
        let node = claim.split_once('@').map_or("", |(_, node)| node).to_owned();
        let record = match Record::read(&dir.join(format!("{RUN}{number}"))) {
            Ok(record) => Some(record),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let claimed = found.mtime() * 1000 + found.mtime_nsec() / 1_000_000;
        Ok(Some(Self { node, claimed, record }))
    }
}

/// Make the directories that all jobs share.
pub(super) fn make_shared(settings: &Settings) -> Result<()> {
    for dir in [settings.jobs_dir(), settings.news_dir()] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| io_error(&dir, &error))?;
    }
    Ok(())
}

/// Bring what was made of jobs to stable storage: Slurm must not know a job of which nothing is left.
pub(super) fn sync(jobs_dir: &Path) -> Result<()> {
    let synced = File::open(jobs_dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
    synced.map_err(|error| io_error(jobs_dir, &error))
}

/// Make the directory of a job, with its order, and with its container if it has one: the spec, the path of the image's
/// root file system, and the runtime.
pub(super) fn make(
    dir: &Path,
    job: &NewJob,
    order: &Order,
    container: Option<(&Value, &Path, &str)>,
) -> Result<()> {
    let made = || {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        if job.template.rerunnable {
            mark(&dir.join(RERUNNABLE_FILE))?;
        }
        if let Some((spec, lower, runtime)) = container {
            fs::write(dir.join(SPEC_FILE), spec.to_string())?;
            fs::write(
                dir.join(CONTAINER_FILE),
                [lower.as_os_str().as_bytes(), runtime.as_bytes()].join(&b'\n'),
            )?;
        }
        order.write_unsynced(dir)
    };
    made().map_err(|error| io_error(dir, &error))
}

/// Note that Slurm has accepted a job.
pub(super) fn note_submitted(dir: &Path, number: &str, controller: &str, session: &str) -> Result<()> {
    let file = dir.join(SUBMITTED_FILE);
    fs::write(&file, format!("{number}\n{controller}\n{session}"))
        .map_err(|error| io_error(&file, &error))
}

/// Mark a job as to be ended, or killed.
pub(super) fn note_request(dir: &Path, file: &str) -> Result<()> {
    mark(&dir.join(file)).map(drop).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unknown_job(&dir.file_name().unwrap_or_default().to_string_lossy()),
        _ => io_error(dir, &error),
    })
}

/// Remove the directory of a job.
pub(super) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(dir, &error)),
        _ => Ok(()),
    }
}

/// The ids of all jobs with a directory.
pub(super) fn all(jobs_dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(jobs_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| io_error(jobs_dir, &error))?,
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// The directory of a job; INVALID_ARGUMENT for an id that no job can have, which must not become part of a path.
pub(super) fn of(settings: &Settings, id: &str) -> Result<PathBuf> {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let fits = id.len() <= 100 && id.starts_with(|char: char| char.is_ascii_alphanumeric());
    if fits && id.chars().all(plain) { Ok(settings.jobs_dir().join(id)) } else { Err(unknown_job(id)) }
}

/// The error for a job that Slurm does not know.
pub(super) fn unknown_job(id: &str) -> Error {
    Error::argument(format!("Slurm has no job {id}"))
}

/// An error of the system, with the path of the file.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::of_own(error), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_last_run_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Files::look(&dir.path().join("none")).unwrap().is_none());
        assert!(Files::look(dir.path()).unwrap().unwrap().run.is_none());
        note_submitted(dir.path(), "7_3", "12", "a\nb").unwrap();
        for (number, node) in [(0, "n1"), (1, "n2")] {
            symlink(format!("7@{node}"), dir.path().join(format!("claim.{number}"))).unwrap();
            fs::create_dir(dir.path().join(format!("run.{number}"))).unwrap();
        }
        let record = Record { exit_code: Some(4), interrupted: true, ..Record::default() };
        record.write(&dir.path().join("run.0")).unwrap();
        let files = Files::look(dir.path()).unwrap().unwrap();
        let submitted = files.submitted.as_ref().unwrap();
        assert_eq!((submitted.number.as_str(), submitted.session.as_str()), ("7_3", "a\nb"));
        assert!(files.run.as_ref().is_some_and(|run| run.node == "n2" && run.record.is_none()));
        record.write(&dir.path().join("run.1")).unwrap();
        assert!(Files::look(dir.path()).unwrap().unwrap().final_record().is_none());
        note_request(dir.path(), TERMINATE_FILE).unwrap();
        assert!(Files::look(dir.path()).unwrap().unwrap().final_record().is_some());
    }

    #[test]
    fn no_id_leads_out_of_the_directory() {
        let programs = super::super::command::Programs { path: "".into(), conf: None };
        let settings = Settings { programs, dir: "/s".into(), node: "/n".into() };
        assert_eq!(of(&settings, "01j.-5").unwrap(), Path::new("/s/jobs/01j.-5"));
        for id in ["", ".", "..", "../x", "a/b", ".x"] {
            assert!(of(&settings, id).is_err(), "{id}");
        }
    }
}
