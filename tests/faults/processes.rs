//! Processes of the machine: found by what they were given, ended and awaited by their number.

use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The processes whose file of this name in /proc, such as `cmdline`, has the text in it.
pub fn with(file: &str, text: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    let all = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        content.windows(text.len()).any(|part| part == text.as_bytes())
    };
    all.filter(|pid| *pid != own && has(pid)).collect()
}

/// The arguments that a process was called with.
pub fn words(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    line.split_terminator('\0').map(str::to_owned).collect()
}

/// The last part of the name of its control group, which is that of its container.
pub fn group(pid: i32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let line = groups.lines().find(|line| line.contains(":memory:") || line.starts_with("0::"));
    line.and_then(|line| line.rsplit('/').next()).unwrap_or_default().to_owned()
}

/// Is it the first process of its process namespace, but not of the machine?
pub fn is_init(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("NSpid:")).unwrap_or_default().to_owned();
    let mut numbers = line.split_whitespace().skip(1);
    numbers.next().is_some() && numbers.last() == Some("1")
}

/// Wait until a process has ended. False if it does not in time.
pub fn gone(pid: i32, limit: Duration) -> bool {
    // SAFETY: a system call that takes numbers alone.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let Ok(fd) = i32::try_from(fd) else { return false };
    if fd < 0 {
        return true;
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let limit = PollTimeout::try_from(limit).unwrap();
    poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], limit).unwrap() > 0
}

pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Kill a process and wait for its end, which one that is frozen does not come to yet.
pub fn end(pid: i32) {
    signal(pid, Signal::SIGKILL);
    gone(pid, Duration::from_secs(2));
}

/// Is it in a process namespace of its own, as what runs in a container is?
pub fn in_container(pid: i32) -> bool {
    let namespace = |name: &str| fs::read_link(format!("/proc/{name}/ns/pid")).ok();
    let its = namespace(&pid.to_string());
    its.is_some() && its != namespace("self")
}

/// Wait until there is something to read, or the time is over.
pub fn readable(from: &impl AsFd, limit: Duration) {
    let limit = PollTimeout::try_from(limit).unwrap();
    let _ = poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], limit);
}
