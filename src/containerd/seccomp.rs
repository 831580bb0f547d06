//! The system calls of a job: a profile, which is an OCI `linux.seccomp` object, or the extension of it
//! by Docker and podman, whose rules may depend on the machine and on the job's capabilities. The
//! default one has that form as well; `docs/job-template.md` describes its content and how it is kept up
//! to date.

use std::env::consts::ARCH;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

use crate::container::spec;
use crate::model::{Error, Result, Text, json};
use crate::rights;

/// A profile has some ten kilobytes; this much is a mistake.
const MAX_PROFILE: usize = 1 << 20;

/// The profile of a job that names none.
const DEFAULT: &str = include_str!("seccomp.json");

/// The profile of a job that names none; INTERNAL if this library was built with a broken one.
pub(super) fn default_profile() -> Result<Profile> {
    let profile = json::read(DEFAULT.as_bytes());
    profile.map_err(|error| Error::internal(format!("the default profile of system calls: {error}")))
}

/// The profile in a file. The rights of the calling thread have to suffice.
pub(super) fn read(path: &Text) -> Result<Profile> {
    let refuse = |cause: &dyn std::fmt::Display| {
        Error::argument(format!("job template attribute containerd_jt_seccomp is \"{path}\": {cause}"))
    };
    let text = rights::read(path.as_path(), MAX_PROFILE).map_err(|error| refuse(&error))?;
    let profile: Profile = json::read(&text).map_err(|error| refuse(&error))?;
    // A mistake is found whatever capabilities the job has.
    profile.resolve(&[]).map_err(|error| refuse(&error))?;
    Ok(profile)
}

/// All keys of a profile. Any other would be ignored, and the job would have a different filter than the
/// file's; a supervisor of system calls is not supported.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Profile {
    default_action: Action,
    default_errno_ret: Option<u32>,
    /// Podman's: the error number by its name.
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
    /// Docker's: the architectures of each machine.
    #[serde(default)]
    arch_map: Vec<Machine>,
    /// An empty list differs from a missing one, with which the runtime sets flags of its own.
    flags: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Machine {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    names: Vec<String>,
    /// Docker's older form.
    name: Option<String>,
    action: Action,
    errno_ret: Option<u32>,
    errno: Option<String>,
    #[serde(default)]
    args: Vec<Condition>,
    /// For people.
    #[serde(rename = "comment")]
    _comment: Option<String>,
    /// The rule applies only if all of this holds.
    #[serde(default)]
    includes: Filter,
    /// The rule does not apply if any of this holds.
    #[serde(default)]
    excludes: Filter,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Filter {
    caps: Vec<String>,
    /// In Go's spelling.
    arches: Vec<String>,
    min_kernel: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Comparison,
}

impl Profile {
    /// The `linux.seccomp` object for a job with these capabilities on this machine.
    pub(super) fn resolve(&self, capabilities: &[&str]) -> std::result::Result<Value, String> {
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err("it has both architectures and archMap".to_owned());
        }
        let mut profile = object!({
            "defaultAction": self.default_action,
            "architectures": self.architectures(),
        });
        if let Some(flags) = &self.flags {
            profile["flags"] = flags.as_slice().into();
        }
        let number = self.default_errno_ret;
        if let Some(errno) = errno(&self.default_action, number, self.default_errno.as_deref())? {
            profile["defaultErrnoRet"] = errno.into();
        }
        let rules = self.syscalls.iter().filter_map(|rule| rule.resolve(capabilities).transpose());
        profile["syscalls"] = rules.collect::<std::result::Result<Vec<_>, _>>()?.into();
        Ok(profile)
    }

    fn architectures(&self) -> Vec<&str> {
        let name = match ARCH {
            "x86_64" => "SCMP_ARCH_X86_64",
            "aarch64" => "SCMP_ARCH_AARCH64",
            "arm" => "SCMP_ARCH_ARM",
            "loongarch64" => "SCMP_ARCH_LOONGARCH64",
            "powerpc64" => "SCMP_ARCH_PPC64LE",
            "riscv64" => "SCMP_ARCH_RISCV64",
            "s390x" => "SCMP_ARCH_S390X",
            _ => "",
        };
        let here = self.arch_map.iter().find(|machine| machine.architecture == name);
        let here = here
            .into_iter()
            .flat_map(|machine| [&machine.architecture].into_iter().chain(&machine.sub_architectures));
        self.architectures.iter().chain(here).map(String::as_str).collect()
    }
}

impl Rule {
    /// The rule, if it applies to a job with these capabilities on this machine.
    fn resolve(&self, capabilities: &[&str]) -> std::result::Result<Option<Value>, String> {
        let names = match &self.name {
            Some(_) if !self.names.is_empty() => return Err("a rule has both name and names".to_owned()),
            Some(name) => std::slice::from_ref(name),
            None => &self.names,
        };
        // First: a mistake does not depend on the job.
        let errno = errno(&self.action, self.errno_ret, self.errno.as_deref())?;
        let [including, excluding] = [(&self.includes, true), (&self.excludes, false)]
            .map(|(filter, unsaid)| runs_on(filter.min_kernel.as_deref(), unsaid));
        let (including, excluding) = (including?, excluding?);
        let has = |cap: &String| capabilities.contains(&cap.as_str());
        let is_here = |arch: &String| arch == go_arch();
        let Filter { caps, arches, .. } = &self.excludes;
        let excluded = caps.iter().any(has) || arches.iter().any(is_here) || excluding;
        let Filter { caps, arches, .. } = &self.includes;
        let included =
            caps.iter().all(has) && (arches.is_empty() || arches.iter().any(is_here)) && including;
        if excluded || !included {
            return Ok(None);
        }
        let mut rule = object!({ "names": names, "action": self.action, "args": self.args });
        if let Some(errno) = errno {
            rule["errnoRet"] = errno.into();
        }
        Ok(Some(rule))
    }
}

/// The error numbers that a call can have failed with, for the C library. Any other one is a result: a
/// refused change of the user would look as if it had been made.
const ERRORS: std::ops::RangeInclusive<u32> = 1..=4095;

/// The error number of an action, given by number or by name.
fn errno(
    action: &Action,
    number: Option<u32>,
    name: Option<&str>,
) -> std::result::Result<Option<u32>, String> {
    if let Some(number) = number {
        let is_result = matches!(action, Action::Errno) && !ERRORS.contains(&number);
        return if is_result { Err(format!("{number} is no error")) } else { Ok(Some(number)) };
    }
    let Some(name) = name else { return Ok(None) };
    let known = (1..=133).find(|number| format!("{:?}", Errno::from_raw(*number)) == name);
    let known = known.and_then(|number| u32::try_from(number).ok());
    known.map(Some).ok_or_else(|| format!("there is no error \"{name}\""))
}

/// Returns whether the kernel has at least this version; `unsaid` if there is none.
fn runs_on(version: Option<&str>, unsaid: bool) -> std::result::Result<bool, String> {
    let Some(version) = version.filter(|version| !version.is_empty()) else { return Ok(unsaid) };
    let mut parts = version.split('.').map(str::parse::<u32>);
    let wanted = match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => return Err(format!("minKernel is \"{version}\"")),
    };
    Ok(spec::kernel().is_some_and(|kernel| kernel >= wanted))
}

/// This machine's architecture in Go's spelling.
fn go_arch() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
enum Action {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
enum Comparison {
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::str::FromStr;

    use super::*;

    #[test]
    fn rules_depend_on_the_machine_and_on_capabilities() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": null, "defaultErrno": "ENOSYS",
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": null}],
            "syscalls": [
                {"name": "read", "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390"]}},
                {"names": ["old"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "2.6"}},
                {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
                {"names": ["other"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["sparc"]}},
                {"names": ["fails"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "errnoRet": null}]}"#;
        let profile: Profile = json::read(text.as_bytes()).unwrap();
        let names = |capabilities: &[&str]| {
            let resolved = profile.resolve(capabilities).unwrap();
            let rules = resolved["syscalls"].as_array().unwrap();
            rules.iter().map(|rule| rule["names"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["read", "clone", "old", "fails"]);
        assert_eq!(names(&["CAP_SYS_ADMIN"]), ["read", "mount", "old", "fails"]);
        let resolved = profile.resolve(&[]).unwrap();
        assert_eq!(resolved["defaultErrnoRet"], libc::ENOSYS);
        assert_eq!(resolved["syscalls"][3]["errnoRet"], libc::EPERM);
        if ARCH == "x86_64" {
            assert_eq!(resolved["architectures"], object!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
        }
    }

    /// The default profile of a job with these capabilities.
    fn default_rules(capabilities: &[&str]) -> Vec<Value> {
        let resolved = default_profile().unwrap().resolve(capabilities).unwrap();
        resolved["syscalls"].as_array().unwrap().clone()
    }

    /// Returns whether a call with this first argument reaches the kernel.
    fn passes(rules: &[Value], name: &str, argument: u64) -> bool {
        let holds = |condition: &Value| {
            let value = condition["value"].as_u64().unwrap();
            match condition["op"].as_str().unwrap() {
                "SCMP_CMP_EQ" => argument == value,
                "SCMP_CMP_LT" => argument < value,
                "SCMP_CMP_MASKED_EQ" => argument & value == condition["valueTwo"].as_u64().unwrap(),
                other => panic!("{other}"),
            }
        };
        rules.iter().any(|rule| {
            rule["action"] == "SCMP_ACT_ALLOW"
                && rule["names"].as_array().unwrap().contains(&name.into())
                && rule["args"].as_array().unwrap().iter().all(holds)
        })
    }

    #[test]
    fn what_leads_out_of_a_container_takes_a_capability() {
        let default = default_rules(&["CAP_SYS_CHROOT"]);
        let admin = default_rules(&["CAP_SYS_ADMIN"]);
        for name in ["chroot", "read", "ptrace", "statmount", "listmount"] {
            assert!(passes(&default, name, 0), "{name}");
        }
        for name in ["mount", "unshare", "setns", "clone3", "lsm_set_self_attr"] {
            assert!(!passes(&default, name, 0), "{name}");
            assert!(passes(&admin, name, 0), "{name}");
        }
        for name in ["keyctl", "init_module", "io_uring_setup", "userfaultfd", "vhangup"] {
            assert!(!passes(&default, name, 0) && !passes(&admin, name, 0), "{name}");
        }
        // A library that finds no clone3 uses clone.
        let refusal = default.iter().find(|rule| rule["names"][0] == "clone3").unwrap();
        assert_eq!(
            (&refusal["action"], &refusal["errnoRet"]),
            (&"SCMP_ACT_ERRNO".into(), &libc::ENOSYS.into())
        );
    }

    #[test]
    fn a_clone_makes_no_namespace_of_any_kind() {
        let namespaces = libc::CLONE_NEWNS
            | libc::CLONE_NEWCGROUP
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET;
        let rules = default_rules(&[]);
        let clone = rules.iter().find(|rule| rule["names"][0] == "clone").unwrap();
        assert_eq!(clone["args"][0]["value"], namespaces);
        assert_eq!(clone["args"][0]["index"], if ARCH == "s390x" { 1 } else { 0 });
    }

    #[test]
    fn sockets_are_of_families_that_the_kernel_has_and_that_stay_inside() {
        let rules = default_rules(&[]);
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET] {
            assert!(passes(&rules, "socket", family.try_into().unwrap()), "{family}");
        }
        // Those that Linux has removed, AF_ALG, AF_VSOCK, and future ones.
        let refused = [12, 19, 20, 23, 25, 34, 37, libc::AF_ALG, libc::AF_VSOCK, 46, 47];
        for family in 1..48 {
            let passes = passes(&rules, "socket", family.try_into().unwrap());
            assert_eq!(passes, !refused.contains(&family), "{family}");
        }
    }

    /// A runtime skips an unknown name, so nothing else would notice a wrong one.
    #[test]
    fn every_name_is_that_of_a_system_call() {
        macro_rules! is_known {
            ($name:expr, $($machine:ident),*) => {
                $(syscalls::$machine::Sysno::from_str($name).is_ok())||*
            };
        }
        // Those that the kernel has for Arm alone, outside of its table.
        let private = ["breakpoint", "cacheflush", "set_tls"];
        for rule in &default_profile().unwrap().syscalls {
            for name in rule.names.iter().map(String::as_str).filter(|name| !private.contains(name)) {
                assert!(is_known!(name, x86_64, aarch64, riscv64, x86, arm, powerpc64, s390x), "{name}");
            }
        }
    }

    #[test]
    fn the_default_profile_is_in_order_and_says_what_the_kernel_refuses() {
        let profile = default_profile().unwrap();
        for rule in &profile.syscalls {
            assert!(rule.names.is_sorted_by(|one, next| one < next), "{:?}", rule.names);
        }
        let resolved = profile.resolve(&[]).unwrap();
        assert_eq!(resolved["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(resolved["defaultErrnoRet"], libc::EPERM);
        assert_eq!(resolved.get("flags"), None);
        if ARCH == "x86_64" {
            assert_eq!(resolved["architectures"], object!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
        }
    }

    #[test]
    fn flags_are_the_runtimes_unless_the_profile_has_some_or_none() {
        for (text, expected) in [
            (r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, None),
            (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": null}"#, None),
            (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": []}"#, Some(object!([]))),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}"#,
                Some(object!(["SECCOMP_FILTER_FLAG_LOG"])),
            ),
        ] {
            let profile: Profile = json::read(text.as_bytes()).unwrap();
            assert_eq!(profile.resolve(&[]).unwrap().get("flags"), expected.as_ref(), "{text}");
        }
    }

    #[test]
    fn a_call_that_is_refused_has_an_error() {
        let of = |number: u32, action: &str| {
            let rule = object!({ "names": ["x"], "action": action, "errnoRet": number });
            let text = object!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }).to_string();
            json::read::<Profile>(text.as_bytes()).unwrap().resolve(&[]).map(drop)
        };
        for number in [0, 4096, u32::MAX] {
            assert_eq!(of(number, "SCMP_ACT_ERRNO"), Err(format!("{number} is no error")));
            assert_eq!(of(number, "SCMP_ACT_TRACE"), Ok(()), "it is for the tracer");
        }
        for number in [1, 38, 4095] {
            assert_eq!(of(number, "SCMP_ACT_ERRNO"), Ok(()));
        }
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 0}"#;
        assert!(json::read::<Profile>(text.as_bytes()).unwrap().resolve(&[]).is_err());
    }

    #[test]
    fn a_file_that_is_no_profile_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = |content: &str| {
            let path = dir.path().join("profile.json");
            fs::write(&path, content).unwrap();
            read(&Text::from(path.as_path())).unwrap_err().message
        };
        assert!(refusal("no json").contains("profile.json"));
        assert!(refusal(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).contains("SCMP_ACT_NOTIFY"));
        assert!(
            refusal(r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#)
                .contains("listenerPath")
        );
        let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
            "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#;
        assert!(refusal(both).contains("archMap"));
        let no_error = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EWHAT"}"#;
        assert!(refusal(no_error).contains("EWHAT"));
        let missing = read(&Text::from("/no/such/profile")).unwrap_err().message;
        assert!(missing.contains("/no/such/profile"), "{missing}");
        assert!(read(&Text::from("/dev/zero")).is_err());
    }
}
