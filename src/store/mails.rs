//! Mails about jobs that somebody has still to send. Triggers note them with the change that they
//! are about, whoever makes it. A mail goes out in the transaction that removes it: no two processes
//! send it, and one that dies over it leaves it to the others.

use rusqlite::{Connection, OptionalExtension, Row};

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

    /// Have the next mail sent that is to be; `None` if there is none. It stays if that fails for a
    /// reason that may pass, and is dropped with any other failure.
    ///
    /// `send` runs inside the transaction: it must not use the store, and no thread forks meanwhile.
    pub fn send_mail<T>(&self, mut send: impl FnMut(&Mail) -> Result<T>) -> Result<Option<T>> {
        while self.any_mail()? {
            let sent = self.write(|sql| {
                let Some((number, mail)) = next(sql)? else { return Ok(None) };
                let sent = match mail.as_ref().map(&mut send).transpose() {
                    Err(error) if error.may_pass() => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(%error, "a mail is not sent");
                        None
                    }
                    Ok(sent) => sent,
                };
                sql.prepare_cached("DELETE FROM mails WHERE number = ?")?.execute([number])?;
                sweep(sql)?;
                Ok(sent)
            })?;
            if sent.is_some() {
                return Ok(sent);
            }
        }
        Ok(None)
    }
}

/// The next mail, with its row; without a mail if nobody knows its job any more.
fn next(sql: &Connection) -> Failable<Option<(i64, Option<Mail>)>> {
    let next = "SELECT number, job, started FROM mails ORDER BY started DESC, number LIMIT 1";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let noted: Option<(i64, i64, bool)> = sql.prepare_cached(next)?.query_row([], read).optional()?;
    let Some((number, job, started)) = noted else { return Ok(None) };
    let mail = match query::by_number(sql, job)? {
        Some(info) => Some(Mail { to: recipients(sql, job)?, started, info }),
        None => None,
    };
    Ok(Some((number, mail)))
}

fn recipients(sql: &Connection, job: i64) -> Failable<Vec<Text>> {
    let json: String = sql
        .prepare_cached(
            "SELECT b.template FROM jobs j JOIN submissions b ON b.number = j.submission
             WHERE j.number = ?",
        )?
        .query_row([job], |row| row.get(0))?;
    Ok(parsed::<JobTemplate>(&json)?.email.unwrap_or_default())
}
