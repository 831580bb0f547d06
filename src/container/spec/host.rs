//! The properties of the machine that a spec depends on.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// The properties of the machine that a spec depends on.
#[derive(Debug, Default)]
pub struct Host {
    /// Its kernel can limit memory and swap together.
    pub counts_swap: bool,
    /// The capabilities that its daemon can grant, by number.
    pub capabilities: u64,
    /// Its kernel can make a mount read-only with all that is mounted below it.
    pub read_only_trees: bool,
    /// Its network can be shown: a `sysfs` may be mounted only by the owner of the network namespace, who is another one
    /// in a user namespace that uses the machine's network.
    pub shows_network: bool,
    /// It is a user namespace, in which options of mounts are locked: see [`drmaa2_init::keep_locked_options`].
    pub locks_mounts: bool,
    /// The limit of processes of a job that sets none, if the kernel can limit them.
    pub pids: Option<i64>,
}

/// The part of all processes of a machine that one job gets, in hundredths: the same as systemd gives a
/// service.
const SHARE: i64 = 15;

impl Host {
    /// Examine this machine, whose daemon can grant these capabilities.
    pub fn look(capabilities: u64) -> Self {
        // The unified hierarchy always can.
        let swap = ["memory/memory.memsw.limit_in_bytes", "cgroup.controllers"];
        Self {
            counts_swap: swap.iter().any(|file| Path::new("/sys/fs/cgroup").join(file).exists()),
            capabilities,
            read_only_trees: kernel().is_some_and(|version| version >= (5, 12)),
            shows_network: shows_network(),
            locks_mounts: !is_initial_namespace(),
            pids: pids(),
        }
    }
}

/// Returns whether the network namespace belongs to this user namespace, or to one below it.
fn shows_network() -> bool {
    let Ok(network) = std::fs::File::open("/proc/self/ns/net") else { return true };
    // SAFETY: it takes a descriptor, which is open, and returns one or -1.
    let owner = unsafe { libc::ioctl(network.as_raw_fd(), libc::NS_GET_USERNS) };
    if owner == -1 {
        return std::io::Error::last_os_error().raw_os_error() != Some(libc::EPERM);
    }
    // SAFETY: it was just made, for this purpose.
    drop(unsafe { OwnedFd::from_raw_fd(owner) });
    true
}

/// Returns whether this user namespace is that of the machine, which alone has all ids.
fn is_initial_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map");
    map.map_or(true, |map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// A job's share of the processes that the machine can have.
fn pids() -> Option<i64> {
    let unified = || std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !Path::new("/sys/fs/cgroup/pids").is_dir() && !unified().split_whitespace().any(|it| it == "pids")
    {
        return None;
    }
    let limits = ["pid_max", "threads-max"].into_iter().filter_map(|name| {
        let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
        text.trim().parse::<i64>().ok()
    });
    limits.min().map(|limit| (limit.saturating_mul(SHARE) / 100).max(1))
}

/// Version of the kernel.
pub fn kernel() -> Option<(u32, u32)> {
    let name = nix::sys::utsname::uname().ok()?;
    let mut parts = name.release().to_str()?.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
