//! Reservations on a fake tracker whose system keeps them.

use super::ReservationRef;
use super::tests::{Bench, MONITORING, code};
use super::{MonitoringSession, ReservationSession};
use crate::model::{Error, ErrorCode, ReservationTemplate, now};
use crate::tracker::Reserving;
use crate::tracker::fake::FakeTracker;

fn template() -> ReservationTemplate {
    ReservationTemplate {
        reservation_name: Some("mine".into()),
        duration: Some(60),
        min_slots: Some(3),
        users: Some(vec!["a".into(), "b".into()]),
        ..ReservationTemplate::default()
    }
}

fn named(id: &str, session: Option<&str>) -> ReservationRef {
    ReservationRef { id: id.to_owned(), session: session.map(str::to_owned) }
}

#[test]
fn a_reservation_is_the_runtimes_and_belongs_to_its_session() {
    let _alone = MONITORING.read().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::on(dir.path(), FakeTracker::with_queue());
    let session = ReservationSession::create(Some("kept"), None).unwrap();
    let reservation = session.request(&template()).unwrap();
    assert!(reservation.id.starts_with("drmaa2-"), "{reservation:?}");
    let there = bench.tracker.reservation(&reservation.id).unwrap();
    let info = reservation.info().unwrap();
    assert_eq!((info.id.as_str(), info.name.as_deref()), (reservation.id.as_str(), Some("mine")));
    assert_eq!((info.begins, info.ends, info.slots), (there.begins, there.ends, 3));
    assert_eq!((info.users, info.machines), (vec!["a".to_owned(), "b".to_owned()], there.machines));
    assert_eq!(reservation.template().unwrap(), template());
    assert_eq!(session.reservation(&reservation.id).unwrap(), reservation);
    assert_eq!(session.reservations().unwrap(), std::slice::from_ref(&reservation));
    let other = ReservationSession::create(Some("other kept"), None).unwrap();
    assert_eq!(code(other.reservation(&reservation.id)), ErrorCode::InvalidArgument);
    // It takes nothing of this machine.
    let reserved = bench.world.store.all_reservations().unwrap();
    assert!(reserved.iter().all(|it| it.kept) && reserved[0].info.slots == 3);

    reservation.terminate().unwrap();
    assert_eq!(code(bench.tracker.reservation(&reservation.id)), ErrorCode::InvalidArgument);
    assert_eq!(code(reservation.terminate()), ErrorCode::InvalidState);
    assert!(session.reservations().unwrap().is_empty());
    assert_eq!(reservation.info().unwrap().slots, 3);
}

#[test]
fn what_the_runtime_ends_or_refuses_is_so_here() {
    let _alone = MONITORING.read().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::on(dir.path(), FakeTracker::with_queue());
    let session = ReservationSession::create(None, None).unwrap();
    let [listed, looked_up, ended] = [0, 1, 2].map(|_| session.request(&template()).unwrap());
    let denied = Error::new(ErrorCode::DeniedByDrms, "scontrol: Invalid user id");
    bench.tracker.refuse_next(denied.clone());
    assert_eq!(session.request(&template()).unwrap_err(), denied);
    let impossible = ReservationTemplate { min_slots: Some(5), ..template() };
    assert_eq!(code(session.request(&impossible)), ErrorCode::InvalidArgument);
    let empty = ReservationTemplate::default();
    assert_eq!(code(session.request(&empty)), ErrorCode::InvalidArgument);
    assert_eq!(session.reservations().unwrap().len(), 3);

    for gone in [&listed, &looked_up, &ended] {
        bench.tracker.set_reservation(&gone.id, None);
    }
    let before = now();
    let info = looked_up.info().unwrap();
    assert!((info.begins..=now()).contains(&info.ends) && info.ends <= before + 60_000);
    assert_eq!(code(ended.terminate()), ErrorCode::InvalidState);
    assert!(session.reservations().unwrap().is_empty());
    assert!(listed.info().unwrap().ends <= now());
    bench.tracker.set_down(Some(Error::new(ErrorCode::DrmCommunication, "down")));
    assert_eq!(code(session.request(&template())), ErrorCode::DrmCommunication);
    assert_eq!(listed.info().unwrap().id, listed.id, "what is over is known without it");
}

#[test]
fn a_monitoring_session_shows_those_of_others_and_can_end_them() {
    let _watching = MONITORING.write();
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::on(dir.path(), FakeTracker::with_queue());
    let session = ReservationSession::create(None, None).unwrap();
    let ours = session.request(&template()).unwrap();
    bench.tracker.set_reservation("maintenance", Some(now() + 60_000));
    let theirs = named("maintenance", None);
    let monitoring = MonitoringSession::open().unwrap();
    assert_eq!(monitoring.reservations().unwrap(), [ours.clone(), theirs.clone()]);
    assert_eq!(theirs.info().unwrap().users, ["other"]);
    assert_eq!(theirs.template().unwrap().reservation_name, Some("maintenance".into()));
    assert_eq!(code(named("nothing", None).info()), ErrorCode::InvalidArgument);
    assert_eq!(code(session.reservation("maintenance")), ErrorCode::InvalidArgument);
    theirs.terminate().unwrap();
    assert_eq!(monitoring.reservations().unwrap(), [ours]);
}
