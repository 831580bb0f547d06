//! The container of a job as its site makes containers: by an OCI runtime that the batch script starts, or by another
//! program. What goes on inside is the same in all of them, since it is the job's own init that they start.
//!
//! Each of the others has a file here: its command, and the attributes that it cannot honour.

mod apptainer;
mod bind;
mod containerd;
mod oci;
mod pyxis;
mod step;

use std::path::Path;

use drmaa2_init::Order;

use super::container::{Container, container};
use super::image::Image;
use super::plan::{InContainer, Start};
use super::settings::JobSettings;
use crate::model::{Containers, Error, ErrorCode, JobTemplate, Result};
use crate::tracker::NewJob;

/// The program that runs containers, unless another one is configured.
const RUNTIME: &str = "runc";

/// Refuse an attribute that the containers of a site cannot have.
pub(super) fn check(containers: Containers, template: &JobTemplate) -> Result<()> {
    let lacks: &[&str] = match containers {
        Containers::Runtime | Containers::Slurm | Containers::Containerd => &[],
        Containers::Apptainer => &apptainer::LACKS,
        Containers::Pyxis => &pyxis::LACKS,
    };
    let Some(name) = template.set_attributes().into_iter().find(|name| lacks.contains(name)) else {
        return Ok(());
    };
    let word = containers.word();
    let text = format!("job template attribute {name} is not supported with containers = \"{word}\"");
    Err(Error::new(ErrorCode::UnsupportedAttribute, text))
}

/// The order of a job in an image, and its container.
pub(super) fn in_container(
    job: &NewJob,
    image: &Image,
    job_dir: &Path,
    init: &Path,
) -> Result<(Order, InContainer)> {
    let settings = JobSettings::of(job)?;
    let Container { mut order, mut spec } = container(job, &image.config, job_dir, init)?;
    let wishes = job.template.extensions()?;
    let program = settings.runtime;
    let step = |program: Option<String>| Ok::<_, Error>(step::command(program, job.template.slots()?.0));
    let (start, spec) = match settings.containers {
        Containers::Runtime => {
            let program = program.unwrap_or_else(|| RUNTIME.to_owned());
            let start = Start::Runtime { program, lower: image.rootfs()?.to_owned() };
            (start, Some(spec.to_string()))
        }
        Containers::Slurm => {
            oci::make_bundle(&mut spec, image.rootfs()?, &job.submitter)?;
            (Start::Site(oci::command(step(program)?)), Some(spec.to_string()))
        }
        Containers::Apptainer => {
            let binds = bind::binds(job, job_dir, init)?;
            (Start::Site(apptainer::command(program, &binds, &wishes, image.rootfs()?)?), None)
        }
        Containers::Pyxis => {
            let binds = bind::binds(job, job_dir, init)?;
            (Start::Site(pyxis::command(step(program)?, &binds, &wishes, &image.name)?), None)
        }
        Containers::Containerd => {
            let node = init.with_file_name("drmaa2-node");
            let messages = containerd::messages(job, &image.name, job_dir, init)?;
            (Start::Site(containerd::command(&node, program, job_dir)?), Some(messages))
        }
    };
    let is_of_runtime = matches!(settings.containers, Containers::Runtime | Containers::Slurm);
    if !is_of_runtime {
        // The user is the same inside as outside, and known there.
        order.sole_user = false;
        order.account = false;
        order.drop_capabilities.clear();
    }
    // The others have ways of their own to give GPUs.
    let is_wanted = is_of_runtime && wishes.gres.as_deref().is_some_and(asks_for_gpus);
    let gpus = settings.gpu_devices.filter(|_| is_wanted).map(|kind| (kind, settings.cdi_dirs));
    Ok((order, InContainer { start, spec, gpus }))
}

/// Returns whether GPUs are among these generic resources.
fn asks_for_gpus(gres: &str) -> bool {
    gres.split(',').any(|one| {
        let one = ["gres:", "gres/"].iter().find_map(|prefix| one.strip_prefix(prefix)).unwrap_or(one);
        one.split([':', '(']).next() == Some("gpu")
    })
}

#[cfg(test)]
mod tests;
