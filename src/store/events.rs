//! New states of jobs, for the processes that listen to them.
//!
//! Triggers note each as an event, in the transaction that makes it, in any process; without a listener
//! nothing is noted. So every listener sees events once and in order, including those of its own
//! process. An event that every listener has taken is dropped.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::rows::state;
use super::{Claim, Kind, Session, Store};
use crate::model::{JobState, Result};

/// A new state of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the order of all events.
    pub number: i64,
    /// The job.
    pub job: String,
    /// The job's session; `None` if it has been destroyed.
    pub session: Option<Session>,
    /// The state.
    pub state: JobState,
}

impl Store {
    /// Note events for a process from now on. Returns the number of the last event before that.
    pub fn listen(&self, listener: &Claim) -> Result<i64> {
        self.write_quietly(|sql| {
            forget_dead(sql)?;
            let last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
            let last = sql.query_row(last, [], |row| row.get(0))?;
            sql.execute("REPLACE INTO listeners (claim, seen) VALUES (?, ?)", params![listener, last])?;
            Ok(last)
        })
    }

    /// Stop noting events for a process.
    pub fn unlisten(&self, listener: &Claim) -> Result<()> {
        self.write_quietly(|sql| Ok(forget(sql, listener)?))
    }

    /// Take the next events after the one of this number, at most `limit`. If the process is too far
    /// behind, the numbers have a gap.
    pub fn take_events(&self, listener: &Claim, after: i64, limit: i64) -> Result<Vec<Event>> {
        self.next_events(listener, after, limit, |events| events.last().map(|last| last.number))
    }

    /// The same for a process that may not get them: they are kept until it asks for those after them.
    pub fn show_events(&self, listener: &Claim, after: i64, limit: i64) -> Result<Vec<Event>> {
        self.next_events(listener, after, limit, |_| Some(after))
    }

    /// The next events; `taken` tells the last that the process has.
    fn next_events(
        &self,
        listener: &Claim,
        after: i64,
        limit: i64,
        taken: impl FnOnce(&[Event]) -> Option<i64>,
    ) -> Result<Vec<Event>> {
        let any = "SELECT 1 FROM events WHERE number > ? LIMIT 1";
        if !self.read(|sql| Ok(sql.prepare_cached(any)?.exists([after])?))? {
            return Ok(Vec::new());
        }
        // No other process has to know, and the bell would wake the listener itself.
        self.write_quietly(|sql| {
            let events: Vec<Event> = sql
                .prepare_cached(
                    "SELECT e.number, e.job, e.state, s.id, s.name, s.contact
                     FROM events e LEFT JOIN sessions s ON s.id = e.session AND s.destroyed = 0
                     WHERE e.number > ? ORDER BY e.number LIMIT ?",
                )?
                .query_map([after, limit], event)?
                .collect::<rusqlite::Result<_>>()?;
            if let Some(taken) = taken(&events) {
                // The process may have listened anew since, and be further ahead.
                sql.prepare_cached("UPDATE listeners SET seen = max(seen, ?2) WHERE claim = ?1")?
                    .execute(params![listener, taken])?;
                drop_taken(sql)?;
            }
            Ok(events)
        })
    }

    /// Stop noting events for processes that have died.
    pub fn forget_dead_listeners(&self) -> Result<()> {
        self.write_quietly(|sql| Ok(forget_dead(sql)?))
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let id: Option<i64> = row.get(3)?;
    let session = |id| {
        let (kind, name, contact) = (Kind::Job, row.get(4)?, row.get(5)?);
        Ok::<_, rusqlite::Error>(Session { kind, id, name, contact })
    };
    Ok(Event {
        number: row.get(0)?,
        job: row.get(1)?,
        session: id.map(session).transpose()?,
        state: state(row, 2)?,
    })
}

fn forget_dead(sql: &Connection) -> rusqlite::Result<()> {
    let listeners: Vec<Claim> = sql
        .prepare_cached("SELECT claim FROM listeners")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    listeners.iter().filter(|listener| !listener.is_alive()).try_for_each(|dead| forget(sql, dead))
}

fn forget(sql: &Connection, listener: &Claim) -> rusqlite::Result<()> {
    sql.prepare_cached("DELETE FROM listeners WHERE claim = ?")?.execute([listener])?;
    drop_taken(sql)
}

fn drop_taken(sql: &Connection) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "DELETE FROM events
         WHERE number <= (SELECT coalesce(min(seen), 9223372036854775807) FROM listeners)",
    )?
    .execute([])
    .map(drop)
}
