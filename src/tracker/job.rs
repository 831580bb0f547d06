//! Jobs and job arrays as a tracker is given them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files::Stdio;
use crate::model::{Error, JobTemplate, Millis, Result};

/// The submitter of a job, and the properties that the job inherits from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Submitter {
    /// Login name, or the uid in digits if it has none.
    pub user: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode mask.
    pub umask: u32,
    /// Host name.
    pub machine: String,
}

/// The settings of a job that its template does not have, as configured where and when it was submitted.
/// They are stored with the job, so they apply whichever process starts it. The tracker's own JSON; no
/// other module reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(String);

impl Settings {
    /// Settings for a tracker to read.
    pub fn of(value: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_string(value);
        json.map(Self)
            .map_err(|error| Error::internal(format!("the settings of a job cannot be stored: {error}")))
    }

    /// The value that the tracker wrote.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|error| {
            Error::internal(format!("the settings of a stored job cannot be read: {error}"))
        })
    }

    /// From the store.
    pub fn stored(json: String) -> Self {
        Self(json)
    }

    /// For the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id, unique on the machine.
    pub id: String,
    /// Its session.
    pub session: String,
    /// The request.
    pub template: JobTemplate,
    /// The user on whose behalf it was submitted.
    pub submitter: Submitter,
    /// Host paths of its standard streams, placeholders filled in, files made.
    pub stdio: Stdio,
    /// The settings that it is run with.
    pub settings: Settings,
    /// Its place in a job array.
    pub task: Option<Task>,
    /// It is to be held in the queue of its runtime.
    pub held: bool,
    /// Its allotted slots, if slots are counted; a job that is made ready before its allotment has its
    /// minimum.
    pub slots: Option<i64>,
    /// The run time after which it is ended.
    pub wall_clock: Option<Millis>,
    /// The time at which it is ended.
    pub ends: Option<End>,
}

#[cfg(test)]
impl NewJob {
    /// A job of root, for tests, with an empty template.
    pub(crate) fn for_tests(id: &str) -> Self {
        let (user, machine) = ("u".to_owned(), "m".to_owned());
        Self {
            id: id.to_owned(),
            session: "s".to_owned(),
            template: JobTemplate::default(),
            submitter: Submitter { user, uid: 0, gid: 0, groups: vec![], umask: 0, machine },
            stdio: Stdio::default(),
            settings: Settings::default(),
            task: None,
            held: false,
            slots: None,
            wall_clock: None,
            ends: None,
        }
    }
}

/// Tasks of a job array that are submitted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArray {
    /// The part that the tasks have in common. Its id is that of the array; its files are as [`Stdio::of_task`] takes them.
    pub common: NewJob,
    /// The indices of all tasks of the array.
    pub range: TaskRange,
    /// The most tasks that may run at one time.
    pub max_parallel: Option<i64>,
    /// The indices of the tasks to submit, in order.
    pub indices: Vec<i64>,
}

impl NewArray {
    /// A task of it.
    pub fn task(&self, index: i64) -> NewJob {
        let (range, max_parallel) = (Some(self.range), self.max_parallel);
        let array = self.common.id.clone();
        NewJob {
            id: format!("{array}.{index}"),
            stdio: self.common.stdio.of_task(index),
            task: Some(Task { array, index, range, max_parallel }),
            ..self.common.clone()
        }
    }
}

/// The time at which a job is ended, whatever it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The time.
    pub at: Millis,
    /// The reason, for people.
    pub reason: String,
}

/// The place of a job in a job array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Id of the array.
    pub array: String,
    /// Index of the task.
    pub index: i64,
    /// The indices of all tasks, if known.
    pub range: Option<TaskRange>,
    /// The most tasks that may run at one time.
    pub max_parallel: Option<i64>,
}

/// The indices of the tasks of a job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRange {
    /// The lowest.
    pub first: i64,
    /// The highest.
    pub last: i64,
    /// The difference between two indices.
    pub step: i64,
}

impl TaskRange {
    /// The most tasks of an array.
    pub const MOST: i64 = 100_000;

    /// The range with these numbers; `None` if there is none, or it has too many tasks.
    pub fn checked(first: i64, last: i64, step: i64) -> Option<Self> {
        let span = last.checked_sub(first)?;
        let is_range =
            first >= 0 && span >= 0 && step >= 1 && span % step == 0 && span / step < Self::MOST;
        is_range.then_some(Self { first, last, step })
    }

    /// All of them, in order.
    pub fn indices(self) -> impl Iterator<Item = i64> {
        (0..self.count()).map(move |place| self.first + place * self.step)
    }

    /// The number of tasks.
    pub fn count(&self) -> i64 {
        (self.last - self.first) / self.step.max(1) + 1
    }
}
