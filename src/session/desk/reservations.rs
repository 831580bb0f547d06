//! Reservations: request, look-up, termination.

use super::Desk;
use crate::model::{Error, ErrorCode, ReservationInfo, ReservationTemplate, Result, now};
use crate::session::behalf::Behalf;
use crate::session::ids::Nonce;
use crate::session::refs::ReservationRef;
use crate::session::{reserve, reserving};
use crate::store::{Reservation, Session};
use crate::tracker::Reserving;

impl Desk<'_> {
    pub(super) fn request(
        &self,
        session: &Session,
        behalf: &Behalf,
        nonce: Nonce,
        template: &ReservationTemplate,
    ) -> Result<ReservationRef> {
        let session = self.stored_session(session)?;
        let id = nonce.id(self.scope.uid);
        // The answer to the first call was lost.
        if self.is_remote
            && let Some(made) = self.world.store.reservation(&id)?
        {
            return Ok(ReservationRef::of(&made));
        }
        if self.is_guest && !self.world.config.reload()?.guests.reservations {
            let text = "only root may reserve what jobs of other users could have";
            return Err(Error::new(ErrorCode::DeniedByDrms, text));
        }
        reserve::request(self.world, &session, id, &behalf.owner()?, template, now())
    }

    pub(super) fn session_reservations(&self, session: &Session) -> Result<Vec<ReservationRef>> {
        let session = self.stored_session(session)?;
        let stored = self.world.store.session_reservations(session.id)?;
        Ok(reserving::in_force(self.world, stored)?.iter().map(ReservationRef::of).collect())
    }

    pub(super) fn reservation_template(&self, named: &ReservationRef) -> Result<ReservationTemplate> {
        match self.reservation(named)? {
            Some(reservation) => Ok(reservation.template),
            None => self.foreign(named, |keeper| keeper.reservation(&named.id)).map(template_of),
        }
    }

    pub(super) fn reservation_info(&self, named: &ReservationRef) -> Result<ReservationInfo> {
        match self.reservation(named)? {
            Some(reservation) => reserving::current(self.world, reservation),
            None => self.foreign(named, |keeper| keeper.reservation(&named.id)),
        }
    }

    pub(super) fn reservation_owner(&self, named: &ReservationRef) -> Result<Option<String>> {
        Ok(self.reservation(named)?.map(|reservation| reservation.owner))
    }

    pub(super) fn end_reservation(&self, named: &ReservationRef) -> Result<()> {
        match self.reservation(named)? {
            Some(reservation) => {
                reserving::end(self.world, &reservation)?;
                self.world.store.end_reservation(&named.id)?;
                self.world.store.sync()
            }
            None => self.foreign(named, |keeper| keeper.end_reservation(&named.id)),
        }
    }

    /// Do something with one that was not made through DRMAA.
    fn foreign<T>(
        &self,
        named: &ReservationRef,
        act: impl FnOnce(&dyn Reserving) -> Result<T>,
    ) -> Result<T> {
        match reserving::keeper(self.world)? {
            Some(engine) => act(reserving::of(&engine)?)
                .map_err(|error| error.of(format_args!("reservation {}", named.id))),
            None => Err(unknown(named)),
        }
    }

    /// The stored reservation; `None` for one that was not made through DRMAA, which a monitoring session shows.
    /// INVALID_ARGUMENT if it is not in its session.
    fn reservation(&self, named: &ReservationRef) -> Result<Option<Reservation>> {
        let is_it = |found: &Reservation| {
            self.sees(found.whose) && named.session.as_ref().is_none_or(|name| *name == found.session)
        };
        let Some(reservation) = self.world.store.reservation(&named.id)?.filter(is_it) else {
            // Those that were not made through DRMAA are nobody's.
            let may_be_foreign = named.session.is_none() && !self.is_guest;
            return if may_be_foreign { Ok(None) } else { Err(unknown(named)) };
        };
        if reservation.orphaned && !self.monitoring {
            let text = format!("reservation {}: its session has been destroyed", named.id);
            return Err(Error::session(text));
        }
        Ok(Some(reservation))
    }
}

fn unknown(named: &ReservationRef) -> Error {
    Error::argument(match &named.session {
        Some(name) => format!("reservation {}: not in reservation session \"{name}\"", named.id),
        None => format!("reservation {} does not exist", named.id),
    })
}

/// The known part of the template of a reservation that was made otherwise.
fn template_of(info: ReservationInfo) -> ReservationTemplate {
    let list = |texts: Vec<String>| texts.into_iter().map(|text| text.as_str().into()).collect();
    ReservationTemplate {
        reservation_name: Some(info.id.as_str().into()),
        start_time: Some(info.begins / 1000),
        end_time: Some(info.ends / 1000),
        min_slots: Some(info.slots),
        max_slots: Some(info.slots),
        users: Some(list(info.users)),
        candidate_machines: Some(list(info.machines.into_iter().map(|it| it.machine).collect())),
        ..ReservationTemplate::default()
    }
}
