//! Reservation sessions: creation, opening, closing and destruction; their content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::behalf::Behalf;
use super::job_session::check_name;
use super::process::Kind;
use super::reservation::{self, ReservationRef};
use super::world::World;
use super::{process, reserving, submit};
use crate::model::{Error, ReservationTemplate, Result, now};
use crate::store::Session;

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
        let world = process::world()?;
        let invented;
        let name = match name {
            Some(name) => check_name("reservation", name)?,
            None => {
                invented = format!("drmaa2-{}", submit::new_id());
                &invented
            }
        };
        let (target, _) = world.contact(contact)?;
        let engine = world.engine(&target)?;
        if engine.queues_itself() && engine.tracker().reserving().is_none() {
            return Err(Error::unsupported(
                "a reservation session of a system that keeps no reservations",
            ));
        }
        let row = world.store.create_reservation_session(name, contact, &behalf.owner()?)?;
        world.store.sync()?;
        Ok(Self::opened(row))
    }

    /// Open a session that was created before.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        let name = check_name("reservation", name)?;
        Ok(Self::opened(process::world()?.store.reservation_session(name)?))
    }

    fn opened(row: Session) -> Arc<Self> {
        process::session_opened(Kind::Reservation, &row);
        Arc::new(Self { row, closed: AtomicBool::new(false) })
    }

    /// Close the session. Its reservations stay in force; any further use of it is INVALID_SESSION.
    pub fn close(&self) -> Result<()> {
        let world = self.world()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(self.is_closed());
        }
        process::session_closed(Kind::Reservation, &self.row);
        world.store.sync()
    }

    /// Remove a session from the store. Its reservations stay in force.
    pub fn destroy(name: &str) -> Result<()> {
        Self::destroy_as(&Behalf::Himself, name)
    }

    /// The same on behalf of a user: DENIED_BY_DRMS if it belongs to another one.
    pub fn destroy_as(behalf: &Behalf, name: &str) -> Result<()> {
        let world = process::world()?;
        world.store.destroy_reservation_session(name, behalf.only())?;
        process::session_destroyed(Kind::Reservation, name);
        world.store.sync()
    }

    /// Names of the sessions that `open` accepts.
    pub fn names() -> Result<Vec<String>> {
        process::world()?.store.reservation_session_names()
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

    /// Make the reservation that a template requests. INVALID_ARGUMENT if the request is not valid, or
    /// nothing is free for it.
    pub fn request(&self, template: &ReservationTemplate) -> Result<ReservationRef> {
        self.request_as(&Behalf::Himself, template)
    }

    /// The same for a user, who owns the reservation.
    pub fn request_as(&self, behalf: &Behalf, template: &ReservationTemplate) -> Result<ReservationRef> {
        reservation::request(&*self.world()?, &self.row, behalf, template, now())
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
        let world = self.world()?;
        let reservations = reserving::in_force(&world, world.store.session_reservations(self.row.id)?)?;
        Ok(reservations.iter().map(ReservationRef::of).collect())
    }

    fn world(&self) -> Result<Arc<World>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.is_closed());
        }
        let world = process::world()?;
        if world.store.has_reservation_session(self.row.id)? {
            return Ok(world);
        }
        Err(Error::session(format!("reservation session \"{}\" has been destroyed", self.name())))
    }

    fn is_closed(&self) -> Error {
        Error::session(format!("reservation session \"{}\" is closed", self.name()))
    }
}

impl Drop for ReservationSession {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            process::session_closed(Kind::Reservation, &self.row);
        }
    }
}
