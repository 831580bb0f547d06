//! The account that the kernel keeps of the job's control group, of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drmaa2_init::{CGROUP_DIR, Record};

/// The control group, and what it had used before the job's command.
pub(crate) struct Account {
    dir: PathBuf,
    cpu_before: Option<i64>,
}

impl Account {
    /// Begin the account of what is used from here on.
    pub(crate) fn begin() -> Self {
        Self::at(Path::new(CGROUP_DIR))
    }

    fn at(dir: &Path) -> Self {
        let mut account = Self { dir: dir.to_owned(), cpu_before: None };
        account.cpu_before = account.cpu_micros();
        account
    }

    /// CPU time that was used since then; `None` where the control group does not tell.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let used = self.cpu_micros()? - self.cpu_before?;
        Some(Duration::from_micros(u64::try_from(used).unwrap_or(0)))
    }

    /// Put into the record what the control group tells, and leave the rest of it.
    pub(crate) fn close(&self, record: &mut Record) {
        // Also of those that nobody has waited for.
        if let Some(used) = self.cpu_time() {
            record.cpu_time = i64::try_from(used.as_millis()).unwrap_or(i64::MAX);
        }
        let number = |file| self.read(file)?.trim().parse().ok();
        record.peak_memory =
            number("memory/memory.max_usage_in_bytes").or_else(|| number("memory.peak"));
        let killed = self
            .entry("memory/memory.oom_control", "oom_kill")
            .or_else(|| self.entry("memory.events", "oom_kill"));
        record.oom_killed = killed.is_some_and(|processes| processes > 0);
        (record.read_bytes, record.written_bytes) =
            (self.io("Read", "rbytes"), self.io("Write", "wbytes"));
    }

    fn cpu_micros(&self) -> Option<i64> {
        let nanos = || self.read("cpuacct/cpuacct.usage")?.trim().parse::<i64>().ok();
        nanos().map(|nanos| nanos / 1000).or_else(|| self.entry("cpu.stat", "usage_usec"))
    }

    /// Bytes of all devices: version 1 has a line `DEVICE Read BYTES` for each, version 2 one with
    /// `rbytes=BYTES` in it. Version 1 has at least a total, version 2 no line for a device that was
    /// not used.
    fn io(&self, word: &str, key: &str) -> Option<i64> {
        if let Some(text) = self.read("blkio/blkio.throttle.io_service_bytes") {
            let lines = text.lines().filter_map(|line| {
                let mut fields = line.split_whitespace().skip(1);
                fields.next().filter(|field| *field == word)?;
                fields.next()?.parse::<i64>().ok()
            });
            return Some(lines.sum());
        }
        let text = self.read("io.stat")?;
        let bytes = |field: &str| field.strip_prefix(key)?.strip_prefix('=')?.parse::<i64>().ok();
        Some(text.split_whitespace().filter_map(bytes).sum())
    }

    /// The number behind a word at the beginning of a line.
    fn entry(&self, file: &str, key: &str) -> Option<i64> {
        let text = self.read(file)?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(file)).ok()
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
        let account = Account::at(&dir);
        put(after);
        let mut record = Record { cpu_time: 77, ..Record::default() };
        account.close(&mut record);
        let _ = fs::remove_dir_all(&dir);
        record
    }

    #[test]
    fn both_versions_are_read() {
        let expected = Record {
            cpu_time: 1500,
            oom_killed: true,
            peak_memory: Some(4096),
            read_bytes: Some(30),
            written_bytes: Some(5),
            ..Record::default()
        };
        let first = [
            ("cpuacct/cpuacct.usage", "1501000000\n"),
            ("memory/memory.max_usage_in_bytes", "4096\n"),
            ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            (
                "blkio/blkio.throttle.io_service_bytes",
                "8:0 Read 10\n8:0 Write 5\n8:0 Total 15\n8:1 Read 20\nTotal 35\n",
            ),
        ];
        assert_eq!(record("v1", &[("cpuacct/cpuacct.usage", "1000000\n")], &first), expected);
        let second = [
            ("cpu.stat", "usage_usec 1501000\nuser_usec 1\n"),
            ("memory.peak", "4096\n"),
            ("memory.events", "oom 3\noom_kill 2\noom_group_kill 0\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=5 rios=1\n8:1 rbytes=20 wbytes=0\n"),
        ];
        assert_eq!(record("v2", &[("cpu.stat", "usage_usec 1000\n")], &second), expected);
    }

    #[test]
    fn what_is_not_told_stays_open() {
        assert_eq!(record("none", &[], &[]), Record { cpu_time: 77, ..Record::default() });
    }
}
