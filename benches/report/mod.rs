//! The reports of the benchmarks.

use std::time::Duration;

pub(crate) type Error = Box<dyn std::error::Error>;

pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Say whether a goal was met; give it back.
pub(crate) fn verdict(line: &str, met: bool) -> bool {
    println!("{line}: {}", if met { "met" } else { "MISSED" });
    met
}
