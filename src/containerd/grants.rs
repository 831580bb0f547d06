//! The capabilities that the daemon can grant.
//!
//! It starts the jobs, so its bounds count. Those of this process may differ: it may be a confined
//! service.

use std::fs;

use tokio::net::UnixStream;

use super::connect::{Daemon, QUICK};

/// The capabilities that jobs of this daemon can have, by number. If the daemon is not visible from
/// here, all that the kernel knows: a runtime that lacks one refuses to start a job with it.
pub(super) async fn grants(daemon: &Daemon) -> u64 {
    let bounds = process(daemon).await.and_then(|pid| bounds(&pid.to_string()));
    bounds.unwrap_or_else(known)
}

/// The process that listens on the daemon's socket; `None` if it is not in a visible PID namespace.
async fn process(daemon: &Daemon) -> Option<i32> {
    let connected = tokio::time::timeout(QUICK, UnixStream::connect(daemon.address())).await;
    connected.ok()?.ok()?.peer_cred().ok()?.pid().filter(|pid| *pid > 0)
}

/// The bounding set of a process.
fn bounds(pid: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// All capabilities of the kernel.
fn known() -> u64 {
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
    let last = last.and_then(|last| last.trim().parse().ok()).filter(|last| *last < u64::BITS);
    last.map_or(u64::MAX, |last: u32| u64::MAX >> (u64::BITS - 1 - last))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn what_counts_are_the_bounds_of_the_process_that_listens() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("sock");
        let _here = UnixListener::bind(&socket).unwrap();
        let daemon = Daemon::new(socket, "n".to_owned());
        assert_eq!(process(&daemon).await, Some(std::process::id().cast_signed()));
        assert_eq!(grants(&daemon).await, bounds("self").unwrap());
    }

    #[tokio::test]
    async fn of_a_daemon_that_cannot_be_seen_everything_is_expected() {
        let all = known();
        assert_eq!(grants(&Daemon::new("/nonexistent".into(), "n".to_owned())).await, all);
        assert_eq!(all.count_ones(), all.trailing_ones());
        assert_eq!(bounds("self").unwrap() & !all, 0);
    }
}
