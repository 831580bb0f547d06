//! Reservation sessions in the store. Their names are independent of those of job sessions.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Session, Store};
use crate::model::{Error, Millis, Result, check_owner, now};

impl Store {
    /// Store a new session of a user. INVALID_ARGUMENT if there is one of that name.
    pub fn create_reservation_session(
        &self,
        name: &str,
        contact: Option<&str>,
        owner: &str,
    ) -> Result<Session> {
        self.write(|sql| {
            let taken = sql
                .prepare_cached("SELECT 1 FROM reservation_sessions WHERE name = ? AND destroyed = 0")?
                .exists([name])?;
            if taken {
                let text = format!("reservation session \"{name}\" exists already");
                return Err(Error::argument(text).into());
            }
            sql.execute(
                "INSERT INTO reservation_sessions (name, contact, owner) VALUES (?, ?, ?)",
                params![name, contact, owner],
            )?;
            let contact = contact.map(str::to_owned);
            Ok(Session { id: sql.last_insert_rowid(), name: name.to_owned(), contact })
        })
    }

    /// The session of that name. INVALID_ARGUMENT if there is none.
    pub fn reservation_session(&self, name: &str) -> Result<Session> {
        self.read(|sql| {
            sql.prepare_cached(
                "SELECT id, contact FROM reservation_sessions WHERE name = ? AND destroyed = 0",
            )?
            .query_row([name], |row| {
                Ok(Session { id: row.get(0)?, name: name.to_owned(), contact: row.get(1)? })
            })
            .optional()?
            .ok_or_else(|| unknown(name).into())
        })
    }

    /// Returns whether the session is stored and not destroyed.
    pub fn has_reservation_session(&self, id: i64) -> Result<bool> {
        self.read(|sql| {
            Ok(sql
                .prepare_cached("SELECT 1 FROM reservation_sessions WHERE id = ? AND destroyed = 0")?
                .exists([id])?)
        })
    }

    /// Names of all sessions, in the order of their creation.
    pub fn reservation_session_names(&self) -> Result<Vec<String>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(
                "SELECT name FROM reservation_sessions WHERE destroyed = 0 ORDER BY id",
            )?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Remove a session with its reservations that are over; the others stay in force until their end.
    /// INVALID_ARGUMENT if there is none of that name; DENIED_BY_DRMS if only one of `owner` may be
    /// removed and it belongs to another user.
    pub fn destroy_reservation_session(&self, name: &str, owner: Option<&str>) -> Result<()> {
        self.write(|sql| {
            let found: Option<String> = sql
                .query_row(
                    "UPDATE reservation_sessions SET destroyed = 1 WHERE name = ? AND destroyed = 0
                     RETURNING owner",
                    [name],
                    |row| row.get(0),
                )
                .optional()?;
            let found = found.ok_or_else(|| unknown(name))?;
            check_owner(&format!("reservation session \"{name}\""), Some(&found), owner)?;
            Ok(sweep_reservations(sql, now())?)
        })
    }
}

/// Drop the rows of destroyed sessions that are not needed any more.
pub(super) fn sweep_reservations(sql: &Connection, now: Millis) -> rusqlite::Result<()> {
    sql.execute(
        "DELETE FROM reservations WHERE ends <= ? AND session IN
             (SELECT id FROM reservation_sessions WHERE destroyed = 1)
             AND NOT EXISTS (SELECT 1 FROM submissions WHERE reservation = reservations.number)",
        [now],
    )?;
    sql.execute(
        "DELETE FROM reservation_sessions WHERE destroyed = 1 AND NOT EXISTS
             (SELECT 1 FROM reservations WHERE reservations.session = reservation_sessions.id)",
        [],
    )?;
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::argument(format!("reservation session \"{name}\" does not exist"))
}
