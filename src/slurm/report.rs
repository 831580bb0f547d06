//! The facts that are reported of a job when its account is new.

use super::core::{Core, Known};
use crate::model::{JobInfo, JobState, Result, now};
use crate::tracker::{Fact, Waiting};

/// The words of Slurm for a job that was submitted as held.
const HELD: &str = "PENDING JobHeldUser";

/// The place in Slurm's queue of a job that Slurm has just taken.
pub(super) fn waiting(held: bool) -> Waiting {
    Waiting { held, again: false, reason: held.then(|| HELD.to_owned()) }
}

impl Core {
    /// Report what is new of these jobs. One that cannot be looked at does not keep the others.
    pub(super) async fn tell_all(&self, ids: &[String]) -> Result<()> {
        let mut told = Ok(());
        for (_, info) in self.job_infos(ids).await? {
            match info {
                Ok(info) => self.tell(&info).await,
                Err(error) => told = told.and(Err(error)),
            }
        }
        told
    }

    /// Report what is new in the account of a job.
    pub(super) async fn tell(&self, info: &JobInfo) {
        let (id, words) = (info.id.clone(), info.substate.clone());
        let known = Known { words: words.clone(), state: info.state };
        let last = self.known.lock().insert(id.clone(), known);
        let is_same = last.as_ref().is_some_and(|last| last.state == info.state);
        if !is_same {
            self.await_switch(&id, false);
        }
        let last = last.filter(|last| !is_same || last.words != words).map(|last| last.state);
        if is_same && last.is_none() {
            return;
        }
        if let Some(how) = Waiting::of(info) {
            self.report(Fact::Waits { id, how });
            return;
        }
        let begun = last.is_some_and(JobState::is_started);
        // One that ends may have begun unseen; without an exit status it has not.
        let begins = match info.state {
            state if state.is_started() => !begun,
            state => state.is_terminated() && !begun && info.exit_status.is_some(),
        };
        if begins && !is_same {
            if let Some(place) = info.allocated_machines.first() {
                let (machine, slots) = (place.machine.clone(), Some(place.slots));
                self.report(Fact::Placed { id: id.clone(), machine, slots });
            }
            let at = info.dispatched.unwrap_or_else(now);
            self.report(Fact::Started { id: id.clone(), at, image: info.image.clone() });
        }
        match info.state {
            _ if is_same => {}
            JobState::Running if last == Some(JobState::Suspended) => {
                let at = self.switched(&info.id).await;
                self.report(Fact::Resumed { id, at });
            }
            JobState::Suspended => {
                let at = self.switched(&info.id).await;
                self.report(Fact::Suspended { id, at });
            }
            state if state.is_terminated() => self.report(Fact::Ended { id, outcome: info.outcome() }),
            _ => {}
        }
    }

    /// Report that Slurm has taken a job into its queue, unless more is known of it already.
    pub(super) async fn tell_submitted(&self, id: &str, held: bool) {
        if self.known.lock().contains_key(id) {
            return;
        }
        let how = waiting(held);
        let mut info = JobInfo::new(id, if held { JobState::QueuedHeld } else { JobState::Queued });
        info.substate = how.reason;
        self.tell(&info).await;
    }

    /// Report a job anew, whatever was reported of it.
    pub(super) async fn tell_again(&self, info: &JobInfo) {
        self.known.lock().remove(&info.id);
        self.tell(info).await;
    }
}
