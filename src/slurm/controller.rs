//! Slurm's controller: what it accepts, and what a later one in its place may have forgotten.

use std::collections::HashMap;

use super::job_dir::{Files, Run};
use super::submission::Submitted;
use crate::model::{Millis, now};

/// The number of places of an array unless it is configured.
const MAX_ARRAY: i64 = 1001;
/// The least time, in seconds, for which what is over is shown: MinJobAge, unless it is configured.
const SHOWS_ENDED: Millis = 300;

/// Slurm's controller.
#[derive(Clone)]
pub(super) struct Controller {
    /// Its start, in its own words: seconds since 1970.
    pub(super) start: String,
    /// The number of places of an array.
    pub(super) max_array: i64,
    /// The time for which it shows what is over; 0 for ever.
    pub(super) shows_ended: Millis,
}

impl Controller {
    /// The one with this configuration.
    pub(super) fn of(config: &HashMap<String, String>) -> Self {
        let number = |name| config.get(name)?.split(' ').next()?.parse::<i64>().ok();
        Self {
            start: config.get("BOOT_TIME").cloned().unwrap_or_default(),
            max_array: number("MaxArraySize").unwrap_or(MAX_ARRAY),
            // "300 sec"
            shows_ended: 1000 * number("MinJobAge").unwrap_or(SHOWS_ENDED),
        }
    }

    /// The start to note with what it accepts now. Nothing while it is so young that another one, started in its place
    /// within the same second, would look the same: what it accepts then may be forgotten.
    pub(super) fn noted(&self) -> String {
        self.noted_at(now())
    }

    /// Returns whether a job that has begun, and that it does not show, was forgotten and is to run again: an earlier
    /// controller had accepted it, and it was interrupted later than this one could have dropped it by.
    pub(super) fn has_forgotten(&self, files: &Files, now: Millis) -> bool {
        let is_doubtful = |submitted: &Submitted| !submitted.is_known_to(&self.start);
        let is_recent =
            |run: &Run| self.shows_ended == 0 || now < run.claimed.saturating_add(self.shows_ended);
        files.rerunnable
            && !files.terminated
            && files.submitted.as_ref().is_some_and(is_doubtful)
            && files.run.as_ref().is_some_and(is_recent)
    }

    fn noted_at(&self, now: Millis) -> String {
        let is_young = self.start.parse().is_ok_and(|start: Millis| now < 1000 * start + YOUNG);
        if is_young { String::new() } else { self.start.clone() }
    }
}

/// The time after its start for which a controller is young: the seconds of both starts, as the clock here shows them.
const YOUNG: Millis = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(start: &str, shows_ended: Millis) -> Controller {
        Controller { start: start.to_owned(), max_array: 1, shows_ended }
    }

    fn submitted(controller: &str) -> Submitted {
        Submitted::parse(&format!("7\n{controller}\ns")).unwrap()
    }

    #[test]
    fn its_limits_are_those_of_its_configuration() {
        let config = [("BOOT_TIME", "12"), ("MaxArraySize", "5001"), ("MinJobAge", "40 sec")];
        let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let Controller { start, max_array, shows_ended } = Controller::of(&HashMap::from(config));
        assert_eq!((start.as_str(), max_array, shows_ended), ("12", 5001, 40_000));
        assert_eq!(Controller::of(&HashMap::new()).shows_ended, 300_000);
    }

    #[test]
    fn what_a_young_controller_accepts_may_be_forgotten_by_one_of_the_same_second() {
        let controller = controller("100", 0);
        for (at, noted) in [(99_000, ""), (100_900, ""), (101_999, ""), (102_000, "100")] {
            assert_eq!(controller.noted_at(at), noted, "{at}");
        }
        assert!(submitted("100").is_known_to("100"));
        assert!(!submitted("").is_known_to("100"));
        assert!(!submitted("").is_known_to(""));
    }

    #[test]
    fn only_a_later_controller_can_have_forgotten_a_run_and_only_one_that_it_would_still_show() {
        let run = Run { claimed: 1_000, ..Run::default() };
        let begun = || Files {
            submitted: Some(submitted("100")),
            rerunnable: true,
            run: Some(Run { claimed: 1_000, ..Run::default() }),
            ..Files::default()
        };
        let later = controller("200", 5_000);
        assert!(later.has_forgotten(&begun(), 5_999));
        assert!(
            !later.has_forgotten(&begun(), run.claimed + later.shows_ended),
            "it may have dropped it"
        );
        assert!(controller("200", 0).has_forgotten(&begun(), Millis::MAX), "it drops none");
        assert!(!controller("100", 5_000).has_forgotten(&begun(), 2_000));
        for other in [
            Files { rerunnable: false, ..begun() },
            Files { terminated: true, ..begun() },
            Files { submitted: None, ..begun() },
            Files { run: None, ..begun() },
        ] {
            assert!(!later.has_forgotten(&other, 2_000), "{other:?}");
        }
    }
}
