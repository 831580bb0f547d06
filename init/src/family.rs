//! The processes of the job: those of its container, or the descendants of an init that shares its machine.
//!
//! Such an init is a subreaper: each orphan among its descendants becomes its child, so none can leave.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use libc::{c_int, pid_t};

/// Every process of the container but this one, as kill(2) takes it.
const ALL: pid_t = -1;

/// Make this process the one that orphans among its descendants belong to.
pub fn adopt_orphans() -> bool {
    // SAFETY: takes numbers alone.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 }
}

/// Returns whether all processes that this one can see belong to its job.
fn is_alone() -> bool {
    std::process::id() == 1
}

/// Send the stop signal to a process or a group, and continue stopped processes: they could not act on
/// the signal. False if there is no receiver.
pub fn ask_to_end(whom: pid_t, stop: c_int) -> bool {
    kill(whom, stop) && kill(whom, libc::SIGCONT)
}

/// Send the stop signal to all processes of the job.
pub fn ask_all(stop: c_int) {
    if is_alone() {
        ask_to_end(ALL, stop);
    } else {
        descendants().into_iter().for_each(|pid| _ = ask_to_end(pid, stop));
    }
}

/// Kill every process of the job.
pub fn kill_all() {
    if is_alone() {
        kill(ALL, libc::SIGKILL);
        return;
    }
    // One may have started another while they were listed; those that are killed start none.
    let mut killed = BTreeSet::new();
    loop {
        let found: Vec<pid_t> = descendants().into_iter().filter(|pid| killed.insert(*pid)).collect();
        if found.is_empty() {
            return;
        }
        found.into_iter().for_each(|pid| _ = kill(pid, libc::SIGKILL));
    }
}

/// Stop every process of the job. Returns those that it has stopped: others were stopped before.
pub fn stop_all() -> Vec<pid_t> {
    // One may have started another while they were listed; those that are stopped start none.
    let (mut seen, mut stopped) = (BTreeSet::new(), Vec::new());
    loop {
        let found: Vec<pid_t> = others().filter(|pid| seen.insert(*pid)).collect();
        if found.is_empty() {
            return stopped;
        }
        let running = found.into_iter().filter(|pid| !matches!(state(*pid), Some('T' | 'Z') | None));
        stopped.extend(running.filter(|pid| kill(*pid, libc::SIGSTOP)));
    }
}

/// Let processes of the job go on that were stopped. Children come before their parents, which would find them stopped.
pub fn continue_all(stopped: &[pid_t]) {
    let mut left: Vec<pid_t> = others().filter(|pid| stopped.contains(pid)).collect();
    left.reverse();
    left.into_iter().for_each(|pid| _ = kill(pid, libc::SIGCONT));
}

/// All processes of the job.
fn others() -> impl Iterator<Item = pid_t> {
    let me = std::process::id().cast_signed();
    members().into_iter().filter(move |pid| *pid != me)
}

/// This process and all processes of the job.
pub fn members() -> Vec<pid_t> {
    if is_alone() {
        return visible().collect();
    }
    let mut members = descendants();
    members.push(std::process::id().cast_signed());
    members
}

/// The processes of the job that are not in this process group.
pub fn outside(group: pid_t) -> impl Iterator<Item = pid_t> {
    // SAFETY: takes and returns plain numbers.
    others().filter(move |pid| unsafe { libc::getpgid(*pid) } != group)
}

/// Send a signal to the group of a process, as the kernel sends one to a process alone.
pub fn signal_group(leader: pid_t, signal: c_int) {
    kill(-leader, signal);
}

/// Send a signal; false if there is no receiver.
pub fn kill(pid: pid_t, signal: c_int) -> bool {
    // SAFETY: takes and returns plain numbers.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// All processes that this one can see.
fn visible() -> impl Iterator<Item = pid_t> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The descendants of this process.
fn descendants() -> Vec<pid_t> {
    let mut children: HashMap<pid_t, Vec<pid_t>> = HashMap::new();
    for pid in visible() {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&std::process::id().cast_signed()).unwrap_or_default();
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

fn parent(pid: pid_t) -> Option<pid_t> {
    word_of_state(pid, 1)?.parse().ok()
}

/// The state of a process, in the kernel's letter.
fn state(pid: pid_t) -> Option<char> {
    word_of_state(pid, 0)?.chars().next()
}

/// A word of what the kernel shows of a process, counted from behind its name.
fn word_of_state(pid: pid_t, place: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(place).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn children_of_children_are_found_and_killed() {
        let mut shell = Command::new("sh").args(["-c", "sleep 1000 & exec sleep 1000"]).spawn().unwrap();
        let pid = shell.id().cast_signed();
        let others = || descendants().into_iter().filter(|other| parent(*other) == Some(pid)).count();
        while others() == 0 {
            std::thread::yield_now();
        }
        assert!(descendants().contains(&pid));
        let grandchild = descendants().into_iter().find(|other| parent(*other) == Some(pid)).unwrap();
        assert!(outside(0).any(|other| other == grandchild));
        kill(grandchild, libc::SIGKILL);
        kill(pid, libc::SIGKILL);
        shell.wait().unwrap();
        assert!(!descendants().contains(&pid));
    }
}
