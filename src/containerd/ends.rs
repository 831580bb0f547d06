//! The ends of jobs, as their records tell them, and the daemon the ends of their containers.

use std::sync::Arc;

use containerd_client::events::TaskExit;

use super::finish::{self, Exit};
use super::records::News;
use super::tracker_core::Core;
use crate::model::Outcome;
use crate::tracker::Fact;

/// Follow the records of the jobs that this process starts.
pub(super) async fn follow_records(core: Arc<Core>, news: News) {
    while let Some(jobs) = core.records.next(&news).await {
        jobs.into_iter().for_each(|id| recorded(&core, id));
    }
}

/// Report the end of a job that has a record, if that is all that there is to be known of it: else the end of its container
/// tells it.
fn recorded(core: &Core, id: String) {
    let whole = whole(core, &id).filter(|outcome| !outcome.lost);
    let is_left = whole.is_some() && core.facts.ended_in_launch(&id);
    // Only what is reported here keeps the daemon's event from being heard: the stream may tell the start of this job before
    // its launch has looked into the end.
    match whole.filter(|_| !is_left) {
        Some(outcome) if core.records.tells(&id, true) => {
            core.facts.report(Fact::Ended { id, outcome });
        }
        Some(_) => {}
        None => drop(core.records.tells(&id, false)),
    }
}

/// The end of a job by its record, if the daemon need not be asked for more.
fn whole(core: &Core, id: &str) -> Option<Outcome> {
    let outcome = finish::with_event(core, id, finish::recorded(&core.job_dir(id))?);
    (!finish::needs_daemon(&outcome)).then_some(outcome)
}

/// Report the end of a job whose container has ended, unless its record has told it.
pub(super) fn exited(core: &Arc<Core>, event: TaskExit) {
    let TaskExit { container_id, id, pid, exit_status, exited_at } = event;
    // The end of an additional process in the container is an exit event too.
    if id != container_id {
        return;
    }
    let Some(id) = core.job_of(&container_id) else { return };
    if core.records.has_told(&id) || core.facts.ended_while_launching(&id, pid) {
        return;
    }
    if let Some(outcome) = whole(core, &id) {
        return core.facts.report(Fact::Ended { id, outcome });
    }
    let core = core.clone();
    let exit = Exit { status: exit_status, at: exited_at };
    tokio::spawn(async move { finish::report_end(&core, &id, Some(exit), None).await });
}
