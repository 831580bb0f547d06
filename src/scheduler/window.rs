//! Reservations: finds a time window with enough free slots.

use super::Machine;
use super::timeline::{Amount, Limits, Timeline};
use crate::model::Millis;

/// The requested window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The window begins here; `None` is as early as possible.
    pub begins: Option<Millis>,
    /// The window ends here, or before if it has a duration and no begin.
    pub ends: Option<Millis>,
    /// Length of the window.
    pub duration: Option<Millis>,
    /// Smallest number of slots.
    pub min_slots: i64,
    /// Largest number of slots.
    pub max_slots: i64,
    /// Memory.
    pub memory: i64,
}

/// A possible window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Begin.
    pub begins: Millis,
    /// End; not part of it.
    pub ends: Millis,
    /// Slots.
    pub slots: i64,
}

/// The window that a request gets on a machine with this many slots and this much memory, or `None`.
///
/// Running jobs count until their latest end, or for ever if that is unknown; those that run inside a
/// reservation have their place in its window. A request with neither a begin nor a duration gets the
/// longest window up to its end.
pub fn find_window(
    now: Millis,
    slots: i64,
    memory: Option<i64>,
    machine: &Machine,
    request: &Request,
) -> Option<Window> {
    let limits = Limits { slots: Some(slots), memory };
    let timeline = Timeline::of_machine(now, machine);
    let need = Amount { slots: request.min_slots, memory: request.memory };
    let window_from = |begins: Millis| {
        let ends = request.duration.map(|duration| begins.saturating_add(duration)).or(request.ends)?;
        if ends <= begins || request.ends.is_some_and(|latest| ends > latest) {
            return None;
        }
        let used = timeline.peak(begins, ends);
        limits.allow(used, need).then(|| Window {
            begins,
            ends,
            slots: limits.free_slots(used).min(request.max_slots),
        })
    };
    match request.begins {
        Some(begins) => window_from(begins),
        // A request that does not fit now can fit only when something ends.
        None => timeline.changes().find_map(window_from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::{Active, Reserved};

    fn job(slots: i64, ends: Option<Millis>) -> Active {
        Active { slots, memory: 10 * slots, queue: String::new(), owner: 0, reservation: None, ends }
    }

    fn reserved(begins: Millis, ends: Millis, slots: i64) -> Reserved {
        Reserved { number: 7, begins, ends, slots, memory: 10 * slots }
    }

    fn request(slots: i64) -> Request {
        Request {
            begins: None,
            ends: None,
            duration: Some(50),
            min_slots: slots,
            max_slots: slots,
            memory: 0,
        }
    }

    /// Begin, end and slots of the window on a machine of four slots and 40 kB, at the time 100.
    fn find(
        active: Vec<Active>,
        reserved: Vec<Reserved>,
        request: &Request,
    ) -> Option<(Millis, Millis, i64)> {
        let window = find_window(100, 4, Some(40), &Machine { active, reserved }, request)?;
        Some((window.begins, window.ends, window.slots))
    }

    #[test]
    fn a_free_machine_can_be_reserved_at_once() {
        assert_eq!(find(vec![], vec![], &request(4)), Some((100, 150, 4)));
        assert_eq!(find(vec![], vec![], &request(5)), None);
    }

    #[test]
    fn a_fixed_window_is_that_window_or_none() {
        let fixed = Request { begins: Some(200), ends: Some(250), ..request(2) };
        assert_eq!(find(vec![job(2, None)], vec![], &fixed), Some((200, 250, 2)));
        assert_eq!(find(vec![job(2, None)], vec![reserved(249, 260, 1)], &fixed), None);
        let without_duration = Request { duration: None, ..fixed.clone() };
        assert_eq!(find(vec![], vec![], &without_duration), Some((200, 250, 2)));
        let without_end = Request { ends: None, ..fixed };
        assert_eq!(find(vec![], vec![], &without_end), Some((200, 250, 2)));
    }

    #[test]
    fn a_job_counts_until_it_is_ended_at_the_latest() {
        assert_eq!(find(vec![job(1, Some(130))], vec![], &request(4)), Some((130, 180, 4)));
    }

    #[test]
    fn a_job_without_known_end_counts_for_ever() {
        for ends in [None, Some(90), Some(100)] {
            assert_eq!(find(vec![job(1, ends)], vec![], &request(4)), None, "{ends:?}");
            assert_eq!(find(vec![job(1, ends)], vec![], &request(3)), Some((100, 150, 3)));
        }
    }

    #[test]
    fn windows_overlap_as_far_as_there_are_slots() {
        let other = || vec![reserved(120, 160, 3)];
        assert_eq!(find(vec![], other(), &request(1)), Some((100, 150, 1)));
        assert_eq!(find(vec![], other(), &request(2)), Some((160, 210, 2)));
        let short = Request { duration: Some(20), ..request(4) };
        assert_eq!(find(vec![], other(), &short), Some((100, 120, 4)));
    }

    #[test]
    fn a_job_in_a_reservation_does_not_count_beside_it() {
        let inside = Active { reservation: Some(7), ..job(3, Some(160)) };
        assert_eq!(
            find(vec![inside.clone()], vec![reserved(90, 160, 3)], &request(1)),
            Some((100, 150, 1))
        );
        // The reservation was terminated, but the job still runs.
        assert_eq!(find(vec![inside], vec![], &request(4)), Some((160, 210, 4)));
    }

    #[test]
    fn slots_are_the_most_that_are_free_all_through_the_window() {
        let wide = Request { max_slots: 9, ..request(1) };
        assert_eq!(find(vec![], vec![reserved(149, 160, 1)], &wide), Some((100, 150, 3)));
        assert_eq!(find(vec![], vec![], &Request { max_slots: 3, ..wide }), Some((100, 150, 3)));
    }

    #[test]
    fn memory_is_reserved_as_well() {
        let large = Request { memory: 35, ..request(1) };
        assert_eq!(find(vec![], vec![reserved(120, 160, 1)], &large), Some((160, 210, 1)));
        let machine = Machine { active: vec![], reserved: vec![reserved(120, 160, 1)] };
        let window = find_window(100, 4, None, &machine, &large);
        assert_eq!(window, Some(Window { begins: 100, ends: 150, slots: 1 }));
    }

    #[test]
    fn a_latest_end_is_kept() {
        let busy = || vec![job(1, Some(130))];
        assert_eq!(
            find(busy(), vec![], &Request { ends: Some(180), ..request(4) }),
            Some((130, 180, 4))
        );
        assert_eq!(find(busy(), vec![], &Request { ends: Some(179), ..request(4) }), None);
    }

    #[test]
    fn without_begin_and_duration_the_window_is_as_long_as_it_can_be() {
        let open = Request { duration: None, ends: Some(200), ..request(4) };
        assert_eq!(find(vec![job(1, Some(130))], vec![], &open), Some((130, 200, 4)));
        assert_eq!(find(vec![job(1, Some(200))], vec![], &open), None);
    }
}
