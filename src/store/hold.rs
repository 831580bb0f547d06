//! Holding jobs.
//!
//! Only the runtime knows whether it is too late to hold a job that is being started. So the wish to
//! hold it is noted first. Then any process that sees the wish, the one that asks or the one that starts
//! the job, has its start withdrawn and stores the result. The job waits on, or has started; no state in
//! between stays undecided, whichever process dies.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::control::{WITHIN, Which};
use super::query::asked;
use super::transaction::transact;
use super::{Claim, Store};
use crate::model::{Control, JobState, Result, now_nanos};
use crate::tracker::Waiting;

/// The result of holding jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// The number of held jobs.
    pub held: usize,
    /// Id and runtime of jobs that are being started, whose start has to be withdrawn.
    pub starting: Vec<(String, String)>,
}

impl Store {
    /// Keep waiting jobs from starting.
    pub fn hold(&self, which: Which<'_>) -> Result<Holding> {
        self.write(|sql| {
            // The process that made a job ready undoes that.
            let query = format!(
                "UPDATE jobs SET state = state + 1, phase = CASE phase WHEN 1 THEN 3 ELSE phase END
                 WHERE ({WITHIN}) AND state IN (1, 5) AND phase NOT IN (2, 4)"
            );
            let held = sql.prepare_cached(&query)?.execute(which.ids())?;
            let query =
                format!("UPDATE jobs SET hold = 1 WHERE ({WITHIN}) AND state IN (1, 5) AND phase = 2");
            if sql.prepare_cached(&query)?.execute(which.ids())? == 0 {
                return Ok(Holding { held, starting: Vec::new() });
            }
            let query = format!(
                "SELECT id, (SELECT target FROM submissions WHERE number = submission) FROM jobs
                 WHERE ({WITHIN}) AND hold = 1"
            );
            let mut starting = sql.prepare_cached(&query)?;
            let starting = starting.query_map(which.ids(), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Holding { held, starting: starting.collect::<rusqlite::Result<_>>()? })
        })
    }

    /// The jobs that wait in the queue of their runtime, held ones or others: id and runtime.
    pub fn waiting_there(&self, which: Which<'_>, held: bool) -> Result<Vec<(String, String)>> {
        self.read(|sql| {
            let query = format!(
                "SELECT id, (SELECT target FROM submissions WHERE number = submission) FROM jobs
                 WHERE ({WITHIN}) AND phase = 4 AND state IN ({})",
                if held { "2, 6" } else { "1, 5" }
            );
            let mut query = sql.prepare_cached(&query)?;
            let jobs = query.query_map(which.ids(), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(jobs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Those of the jobs that were handed over to the queue of their runtime before, and whose state is another one than
    /// was reported.
    pub fn which_wait_otherwise(&self, reports: &[(String, Waiting)]) -> Result<HashSet<String>> {
        let query =
            "SELECT 1 FROM jobs WHERE id = ?1 AND phase = 4 AND claim IS NULL AND (state IN (3, 4)
                     OR (state IN (1, 2, 5, 6) AND state <> iif(?3 OR state IN (5, 6), 5, 1) + ?2))";
        self.read(|sql| {
            let mut query = sql.prepare_cached(query)?;
            let mut found = HashSet::new();
            for (id, how) in reports {
                if query.exists(params![id, how.held, how.again])? {
                    found.insert(id.clone());
                }
            }
            Ok(found)
        })
    }

    /// Store that jobs wait in the queue of their runtime, in one transaction. Returns, for those of which it was not
    /// stored already, whether the state was another one, and whether the end was asked for.
    pub fn jobs_wait(
        &self,
        reports: &[(String, Waiting)],
    ) -> Result<Vec<(String, bool, Option<Control>)>> {
        let known = "SELECT 1 FROM jobs WHERE id = ?1 AND phase = 4 AND claim IS NULL AND progress IS ?4
                     AND state = iif(?3 OR state IN (5, 6), 5, 1) + ?2";
        let news: Vec<&(String, Waiting)> = self.read(|sql| {
            let mut known = sql.prepare_cached(known)?;
            let mut news = Vec::new();
            for report in reports {
                let (id, Waiting { held, again, reason }) = report;
                if !known.exists(params![id, held, again, reason])? {
                    news.push(report);
                }
            }
            Ok(news)
        })?;
        if news.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|sql| {
            let mut before = sql.prepare_cached("SELECT state FROM jobs WHERE id = ?")?;
            let mut update = sql.prepare_cached(
                // A run that is over is counted: a late report about it is none about the next. The process that has
                // to pass an end on keeps its claim: if it dies, another one does that.
                "UPDATE jobs SET claim = iif(terminate <> 0, claim, NULL), progress = ?4, attempts = 0,
                     losses = losses + (state IN (3, 4)), slots = NULL,
                     switched = iif(state IN (3, 4), max(switched, ?5), switched),
                     state = iif(?3 OR state IN (5, 6), 5, 1) + ?2
                 WHERE id = ?1 AND phase = 4 AND (state IN (1, 2, 5, 6) OR (?3 AND state IN (3, 4)))
                 RETURNING state, terminate",
            )?;
            let mut stored = Vec::new();
            for (id, Waiting { held, again, reason }) in &news {
                let before: Option<i32> = before.query_row([id], |row| row.get(0)).optional()?;
                let mut rows = update.query(params![id, held, again, reason, now_nanos()])?;
                if let Some(row) = rows.next()? {
                    let is_news = row.get::<_, Option<i32>>(0)? != before;
                    stored.push((id.clone(), is_news, asked(row, 1)?));
                }
            }
            Ok(stored)
        })
    }

    /// Store that all tasks of an array wait in the queue of their runtime, into which `mine` has put them. False if that
    /// has to be stored of each, because they have rows by now.
    pub fn array_waits(&self, id: &str, how: &Waiting, mine: &Claim) -> Result<bool> {
        let state = if how.held { JobState::QueuedHeld } else { JobState::Queued };
        let stored = self.alone(|connection| {
            transact(connection, |sql| {
                let mut update = sql.prepare_cached(
                    "UPDATE submissions SET claim = NULL, folded = ?2, progress = ?3
                     WHERE id = ?1 AND folded IS NOT NULL AND claim = ?4",
                )?;
                Ok(update.execute(params![id, state as i32, how.reason, mine])? == 1)
            })
        });
        stored.inspect(|_| self.ring())
    }

    /// Returns whether a job that is being started is to be held.
    pub fn is_to_be_held(&self, id: &str) -> Result<bool> {
        let query = "SELECT 1 FROM jobs WHERE id = ? AND hold = 1";
        self.read(|sql| Ok(sql.prepare_cached(query)?.exists([id])?))
    }

    /// Store that the start of a job to be held was withdrawn, that of this run: the job is held, and the process that
    /// was starting it undoes that.
    pub fn job_withdrawn(&self, id: &str, run: i64) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET state = state + 1, hold = 0, phase = 3, slots = NULL,
                     withdrawn = withdrawn + 1
                 WHERE id = ?1 AND losses + withdrawn = ?2 AND hold = 1 AND phase = 2 AND state IN (1, 5)",
            )?
            .execute(params![id, run])?;
            Ok(())
        })
    }

    /// Store that a start by this process was withdrawn: it removes what is left of it, after which the job waits or
    /// has ended. False if this process was not starting it.
    pub fn start_withdrawn(&self, id: &str, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let changed = sql
                .prepare_cached(
                    "UPDATE jobs SET state = state + hold, hold = 0, phase = 3, slots = NULL, leftovers = 1,
                         withdrawn = withdrawn + 1
                     WHERE id = ? AND claim = ? AND phase = 2 AND state IN (1, 5)",
                )?
                .execute(params![id, mine])?;
            Ok(changed == 1)
        })
    }

    /// Store that a job has not started, although a start of the run with this number was stored: it was
    /// withdrawn just then. True if that was news: then `mine` is the process that removes what is left,
    /// after which the job waits.
    pub fn run_withdrawn(&self, id: &str, run: i64, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let changed = sql
                .prepare_cached(
                    "UPDATE jobs SET state = 5, phase = 3, claim = ?3, leftovers = 1, slots = NULL,
                         withdrawn = withdrawn + 1, switched = max(switched, ?4)
                     WHERE id = ?1 AND losses + withdrawn = ?2 AND phase = 2 AND state IN (3, 4)",
                )?
                .execute(params![id, run, mine, now_nanos()])?;
            Ok(changed == 1)
        })
    }

    /// Drop the wish to hold a job: it is too late, or unknown whether it is.
    pub fn forget_hold(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached("UPDATE jobs SET hold = 0 WHERE id = ?")?.execute([id])?;
            Ok(())
        })
    }
}
