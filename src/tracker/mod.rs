//! The seam between the API's meaning and the system that runs jobs.
//!
//! A tracker starts jobs, controls them and reports facts about them. It does not queue, and keeps
//! no history: the session room does that over the store, for every tracker alike. The methods
//! bear the names of the DRMAA2 JobTracker interface. All are synchronous and may be called from
//! any thread; see `docs/adding-a-tracker.md`.

#[cfg(any(test, feature = "fake-tracker"))]
pub mod fake;
mod files;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{
    Control, Error, ImageRef, JobInfo, JobState, JobTemplate, Machine, Millis, Outcome, Queue, Result,
    Version,
};

pub use files::{Origin, Stdio, Transfer};

/// Who submitted a job, and from where: what the job inherits from its submitter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Submitter {
    /// Login name, or the uid in digits where it has none.
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

/// The settings of a job that its template does not have, as configured where and when it was submitted. They
/// are stored with the job, so they hold whichever process starts it. The tracker's own JSON; nothing else
/// reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(String);

impl Settings {
    /// Settings that a tracker will read.
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
    /// What the user asked for.
    pub template: JobTemplate,
    /// On whose behalf.
    pub submitter: Submitter,
    /// Host paths of its standard streams, placeholders filled in, files made.
    pub stdio: Stdio,
    /// The settings that it is run with.
    pub settings: Settings,
    /// Its place in a job array.
    pub task: Option<Task>,
    /// The slots it was given, where they are counted; a job that is made ready before it gets any has
    /// the least that it takes.
    pub slots: Option<i64>,
    /// It is ended when it has run for so long.
    pub wall_clock: Option<Millis>,
    /// It is ended then.
    pub ends: Option<End>,
}

#[cfg(test)]
impl NewJob {
    /// A job of root's, for tests, with an empty template.
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
            slots: None,
            wall_clock: None,
            ends: None,
        }
    }
}

/// The time at which a job is ended, whatever it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Millis,
    /// Why, for people.
    pub reason: String,
}

/// The place of a job in a job array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Id of the array.
    pub array: String,
    /// Index of the task.
    pub index: i64,
    /// The indices of all of them, where they are known.
    pub range: Option<TaskRange>,
}

/// The indices of the tasks of a job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRange {
    /// The lowest.
    pub first: i64,
    /// The highest.
    pub last: i64,
    /// The difference between one and the next.
    pub step: i64,
}

impl TaskRange {
    /// How many there are.
    pub fn count(&self) -> i64 {
        (self.last - self.first) / self.step.max(1) + 1
    }
}

/// Something that happened to a job. Facts of one job come in order; a fact may come twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Its command has started.
    Started {
        /// The job.
        id: String,
        /// When.
        at: Millis,
        /// The image it runs in.
        image: Option<ImageRef>,
    },
    /// It was stopped for now.
    Suspended {
        /// The job.
        id: String,
        /// When, in nanoseconds since the epoch: the same for every process that hears of it.
        at: i64,
    },
    /// It goes on.
    Resumed {
        /// The job.
        id: String,
        /// As above.
        at: i64,
    },
    /// It ended, or could not be started for good.
    Ended {
        /// The job.
        id: String,
        /// How.
        outcome: Outcome,
    },
    /// It could not be started for a reason that may pass. Nothing of it is left.
    NotStarted {
        /// The job.
        id: String,
        /// The reason.
        error: Error,
    },
    /// Its start was withdrawn, so its command has not run. Nothing of it is left.
    Withdrawn {
        /// The job.
        id: String,
    },
    /// It could not be made ready, for any reason. Nothing of it is left, unless its start was asked
    /// for meanwhile: that goes on by itself.
    NotPrepared {
        /// The job.
        id: String,
        /// The reason.
        error: Error,
    },
    /// The runtime holds something of an attempt at a job that was given up, and removes it: `Deleted` or
    /// `NotDeleted` follows, for this name.
    Left {
        /// The name, as of [`JobTracker::leftovers`].
        id: String,
    },
    /// All that the runtime held of it is gone.
    Deleted {
        /// The job.
        id: String,
    },
    /// Something that the runtime holds of it could not be removed.
    NotDeleted {
        /// The job.
        id: String,
        /// The reason.
        error: Error,
    },
    /// What keeps it from starting for longer than usual, for the user; `None` if it is through with that.
    Progress {
        /// The job.
        id: String,
        /// What it is, and how far.
        text: Option<String>,
    },
    /// From here on facts arrive as they happen; before, some may have been missed.
    Live,
    /// From here on facts may be missed, until the next `Live`; the tracker keeps trying.
    Lost {
        /// What keeps it from them.
        error: Error,
    },
}

/// Where a tracker puts its facts.
pub trait EventSink: Send + Sync {
    /// Take a fact. Never blocks.
    fn fact(&self, fact: Fact);
}

/// A system that runs jobs.
pub trait JobTracker: Send + Sync {
    /// The attributes of a job template that this tracker honours, by their DRMAA2 names.
    fn attributes(&self) -> &'static [&'static str];

    /// Refuse a template that this tracker can never run with these settings: an unknown category,
    /// nothing to run. What it names on the host is looked at with the rights of the calling thread, which
    /// may not be those of the process; no thread may be started from it.
    fn check_template(&self, template: &JobTemplate, settings: &Settings) -> Result<()>;

    /// Ids of the jobs that the runtime holds now, whoever made them.
    fn list_jobs(&self) -> Result<Vec<String>>;

    /// Ids of the tasks of a job array that the runtime holds now.
    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>>;

    /// Start a job. Returns when it is accepted; `Started`, `Ended`, `NotStarted` or `Withdrawn` follows. A job that
    /// was started once is not started a second time until it is deleted, but what became of it is
    /// reported; anything else that an earlier attempt left of it is replaced.
    fn add_job(&self, job: NewJob) -> Result<()>;

    /// Make a job ready, so that a later [`add_job`](Self::add_job) of this tracker starts it at once.
    /// Returns when it is accepted; nothing follows unless it fails, and then `NotPrepared`.
    /// `delete_job` undoes it. False if this tracker cannot do such a thing.
    fn prepare_job(&self, job: NewJob) -> Result<bool> {
        let _ = job;
        Ok(false)
    }

    /// Withdraw the start of a job, whichever process has asked for it and carries it out, and also if none
    /// does yet: unless the job's command has begun, it will not run before `Withdrawn` was reported or the job
    /// deleted. One of the two holds for every process that asks until then. The process that was starting the
    /// job reports `Withdrawn`, also if it has reported the start already, which must not be believed then.
    fn withdraw(&self, id: &str) -> Result<Withdrawn>;

    /// Start several tasks of a job array. As good as `add_job` for each unless a runtime can do
    /// better.
    fn add_array_job(&self, tasks: Vec<NewJob>) -> Result<()> {
        tasks.into_iter().try_for_each(|task| self.add_job(task))
    }

    /// The state of a job as the runtime has it, with a detail; INVALID_ARGUMENT if it knows none.
    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)>;

    /// The account of a job as the runtime has it; INVALID_ARGUMENT if it knows none.
    fn job_info(&self, id: &str) -> Result<JobInfo>;

    /// Suspend, resume, terminate or kill a started job. Returns when the runtime has accepted it; the
    /// fact follows. Hold and release belong to the queue, which is not the tracker's.
    fn job_control(&self, id: &str, control: Control) -> Result<()>;

    /// Terminate or kill a started job of which it is not known whether the runtime has heard that
    /// already. Unlike a second `job_control`, which a user means as such, this must not cut short what the
    /// first has brought about.
    fn end_again(&self, id: &str, how: Control) -> Result<()> {
        self.job_control(id, how)
    }

    /// Wait until a job is in one of `states`; `None` waits for ever. The error is TIMEOUT, or
    /// INVALID_ARGUMENT once the runtime knows no such job.
    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState>;

    /// Remove all that the runtime holds of a job that has ended, or whose start was withdrawn. Returns when it is accepted;
    /// `Deleted` or `NotDeleted` follows.
    fn delete_job(&self, id: &str) -> Result<()>;

    /// Names of what is left of attempts at jobs that nobody works on: they were given up, or are of jobs that
    /// are not `needed`. Most trackers leave nothing.
    fn leftovers(&self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        let _ = needed;
        Ok(Vec::new())
    }

    /// Remove a leftover. Several processes may do so at once. Returns when it is accepted; `Deleted` or
    /// `NotDeleted` of this name follows.
    fn delete_leftover(&self, name: &str) -> Result<()> {
        Err(Error::unsupported("removing leftovers").of(name))
    }

    /// The names that `jobCategory` may take, beside those that are configured.
    fn list_job_categories(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Name and version of the system, if it answers.
    fn contact(&self) -> Result<Contact>;

    /// Templates of jobs that were not submitted here, if the runtime can tell them.
    fn job_template(&self) -> Option<&dyn TemplateSource> {
        None
    }

    /// The whole system, if the tracker can see it.
    fn monitoring(&self) -> Option<&dyn Monitoring> {
        None
    }

    /// Begin to report facts to `sink`, soon `Live` or `Lost` among them. Called once.
    fn subscribe(&self, sink: Arc<dyn EventSink>);
}

/// The result of withdrawing the start of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// Nothing of it will run.
    Nothing,
    /// Its command has begun.
    Begun,
}

/// What a tracker is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Name of the system.
    pub name: String,
    /// Its version.
    pub version: Version,
}

/// A tracker that can rebuild the template of any job it holds.
pub trait TemplateSource {
    /// What is known of the template; INVALID_ARGUMENT for an unknown job.
    fn job_template(&self, id: &str) -> Result<JobTemplate>;
}

/// A tracker that sees more than the jobs given to it.
pub trait Monitoring {
    /// Accounts of all jobs that the runtime holds and the user may see.
    fn all_jobs(&self) -> Result<Vec<JobInfo>>;
    /// The queues of its own, beside those that the configuration names.
    fn all_queues(&self) -> Result<Vec<Queue>>;
    /// All machines.
    fn all_machines(&self) -> Result<Vec<Machine>>;
}
