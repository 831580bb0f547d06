//! Calls that are made again, since the answers to the first were lost.

use super::tests::{NOBODY, Site, is_root};
use crate::config::Guests;
use crate::model::{ErrorCode, ReservationTemplate};
use crate::session::JobRef;
use crate::session::behalf::Behalf;
use crate::session::call::{Answer, Call, Content};
use crate::session::ids::Nonce;
use crate::session::refs::ReservationRef;
use crate::session::tests::template;
use crate::store::{Kind, Session};

fn create(kind: Kind, name: Option<&str>) -> Call {
    let (behalf, nonce, name) = (Behalf::Himself, Nonce::new(), name.map(str::to_owned));
    Call::CreateSession { kind, behalf, nonce, name, contact: None }
}

fn of<T: Content>(answer: crate::model::Result<Answer>) -> T {
    T::of(answer.unwrap()).unwrap()
}

#[test]
fn what_is_asked_for_twice_is_made_once() {
    let site = Site::with(Guests { reservations: true, ..Guests::default() });
    if !is_root() {
        return;
    }
    site.of(NOBODY, |connection| {
        let ask = |call: &Call| connection.ask(false, call.clone());
        for kind in [Kind::Job, Kind::Reservation] {
            for name in [Some("twice"), None] {
                let call = create(kind, name);
                assert_eq!(of::<Session>(ask(&call)), of::<Session>(ask(&call)));
            }
            assert_eq!(of::<Vec<String>>(ask(&Call::SessionNames(kind))).len(), 2);
            // Another call that asks for the same is no repetition.
            assert_eq!(ask(&create(kind, Some("twice"))).unwrap_err().code, ErrorCode::InvalidArgument);
        }
        let open = |kind| Call::OpenSession { kind, name: "twice".to_owned() };
        let (behalf, nonce) = (Behalf::Himself, Nonce::new());
        let (session, template) = (of::<Session>(ask(&open(Kind::Job))), Box::new(template("sleep")));
        let view = Default::default();
        let run =
            Call::RunJob { session: session.clone(), behalf: behalf.clone(), nonce, template, view };
        let job: JobRef = of(ask(&run));
        assert_eq!(job, of(ask(&run)));
        assert_eq!(of::<Vec<JobRef>>(ask(&Call::SessionJobs { session, filter: None })), [job]);

        let session: Session = of(ask(&open(Kind::Reservation)));
        let template = ReservationTemplate { duration: Some(60), ..Default::default() };
        let request =
            Call::Request { session: session.clone(), behalf, nonce, template: Box::new(template) };
        let made: ReservationRef = of(ask(&request));
        assert_eq!(made, of(ask(&request)));
        assert_eq!(of::<Vec<ReservationRef>>(ask(&Call::SessionReservations(session))), [made]);
    });
}
