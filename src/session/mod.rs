//! What the API means: sessions, jobs, waits, monitoring. Knows no C and no containerd.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Control, Error, JobFilter, JobInfo, JobState, JobTemplate, Machine, Queue, Result, Version,
};

/// How long a wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Look and return (DRMAA2_ZERO_TIME, DRMAA2_NOW).
    Zero,
    /// No limit (DRMAA2_INFINITE_TIME).
    Infinite,
    /// At most so long.
    After(Duration),
}

impl Timeout {
    /// From a C `time_t`; other negative values are INVALID_ARGUMENT.
    pub fn from_time_t(seconds: i64) -> Result<Self> {
        match seconds {
            0 | -2 => Ok(Self::Zero),
            -1 => Ok(Self::Infinite),
            1.. => Ok(Self::After(Duration::from_secs(seconds.unsigned_abs()))),
            _ => Err(Error::argument(format!("{seconds} is no waiting time"))),
        }
    }
}

/// An optional feature, by its number in the C enum `drmaa2_capability`: does this build have it?
/// False for a number that is none.
pub fn supports(capability: i32) -> bool {
    let _ = capability;
    false
}

/// Name of this library.
pub const DRMAA_NAME: &str = "drmaa2-containerd";
/// Name of the DRM system.
pub const DRMS_NAME: &str = "containerd";

/// Version of this library.
pub fn drmaa_version() -> Version {
    Version::parse(env!("CARGO_PKG_VERSION"))
}

/// Version of the DRM system that a NULL contact stands for.
pub fn drms_version() -> Result<Version> {
    Err(Error::internal("skeleton"))
}

/// A job as a caller names it: by its id and its session. Every call looks it up anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    /// Its id.
    pub id: String,
    /// Its session; `None` for a job that was not made through DRMAA.
    pub session: Option<String>,
    /// The name its template gave it. Never read from a handle that a caller passes in.
    pub name: Option<String>,
}

impl JobRef {
    /// Its state, with a detail.
    pub fn state(&self) -> Result<(JobState, Option<String>)> {
        Err(Error::internal("skeleton"))
    }

    /// A snapshot of what is known of it.
    pub fn info(&self) -> Result<JobInfo> {
        Err(Error::internal("skeleton"))
    }

    /// The template it was submitted with.
    pub fn template(&self) -> Result<JobTemplate> {
        Err(Error::internal("skeleton"))
    }

    /// Suspend, resume, hold, release or terminate it.
    pub fn control(&self, control: Control) -> Result<()> {
        let _ = control;
        Err(Error::internal("skeleton"))
    }

    /// Forget it; it must have ended.
    pub fn reap(&self) -> Result<()> {
        Err(Error::internal("skeleton"))
    }

    /// Wait until it has started, or has ended.
    pub fn wait_started(&self, timeout: Timeout) -> Result<()> {
        let _ = timeout;
        Err(Error::internal("skeleton"))
    }

    /// Wait until it has ended.
    pub fn wait_terminated(&self, timeout: Timeout) -> Result<()> {
        let _ = timeout;
        Err(Error::internal("skeleton"))
    }
}

/// An open job session.
pub struct JobSession {
    name: String,
    contact: Option<String>,
}

impl JobSession {
    /// Create a session and open it. Without a name it gets one that nobody has.
    pub fn create(name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        let _ = (name, contact);
        Err(Error::internal("skeleton"))
    }

    /// Open a session that was created before.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        let _ = name;
        Err(Error::internal("skeleton"))
    }

    /// Let go of the session. Its jobs go on; any further use of it is INVALID_SESSION.
    pub fn close(&self) -> Result<()> {
        Err(Error::internal("skeleton"))
    }

    /// Remove a session from the store. Its running jobs go on.
    pub fn destroy(name: &str) -> Result<()> {
        let _ = name;
        Err(Error::internal("skeleton"))
    }

    /// Names of the sessions that `open` accepts.
    pub fn names() -> Result<Vec<String>> {
        Err(Error::internal("skeleton"))
    }

    /// Its name; works on a closed session too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The contact string it was created with; works on a closed session too.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// INVALID_SESSION if it is closed or destroyed.
    pub fn check_open(&self) -> Result<()> {
        Err(Error::internal("skeleton"))
    }

    /// Names that `jobCategory` may take.
    pub fn job_categories(&self) -> Result<Vec<String>> {
        Err(Error::internal("skeleton"))
    }

    /// Its jobs that match, in the order of their submission.
    pub fn jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        let _ = filter;
        Err(Error::internal("skeleton"))
    }

    /// Submit a job.
    pub fn run_job(&self, template: JobTemplate) -> Result<JobRef> {
        let _ = template;
        Err(Error::internal("skeleton"))
    }

    /// Wait until one of `jobs` has started, or has ended.
    pub fn wait_any_started(&self, jobs: &[JobRef], timeout: Timeout) -> Result<JobRef> {
        let _ = (jobs, timeout);
        Err(Error::internal("skeleton"))
    }

    /// Wait until one of `jobs` has ended.
    pub fn wait_any_terminated(&self, jobs: &[JobRef], timeout: Timeout) -> Result<JobRef> {
        let _ = (jobs, timeout);
        Err(Error::internal("skeleton"))
    }
}

/// An open monitoring session.
pub struct MonitoringSession {}

impl MonitoringSession {
    /// Open one.
    pub fn open() -> Result<Arc<Self>> {
        Err(Error::internal("skeleton"))
    }

    /// Let go of it.
    pub fn close(&self) -> Result<()> {
        Err(Error::internal("skeleton"))
    }

    /// All jobs the user may see that match, of every session and of none.
    pub fn jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        let _ = filter;
        Err(Error::internal("skeleton"))
    }

    /// All machines, or those named.
    pub fn machines(&self, names: Option<&[String]>) -> Result<Vec<Machine>> {
        let _ = names;
        Err(Error::internal("skeleton"))
    }

    /// All queues, or those named.
    pub fn queues(&self, names: Option<&[String]>) -> Result<Vec<Queue>> {
        let _ = names;
        Err(Error::internal("skeleton"))
    }
}
