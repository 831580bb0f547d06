//! The OCI runtime spec of a job's container.
//!
//! It says where init runs, not what it runs: the job's arguments and environment are in the order,
//! which only root can read.

use std::path::{Path, PathBuf};

use drmaa2_init::{INIT_PATH, JOB_DIR};
use serde_json::{Value, json};

/// The type under which containerd keeps a runtime spec.
pub(super) const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// Where the host files of the standard streams are mounted.
pub(super) const STDIN: &str = "/.drmaa2/stdin";
/// See [`STDIN`].
pub(super) const STDOUT: &str = "/.drmaa2/stdout";
/// See [`STDIN`].
pub(super) const STDERR: &str = "/.drmaa2/stderr";

/// What differs from job to job.
#[derive(Debug)]
pub(super) struct SpecInput<'a> {
    /// The container's id.
    pub(super) id: &'a str,
    /// The namespace, which the control group is below.
    pub(super) namespace: &'a str,
    /// Host path of init.
    pub(super) init: &'a Path,
    /// Host path of the job's directory.
    pub(super) job_dir: &'a Path,
    /// Host files to mount.
    pub(super) files: &'a [FileMount],
}

/// A host file of a standard stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileMount {
    /// Its path on the host.
    pub(super) source: PathBuf,
    /// Where the container sees it.
    pub(super) target: &'static str,
    /// May the job only read it?
    pub(super) read_only: bool,
}

/// The capabilities that containers have by default everywhere. Init needs some of them to become
/// the job's user; unless that is root, the job itself has none.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What of /proc and /sys a job must not see.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What of /proc it must not change.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The spec as JSON, or the host path that JSON cannot hold.
pub(super) fn spec(input: &SpecInput<'_>) -> Result<Value, PathBuf> {
    let mut mounts = system_mounts();
    mounts.push(bind(input.init, INIT_PATH, &["ro", "nosuid", "nodev"])?);
    mounts.push(bind(input.job_dir, JOB_DIR, &["rw", "nosuid", "nodev", "noexec"])?);
    for file in input.files {
        // No `nodev`: a stream may be a terminal or another device.
        let access = if file.read_only { "ro" } else { "rw" };
        mounts.push(bind(&file.source, file.target, &[access, "nosuid", "noexec"])?);
    }
    Ok(json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs", "readonly": false },
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": [INIT_PATH],
            "env": [],
            "cwd": "/",
            "capabilities": {
                "bounding": CAPABILITIES,
                "effective": CAPABILITIES,
                "permitted": CAPABILITIES,
            },
            "noNewPrivileges": true,
        },
        "mounts": mounts,
        "linux": {
            "cgroupsPath": format!("/{}/{}", input.namespace, input.id),
            // The runtime adds the harmless devices to this.
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            // A network namespace of its own holds a loopback interface and nothing else.
            "namespaces": [
                { "type": "pid" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" },
                { "type": "network" },
            ],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    }))
}

fn system_mounts() -> Vec<Value> {
    [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"][..]),
        ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ("/run", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ]
    .into_iter()
    .map(|(destination, kind, source, options)| {
        json!({ "destination": destination, "type": kind, "source": source, "options": options })
    })
    .collect()
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Result<Value, PathBuf> {
    let source = source.to_str().ok_or(source)?;
    let options: Vec<&str> = ["bind", "rprivate"].iter().chain(options).copied().collect();
    Ok(json!({ "destination": destination, "type": "bind", "source": source, "options": options }))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn file(source: &str, target: &'static str, read_only: bool) -> FileMount {
        FileMount { source: source.into(), target, read_only }
    }

    fn build(files: &[FileMount]) -> Result<Value, PathBuf> {
        spec(&SpecInput {
            id: "01jobid",
            namespace: "default",
            init: Path::new("/usr/lib/drmaa2/drmaa2-init"),
            job_dir: Path::new("/var/lib/drmaa2/jobs/01jobid"),
            files,
        })
    }

    #[test]
    fn the_whole_spec_is_as_it_was_reviewed() {
        let files = [
            file("/data/in", STDIN, true),
            file("/data/out", STDOUT, false),
            file("/data/err", STDERR, false),
        ];
        let text = serde_json::to_string_pretty(&build(&files).unwrap()).unwrap() + "\n";
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/containerd/golden/spec.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(golden).unwrap();
        assert!(text == expected, "UPDATE_GOLDEN=1 writes a new {golden}; it would be\n{text}");
    }

    #[test]
    fn a_job_without_files_mounts_none() {
        let spec = build(&[]).unwrap();
        let targets: Vec<_> =
            spec["mounts"].as_array().unwrap().iter().filter(|mount| mount["type"] == "bind").collect();
        assert_eq!(targets.len(), 2);
        assert_eq!(targets[0]["destination"], INIT_PATH);
        assert_eq!(targets[1]["destination"], JOB_DIR);
    }

    #[test]
    fn a_path_that_json_cannot_hold_is_named() {
        let bad = PathBuf::from(OsStr::from_bytes(b"/data/\xff"));
        let files = [FileMount { source: bad.clone(), target: STDOUT, read_only: false }];
        assert_eq!(build(&files), Err(bad));
    }
}
