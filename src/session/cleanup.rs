//! The clean-up thread: it removes the leftovers of ended jobs, and of abandoned attempts.
//!
//! A failed removal is repeated, each time after a longer pause, but only a limited number of times by
//! this process: the runtime may be unable to do it for long. The next process that opens a session
//! tries again.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::engine::{Chore, Engine};
use super::progress::Doing;
use crate::model::{Error, Result};

/// The number of tries of a removal, which take about two minutes.
const TRIES: u32 = 8;

impl Engine {
    /// Let the clean-up thread clean up after an ended job.
    pub(super) fn clean_up(&self, id: &str) {
        let before = self.progress.lock().clean(id);
        if before != Some(Doing::Cleaning) {
            self.send_to_cleaner(id);
        }
    }

    /// Returns whether this process has to clean up after a job: another of its threads may have stored the end just now.
    pub(super) fn cleans(&self, id: &str) -> bool {
        let job = self.store.unsettled_job(id);
        matches!(job, Ok(Some(job)) if job.state.is_terminated() && job.claim.as_ref() == Some(&self.mine))
    }

    pub(super) fn send_to_cleaner(&self, id: &str) {
        // The receiver lives as long as the process.
        let _ = self.chores.send(Chore::Clean(id.to_owned()));
    }

    /// Let the clean-up thread find leftovers of attempts at jobs, soon.
    pub(super) fn sweep(&self) {
        self.progress.lock().sweeping = true;
        // The receiver lives as long as the process.
        let _ = self.chores.send(Chore::Sweep);
    }

    /// The clean-up thread: a result is on stable storage before its job's files are removed.
    pub(super) fn clean(&self, chores: &Receiver<Chore>) {
        while let Ok(first) = chores.recv() {
            let batch: Vec<Chore> = std::iter::once(first).chain(chores.try_iter()).collect();
            let synced = self.store.sync();
            for chore in batch {
                match chore {
                    Chore::Clean(id) => {
                        let deleted = synced.clone().and_then(|()| self.tracker.delete_job(&id));
                        deleted.unwrap_or_else(|error| self.not_deleted(&id, &error));
                    }
                    Chore::Sweep => self.look_for_leftovers(),
                }
            }
        }
    }

    fn look_for_leftovers(&self) {
        let needed = |id: &str| self.store.may_have_leftovers(id);
        let found = self.tracker.leftovers(&needed).unwrap_or_else(|error| {
            // The next time that the link is `Live`, it is tried again.
            tracing::warn!(%error, "cannot look for what attempts at jobs have left");
            Vec::new()
        });
        self.progress.lock().found(found);
        self.changed.notify_all();
        self.changes.tell();
        self.kick.ring();
    }

    /// Remove leftovers of attempts at jobs, as far as they are due.
    pub(super) fn delete_leftovers(&self) {
        let names = self.progress.lock().take_up_leftovers();
        for name in names {
            if let Err(error) = self.tracker.delete_leftover(&name) {
                self.not_deleted(&name, &error);
            }
        }
    }

    /// Returns whether this process may still remove leftovers of attempts at jobs.
    pub(super) fn has_leftovers(&self) -> bool {
        self.progress.lock().has_leftovers()
    }

    /// The time of the next repetition of a failed removal.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.progress.lock().next_try()
    }

    /// Store that nothing is left of a job.
    pub(super) fn deleted(&self, id: &str) -> Result<()> {
        let stored = if self.store.knows(id)? { self.store.job_deleted(id) } else { Ok(()) };
        self.progress.lock().forget_failure(id);
        self.cleaned(id);
        self.changes.tell();
        stored
    }

    /// Note that the clean-up of a job is over.
    pub(super) fn cleaned(&self, id: &str) {
        self.progress.lock().forget_work(id);
        self.changed.notify_all();
        self.kick.ring();
    }

    /// Note that a removal failed.
    pub(super) fn not_deleted(&self, id: &str, error: &Error) {
        let (doing, times) = {
            let mut progress = self.progress.lock();
            (progress.doing(id), progress.failed(id))
        };
        tracing::warn!(job = %id, %error, times, "what is left of it cannot be removed");
        let ends = times >= TRIES && doing != Some(Doing::Undoing);
        let mut noted = if times > 1 { self.store.job_not_deleted(id, &error.message) } else { Ok(()) };
        if ends {
            noted = noted.and(self.store.give_up_deleting(id, &self.mine));
            self.progress.lock().forget_failure(id);
        }
        if let Err(error) = noted {
            tracing::warn!(job = %id, %error, "cannot note that");
        }
        self.changed.notify_all();
        self.changes.tell();
        self.kick.ring();
    }
}
