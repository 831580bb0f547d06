//! The containerd of the node: the batch script asks the broker there for a container below its own control group.

use std::collections::BTreeMap;
use std::path::Path;

use drmaa2_init::{CONTAINERD, NODE_PLACEHOLDER, RUN_PLACEHOLDER, SPEC_FILE};
use serde_json::json;

use crate::container::order;
use crate::model::extensions::PREFIX;
use crate::model::{
    BROKER_SOCKET, Error, JobTemplate, Result, STEP_ATTRIBUTES, StepContainer, StepFile, Text,
};
use crate::tracker::NewJob;

/// The command: the program on the node, the broker's socket, the file with the messages, and the directory of the run.
pub(super) fn command(node: &Path, socket: Option<String>, job_dir: &Path) -> Result<Vec<String>> {
    let socket = socket.unwrap_or_else(|| BROKER_SOCKET.to_owned());
    let run_dir = text(&job_dir.join(RUN_PLACEHOLDER))?;
    Ok(vec![
        text(node)?,
        CONTAINERD.to_owned(),
        socket,
        format!("{NODE_PLACEHOLDER}/{SPEC_FILE}"),
        run_dir,
    ])
}

/// The messages to the broker.
pub(super) fn messages(job: &NewJob, image: &str, job_dir: &Path, init: &Path) -> Result<String> {
    let of = |name: &str| {
        let value = job.template.extensions.get(name).filter(|value| !value.is_empty());
        Some((name.to_owned(), value.or_else(|| job.template.defaults.get(name))?.clone()))
    };
    let mut extensions: BTreeMap<String, Text> = STEP_ATTRIBUTES.into_iter().filter_map(of).collect();
    // The paths are those that were found at submission.
    let mounts = order::extensions(job)?.mounts;
    if !mounts.is_empty() {
        let mounts = mounts.iter().map(|mount| {
            json!({ "source": mount.source, "destination": mount.destination, "read_only": mount.read_only })
        });
        let mounts = serde_json::Value::from(mounts.collect::<Vec<_>>()).to_string();
        extensions.insert(format!("{PREFIX}mounts"), mounts.into());
    }
    let files = order::files(&job.stdio).into_iter().map(|file| {
        let source = text(&file.source)?;
        Ok(StepFile { source, target: file.target, read_only: file.read_only })
    });
    let job_category = Some(image.into());
    let template = JobTemplate { job_category, extensions, ..JobTemplate::default() };
    let step = StepContainer {
        template: Box::new(template),
        init: text(init)?,
        job_dir: text(&job_dir.join(RUN_PLACEHOLDER))?,
        files: files.collect::<Result<_>>()?,
    };
    step.messages()
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::argument(format!("{path:?} is not UTF-8")))
}
