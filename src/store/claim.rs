//! The process that works on a job, named so that no later process can be mistaken for it.

use std::fmt;
use std::fs;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::procfs::{self, Stat};

/// The PID namespace that shows all processes of the machine. The kernel gives it this number.
const INITIAL: &str = "pid:[4026531836]";

/// A process of this machine: its id, its start time, the boot it belongs to, and the PID namespace in which the id is
/// valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim(String);

impl Claim {
    /// This process.
    pub fn mine() -> Self {
        let pid = std::process::id();
        // Without /proc a claim holds until it is given up: late is better than twice.
        Self::of(pid).unwrap_or_else(|| Self(format!("{pid} ? ?")))
    }

    /// Another process; `None` if it has ended.
    pub fn of_process(pid: u32) -> Option<Self> {
        Self::of(pid)
    }

    /// The claim that has this text.
    pub fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns whether the process still lives. One in another PID namespace counts as living unless this namespace, the
    /// initial one, shows all processes: late is better than twice.
    pub fn is_alive(&self) -> bool {
        self.find().is_some()
    }

    /// Returns whether it lives and is not stopped, for instance by a debugger.
    pub fn is_running(&self) -> bool {
        self.find().is_some_and(|found| !found.is_stopped)
    }

    /// The id of the process in this PID namespace, if it lives and can be seen from here.
    pub fn pid(&self) -> Option<u32> {
        self.find()?.pid
    }

    /// The process, if it still lives.
    fn find(&self) -> Option<Found> {
        const UNSEEN: Found = Found { pid: None, is_stopped: false };
        let mut words = self.0.splitn(3, ' ');
        let (pid, started, place) = (words.next()?, words.next()?, words.next()?);
        if started == "?" {
            return Some(UNSEEN);
        }
        let (boot, namespace) =
            place.split_once(' ').map_or((place, None), |(boot, at)| (boot, Some(at)));
        let (pid, started) = (pid.parse().ok()?, started.parse().ok()?);
        if boot != boot_id()? {
            return None;
        }
        let mine = namespace_of("self");
        match (namespace, mine) {
            (Some(namespace), Some(mine)) if namespace != mine => {
                let all = procfs::all().filter(|id| namespace_of(id).as_deref() == Some(namespace));
                let found = all.filter_map(|id| look(id, started)).find(|found| found.has_id(pid));
                found.or((mine != INITIAL).then_some(UNSEEN))
            }
            // Earlier versions noted no namespace.
            _ => look(pid, started),
        }
    }

    fn of(pid: u32) -> Option<Self> {
        let started = Stat::of(pid)?.started;
        look(pid, started)?;
        let namespace =
            namespace_of("self").map(|namespace| format!(" {namespace}")).unwrap_or_default();
        Some(Self(format!("{pid} {started} {}{namespace}", boot_id()?)))
    }
}

/// A living process, as far as it can be seen from here.
struct Found {
    pid: Option<u32>,
    is_stopped: bool,
}

impl Found {
    /// Returns whether this is its id in its own PID namespace.
    fn has_id(&self, id: u32) -> bool {
        let status = self.pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let ids =
            status.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("NSpid:")));
        ids.and_then(|ids| ids.split_whitespace().next_back()?.parse().ok()) == Some(id)
    }
}

/// The process with this id, if it still works and was started then.
fn look(pid: u32, started: u64) -> Option<Found> {
    let stat = Stat::of(pid).filter(|stat| stat.started == started)?;
    // The first thread of a process may end before the others.
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    (!stat.is_dead() || threads() > 1).then_some(Found { pid: Some(pid), is_stopped: stat.is_stopped() })
}

fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// The PID namespace of a process.
fn namespace_of(process: impl fmt::Display) -> Option<String> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()?.into_os_string().into_string().ok()
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

    #[test]
    fn a_claim_of_an_earlier_version_holds() {
        let mine = Claim::mine();
        let (earlier, _) = mine.0.rsplit_once(' ').unwrap();
        assert!(Claim(earlier.to_owned()).is_alive());
    }

    #[test]
    fn a_process_in_another_pid_namespace_is_alive_as_long_as_it_lives() {
        let script = "read -r pid _ </proc/self/stat; echo \"$pid $(cut -d ' ' -f 22 /proc/self/stat) \
                      $(cat /proc/sys/kernel/random/boot_id) $(readlink /proc/self/ns/pid)\"; read -r _";
        let mut other = std::process::Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(other.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        // `cut` was started a moment after the shell; what counts is the shell.
        let mut words = line.split_whitespace();
        let (pid, _, boot) = (words.next().unwrap(), words.next(), words.next().unwrap());
        let namespace = words.next().unwrap();
        let shell = procfs::all().find(|id| namespace_of(id).as_deref() == Some(namespace)).unwrap();
        let claim = Claim(format!("{pid} {} {boot} {namespace}", Stat::of(shell).unwrap().started));
        assert_eq!(claim.pid(), Some(shell));
        assert!(claim.is_alive() && claim.is_running());
        other.kill().unwrap();
        other.wait().unwrap();
        let sees_all = namespace_of("self").unwrap() == INITIAL;
        // The kernel ends the namespace's processes with the first of them.
        while procfs::all().any(|id| namespace_of(id).as_deref() == Some(namespace)) {
            std::thread::yield_now();
        }
        assert_eq!(claim.is_alive(), !sees_all);
    }
}
