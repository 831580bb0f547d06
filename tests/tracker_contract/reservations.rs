//! Systems that keep reservations.

use drmaa2::model::{ErrorCode, ReservationTemplate, now};
use drmaa2::tracker::Reserving;

use super::Subject;

impl Subject {
    fn reserving(&self) -> &dyn Reserving {
        self.tracker.reserving().expect("reservations of its own")
    }
}

/// The user that the tests run as.
fn me() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

pub(super) fn a_reservation_is_found_until_it_is_given_up(subject: &Subject) {
    let system = subject.reserving();
    let id = format!("drmaa2-{}", ulid::Ulid::generate().to_string().to_lowercase());
    let begins = now() / 1000 + 3600;
    let template = ReservationTemplate {
        start_time: Some(begins),
        duration: Some(600),
        min_slots: Some(2),
        ..ReservationTemplate::default()
    };
    let made = system.reserve(&id, &template, &[me()]).unwrap();
    assert_eq!(
        (made.id.as_str(), made.begins, made.ends),
        (id.as_str(), begins * 1000, begins * 1000 + 600_000)
    );
    assert!(made.slots >= 2 && made.users == [me()], "{made:?}");
    assert_eq!(made.machines.iter().map(|share| share.slots).sum::<i64>(), made.slots);
    // It may be divided among machines in another way as long as it has not begun.
    let found = system.reservation(&id).unwrap();
    assert_eq!((found.begins, found.ends, found.slots), (made.begins, made.ends, made.slots));
    assert!(system.all_reservations().unwrap().iter().any(|info| info.id == id));
    system.end_reservation(&id).unwrap();
    for error in [system.reservation(&id).unwrap_err(), system.end_reservation(&id).unwrap_err()] {
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        assert!(error.message.contains(&id), "{error}");
    }
}

pub(super) fn what_cannot_be_reserved_leaves_nothing(subject: &Subject) {
    let system = subject.reserving();
    let id = format!("drmaa2-{}", ulid::Ulid::generate().to_string().to_lowercase());
    let valid = ReservationTemplate { duration: Some(60), ..ReservationTemplate::default() };
    for template in [
        ReservationTemplate::default(),
        ReservationTemplate { start_time: Some(5), ..valid.clone() },
        ReservationTemplate { min_slots: Some(1_000_000), ..valid },
    ] {
        let error = system.reserve(&id, &template, &[me()]).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    }
    assert!(system.reservation(&id).is_err());
}
