//! Jobs that have ended and are cleaned up, and that Slurm may still hold: it misses the end of a job if it, or its process
//! on the node, is killed at the wrong moment. Then it would keep for half an hour what it has given to the job, or run it
//! again.
//!
//! A file with the name of such a job outlives the job's directory, until Slurm has let the job go. So a process that dies
//! meanwhile leaves it to the next one that follows the jobs of the store.

use std::sync::Arc;
use std::time::Duration;

use super::control::cancel;
use super::core::Core;
use super::job_dir;
use super::words::is_over;
use crate::model::Result;
use crate::runtime::blocking;

/// The time after which Slurm has noticed the end of a job, unless it never will.
const MISSED: Duration = Duration::from_secs(10);
/// The number of times that a process looks in a row. Later it takes the job up again.
const TRIES: u32 = 10;

/// Note that Slurm is to let a job go, before nothing else is left of the job.
pub(super) async fn note(core: &Core, id: &str) -> Result<()> {
    let (settings, id) = (core.settings.clone(), id.to_owned());
    blocking(move || job_dir::note_ended(&settings, &id)).await
}

/// Take up the jobs that processes have left which are dead by now.
pub(super) async fn take_up(core: &Arc<Core>) -> Result<()> {
    let settings = core.settings.clone();
    for id in blocking(move || job_dir::ended(&settings)).await? {
        if !core.letting_go.lock().contains(&id) {
            tokio::spawn(let_go(Arc::clone(core), id));
        }
    }
    Ok(())
}

/// Take a job that has ended out of Slurm's hands, if Slurm has missed the end.
pub(super) async fn let_go(core: Arc<Core>, id: String) {
    if !core.letting_go.lock().insert(id.clone()) {
        return;
    }
    let mut tries = TRIES;
    loop {
        tokio::time::sleep(MISSED).await;
        tries -= 1;
        match has_let_go(&core, &id).await {
            Ok(true) => {
                let (settings, ended) = (core.settings.clone(), id.clone());
                if let Err(error) = blocking(move || job_dir::forget_ended(&settings, &ended)).await {
                    tracing::debug!(%error, id, "cannot note that Slurm has let a job go");
                }
                break;
            }
            // The next look shows it.
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%error, id, "cannot tell whether Slurm has missed the end of a job")
            }
        }
        if tries == 0 {
            break;
        }
    }
    core.letting_go.lock().remove(&id);
}

/// Returns whether Slurm has let a job go. If it has missed the end, it is told.
async fn has_let_go(core: &Core, id: &str) -> Result<bool> {
    let said = core.recent().await?;
    match said.jobs.get(id).map(|entry| entry.line.state.as_str()) {
        Some("COMPLETING") => Ok(false),
        // One that was lost may have been submitted anew.
        Some(state) if !is_over(state) && core.files(id).await?.is_none() => {
            cancel(core, id).await.map(|()| false)
        }
        _ => Ok(true),
    }
}
