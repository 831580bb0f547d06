//! The machines and the queues of a cluster.

use super::command::Programs;
use crate::model::{Cpu, Machine, Os, Queue, Result, Version};

/// All machines.
pub(super) async fn machines(programs: &Programs) -> Result<Vec<Machine>> {
    let text = programs.ask("scontrol", &["--oneliner", "show", "node"]).await?;
    Ok(text.lines().filter_map(machine).collect())
}

/// The partitions.
pub(super) async fn queues(programs: &Programs) -> Result<Vec<Queue>> {
    let text = programs.ask("sinfo", &["--noheader", "--format=%R"]).await?;
    let mut names: Vec<&str> = text.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(|name| Queue { name: name.to_owned() }).collect())
}

/// A machine as `scontrol --oneliner show node` describes it.
fn machine(line: &str) -> Option<Machine> {
    let value = |name: &str| {
        let mut words = line.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let name = value("NodeName")?.to_owned();
    let state = value("State").unwrap_or_default();
    // Flags follow the state, such as IDLE+DRAIN or ALLOCATED*.
    let available = !["DOWN", "DRAIN", "FAIL", "UNKNOWN", "*", "MAINT", "PLANNED", "POWER"]
        .iter()
        .any(|word| state.contains(word));
    // "OS=Linux 6.1.0 #1 SMP …": the next word is the version.
    let os = value("OS");
    let version = os.and_then(|os| line.split_once(&format!(" OS={os} "))?.1.split_whitespace().next());
    let memory = number("RealMemory") * 1024;
    Some(Machine {
        name,
        available,
        sockets: number("Sockets").max(1),
        cores_per_socket: number("CoresPerSocket").max(1),
        threads_per_core: number("ThreadsPerCore").max(1),
        load: value("CPULoad").and_then(|load| load.parse().ok()),
        phys_memory: memory,
        // Slurm does not know a machine's swap.
        virt_memory: memory,
        os: if os == Some("Linux") { Os::Linux } else { Os::Other },
        os_version: version.map(Version::parse),
        arch: match value("Arch") {
            Some("x86_64") => Cpu::X64,
            Some("i686" | "i386") => Cpu::X86,
            Some("aarch64") => Cpu::Arm64,
            Some("ppc64le") => Cpu::Ppc64Le,
            Some("ppc64") => Cpu::Ppc64,
            _ => Cpu::Other,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read() {
        let line = "NodeName=n1 Arch=x86_64 CoresPerSocket=4  CPUAlloc=0 CPUTot=8 CPULoad=0.57 NodeAddr=127.0.0.1 \
                    OS=Linux 6.1.0-18-amd64 #1 SMP Debian RealMemory=8000 Sockets=2 State=IDLE ThreadsPerCore=1";
        let machine = machine(line).unwrap();
        assert_eq!((machine.name.as_str(), machine.available), ("n1", true));
        assert_eq!((machine.sockets, machine.cores_per_socket, machine.load), (2, 4, Some(0.57)));
        assert_eq!((machine.os, machine.arch, machine.phys_memory), (Os::Linux, Cpu::X64, 8_192_000));
        assert_eq!(machine.os_version, Some(Version::parse("6.1.0-18-amd64")));
        for state in ["DOWN*", "IDLE+DRAIN", "IDLE*"] {
            let line = line.replace("State=IDLE", &format!("State={state}"));
            assert!(!super::machine(&line).unwrap().available, "{state}");
        }
        assert_eq!(super::machine(""), None);
    }
}
