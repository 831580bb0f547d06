//! Jobs made ready before their turn: all of a launch but the start of the task, which takes only a
//! fraction of the time.
//!
//! Each prepared job has one background task, which alone works on its objects: it makes them, then
//! receives the word to start or to remove the job. So neither can overtake the making, or the other.

use std::pin::pin;
use std::sync::Arc;

use super::facts::{Ticket, Word, Words};
use super::image::Image;
use super::start::{self, Started};
use super::tracker_core::Core;
use super::turn::Turn;
use super::{JobSettings, launch, pull, remove, withdraw};
use crate::container::order;
use crate::model::{Error, ErrorCode, Result};
use crate::tracker::{Fact, NewJob};

/// Make a job ready after its attempt was begun, and then follow the word about it.
pub(super) async fn prepare(core: &Arc<Core>, job: NewJob, ticket: Ticket, mut words: Words) {
    // Kept until the end: a pull continues while something waits for it, and a start of this job waits
    // for it in turn.
    let mut ready = pin!(pull::ready(core, &job));
    let turn = async {
        ready.as_mut().await?;
        Ok(Turn::wait(&core.preparations).await)
    };
    let turn = tokio::select! {
        biased;
        // Nothing is made yet, so there is nothing to wait for.
        word = words.recv() => {
            return match word {
                Some(Word::Start(wanted)) => start::launch(core, &wanted, ticket).await,
                Some(Word::Undo) => undo(core, &job, ticket, words).await,
                None => {}
            };
        }
        turn = turn => turn,
    };
    // From now on it is made to the end: the daemon continues with a request even if nothing waits for
    // the answer, and would obstruct another attempt.
    let made = match turn {
        Ok(mut turn) => launch::make(core, &job, &mut turn).await,
        Err(error) => Err(error),
    };
    let image = match made {
        Ok(image) => Ok(image),
        // The process that has asked it to end, or has withdrawn it, decides about it then.
        Err(error) if withdraw::still_wanted(core, &job.id).is_err() => Err(error),
        Err(error) => {
            let withdrawn = start::give_up(core, &job.id, &error).await.unwrap_or_default();
            let fact = Fact::NotPrepared { id: job.id.clone(), error };
            return undone(core, &job, ticket, words, fact, withdrawn).await;
        }
    };
    match words.recv().await {
        Some(Word::Start(wanted)) => {
            let started = match image {
                Ok(image) => start(core, &job, &image, &wanted).await,
                Err(error) => Err(error),
            };
            start::conclude(core, &job.id, ticket, started).await;
        }
        Some(Word::Undo) => undo(core, &job, ticket, words).await,
        // Another process has started its task.
        None => {}
    }
}

/// Start a prepared job; `wanted` is its present form.
async fn start(core: &Arc<Core>, prepared: &NewJob, image: &Image, wanted: &NewJob) -> Result<Started> {
    match start_task(core, prepared, image, wanted).await {
        Err(error) if error.code != ErrorCode::DrmCommunication => {
            withdraw::still_wanted(core, &wanted.id)?;
            // Its task may have been killed, or its container does not have the right form.
            tracing::debug!(%error, id = wanted.id, "a prepared job is made anew");
            start::start_again(core, wanted).await
        }
        started => started,
    }
}

async fn start_task(core: &Core, prepared: &NewJob, image: &Image, wanted: &NewJob) -> Result<Started> {
    if wanted != prepared {
        let ends = wanted.ends.clone();
        let limits = NewJob { wall_clock: wanted.wall_clock, ends, ..prepared.clone() };
        if *wanted != limits {
            return Err(Error::state("it is another job than the one that was prepared"));
        }
        // Limits are only in the order, which init has not read yet.
        let (host, patience) = (core.host().await, JobSettings::of(wanted)?.patience());
        let order = order::order(wanted, &image.config, patience, &host)?;
        launch::write_order(core, &wanted.id, order).await?;
    }
    let mut turn = Turn::wait(&core.launches).await;
    start::start(core, &wanted.id, &mut turn).await
}

/// Remove everything of a prepared job.
async fn undo(core: &Arc<Core>, job: &NewJob, ticket: Ticket, words: Words) {
    // The semaphore is never closed.
    let turn = core.deletions.acquire().await;
    let removed = core.daemon.patiently(|| remove::remove(core, &job.id)).await;
    drop(turn);
    let id = job.id.clone();
    let fact = match removed {
        Ok(_) => Fact::Deleted { id },
        Err(error) => Fact::NotDeleted { id, error },
    };
    undone(core, job, ticket, words, fact, false).await;
}

/// Report that nothing is left of a prepared job, with the reason. It may be wanted again by now, unless
/// it was `withdrawn`.
async fn undone(
    core: &Arc<Core>,
    job: &NewJob,
    ticket: Ticket,
    mut words: Words,
    fact: Fact,
    withdrawn: bool,
) {
    let id = &job.id;
    let Some(wanted) = core.facts.undone(id, &mut words, fact) else { return };
    let again = if withdrawn { withdraw::withdraw(core, id).map(drop) } else { Ok(()) };
    match again.and_then(|()| launch::renew(core, &wanted)) {
        Ok(()) => start::launch(core, &wanted, ticket).await,
        Err(error) => start::conclude(core, id, ticket, Err(error)).await,
    }
}
