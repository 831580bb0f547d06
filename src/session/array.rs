//! Job arrays, for those who hold one.

use super::behalf::Behalf;
use super::call::{Call, Content};
use super::process;
use super::refs::{JobArray, JobRef};
use crate::model::{Control, JobTemplate, Result};
use crate::store::Kind;

impl JobArray {
    /// Its tasks that are not reaped, in the order of their indices.
    pub fn jobs(&self) -> Result<Vec<JobRef>> {
        self.ask(Call::ArrayJobs(self.clone()))
    }

    /// The template that it was submitted with.
    pub fn template(&self) -> Result<JobTemplate> {
        self.ask(Call::ArrayTemplate(self.clone())).map(|template: Box<_>| *template)
    }

    /// The same array, if it may be controlled on behalf of a user, otherwise DENIED_BY_DRMS.
    pub fn on_behalf(self, behalf: &Behalf) -> Result<Self> {
        let owner: Option<String> = self.ask(Call::ArrayOwner(self.clone()))?;
        behalf.check_owner(&format!("job array {}", self.id), owner.as_deref())?;
        Ok(self)
    }

    /// Suspend, resume, hold, release, terminate or kill all tasks whose state allows it. INVALID_STATE
    /// if no task's state does.
    pub fn control(&self, control: Control) -> Result<()> {
        self.ask(Call::ControlArray { array: self.clone(), control })
    }

    /// Reap it with all its tasks; they must have ended.
    pub fn reap(&self) -> Result<()> {
        self.ask(Call::ReapArray(self.clone()))
    }

    fn ask<T: Content>(&self, call: Call) -> Result<T> {
        process::check_session(Kind::Job, self.session.as_deref())?;
        process::ask(call)
    }
}

impl JobRef {
    /// Control all tasks of its job array; the job alone if it is no task.
    pub fn control_all(&self, control: Control) -> Result<()> {
        match self.ask::<Option<JobArray>>(Call::ArrayOf(self.clone()))? {
            Some(array) => array.control(control),
            None => self.control(control),
        }
    }
}
