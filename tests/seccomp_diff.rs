//! `scripts/seccomp-diff` tells how profiles of system calls differ.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/containerd/seccomp.json");

fn run(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/seccomp-diff");
    Command::new(script).args(arguments).output().unwrap()
}

#[test]
fn differences_are_told_by_call_and_condition() {
    let ours = std::fs::read_to_string(OURS).unwrap();
    let same = run(&[OURS]);
    assert_eq!((same.status.code(), same.stdout.as_slice()), (Some(0), &b""[..]));

    let other = tempfile::NamedTempFile::new().unwrap();
    let changed = ours
        .replace("\"SCMP_ARCH_S390\"", "")
        .replace("\"CAP_BPF\"", "\"CAP_NEW\"")
        .replace("\"accept4\"", "\"accept5\"")
        .replace("\"value\": 13,", "\"value\": 38,");
    std::fs::write(other.path(), changed).unwrap();
    let told = run(&[other.path().to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(told.stdout).unwrap(),
        "- accept4: allow\n\
         + accept5: allow\n\
         - architecture S390, on S390X\n\
         - bpf: allow, with CAP_BPF\n\
         + bpf: allow, with CAP_NEW\n\
         - socket: allow if argument 0 == 13\n\
         + socket: allow if argument 0 == 38\n"
    );
}

#[test]
fn what_is_no_profile_is_neither_the_same_nor_different() {
    for wrong in ["/no/such/profile", "/dev/null", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let told = run(&[wrong]);
        assert_eq!(told.status.code(), Some(2), "{wrong}");
        assert!(String::from_utf8(told.stderr).unwrap().contains(wrong));
    }
}
