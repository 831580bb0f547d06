//! Makes reservations: here, or in a runtime that keeps them itself.

use super::refs::ReservationRef;
use super::reserving;
use super::world::World;
use crate::model::{Error, Millis, Owner, ReservationTemplate, Result, Span, Wanted};
use crate::scheduler::{self, Request, Window};
use crate::store::{NewReservation, Session};

/// Make the reservation of this id that a template requests.
pub(super) fn request(
    world: &World,
    session: &Session,
    id: String,
    owner: &Owner,
    template: &ReservationTemplate,
    now: Millis,
) -> Result<ReservationRef> {
    let contact = session.contact.as_deref();
    let of_session = Some(session.name.clone());
    let engine = world.engine(&world.contact(contact)?.0)?;
    if engine.queues_itself() {
        let id = reserving::request(world, &engine, session, &id, owner, template)?;
        return Ok(ReservationRef { id, session: of_session });
    }
    let capacity = world.capacity(contact)?;
    let wanted = template.wanted(&capacity.machine, capacity.slots, capacity.memory, now)?;
    let new = NewReservation {
        id: &id,
        session: session.id,
        target: &capacity.target,
        template,
        owner,
        machine: &capacity.machine.name,
        users: &template.users(&owner.user),
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
    Ok(ReservationRef { id, session: of_session })
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
