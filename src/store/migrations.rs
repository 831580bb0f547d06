//! The schema of the database, and the ways to it from those of earlier versions.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::owners;
use super::transaction::Failable;
use crate::model::{Error, ErrorCode};

const SCHEMA: &str = include_str!("schema.sql");
pub(super) const VERSION: i64 = 14;
/// Files of earlier versions are not made to give space back.
pub(super) const FIRST_TO_SHRINK: i64 = 8;
/// The migrations, each from the schema of the version before.
const MIGRATIONS: [(i64, &str); 8] = [
    (7, include_str!("migrations/7.sql")),
    (8, include_str!("migrations/8.sql")),
    (9, include_str!("migrations/9.sql")),
    (10, include_str!("migrations/10.sql")),
    (11, include_str!("migrations/11.sql")),
    (12, include_str!("migrations/12.sql")),
    (13, include_str!("migrations/13.sql")),
    (14, include_str!("migrations/14.sql")),
];
/// Earlier versions have the names of owners alone.
const WITH_OWNERS: i64 = 12;

/// The version of the schema; 0 in a new file.
pub(super) fn version(sql: &Connection) -> rusqlite::Result<i64> {
    sql.query_row("PRAGMA user_version", [], |row| row.get(0))
}

pub(super) fn migrate(transaction: &Transaction<'_>, path: &Path) -> Failable<()> {
    let oldest = MIGRATIONS[0].0 - 1;
    match version(transaction)? {
        0 => Ok(transaction.execute_batch(SCHEMA)?),
        version if (oldest..=VERSION).contains(&version) => {
            for (_, migration) in MIGRATIONS.iter().filter(|(to, _)| *to > version) {
                transaction.execute_batch(migration)?;
            }
            if version < WITH_OWNERS {
                owners::number(transaction)?;
            }
            Ok(())
        }
        other => {
            let text = format!("its schema version is {other}, this library knows {VERSION}");
            let error = Error::new(ErrorCode::SessionManagement, text);
            Err(error.of(format!("job store {}", path.display())).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FILE, Kind, Store};
    use super::*;
    use crate::model::Owner;

    /// The tables with their columns, the indexes and the triggers of a store.
    fn schema(store: &Store) -> Vec<(String, String, Option<String>)> {
        let query = "SELECT m.type || ' ' || m.name, m.tbl_name,
                         (SELECT group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\", ', ' ORDER BY c.name)
                          FROM pragma_table_info(m.name) c)
                     FROM sqlite_master m ORDER BY 1";
        let read = store.read(|sql| {
            let mut query = sql.prepare(query)?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        });
        read.unwrap()
    }

    #[test]
    fn a_store_of_an_earlier_version_is_brought_up_to_date() {
        let fresh = tempfile::tempdir().unwrap();
        let expected = schema(&Store::open(fresh.path()).unwrap());
        for (version, fixture) in [
            (6, include_str!("fixtures/6.sql")),
            (7, include_str!("fixtures/7.sql")),
            (8, include_str!("fixtures/8.sql")),
            (9, include_str!("fixtures/9.sql")),
            (10, include_str!("fixtures/10.sql")),
            (11, include_str!("fixtures/11.sql")),
            (12, include_str!("fixtures/12.sql")),
            (13, include_str!("fixtures/13.sql")),
        ] {
            let dir = tempfile::tempdir().unwrap();
            Connection::open(dir.path().join(FILE)).unwrap().execute_batch(fixture).unwrap();
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(schema(&store), expected, "from {version}");
            store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
        }
    }
}
