//! Leftovers of ended jobs whose removal fails.

use rusqlite::params;

use super::fold;
use super::{Claim, Store};
use crate::model::Result;

/// Prefix of the annotation of a job without one, while its leftovers cannot be removed.
pub(super) const NOT_DELETED: &str = "what is left of it cannot be removed: ";

impl Store {
    /// Note that the leftovers of an ended job cannot be removed; this may be temporary.
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

    /// Store that this process no longer tries to remove the leftovers of an ended job. They no longer
    /// keep any process from leaving.
    pub fn give_up_deleting(&self, id: &str, mine: &Claim) -> Result<()> {
        self.write(|sql| {
            let query = "UPDATE jobs SET leftovers = 2, claim = NULL
                         WHERE id = ?1 AND claim = ?2 AND state IN (7, 8)";
            sql.prepare_cached(query)?.execute(params![id, mine])?;
            Ok(())
        })
    }

    /// Let removals that were given up on a runtime be tried again.
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

    /// The runtimes with leftovers whose removal was given up.
    pub fn given_up_targets(&self) -> Result<Vec<String>> {
        self.read(|sql| {
            let query = "SELECT DISTINCT target FROM submissions
                         WHERE number IN (SELECT submission FROM jobs WHERE leftovers = 2)";
            let mut query = sql.prepare_cached(query)?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns whether the runtime or the state directory may rightly hold something of a job.
    pub fn may_have_leftovers(&self, id: &str) -> Result<bool> {
        if fold::is_handed_over(id, &self.handed_over) {
            return Ok(true);
        }
        let query = "SELECT 1 FROM jobs WHERE id = ? AND (state NOT IN (7, 8) OR leftovers <> 0)";
        self.read(|sql| Ok(sql.prepare_cached(query)?.exists([id])?))
    }
}
