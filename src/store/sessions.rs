//! Job sessions in the store.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::Store;
use crate::model::{Error, Result, check_owner};

/// A stored job session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its row; unlike the name, never reused.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The contact string that it was created with.
    pub contact: Option<String>,
}

impl Store {
    /// Store a new session of a user. INVALID_ARGUMENT if there is one of that name.
    pub fn create_session(&self, name: &str, contact: Option<&str>, owner: &str) -> Result<Session> {
        self.write(|sql| {
            let taken = sql
                .prepare_cached("SELECT 1 FROM sessions WHERE name = ? AND destroyed = 0")?
                .exists([name])?;
            if taken {
                return Err(Error::argument(format!("job session \"{name}\" exists already")).into());
            }
            sql.execute(
                "INSERT INTO sessions (name, contact, owner) VALUES (?, ?, ?)",
                params![name, contact, owner],
            )?;
            let contact = contact.map(str::to_owned);
            Ok(Session { id: sql.last_insert_rowid(), name: name.to_owned(), contact })
        })
    }

    /// The session of that name. INVALID_ARGUMENT if there is none.
    pub fn session(&self, name: &str) -> Result<Session> {
        self.read(|sql| {
            sql.prepare_cached("SELECT id, contact FROM sessions WHERE name = ? AND destroyed = 0")?
                .query_row([name], |row| {
                    Ok(Session { id: row.get(0)?, name: name.to_owned(), contact: row.get(1)? })
                })
                .optional()?
                .ok_or_else(|| unknown(name).into())
        })
    }

    /// Returns whether the session is stored and not destroyed.
    pub fn has_session(&self, id: i64) -> Result<bool> {
        self.read(|sql| {
            Ok(sql
                .prepare_cached("SELECT 1 FROM sessions WHERE id = ? AND destroyed = 0")?
                .exists([id])?)
        })
    }

    /// Names of all sessions, in the order of their creation.
    pub fn session_names(&self) -> Result<Vec<String>> {
        self.read(|sql| {
            let mut query =
                sql.prepare_cached("SELECT name FROM sessions WHERE destroyed = 0 ORDER BY id")?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Remove a session with its ended jobs; the others are removed when they have ended.
    /// INVALID_ARGUMENT if there is none of that name; DENIED_BY_DRMS if only one of `owner` may be
    /// removed and it belongs to another user.
    pub fn destroy_session(&self, name: &str, owner: Option<&str>) -> Result<()> {
        self.write(|sql| {
            let found: Option<(i64, String)> = sql
                .query_row(
                    "UPDATE sessions SET destroyed = 1 WHERE name = ? AND destroyed = 0
                     RETURNING id, owner",
                    [name],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let (id, found) = found.ok_or_else(|| unknown(name))?;
            check_owner(&format!("job session \"{name}\""), Some(&found), owner)?;
            sql.execute(
                "UPDATE jobs SET reaped = 1 WHERE state IN (7, 8) AND submission IN
                     (SELECT number FROM submissions WHERE session = ?)",
                [id],
            )?;
            sweep(sql)?;
            Ok(())
        })
    }
}

/// Drop the rows that are not needed any more.
pub(super) fn sweep(sql: &rusqlite::Connection) -> rusqlite::Result<()> {
    let mut gone = sql.prepare_cached(
        "DELETE FROM jobs WHERE reaped = 1 AND leftovers = 0
             AND NOT EXISTS (SELECT 1 FROM mails WHERE job = jobs.number) RETURNING submission",
    )?;
    let submissions: BTreeSet<i64> =
        gone.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for number in submissions {
        sql.prepare_cached(
            "DELETE FROM submissions WHERE number = ?1 AND NOT EXISTS
                 (SELECT 1 FROM jobs WHERE submission = ?1)",
        )?
        .execute([number])?;
    }
    sql.prepare_cached(
        "DELETE FROM sessions WHERE destroyed = 1 AND NOT EXISTS
             (SELECT 1 FROM submissions WHERE submissions.session = sessions.id)",
    )?
    .execute([])?;
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::argument(format!("job session \"{name}\" does not exist"))
}
