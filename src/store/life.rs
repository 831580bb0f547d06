//! The steps of a job's life that a tracker reports, one transaction each.
//!
//! A job is QUEUED in several *phases*, which the user sees only as a substate:
//!
//! | phase | |
//! |---|---|
//! | 0 | nothing is being done for it |
//! | 1 | the claimer makes it ready, or has done so: it can be started at once when its turn comes |
//! | 2 | it holds its slots: the claimer starts it, and once it has started there is no claim |
//! | 3 | the claimer undoes what made it ready, or removes what is left of a run that was lost or withdrawn |
//! | 4 | it belongs to a runtime with a queue of its own: the claimer hands it over, and then there is no claim; it stays in this phase until its end, and takes no part in admission |
//!
//! A job that has ended is in phase 0; while there is something to clean up it has a claim.

use rusqlite::{Connection, OptionalExtension, params};

use super::leftovers::NOT_DELETED;
use super::rows::state;
use super::sweep::sweep;
use super::{Claim, Store};
use crate::model::{ErrorCode, ImageRef, JobState, Millis, Outcome, Result, now, now_nanos};

/// The result for a job that could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It waits again.
    Waits,
    /// It has failed.
    Failed,
    /// This process was not starting it.
    NotMine,
}

/// The source of the news that a job was suspended or resumed. Unlike other steps, these recur, so a
/// late report, for instance to a slow process, must not be mistaken for a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The runtime reported that it happened at this time, in nanoseconds since the epoch. It counts if
    /// it is the latest.
    Told {
        /// The time.
        at: i64,
    },
    /// A look-up found this state. It counts if the last stored switch is still that of this time.
    Found {
        /// The time.
        last: i64,
    },
}

impl Store {
    /// Store that the job's command has started. True if that was news. Not stored for a job that is to
    /// be held: its start may still be withdrawn.
    pub fn job_started(&self, id: &str, at: Millis, image: Option<&ImageRef>) -> Result<bool> {
        match self.start(id, at, image, false) {
            Err(error) if error.code == ErrorCode::OutOfResource && self.ballast.lower() => {
                self.start(id, at, image, false)
            }
            stored => stored,
        }
    }

    /// The same for a job whose start can no longer be withdrawn.
    pub fn job_begun(&self, id: &str, at: Millis, image: Option<&ImageRef>) -> Result<bool> {
        self.start(id, at, image, true)
    }

    fn start(&self, id: &str, at: Millis, image: Option<&ImageRef>, certain: bool) -> Result<bool> {
        self.advance(id, JobState::is_queued, |sql| {
            sql.prepare_cached(
                // For a job that waits to run again, only a report of the run that it was admitted to
                // counts.
                "UPDATE jobs SET state = 3, phase = iif(phase = 4, 4, 2), dispatched = coalesce(dispatched, ?2),
                     started = ?2, claim = NULL, hold = 0, leftovers = 1, slots = coalesce(slots, 1),
                     annotation = NULL, image = coalesce(?3, image),
                     image_digest = iif(?3 IS NULL, image_digest, ?4)
                 WHERE id = ?1 AND state NOT IN (3, 4, 7, 8) AND (phase IN (2, 4) OR state IN (1, 2))
                     AND (hold = 0 OR ?5)",
            )?
            .execute(params![
                id,
                at,
                image.map(|it| &it.name),
                image.and_then(|it| it.digest.as_ref()),
                certain
            ])
        })
    }

    /// Store where a job is about to run, or runs. Its start, which is stored next, tells others of it.
    pub fn job_placed(&self, id: &str, machine: &str, slots: Option<i64>) -> Result<()> {
        self.write_quietly(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET machine = ?2, slots = coalesce(?3, slots) WHERE id = ?1",
            )?
            .execute(params![id, machine, slots])?;
            Ok(())
        })
    }

    /// Store, in words, what delays the start of a job; `None` if nothing does any more. Other processes
    /// are not woken: they look when they need it.
    pub fn job_progress(&self, id: &str, text: Option<&str>) -> Result<()> {
        self.write_quietly(|sql| {
            sql.prepare_cached("UPDATE jobs SET progress = ?2 WHERE id = ?1 AND state IN (1, 2, 5, 6)")?
                .execute(params![id, text])?;
            Ok(())
        })
    }

    /// Store that the job was suspended. True if that was news.
    pub fn job_suspended(&self, id: &str, word: Word) -> Result<bool> {
        self.switch(id, JobState::Running, JobState::Suspended, word)
    }

    /// Store that the job was resumed. True if that was news.
    pub fn job_resumed(&self, id: &str, word: Word) -> Result<bool> {
        self.switch(id, JobState::Suspended, JobState::Running, word)
    }

    fn switch(&self, id: &str, from: JobState, to: JobState, word: Word) -> Result<bool> {
        let (at, last) = match word {
            Word::Told { at } => (at, None),
            Word::Found { last } => (now_nanos(), Some(last)),
        };
        self.advance(
            id,
            |state| state == from,
            |sql| {
                sql.prepare_cached(
                    "UPDATE jobs SET state = ?3, switched = ?4
                     WHERE id = ?1 AND state = ?2 AND iif(?5 IS NULL, switched < ?4, switched = ?5)",
                )?
                .execute(params![id, from as i32, to as i32, at, last])
            },
        )
    }

    /// Store that the job has ended. True if that was news: then `mine` is the process that cleans up.
    pub fn job_ended(&self, id: &str, outcome: &Outcome, mine: &Claim) -> Result<bool> {
        match self.end(id, outcome, mine) {
            Err(error) if error.code == ErrorCode::OutOfResource && self.ballast.drop() => {
                self.end(id, outcome, mine)
            }
            stored => stored,
        }
    }

    fn end(&self, id: &str, outcome: &Outcome, mine: &Claim) -> Result<bool> {
        let usage = &outcome.usage;
        self.advance(
            id,
            |state| !state.is_terminated(),
            |sql| {
                if outcome.started.is_some() {
                    // The start was not reported, but the job has run: so listeners get the event.
                    sql.prepare_cached(
                        "UPDATE jobs SET state = 3
                         WHERE id = ? AND ((phase = 2 AND state IN (1, 5)) OR (phase = 4 AND state IN (1, 2, 5, 6)))",
                    )?
                    .execute([id])?;
                }
                sql.prepare_cached(
                    // init knows the start to the millisecond, the launcher a little later.
                    "UPDATE jobs SET state = ?2, finished = ?4, phase = 0, hold = 0, leftovers = 1, claim = ?8,
                         dispatched = coalesce(min(dispatched, ?3), dispatched, ?3),
                         exit_status = ?5, signal = ?6, cpu_time = ?9, max_rss = ?10,
                         oom_killed = ?11, peak_memory = ?12, read_bytes = ?13, written_bytes = ?14,
                         image = coalesce(?15, image), image_digest = iif(?15 IS NULL, image_digest, ?16),
                         start_memory = ?17,
                         annotation = iif(?3 IS NULL AND terminate <> 0, coalesce(annotation, ?7), ?7)
                     WHERE id = ?1 AND state NOT IN (7, 8)",
                )?
                .execute(params![
                    id,
                    outcome.state() as i32,
                    outcome.started,
                    outcome.finished,
                    outcome.exit_status,
                    outcome.signal,
                    outcome.annotation(),
                    mine,
                    usage.cpu_time,
                    usage.max_rss,
                    usage.oom_killed,
                    usage.peak_memory,
                    usage.read_bytes,
                    usage.written_bytes,
                    outcome.image.as_ref().map(|image| &image.name),
                    outcome.image.as_ref().and_then(|image| image.digest.as_ref()),
                    usage.start_memory,
                ])
            },
        )
    }

    /// Store that a job claimed by this process could not be started for a reason that may pass, with
    /// nothing left of it. It waits again, unless that was the last of `attempts`; with `None` the
    /// attempt does not count.
    pub fn job_not_started(
        &self,
        id: &str,
        reason: &str,
        attempts: Option<i64>,
        mine: &Claim,
    ) -> Result<Retry> {
        self.write(|sql| {
            let failed = sql
                .prepare_cached(
                    "UPDATE jobs SET state = 8, finished = ?3, phase = 0, hold = 0, leftovers = 0,
                         claim = NULL, annotation = iif(terminate <> 0, annotation, ?4)
                     WHERE id = ?1 AND claim = ?2 AND state NOT IN (3, 4, 7, 8)
                         AND ((phase = 2 AND state IN (1, 5)) OR phase = 4)
                         AND (terminate <> 0 OR attempts + 1 >= ?5)",
                )?
                .execute(params![id, mine, now(), reason, attempts])?;
            if failed == 1 {
                return Ok(Retry::Failed);
            }
            let waits = sql
                .prepare_cached(
                    "UPDATE jobs SET state = state + hold, hold = 0, phase = 0, leftovers = 0,
                         attempts = attempts + (?3 IS NOT NULL), claim = NULL, slots = NULL
                     WHERE id = ?1 AND claim = ?2 AND phase = 2 AND state IN (1, 5)",
                )?
                .execute(params![id, mine, attempts])?;
            // It was not handed over: this process tries it again.
            let tries = sql
                .prepare_cached(
                    "UPDATE jobs SET attempts = attempts + (?3 IS NOT NULL)
                     WHERE id = ?1 AND claim = ?2 AND phase = 4 AND state NOT IN (3, 4, 7, 8)",
                )?
                .execute(params![id, mine, attempts])?;
            Ok(if waits + tries == 1 { Retry::Waits } else { Retry::NotMine })
        })
    }

    /// Store that a job could not be made ready, with nothing left of it. Unless something else was
    /// decided meanwhile, it waits, or has failed if there is a reason. True if it has failed.
    pub fn job_not_prepared(&self, id: &str, failure: Option<&str>, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let changed = sql
                .prepare_cached(
                    "UPDATE jobs SET phase = 0, leftovers = 0, claim = NULL,
                         state = iif(?3 IS NULL, state, 8), finished = iif(?3 IS NULL, NULL, ?4),
                         annotation = ?3
                     WHERE id = ?1 AND claim = ?2 AND phase = 1",
                )?
                .execute(params![id, mine, failure, now()])?;
            Ok(changed == 1 && failure.is_some())
        })
    }

    /// Remove a job, or a job array, as if it had never existed. False if it no longer just waits.
    pub fn withdraw(&self, id: &str) -> Result<bool> {
        self.shows_tasks(id);
        self.write(|sql| {
            let begun =
                "SELECT 1 FROM jobs WHERE submission = (SELECT number FROM submissions WHERE id = ?1)
                             AND (phase NOT IN (0, 4) OR state IN (3, 4, 7, 8) OR (phase = 4 AND claim IS NULL))";
            if sql.prepare_cached(begun)?.exists([id])? {
                return Ok(false);
            }
            let all =
                "DELETE FROM jobs WHERE submission = (SELECT number FROM submissions WHERE id = ?1)";
            let gone = sql.prepare_cached(all)?.execute([id])?;
            sql.prepare_cached("DELETE FROM submissions WHERE id = ?1")?.execute([id])?;
            Ok(gone > 0)
        })
    }

    /// Store that nothing is left of the job but its row. A job that was made ready waits again.
    pub fn job_deleted(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET leftovers = 0, claim = NULL,
                     annotation = iif(annotation LIKE ?2 || '%', NULL, annotation)
                 WHERE id = ?1 AND state IN (7, 8)",
            )?
            .execute(params![id, NOT_DELETED])?;
            sql.prepare_cached(
                "UPDATE jobs SET state = 8, phase = 0, leftovers = 0, claim = NULL, finished = ?2
                 WHERE id = ?1 AND phase = 3 AND terminate <> 0 AND state IN (1, 2, 5, 6)",
            )?
            .execute(params![id, now()])?;
            sql.prepare_cached(
                "UPDATE jobs SET phase = 0, leftovers = 0, claim = NULL
                 WHERE id = ? AND phase = 3 AND state IN (1, 2, 5, 6)",
            )?
            .execute([id])?;
            sweep(sql)?;
            Ok(())
        })?;
        // The job's disk space may be free again.
        self.ballast.take();
        Ok(())
    }

    /// Make a change unless the job's state shows that it is made already: several processes on one
    /// store each see the same event.
    fn advance(
        &self,
        id: &str,
        applies: impl FnOnce(JobState) -> bool,
        change: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> Result<bool> {
        let query = "SELECT state FROM jobs WHERE id = ?";
        let stored = self.read(|sql| {
            Ok(sql.prepare_cached(query)?.query_row([id], |row| state(row, 0)).optional()?)
        })?;
        if !stored.is_some_and(applies) {
            return Ok(false);
        }
        self.write(|sql| Ok(change(sql)? == 1))
    }
}
