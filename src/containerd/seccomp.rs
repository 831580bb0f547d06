//! Which system calls a job may make: the `linux.seccomp` object of its container's spec.

use std::env::consts::ARCH;

use serde_json::{Value, json};

use super::seccomp_table::{ALWAYS, BY_ARCHITECTURE, BY_CAPABILITY, PERSONALITIES};

/// The flags of clone(2) that make namespaces.
const NAMESPACE_FLAGS: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// The profile of a job that asks for none, whose processes have at most these capabilities.
pub(super) fn default_profile(capabilities: &[&str]) -> Value {
    let words = |list: &'static str| list.split_ascii_whitespace();
    let has = |name: &str| capabilities.contains(&name);
    let here = BY_ARCHITECTURE.iter().filter(|(name, _)| *name == ARCH);
    let held = BY_CAPABILITY.iter().filter(|(name, _)| has(name));
    let names: Vec<&str> =
        words(ALWAYS).chain(here.chain(held).flat_map(|(_, list)| words(list))).collect();
    let mut rules = vec![
        json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        // Sockets of virtual machines are not kept apart by a network namespace.
        allowed_if("socket", &json!({ "index": 0, "value": libc::AF_VSOCK, "op": "SCMP_CMP_NE" })),
    ];
    rules.extend(PERSONALITIES.map(|personality| {
        allowed_if("personality", &json!({ "index": 0, "value": personality, "op": "SCMP_CMP_EQ" }))
    }));
    if !has("CAP_SYS_ADMIN") {
        let flags = if ARCH == "s390x" { 1 } else { 0 };
        rules.push(allowed_if(
            "clone",
            &json!({
                "index": flags,
                "value": NAMESPACE_FLAGS,
                "valueTwo": 0,
                "op": "SCMP_CMP_MASKED_EQ",
            }),
        ));
        // Its flags are in memory, where a filter cannot see them. So it is as if the kernel were too
        // old to have it, and libraries fall back to clone.
        rules.push(json!({
            "names": ["clone3"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": libc::ENOSYS,
        }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": architectures(),
        "syscalls": rules,
    })
}

fn allowed_if(name: &str, condition: &Value) -> Value {
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": [condition] })
}

/// Those whose programs the machine can run; nothing stands for the machine's own alone. Not x32, for
/// which there are hardly any programs: each architecture makes a start some milliseconds longer.
fn architectures() -> &'static [&'static str] {
    match ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "s390x" => &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(capabilities: &[&str]) -> Vec<String> {
        let profile = default_profile(capabilities);
        let names = profile["syscalls"][0]["names"].as_array().unwrap();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_list_is_in_order_and_has_nothing_twice() {
        let lists = BY_ARCHITECTURE.iter().chain(&BY_CAPABILITY).map(|(_, list)| *list);
        for list in lists.chain([ALWAYS]) {
            let names: Vec<&str> = list.split_ascii_whitespace().collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(names, sorted);
        }
    }

    #[test]
    fn what_leads_out_of_a_container_takes_a_capability() {
        let default = allowed(&["CAP_SYS_CHROOT"]);
        assert!(default.iter().any(|name| name == "chroot"));
        for name in ["mount", "unshare", "setns", "keyctl", "bpf", "clone", "clone3", "init_module"] {
            assert!(!default.iter().any(|allowed| allowed == name), "{name}");
        }
        let admin = allowed(&["CAP_SYS_ADMIN"]);
        for name in ["mount", "unshare", "clone", "clone3"] {
            assert!(admin.iter().any(|allowed| allowed == name), "{name}");
        }
        assert_eq!(NAMESPACE_FLAGS, 0x7e02_0000);
    }
}
