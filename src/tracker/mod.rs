//! The seam between the API's meaning and the system that runs jobs.
//!
//! A tracker starts jobs, controls them and reports facts about them. It keeps no history, and queues only
//! if its system has a queue of its own ([`Queueing`]): the session module does that over the store, for every
//! tracker alike. The methods have the names of the DRMAA2 JobTracker interface. All are synchronous and may be called from any thread; see
//! `docs/adding-a-tracker.md`.

#[cfg(any(test, feature = "fake-tracker"))]
pub mod fake;
mod files;
mod job;
mod step;

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Control, Error, ImageRef, JobInfo, JobState, JobTemplate, Machine, Millis, Outcome, Queue,
    ReservationInfo, ReservationTemplate, Result, Version,
};

pub use files::{Origin, Stdio, Transfer};
pub use job::{End, NewArray, NewJob, Settings, Submitter, Task, TaskRange};
pub use step::{FindClient, OpenFile, Step, StepNews, Steps};

/// An event of a job's life. Facts of one job come in order; a fact may come twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// It waits in the queue of its runtime, see [`Queueing`]: it was handed over, held or released, or waits to
    /// run again.
    Waits {
        /// The job.
        id: String,
        /// Its place in that queue.
        how: Waiting,
    },
    /// It is about to run, or runs, on this machine, which its runtime has chosen.
    Placed {
        /// The job.
        id: String,
        /// The machine.
        machine: String,
        /// The slots that it has there, if that is known.
        slots: Option<i64>,
    },
    /// Its command has started.
    Started {
        /// The job.
        id: String,
        /// Time of the start.
        at: Millis,
        /// The image that it runs in.
        image: Option<ImageRef>,
    },
    /// It was suspended.
    Suspended {
        /// The job.
        id: String,
        /// Time of the event in nanoseconds since the epoch: the same for every process that gets it.
        at: i64,
    },
    /// It was resumed.
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
        /// Its result.
        outcome: Outcome,
    },
    /// It could not be started for a reason that may pass. Nothing of it is left.
    NotStarted {
        /// The job.
        id: String,
        /// The reason.
        error: Error,
    },
    /// Its start was withdrawn, so its command has not run. Something of it may be left.
    Withdrawn {
        /// The job.
        id: String,
    },
    /// It could not be made ready, for any reason. Nothing of it is left, unless its start was requested
    /// meanwhile: that continues by itself.
    NotPrepared {
        /// The job.
        id: String,
        /// The reason.
        error: Error,
    },
    /// The runtime holds a leftover of an attempt at a job that was given up, and removes it: `Deleted`
    /// or `NotDeleted` follows, for this name.
    Left {
        /// The name, as from [`JobTracker::leftovers`].
        id: String,
    },
    /// Everything that the runtime held of it is removed.
    Deleted {
        /// The job.
        id: String,
    },
    /// A part that the runtime holds of it could not be removed.
    NotDeleted {
        /// The job.
        id: String,
        /// The reason.
        error: Error,
    },
    /// The reason that delays its start for longer than usual, for the user; `None` if there is none any
    /// more.
    Progress {
        /// The job.
        id: String,
        /// The reason and the progress.
        text: Option<String>,
    },
    /// From now on facts arrive as they happen; earlier ones may have been missed.
    Live,
    /// From now on facts may be missed, until the next `Live`; the tracker keeps trying.
    Lost {
        /// The reason.
        error: Error,
    },
}

impl Fact {
    /// The job that it is about, if it is about one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Waits { id, .. }
            | Self::Placed { id, .. }
            | Self::Started { id, .. }
            | Self::Suspended { id, .. }
            | Self::Resumed { id, .. }
            | Self::Ended { id, .. }
            | Self::NotStarted { id, .. }
            | Self::Withdrawn { id }
            | Self::NotPrepared { id, .. }
            | Self::Progress { id, .. }
            | Self::Left { id }
            | Self::Deleted { id }
            | Self::NotDeleted { id, .. } => Some(id),
            Self::Live | Self::Lost { .. } => None,
        }
    }
}

/// The receiver of a tracker's facts.
pub trait EventSink: Send + Sync {
    /// Take a fact. Never blocks.
    fn fact(&self, fact: Fact);

    /// Returns whether somebody waits for facts now. If not, a tracker that has to ask for them may do so seldom,
    /// until [`JobTracker::attend`] is called.
    fn is_awaited(&self) -> bool {
        true
    }
}

/// A system that runs jobs.
pub trait JobTracker: Send + Sync {
    /// The attributes of a job template that this tracker supports, by their DRMAA2 names.
    fn attributes(&self) -> &'static [&'static str];

    /// Refuse a template that this tracker can never run with these settings: an unknown category,
    /// nothing to run. Files of the host are checked with the rights of the calling thread, which may
    /// differ from those of the process; so it must not start a thread.
    fn check_template(&self, template: &JobTemplate, settings: &Settings) -> Result<()>;

    /// Ids of the jobs that the runtime holds now, whichever process made them.
    fn list_jobs(&self) -> Result<Vec<String>>;

    /// Ids of the tasks of a job array that the runtime holds now.
    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>>;

    /// Start a job. Returns when the request is accepted; `Started`, `Ended`, `NotStarted` or
    /// `Withdrawn` follows. A job that was started once is not started a second time until it is
    /// deleted, but its state is reported; anything else that an earlier attempt left of it is replaced.
    fn add_job(&self, job: NewJob) -> Result<()>;

    /// Make a job ready, so that a later [`add_job`](Self::add_job) of this tracker starts it at once.
    /// Returns when the request is accepted; nothing follows, except `NotPrepared` if it fails.
    /// `delete_job` undoes it. False if this tracker does not support it.
    fn prepare_job(&self, job: NewJob) -> Result<bool> {
        let _ = job;
        Ok(false)
    }

    /// Withdraw the start of a job, whichever process has requested it and carries it out, even if none
    /// does yet: unless the job's command has begun, it will not run before `Withdrawn` was reported or
    /// the job deleted. Until then, the result is the same for every process that asks. The process that
    /// was starting the job reports `Withdrawn`, even if it has reported the start already, which is
    /// void then.
    fn withdraw(&self, id: &str) -> Result<Withdrawn>;

    /// Start several tasks of a job array. Equivalent to `add_job` for each, unless a runtime can do
    /// better.
    fn add_array_job(&self, array: NewArray) -> Result<Accepted> {
        array.indices.iter().try_for_each(|index| self.add_job(array.task(*index)))?;
        Ok(Accepted::Reports)
    }

    /// The state and substate of a job in the runtime; INVALID_ARGUMENT if it does not know the job.
    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)>;

    /// The account of a job in the runtime; INVALID_ARGUMENT if it does not know the job.
    fn job_info(&self, id: &str) -> Result<JobInfo>;

    /// The same for many jobs, in this order.
    fn job_infos(&self, ids: &[String]) -> Vec<Result<JobInfo>> {
        ids.iter().map(|id| self.job_info(id)).collect()
    }

    /// The account of a job that has ended, as far as it is known without asking the runtime, which may not answer.
    fn recorded(&self, id: &str) -> Option<JobInfo> {
        let _ = id;
        None
    }

    /// Suspend, resume, terminate or kill a started job. Returns when the runtime has accepted it; the
    /// fact follows. Hold and release belong to the queue, not to the tracker.
    fn job_control(&self, id: &str, control: Control) -> Result<()>;

    /// Terminate or kill a started job if it is unknown whether the runtime has received that request
    /// already. Unlike a second `job_control`, which a user intends, this must not shorten the effect of
    /// the first.
    fn end_again(&self, id: &str, how: Control) -> Result<()> {
        self.job_control(id, how)
    }

    /// Wait until a job is in one of `states`; `None` waits for ever. The error is TIMEOUT, or
    /// INVALID_ARGUMENT once the runtime does not know the job.
    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState>;

    /// Remove everything that the runtime holds of a job that has ended, or whose start was withdrawn.
    /// Returns when the request is accepted; `Deleted` or `NotDeleted` follows.
    fn delete_job(&self, id: &str) -> Result<()>;

    /// Names of leftovers of attempts at jobs that no process works on: they were given up, or belong to
    /// jobs that are not `needed`. Most trackers leave nothing.
    fn leftovers(&self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        let _ = needed;
        Ok(Vec::new())
    }

    /// Remove a leftover. Several processes may do so at once. Returns when the request is accepted;
    /// `Deleted` or `NotDeleted` of this name follows.
    fn delete_leftover(&self, name: &str) -> Result<()> {
        Err(Error::unsupported("removing leftovers").of(name))
    }

    /// The valid values of `jobCategory` besides the configured ones.
    fn list_job_categories(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Name and version of the system, if it answers.
    fn contact(&self) -> Result<Contact>;

    /// Templates of jobs that were not submitted here, if the runtime can provide them.
    fn job_template(&self) -> Option<&dyn TemplateSource> {
        None
    }

    /// The queue of the system, if it has one of its own. Then the library does not schedule its jobs: each is
    /// given to `add_job`, or all tasks of an array to `add_array_job`, as soon as it is submitted, held ones too,
    /// and `Waits` follows before anything else.
    fn queueing(&self) -> Option<&dyn Queueing> {
        None
    }

    /// The whole system, if the tracker can see it.
    fn monitoring(&self) -> Option<&dyn Monitoring> {
        None
    }

    /// The reservations of the system, if it keeps them itself. Then the library stores only to which sessions they
    /// belong, and its own scheduler knows nothing of them.
    fn reserving(&self) -> Option<&dyn Reserving> {
        None
    }

    /// Containers for the steps of another workload manager, if the tracker can run them.
    fn steps(&self) -> Option<&dyn Steps> {
        None
    }

    /// Note that somebody asks about states now, or begins to wait for facts. Returns whether the facts until now, but
    /// for the very last ones, are reported.
    fn attend(&self) -> bool {
        true
    }

    /// Begin to report facts to `sink`, among them soon `Live` or `Lost`. Called once.
    fn subscribe(&self, sink: Arc<dyn EventSink>);
}

/// The place of a job in the queue of its runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// It is held.
    pub held: bool,
    /// It has run, and waits to run again.
    pub again: bool,
    /// The reason why it waits, for people.
    pub reason: Option<String>,
}

impl Waiting {
    /// The place of a job by its account; `None` if it does not wait.
    pub fn of(info: &JobInfo) -> Option<Self> {
        let (held, again) = match info.state {
            JobState::Queued => (false, false),
            JobState::QueuedHeld => (true, false),
            JobState::Requeued => (false, true),
            JobState::RequeuedHeld => (true, true),
            _ => return None,
        };
        Some(Self { held, again, reason: info.substate.clone() })
    }
}

/// The answer of a tracker to tasks of an array that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// A report of each follows.
    Reports,
    /// All of them wait so in the queue of the system. That is not reported of each.
    Wait(Waiting),
}

/// The result of withdrawing the start of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// Nothing of the job will run.
    Nothing,
    /// Its command has begun.
    Begun,
}

/// The system that a tracker is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Name of the system.
    pub name: String,
    /// Its version.
    pub version: Version,
}

/// A tracker that can rebuild the template of any job that it holds.
pub trait TemplateSource {
    /// The known part of the template; INVALID_ARGUMENT for an unknown job.
    fn job_template(&self, id: &str) -> Result<JobTemplate>;
}

/// A tracker whose system has a queue of its own: it decides when a job starts, and whether it runs again.
pub trait Queueing {
    /// Keep waiting jobs from starting. Returns when the system has accepted it; `Waits` follows for each, or
    /// whatever else has become of it: one that has begun is left alone.
    fn hold(&self, ids: &[String]) -> Result<()>;
    /// Let held jobs start. Returns as above.
    fn release(&self, ids: &[String]) -> Result<()>;
    /// Terminate or kill jobs, whether they wait or have begun, with as few calls of the system as can be. Those that
    /// have ended, or are not known any more, are left alone. Returns as above; the fact follows.
    fn end(&self, ids: &[String], how: Control) -> Result<()>;
}

/// A tracker that sees more than the jobs given to it.
pub trait Monitoring {
    /// Accounts of all jobs that the runtime holds and the user may see.
    fn all_jobs(&self) -> Result<Vec<JobInfo>>;
    /// The queues of its own, besides the configured ones.
    fn all_queues(&self) -> Result<Vec<Queue>>;
    /// All machines.
    fn all_machines(&self) -> Result<Vec<Machine>>;
}

/// A tracker whose system keeps reservations. One has the id that the library gives it, or, if it was made otherwise, the
/// name that it has there; a job names it by that.
pub trait Reserving {
    /// Make a reservation for these users. Returns it as the system has made it. The error is INVALID_ARGUMENT if what
    /// is asked for is not free.
    fn reserve(
        &self,
        id: &str,
        template: &ReservationTemplate,
        users: &[String],
    ) -> Result<ReservationInfo>;
    /// A reservation; INVALID_ARGUMENT if the system has none with this id, for instance because it is over.
    fn reservation(&self, id: &str) -> Result<ReservationInfo>;
    /// All reservations that are not over and that the user may see.
    fn all_reservations(&self) -> Result<Vec<ReservationInfo>>;
    /// Give a reservation up. What becomes of its jobs is for the system to say.
    fn end_reservation(&self, id: &str) -> Result<()>;
}
