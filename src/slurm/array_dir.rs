//! The directory of a job array: what its tasks are to run, and what is known of those that have not begun.
//!
//! A task has a directory of its own from its first run on, which the program on its node makes. So a submission writes as
//! many files for a hundred thousand tasks as for one, which matters on a file system that nodes share.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use drmaa2_init::array::{MARKS_FILE, Mark};

use super::failure::of_file;
use super::plan::{self, Plan};
use super::submission::{SUBMITTED_FILE, Submitted};
use crate::model::Result;
use crate::tracker::NewArray;

/// A file with the first index, the step and the number of the tasks, the number that stands for an index, and the session
/// on a line of its own. The directory has it from its first moment.
const TASKS_FILE: &str = "tasks";
/// Ends the name of a directory that is being made.
const DRAFT: &str = ".new";

/// The directory of an array, as it was read.
pub(super) struct ArrayDir {
    first: i64,
    step: i64,
    /// The number that stands for the index of a task in what it is to run.
    pub(super) stand_in: i64,
    session: String,
    parts: Vec<Part>,
    marks: Vec<u8>,
}

/// Tasks that Slurm has accepted in one array of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Their places in the job array.
    pub(super) places: RangeInclusive<i64>,
    /// The place in the job array of what is at place 0 for Slurm.
    pub(super) base: i64,
    /// The number of Slurm's array.
    pub(super) number: String,
    /// The start of the controller that has accepted them.
    pub(super) controller: String,
}

impl ArrayDir {
    /// Read a directory; `None` if there is none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(dir.join(TASKS_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| of_file(dir, &error))?,
        };
        let read = || {
            let (numbers, session) = text.split_once('\n')?;
            let numbers: Vec<i64> =
                numbers.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
            let [first, step, stand_in] = numbers[..] else { return None };
            Some((first, step.max(1), stand_in, session.to_owned()))
        };
        let (first, step, stand_in, session) =
            read().ok_or_else(|| of_file(&dir.join(TASKS_FILE), &io::ErrorKind::InvalidData.into()))?;
        let parts = match fs::read_to_string(dir.join(SUBMITTED_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => {
                let text = text.map_err(|error| of_file(dir, &error))?;
                text.lines().filter_map(Part::parse).collect()
            }
        };
        let marks = match fs::read(dir.join(MARKS_FILE)) {
            // It is just removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            marks => marks.map_err(|error| of_file(dir, &error))?,
        };
        Ok(Some(Self { first, step, stand_in, session, parts, marks }))
    }

    /// The place of the task with this index.
    pub(super) fn place(&self, index: i64) -> Option<i64> {
        let distance = index.checked_sub(self.first)?;
        (distance >= 0 && distance % self.step == 0).then_some(distance / self.step)
    }

    /// The index of the task at this place.
    pub(super) fn index(&self, place: i64) -> i64 {
        place.saturating_mul(self.step).saturating_add(self.first)
    }

    pub(super) fn step(&self) -> i64 {
        self.step
    }

    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The mark of the task at this place.
    pub(super) fn mark(&self, place: i64) -> Mark {
        let byte = usize::try_from(place).ok().and_then(|place| self.marks.get(place));
        byte.map_or(Mark::Gone, |byte| Mark::of(*byte))
    }

    /// The submission of the task at this place, once Slurm has accepted it.
    pub(super) fn submitted(&self, place: i64) -> Option<Submitted> {
        // The last one: a task that was forgotten is submitted again.
        let part = self.parts.iter().rfind(|part| part.places.contains(&place))?;
        Some(Submitted {
            number: format!("{}_{}", part.number, place - part.base),
            controller: part.controller.clone(),
            session: self.session.clone(),
        })
    }

    /// The indices of the tasks of which something is left.
    pub(super) fn indices(&self) -> impl Iterator<Item = i64> {
        let left = self.marks.iter().enumerate().filter(|(_, byte)| Mark::of(**byte) != Mark::Gone);
        left.filter_map(|(place, _)| i64::try_from(place).ok()).map(|place| self.index(place))
    }
}

impl Part {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        let mut number = || words.next()?.parse::<i64>().ok();
        let (first, last, base) = (number()?, number()?, number()?);
        let (number, controller) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Self { places: first..=last, base, number, controller })
    }
}

/// Make the directory of an array, whose tasks are about to be submitted.
pub(super) fn make(dir: &Path, array: &NewArray, stand_in: i64, plan: &Plan<'_>) -> Result<()> {
    let mut draft = dir.as_os_str().to_owned();
    draft.push(DRAFT);
    let draft = PathBuf::from(draft);
    let made = || {
        match fs::remove_dir_all(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&draft)?;
        plan::write(&draft, plan)?;
        let (range, session) = (array.range, &array.common.session);
        let tasks = format!("{} {} {stand_in}\n{session}", range.first, range.step.max(1));
        fs::write(draft.join(TASKS_FILE), tasks)?;
        let count = usize::try_from(range.count()).map_err(io::Error::other)?;
        let mut marks = vec![Mark::Gone.byte(); count];
        for index in &array.indices {
            let place = usize::try_from((index - range.first) / range.step.max(1));
            if let Some(mark) = place.ok().and_then(|place| marks.get_mut(place)) {
                *mark = Mark::None.byte();
            }
        }
        fs::write(draft.join(MARKS_FILE), marks)?;
        fs::rename(&draft, dir)
    };
    made().map_err(|error| of_file(dir, &error))
}

/// Note tasks that are about to be submitted again.
pub(super) fn enlist(dir: &Path, places: &[i64]) -> Result<()> {
    let enlisted = || {
        let file = OpenOptions::new().read(true).write(true).open(dir.join(MARKS_FILE))?;
        let mut marks = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
        file.read_exact_at(&mut marks, 0)?;
        let gone = |place: &u64| {
            let byte = usize::try_from(*place).ok().and_then(|place| marks.get(place));
            byte.is_some_and(|byte| Mark::of(*byte) == Mark::Gone)
        };
        let places = places.iter().filter_map(|place| u64::try_from(*place).ok());
        let gone: Vec<u64> = places.filter(gone).collect();
        for run in gone.chunk_by(|one, next| one + 1 == *next) {
            file.write_all_at(&vec![Mark::None.byte(); run.len()], run[0])?;
        }
        Ok(())
    };
    enlisted().map_err(|error| of_file(dir, &error))
}

/// Note that Slurm has accepted tasks.
pub(super) fn note_submitted(dir: &Path, parts: &[Part]) -> Result<()> {
    let file = dir.join(SUBMITTED_FILE);
    let line = |part: &Part| {
        let Part { places, base, number, controller } = part;
        format!("{} {} {base} {number} {controller}\n", places.start(), places.end())
    };
    let text: String = parts.iter().map(line).collect();
    let noted = OpenOptions::new().append(true).create(true).open(&file);
    noted
        .and_then(|mut file: File| file.write_all(text.as_bytes()))
        .map_err(|error| of_file(&file, &error))
}

/// Ask something of the tasks at these places.
pub(super) fn mark(dir: &Path, places: impl IntoIterator<Item = i64>, mark: Mark) -> io::Result<()> {
    mark.write(dir, places.into_iter().filter_map(|place| u64::try_from(place).ok()))
}

/// Note that nothing is left of a task. The last one takes the directory with it.
pub(super) fn remove_task(dir: &Path, index: i64) -> Result<()> {
    let Some(array) = ArrayDir::read(dir)? else { return Ok(()) };
    let removed = || {
        if let Some(place) = array.place(index) {
            mark(dir, [place], Mark::Gone)?;
        }
        let marks = fs::read(dir.join(MARKS_FILE))?;
        match marks.iter().all(|byte| Mark::of(*byte) == Mark::Gone) {
            true => fs::remove_dir_all(dir),
            false => Ok(()),
        }
    };
    match removed() {
        // Another process has removed the last one.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of_file(dir, &error)),
        _ => Ok(()),
    }
}

/// The directories of all arrays.
pub(super) fn all(arrays_dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(arrays_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| of_file(arrays_dir, &error))?,
    };
    let dirs = entries.flatten().map(|entry| entry.path());
    Ok(dirs.filter(|dir| !dir.to_string_lossy().ends_with(DRAFT)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::{NewJob, TaskRange};

    fn array(dir: &Path) -> (PathBuf, NewArray) {
        let range = TaskRange { first: 5, last: 14, step: 3 };
        let common = NewJob::for_tests("a");
        let array = NewArray { common, range, max_parallel: None, indices: vec![5, 8, 14] };
        let dir = dir.join("a");
        let order = drmaa2_init::Order::default();
        let plan = Plan { order: &order, rerunnable: false, container: None };
        make(&dir, &array, 4242, &plan).unwrap();
        (dir, array)
    }

    fn read(dir: &Path) -> ArrayDir {
        ArrayDir::read(dir).unwrap().unwrap()
    }

    #[test]
    fn a_task_is_known_from_its_submission_to_its_removal() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(ArrayDir::read(&scratch.path().join("a")).unwrap().is_none());
        let (dir, _) = array(scratch.path());
        let known = read(&dir);
        assert_eq!(known.indices().collect::<Vec<_>>(), [5, 8, 14]);
        assert_eq!((known.place(8), known.place(9), known.place(2)), (Some(1), None, None));
        assert_eq!(known.submitted(1), None);
        let part = |places, number: &str| Part {
            places,
            base: 0,
            number: number.to_owned(),
            controller: "2026-01-01 10:00".to_owned(),
        };
        note_submitted(&dir, &[part(0..=1, "7"), part(3..=3, "7")]).unwrap();
        note_submitted(&dir, &[Part { base: 3, ..part(3..=3, "9") }]).unwrap();
        let known = read(&dir);
        let numbers = [0, 1, 2, 3].map(|place| Some(known.submitted(place)?.number));
        assert_eq!(numbers, [Some("7_0".into()), Some("7_1".into()), None, Some("9_0".into())]);
        assert_eq!(known.submitted(0).unwrap().controller, "2026-01-01 10:00");
        for index in [5, 14, 14] {
            remove_task(&dir, index).unwrap();
        }
        assert_eq!(read(&dir).indices().collect::<Vec<_>>(), [8]);
        enlist(&dir, &[3]).unwrap();
        assert_eq!(read(&dir).indices().collect::<Vec<_>>(), [8, 14]);
        for index in [14, 8] {
            remove_task(&dir, index).unwrap();
        }
        assert!(!dir.exists());
        remove_task(&dir, 8).unwrap();
    }

    #[test]
    fn what_was_asked_of_a_task_stays_asked_when_it_is_submitted_again() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, _) = array(scratch.path());
        mark(&dir, [1], Mark::Terminate).unwrap();
        enlist(&dir, &[0, 1]).unwrap();
        assert_eq!((read(&dir).mark(0), read(&dir).mark(1)), (Mark::None, Mark::Terminate));
        assert_eq!((read(&dir).mark(2), read(&dir).mark(99)), (Mark::Gone, Mark::Gone));
    }
}
