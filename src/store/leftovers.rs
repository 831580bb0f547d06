//! Leftovers of jobs that have ended, where their removal fails.

use rusqlite::params;

use super::{Claim, Store};
use crate::model::Result;

/// How the annotation begins of a job that has none of its own, while what is left of it cannot be removed.
pub(super) const NOT_DELETED: &str = "what is left of it cannot be removed: ";

impl Store {
    /// Note that the leftovers of a job that has ended cannot be removed; that may still change.
    pub fn job_not_deleted(&self, id: &str, reason: &str) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET annotation = ?3 || ?2
                 WHERE id = ?1 AND state IN (7, 8) AND (annotation IS NULL OR annotation LIKE ?3 || '%')",
            )?
            .execute(params![id, reason, NOT_DELETED])?;
            Ok(())
        })
    }

    /// This process tries no longer to remove what is left of a job that has ended. It keeps nobody from
    /// leaving any more.
    pub fn give_up_deleting(&self, id: &str, mine: &Claim) -> Result<()> {
        self.write(|sql| {
            let query = "UPDATE jobs SET leftovers = 2, claim = NULL
                         WHERE id = ?1 AND claim = ?2 AND state IN (7, 8)";
            sql.prepare_cached(query)?.execute(params![id, mine])?;
            Ok(())
        })
    }

    /// Try again to delete what other processes gave up deleting on a runtime.
    pub fn retry_deleting(&self, target: &str) -> Result<()> {
        const GIVEN_UP: &str =
            "leftovers = 2 AND submission IN (SELECT number FROM submissions WHERE target = ?)";
        let query = format!("SELECT 1 FROM jobs WHERE {GIVEN_UP}");
        if self.read(|sql| Ok(sql.prepare_cached(&query)?.exists([target])?))? {
            let query = format!("UPDATE jobs SET leftovers = 1 WHERE {GIVEN_UP}");
            self.write(|sql| Ok(sql.prepare_cached(&query)?.execute([target])?))?;
        }
        Ok(())
    }

    /// The runtimes that hold something of jobs which others gave up deleting.
    pub fn given_up_targets(&self) -> Result<Vec<String>> {
        self.read(|sql| {
            let query = "SELECT DISTINCT target FROM submissions
                         WHERE number IN (SELECT submission FROM jobs WHERE leftovers = 2)";
            let mut query = sql.prepare_cached(query)?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// May the runtime, or the state directory, rightly hold something of a job?
    pub fn may_have_leftovers(&self, id: &str) -> Result<bool> {
        let query = "SELECT 1 FROM jobs WHERE id = ? AND (state NOT IN (7, 8) OR leftovers <> 0)";
        self.read(|sql| Ok(sql.prepare_cached(query)?.exists([id])?))
    }
}
