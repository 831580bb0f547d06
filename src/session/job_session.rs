//! Job sessions: creation, opening, closing and destruction; their content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::array::JobArray;
use super::behalf::Behalf;
use super::job::{JobRef, has_started, matching, wait_all, wait_any};
use super::jobs::settled;
use super::process::Kind;
use super::submit::Bulk;
use super::world::World;
use super::{Timeout, agent, process, submit};
use crate::model::{Error, JobFilter, JobState, JobTemplate, Result};
use crate::store::Session;

/// Longest name of a session, in bytes.
const NAME_MAX: usize = 255;

/// An open job session.
pub struct JobSession {
    row: Session,
    closed: AtomicBool,
}

impl JobSession {
    /// Create a session and open it. Without a name it gets a new one.
    pub fn create(name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        Self::create_as(&Behalf::Himself, name, contact)
    }

    /// The same for a user, who owns the session.
    pub fn create_as(behalf: &Behalf, name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        let world = process::world()?;
        let invented;
        let name = match name {
            Some(name) => check_name("job", name)?,
            None => {
                invented = format!("drmaa2-{}", submit::new_id());
                &invented
            }
        };
        world.contact(contact)?;
        let row = world.store.create_session(name, contact, &behalf.owner()?)?;
        world.store.sync()?;
        Ok(Self::opened(&world, row))
    }

    /// Open a session that was created before.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        let world = process::world()?;
        let row = world.store.session(check_name("job", name)?)?;
        Ok(Self::opened(&world, row))
    }

    fn opened(world: &World, row: Session) -> Arc<Self> {
        process::session_opened(Kind::Job, &row);
        world.take_up(&row);
        Arc::new(Self { row, closed: AtomicBool::new(false) })
    }

    /// Close the session. Its jobs continue; any further use of it is INVALID_SESSION. Returns when the
    /// starts and the clean-up work of this process are done, including work for others, and all that it
    /// stored is on stable storage.
    pub fn close(&self) -> Result<()> {
        self.check_open()?;
        let world = process::world()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(self.is_closed());
        }
        process::session_closed(Kind::Job, &self.row);
        let drained = world.drain(&self.row);
        agent::resume(&world);
        drained
    }

    /// Remove a session from the store. Its running jobs continue.
    pub fn destroy(name: &str) -> Result<()> {
        Self::destroy_as(&Behalf::Himself, name)
    }

    /// The same on behalf of a user: DENIED_BY_DRMS if it belongs to another one.
    pub fn destroy_as(behalf: &Behalf, name: &str) -> Result<()> {
        let world = process::world()?;
        world.store.destroy_session(name, behalf.only())?;
        process::session_destroyed(Kind::Job, name);
        world.store.sync()
    }

    /// Names of the sessions that `open` accepts.
    pub fn names() -> Result<Vec<String>> {
        process::world()?.store.session_names()
    }

    /// Its name; works on a closed session too.
    pub fn name(&self) -> &str {
        &self.row.name
    }

    /// The contact string that it was created with; works on a closed session too.
    pub fn contact(&self) -> Option<&str> {
        self.row.contact.as_deref()
    }

    /// INVALID_SESSION if it is closed or destroyed.
    pub fn check_open(&self) -> Result<()> {
        self.world().map(|_| ())
    }

    /// The valid values of `jobCategory`.
    pub fn job_categories(&self) -> Result<Vec<String>> {
        let world = self.world()?;
        let config = world.config.reload()?;
        let engine = world.engine(&config.contact(self.contact())?.0.name()?)?;
        let others = engine.tracker().list_job_categories()?;
        Ok(config.categories.into_keys().chain(others).collect())
    }

    /// Its jobs that match, in the order of their submission.
    pub fn jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        let world = self.world()?;
        let jobs = settled(&world, || world.store.session_jobs(self.row.id))?;
        Ok(matching(&jobs, filter))
    }

    /// Submit a job.
    pub fn run_job(&self, template: JobTemplate) -> Result<JobRef> {
        self.run_job_as(&Behalf::Himself, template)
    }

    /// The same for a user, as whom the job runs.
    pub fn run_job_as(&self, behalf: &Behalf, template: JobTemplate) -> Result<JobRef> {
        let world = self.world()?;
        submit::run_job(&world, &self.row, behalf, template)
    }

    /// Submit a job array.
    pub fn run_bulk_jobs(&self, template: &JobTemplate, bulk: Bulk) -> Result<JobArray> {
        let array = self.new_array();
        self.run_array(&array, &Behalf::Himself, template, bulk)?;
        Ok(array)
    }

    /// The name of a job array that is about to be submitted.
    pub fn new_array(&self) -> JobArray {
        JobArray { id: submit::new_id(), session: Some(self.name().to_owned()) }
    }

    /// Submit a job array of this name, which is a new one, for a user, as whom its jobs run.
    pub fn run_array(
        &self,
        array: &JobArray,
        behalf: &Behalf,
        template: &JobTemplate,
        bulk: Bulk,
    ) -> Result<()> {
        let world = self.world()?;
        submit::run_bulk_jobs(&world, &self.row, behalf, &array.id, template, bulk)
    }

    /// The job array of that id. INVALID_ARGUMENT if the session has none.
    pub fn job_array(&self, id: &str) -> Result<JobArray> {
        let world = self.world()?;
        match world.store.array(id)? {
            Some(array) if array.session == self.name() && !array.orphaned => {
                Ok(JobArray { id: id.to_owned(), session: Some(array.session) })
            }
            _ => Err(Error::argument(format!("job array {id}: not in job session \"{}\"", self.name()))),
        }
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
        let world = self.world()?;
        wait_all(&world, &self.own(jobs)?, timeout, has_started)
    }

    /// Wait until all of `jobs` have ended.
    pub fn wait_all_terminated(&self, jobs: &[JobRef], timeout: Timeout) -> Result<Vec<JobRef>> {
        let world = self.world()?;
        wait_all(&world, &self.own(jobs)?, timeout, JobState::is_terminated)
    }

    fn wait_any(
        &self,
        jobs: &[JobRef],
        timeout: Timeout,
        reached: fn(JobState) -> bool,
    ) -> Result<JobRef> {
        let world = self.world()?;
        wait_any(&world, &self.own(jobs)?, timeout, reached)
    }

    /// The jobs to wait for: at least one, and all of this session.
    fn own<'a>(&self, jobs: &'a [JobRef]) -> Result<Vec<&'a JobRef>> {
        if jobs.is_empty() {
            return Err(Error::argument("the list of jobs to wait for is empty"));
        }
        if let Some(other) = jobs.iter().find(|job| job.session.as_deref() != Some(self.name())) {
            return Err(Error::argument(format!(
                "job {}: not in job session \"{}\"",
                other.id,
                self.name()
            )));
        }
        Ok(jobs.iter().collect())
    }

    fn world(&self) -> Result<Arc<World>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.is_closed());
        }
        let world = process::world()?;
        if world.store.has_session(self.row.id)? {
            return Ok(world);
        }
        Err(Error::session(format!("job session \"{}\" has been destroyed", self.name())))
    }

    fn is_closed(&self) -> Error {
        Error::session(format!("job session \"{}\" is closed", self.name()))
    }
}

impl Drop for JobSession {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            process::session_closed(Kind::Job, &self.row);
        }
    }
}

/// Refuse an invalid name of a session of that kind.
pub(super) fn check_name<'a>(kind: &str, name: &'a str) -> Result<&'a str> {
    let refuse = |cause: &str| Err(Error::argument(format!("{kind} session name \"{name}\" {cause}")));
    match name {
        "" => refuse("is empty"),
        name if name.len() > NAME_MAX => {
            refuse(&format!("has {} bytes, {NAME_MAX} are allowed", name.len()))
        }
        name if name.chars().any(char::is_control) => refuse("holds a control character"),
        name => Ok(name),
    }
}
