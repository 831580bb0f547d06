//! The container of a job on its node: the OCI spec that a runtime is given there, without rights that the job's user
//! does not have, and without limits, which are Slurm's.

use std::path::Path;

use drmaa2_init::{Order, RUN_PLACEHOLDER};
use oci_spec::image::Config;
use serde_json::{Value, json};

use super::settings::JobSettings;
use crate::container::order;
use crate::container::spec::{Host, SpecInput, arrange, bind_sys, resolve_names, spec};
use crate::model::extensions::Network;
use crate::model::{Error, Extensions, Result};
use crate::tracker::NewJob;

/// A container that a runtime on a node can run.
pub(super) struct Container {
    /// For its init.
    pub(super) order: Order,
    /// For the runtime. [`RUN_PLACEHOLDER`] stands for the name of the directory of the run.
    pub(super) spec: Value,
}

/// The container of a job in an image.
pub(super) fn container(job: &NewJob, image: &Config, job_dir: &Path, init: &Path) -> Result<Container> {
    let settings = JobSettings::of(job)?;
    let host = Host { read_only_trees: true, shows_network: true, ..Host::default() };
    let mut order = order::order(job, image, settings.patience(), &host)?;
    let is_root = job.submitter.uid == 0;
    order.sole_user = !is_root;
    // Nodes know file systems by other numbers; the job has no more rights than its user.
    order.origins.clear();
    if !is_root {
        // None that could be given up, or granted.
        order.drop_capabilities.clear();
        order.groups = None;
    }
    let extensions = Extensions { network: Some(Network::Host), ..job.template.extensions()? };
    let files = order::files(&job.stdio);
    let run_dir = job_dir.join(RUN_PLACEHOLDER);
    let input = SpecInput {
        id: &job.id,
        namespace: "drmaa2",
        init,
        job_dir: &run_dir,
        files: &files,
        names: &[],
        extensions: &extensions,
        slots: None,
        raises_limits: false,
        host: &host,
    };
    let mut spec = spec(&input).map_err(|path| Error::argument(format!("{path:?} is not UTF-8")))?;
    adapt(&mut spec, &job.id, is_root);
    arrange(&mut spec);
    Ok(Container { order, spec })
}

/// Adapt a spec to a job of Slurm, whose step has limits, and whose user may not be root.
fn adapt(spec: &mut Value, id: &str, is_root: bool) {
    resolve_names(spec);
    let linux = &mut spec["linux"];
    linux["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    if is_root {
        // Below the control group of the step.
        linux["cgroupsPath"] = format!("drmaa2-{id}").into();
        return;
    }
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("cgroupsPath");
        linux.remove("resources");
    }
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    }
    bind_sys(spec);
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
        for mount in mounts.iter_mut().filter(|mount| mount["type"] == "devpts") {
            // The group of terminals is none of the user's.
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Containers, JobTemplate};
    use crate::tracker::{self, Submitter};
    use std::time::Duration;

    fn container_of(uid: u32) -> Container {
        let settings = JobSettings {
            image: Some("i".into()),
            grace: Duration::from_secs(1),
            linger: None,
            pull: crate::model::extensions::Pull::Missing,
            registry: crate::registry::Settings::default(),
            containers: Containers::default(),
            runtime: None,
            gpu_devices: None,
            cdi_dirs: Vec::new(),
        };
        let job = NewJob::for_tests("01j");
        let template = JobTemplate { remote_command: Some("true".into()), ..JobTemplate::default() };
        let settings = tracker::Settings::of(&settings).unwrap();
        let job = NewJob { template, settings, submitter: Submitter { uid, ..job.submitter }, ..job };
        container(&job, &Config::default(), Path::new("/jobs/01j"), Path::new("/libexec/init")).unwrap()
    }

    #[test]
    fn an_ordinary_user_gets_nothing_that_needs_root() {
        let user = container_of(1000);
        assert!(user.order.sole_user && user.order.user == b"1000:0");
        let text = user.spec.to_string();
        for word in ["cgroup", "gid=5", "sysfs", "resources"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert!(!text.contains(r#""type":"network""#));
        assert!(text.contains("/jobs/01j/@RUN@"));
        let root = container_of(0);
        assert!(!root.order.sole_user && root.spec["linux"]["cgroupsPath"] == "drmaa2-01j");
    }
}
