//! What is left of jobs that have ended, and the thread that has it removed.

use std::sync::mpsc::Receiver;

use super::engine::Engine;
use super::progress::Doing;

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
        let _ = self.ended.send(id.to_owned());
    }

    /// The clean-up thread: a result is on stable storage before its job's files go.
    pub(super) fn clean(&self, ended: &Receiver<String>) {
        while let Ok(first) = ended.recv() {
            let batch: Vec<String> = std::iter::once(first).chain(ended.try_iter()).collect();
            let synced = self.store.sync();
            for id in batch {
                let deleted = synced.clone().and_then(|()| self.tracker.delete_job(&id));
                if let Err(error) = deleted {
                    // It stays marked in the store; the next process, or the next Live, tries again.
                    tracing::warn!(job = %id, %error, "cannot clean up an ended job");
                    self.done(&id);
                }
            }
        }
    }
}
