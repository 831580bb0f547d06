//! Sessions in the store: those for jobs, and those for reservations, whose names are independent.
//!
//! Each user has names of his own.

use std::fmt;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::sweep::{sweep, sweep_reservations};
use super::{Failable, Store};
use crate::model::{Error, Owner, Result, Scope, check_owner, now};

/// The two kinds of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A job session.
    Job,
    /// A reservation session.
    Reservation,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Job => "sessions",
            Self::Reservation => "reservation_sessions",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Job => "job session",
            Self::Reservation => "reservation session",
        })
    }
}

/// A stored session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its kind.
    pub kind: Kind,
    /// Its row; unlike the name, never reused.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The contact string that it was created with.
    pub contact: Option<String>,
}

impl Store {
    /// Store a new session of a user. INVALID_ARGUMENT if he has one of that name.
    pub fn create_session(
        &self,
        kind: Kind,
        name: &str,
        contact: Option<&str>,
        owner: &Owner,
        made_as: Option<&str>,
    ) -> Result<Session> {
        self.write(|sql| {
            let added = sql
                .prepare_cached(&format!(
                    "INSERT OR IGNORE INTO {} (name, contact, owner, owner_uid, made_as)
                     VALUES (?, ?, ?, ?, ?)",
                    kind.table()
                ))?
                .execute(params![name, contact, owner.user, owner.uid, made_as])?;
            if added == 0 {
                return Err(Error::argument(format!("{kind} \"{name}\" exists already")).into());
            }
            let contact = contact.map(str::to_owned);
            Ok(Session { kind, id: sql.last_insert_rowid(), name: name.to_owned(), contact })
        })
    }

    /// The session that a call of this name has made, unless it is destroyed.
    pub fn session_made_as(&self, kind: Kind, name: &str, made_as: &str) -> Result<Option<Session>> {
        let query = format!(
            "SELECT id, contact FROM {} WHERE name = ? AND destroyed = 0 AND made_as = ?",
            kind.table()
        );
        self.read(|sql| {
            let of_row = |row: &rusqlite::Row<'_>| {
                Ok(Session { kind, id: row.get(0)?, name: name.to_owned(), contact: row.get(1)? })
            };
            Ok(sql.prepare_cached(&query)?.query_row([name, made_as], of_row).optional()?)
        })
    }

    /// The session of that name. INVALID_ARGUMENT if there is none, or none is his own and several others have one.
    pub fn session(&self, kind: Kind, name: &str, scope: Scope) -> Result<Session> {
        self.read(|sql| {
            let (id, _) = found(sql, kind, name, scope)?;
            let query = format!("SELECT contact FROM {} WHERE id = ?", kind.table());
            let contact = sql.prepare_cached(&query)?.query_row([id], |row| row.get(0))?;
            Ok(Session { kind, id, name: name.to_owned(), contact })
        })
    }

    /// The session of this row, unless it is destroyed or not in the scope.
    pub fn session_of_row(&self, kind: Kind, id: i64, scope: Scope) -> Result<Option<Session>> {
        let query = format!(
            "SELECT owner_uid, name, contact FROM {} WHERE id = ? AND destroyed = 0",
            kind.table()
        );
        self.read(|sql| {
            let of_row = |row: &rusqlite::Row<'_>| {
                let session = Session { kind, id, name: row.get(1)?, contact: row.get(2)? };
                Ok((row.get::<_, i64>(0)?, session))
            };
            let found = sql.prepare_cached(&query)?.query_row([id], of_row).optional()?;
            Ok(found.filter(|(owner, _)| scope.has(*owner)).map(|(_, session)| session))
        })
    }

    /// Names of all sessions, in the order of their creation.
    pub fn session_names(&self, kind: Kind, scope: Scope) -> Result<Vec<String>> {
        let query = format!(
            "SELECT name FROM {} WHERE destroyed = 0 AND (? OR owner_uid = ?) GROUP BY name ORDER BY min(id)",
            kind.table()
        );
        self.read(|sql| {
            let mut query = sql.prepare_cached(&query)?;
            let names = query.query_map(params![scope.others, scope.uid], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Remove a session with its ended jobs, or with its reservations that are over; the other jobs are removed when
    /// they have ended, and the other reservations stay in force until their end. Returns its row. INVALID_ARGUMENT if
    /// there is none of that name; DENIED_BY_DRMS if only one of `owner` may be removed and it belongs to another user.
    pub fn destroy_session(
        &self,
        kind: Kind,
        name: &str,
        scope: Scope,
        owner: Option<&str>,
    ) -> Result<i64> {
        self.write(|sql| {
            let (id, whose) = found(sql, kind, name, scope)?;
            check_owner(&format!("{kind} \"{name}\""), Some(&whose), owner)?;
            sql.execute(&format!("UPDATE {} SET destroyed = 1 WHERE id = ?", kind.table()), [id])?;
            match kind {
                Kind::Job => {
                    sql.execute(
                        "UPDATE jobs SET reaped = 1 WHERE state IN (7, 8) AND submission IN
                             (SELECT number FROM submissions WHERE session = ?)",
                        [id],
                    )?;
                    sweep(sql)?;
                }
                Kind::Reservation => sweep_reservations(sql, now())?,
            }
            Ok(id)
        })
    }
}

/// The row and the owner of the session of that name: the user's own, or else the only one.
fn found(sql: &Connection, kind: Kind, name: &str, scope: Scope) -> Failable<(i64, String)> {
    let query = format!(
        "SELECT id, owner, owner_uid FROM {} WHERE name = ? AND destroyed = 0 AND (? OR owner_uid = ?)
         ORDER BY owner_uid <> ?3, id LIMIT 2",
        kind.table()
    );
    let values: [&dyn ToSql; 3] = [&name, &scope.others, &scope.uid];
    let rows = sql
        .prepare_cached(&query)?
        .query_map(values, |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    match rows.as_slice() {
        [] => Err(Error::argument(format!("{kind} \"{name}\" does not exist")).into()),
        [(_, one, uid), (_, other, _)] if *uid != i64::from(scope.uid) => {
            let text = format!("{kind} \"{name}\" is one of user {one} and one of user {other}");
            Err(Error::argument(text).into())
        }
        [(id, owner, _), ..] => Ok((*id, owner.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;

    fn of(uid: u32) -> Scope {
        Scope { uid, others: false }
    }

    #[test]
    fn each_user_has_names_of_his_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (alice, bob) = (Owner::for_tests("alice", 1001), Owner::for_tests("bob", 1002));
        for kind in [Kind::Job, Kind::Reservation] {
            let first = store.create_session(kind, "night", Some("a"), &alice, None).unwrap();
            let code = |result: Result<Session>| result.unwrap_err().code;
            assert_eq!(
                code(store.create_session(kind, "night", None, &alice, None)),
                ErrorCode::InvalidArgument
            );
            assert_eq!(store.session(kind, "night", of(1001)).unwrap(), first);
            assert_eq!(code(store.session(kind, "night", of(1002))), ErrorCode::InvalidArgument);
            assert_eq!(store.session_of_row(kind, first.id, of(1002)).unwrap(), None);
            assert!(store.session_of_row(kind, first.id, of(1001)).unwrap().is_some());
            assert!(store.session_names(kind, of(1002)).unwrap().is_empty());
            // One who sees all finds the only one of that name, and is told if there are several.
            assert_eq!(store.session(kind, "night", Scope::ALL).unwrap(), first);
            let second = store.create_session(kind, "night", None, &bob, None).unwrap();
            store.create_session(kind, "day", None, &bob, None).unwrap();
            assert_eq!(store.session(kind, "night", of(1002)).unwrap(), second);
            let error = store.session(kind, "night", Scope::ALL).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains("alice") && error.message.contains("bob"), "{error}");
            assert_eq!(store.session_names(kind, Scope::ALL).unwrap(), ["night", "day"]);
            assert_eq!(store.session_names(kind, of(1001)).unwrap(), ["night"]);
            // His own comes first.
            let own =
                store.create_session(kind, "night", None, &Owner::for_tests("root", 0), None).unwrap();
            assert_eq!(store.session(kind, "night", Scope::ALL).unwrap(), own);

            let refused = store.destroy_session(kind, "day", of(1001), None).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidArgument);
            let refused = store.destroy_session(kind, "day", Scope::ALL, Some("alice")).unwrap_err();
            assert_eq!(refused.code, ErrorCode::DeniedByDrms);
            assert_eq!(store.destroy_session(kind, "night", of(1002), None), Ok(second.id));
            assert!(store.session_of_row(kind, first.id, Scope::ALL).unwrap().is_some());
        }
    }
}
