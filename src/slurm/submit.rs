//! The submission of a single job, and what it has in common with that of an array.

use std::time::Instant;

use super::adapter;
use super::core::Core;
use super::image::Image;
use super::job_dir;
use super::order;
use super::plan::Plan;
use super::sbatch::{Asked, sbatch};
use super::squeue::{Comment, Entry};
use super::submission::note_submitted;
use crate::model::{Error, ErrorCode, JobInfo, Result};
use crate::runtime::blocking;
use crate::tracker::NewJob;

/// Submit a job, unless Slurm has it already, by an earlier attempt.
pub(super) async fn submit(core: &Core, job: NewJob) -> Result<()> {
    prepare(core, &job).await?;
    if core.files(&job.id).await?.is_some() && was_submitted(core, &job).await? {
        return Ok(());
    }
    // Before anything is submitted: one that is started later did not accept it.
    let controller = core.known_controller().await?.noted();
    let image = Image::get(core, &job).await?;
    let dir = core.job_dir(&job.id)?;
    let init = core.settings.node.with_file_name("drmaa2-init");
    let (made, of) = (job.clone(), dir.clone());
    blocking(move || {
        with_plan(&made, image.as_ref(), &of, &init, |plan| job_dir::make(&of, plan))?;
        job_dir::sync(&of)
    })
    .await?;
    let comment = Comment { id: job.id.clone(), tasks: None };
    let asked = Asked { job: &job, comment: &comment, places: None, words: job.id.clone() };
    let number = sbatch(core, asked, |said| said.jobs.get(&job.id).map(Entry::number)).await;
    let number = match number {
        Err(error) if !error.may_pass() => {
            remove_refused(core, &job.id).await;
            return Err(error);
        }
        number => number?,
    };
    let session = job.session.clone();
    blocking(move || note_submitted(&dir, &number, &controller, &session)).await?;
    core.tell_submitted(&job.id, job.held).await;
    Ok(())
}

/// Refuse a job of another user, and make the directories that all jobs share.
pub(super) async fn prepare(core: &Core, job: &NewJob) -> Result<()> {
    if job.submitter.uid != nix::unistd::geteuid().as_raw() {
        let text = format!("a job for another user, {}, on Slurm", job.submitter.user);
        return Err(Error::unsupported(&text));
    }
    let settings = core.settings.clone();
    blocking(move || job_dir::make_shared(&settings)).await
}

/// Find out what has become of an earlier attempt, which may have been carried out without an answer. True if the job was
/// submitted; then that is noted, and it is reported.
async fn was_submitted(core: &Core, job: &NewJob) -> Result<bool> {
    let said = core.asked_after(Instant::now()).await?;
    let has_run = core.files(&job.id).await?.is_some_and(|files| files.run.is_some());
    match said.jobs.get(&job.id).map(Entry::number) {
        Some(number) => {
            let (dir, session) = (core.job_dir(&job.id)?, job.session.clone());
            let start = core.known_controller().await?.noted();
            blocking(move || note_submitted(&dir, &number, &start, &session)).await?;
        }
        None if !has_run => return Ok(false),
        None => {}
    }
    let info = core.job_info(&job.id).await;
    if has_run {
        return was_not_forgotten(core, &job.id, info).await;
    }
    core.tell_again(&info?).await;
    Ok(true)
}

/// Report the account of a job that has begun. False if Slurm has forgotten it, and it is to run again: then its runs are
/// removed, which are those of another number.
pub(super) async fn was_not_forgotten(core: &Core, id: &str, info: Result<JobInfo>) -> Result<bool> {
    match info {
        Err(error) if error.code == ErrorCode::InvalidArgument => {
            let dir = core.job_dir(id)?;
            blocking(move || job_dir::forget_runs(&dir)).await?;
            core.forget(id);
            Ok(false)
        }
        info => {
            core.tell_again(&info?).await;
            Ok(true)
        }
    }
}

/// Do something with what a job is to run. `dir` is the directory of its runs.
pub(super) fn with_plan<T>(
    job: &NewJob,
    image: Option<&Image>,
    dir: &std::path::Path,
    init: &std::path::Path,
    work: impl FnOnce(&Plan<'_>) -> Result<T>,
) -> Result<T> {
    let rerunnable = job.template.rerunnable;
    let Some(image) = image else {
        return work(&Plan { order: &order::on_host(job)?, rerunnable, container: None });
    };
    let (order, container) = adapter::in_container(job, image, dir, init)?;
    work(&Plan { order: &order, rerunnable, container: Some(&container) })
}

/// Nothing is left of a job that Slurm refuses.
pub(super) async fn remove_refused(core: &Core, id: &str) {
    let (settings, removed) = (core.settings.clone(), id.to_owned());
    if let Err(error) = blocking(move || job_dir::remove(&settings, &removed)).await {
        tracing::warn!(%error, id, "cannot remove the directory of a job that Slurm has refused");
    }
}
