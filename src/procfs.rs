//! Processes of this machine, as `/proc` shows them; see proc(5).

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process as `/proc/PID/stat` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// A letter: `R`, `S`, `Z` and so on.
    pub state: char,
    /// The id of its parent.
    pub parent: u32,
    /// Its start time, in clock ticks since boot.
    pub started: u64,
}

impl Stat {
    /// The entry of the process with this id; `None` if there is none.
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The command's name, the second field, is in parentheses and may hold anything.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The fourth field was the last; this is the 22nd.
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    /// Returns whether it has ended and waits to be reaped. This may apply to its first thread only.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Returns whether a signal or a debugger has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// The ids of all visible processes. None without `/proc`.
pub fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A descriptor of a process, which becomes readable when the process ends; `None` if it has ended, or
/// the kernel lacks this call.
pub fn descriptor(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// The id of the process of a descriptor; `None` if it was reaped.
pub fn pid_of(process: &OwnedFd) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_of_a_process_is_read() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 8 9";
        let expected = Stat { state: 'S', parent: 3, started: 4711 };
        assert_eq!(Stat::parse(line), Some(expected));
        for broken in ["", "7 (a)", "1 (a) b) S 0", "7 (a) S x 7"] {
            assert_eq!(Stat::parse(broken), None, "{broken}");
        }
        let mine = std::process::id();
        assert_eq!(Stat::of(mine).unwrap().parent, std::os::unix::process::parent_id());
        assert!(all().any(|pid| pid == mine) && descriptor(mine).is_some());
        assert!(descriptor(0).is_none());
    }
}
