//! Space: what deleted rows leave in the file goes back to the file system, a little at a time.

use std::sync::atomic::Ordering;

use super::Store;
use crate::model::Result;

/// Pages that may stay free, for the next jobs.
const KEPT: i64 = 256;
/// Pages that one transaction gives back.
const STEP: i64 = 256;

impl Store {
    /// Returns whether there may be space to give back.
    pub fn may_shrink(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }

    /// Give some space back, if this process has written since and much of the file is free. True if there is more to
    /// give back.
    pub fn shrink(&self) -> Result<bool> {
        if !self.written.swap(false, Ordering::Relaxed) {
            return Ok(false);
        }
        let (free, all) = self.read(|sql| {
            let pragma = |name| sql.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
            Ok((pragma("freelist_count")?, pragma("page_count")?))
        })?;
        if free < KEPT.max(all / 4) {
            return Ok(false);
        }
        self.write_quietly(|sql| {
            // Each step of the statement gives one page back.
            let mut steps = sql.prepare(&format!("PRAGMA incremental_vacuum({STEP})"))?;
            let mut rows = steps.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::jobs_tests::store;
    use super::super::{FILE, Kind};
    use super::*;
    use crate::model::Owner;

    /// Bytes of the database after all of the journal is in it.
    fn size(dir: &std::path::Path) -> u64 {
        let file = dir.join(FILE);
        let sql = Connection::open(&file).unwrap();
        sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        std::fs::metadata(file).unwrap().len()
    }

    #[test]
    fn space_is_given_back_and_a_little_is_kept() {
        let (dir, store, _session) = store();
        let before = size(dir.path());
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                    INSERT INTO events (job, session, state) SELECT hex(zeroblob(4000)), 1, 3 FROM n";
        store.write(|sql| Ok(sql.execute_batch(many)?)).unwrap();
        let full = size(dir.path());
        assert!(full > before + 10_000_000);
        assert!(!store.shrink().unwrap());
        store.write(|sql| Ok(sql.execute_batch("DELETE FROM events")?)).unwrap();
        while store.shrink().unwrap() {}
        let after = size(dir.path());
        assert!(after < before + 2_000_000, "{before}, {full}, {after}");
        assert!(!store.shrink().unwrap());
    }

    #[test]
    fn a_store_of_an_earlier_version_gives_its_space_back_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = include_str!("fixtures/7.sql");
        Connection::open(dir.path().join(FILE)).unwrap().execute_batch(fixture).unwrap();
        // Its connections know nothing of the change until they read again.
        let store = Store::open(dir.path()).unwrap();
        store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
        let sql = Connection::open(dir.path().join(FILE)).unwrap();
        assert_eq!(sql.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
        assert_eq!(
            sql.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(),
            "ok"
        );
    }
}
