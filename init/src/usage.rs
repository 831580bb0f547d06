//! The resources that the job has used.

use std::fs;
use std::mem::MaybeUninit;
use std::time::Duration;

use drmaa2_init::family;

/// CPU time of init and all processes of the job, including those that were waited for.
pub(crate) fn cpu_time() -> Duration {
    let stats = family::members().into_iter().filter_map(|pid| {
        // A process that has ended since counts with its parent the next time.
        ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    });
    let ticks: u64 = stats.sum();
    // SAFETY: takes and returns a number.
    let second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / second)
}

/// User and system time of a process and its children, from its line in /proc.
fn ticks(stat: &str) -> Option<u64> {
    // The name may hold any byte, spaces and brackets too.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().skip(11).take(4).map(|field| field.parse::<u64>().ok()).sum()
}

/// The number of processors online.
pub(crate) fn processors() -> u32 {
    // SAFETY: takes and returns a number.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1).max(1)
}

/// CPU time in milliseconds and largest resident set in kilobytes of all reaped processes.
pub(crate) fn reaped() -> (i64, i64) {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writes, and all zeroes is a valid rusage if the call fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    ((micros(usage.ru_utime) + micros(usage.ru_stime)) / 1000, usage.ru_maxrss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "7 (a) 1 (b) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 300 4000 20 0 1";
        assert_eq!(ticks(stat), Some(4330));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(ticks("7 (a) S 1 7 7 0 -1 4194560 1 2 3 4 x 20 300 4000"), None);
    }
}
