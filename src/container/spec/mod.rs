//! The OCI runtime spec of a job's container.
//!
//! It describes the surroundings of init, not its command: the job's arguments and environment are in
//! the order, which only root can read.

mod extend;
mod host;
mod input;
mod rights;
mod sys;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use drmaa2_init::{CGROUP_DIR, DEFAULT_PATH, INIT_PATH, JOB_DIR};
use serde_json::{Value, json};

use input::CGROUPS;

pub use host::{Host, kernel};
pub use input::{FileMount, SpecInput};
pub use rights::dropped;
pub use sys::{bind_sys, resolve_names};

/// The type under which containerd keeps a runtime spec.
pub const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// The directory of all mounts for init.
const PRIVATE: &str = "/.drmaa2";
/// Mount points of the host files of the standard streams.
pub const STDIN: &str = "/.drmaa2/stdin";
/// See [`STDIN`].
pub const STDOUT: &str = "/.drmaa2/stdout";
/// See [`STDIN`].
pub const STDERR: &str = "/.drmaa2/stderr";

/// Mount point of the host's side of files to stage in, each by its number.
pub const STAGE_IN: &str = "/.drmaa2/in";
/// The directories that are staged out to, likewise.
pub const STAGE_OUT: &str = "/.drmaa2/out";

/// The files of /proc and /sys that a job must not see.
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

/// The files of /proc that it must not change.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The spec as JSON, or the host path that JSON cannot hold.
pub fn spec(input: &SpecInput<'_>) -> Result<Value, PathBuf> {
    let mut mounts = system_mounts();
    mounts.push(bind(input.init, INIT_PATH, &["ro", "nosuid", "nodev"])?);
    mounts.push(bind(input.job_dir, JOB_DIR, &["rw", "nosuid", "nodev", "noexec"])?);
    for file in input.files {
        // No `nodev`: a stream may be a terminal or another device.
        let access = if file.read_only { "ro" } else { "rw" };
        mounts.push(bind(&file.source, &file.target, &["rbind", access, "nosuid", "noexec"])?);
    }
    for file in input.names {
        let access = if file.read_only { "ro" } else { "rw" };
        mounts.push(bind(&file.source, &file.target, &[access, "nosuid", "nodev", "noexec"])?);
    }
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs", "readonly": false },
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": [INIT_PATH],
            // youki starts nothing without one, though init has a path.
            "env": [format!("PATH={DEFAULT_PATH}")],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "mounts": mounts,
        "linux": {
            "cgroupsPath": format!("/{}/{}", input.namespace, input.id),
            // The runtime adds the harmless devices to this.
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" },
                { "type": "cgroup" },
            ],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    });
    extend::extend(&mut spec, input);
    Ok(spec)
}

/// Order the mounts: a mount below another follows it, or it would be covered; and the mounts that init
/// relies on follow all others, so that they cover anything put in their place, even through a symbolic
/// link.
pub fn arrange(spec: &mut Value) {
    let depth = |mount: &Value| {
        mount["destination"].as_str().map_or(0, |place| Path::new(place).components().count())
    };
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.sort_by_key(|mount| (is_private(mount), depth(mount)));
    }
}

/// Returns whether a mount is for init.
pub fn is_private(mount: &Value) -> bool {
    mount["destination"].as_str().is_some_and(|place| is_private_path(place.as_bytes()))
}

/// Returns whether a path in the container is for init.
pub fn is_private_path(place: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(place)).starts_with(PRIVATE)
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
        // Programs look here for their limits.
        (CGROUPS, "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
        // Init's own: the job's user cannot pass through it.
        (PRIVATE, "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec", "mode=700", "size=64k"]),
        (CGROUP_DIR, "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
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
