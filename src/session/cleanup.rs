//! The clean-up thread: it removes the leftovers of ended jobs, and of attempts that were given up.
//!
//! A removal that fails is tried again, each time after a longer pause, but only so often by this process: the
//! runtime may be unable to do it for long. The next process that opens a session tries again.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::engine::Engine;
use super::progress::Doing;
use crate::model::{Error, Result};

/// How often a process tries to remove what is left of something: that takes about two minutes.
const TRIES: u32 = 8;

/// A piece of work for the clean-up thread.
pub(super) enum Chore {
    /// To remove what is left of a job that has ended.
    Clean(String),
    /// To look for what attempts at jobs have left.
    Sweep,
}

impl Engine {
    /// Clean up after a job that has ended.
    pub(super) fn clean_up(&self, id: &str) {
        let before = self.progress.lock().clean(id);
        if before != Some(Doing::Cleaning) {
            self.send_to_cleaner(id);
        }
    }

    pub(super) fn send_to_cleaner(&self, id: &str) {
        // The receiver lives as long as the process.
        let _ = self.chores.send(Chore::Clean(id.to_owned()));
    }

    /// Look for what attempts at jobs have left, soon.
    pub(super) fn sweep(&self) {
        self.progress.lock().sweeping = true;
        // The receiver lives as long as the process.
        let _ = self.chores.send(Chore::Sweep);
    }

    /// The clean-up thread: a result is on stable storage before its job's files go.
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
            // The next Live tries again.
            tracing::warn!(%error, "cannot look for what attempts at jobs have left");
            Vec::new()
        });
        self.progress.lock().found(found);
        self.changed.notify_all();
        self.changes.tell();
        self.kick.ring();
    }

    /// Remove what attempts at jobs have left, as far as it is time for that.
    pub(super) fn delete_leftovers(&self) {
        let names = self.progress.lock().take_up_leftovers();
        for name in names {
            if let Err(error) = self.tracker.delete_leftover(&name) {
                self.not_deleted(&name, &error);
            }
        }
    }

    /// May this process still remove something that attempts at jobs have left?
    pub(super) fn has_leftovers(&self) -> bool {
        self.progress.lock().has_leftovers()
    }

    /// When it is tried again to remove something that could not be.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.progress.lock().next_try()
    }

    /// Nothing is left.
    pub(super) fn deleted(&self, id: &str) -> Result<()> {
        let stored = if self.store.knows(id)? { self.store.job_deleted(id) } else { Ok(()) };
        self.progress.lock().forget_failure(id);
        self.done(id);
        self.changes.tell();
        stored
    }

    /// Something could not be removed.
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
