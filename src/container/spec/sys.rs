//! A container's `/sys` where it cannot have one of its own.

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
