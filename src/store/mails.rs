//! Mails about jobs that somebody has still to send. Triggers note them with the change that they
//! are about, whoever makes it, and who takes one out sends it: so it is sent once.

use rusqlite::params;

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
    /// Take out the mails that are to be sent.
    pub fn take_mails(&self) -> Result<Vec<Mail>> {
        let any = "SELECT 1 FROM mails LIMIT 1";
        if !self.read(|sql| Ok(sql.prepare_cached(any)?.exists([])?))? {
            return Ok(Vec::new());
        }
        self.write(|sql| {
            let noted: Vec<(i64, bool)> = sql
                .prepare_cached("SELECT job, started FROM mails ORDER BY number")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let mut mails = Vec::new();
            for (job, started) in noted {
                if let Some(info) = query::by_number(sql, job)? {
                    mails.push(Mail { to: recipients(sql, job)?, started, info });
                }
            }
            sql.execute("DELETE FROM mails", params![])?;
            sweep(sql)?;
            Ok(mails)
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
