//! Slurm's own containers: `srun --container` with a bundle on the node, which slurmstepd has a runtime run as the
//! `oci.conf` of the site says.

use std::path::Path;

use drmaa2_init::{INIT_PATH, NODE_PLACEHOLDER};
use serde_json::{Value, json};

use crate::container::spec::arrange;
use crate::model::{Error, Result};
use crate::tracker::Submitter;

/// The command in a step.
pub(super) fn command(mut step: Vec<String>) -> Vec<String> {
    step.push(format!("--container={NODE_PLACEHOLDER}"));
    step.push(INIT_PATH.to_owned());
    step
}

/// Make the spec for a runtime one for a bundle. slurmstepd starts the runtime where no mount of the job's is seen, and
/// as the user: so the bundle says all that the batch script does otherwise.
pub(super) fn make_bundle(spec: &mut Value, rootfs: &Path, submitter: &Submitter) -> Result<()> {
    let lower = rootfs.to_str().filter(|path| !path.contains(['\\', ':', ',']));
    let lower = lower.ok_or_else(|| {
        let text = format!("{}: no overlay can be made of a path with such letters", rootfs.display());
        Error::internal(text)
    })?;
    spec["root"]["path"] = format!("{NODE_PLACEHOLDER}/rootfs").into();
    let mut options = vec![
        format!("lowerdir={lower}"),
        format!("upperdir={NODE_PLACEHOLDER}/upper"),
        format!("workdir={NODE_PLACEHOLDER}/work"),
    ];
    if submitter.uid != 0 {
        options.push("userxattr".to_owned());
        let map = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
        spec["linux"]["uidMappings"] = map(submitter.uid);
        spec["linux"]["gidMappings"] = map(submitter.gid);
        if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
            namespaces.push(json!({ "type": "user" }));
        }
    }
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        let over =
            json!({ "destination": "/", "type": "overlay", "source": "overlay", "options": options });
        mounts.push(over);
    }
    arrange(spec);
    Ok(())
}
