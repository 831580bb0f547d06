//! The process that works on a job, named so that no later process can be mistaken for it.

use std::fmt;
use std::fs;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::procfs::Stat;

/// A process of this machine: its id, its start time, and the boot it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim(String);

impl Claim {
    /// This process.
    pub fn mine() -> Self {
        let pid = std::process::id();
        // Without /proc a claim holds until it is given up: late is better than twice.
        Self::of(pid).unwrap_or_else(|| Self(format!("{pid} ? ?")))
    }

    /// Another process.
    #[cfg(test)]
    pub(crate) fn of_process(pid: u32) -> Option<Self> {
        Self::of(pid)
    }

    /// The claim that has this text.
    pub fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns whether the process still lives.
    pub fn is_alive(&self) -> bool {
        self.process().is_some()
    }

    /// Returns whether it lives and is not stopped, for instance by a debugger.
    pub fn is_running(&self) -> bool {
        self.process().is_some_and(|state| !matches!(state, 'T' | 't'))
    }

    /// The id of the process.
    pub fn pid(&self) -> Option<u32> {
        self.0.split(' ').next()?.parse().ok()
    }

    /// The state of the process, if it still lives.
    fn process(&self) -> Option<char> {
        if self.0.split(' ').nth(1) == Some("?") {
            return Some('?');
        }
        let (claim, state) = Self::look(self.pid()?)?;
        (claim == *self).then_some(state)
    }

    fn of(pid: u32) -> Option<Self> {
        Self::look(pid).map(|(claim, _)| claim)
    }

    /// The process with this id, and its state; `None` if it no longer works.
    fn look(pid: u32) -> Option<(Self, char)> {
        let stat = Stat::of(pid)?;
        // The first thread of a process may end before the others.
        let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        if stat.is_dead() && threads() < 2 {
            return None;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some((Self(format!("{pid} {} {}", stat.started, boot.trim())), stat.state))
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToSql for Claim {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Claim {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_has_ended() {
        assert!(Claim::mine().is_alive());
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let claim = Claim::of(child.id()).unwrap();
        assert!(claim.is_alive());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!claim.is_alive());
    }

    #[test]
    fn a_stopped_process_lives_and_does_not_run() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let claim = Claim::of(child.id()).unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        assert!(claim.is_running());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
        nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WUNTRACED)).unwrap();
        assert!(claim.is_alive() && !claim.is_running());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!claim.is_alive() && !claim.is_running());
    }

    #[test]
    fn another_process_with_the_same_id_is_not_the_claimer() {
        let mine = Claim::mine();
        let (pid, rest) = mine.0.split_once(' ').unwrap();
        let (_, boot) = rest.split_once(' ').unwrap();
        assert!(!Claim(format!("{pid} 1 {boot}")).is_alive());
        assert!(!Claim(format!("{pid} {} other-boot", rest.split(' ').next().unwrap())).is_alive());
        assert!(!Claim("rubbish".into()).is_alive());
    }
}
