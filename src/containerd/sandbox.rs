//! The access of a job to the kernel and to the machine's devices, and the checks of it that are
//! possible at submission.

use std::path::PathBuf;

use drmaa2_cdi::{self as cdi, Node};
use drmaa2_init::{HOME_PLACEHOLDER, Order};
use serde_json::Value;

use super::devices;
use super::seccomp::{self, Profile};
use crate::model::extensions::{Device, Seccomp};
use crate::model::{Error, ErrorCode, Extensions, JobTemplate, Result, Text};
use crate::rights;
use crate::tracker::Submitter;

const DEVICES: &str = "containerd_jt_devices";

/// The content of the host's files that attributes of a template name. They are read twice: to check the
/// template, and to start the job.
pub(super) struct Sandbox {
    filter: Filter,
    nodes: Vec<Node>,
    edits: cdi::Edits,
}

enum Filter {
    Default,
    None,
    Profile(Box<Profile>),
}

impl Sandbox {
    /// The access that a job requests; INVALID_ARGUMENT with the name of a file that is missing or
    /// closed to the calling thread's user.
    pub(super) fn read(cdi_dirs: &[PathBuf], wanted: &Extensions) -> Result<Self> {
        Self::with(cdi_dirs, wanted, named(wanted)?)
    }

    /// The same for a job of `user`: by now a link may lead to a file of root.
    pub(super) fn read_for(user: &Submitter, cdi_dirs: &[PathBuf], wanted: &Extensions) -> Result<Self> {
        Self::with(cdi_dirs, wanted, rights::of(user, || named(wanted))?)
    }

    fn with(
        cdi_dirs: &[PathBuf],
        wanted: &Extensions,
        (filter, mut nodes): (Filter, Vec<Node>),
    ) -> Result<Self> {
        let names: Vec<&str> = wanted
            .devices
            .iter()
            .filter_map(|device| match device {
                Device::Cdi(name) => Some(name.as_str()),
                Device::Node { .. } => None,
            })
            .collect();
        let edits = cdi::edits(cdi_dirs, &names, |file, cause| {
            tracing::warn!(file = %file.display(), cause, "a CDI file cannot be read");
        });
        let edits = edits.map_err(refuse)?;
        nodes.extend(edits.nodes().map_err(refuse)?);
        Ok(Self { filter, nodes, edits })
    }

    /// See [`cdi::Edits::leave_files`].
    pub(super) fn leave_files(&mut self) {
        self.edits.leave_files();
    }

    /// Put it into the spec of the job's container; INTERNAL if the permitted system calls cannot be
    /// determined.
    pub(super) fn apply(&self, spec: &mut Value) -> Result<()> {
        let filter = match &self.filter {
            Filter::None => None,
            Filter::Default => Some(seccomp::default_profile()?.resolve(&capabilities(spec))),
            Filter::Profile(profile) => Some(profile.resolve(&capabilities(spec))),
        };
        if let Some(filter) = filter {
            spec["linux"]["seccomp"] = filter.map_err(Error::internal)?;
        }
        for node in &self.nodes {
            append(&mut spec["linux"]["devices"], node.device());
            append(&mut spec["linux"]["resources"]["devices"], node.rule());
        }
        self.edits.apply(spec);
        Ok(())
    }

    /// Put the part for the job's process into its order.
    pub(super) fn amend(&self, order: &mut Order) {
        for entry in &self.edits.env {
            let name = entry.split_inclusive('=').next().unwrap_or_default().as_bytes();
            order.env.retain(|other| !other.starts_with(name));
            order.env.push(entry.clone().into_bytes());
        }
        order.more_groups.extend(&self.edits.groups);
    }
}

/// The largest set of capabilities of the job's processes.
fn capabilities(spec: &Value) -> Vec<&str> {
    let capabilities = spec["process"]["capabilities"]["bounding"].as_array();
    capabilities.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The files that a template names itself; CDI devices are described by the site's.
fn named(wanted: &Extensions) -> Result<(Filter, Vec<Node>)> {
    let filter = match &wanted.seccomp {
        Seccomp::Default if wanted.privileged => Filter::None,
        Seccomp::Default => Filter::Default,
        Seccomp::Unconfined => Filter::None,
        Seccomp::Profile(path) => Filter::Profile(Box::new(seccomp::read(path)?)),
    };
    let mut nodes = Vec::new();
    for device in &wanted.devices {
        if let Device::Node { source, destination, access } = device {
            let path = std::str::from_utf8(destination.as_bytes())
                .map_err(|_| refuse(format!("\"{destination}\" is not UTF-8")))?;
            let like = devices::all_like(source.as_path(), path.trim_end_matches('/'), access);
            nodes.extend(like.map_err(|cause| refuse(format!("{source}: {cause}")))?);
        }
    }
    Ok((filter, nodes))
}

fn refuse(cause: String) -> Error {
    Error::argument(format!("job template attribute {DEVICES}: {cause}"))
}

fn append(list: &mut Value, entry: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(entry),
        None => *list = Value::from(vec![entry]),
    }
}

/// Refuse attributes that need the library's init in a job without one.
pub(super) fn check_without_init(template: &JobTemplate, wanted: &Extensions) -> Result<()> {
    if !wanted.no_init {
        return Ok(());
    }
    let at_home = template
        .working_directory
        .as_ref()
        .filter(|directory| directory.as_bytes().starts_with(HOME_PLACEHOLDER));
    // Init sets limits, ends a job at its time, copies files, and knows the homes of the image.
    let needs_init = [
        ("resourceLimits", first(template.resource_limits.as_deref())),
        ("containerd_jt_rlimits", wanted.rlimits.first().map(|limit| limit.name.clone())),
        ("deadlineTime", template.deadline_time.map(|time| time.to_string())),
        ("reservationId", template.reservation_id.as_ref().map(ToString::to_string)),
        ("stageInFiles", first(template.stage_in_files.as_deref())),
        ("stageOutFiles", first(template.stage_out_files.as_deref())),
        ("workingDirectory", at_home.map(ToString::to_string)),
    ];
    for (name, value) in needs_init {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            return Err(Error::new(
                ErrorCode::UnsupportedAttribute,
                format!(
                    "job template attribute {name} is \"{value}\", which is not supported with \
                     containerd_jt_init=off"
                ),
            ));
        }
    }
    Ok(())
}

/// The first entry of a dictionary, for people.
fn first(entries: Option<&[(Text, Text)]>) -> Option<String> {
    entries?.first().map(|(name, value)| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_privileged_job_has_no_filter_unless_it_asks_for_one() {
        let filter = |privileged, seccomp| {
            let wanted = Extensions { privileged, seccomp, ..Extensions::default() };
            let mut spec = json!({});
            Sandbox::read(&[], &wanted).unwrap().apply(&mut spec).unwrap();
            spec["linux"]["seccomp"].is_object()
        };
        assert!(filter(false, Seccomp::Default));
        assert!(!filter(true, Seccomp::Default));
        assert!(!filter(false, Seccomp::Unconfined));
    }

    #[test]
    fn variables_of_a_device_replace_those_of_the_job() {
        let mut sandbox = Sandbox::read(&[], &Extensions::default()).unwrap();
        sandbox.edits.env = vec!["A=device".to_owned()];
        let mut order = Order { env: vec![b"A=job".to_vec(), b"AB=job".to_vec()], ..Order::default() };
        sandbox.amend(&mut order);
        assert_eq!(order.env, [b"AB=job".to_vec(), b"A=device".to_vec()]);
    }

    #[test]
    fn what_init_does_is_refused_without_it() {
        let wanted = Extensions { no_init: true, ..Extensions::default() };
        let check = |template: JobTemplate| check_without_init(&template, &wanted);
        let limits = vec![("WALLCLOCK_TIME".into(), "5".into())];
        let timed = JobTemplate { resource_limits: Some(limits), ..JobTemplate::default() };
        let reserved = JobTemplate { reservation_id: Some("1".into()), ..JobTemplate::default() };
        let home = JobTemplate {
            working_directory: Some("$DRMAA2_HOME_DIR$/x".into()),
            ..JobTemplate::default()
        };
        for (template, name) in
            [(timed, "resourceLimits"), (reserved, "reservationId"), (home, "workingDirectory")]
        {
            let error = check(template).unwrap_err();
            assert_eq!(error.code, ErrorCode::UnsupportedAttribute);
            assert!(error.message.contains(name), "{error}");
            assert!(error.message.contains("containerd_jt_init"), "{error}");
        }
        assert_eq!(check(JobTemplate::default()), Ok(()));
    }
}
