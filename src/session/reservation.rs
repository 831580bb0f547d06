//! Reservations: request, look-up, termination.

use std::sync::Arc;

use super::behalf::Behalf;
use super::process::Kind;
use super::world::World;
use super::{process, reserving, submit};
use crate::model::{Error, Millis, ReservationInfo, ReservationTemplate, Result, Span, Wanted};
use crate::scheduler::{self, Request, Window};
use crate::store::{NewReservation, Reservation, Session};
use crate::tracker::Reserving;

/// A reservation as a caller names it: by its id and its session. Every call looks it up anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationRef {
    /// Its id.
    pub id: String,
    /// Its session; without it, only a monitoring session gives access.
    pub session: Option<String>,
}

impl ReservationRef {
    pub(super) fn of(reservation: &Reservation) -> Self {
        Self { id: reservation.info.id.clone(), session: Some(reservation.session.clone()) }
    }

    /// The template that it was requested with; the known part of it for one that was not made through DRMAA.
    pub fn template(&self) -> Result<ReservationTemplate> {
        match self.look_up()? {
            (_, Some(reservation)) => Ok(reservation.template),
            (world, None) => self.foreign(&world, |it| it.reservation(&self.id)).map(template_of),
        }
    }

    /// A snapshot of it.
    pub fn info(&self) -> Result<ReservationInfo> {
        match self.look_up()? {
            (world, Some(reservation)) => reserving::current(&world, reservation),
            (world, None) => self.foreign(&world, |it| it.reservation(&self.id)),
        }
    }

    /// Terminate it. INVALID_STATE if it is over.
    pub fn terminate(&self) -> Result<()> {
        match self.look_up()? {
            (world, Some(reservation)) => {
                reserving::end(&world, &reservation)?;
                world.store.end_reservation(&self.id)?;
                world.store.sync()
            }
            (world, None) => self.foreign(&world, |it| it.end_reservation(&self.id)),
        }
    }

    /// The same reservation, if it may be terminated on behalf of a user, otherwise DENIED_BY_DRMS.
    pub fn on_behalf(self, behalf: &Behalf) -> Result<Self> {
        let (_, reservation) = self.look_up()?;
        let owner = reservation.as_ref().map(|reservation| reservation.owner.as_str());
        behalf.check_owner(&format!("reservation {}", self.id), owner)?;
        Ok(self)
    }

    /// Do something with one that was not made through DRMAA.
    fn foreign<T>(&self, world: &World, act: impl FnOnce(&dyn Reserving) -> Result<T>) -> Result<T> {
        match reserving::keeper(world)? {
            Some(engine) => act(reserving::of(&engine)?)
                .map_err(|error| error.of(format_args!("reservation {}", self.id))),
            None => Err(self.unknown()),
        }
    }

    /// The stored reservation; `None` for one that was not made through DRMAA, which a monitoring session shows.
    /// INVALID_SESSION if neither its session nor a monitoring session is open; INVALID_ARGUMENT if it is not in its
    /// session.
    fn look_up(&self) -> Result<(Arc<World>, Option<Reservation>)> {
        process::check_session(Kind::Reservation, self.session.as_deref())?;
        let world = process::world()?;
        let stored = world.store.reservation(&self.id)?;
        let of_session = |reservation: &Reservation| {
            self.session.as_ref().is_none_or(|name| *name == reservation.session)
        };
        let Some(reservation) = stored.filter(of_session) else {
            return if self.session.is_none() { Ok((world, None)) } else { Err(self.unknown()) };
        };
        if reservation.orphaned && !process::is_monitoring() {
            let text = format!("reservation {}: its session has been destroyed", self.id);
            return Err(Error::session(text));
        }
        Ok((world, Some(reservation)))
    }

    fn unknown(&self) -> Error {
        Error::argument(match &self.session {
            Some(name) => format!("reservation {}: not in reservation session \"{name}\"", self.id),
            None => format!("reservation {} does not exist", self.id),
        })
    }
}

/// Make the reservation that a template requests.
pub(super) fn request(
    world: &World,
    session: &Session,
    behalf: &Behalf,
    template: &ReservationTemplate,
    now: Millis,
) -> Result<ReservationRef> {
    let contact = session.contact.as_deref();
    let (owner, of_session) = (behalf.owner()?, Some(session.name.clone()));
    let engine = world.engine(&world.contact(contact)?.0)?;
    if engine.queues_itself() {
        let id = reserving::request(world, &engine, session, &owner, template)?;
        return Ok(ReservationRef { id, session: of_session });
    }
    let capacity = world.capacity(contact)?;
    let wanted = template.wanted(&capacity.machine, capacity.slots, capacity.memory, now)?;
    let new = NewReservation {
        id: &submit::new_id(),
        session: session.id,
        target: &capacity.target,
        template,
        owner: &owner,
        machine: &capacity.machine.name,
        users: &template.users(&owner),
        memory: wanted.memory,
    };
    world.store.reserve(&new, |now, machine| {
        // Jobs without a limit of slots take nothing from each other.
        let active = if capacity.limits.slots.is_some() { machine.active.clone() } else { Vec::new() };
        let machine = &scheduler::Machine { active, reserved: machine.reserved.clone() };
        // From the beginning of the second: a begin in it is not in the past.
        let second = now - now.rem_euclid(1000);
        let request = in_terms_of_scheduler(&wanted, second);
        scheduler::find_window(second, capacity.slots, capacity.memory, machine, &request)
            .map(whole_seconds)
            .ok_or_else(|| Error::argument("what the reservation template asks for is not free then"))
    })?;
    world.store.sync()?;
    Ok(ReservationRef { id: new.id.to_owned(), session: of_session })
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

fn in_terms_of_scheduler(wanted: &Wanted, now: Millis) -> Request {
    let (begins, ends, duration) = match wanted.span {
        // Time may have passed since the request, because the store was busy.
        Span::Fixed { begins, ends } => (Some(begins.max(now)), Some(ends), None),
        Span::AtOnce { duration } => (Some(now), None, Some(duration)),
        Span::Earliest { duration, before } => (None, before, Some(duration)),
    };
    let Wanted { min_slots, max_slots, memory, .. } = *wanted;
    Request { begins, ends, duration, min_slots, max_slots, memory }
}

/// The window up to a second later, on whole seconds, the resolution of the API. It is free as well: all
/// windows are on whole seconds, so slots that are free at some time in a second stay free to its end.
fn whole_seconds(window: Window) -> Window {
    let up = |at: Millis| at + (-at).rem_euclid(1000);
    Window { begins: up(window.begins), ends: up(window.ends), ..window }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, now};
    use crate::session::tests::{Bench, MONITORING, code};
    use crate::session::{MonitoringSession, ReservationSession};

    /// A reservation that is in force for a minute, stored without the scheduler.
    fn reserved(bench: &Bench, session: &str, id: &str) -> ReservationRef {
        let session = bench.world.store.reservation_session(session).unwrap();
        let template = ReservationTemplate { duration: Some(60), ..ReservationTemplate::default() };
        let users = ["me".to_owned()];
        let new = NewReservation {
            id,
            session: session.id,
            target: "t",
            template: &template,
            owner: "me",
            machine: "node1",
            users: &users,
            memory: 0,
        };
        let window =
            |now, _: &scheduler::Machine| Ok(Window { begins: now, ends: now + 60_000, slots: 1 });
        bench.world.store.reserve(&new, window).unwrap();
        ReservationRef { id: id.to_owned(), session: Some(session.name) }
    }

    fn named(id: &str, session: Option<&str>) -> ReservationRef {
        ReservationRef { id: id.to_owned(), session: session.map(str::to_owned) }
    }

    #[test]
    fn a_handle_needs_an_open_session_of_its_name() {
        let _alone = MONITORING.read().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path());
        let session = ReservationSession::create(Some("handles"), None).unwrap();
        let other = ReservationSession::create(Some("other handles"), None).unwrap();
        let reservation = reserved(&bench, "handles", "r1");
        assert_eq!(session.reservation("r1").unwrap(), reservation);
        assert_eq!(session.reservations().unwrap(), std::slice::from_ref(&reservation));
        assert_eq!(reservation.info().unwrap().id, "r1");
        assert_eq!(reservation.template().unwrap().duration, Some(60));

        assert!(other.reservations().unwrap().is_empty());
        assert_eq!(code(other.reservation("r1")), ErrorCode::InvalidArgument);
        assert_eq!(code(named("r1", Some("other handles")).info()), ErrorCode::InvalidArgument);
        assert_eq!(code(named("r2", Some("handles")).terminate()), ErrorCode::InvalidArgument);
        assert_eq!(code(named("r1", None).info()), ErrorCode::InvalidSession);

        session.close().unwrap();
        assert_eq!(code(session.close()), ErrorCode::InvalidSession);
        assert_eq!(code(session.reservations()), ErrorCode::InvalidSession);
        assert_eq!(code(reservation.info()), ErrorCode::InvalidSession);
        let again = ReservationSession::open("handles").unwrap();
        reservation.terminate().unwrap();
        assert_eq!(code(reservation.terminate()), ErrorCode::InvalidState);
        assert!(again.reservations().unwrap().is_empty());
        assert!(reservation.info().unwrap().ends <= now());
    }

    #[test]
    fn a_destroyed_session_leaves_its_reservations_to_monitoring() {
        let _alone = MONITORING.write().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path());
        let session = ReservationSession::create(Some("destroyed"), None).unwrap();
        let reservation = reserved(&bench, "destroyed", "r1");
        ReservationSession::destroy("destroyed").unwrap();
        assert_eq!(code(session.reservations()), ErrorCode::InvalidSession);
        assert_eq!(code(reservation.info()), ErrorCode::InvalidSession);
        let successor = ReservationSession::create(Some("destroyed"), None).unwrap();
        assert!(successor.reservations().unwrap().is_empty());
        assert_eq!(code(session.reservations()), ErrorCode::InvalidSession);
        assert_eq!(code(reservation.info()), ErrorCode::InvalidSession);
        // Dropping the old one does not close the new one.
        drop(session);
        let unknown = named("r2", Some("destroyed"));
        assert_eq!(code(unknown.info()), ErrorCode::InvalidArgument);

        let monitoring = MonitoringSession::open().unwrap();
        assert_eq!(monitoring.reservations().unwrap(), std::slice::from_ref(&reservation));
        assert_eq!(named("r1", None).info().unwrap().id, "r1");
        reservation.terminate().unwrap();
        assert!(monitoring.reservations().unwrap().is_empty());
        monitoring.close().unwrap();
        assert_eq!(code(monitoring.reservations()), ErrorCode::InvalidSession);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let _bench = Bench::new(dir.path());
        let session = ReservationSession::create(None, None).unwrap();
        let refused = [
            ReservationTemplate::default(),
            ReservationTemplate { duration: Some(0), ..ReservationTemplate::default() },
            ReservationTemplate {
                duration: Some(60),
                candidate_machines: Some(vec!["other".into()]),
                ..ReservationTemplate::default()
            },
            // More than all slots of the machine.
            ReservationTemplate {
                duration: Some(60),
                min_slots: Some(i64::MAX),
                ..ReservationTemplate::default()
            },
        ];
        for template in refused {
            assert_eq!(code(session.request(&template)), ErrorCode::InvalidArgument, "{template:?}");
        }
        assert!(session.reservations().unwrap().is_empty());
    }

    #[test]
    fn a_window_moves_to_the_next_whole_second() {
        let moved = |begins, ends| {
            let window = whole_seconds(Window { begins, ends, slots: 1 });
            (window.begins, window.ends)
        };
        assert_eq!(moved(1_000, 61_000), (1_000, 61_000));
        assert_eq!(moved(1_001, 61_001), (2_000, 62_000));
        assert_eq!(moved(1_999, 61_999), (2_000, 62_000));
    }

    #[test]
    fn a_fixed_window_never_begins_in_the_past() {
        let wanted = |span| Wanted { span, min_slots: 1, max_slots: 2, memory: 3 };
        let fixed = wanted(Span::Fixed { begins: 1_000, ends: 9_000 });
        let request = in_terms_of_scheduler(&fixed, 2_000);
        assert_eq!((request.begins, request.ends, request.duration), (Some(2_000), Some(9_000), None));
        let at_once = in_terms_of_scheduler(&wanted(Span::AtOnce { duration: 5_000 }), 2_000);
        assert_eq!((at_once.begins, at_once.ends, at_once.duration), (Some(2_000), None, Some(5_000)));
        let earliest = wanted(Span::Earliest { duration: 5_000, before: Some(9_000) });
        let request = in_terms_of_scheduler(&earliest, 2_000);
        assert_eq!((request.begins, request.ends, request.duration), (None, Some(9_000), Some(5_000)));
        assert_eq!((request.min_slots, request.max_slots, request.memory), (1, 2, 3));
    }
}
