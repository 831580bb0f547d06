//! Reservation sessions: creation, opening, closing and destruction; their content.

use std::sync::Arc;

use super::behalf::Behalf;
use super::call::Call;
use super::handle::Handle;
use super::ids::Nonce;
use super::process;
use super::refs::ReservationRef;
use crate::model::{ReservationTemplate, Result};
use crate::store::Kind;

/// An open reservation session.
pub struct ReservationSession(Handle);

impl ReservationSession {
    /// Create a session and open it. Without a name it gets a new one.
    pub fn create(name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        Self::create_as(&Behalf::Himself, name, contact)
    }

    /// The same for a user, who owns the session.
    pub fn create_as(behalf: &Behalf, name: Option<&str>, contact: Option<&str>) -> Result<Arc<Self>> {
        Handle::create(Kind::Reservation, behalf, name, contact).map(|handle| Arc::new(Self(handle)))
    }

    /// Open a session that was created before.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        Handle::open(Kind::Reservation, name).map(|handle| Arc::new(Self(handle)))
    }

    /// Close the session. Its reservations stay in force; any further use of it is INVALID_SESSION.
    pub fn close(&self) -> Result<()> {
        self.0.close()
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

    /// Make the reservation that a template requests. INVALID_ARGUMENT if the request is not valid, or
    /// nothing is free for it.
    pub fn request(&self, template: &ReservationTemplate) -> Result<ReservationRef> {
        self.request_as(&Behalf::Himself, template)
    }

    /// The same for a user, who owns the reservation.
    pub fn request_as(&self, behalf: &Behalf, template: &ReservationTemplate) -> Result<ReservationRef> {
        let (session, behalf, nonce) = (self.0.row(), behalf.clone(), Nonce::new());
        self.0.ask(Call::Request { session, behalf, nonce, template: Box::new(template.clone()) })
    }

    /// One of its reservations, over or not. INVALID_ARGUMENT if there is none of that id.
    pub fn reservation(&self, id: &str) -> Result<ReservationRef> {
        self.check_open()?;
        let reservation = ReservationRef { id: id.to_owned(), session: Some(self.name().to_owned()) };
        reservation.info()?;
        Ok(reservation)
    }

    /// Its reservations that are not over, in the order in which they were made.
    pub fn reservations(&self) -> Result<Vec<ReservationRef>> {
        self.0.ask(Call::SessionReservations(self.0.row()))
    }
}
