//! Mails about jobs that somebody has still to send. Triggers note them with the change that they
//! are about, whoever makes it, and who takes one out sends it: so it is sent once.

use rusqlite::{OptionalExtension, Row};

use super::query::{self, parsed};
use super::sessions::sweep;
use super::{Failable, Store};
use crate::model::{JobInfo, JobTemplate, Result, Text};

/// A mail about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who gets it.
    pub to: Vec<Text>,
    /// It is about the start of the job, else about its end.
    pub started: bool,
    /// The job.
    pub info: JobInfo,
}

impl Store {
    /// Is there a mail that is to be sent?
    pub fn any_mail(&self) -> Result<bool> {
        self.read(|sql| Ok(sql.prepare_cached("SELECT 1 FROM mails LIMIT 1")?.exists([])?))
    }

    /// Take out the next mail that is to be sent. One at a time: who takes it may end before it is sent.
    pub fn take_mail(&self) -> Result<Option<Mail>> {
        if !self.any_mail()? {
            return Ok(None);
        }
        let next = "SELECT number, job, started FROM mails ORDER BY started DESC, number LIMIT 1";
        self.write(|sql| {
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let noted: Option<(i64, i64, bool)> =
                sql.prepare_cached(next)?.query_row([], read).optional()?;
            let Some((number, job, started)) = noted else { return Ok(None) };
            let info = query::by_number(sql, job)?;
            let to = info.as_ref().map(|_| recipients(sql, job)).transpose()?;
            sql.prepare_cached("DELETE FROM mails WHERE number = ?")?.execute([number])?;
            sweep(sql)?;
            Ok(to.zip(info).map(|(to, info)| Mail { to, started, info }))
        })
    }
}

fn recipients(sql: &rusqlite::Connection, job: i64) -> Failable<Vec<Text>> {
    let json: String = sql
        .prepare_cached(
            "SELECT b.template FROM jobs j JOIN submissions b ON b.number = j.submission
             WHERE j.number = ?",
        )?
        .query_row([job], |row| row.get(0))?;
    Ok(parsed::<JobTemplate>(&json)?.email.unwrap_or_default())
}
