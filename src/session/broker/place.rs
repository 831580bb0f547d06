//! The place of a client in a step of a cluster's job: its control group, its limits and its process.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::model::{Error, ErrorCode, Result};
use crate::procfs;
use crate::store::Claim;

/// The hierarchies of control groups of version 1 are here.
const HIERARCHIES: &str = "/sys/fs/cgroup";

/// The limits of a process as `/proc/PID/limits` and the OCI spec name them.
const LIMITS: [(&str, &str); 16] = [
    ("Max cpu time", "RLIMIT_CPU"),
    ("Max file size", "RLIMIT_FSIZE"),
    ("Max data size", "RLIMIT_DATA"),
    ("Max stack size", "RLIMIT_STACK"),
    ("Max core file size", "RLIMIT_CORE"),
    ("Max resident set", "RLIMIT_RSS"),
    ("Max processes", "RLIMIT_NPROC"),
    ("Max open files", "RLIMIT_NOFILE"),
    ("Max locked memory", "RLIMIT_MEMLOCK"),
    ("Max address space", "RLIMIT_AS"),
    ("Max file locks", "RLIMIT_LOCKS"),
    ("Max pending signals", "RLIMIT_SIGPENDING"),
    ("Max msgqueue size", "RLIMIT_MSGQUEUE"),
    ("Max nice priority", "RLIMIT_NICE"),
    ("Max realtime priority", "RLIMIT_RTPRIO"),
    ("Max realtime timeout", "RLIMIT_RTTIME"),
];

/// See the module.
pub(super) struct Place {
    /// The control group that a container is made below, by its path from the root.
    pub(super) group: String,
    /// The directories of this name in hierarchies that the step is not in.
    pub(super) own_groups: Vec<PathBuf>,
    /// Name, soft limit and hard limit.
    pub(super) rlimits: Vec<(&'static str, u64, u64)>,
    /// Becomes readable when the process ends.
    pub(super) process: OwnedFd,
}

impl Place {
    /// That of a process; DENIED_BY_DRMS if it is in no step.
    pub(super) fn of(client: &Claim) -> Result<Self> {
        let gone = || Error::new(ErrorCode::TryLater, "the client has ended");
        let pid = client.pid().ok_or_else(gone)?;
        let process = procfs::descriptor(pid).ok_or_else(gone)?;
        let read = |name: &str| {
            let file = format!("/proc/{pid}/{name}");
            fs::read_to_string(&file)
                .map_err(|error| Error::new(ErrorCode::of_io(&error), format!("{file}: {error}")))
        };
        let (groups, limits) = (read("cgroup")?, read("limits")?);
        // All of it was that process, and not a later one with its number.
        client.pid().filter(|now| *now == pid).ok_or_else(gone)?;
        let (group, own_groups) = step(&groups).ok_or_else(|| {
            let text = format!(
                "process {pid} is in no step of a job of Slurm: the cluster has to use control groups \
                 (ProctrackType=proctrack/cgroup, TaskPlugin=task/cgroup)"
            );
            Error::new(ErrorCode::DeniedByDrms, text)
        })?;
        Ok(Self { group, own_groups, rlimits: rlimits(&limits), process })
    }
}

/// The group of a step by the text of `/proc/PID/cgroup`, and the directories of this name elsewhere.
fn step(groups: &str) -> Option<(String, Vec<PathBuf>)> {
    let lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        Some((parts.next()?, parts.next()?, parts.next()?))
    });
    // Number 0 is version 2, which has all controllers where there are no others.
    let (second, first): (Vec<_>, Vec<_>) = lines.partition(|(number, _, _)| *number == "0");
    let mut found = first.iter().filter_map(|(_, _, path)| group_of(path, false));
    let Some(group) = found.next() else {
        return Some((group_of(second.first()?.2, true)?, Vec::new()));
    };
    if found.any(|other| other != group) {
        return None;
    }
    let others = first.iter().filter(|(_, _, path)| group_of(path, false).is_none());
    let own = others.map(|(_, names, _)| {
        let name = names.strip_prefix("name=").unwrap_or(names);
        Path::new(HIERARCHIES).join(name).join(&group)
    });
    let own = own.collect();
    Some((group, own))
}

/// The group of a step in a path, without a slash at its ends. In version 2 a group with processes has no groups below it,
/// so that it is the one above the tasks.
fn group_of(path: &str, second: bool) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let job = parts.iter().position(|part| part.starts_with("job_"))?;
    // No name of Slurm's has a colon, which would end a path in a list.
    if !parts.get(job + 1)?.starts_with("step_") || parts.contains(&"..") || path.contains(':') {
        return None;
    }
    let task = parts[job + 2..].iter().position(|part| part.starts_with("task_"));
    let end = if second { task.map_or(parts.len(), |task| job + 2 + task) } else { job + 2 };
    Some(parts[..end].join("/"))
}

/// The limits in the text of `/proc/PID/limits`.
fn rlimits(text: &str) -> Vec<(&'static str, u64, u64)> {
    let number = |word: &str| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let limit = |(name, kind): (&str, &'static str)| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        let mut words = rest.split_whitespace();
        Some((kind, number(words.next()?)?, number(words.next()?)?))
    };
    LIMITS.into_iter().filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_known_by_its_control_groups() {
        let first = "9:name=systemd:/\n6:freezer:/slurm_n1/uid_0/job_5/step_batch\n4:memory:/slurm_n1/uid_0/job_5/\
                     step_batch/task_0\n3:cpuset:/slurm_n1/uid_0/job_5/step_batch\n2:cpu,cpuacct:/\n0::/\n";
        let (group, own) = step(first).unwrap();
        assert_eq!(group, "slurm_n1/uid_0/job_5/step_batch");
        let expected = ["systemd", "cpu,cpuacct"]
            .map(|name| PathBuf::from(format!("/sys/fs/cgroup/{name}/slurm_n1/uid_0/job_5/step_batch")));
        assert_eq!(own, expected);
        let second = "0::/system.slice/slurmstepd.scope/job_5/step_batch/user/task_0\n";
        let group = "system.slice/slurmstepd.scope/job_5/step_batch/user".to_owned();
        assert_eq!(step(second), Some((group, Vec::new())));
        for other in [
            "",
            "0::/\n",
            "0::/user.slice/session-1.scope\n",
            "0::/a/job_5\n",
            "0::/a/job_5/other\n",
            "0::/../job_5/step_0\n",
            "0::/a:b/job_5/step_0\n",
            "4:memory:/a/job_5/step_0\n3:cpuset:/a/job_6/step_0\n",
        ] {
            assert_eq!(step(other), None, "{other}");
        }
    }

    #[test]
    fn limits_are_read_by_their_names() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 4096                 files     \n\
                    Max nice priority         0                    0                    \n";
        let expected =
            [("RLIMIT_CPU", u64::MAX, u64::MAX), ("RLIMIT_NOFILE", 1024, 4096), ("RLIMIT_NICE", 0, 0)];
        assert_eq!(rlimits(text), expected);
        let mine = fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(rlimits(&mine).len(), LIMITS.len());
    }

    #[test]
    fn who_is_in_no_step_is_told_so() {
        if let Err(error) = Place::of(&Claim::mine()) {
            assert_eq!(error.code, ErrorCode::DeniedByDrms);
            assert!(error.message.contains("proctrack/cgroup"), "{error}");
        }
    }
}
