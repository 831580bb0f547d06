//! A database that is damaged: it is set aside, so that work goes on with a new one, and never deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode as Sql;
use rusqlite::{Connection, OpenFlags};

use super::FILE;

/// The names of SQLite's files behind that of the database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Returns whether the database of a state directory is damaged so far that it cannot be opened. This
/// process must have no connection to it, whose locks would be lost.
pub fn is_there(state_dir: &Path) -> bool {
    let looked = Connection::open_with_flags(state_dir.join(FILE), OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|sql| {
            sql.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))
        });
    let code = looked.err().and_then(|error| error.sqlite_error_code());
    matches!(code, Some(Sql::NotADatabase | Sql::DatabaseCorrupt))
}

/// Rename the database, which no process may have open, and return its new name.
pub fn set_aside(state_dir: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| format!("{FILE}.damaged-{number}");
    let is_free = |number: &u32| PARTS.iter().all(|part| !state_dir.join(name(*number) + part).exists());
    let free = (1..).find(is_free).map(name).unwrap_or_default();
    for part in PARTS {
        let from = state_dir.join(format!("{FILE}{part}"));
        match fs::rename(&from, state_dir.join(format!("{free}{part}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(state_dir.join(free))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Owner, Scope};
    use crate::store::{Kind, Store};

    #[test]
    fn what_is_no_database_any_more_is_set_aside_with_all_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_there(dir.path()), "there is none");
        Store::open(dir.path())
            .unwrap()
            .create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None)
            .unwrap();
        assert!(!is_there(dir.path()));
        for (number, damage) in [(1, "rubbish ".repeat(2000)), (2, "SQLite format 3\0".repeat(1000))] {
            fs::write(dir.path().join(FILE), &damage).unwrap();
            fs::write(dir.path().join(format!("{FILE}-wal")), "journal").unwrap();
            assert!(is_there(dir.path()) && Store::open(dir.path()).is_err(), "{number}");
            fs::write(dir.path().join(format!("{FILE}-wal")), "journal").unwrap();
            let aside = set_aside(dir.path()).unwrap();
            assert_eq!(aside, dir.path().join(format!("{FILE}.damaged-{number}")));
            assert_eq!(fs::read_to_string(&aside).unwrap(), damage);
            let journal = dir.path().join(format!("{FILE}.damaged-{number}-wal"));
            assert_eq!(fs::read_to_string(journal).unwrap(), "journal");
            assert!(
                Store::open(dir.path())
                    .unwrap()
                    .session_names(Kind::Job, Scope::ALL)
                    .unwrap()
                    .is_empty()
            );
        }
    }
}
