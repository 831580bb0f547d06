//! Reservation sessions: creation, opening, closing and destruction; their content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::behalf::Behalf;
use super::call::{Call, Content};
use super::process;
use super::refs::ReservationRef;
use crate::model::{Error, ReservationTemplate, Result};
use crate::store::{Kind, Session};

/// An open reservation session.
pub struct ReservationSession {
    row: Session,
    closed: AtomicBool,
}

impl ReservationSession {
    /// Create a session and open it. Without a name it gets a new one.
    pub fn create(name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        Self::create_as(&Behalf::Himself, name, contact)
    }

    /// The same for a user, who owns the session.
    pub fn create_as(behalf: &Behalf, name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        let (name, contact) = (name.map(str::to_owned), contact.map(str::to_owned));
        let (kind, behalf) = (Kind::Reservation, behalf.clone());
        process::ask(Call::CreateSession { kind, behalf, name, contact }).map(Self::opened)
    }

    /// Open a session that was created before.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        process::ask(Call::OpenSession { kind: Kind::Reservation, name: name.to_owned() })
            .map(Self::opened)
    }

    fn opened(row: Session) -> Arc<Self> {
        process::session_opened(&row);
        Arc::new(Self { row, closed: AtomicBool::new(false) })
    }

    /// Close the session. Its reservations stay in force; any further use of it is INVALID_SESSION.
    pub fn close(&self) -> Result<()> {
        self.check_open()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(self.is_closed());
        }
        process::session_closed(&self.row);
        process::ask(Call::CloseSession(self.row.clone()))
    }

    /// Remove a session from the store. Its reservations stay in force.
    pub fn destroy(name: &str) -> Result<()> {
        Self::destroy_as(&Behalf::Himself, name)
    }

    /// The same on behalf of a user: DENIED_BY_DRMS if it belongs to another one.
    pub fn destroy_as(behalf: &Behalf, name: &str) -> Result<()> {
        process::destroy_session(Kind::Reservation, behalf, name)
    }

    /// Names of the sessions that `open` accepts.
    pub fn names() -> Result<Vec<String>> {
        process::ask(Call::SessionNames(Kind::Reservation))
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
        self.ask(Call::CheckSession(self.row.clone()))
    }

    /// Make the reservation that a template requests. INVALID_ARGUMENT if the request is not valid, or
    /// nothing is free for it.
    pub fn request(&self, template: &ReservationTemplate) -> Result<ReservationRef> {
        self.request_as(&Behalf::Himself, template)
    }

    /// The same for a user, who owns the reservation.
    pub fn request_as(&self, behalf: &Behalf, template: &ReservationTemplate) -> Result<ReservationRef> {
        let (session, behalf) = (self.row.clone(), behalf.clone());
        self.ask(Call::Request { session, behalf, template: Box::new(template.clone()) })
    }

    /// One of its reservations, over or not. INVALID_ARGUMENT if there is none of that id.
    pub fn reservation(&self, id: &str) -> Result<ReservationRef> {
        self.check_open()?;
        let reservation = ReservationRef { id: id.to_owned(), session: Some(self.row.name.clone()) };
        reservation.info()?;
        Ok(reservation)
    }

    /// Its reservations that are not over, in the order in which they were made.
    pub fn reservations(&self) -> Result<Vec<ReservationRef>> {
        self.ask(Call::SessionReservations(self.row.clone()))
    }

    /// Ask about the session unless it is closed.
    fn ask<T: Content>(&self, call: Call) -> Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.is_closed());
        }
        process::ask(call)
    }

    fn is_closed(&self) -> Error {
        Error::session(format!("reservation session \"{}\" is closed", self.name()))
    }
}

impl Drop for ReservationSession {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            process::session_closed(&self.row);
        }
    }
}
