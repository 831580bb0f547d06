//! The directory of a job: what it is to run, and what its runs have left.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use drmaa2_init::array::Mark;
use drmaa2_init::suspension::{SUSPEND_FILE, Switched};
use drmaa2_init::{
    CLAIM, KILL_FILE, LOCK_FILE, RERUNNABLE_FILE, RUN, Record, TERMINATE_FILE, is_marked, mark,
};
use rustix::fs::FlockOperation;

use super::array_dir::{self, ArrayDir};
use super::failure::of_file;
use super::plan::{self, Plan};
use super::settings::Settings;
use super::submission::{SUBMITTED_FILE, Submitted};
use crate::model::{Error, Millis, Result};

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
    /// It may run again after an interruption. Not looked for before it has begun.
    pub(super) rerunnable: bool,
}

/// A run of a job.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Its directory.
    pub(super) dir: PathBuf,
    /// The node.
    pub(super) node: String,
    /// The time of the claim, by the clock of the file system.
    pub(super) claimed: Millis,
    /// Its end, once that is recorded.
    pub(super) record: Option<Record>,
    /// Its last suspension or resumption by its init.
    pub(super) switched: Option<Switched>,
}

impl Files {
    /// Look at a directory; `None` if there is none.
    fn look(dir: &Path) -> Result<Option<Self>> {
        let submitted = match fs::read_to_string(dir.join(SUBMITTED_FILE)) {
            Ok(text) => Submitted::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(of_file(dir, &error)),
        };
        if submitted.is_none() && !dir.is_dir() {
            return Ok(None);
        }
        let run = Run::last(dir).map_err(|error| of_file(dir, &error))?;
        let [terminated, killed] = [TERMINATE_FILE, KILL_FILE].map(|file| is_marked(&dir.join(file)));
        let rerunnable = run.is_some() && is_marked(&dir.join(RERUNNABLE_FILE));
        Ok(Some(Self { submitted, run, terminated, killed, rerunnable }))
    }

    /// The record of a job that has ended by itself, or was to end: what Slurm says does not matter then.
    pub(super) fn final_record(&self) -> Option<&Record> {
        let record = self.run.as_ref()?.record.as_ref()?;
        (!record.interrupted || self.terminated).then_some(record)
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
        let dir = dir.join(format!("{RUN}{number}"));
        let record = match Record::read(&dir) {
            Ok(record) => Some(record),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let claimed = found.mtime() * 1000 + found.mtime_nsec() / 1_000_000;
        let switched = Switched::look(&dir);
        Ok(Some(Self { dir, node, claimed, record, switched }))
    }

    /// Its init has suspended it.
    pub(super) fn is_suspended(&self) -> bool {
        self.switched.is_some_and(|switched| switched.suspended)
    }

    /// Note that its init is to suspend it, or to resume it.
    pub(super) fn note_suspension(&self, suspend: bool) -> Result<()> {
        let file = self.dir.join(SUSPEND_FILE);
        let noted = if suspend { mark(&file).map(drop) } else { fs::remove_file(&file) };
        match noted {
            Err(error) if suspend || error.kind() != io::ErrorKind::NotFound => {
                Err(of_file(&file, &error))
            }
            _ => Ok(()),
        }
    }
}

/// Looks at jobs; what the tasks of an array share is read once.
pub(super) struct Looker<'a> {
    settings: &'a Settings,
    arrays: HashMap<String, Option<ArrayDir>>,
}

impl<'a> Looker<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self { settings, arrays: HashMap::new() }
    }

    /// The present content of what is left of a job; `None` if nothing is.
    pub(super) fn look(&mut self, id: &str) -> Result<Option<Files>> {
        let dir = of(self.settings, id)?;
        let Some((name, index)) = task(id) else { return Files::look(&dir) };
        let settings = self.settings;
        let Some(array) = self.array(name)? else { return Ok(None) };
        let Some(place) = array.place(index) else { return Ok(None) };
        let mark = array.mark(place);
        if mark == Mark::Gone {
            return Ok(None);
        }
        let run = Run::last(&dir).map_err(|error| of_file(&dir, &error))?;
        let (terminated, killed) = (mark >= Mark::Terminate, mark >= Mark::Kill);
        let submitted = array.submitted(place);
        let of_array = || array_dir(settings, name).join(RERUNNABLE_FILE);
        let rerunnable = run.is_some() && is_marked(&of_array());
        Ok(Some(Files { submitted, run, terminated, killed, rerunnable }))
    }

    /// The directory of an array.
    pub(super) fn array(&mut self, array: &str) -> Result<Option<&ArrayDir>> {
        if !self.arrays.contains_key(array) {
            let read = ArrayDir::read(&array_dir(self.settings, array))?;
            self.arrays.insert(array.to_owned(), read);
        }
        Ok(self.arrays.get(array).and_then(Option::as_ref))
    }
}

/// Returns whether a run of the job with this directory goes on, as its lock tells. A file system without locks does
/// not tell.
pub(super) fn goes_on(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join(LOCK_FILE)) else { return false };
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
    locked == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Make the directories that all jobs share.
pub(super) fn make_shared(settings: &Settings) -> Result<()> {
    let [jobs, arrays] = [settings.jobs_dir(), settings.arrays_dir()];
    for dir in [jobs, arrays, settings.news_dir(), settings.ended_dir()] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| of_file(&dir, &error))?;
    }
    Ok(())
}

/// Bring the files of a job, or of an array, to stable storage, and their names: what Slurm accepts has them after a crash
/// of the machine too. Only these: others may have written much to the file system.
pub(super) fn sync(dir: &Path) -> Result<()> {
    let sync = |path: &Path| match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of_file(path, &error)),
        _ => Ok(()),
    };
    for entry in fs::read_dir(dir).map_err(|error| of_file(dir, &error))? {
        let entry = entry.map_err(|error| of_file(dir, &error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            sync(&entry.path())?;
        }
    }
    sync(dir)?;
    dir.parent().map_or(Ok(()), sync)
}

/// Make the directory of a job.
pub(super) fn make(dir: &Path, plan: &Plan<'_>) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.and_then(|()| plan::write(dir, plan)).map_err(|error| of_file(dir, &error))
}

/// Remove the runs of a job, none of which goes on, the last one first: as long as any is left, so is the first.
/// OUT_OF_RESOURCE, which may pass, if one goes on.
pub(super) fn forget_runs(dir: &Path) -> Result<()> {
    let forgotten = || {
        // A network file system locks only what is open for writing.
        let lock = File::options().append(true).create(true).open(dir.join(LOCK_FILE))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let mut runs = 0u32;
        while dir.join(format!("{CLAIM}{runs}")).symlink_metadata().is_ok() {
            runs += 1;
        }
        for run in (0..runs).rev() {
            match fs::remove_dir_all(dir.join(format!("{RUN}{run}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::remove_file(dir.join(format!("{CLAIM}{run}")))?,
            }
        }
        Ok(())
    };
    forgotten().map_err(|error: io::Error| of_file(dir, &error))
}

/// Note that jobs are to be ended, or killed. One that cannot be noted does not keep the others.
pub(super) fn note_end(settings: &Settings, ids: &[String], kill: bool) -> Result<()> {
    let mut looker = Looker::new(settings);
    let mut arrays: HashMap<&str, Vec<i64>> = HashMap::new();
    let mut noted = Ok(());
    for id in ids {
        let one = match task(id) {
            None => of(settings, id).and_then(|dir| note_end_of_job(&dir, id, kill)),
            Some((array, index)) => of(settings, id).and_then(|_| {
                let place = looker.array(array)?.and_then(|dir| dir.place(index));
                arrays.entry(array).or_default().push(place.ok_or_else(|| unknown_job(id))?);
                Ok(())
            }),
        };
        noted = noted.and(one);
    }
    let asked = if kill { Mark::Kill } else { Mark::Terminate };
    for (array, places) in arrays {
        let dir = array_dir(settings, array);
        let marked = array_dir::mark(&dir, places, asked);
        noted = noted.and(marked.map_err(|error| request_error(&dir, array, &error)));
    }
    noted
}

fn note_end_of_job(dir: &Path, id: &str, kill: bool) -> Result<()> {
    let note = |file: &str| mark(&dir.join(file)).map(drop);
    let noted = if kill { note(KILL_FILE) } else { Ok(()) };
    noted.and_then(|()| note(TERMINATE_FILE)).map_err(|error| request_error(dir, id, &error))
}

fn request_error(dir: &Path, id: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => unknown_job(id),
        _ => of_file(dir, error),
    }
}

/// Remove what is left of a job.
pub(super) fn remove(settings: &Settings, id: &str) -> Result<()> {
    let dir = of(settings, id)?;
    if let Some((array, index)) = task(id) {
        // Before its own directory: see the program on the node.
        array_dir::remove_task(&array_dir(settings, array), index)?;
    }
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_file(&dir, &error)),
        _ => {}
    }
    // Most jobs have left one.
    let _ = fs::remove_file(settings.news_dir().join(id));
    Ok(())
}

/// Note that a job has ended which Slurm may still hold.
pub(super) fn note_ended(settings: &Settings, id: &str) -> Result<()> {
    of(settings, id)?;
    let file = settings.ended_dir().join(id);
    mark(&file).map(drop).map_err(|error| of_file(&file, &error))
}

/// The jobs of which that is noted.
pub(super) fn ended(settings: &Settings) -> Result<HashSet<String>> {
    let dir = settings.ended_dir();
    match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
        Err(error) => Err(of_file(&dir, &error)),
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
    }
}

/// Forget that.
pub(super) fn forget_ended(settings: &Settings, id: &str) -> Result<()> {
    let file = settings.ended_dir().join(id);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of_file(&file, &error)),
        _ => Ok(()),
    }
}

/// The ids of all jobs of which something is left.
pub(super) fn all(settings: &Settings) -> Result<Vec<String>> {
    let jobs_dir = settings.jobs_dir();
    let entries: Vec<String> = match fs::read_dir(&jobs_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => {
            let entries = entries.map_err(|error| of_file(&jobs_dir, &error))?;
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }
    };
    let mut ids = HashSet::new();
    for dir in array_dir::all(&settings.arrays_dir())? {
        let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(array) = ArrayDir::read(&dir)? else { continue };
        ids.extend(array.indices().map(|index| format!("{name}.{index}")));
    }
    // Also tasks that were removed while their nodes began with them.
    ids.extend(entries);
    Ok(ids.into_iter().collect())
}

/// The directory of a job; INVALID_ARGUMENT for an id that no job can have, which must not become part of a path.
pub(super) fn of(settings: &Settings, id: &str) -> Result<PathBuf> {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let fits = id.len() <= 100 && id.starts_with(|char: char| char.is_ascii_alphanumeric());
    if fits && id.chars().all(plain) { Ok(settings.jobs_dir().join(id)) } else { Err(unknown_job(id)) }
}

/// The directory of an array.
pub(super) fn array_dir(settings: &Settings, array: &str) -> PathBuf {
    settings.arrays_dir().join(array)
}

/// The array of a task, and its index.
pub(super) fn task(id: &str) -> Option<(&str, i64)> {
    let (array, index) = id.rsplit_once('.')?;
    Some((array, index.parse().ok()?))
}

/// The error for a job that Slurm does not know.
pub(super) fn unknown_job(id: &str) -> Error {
    Error::argument(format!("Slurm has no job {id}"))
}

#[cfg(test)]
mod tests {
    use super::super::submission::note_submitted;
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
        note_end_of_job(dir.path(), "j", false).unwrap();
        assert!(Files::look(dir.path()).unwrap().unwrap().final_record().is_some());
    }

    #[test]
    fn a_run_goes_on_as_long_as_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!goes_on(dir.path()));
        let file = File::create(dir.path().join(LOCK_FILE)).unwrap();
        assert!(!goes_on(dir.path()));
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        assert!(goes_on(dir.path()));
        drop(file);
        assert!(!goes_on(dir.path()));
    }

    fn settings(dir: &Path) -> Settings {
        let programs = super::super::command::Programs { path: "".into(), conf: None };
        Settings { programs, dir: dir.to_owned(), node: "/n".into() }
    }

    #[test]
    fn the_mark_of_an_end_outlives_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        assert!(ended(&settings).unwrap().is_empty());
        make_shared(&settings).unwrap();
        fs::create_dir(of(&settings, "j").unwrap()).unwrap();
        note_ended(&settings, "j").unwrap();
        remove(&settings, "j").unwrap();
        assert!(all(&settings).unwrap().is_empty());
        assert_eq!(ended(&settings).unwrap(), ["j".to_owned()].into());
        for _ in 0..2 {
            forget_ended(&settings, "j").unwrap();
            assert!(ended(&settings).unwrap().is_empty());
        }
        assert!(note_ended(&settings, "../j").is_err());
    }

    #[test]
    fn no_id_leads_out_of_the_directory() {
        let settings = settings(Path::new("/s"));
        assert_eq!(of(&settings, "01j.-5").unwrap(), Path::new("/s/jobs/01j.-5"));
        for id in ["", ".", "..", "../x", "a/b", ".x"] {
            assert!(of(&settings, id).is_err(), "{id}");
        }
    }

    #[test]
    fn runs_are_forgotten_unless_one_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..2 {
            symlink("7@n1", dir.path().join(format!("claim.{number}"))).unwrap();
            fs::create_dir(dir.path().join(format!("run.{number}"))).unwrap();
            fs::write(dir.path().join(format!("run.{number}/record")), "").unwrap();
        }
        let lock = File::options().append(true).create(true).open(dir.path().join(LOCK_FILE)).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        assert_eq!(forget_runs(dir.path()).unwrap_err().code, crate::model::ErrorCode::OutOfResource);
        drop(lock);
        fs::remove_dir_all(dir.path().join("run.1")).unwrap();
        forget_runs(dir.path()).unwrap();
        assert!(Files::look(dir.path()).unwrap().unwrap().run.is_none());
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [LOCK_FILE]);
        forget_runs(dir.path()).unwrap();
    }
}
