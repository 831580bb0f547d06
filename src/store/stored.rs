//! The jobs and bytes that are stored of each user, and their limits.

use rusqlite::{Connection, OptionalExtension};

use super::transaction::Failable;
use crate::model::{Error, ErrorCode};

/// The most that may be stored of a user's jobs; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Most {
    /// Jobs that are not reaped.
    pub jobs: Option<i64>,
    /// Bytes of their templates.
    pub bytes: Option<i64>,
}

/// TRY_LATER if there is more of a user's than he may have. To be asked after a submission, in its transaction.
pub(super) fn check(sql: &Connection, uid: u32, most: Most) -> Failable<()> {
    if most == Most::default() {
        return Ok(());
    }
    let mut query = sql.prepare_cached("SELECT jobs, bytes FROM stored WHERE owner_uid = ?")?;
    let stored = query.query_row([uid], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (mut jobs, bytes): (i64, i64) = stored.unwrap_or_default();
    if most.jobs.is_some_and(|most| jobs > most) {
        // Some may be reaped, and be cleaned up after yet.
        let mut query = sql.prepare_cached(
            "SELECT count(*) FROM submissions b CROSS JOIN jobs j ON j.submission = b.number
             WHERE b.owner_uid = ? AND j.reaped = 1",
        )?;
        jobs -= query.query_row([uid], |row| row.get::<_, i64>(0))?;
    }
    for (what, stored, most) in
        [("jobs", jobs, most.jobs), ("bytes of job templates", bytes, most.bytes)]
    {
        if let Some(most) = most.filter(|most| stored > *most) {
            let text = format!(
                "{stored} {what} of this user would be stored, {most} may be: reap some that have ended"
            );
            return Err(Error::new(ErrorCode::TryLater, text).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::jobs_tests::{array, insert, store};
    use super::super::{FILE, Store, Which};
    use super::*;
    use crate::model::{Control, Outcome};
    use crate::store::Claim;

    fn stored(store: &Store) -> Vec<(i64, i64)> {
        let query = "SELECT jobs, bytes > 0 FROM stored ORDER BY owner_uid";
        let read = store.read(|sql| {
            let mut query = sql.prepare(query)?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        });
        read.unwrap()
    }

    #[test]
    fn what_is_stored_is_counted_until_it_is_reaped() {
        let (_dir, store, session) = store();
        assert_eq!(stored(&store), []);
        insert(&store, &session, "a");
        array(&store, &session, "b", &[3, 5, 7]);
        assert_eq!(stored(&store), [(4, 1)]);
        for which in [Which::Job("a"), Which::Array("b")] {
            store.terminate(which, Control::Kill).unwrap();
            store.reap(which).unwrap();
        }
        assert_eq!(stored(&store), [(0, 0)]);
    }

    #[test]
    fn more_than_may_be_stored_is_refused() {
        let (_dir, store, session) = store();
        insert(&store, &session, "a");
        array(&store, &session, "b", &[1, 2]);
        let checked = |uid, jobs, bytes| {
            let checked: crate::model::Result<()> =
                store.write(|sql| check(sql, uid, Most { jobs, bytes }));
            checked.map_err(|error| error.code)
        };
        let uid = crate::store::jobs_tests::submitter().uid;
        assert_eq!(checked(uid, Some(2), None), Err(ErrorCode::TryLater));
        // It is being cleaned up after, and reaped.
        store.job_ended("a", &Outcome::failed("x"), &Claim::mine()).unwrap();
        store.reap(Which::Job("a")).unwrap();
        assert_eq!((checked(uid, Some(2), None), stored(&store)), (Ok(()), vec![(3, 1)]));
        insert(&store, &session, "c");
        assert_eq!(checked(uid, Some(3), Some(1 << 20)), Ok(()));
        assert_eq!(checked(uid, None, None), Ok(()));
        assert_eq!(checked(uid, Some(2), None), Err(ErrorCode::TryLater));
        assert_eq!(checked(uid, None, Some(1)), Err(ErrorCode::TryLater));
        assert_eq!(checked(uid + 1, Some(0), Some(0)), Ok(()));
    }

    #[test]
    fn what_an_earlier_version_has_stored_is_counted() {
        let (dir, store, session) = store();
        insert(&store, &session, "a");
        array(&store, &session, "b", &[1, 2]);
        let counted = stored(&store);
        store.sync().unwrap();
        drop(store);
        let sql = Connection::open(dir.path().join(FILE)).unwrap();
        let earlier = "DROP TRIGGER submission_stored; DROP TRIGGER submission_gone; DROP TABLE stored;
                       ALTER TABLE sessions DROP COLUMN made_as; ALTER TABLE reservation_sessions DROP COLUMN made_as;
                       PRAGMA user_version = 12";
        sql.execute_batch(earlier).unwrap();
        drop(sql);
        assert_eq!(stored(&Store::open(dir.path()).unwrap()), counted);
    }
}
