//! The parts of the machine that a container has where it cannot have its own: `/sys`, and the names of machines.

use serde_json::{Value, json};

/// Show the machine's `/sys`, where no `sysfs` of the container's network can be mounted.
pub fn bind_sys(spec: &mut Value) {
    let mounts = spec["mounts"].as_array_mut().into_iter().flatten();
    for mount in mounts.filter(|mount| mount["type"] == "sysfs") {
        *mount = json!({
            "destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"],
        });
    }
}

/// Resolve names of machines as the machine does, whose network the container has.
pub fn resolve_names(spec: &mut Value) {
    let names = ["/etc/resolv.conf", "/etc/hosts"].map(|path| {
        json!({
            "destination": path, "type": "bind", "source": path,
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        })
    });
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.extend(names);
    }
}
