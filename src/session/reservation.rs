//! Reservations, for those who hold one.

use super::behalf::Behalf;
use super::call::{Call, Content};
use super::process;
use super::refs::ReservationRef;
use crate::model::{ReservationInfo, ReservationTemplate, Result};
use crate::store::Kind;

impl ReservationRef {
    /// The template that it was requested with; the known part of it for one that was not made through DRMAA.
    pub fn template(&self) -> Result<ReservationTemplate> {
        self.ask(Call::ReservationTemplate(self.clone())).map(|template: Box<_>| *template)
    }

    /// A snapshot of it.
    pub fn info(&self) -> Result<ReservationInfo> {
        self.ask(Call::ReservationInfo(self.clone())).map(|info: Box<_>| *info)
    }

    /// Terminate it. INVALID_STATE if it is over.
    pub fn terminate(&self) -> Result<()> {
        self.ask(Call::EndReservation(self.clone()))
    }

    /// The same reservation, if it may be terminated on behalf of a user, otherwise DENIED_BY_DRMS.
    pub fn on_behalf(self, behalf: &Behalf) -> Result<Self> {
        let owner: Option<String> = self.ask(Call::ReservationOwner(self.clone()))?;
        behalf.check_owner(&format!("reservation {}", self.id), owner.as_deref())?;
        Ok(self)
    }

    /// Ask about the reservation if its session, or a monitoring session, is open, otherwise INVALID_SESSION.
    fn ask<T: Content>(&self, call: Call) -> Result<T> {
        process::check_session(Kind::Reservation, self.session.as_deref())?;
        process::ask(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, Owner, Scope, now};
    use crate::scheduler::{self, Window};
    use crate::session::tests::{Bench, MONITORING, code};
    use crate::session::{MonitoringSession, ReservationSession};
    use crate::store::NewReservation;

    /// A reservation that is in force for a minute, stored without the scheduler.
    fn reserved(bench: &Bench, session: &str, id: &str) -> ReservationRef {
        let session = bench.world.store.session(Kind::Reservation, session, Scope::ALL).unwrap();
        let template = ReservationTemplate { duration: Some(60), ..ReservationTemplate::default() };
        let users = ["me".to_owned()];
        let new = NewReservation {
            id,
            session: session.id,
            target: "t",
            template: &template,
            owner: &Owner::for_tests("me", 7),
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
}
