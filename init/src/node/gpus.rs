//! The GPUs that the workload manager has granted to a job, as devices of its container: what they need is said by the
//! node's descriptions of CDI devices.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use drmaa2_cdi::{Edits, edits};
use drmaa2_init::{GPUS_FILE, Order};
use serde_json::Value;

use super::job::Job;

/// The variable with their numbers on the machine. Others, such as CUDA_VISIBLE_DEVICES, may count what is granted from
/// 0 on.
const GRANTED: &str = "SLURM_JOB_GPUS";

/// The needs of the container of a job for its GPUs; `None` if it is to have none.
pub(crate) fn granted(job: &Job) -> io::Result<Option<Edits>> {
    let text = match fs::read_to_string(job.file(GPUS_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let mut lines = text.lines();
    let kind = lines.next().ok_or(io::ErrorKind::InvalidData)?;
    let dirs: Vec<PathBuf> = lines.map(PathBuf::from).collect();
    let numbers = env::var(GRANTED).unwrap_or_default();
    found(kind, &numbers, &dirs).map(Some).map_err(io::Error::other)
}

fn found(kind: &str, numbers: &str, dirs: &[PathBuf]) -> Result<Edits, String> {
    let names = names(kind, numbers);
    if names.is_empty() {
        return Err(format!("Slurm has granted a GPU and does not say which: {GRANTED} is not set"));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    edits(dirs, &names, |_: &Path, _| {})
}

/// The names of the devices with these numbers.
fn names(kind: &str, numbers: &str) -> Vec<String> {
    let numbers = numbers.split(',').filter(|number| !number.is_empty());
    numbers.map(|number| format!("{kind}={number}")).collect()
}

/// Put the part for the job's process into its order.
pub(crate) fn amend(edits: &Edits, order: &mut Order) {
    for entry in &edits.env {
        let name = entry.split_inclusive('=').next().unwrap_or_default().as_bytes();
        order.env.retain(|other| !other.starts_with(name));
        order.env.push(entry.clone().into_bytes());
    }
    order.more_groups.extend(&edits.groups);
}

/// Put the rest into the spec of its container. Root's runtime makes the nodes; another user's can only mount those that
/// there are, which their owner has to let the user use.
pub(crate) fn apply(edits: &Edits, spec: &mut Value, is_root: bool) -> io::Result<()> {
    if is_root {
        for node in edits.nodes().map_err(io::Error::other)? {
            append(&mut spec["linux"]["devices"], node.device());
            append(&mut spec["linux"]["resources"]["devices"], node.rule());
        }
    } else {
        edits.node_mounts().into_iter().for_each(|mount| append(&mut spec["mounts"], mount));
    }
    edits.apply(spec);
    Ok(())
}

fn append(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = Value::Array(vec![item]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = r#"{"cdiVersion": "0.6.0", "kind": "a.b/gpu", "devices": [
        {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/full"}]}},
        {"name": "1", "containerEdits": {"env": ["GPU=1"], "additionalGids": [44],
            "deviceNodes": [{"path": "/dev/gpu1", "hostPath": "/dev/zero"}]}}]}"#;

    fn described() -> (PathBuf, Vec<PathBuf>) {
        let dir = env::temp_dir().join(format!("drmaa2-gpus-{:?}", std::thread::current().id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("gpu.json"), DESCRIPTION).unwrap();
        (dir.clone(), vec![dir])
    }

    #[test]
    fn a_container_gets_what_was_granted_and_nothing_else() {
        let (dir, dirs) = described();
        let edits = found("a.b/gpu", "1", &dirs).unwrap();
        let mut order = Order { env: vec![b"GPU=own".to_vec()], ..Order::default() };
        amend(&edits, &mut order);
        assert_eq!((order.env, order.more_groups), (vec![b"GPU=1".to_vec()], vec![44]));
        let applied = |is_root| {
            let mut spec = serde_json::json!({ "mounts": [] });
            apply(&edits, &mut spec, is_root).unwrap();
            spec.to_string()
        };
        let (root, user) = (applied(true), applied(false));
        assert!(
            root.contains("/dev/gpu1") && root.contains("rwm") && !root.contains("/dev/gpu0"),
            "{root}"
        );
        assert!(
            user.contains("/dev/zero") && !user.contains("linux") && !user.contains("gpu0"),
            "{user}"
        );
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_cannot_be_given_is_named() {
        let (dir, dirs) = described();
        assert_eq!(found("a.b/gpu", "0,7", &dirs).unwrap_err(), "there is no CDI device a.b/gpu=7");
        assert!(found("a.b/gpu", "", &dirs).unwrap_err().contains("SLURM_JOB_GPUS"));
        fs::remove_dir_all(dir).unwrap();
    }
}
