//! Jobs without an image: their root file system is that of the machine, as it is for any program of
//! their user.
//!
//! The root itself is an empty file system of the container's own, in which each directory of the
//! machine's root is mounted, with all that is mounted below. The runtime does that, in the container's
//! mount namespace. So no mount can be left on the machine, and no removal of a container can reach the
//! machine's files. `/proc`, `/sys` and `/dev` are the container's own.

use std::fs;
use std::path::Path;

use containerd_client::types::Mount;
use drmaa2_init::Order;
use oci_spec::image::Config;
use serde_json::{Value, json};

use super::files::io_error;
use super::image::Image;
use crate::container::spec::{FileMount, Host};
use crate::model::extensions::PREFIX;
use crate::model::{Error, Extensions, Result};

/// The category of such jobs, in place of an image.
pub const CATEGORY: &str = "host";

const ROOT: &str = "/";

/// The substitute for the image of such a job: no layers, no configuration.
pub(super) fn image() -> Image {
    let (target, config_digest) = (String::new(), String::new());
    Image {
        name: CATEGORY.to_owned(),
        target,
        users: None,
        config_digest,
        config: Config::default(),
        layers: Vec::new(),
    }
}

/// The file system that contains the mounts.
pub(super) fn root() -> Mount {
    let kind = "tmpfs".to_owned();
    let options = ["nosuid", "nodev", "mode=755", "size=1m"].map(str::to_owned).into();
    Mount { r#type: kind.clone(), source: kind, options, ..Mount::default() }
}

/// Refuse attributes that are not valid without an image.
pub(super) fn check(wanted: &Extensions) -> Result<()> {
    let refuse = |name: &str, why: &str| {
        let text =
            format!("job template attribute {PREFIX}{name}: with jobCategory \"{CATEGORY}\" {why}");
        Err(Error::argument(text))
    };
    if wanted.pull.is_some() {
        return refuse("pull", "there is no image");
    }
    if wanted.snapshotter.is_some() {
        return refuse("snapshotter", "there is no image");
    }
    // The runtime makes a missing mount point: at a lower level, that would be in the machine's files.
    let is_below = |place: &str| Path::new(place).components().count() > 2;
    let why = |place: &str| {
        format!("\"{place}\" is part of a directory of the machine, give one like \"/data\"")
    };
    if let Some(mount) = wanted.mounts.iter().find(|mount| is_below(&mount.destination)) {
        return refuse("mounts", &why(&mount.destination));
    }
    if let Some(tmpfs) = wanted.tmpfs.iter().find(|tmpfs| is_below(&tmpfs.destination)) {
        return refuse("tmpfs", &why(&tmpfs.destination));
    }
    if wanted.read_only && !Host::look(0).read_only_trees {
        return refuse("read_only", "it needs Linux 5.12");
    }
    Ok(())
}

/// Keep those of the job's name files that the machine has: none is made there.
pub(super) fn keep_names(names: &mut Vec<FileMount>) {
    names.retain(|file| Path::new(&file.target).exists());
}

/// Make the job start in the home of its user, without changes to the machine's accounts.
pub(super) fn amend(order: &mut Order) {
    order.account = false;
    // A directory to create is that of an image.
    if std::mem::take(&mut order.create_directory) {
        order.directory.clear();
    }
}

/// Add the machine's directories to the spec of a container, but where it has a mount of its own: `/proc`, `/sys`, `/dev`,
/// and the places that the job mounts something at.
pub(super) fn apply(spec: &mut Value, wanted: &Extensions) -> Result<()> {
    spec["root"]["readonly"] = true.into();
    let taken: Vec<String> = places(&spec["mounts"]);
    let access = if wanted.read_only { "rro" } else { "rw" };
    let directories = directories()?.into_iter().filter(|place| !taken.contains(place));
    // Later mounts of the machine are visible, too.
    let mount = |place| json!({ "destination": place, "source": place, "type": "bind", "options": ["rbind", "rslave", access] });
    if let Some(list) = spec["mounts"].as_array_mut() {
        list.extend(directories.map(mount));
    }
    Ok(())
}

/// The mount points.
fn places(mounts: &Value) -> Vec<String> {
    let places =
        mounts.as_array().into_iter().flatten().filter_map(|mount| mount["destination"].as_str());
    places.map(|place| format!("/{}", place.trim_matches('/'))).collect()
}

/// The directories of the machine's root, including targets of symbolic links. A name that is not UTF-8
/// cannot be in a spec, and is omitted.
fn directories() -> Result<Vec<String>> {
    let root = Path::new(ROOT);
    let entries = fs::read_dir(root).map_err(|error| io_error(root, &error))?;
    let places = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        (path.is_dir()).then(|| path.to_str().map(str::to_owned))?
    });
    Ok(places.collect())
}
