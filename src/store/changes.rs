//! The last changes of states, so that a process that waits for jobs reads what has changed and not each of its jobs.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::state_of_number;
use super::{Failable, Store};
use crate::model::{JobState, Result};

/// The most changes that are read at a time; looking up the jobs is no more work then.
const MOST: i64 = 1000;

/// The changes since a look.
pub struct Changes {
    /// The last of them, for the next look.
    pub last: i64,
    /// The jobs with their states, oldest first; without a state, a job is reaped. `None` if they are too many, or not
    /// kept any more.
    pub jobs: Option<Vec<(String, Option<JobState>)>>,
}

/// A query for the number of the last change.
pub(super) const LAST: &str = "SELECT coalesce(max(number), 0) FROM changes";

impl Store {
    /// The number of the last change.
    pub fn last_change(&self) -> Result<i64> {
        self.read(last)
    }

    /// The changes after the change `seen`.
    pub fn changes_since(&self, seen: i64) -> Result<Changes> {
        self.read(|sql| since(sql, seen, last(sql)?))
    }
}

/// See [`Store::changes_since`]; `last` is the last change.
pub(super) fn since(sql: &Connection, seen: i64, last: i64) -> Failable<Changes> {
    if last == seen {
        return Ok(Changes { last, jobs: Some(Vec::new()) });
    }
    let kept = sql
        .prepare_cached("SELECT number FROM changes ORDER BY number LIMIT 1")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    // A smaller number is that of another database, put in place of this one.
    if last < seen || last - seen > MOST || kept.is_none_or(|kept| kept > seen + 1) {
        return Ok(Changes { last, jobs: None });
    }
    let mut query =
        sql.prepare_cached("SELECT job, state FROM changes WHERE number > ? ORDER BY number")?;
    let rows = query.query_map(params![seen], |row| {
        let state = row.get::<_, Option<i32>>(1)?.map(|number| state_of_number(number, 1));
        Ok((row.get(0)?, state.transpose()?))
    })?;
    Ok(Changes { last, jobs: Some(rows.collect::<rusqlite::Result<_>>()?) })
}

fn last(sql: &Connection) -> Failable<i64> {
    Ok(sql.prepare_cached(LAST)?.query_row([], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::super::jobs_tests::{store, submit_template, template, terms};
    use super::super::{Claim, Which};
    use super::*;
    use crate::model::{Control, Outcome};

    #[test]
    fn changes_of_states_are_told_once_and_in_order() {
        let (_dir, store, session) = store();
        submit_template(&store, &session, "a", &template(), &terms());
        let seen = store.last_change().unwrap();
        assert_eq!(store.changes_since(seen).unwrap().jobs, Some(vec![]));
        store.terminate(Which::Job("a"), Control::Terminate).unwrap();
        let changes = store.changes_since(seen).unwrap();
        assert_eq!(changes.jobs, Some(vec![("a".into(), Some(JobState::Failed))]));
        store.reap(Which::Job("a")).unwrap();
        let gone = store.changes_since(changes.last).unwrap();
        assert_eq!(gone.jobs, Some(vec![("a".into(), None)]));
        submit_template(&store, &session, "b", &template(), &terms());
        assert_eq!(
            store.changes_since(gone.last).unwrap().jobs,
            Some(vec![]),
            "nobody can wait for it yet"
        );
    }

    #[test]
    fn changes_are_dropped_in_the_end_and_a_late_reader_is_told() {
        let (_dir, store, session) = store();
        submit_template(&store, &session, "a", &template(), &terms());
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
                    INSERT INTO changes (job, state) SELECT 'x', 3 FROM n";
        store.write(|sql| Ok(sql.execute_batch(many)?)).unwrap();
        assert_eq!(store.changes_since(0).unwrap().jobs, None);
        let count = |sql: &Connection| {
            Ok(sql.query_row("SELECT count(*) FROM changes", [], |row| row.get::<_, i64>(0))?)
        };
        assert!(store.read(count).unwrap() <= 11_000);
        let last = store.last_change().unwrap();
        store.job_ended("a", &Outcome::failed("x"), &Claim::mine()).unwrap();
        assert_eq!(store.changes_since(last).unwrap().jobs.unwrap().len(), 1);
        assert_eq!(store.changes_since(last + 1000).unwrap().jobs, None);
    }
}
