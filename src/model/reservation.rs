//! Reservations (GFD.231, ReservationTemplate and ReservationInfo): the request of a user, its validity
//! on this machine, and the result.

use serde::{Deserialize, Serialize};

use super::template::some;
use super::{Error, Machine, Millis, Result, SlotInfo, Text};

/// The `time_t` for the moment of the call.
const NOW: i64 = -2;
/// No time is later than the year 9999, and no window is longer. Sums of such times cannot overflow.
const LATEST: i64 = 253_402_300_799;

/// The request of a user. `None` is UNSET; an empty string or list counts as UNSET too, but is kept, so
/// that the template read back equals the given one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct ReservationTemplate {
    pub reservation_name: Option<Text>,
    /// A `time_t`, special values included.
    pub start_time: Option<i64>,
    /// A `time_t`.
    pub end_time: Option<i64>,
    /// Seconds.
    pub duration: Option<i64>,
    pub min_slots: Option<i64>,
    pub max_slots: Option<i64>,
    pub job_category: Option<Text>,
    pub users: Option<Vec<Text>>,
    pub candidate_machines: Option<Vec<Text>>,
    /// Kilobytes.
    pub min_phys_memory: Option<i64>,
    /// A number of the C enum `drmaa2_os`.
    pub machine_os: Option<i32>,
    /// A number of the C enum `drmaa2_cpu`.
    pub machine_arch: Option<i32>,
}

/// A valid request. Its times are whole seconds, the resolution of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Time of the window.
    pub span: Span,
    /// Smallest number of slots.
    pub min_slots: i64,
    /// Largest number of slots.
    pub max_slots: i64,
    /// Memory, kilobytes.
    pub memory: i64,
}

/// The place of a window on the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Exactly this.
    Fixed {
        /// Begin.
        begins: Millis,
        /// End; not part of it.
        ends: Millis,
    },
    /// From the moment at which the reservation is made: a busy system makes it later, not shorter.
    AtOnce {
        /// Its length.
        duration: Millis,
    },
    /// As early as possible.
    Earliest {
        /// Its length.
        duration: Millis,
        /// Its latest end.
        before: Option<Millis>,
    },
}

/// A snapshot of a reservation (GFD.231, ReservationInfo).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationInfo {
    /// Its id.
    pub id: String,
    /// `reservationName` of its template.
    pub name: Option<String>,
    /// Begin of its window.
    pub begins: Millis,
    /// End of its window, or the time at which it was terminated.
    pub ends: Millis,
    /// The users that may use it.
    pub users: Vec<String>,
    /// Its number of slots.
    pub slots: i64,
    /// The machines of the slots.
    pub machines: Vec<SlotInfo>,
}

impl ReservationTemplate {
    /// The request, if it is possible at the time `now` on a machine with this many slots and this much
    /// memory (`None` is unknown). All errors are INVALID_ARGUMENT.
    pub fn wanted(
        &self,
        machine: &Machine,
        slots: i64,
        memory: Option<i64>,
        now: Millis,
    ) -> Result<Wanted> {
        machine
            .check(self.candidate_machines.as_ref(), self.machine_os, self.machine_arch)
            .or_else(refuse)?;
        self.wanted_of(slots, memory, now)
    }

    /// The request, if it is possible at the time `now` on a system that knows itself what it has.
    pub fn wanted_anywhere(&self, now: Millis) -> Result<Wanted> {
        self.wanted_of(i64::MAX, None, now)
    }

    fn wanted_of(&self, slots: i64, memory: Option<i64>, now: Millis) -> Result<Wanted> {
        self.check_names()?;
        let (min_slots, max_slots) = self.slots(slots)?;
        let wanted_memory = self.min_phys_memory.unwrap_or(0);
        if wanted_memory < 0 || memory.is_some_and(|memory| wanted_memory > memory) {
            return refuse(format!("minPhysMemory {wanted_memory}: the machine has no such memory"));
        }
        let span = self.span(now.div_euclid(1000))?;
        Ok(Wanted { span, min_slots, max_slots, memory: wanted_memory })
    }

    /// The users that may use it: the owner, unless others are listed.
    pub fn users(&self, owner: &str) -> Vec<String> {
        match self.users.as_deref() {
            None | Some([]) => vec![owner.to_owned()],
            Some(users) => users.iter().map(Text::to_string).collect(),
        }
    }

    fn check_names(&self) -> Result<()> {
        let texts = [("reservationName", &self.reservation_name), ("jobCategory", &self.job_category)];
        let texts = texts.into_iter().flat_map(|(name, text)| text.iter().map(move |text| (name, text)));
        let users = self.users.iter().flatten().map(|user| ("usersACL", user));
        for (attribute, text) in texts.chain(users) {
            if std::str::from_utf8(text.as_bytes()).is_err() {
                return refuse(format!("{attribute} is not UTF-8"));
            }
        }
        Ok(())
    }

    /// Smallest and largest number of the machine's slots. The largest may exceed the number that
    /// exists, the smallest may not.
    fn slots(&self, all: i64) -> Result<(i64, i64)> {
        let min = self.min_slots.unwrap_or(1);
        let max = self.max_slots.unwrap_or(min);
        if min < 1 || max < min {
            return refuse(format!("minSlots {min}, maxSlots {max}: there are no such slots"));
        }
        if min > all {
            return refuse(format!("minSlots {min}: the machine has {all}"));
        }
        Ok((min, max.min(all)))
    }

    /// The time, relative to the second `now`.
    fn span(&self, now: i64) -> Result<Span> {
        let start = self.start_time.map(|start| if start == NOW { now } else { start });
        let (end, duration) = (self.end_time, self.duration);
        if start.is_some_and(|start| start < now) {
            return refuse("startTime is over");
        }
        if end.is_some_and(|end| end <= start.unwrap_or(now)) {
            return refuse("endTime is not after the begin");
        }
        if duration.is_some_and(|duration| duration <= 0) {
            return refuse("duration is not positive");
        }
        for (attribute, time) in [("startTime", start), ("endTime", end), ("duration", duration)] {
            if time.is_some_and(|time| time > LATEST) {
                return refuse(format!("{attribute} is beyond the year 9999"));
            }
        }
        let fixed = |start: i64, end: i64| Span::Fixed { begins: start * 1000, ends: end * 1000 };
        match (start, end, duration) {
            (Some(start), Some(end), Some(duration)) if end - start != duration => {
                refuse("startTime, endTime and duration do not agree")
            }
            (Some(start), Some(end), _) => Ok(fixed(start, end)),
            (Some(_), None, Some(duration)) if self.start_time == Some(NOW) => {
                Ok(Span::AtOnce { duration: duration * 1000 })
            }
            (Some(start), None, Some(duration)) => Ok(fixed(start, start + duration)),
            (None, before, Some(duration)) => Ok(Span::Earliest {
                duration: duration * 1000,
                before: before.map(|before| before * 1000),
            }),
            _ => refuse("of startTime, endTime and duration, two are needed, or duration alone"),
        }
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<String> {
        some(self.reservation_name.as_ref()).map(Text::to_string)
    }
}

fn refuse<T>(cause: impl std::fmt::Display) -> Result<T> {
    Err(Error::argument(format!("reservation template: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cpu, ErrorCode, Os};

    /// A time that is not a whole second.
    const TODAY: Millis = 1_000_345;

    fn machine() -> Machine {
        Machine {
            name: "node1".into(),
            available: true,
            sockets: 1,
            cores_per_socket: 4,
            threads_per_core: 1,
            load: None,
            phys_memory: 4096,
            virt_memory: 4096,
            os: Os::Linux,
            os_version: None,
            arch: Cpu::X64,
        }
    }

    fn wanted(template: &ReservationTemplate) -> Result<Wanted> {
        template.wanted(&machine(), 4, Some(4096), TODAY)
    }

    fn times(start: Option<i64>, end: Option<i64>, duration: Option<i64>) -> ReservationTemplate {
        ReservationTemplate { start_time: start, end_time: end, duration, ..Default::default() }
    }

    fn valid() -> ReservationTemplate {
        times(None, None, Some(60))
    }

    #[track_caller]
    fn refused(template: &ReservationTemplate, cause: &str) {
        let error = wanted(template).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(cause), "{error}");
    }

    #[test]
    fn a_window_is_given_in_several_ways() {
        let span = |start, end, duration| wanted(&times(start, end, duration)).unwrap().span;
        let fixed = Span::Fixed { begins: 1_010_000, ends: 1_070_000 };
        assert_eq!(span(Some(1010), Some(1070), None), fixed);
        assert_eq!(span(Some(1010), None, Some(60)), fixed);
        assert_eq!(span(Some(1010), Some(1070), Some(60)), fixed);
        let at_once = Span::Fixed { begins: 1_000_000, ends: 1_060_000 };
        assert_eq!(span(Some(NOW), Some(1060), None), at_once);
        assert_eq!(span(Some(NOW), None, Some(60)), Span::AtOnce { duration: 60_000 });
        assert_eq!(span(Some(NOW), Some(1060), Some(60)), at_once);
        assert_eq!(span(Some(1000), None, Some(60)), at_once, "this second is not over");
        let earliest = |before| Span::Earliest { duration: 60_000, before };
        assert_eq!(span(None, None, Some(60)), earliest(None));
        assert_eq!(span(None, Some(2000), Some(60)), earliest(Some(2_000_000)));
    }

    #[test]
    fn times_that_make_no_window_are_refused() {
        for (start, end) in [(None, None), (Some(1010), None), (None, Some(1010)), (Some(NOW), None)] {
            refused(&times(start, end, None), "two are needed");
        }
        refused(&times(Some(999), Some(1010), None), "startTime is over");
        refused(&times(Some(-1), None, Some(60)), "startTime is over");
        refused(&times(Some(1010), Some(1010), None), "endTime");
        refused(&times(Some(1010), Some(1009), Some(60)), "endTime");
        refused(&times(None, Some(1000), Some(60)), "endTime");
        refused(&times(Some(1010), Some(NOW), None), "endTime");
        refused(&times(None, None, Some(0)), "duration");
        refused(&times(Some(1010), Some(1070), Some(-1)), "duration");
        refused(&times(Some(1010), Some(1070), Some(61)), "do not agree");
        for far in [times(Some(i64::MAX), None, Some(1)), times(None, None, Some(i64::MAX))] {
            refused(&far, "9999");
        }
        refused(&times(Some(NOW), Some(i64::MAX), None), "9999");
    }

    #[test]
    fn slots_default_to_one_and_are_those_of_the_machine() {
        let slots = |min_slots, max_slots| ReservationTemplate { min_slots, max_slots, ..valid() };
        let got = |min, max| wanted(&slots(min, max)).map(|it| (it.min_slots, it.max_slots));
        assert_eq!(got(None, None), Ok((1, 1)));
        assert_eq!(got(Some(3), None), Ok((3, 3)));
        assert_eq!(got(None, Some(3)), Ok((1, 3)));
        assert_eq!(got(Some(2), Some(9)), Ok((2, 4)), "at most 9 are 4 on this machine");
        refused(&slots(Some(0), None), "minSlots 0");
        refused(&slots(None, Some(0)), "maxSlots 0");
        refused(&slots(Some(3), Some(2)), "maxSlots 2");
        refused(&slots(Some(5), None), "the machine has 4");
    }

    #[test]
    fn only_this_machine_can_be_wanted() {
        let candidates =
            |names: &[&str]| Some(names.iter().map(|name| Text::from(*name)).collect::<Vec<_>>());
        let fits = ReservationTemplate {
            candidate_machines: candidates(&["other", "node1"]),
            min_phys_memory: Some(4096),
            machine_os: Some(Os::Linux as i32),
            machine_arch: Some(Cpu::X64 as i32),
            ..valid()
        };
        assert_eq!(wanted(&fits).unwrap().memory, 4096);
        assert!(wanted(&ReservationTemplate { candidate_machines: candidates(&[]), ..valid() }).is_ok());
        let other = ReservationTemplate { candidate_machines: candidates(&["other"]), ..valid() };
        refused(&other, "candidateMachines");
        refused(&ReservationTemplate { min_phys_memory: Some(4097), ..valid() }, "minPhysMemory");
        refused(&ReservationTemplate { min_phys_memory: Some(-7), ..valid() }, "minPhysMemory");
        refused(&ReservationTemplate { machine_os: Some(0), ..valid() }, "machineOS");
        refused(&ReservationTemplate { machine_arch: Some(0), ..valid() }, "machineArch");
        let unknown = fits.wanted(&machine(), 4, None, TODAY);
        assert!(unknown.is_ok(), "memory that is unknown is no limit");
    }

    #[test]
    fn names_are_utf8() {
        let bad = || Some(Text::from(&b"\xff"[..]));
        refused(&ReservationTemplate { reservation_name: bad(), ..valid() }, "reservationName");
        refused(&ReservationTemplate { job_category: bad(), ..valid() }, "jobCategory");
        refused(
            &ReservationTemplate { users: Some(bad().into_iter().collect()), ..valid() },
            "usersACL",
        );
    }

    #[test]
    fn the_owner_may_use_it_unless_others_are_listed() {
        assert_eq!(valid().users("me"), ["me"]);
        assert_eq!(ReservationTemplate { users: Some(vec![]), ..valid() }.users("me"), ["me"]);
        let listed = ReservationTemplate { users: Some(vec!["a".into(), "b".into()]), ..valid() };
        assert_eq!(listed.users("me"), ["a", "b"]);
    }
}
