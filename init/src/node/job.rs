//! The job that this program runs: the directory of its runs, and the one with what it is to run, which the tasks of an
//! array share.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use drmaa2_init::array::{ARRAYS_DIR, Mark, replace};
use drmaa2_init::{COMMENT, KILL_FILE, NEWS_DIR, Order, TERMINATE_FILE, is_marked};

/// A job.
pub(crate) struct Job {
    /// The directory of its runs.
    pub(crate) dir: PathBuf,
    task: Option<Task>,
}

/// A task of an array.
struct Task {
    /// The directory of its array.
    array: PathBuf,
    /// Its place in the array.
    place: u64,
    /// Its index, and the number that stands for it in what the array is to run.
    index: String,
    stand_in: String,
}

impl Job {
    /// The job of the arguments, see the program.
    pub(crate) fn of(args: &[OsString]) -> Option<Self> {
        match args {
            [jobs_dir, job] => Some(Self { dir: Path::new(jobs_dir).join(job.to_str()?), task: None }),
            [jobs_dir, array, numbers @ .., stand_in] => {
                let numbers: Vec<i64> =
                    numbers.iter().map(|number| number.to_str()?.parse().ok()).collect::<Option<_>>()?;
                let [first, step, offset] = numbers[..] else { return None };
                let place: i64 = env::var("SLURM_ARRAY_TASK_ID").ok()?.parse().ok()?;
                let place = place.checked_add(offset)?;
                let index = place.checked_mul(step)?.checked_add(first)?.to_string();
                let (jobs_dir, array) = (Path::new(jobs_dir), array.to_str()?);
                Some(Self {
                    dir: jobs_dir.join(format!("{array}.{index}")),
                    task: Some(Task {
                        array: jobs_dir.with_file_name(ARRAYS_DIR).join(array),
                        place: place.try_into().ok()?,
                        index,
                        stand_in: stand_in.to_str()?.to_owned(),
                    }),
                })
            }
            _ => None,
        }
    }

    /// Make the directory of a task that has none yet. False if the task was removed.
    pub(crate) fn make(&self) -> io::Result<bool> {
        let Some(task) = &self.task else { return Ok(true) };
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // After the directory is made: one that is removed is marked first, and its directory is removed then.
        let is_gone = match Mark::read(&task.array, task.place) {
            Ok(mark) => mark == Mark::Gone,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if is_gone {
            // One with runs is left to its remover.
            let _ = fs::remove_dir(&self.dir);
        }
        Ok(!is_gone)
    }

    /// Returns whether it is to end.
    pub(crate) fn is_to_end(&self) -> bool {
        self.is_asked(Mark::Terminate, TERMINATE_FILE)
    }

    /// Returns whether it is to be killed.
    pub(crate) fn is_to_be_killed(&self) -> bool {
        self.is_asked(Mark::Kill, KILL_FILE)
    }

    fn is_asked(&self, mark: Mark, file: &str) -> bool {
        match &self.task {
            None => is_marked(&self.dir.join(file)),
            Some(task) => Mark::read(&task.array, task.place).is_ok_and(|asked| asked >= mark),
        }
    }

    /// The comment of its submission, as far as all tasks of an array have it.
    pub(crate) fn submission(&self) -> OsString {
        let dir = self.task.as_ref().map_or(&self.dir, |task| &task.array);
        let mut comment = OsString::from(COMMENT);
        comment.push(dir.file_name().unwrap_or_default());
        comment
    }

    /// A file of what it is to run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.task.as_ref().map_or(&self.dir, |task| &task.array).join(name)
    }

    /// Its order.
    pub(crate) fn order(&self) -> io::Result<Order> {
        match &self.task {
            None => Order::read(&self.dir),
            Some(task) => Order::read_as(&task.array, |value| task.fill(value)),
        }
    }

    /// The text of such a file, with its own index.
    pub(crate) fn text(&self, name: &str) -> io::Result<Vec<u8>> {
        let text = fs::read(self.file(name))?;
        Ok(self.task.as_ref().map_or_else(|| text.clone(), |task| task.fill(&text)))
    }

    /// Tell those that watch the directory of news on this machine that there is something new about it.
    pub(crate) fn ring(&self) {
        if let (Some(jobs_dir), Some(name)) = (self.dir.parent(), self.dir.file_name()) {
            let news = jobs_dir.with_file_name(NEWS_DIR).join(name);
            let _ = fs::write(&news, "");
            // The library removes the news after the job; it may have done so before they were written.
            if !is_marked(&self.dir) {
                let _ = fs::remove_file(news);
            }
        }
    }
}

impl Task {
    fn fill(&self, text: &[u8]) -> Vec<u8> {
        replace(text, self.stand_in.as_bytes(), self.index.as_bytes())
    }
}

#[cfg(test)]
impl Job {
    /// A job with this directory, for tests.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), task: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmaa2_init::array::MARKS_FILE;

    fn task(dir: &Path) -> Job {
        let array = dir.join(ARRAYS_DIR).join("a");
        fs::create_dir_all(&array).unwrap();
        fs::create_dir_all(dir.join("jobs")).unwrap();
        fs::write(array.join(MARKS_FILE), "...").unwrap();
        let (index, stand_in) = ("7".to_owned(), "4242".to_owned());
        Job { dir: dir.join("jobs/a.7"), task: Some(Task { array, place: 1, index, stand_in }) }
    }

    #[test]
    fn a_task_runs_the_order_of_its_array_with_its_own_index() {
        let dir = env::temp_dir().join(format!("drmaa2-node-task-{}", std::process::id()));
        let job = task(&dir);
        let order = Order { args: vec![b"echo".to_vec(), b"o.4242".to_vec()], ..Order::default() };
        order.write(&job.file("")).unwrap();
        assert!(job.make().unwrap() && job.make().unwrap());
        assert_eq!(
            (job.submission(), Job::at(&job.dir).submission()),
            ("drmaa2:a".into(), "drmaa2:a.7".into())
        );
        assert_eq!(job.order().unwrap().args, [&b"echo"[..], b"o.7"]);
        Mark::Terminate.write(&job.file(""), [1]).unwrap();
        assert!(job.is_to_end() && !job.is_to_be_killed());
        Mark::Kill.write(&job.file(""), [1]).unwrap();
        assert!(job.is_to_end() && job.is_to_be_killed());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_task_that_was_removed_is_not_begun() {
        let dir = env::temp_dir().join(format!("drmaa2-node-gone-{}", std::process::id()));
        let job = task(&dir);
        Mark::Gone.write(&job.file(""), [1]).unwrap();
        assert!(!job.make().unwrap() && !job.dir.exists());
        fs::remove_dir_all(job.file("")).unwrap();
        assert!(!job.make().unwrap() && !job.dir.exists());
        fs::remove_dir_all(dir).unwrap();
    }
}
