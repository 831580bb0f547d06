//! The limits in a template: when its job may run, for how long, and on how much of a machine.

use super::extensions::Rlimit;
use super::{Error, JobTemplate, Millis, Result, Text, now};

/// The kernel's limits among the keys of `resourceLimits` (GFD.231), setrlimit's names for them, and the
/// bytes or pieces in one unit of theirs. A key may begin with [`PREFIX`].
const RLIMITS: [(&str, &str, u64); 6] = [
    ("CORE_FILE_SIZE", "core", 1024),
    ("DATA_SIZE", "data", 1024),
    ("FILE_SIZE", "fsize", 1024),
    ("OPEN_FILES", "nofile", 1),
    ("STACK_SIZE", "stack", 1024),
    ("VIRTUAL_MEMORY", "as", 1024),
];
const CPU_TIME: &str = "CPU_TIME";
const WALL_CLOCK: &str = "WALLCLOCK_TIME";
/// The limits that may be 0 for a job that can still run.
const MAY_BE_ZERO: [&str; 2] = ["core", "fsize"];
/// The prefix of the names of the keys in C; programs in other languages use the name as the key.
const PREFIX: &str = "DRMAA2_";

/// No machine has more slots; so the sum over all jobs can always be counted.
const MOST_SLOTS: i64 = i32::MAX as i64;

/// `DRMAA2_NOW` as a start time.
const NOW: i64 = -2;
/// `DRMAA2_INFINITE_TIME` as a deadline.
const NEVER: i64 = -1;

/// The content of `resourceLimits`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Longest run time of the job.
    pub wall_clock: Option<Millis>,
    /// Most CPU time of all its processes together.
    pub cpu_time: Option<Millis>,
    /// The limits of each process: key and meaning.
    pub rlimits: Vec<(&'static str, Rlimit)>,
}

impl JobTemplate {
    /// The limits, the smaller one if a key is there under both names. INVALID_ARGUMENT for an unknown
    /// key or a value that limits nothing.
    pub fn limits(&self) -> Result<ResourceLimits> {
        let mut limits = ResourceLimits::default();
        for (key, value) in self.resource_limits.iter().flatten() {
            limits.add(key, value)?;
        }
        Ok(limits)
    }

    /// The wall clock limit, if there is one.
    pub fn wall_clock(&self) -> Result<Option<Millis>> {
        Ok(self.limits()?.wall_clock)
    }

    /// Set the wall clock limit of one that has none, in seconds.
    pub fn limit_wall_clock(&mut self, seconds: i64) {
        let limit = (Text::from(WALL_CLOCK), Text::from(seconds.to_string()));
        self.resource_limits.get_or_insert_default().push(limit);
    }

    /// Smallest and largest number of slots of the job; INVALID_ARGUMENT if no number is possible.
    pub fn slots(&self) -> Result<(i64, i64)> {
        let min = self.min_slots.unwrap_or(1);
        let max = self.max_slots.unwrap_or(min);
        for (attribute, slots) in [("minSlots", min), ("maxSlots", max)] {
            if slots < 1 {
                return Err(Error::argument(format!(
                    "{attribute} is {slots}, but has to be at least 1"
                )));
            }
        }
        if min > MOST_SLOTS {
            return Err(Error::argument(format!("minSlots is {min}; no machine has so many")));
        }
        if min > max {
            return Err(Error::argument(format!("minSlots is {min}, but maxSlots only {max}")));
        }
        Ok((min, max))
    }

    /// The time before which the job may not start; `None` if it may start at once. INVALID_ARGUMENT for
    /// a time at which nothing can start.
    pub fn starts_at(&self) -> Result<Option<Millis>> {
        let Some(seconds) = self.start_time.filter(|seconds| *seconds != NOW) else { return Ok(None) };
        let time = Some(seconds).filter(|seconds| *seconds >= 0).and_then(millis);
        let time = time.ok_or_else(|| {
            Error::argument(format!("startTime is {seconds}, which is no time to start a job at"))
        })?;
        Ok(Some(time).filter(|time| *time > now()))
    }

    /// The time at which the job is ended, or fails if it still waits; `None` if there is none.
    /// INVALID_ARGUMENT for a time in the past, or not after the start time.
    pub fn ends_at(&self) -> Result<Option<Millis>> {
        let Some(seconds) = self.deadline_time.filter(|seconds| *seconds != NEVER) else {
            return Ok(None);
        };
        let refuse =
            |cause: &str| Err(Error::argument(format!("deadlineTime is {seconds}, which is {cause}")));
        match Some(seconds).filter(|seconds| *seconds >= 0).and_then(millis) {
            None => refuse("no time to end a job at"),
            Some(time) if time <= now() => refuse("over"),
            Some(time) if self.starts_at()?.is_some_and(|start| start >= time) => {
                refuse("not after startTime")
            }
            Some(time) => Ok(Some(time)),
        }
    }

    /// Refuse demands that no machine could meet.
    pub(super) fn check_demands(&self) -> Result<()> {
        self.limits()?;
        self.slots()?;
        self.starts_at()?;
        self.ends_at()?;
        match self.min_phys_memory {
            Some(memory) if memory < 0 => {
                Err(Error::argument(format!("minPhysMemory is {memory}, which is no amount of memory")))
            }
            _ => Ok(()),
        }
    }
}

impl ResourceLimits {
    /// Add an entry of `resourceLimits`.
    fn add(&mut self, key: &Text, value: &Text) -> Result<()> {
        let refuse =
            |what| Error::argument(format!("resourceLimits: {key} is \"{value}\", which is no {what}"));
        let plain = key.strip_prefix(PREFIX).unwrap_or_else(|| key.clone());
        let span = [(WALL_CLOCK, &mut self.wall_clock), (CPU_TIME, &mut self.cpu_time)];
        if let Some((_, limit)) = span.into_iter().find(|(known, _)| plain == Text::from(*known)) {
            let span = number(value).and_then(millis).filter(|span| *span > 0);
            let span = span.ok_or_else(|| refuse("number of seconds to run for"))?;
            *limit = Some(limit.map_or(span, |other| other.min(span)));
            return Ok(());
        }
        let known = RLIMITS.into_iter().find(|(known, ..)| plain == Text::from(*known));
        let (key, name, unit) = known.ok_or_else(|| {
            Error::argument(format!(
                "resourceLimits: \"{key}\", set to \"{value}\", is no name of a limit"
            ))
        })?;
        let limit = number(value).filter(|limit| *limit > 0 || MAY_BE_ZERO.contains(&name));
        // The largest possible file is one byte less than 2^63.
        let limit = limit.and_then(|limit| u64::try_from(limit).ok()?.checked_mul(unit));
        let limit = limit.filter(|limit| i64::try_from(*limit).is_ok());
        let what = if unit == 1 { "number of files" } else { "number of kilobytes" };
        let limit = limit.ok_or_else(|| refuse(what))?;
        match self.rlimits.iter_mut().find(|(other, _)| *other == key) {
            Some((_, other)) => {
                let smaller = other.hard.map(|other| other.min(limit));
                (other.soft, other.hard) = (smaller, smaller);
            }
            None => {
                let name = name.to_owned();
                self.rlimits.push((key, Rlimit { name, soft: Some(limit), hard: Some(limit) }));
            }
        }
        Ok(())
    }
}

/// A decimal number without a sign.
fn number(text: &Text) -> Option<i64> {
    let digits = text.as_bytes().iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text.as_bytes()).ok().filter(|_| digits)?.parse().ok()
}

fn millis(seconds: i64) -> Option<Millis> {
    seconds.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, Submission};

    const SUPPORTED: &[&str] = &["resourceLimits", "minSlots", "maxSlots", "minPhysMemory", "startTime"];

    fn limited(limits: &[(&str, &str)]) -> JobTemplate {
        let limits = limits.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        JobTemplate { resource_limits: Some(limits), ..JobTemplate::default() }
    }

    fn refusal(template: &JobTemplate) -> Error {
        template.check(SUPPORTED, Submission::Single).unwrap_err()
    }

    #[test]
    fn the_wall_clock_limit_is_in_seconds_under_either_name() {
        assert_eq!(JobTemplate::default().wall_clock(), Ok(None));
        for (limits, expected) in [
            (&[][..], None),
            (&[("WALLCLOCK_TIME", "2")], Some(2000)),
            (&[("DRMAA2_WALLCLOCK_TIME", "007")], Some(7000)),
            (&[("DRMAA2_WALLCLOCK_TIME", "9"), ("WALLCLOCK_TIME", "3")], Some(3000)),
        ] {
            let template = limited(limits);
            assert_eq!(template.wall_clock(), Ok(expected), "{limits:?}");
            template.check(SUPPORTED, Submission::Single).unwrap();
        }
    }

    #[test]
    fn a_limit_that_is_none_is_refused_by_name() {
        for key in ["", "wallclock_time", "DRMAA2_", "DRMAA2_DRMAA2_CPU_TIME", "CPU_TIME "] {
            let error = refusal(&limited(&[(key, "17")]));
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{key}");
            assert!(error.message.contains(key) && error.message.contains("17"), "{error}");
        }
    }

    #[test]
    fn a_wall_clock_limit_that_is_no_span_is_refused() {
        let beyond_millis = (i64::MAX / 1000 + 1).to_string();
        for value in
            ["", "0", "-1", "+1", "1.5", " 1", "1s", "x", "9223372036854775808", beyond_millis.as_str()]
        {
            let error = refusal(&limited(&[("WALLCLOCK_TIME", value)]));
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{value}");
            assert!(error.message.contains(&format!("WALLCLOCK_TIME is \"{value}\"")), "{error}");
        }
    }

    #[test]
    fn sizes_are_in_kilobytes_and_files_are_counted() {
        for (key, name, unit) in RLIMITS {
            for key in [key.to_owned(), format!("{PREFIX}{key}")] {
                let limits = limited(&[(&key, "3")]).limits().unwrap().rlimits;
                let limit = Some(3 * unit);
                let expected = Rlimit { name: name.to_owned(), soft: limit, hard: limit };
                assert_eq!(limits, [(key.trim_start_matches(PREFIX), expected)]);
            }
            for value in ["", "-1", "1k", "unlimited", "1.5", "9223372036854775808"] {
                let error = refusal(&limited(&[(key, value)]));
                assert_eq!(error.code, ErrorCode::InvalidArgument);
                assert!(error.message.contains(&format!("{key} is \"{value}\"")), "{error}");
            }
            let zero = limited(&[(key, "0")]).limits();
            assert_eq!(zero.is_ok(), ["CORE_FILE_SIZE", "FILE_SIZE"].contains(&key), "{key}");
        }
        let twice = limited(&[("OPEN_FILES", "9"), ("DRMAA2_OPEN_FILES", "5")]).limits().unwrap();
        assert_eq!((twice.rlimits.len(), twice.rlimits[0].1.hard), (1, Some(5)));
        assert_eq!(limited(&[("CPU_TIME", "2")]).limits().unwrap().cpu_time, Some(2000));
        assert_eq!(refusal(&limited(&[("CPU_TIME", "0")])).code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn slots_have_a_least_and_a_most() {
        let template =
            |min_slots, max_slots| JobTemplate { min_slots, max_slots, ..JobTemplate::default() };
        for (min, max, expected) in [
            (None, None, (1, 1)),
            (Some(3), None, (3, 3)),
            (None, Some(4), (1, 4)),
            (Some(2), Some(2), (2, 2)),
            (Some(2), Some(i64::MAX), (2, i64::MAX)),
        ] {
            let template = template(min, max);
            assert_eq!(template.slots(), Ok(expected));
            template.check(SUPPORTED, Submission::Single).unwrap();
        }
        for (min, max) in [
            (Some(0), None),
            (Some(-5), Some(3)),
            (None, Some(0)),
            (None, Some(-99_999)),
            (Some(3), Some(2)),
            (Some(i64::MAX), None),
        ] {
            let error = refusal(&template(min, max));
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{min:?} {max:?}");
        }
    }

    #[test]
    fn a_start_time_is_in_the_future_or_at_once() {
        let template = |start_time| JobTemplate { start_time, ..JobTemplate::default() };
        let later = now() / 1000 + 1000;
        for (time, expected) in
            [(None, None), (Some(NOW), None), (Some(0), None), (Some(later), Some(later * 1000))]
        {
            let template = template(time);
            assert_eq!(template.starts_at(), Ok(expected), "{time:?}");
            template.check(SUPPORTED, Submission::Single).unwrap();
        }
        for time in [-1, -3, -4, i64::MIN, i64::MAX] {
            let error = refusal(&template(Some(time)));
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{time}");
            assert!(error.message.contains(&time.to_string()), "{error}");
        }
    }

    #[test]
    fn memory_is_not_negative() {
        let template = |min_phys_memory| JobTemplate { min_phys_memory, ..JobTemplate::default() };
        template(Some(0)).check(SUPPORTED, Submission::Single).unwrap();
        assert_eq!(refusal(&template(Some(-1))).code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn a_deadline_is_in_the_future_and_after_the_start() {
        let due = |start_time, deadline_time| {
            JobTemplate { start_time, deadline_time, ..JobTemplate::default() }.ends_at()
        };
        let soon = now() / 1000 + 100;
        assert_eq!(due(None, None), Ok(None));
        assert_eq!(due(None, Some(NEVER)), Ok(None));
        assert_eq!(due(Some(NOW), Some(soon)), Ok(Some(soon * 1000)));
        assert_eq!(due(Some(soon - 1), Some(soon)), Ok(Some(soon * 1000)));
        let wrong = [
            (None, 0, "over"),
            (None, soon - 200, "over"),
            (None, NOW, "no time"),
            (None, i64::MAX, "no time"),
            (Some(soon), soon, "not after startTime"),
        ];
        for (start, deadline, cause) in wrong {
            let error = due(start, Some(deadline)).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            let text = format!("deadlineTime is {deadline}, which is");
            assert!(error.message.contains(&text) && error.message.contains(cause), "{error}");
        }
    }
}
