//! The kernel's account of the job's control group, version 1 or 2.
//!
//! The place of a mount proves nothing: without a cgroup namespace it shows the group of the whole
//! machine, and a runtime that may not make groups leaves the job in its own. So the members that the
//! kernel names decide. At the start of the job init is alone: a group is the job's if init is its only
//! member.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drmaa2_init::{CGROUP_DIR, Record};

/// The usual mount point of control groups, read-only as well. Nothing else is there if the other one is missing.
const USUAL_DIR: &str = "/sys/fs/cgroup";

/// The hierarchies: the only one of version 2, and those of version 1 that are read.
const HIERARCHIES: [&str; 5] = ["", "cpuacct", "memory", "blkio", "pids"];

/// The control group, as far as it belongs to the job alone.
#[derive(Clone, Default)]
pub(crate) struct Group {
    dir: PathBuf,
    /// The hierarchies in which it does.
    own: Vec<&'static str>,
}

impl Group {
    /// Find the group of a container, while init has no child yet.
    pub(crate) fn find() -> Self {
        let own = Path::new(CGROUP_DIR);
        Self::at(if own.is_dir() { own } else { Path::new(USUAL_DIR) })
    }

    fn at(dir: &Path) -> Self {
        let own = HIERARCHIES.into_iter().filter(|hierarchy| is_own(&dir.join(hierarchy))).collect();
        let group = Self { dir: dir.to_owned(), own };
        // Version 1 names no members of other PID namespaces, but counts them.
        match group.number("pids.current").or_else(|| group.number("pids/pids.current")) {
            None | Some(1) => group,
            Some(_) => Self::default(),
        }
    }

    fn number(&self, file: &str) -> Option<i64> {
        self.read(file)?.trim().parse().ok()
    }

    /// The number behind a word at the beginning of a line.
    fn entry(&self, file: &str, key: &str) -> Option<i64> {
        let text = self.read(file)?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// A file of the group, if its hierarchy (the first part of the name) is one of the job's own.
    fn read(&self, file: &str) -> Option<String> {
        let hierarchy = file.split_once('/').map_or("", |(hierarchy, _)| hierarchy);
        if !self.own.contains(&hierarchy) {
            return None;
        }
        fs::read_to_string(self.dir.join(file)).ok()
    }
}

/// Returns whether init is the only member of a group, as far as its PID namespace shows. Version 2
/// shows a member of another namespace as 0. Version 1 omits it; but its root group, which holds the
/// machine's own processes, has a file that no other group has.
fn is_own(dir: &Path) -> bool {
    let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    members.trim() == "1" && !dir.join("release_agent").exists()
}

/// The resources that the job uses from a given moment.
pub(crate) struct Account {
    group: Group,
    cpu_before: Option<i64>,
    peak_before: Option<i64>,
}

impl Account {
    /// Begin the account of later use.
    pub(crate) fn begin(group: &Group) -> Self {
        let mut account = Self { group: group.clone(), cpu_before: None, peak_before: None };
        (account.cpu_before, account.peak_before) = (account.cpu_micros(), account.peak_memory());
        account
    }

    /// CPU time used since then; `None` if the control group does not report it.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let used = self.cpu_micros()? - self.cpu_before?;
        Some(Duration::from_micros(u64::try_from(used).unwrap_or(0)))
    }

    /// Put the control group's numbers into the record, and keep the others.
    pub(crate) fn close(&self, record: &mut Record) {
        // Includes processes that nobody has waited for.
        if let Some(used) = self.cpu_time() {
            record.cpu_time = i64::try_from(used.as_millis()).unwrap_or(i64::MAX);
        }
        (record.peak_memory, record.start_memory) = (self.peak_memory(), self.peak_before);
        let killed = self.group.entry("memory/memory.oom_control", "oom_kill");
        let killed = killed.or_else(|| self.group.entry("memory.events", "oom_kill"));
        record.oom_killed = killed.is_some_and(|processes| processes > 0);
        (record.read_bytes, record.written_bytes) =
            (self.io("Read", "rbytes"), self.io("Write", "wbytes"));
    }

    fn cpu_micros(&self) -> Option<i64> {
        let nanos = self.group.number("cpuacct/cpuacct.usage");
        nanos.map(|nanos| nanos / 1000).or_else(|| self.group.entry("cpu.stat", "usage_usec"))
    }

    fn peak_memory(&self) -> Option<i64> {
        let first = self.group.number("memory/memory.max_usage_in_bytes");
        first.or_else(|| self.group.number("memory.peak"))
    }

    /// Bytes of all devices. Version 1 has a line `DEVICE Read BYTES` for each, version 2 one with
    /// `rbytes=BYTES`. Version 1 always has a total; version 2 has no line for an unused device.
    fn io(&self, word: &str, key: &str) -> Option<i64> {
        if let Some(text) = self.group.read("blkio/blkio.throttle.io_service_bytes") {
            let lines = text.lines().filter_map(|line| {
                let mut fields = line.split_whitespace().skip(1);
                fields.next().filter(|field| *field == word)?;
                fields.next()?.parse::<i64>().ok()
            });
            return Some(lines.sum());
        }
        let text = self.group.read("io.stat")?;
        let bytes = |field: &str| field.strip_prefix(key)?.strip_prefix('=')?.parse::<i64>().ok();
        Some(text.split_whitespace().filter_map(bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a job whose control group changes from the first state to the second.
    fn record(name: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> Record {
        let dir = std::env::temp_dir().join(format!("drmaa2-cgroup-{name}-{}", std::process::id()));
        let put = |files: &[(&str, &str)]| {
            for (file, text) in files {
                let file = dir.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
        };
        put(before);
        let account = Account::begin(&Group::at(&dir));
        put(after);
        let mut record = Record { cpu_time: 77, ..Record::default() };
        account.close(&mut record);
        let _ = fs::remove_dir_all(&dir);
        record
    }

    /// Groups of version 1 with init as a member.
    const FIRST: [(&str, &str); 6] = [
        ("cpuacct/cgroup.procs", "1\n"),
        ("memory/cgroup.procs", "1\n"),
        ("blkio/cgroup.procs", "1\n"),
        ("pids/cgroup.procs", "1\n"),
        ("cpuacct/cpuacct.usage", "1000000\n"),
        ("memory/memory.max_usage_in_bytes", "2048\n"),
    ];

    /// The files of version 1 at the end of a job.
    const FIRST_END: [(&str, &str); 4] = [
        ("cpuacct/cpuacct.usage", "1501000000\n"),
        ("memory/memory.max_usage_in_bytes", "4096\n"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        (
            "blkio/blkio.throttle.io_service_bytes",
            "8:0 Read 10\n8:0 Write 5\n8:0 Total 15\n8:1 Read 20\nTotal 35\n",
        ),
    ];

    /// The files of version 2 at the end of a job.
    const SECOND_END: [(&str, &str); 4] = [
        ("cpu.stat", "usage_usec 1501000\nuser_usec 1\n"),
        ("memory.peak", "4096\n"),
        ("memory.events", "oom 3\noom_kill 2\noom_group_kill 0\n"),
        ("io.stat", "8:0 rbytes=10 wbytes=5 rios=1\n8:1 rbytes=20 wbytes=0\n"),
    ];

    /// Version 1, with these additional files at the start.
    fn first(name: &str, more: &[(&str, &str)]) -> Record {
        record(name, &[&FIRST, more].concat(), &FIRST_END)
    }

    /// Version 2, with these members and additional files at the start.
    fn second(name: &str, members: &str, more: &[(&str, &str)]) -> Record {
        let group =
            [("cgroup.procs", members), ("cpu.stat", "usage_usec 1000\n"), ("memory.peak", "2048\n")];
        record(name, &[&group, more].concat(), &SECOND_END)
    }

    fn nothing() -> Record {
        Record { cpu_time: 77, ..Record::default() }
    }

    #[test]
    fn both_versions_are_read() {
        let expected = Record {
            cpu_time: 1500,
            oom_killed: true,
            peak_memory: Some(4096),
            start_memory: Some(2048),
            read_bytes: Some(30),
            written_bytes: Some(5),
            ..Record::default()
        };
        assert_eq!(first("v1", &[("pids/pids.current", "1\n")]), expected);
        assert_eq!(first("v1-uncounted", &[]), expected);
        assert_eq!(second("v2", "1\n", &[("pids.current", "1\n")]), expected);
        assert_eq!(second("v2-uncounted", "1\n", &[]), expected);
    }

    #[test]
    fn the_group_of_the_machine_is_not_the_jobs() {
        // A mount without a cgroup namespace shows every process, with init further down.
        assert_eq!(second("v2-root", "0\n0\n0\n", &[]), nothing());
        assert_eq!(second("v2-empty", "", &[]), nothing());
        // The machine's group only.
        assert_eq!(second("v2-alone", "0\n0\n1\n", &[]), nothing());
        let roots = ["cpuacct", "memory", "blkio", "pids"].map(|it| format!("{it}/release_agent"));
        let roots: Vec<_> = roots.iter().map(|root| (root.as_str(), "\n")).collect();
        assert_eq!(first("v1-root", &roots), nothing());
    }

    #[test]
    fn a_group_with_others_is_not_the_jobs() {
        assert_eq!(second("v2-shared", "0\n1\n", &[]), nothing());
        assert_eq!(second("v2-below", "1\n", &[("pids.current", "12\n")]), nothing());
        assert_eq!(first("v1-shared", &[("pids/pids.current", "12\n")]), nothing());
    }

    #[test]
    fn each_hierarchy_of_version_1_stands_for_itself() {
        let expected =
            Record { cpu_time: 1500, read_bytes: Some(30), written_bytes: Some(5), ..Record::default() };
        assert_eq!(first("v1-half", &[("memory/cgroup.procs", "")]), expected);
    }

    #[test]
    fn what_is_not_told_stays_open() {
        assert_eq!(record("none", &[], &[]), nothing());
    }
}
