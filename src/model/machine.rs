//! The objects of monitoring: machines, queues, versions.

use serde::{Deserialize, Serialize};

use super::Text;

/// A two-part version; both parts are always present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The part before the first dot.
    pub major: String,
    /// The part after it.
    pub minor: String,
    /// Of a DRM system: the revision of its source.
    pub revision: Option<String>,
    /// Of a DRM system: its address.
    pub address: Option<String>,
}

impl Version {
    /// Split `1.6.20~ds1` or `v2.1.9` at its first dot; a missing part is `0`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim().trim_start_matches('v');
        let (major, minor) = text.split_once('.').unwrap_or((text, ""));
        let or_zero = |part: &str| if part.is_empty() { "0".to_owned() } else { part.to_owned() };
        Self { major: or_zero(major), minor: or_zero(minor), ..Self::default() }
    }

    /// The implementation-specific attributes that have a value, by name.
    pub fn extensions(&self) -> Vec<(&'static str, &str)> {
        [("containerd_vi_revision", &self.revision), ("containerd_vi_address", &self.address)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }
}

/// An operating system. The numbers are those of the C enum `drmaa2_os`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum Os {
    /// Any other.
    Other = 0,
    /// Linux.
    Linux = 3,
}

/// A processor architecture. The numbers are those of the C enum `drmaa2_cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum Cpu {
    Other = 0,
    Arm = 2,
    Arm64 = 3,
    X86 = 7,
    X64 = 8,
    Mips = 10,
    Mips64 = 11,
    Ppc64 = 13,
    Ppc64Le = 16,
}

/// One execution host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its host name.
    pub name: String,
    /// It can take jobs now.
    pub available: bool,
    /// CPU packages.
    pub sockets: i64,
    /// Cores of one package.
    pub cores_per_socket: i64,
    /// Hardware threads of one core.
    pub threads_per_core: i64,
    /// Load average over one minute; `None` if unknown.
    pub load: Option<f32>,
    /// Physical memory, kilobytes.
    pub phys_memory: i64,
    /// Physical memory and swap together, kilobytes.
    pub virt_memory: i64,
    /// Operating system.
    pub os: Os,
    /// Kernel release.
    pub os_version: Option<Version>,
    /// Architecture.
    pub arch: Cpu,
}

impl Machine {
    /// Check that the machine fits a request with candidates, a number of the C enum `drmaa2_os`, or one
    /// of `drmaa2_cpu`. The error names the attribute that does not fit.
    pub fn check(
        &self,
        candidates: Option<&Vec<Text>>,
        os: Option<i32>,
        arch: Option<i32>,
    ) -> std::result::Result<(), String> {
        let name = Text::from(self.name.as_str());
        if let Some(names) = candidates.filter(|names| !names.is_empty() && !names.contains(&name)) {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            return Err(format!("candidateMachines is {names}, but the one machine there is is {name}"));
        }
        let kinds = [("machineOS", os, self.os as i32), ("machineArch", arch, self.arch as i32)];
        for (attribute, wanted, is) in kinds {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
                return Err(format!("{attribute} is {wanted}, but that of the machine {name} is {is}"));
            }
        }
        Ok(())
    }
}

/// The queue of a job that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The name for a template's `queueName`.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_always_have_two_parts() {
        let version = |text: &str| {
            let Version { major, minor, .. } = Version::parse(text);
            (major, minor)
        };
        assert_eq!(version("1.6.20~ds1"), ("1".into(), "6.20~ds1".into()));
        assert_eq!(version("v2.1.9"), ("2".into(), "1.9".into()));
        assert_eq!(version("7"), ("7".into(), "0".into()));
        assert_eq!(version(""), ("0".into(), "0".into()));
    }
}
