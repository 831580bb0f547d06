//! Sessions of both kinds; submission to those for jobs.

use super::Desk;
use crate::model::{Error, ErrorCode, JobFilter, JobTemplate, Result, Scope};
use crate::session::agent;
use crate::session::behalf::Behalf;
use crate::session::ids::Nonce;
use crate::session::jobs::{matching, settled};
use crate::session::refs::{JobArray, JobRef};
use crate::session::submit::{self, Bulk};
use crate::session::view::View;
use crate::store::{Kind, Session};

/// Longest name of a session, in bytes.
const NAME_MAX: usize = 255;

impl Desk<'_> {
    pub(super) fn create_session(
        &self,
        kind: Kind,
        behalf: &Behalf,
        nonce: Nonce,
        name: Option<&str>,
        contact: Option<&str>,
    ) -> Result<Session> {
        let made_as = nonce.id(self.scope.uid);
        let invented = format!("drmaa2-{made_as}");
        let name = name.map_or(Ok(invented.as_str()), |name| check_name(kind, name))?;
        let made_as = self.is_remote.then_some(made_as.as_str());
        // The answer to the first call was lost.
        if let Some(made_as) = made_as
            && let Some(session) = self.world.store.session_made_as(kind, name, made_as)?
        {
            self.take_up(&session);
            return Ok(session);
        }
        if self.is_guest {
            self.check_guests_session(kind, contact)?;
        }
        let (target, _) = self.world.contact(contact)?;
        if kind == Kind::Reservation {
            let engine = self.world.engine(&target)?;
            if engine.queues_itself() && engine.tracker().reserving().is_none() {
                let what = "a reservation session of a system that keeps no reservations";
                return Err(Error::unsupported(what));
            }
        }
        let session = self.world.store.create_session(kind, name, contact, &behalf.owner()?, made_as)?;
        self.world.store.sync()?;
        self.take_up(&session);
        Ok(session)
    }

    fn check_guests_session(&self, kind: Kind, contact: Option<&str>) -> Result<()> {
        let guests = self.world.config.reload()?.guests;
        // It would choose the socket, the namespace and the limits.
        if let Some(contact) = contact.filter(|contact| !contact.is_empty())
            && !guests.contacts.iter().any(|allowed| allowed == contact)
        {
            let text = format!("contact \"{contact}\": only root may name what the site does not list");
            return Err(Error::new(ErrorCode::DeniedByDrms, text));
        }
        if kind == Kind::Reservation && !guests.reservations {
            let what = "a reservation session of a user other than root, by this broker";
            return Err(Error::unsupported(what));
        }
        let his = Scope { uid: self.scope.uid, others: false };
        let count = self.world.store.session_names(kind, his)?.len();
        match guests.sessions {
            Some(most) if usize::try_from(most).is_ok_and(|most| count >= most) => {
                let text = format!("this user has {count} {kind}s, {most} may be: destroy some");
                Err(Error::new(ErrorCode::TryLater, text))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open_session(&self, kind: Kind, name: &str) -> Result<Session> {
        let session = self.world.store.session(kind, check_name(kind, name)?, self.scope)?;
        self.take_up(&session);
        Ok(session)
    }

    fn take_up(&self, session: &Session) {
        if session.kind == Kind::Job {
            self.world.take_up(session);
        }
    }

    pub(super) fn close_session(&self, session: &Session) -> Result<()> {
        // A client does not wait for work that this process has begun for others.
        if session.kind == Kind::Reservation || self.is_remote {
            return self.world.store.sync();
        }
        let drained = self.world.drain(session);
        agent::resume(self.world);
        drained
    }

    pub(super) fn destroy_session(&self, kind: Kind, behalf: &Behalf, name: &str) -> Result<i64> {
        let scope = Scope { others: self.scope.others, ..behalf.scope() };
        let id = self.world.store.destroy_session(kind, name, scope, behalf.only())?;
        self.world.store.sync()?;
        Ok(id)
    }

    /// The session as it is stored, whatever a client says of it. INVALID_SESSION if it has been destroyed.
    pub(super) fn stored_session(&self, session: &Session) -> Result<Session> {
        let Session { kind, id, name, .. } = session;
        let stored = self.world.store.session_of_row(*kind, *id, self.scope)?;
        stored.ok_or_else(|| Error::session(format!("{kind} \"{name}\" has been destroyed")))
    }

    pub(super) fn categories(&self, session: &Session) -> Result<Vec<String>> {
        let session = self.stored_session(session)?;
        let config = self.world.config.reload()?;
        if self.is_guest {
            // The images that are there are those of everybody.
            return Ok(config.categories.into_keys().collect());
        }
        let engine = self.world.engine(&config.contact(session.contact.as_deref())?.0.name()?)?;
        let others = engine.tracker().list_job_categories()?;
        Ok(config.categories.into_keys().chain(others).collect())
    }

    pub(super) fn session_jobs(
        &self,
        session: &Session,
        filter: Option<&JobFilter>,
    ) -> Result<Vec<JobRef>> {
        let session = self.stored_session(session)?;
        let jobs = settled(self.world, || self.world.store.session_jobs(session.id))?;
        Ok(matching(&jobs, filter))
    }

    pub(super) fn session_array(&self, session: &Session, id: String) -> Result<JobArray> {
        let session = self.stored_session(session)?;
        match self.world.store.array(&id)? {
            Some(array)
                if array.session == session.name && !array.orphaned && self.sees(array.whose) =>
            {
                Ok(JobArray { id, session: Some(array.session) })
            }
            _ => {
                Err(Error::argument(format!("job array {id}: not in job session \"{}\"", session.name)))
            }
        }
    }

    pub(super) fn run_job(
        &self,
        session: &Session,
        behalf: &Behalf,
        nonce: Nonce,
        template: JobTemplate,
        view: &View,
    ) -> Result<JobRef> {
        let session = self.stored_session(session)?;
        let id = nonce.id(self.scope.uid);
        // The answer to the first call was lost.
        if self.is_remote
            && let Some(job) = self.world.store.job(&id)?
        {
            return Ok(JobRef::of(&job.info));
        }
        submit::run_job(self.world, &session, behalf, id, template, view)
    }

    pub(super) fn run_array(
        &self,
        session: &Session,
        behalf: &Behalf,
        nonce: Nonce,
        template: &JobTemplate,
        bulk: Bulk,
        view: &View,
    ) -> Result<()> {
        let session = self.stored_session(session)?;
        let id = nonce.id(self.scope.uid);
        if self.is_remote && self.world.store.array(&id)?.is_some() {
            return Ok(());
        }
        submit::run_bulk_jobs(self.world, &session, behalf, &id, template, bulk, view)
    }
}

/// Refuse an invalid name of a session of that kind.
fn check_name(kind: Kind, name: &str) -> Result<&str> {
    let refuse = |cause: &str| Err(Error::argument(format!("{kind} name \"{name}\" {cause}")));
    match name {
        "" => refuse("is empty"),
        name if name.len() > NAME_MAX => {
            refuse(&format!("has {} bytes, {NAME_MAX} are allowed", name.len()))
        }
        name if name.chars().any(char::is_control) => refuse("holds a control character"),
        name => Ok(name),
    }
}
