//! The changes of a container's spec by the implementation-specific attributes of its job.
//!
//! Each attribute has its part here, or in a file that is named here. Those that do not concern the spec
//! are elsewhere: user, groups, stop signal, grace and entrypoint in the order, labels in the container.

use std::path::Path;

use drmaa2_init::CGROUP_DIR;
use serde_json::{Value, json};

use super::host::Host;
use super::input::{CGROUPS, SpecInput};
use super::rights;
use super::sys::bind_sys;
use crate::model::Extensions;
use crate::model::extensions::{Mount, Network, Tmpfs};

/// The period of a CPU limit, microseconds.
const CPU_PERIOD: i64 = 100_000;

/// Put the job's requests into the spec that every job has.
pub(super) fn extend(spec: &mut Value, input: &SpecInput<'_>) {
    let extensions = input.extensions;
    if extensions.network.unwrap_or_default() == Network::None {
        // It holds a loopback interface and nothing else.
        push(&mut spec["linux"]["namespaces"], json!({ "type": "network" }));
    }
    let shares_network = extensions.network.unwrap_or_default() == Network::Host;
    if shares_network && !input.host.shows_network {
        bind_sys(spec);
    }
    let names = rights::of_container(extensions, input.host, input.raises_limits);
    spec["process"]["capabilities"] =
        json!({ "bounding": names, "effective": names, "permitted": names });
    if extensions.privileged {
        privileged(spec);
    }
    mounts(spec, extensions, input.host);
    if !extensions.privileged && !may_cover(extensions, CGROUPS) {
        // Init looks where programs do. Each mount costs time at the start, and with version 1 these are many.
        remove_mount(spec, CGROUP_DIR);
    }
    limits(spec, extensions, input);
    spec["root"]["readonly"] = extensions.read_only.into();
    if let Some(hostname) = &extensions.hostname {
        spec["hostname"] = hostname.as_str().into();
    }
    if let Some(parent) = &extensions.cgroup_parent {
        spec["linux"]["cgroupsPath"] = format!("/{parent}/{}", input.id).into();
    }
}

/// Hide nothing from the job and refuse it nothing; it has all capabilities anyway.
fn privileged(spec: &mut Value) {
    spec["process"]["noNewPrivileges"] = false.into();
    spec["linux"]["maskedPaths"] = json!([]);
    spec["linux"]["readonlyPaths"] = json!([]);
    spec["linux"]["resources"]["devices"] = json!([{ "allow": true, "access": "rwm" }]);
    for place in ["/sys", CGROUPS] {
        if let Some(options) = mount_options(spec, place) {
            options.retain(|option| option != "ro");
            options.push("rw".into());
        }
    }
}

fn mounts(spec: &mut Value, extensions: &Extensions, host: &Host) {
    if let (Some(size), Some(options)) = (extensions.shm_size, mount_options(spec, "/dev/shm")) {
        options.retain(|option| !option.as_str().is_some_and(|option| option.starts_with("size=")));
        options.push(format!("size={size}").into());
    }
    for Tmpfs { destination, size } in &extensions.tmpfs {
        let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "mode=1777".to_owned()];
        options.extend(size.map(|size| format!("size={size}")));
        let mount = json!({
            "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options,
        });
        push(&mut spec["mounts"], mount);
    }
    for Mount { source, destination, read_only } in &extensions.mounts {
        let options = match (read_only, host.read_only_trees) {
            (false, _) => ["rbind", "rw"],
            (true, true) => ["rbind", "rro"],
            // Mounts below would stay writable, so they are omitted.
            (true, false) => ["bind", "ro"],
        };
        push(&mut spec["mounts"], bind(source, destination, &options));
    }
    // A mount of the job that replaces /sys may lack a mount point for its control group.
    let covers = |place: &str| place != CGROUPS && Path::new(CGROUPS).starts_with(place);
    if extensions.mounts.iter().any(|mount| covers(&mount.destination)) {
        remove_mount(spec, CGROUPS);
    }
}

/// Returns whether a mount of the job may be at this place, or in it, or cover it.
fn may_cover(extensions: &Extensions, place: &str) -> bool {
    let tmpfs = extensions.tmpfs.iter().map(|mount| &mount.destination);
    let mut mounts = extensions.mounts.iter().map(|mount| &mount.destination).chain(tmpfs);
    mounts.any(|mount| Path::new(place).starts_with(mount) || Path::new(mount).starts_with(place))
}

fn remove_mount(spec: &mut Value, place: &str) {
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["destination"] != place);
    }
}

/// Set the limits. Counted slots are processors, unless the job requests a share of them.
fn limits(spec: &mut Value, extensions: &Extensions, input: &SpecInput<'_>) {
    let resources = &mut spec["linux"]["resources"];
    if let Some(limit) = extensions.memory {
        resources["memory"] = json!({ "limit": limit });
        if input.host.counts_swap {
            // Memory and swap together: a job gets no swap.
            resources["memory"]["swap"] = limit.into();
        }
    }
    let slots = input.slots.map(|slots| slots.saturating_mul(1000));
    if let Some(thousandths) = extensions.cpus.or(slots) {
        let quota = thousandths.saturating_mul(CPU_PERIOD / 1000);
        resources["cpu"] = json!({ "quota": quota, "period": CPU_PERIOD });
    }
    // Without a limit one job could use all processes of the machine.
    if let Some(limit) = extensions.pids.or(input.host.pids) {
        resources["pids"] = json!({ "limit": limit });
    }
}

fn bind(source: &str, destination: &str, options: &[&str]) -> Value {
    let options: Vec<&str> = ["rprivate"].iter().chain(options).copied().collect();
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

/// The options of the mount at a place.
fn mount_options<'a>(spec: &'a mut Value, destination: &str) -> Option<&'a mut Vec<Value>> {
    let mounts = spec["mounts"].as_array_mut()?;
    mounts.iter_mut().find(|mount| mount["destination"] == destination)?["options"].as_array_mut()
}
