//! The machine that this process and its daemon run on.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use nix::sys::utsname::uname;

use crate::model::{Cpu, Machine, Os, Version};

/// The machine's name in the network.
pub(super) fn name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The present state of the machine.
pub(super) fn machine(available: bool) -> Machine {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let physical = kilobytes(&memory, "MemTotal");
    let cores = Cores::read(Path::new("/sys/devices/system/cpu"));
    Machine {
        name: name(),
        available,
        sockets: cores.sockets,
        cores_per_socket: cores.per_socket,
        threads_per_core: cores.threads,
        load: fs::read_to_string("/proc/loadavg").ok().and_then(|text| load(&text)),
        phys_memory: physical,
        virt_memory: physical + kilobytes(&memory, "SwapTotal"),
        os: Os::Linux,
        os_version: uname().ok().and_then(|name| name.release().to_str().map(Version::parse)),
        arch: arch(std::env::consts::ARCH),
    }
}

/// The first of the averages is that over one minute.
fn load(text: &str) -> Option<f32> {
    text.split_whitespace().next()?.parse().ok()
}

fn kilobytes(meminfo: &str, name: &str) -> i64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn arch(name: &str) -> Cpu {
    match name {
        "x86_64" => Cpu::X64,
        "x86" => Cpu::X86,
        "aarch64" => Cpu::Arm64,
        "arm" => Cpu::Arm,
        "mips" => Cpu::Mips,
        "mips64" => Cpu::Mips64,
        "powerpc64" if cfg!(target_endian = "little") => Cpu::Ppc64Le,
        "powerpc64" => Cpu::Ppc64,
        _ => Cpu::Other,
    }
}

/// The structure of the machine's processors. A machine of several kinds is rounded down.
#[derive(Debug, PartialEq, Eq)]
struct Cores {
    sockets: i64,
    per_socket: i64,
    threads: i64,
}

impl Cores {
    /// Read it from the kernel's directory of processors.
    fn read(dir: &Path) -> Self {
        let (mut sockets, mut cores, mut threads) = (HashSet::new(), HashSet::new(), 0);
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let number = |file: &str| {
                let text = fs::read_to_string(entry.path().join("topology").join(file)).ok()?;
                // -1 if the firmware does not report it.
                text.trim().parse::<i64>().ok()
            };
            // Entries that are no processors, and processors that are switched off, have none.
            if let (Some(socket), Some(core)) = (number("physical_package_id"), number("core_id")) {
                sockets.insert(socket);
                cores.insert((socket, core));
                threads += 1;
            }
        }
        if threads == 0 {
            threads = std::thread::available_parallelism().map_or(1, usize::from);
            cores = (0..threads as i64).map(|core| (0, core)).collect();
        }
        let (sockets, cores) = (sockets.len().max(1), cores.len().max(1));
        let count = |number: usize| i64::try_from(number.max(1)).unwrap_or(i64::MAX);
        Self {
            sockets: count(sockets),
            per_socket: count(cores / sockets),
            threads: count(threads / cores),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        // Two sockets of two cores of two threads.
        for cpu in 0..8 {
            let topology = dir.path().join(format!("cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("physical_package_id"), format!("{}\n", cpu / 4)).unwrap();
            fs::write(topology.join("core_id"), format!("{}\n", cpu / 2 % 2)).unwrap();
        }
        fs::create_dir_all(dir.path().join("cpufreq")).unwrap();
        let cores = Cores::read(dir.path());
        assert_eq!(cores, Cores { sockets: 2, per_socket: 2, threads: 2 });
    }

    #[test]
    fn a_machine_that_tells_nothing_has_cores_all_the_same() {
        let cores = Cores::read(Path::new("/nonexistent"));
        assert!(cores.sockets == 1 && cores.per_socket >= 1 && cores.threads == 1, "{cores:?}");
    }

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let meminfo = "MemTotal:       16384 kB\nMemFree: 1 kB\nSwapTotal:  100 kB\n";
        assert_eq!((kilobytes(meminfo, "MemTotal"), kilobytes(meminfo, "SwapTotal")), (16384, 100));
        assert_eq!(kilobytes(meminfo, "Mem"), 0);
        assert_eq!(load("0.52 0.58 0.59 1/467 12345\n"), Some(0.52));
        assert_eq!(load(""), None);
    }

    #[test]
    fn this_machine_has_everything() {
        let machine = machine(true);
        assert!(!machine.name.is_empty() && machine.available);
        assert!(machine.phys_memory > 0 && machine.virt_memory >= machine.phys_memory);
        assert!(machine.os_version.is_some());
    }
}
