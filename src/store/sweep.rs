//! Drops rows that are not needed any more.

use std::collections::BTreeSet;

use rusqlite::Connection;

use crate::model::Millis;

/// Drop reaped jobs of which nothing is left, with their submissions, and the sessions that were kept for them.
pub(super) fn sweep(sql: &Connection) -> rusqlite::Result<()> {
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

/// The same for reservations and their sessions.
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
