//! Job sessions: creation, opening, closing and destruction; their content.

use std::sync::Arc;

use super::behalf::Behalf;
use super::call::Call;
use super::handle::Handle;
use super::ids::Nonce;
use super::job::{Reached, has_started, wait_all, wait_any};
use super::refs::{JobArray, JobRef};
use super::submit::Bulk;
use super::view::View;
use super::{Timeout, process};
use crate::model::{Error, JobFilter, JobState, JobTemplate, Result};
use crate::store::Kind;

/// An open job session.
pub struct JobSession(Handle);

/// A job array that is about to be submitted.
pub struct NewArray {
    /// Its name.
    pub array: JobArray,
    nonce: Nonce,
}

impl JobSession {
    /// Create a session and open it. Without a name it gets a new one.
    pub fn create(name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        Self::create_as(&Behalf::Himself, name, contact)
    }

    /// The same for a user, who owns the session.
    pub fn create_as(behalf: &Behalf, name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        Handle::create(Kind::Job, behalf, name, contact).map(|handle| Arc::new(Self(handle)))
    }

    /// Open a session that was created before.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        Handle::open(Kind::Job, name).map(|handle| Arc::new(Self(handle)))
    }

    /// Close the session. Its jobs continue; any further use of it is INVALID_SESSION. Returns when the
    /// starts and the clean-up work of this process are done, including work for others, and all that it
    /// stored is on stable storage.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }

    /// Remove a session from the store. Its running jobs continue.
    pub fn destroy(name: &str) -> Result<()> {
        Self::destroy_as(&Behalf::Himself, name)
    }

    /// The same on behalf of a user: DENIED_BY_DRMS if it belongs to another one.
    pub fn destroy_as(behalf: &Behalf, name: &str) -> Result<()> {
        process::destroy_session(Kind::Job, behalf, name)
    }

    /// Names of the sessions that `open` accepts.
    pub fn names() -> Result<Vec<String>> {
        process::ask(Call::SessionNames(Kind::Job))
    }

    /// Its name; works on a closed session too.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The contact string that it was created with; works on a closed session too.
    pub fn contact(&self) -> Option<&str> {
        self.0.contact()
    }

    /// INVALID_SESSION if it is closed or destroyed.
    pub fn check_open(&self) -> Result<()> {
        self.0.check_open()
    }

    /// The valid values of `jobCategory`.
    pub fn job_categories(&self) -> Result<Vec<String>> {
        self.0.ask(Call::Categories(self.0.row()))
    }

    /// Its jobs that match, in the order of their submission.
    pub fn jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        let filter = filter.cloned().map(Box::new);
        self.0.ask(Call::SessionJobs { session: self.0.row(), filter })
    }

    /// Submit a job.
    pub fn run_job(&self, template: JobTemplate) -> Result<JobRef> {
        self.run_job_as(&Behalf::Himself, template)
    }

    /// The same for a user, as whom the job runs.
    pub fn run_job_as(&self, behalf: &Behalf, template: JobTemplate) -> Result<JobRef> {
        let (session, behalf, nonce) = (self.0.row(), behalf.clone(), Nonce::new());
        let (template, view) = (Box::new(template), View::default());
        self.0.ask(Call::RunJob { session, behalf, nonce, template, view })
    }

    /// Submit a job array.
    pub fn run_bulk_jobs(&self, template: &JobTemplate, bulk: Bulk) -> Result<JobArray> {
        let new = self.new_array();
        self.run_array(&new, &Behalf::Himself, template, bulk)?;
        Ok(new.array)
    }

    /// The name of a job array that is about to be submitted.
    pub fn new_array(&self) -> NewArray {
        let nonce = Nonce::new();
        let id = nonce.id(Behalf::Himself.scope().uid);
        NewArray { array: JobArray { id, session: Some(self.name().to_owned()) }, nonce }
    }

    /// Submit a job array of this name, for a user, as whom its jobs run.
    pub fn run_array(
        &self,
        new: &NewArray,
        behalf: &Behalf,
        template: &JobTemplate,
        bulk: Bulk,
    ) -> Result<()> {
        let (session, behalf, nonce) = (self.0.row(), behalf.clone(), new.nonce);
        let (template, view) = (Box::new(template.clone()), View::default());
        self.0.ask(Call::RunArray { session, behalf, nonce, template, bulk, view })
    }

    /// The job array of that id. INVALID_ARGUMENT if the session has none.
    pub fn job_array(&self, id: &str) -> Result<JobArray> {
        self.0.ask(Call::SessionArray { session: self.0.row(), id: id.to_owned() })
    }

    /// Wait until one of `jobs` has started, or has ended.
    pub fn wait_any_started(&self, jobs: &[JobRef], timeout: Timeout) -> Result<JobRef> {
        self.wait_any(jobs, timeout, has_started)
    }

    /// Wait until one of `jobs` has ended.
    pub fn wait_any_terminated(&self, jobs: &[JobRef], timeout: Timeout) -> Result<JobRef> {
        self.wait_any(jobs, timeout, JobState::is_terminated)
    }

    /// Wait until all of `jobs` have started, or have ended.
    pub fn wait_all_started(&self, jobs: &[JobRef], timeout: Timeout) -> Result<Vec<JobRef>> {
        self.wait_all(jobs, timeout, has_started)
    }

    /// Wait until all of `jobs` have ended.
    pub fn wait_all_terminated(&self, jobs: &[JobRef], timeout: Timeout) -> Result<Vec<JobRef>> {
        self.wait_all(jobs, timeout, JobState::is_terminated)
    }

    fn wait_any(&self, jobs: &[JobRef], timeout: Timeout, reached: Reached) -> Result<JobRef> {
        self.check_open()?;
        self.check_own(jobs)?;
        wait_any(jobs, timeout, reached)
    }

    fn wait_all(&self, jobs: &[JobRef], timeout: Timeout, reached: Reached) -> Result<Vec<JobRef>> {
        self.check_open()?;
        self.check_own(jobs)?;
        wait_all(jobs, timeout, reached)
    }

    /// The jobs to wait for: at least one, and all of this session.
    fn check_own(&self, jobs: &[JobRef]) -> Result<()> {
        if jobs.is_empty() {
            return Err(Error::argument("the list of jobs to wait for is empty"));
        }
        match jobs.iter().find(|job| job.session.as_deref() != Some(self.name())) {
            Some(JobRef { id, .. }) => {
                Err(Error::argument(format!("job {id}: not in job session \"{}\"", self.name())))
            }
            None => Ok(()),
        }
    }
}
