//! The numbers of the owners of what an earlier version has stored.

use nix::unistd::User;
use rusqlite::{Connection, params};

/// Give the sessions and reservations of an earlier version, which have their owners' names alone, the numbers. A user
/// that is not known any more has none.
pub(super) fn number(sql: &Connection) -> rusqlite::Result<()> {
    for table in ["sessions", "reservation_sessions", "reservations"] {
        let owners: Vec<String> = sql
            .prepare(&format!("SELECT DISTINCT owner FROM {table}"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for owner in owners {
            // Somebody without a name was stored by his number.
            let known = User::from_name(&owner).ok().flatten().map(|user| user.uid.as_raw());
            let Some(uid) = known.or_else(|| owner.parse().ok()) else { continue };
            sql.execute(
                &format!("UPDATE {table} SET owner_uid = ? WHERE owner = ?"),
                params![uid, owner],
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Store};
    use super::*;
    use crate::model::Scope;

    fn of(uid: u32) -> Scope {
        Scope { uid, others: false }
    }

    #[test]
    fn owners_of_an_earlier_version_get_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .write(|sql| {
                for (name, owner) in [("a", "root"), ("b", "12345"), ("c", "nobody of this name")] {
                    sql.execute(
                        "INSERT INTO sessions (name, owner, owner_uid) VALUES (?, ?, -1)",
                        params![name, owner],
                    )?;
                }
                Ok(number(sql)?)
            })
            .unwrap();
        assert_eq!(store.session_names(Kind::Job, of(0)).unwrap(), ["a"]);
        assert_eq!(store.session_names(Kind::Job, of(12345)).unwrap(), ["b"]);
        assert_eq!(store.session_names(Kind::Job, Scope::ALL).unwrap(), ["a", "b", "c"]);
    }
}
