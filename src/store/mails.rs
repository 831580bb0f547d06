//! Mails about jobs that somebody has still to send. Triggers note them with the change that they
//! are about, whoever makes it. A process claims a mail, sends it and removes it: no two send the same
//! one, and what a process that dies had claimed falls to the others.

use nix::unistd::geteuid;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::query::{self, parsed};
use super::sessions::sweep;
use super::{Claim, Failable, Store};
use crate::model::{JobInfo, JobTemplate, Result, Text};

/// A mail about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The program that sends it.
    pub program: Text,
    /// Who gets it.
    pub to: Vec<Text>,
    /// It is about the start of the job, else about its end.
    pub started: bool,
    /// The job.
    pub info: JobInfo,
}

/// What sends the mails about a submission: what was configured where it was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailer {
    /// A program that takes them as sendmail does.
    pub program: Text,
    /// The user of the process that it was configured for. Nobody else runs it.
    pub uid: u32,
}

/// The mails that a process of this user may send, and those about jobs that nobody knows any more.
const MINE: &str = "FROM mails m
    LEFT JOIN jobs j ON j.number = m.job
    LEFT JOIN submissions b ON b.number = j.submission
    WHERE b.mailer IS NULL OR b.mailer ->> 'uid' = ?1";

impl Store {
    /// Is there a mail that this process may send, or that somebody is at?
    pub fn any_mail(&self) -> Result<bool> {
        let query = format!("SELECT 1 {MINE} LIMIT 1");
        self.read(|sql| Ok(sql.prepare_cached(&query)?.exists([geteuid().as_raw()])?))
    }

    /// Have the next mail sent that nobody is at; `None` if there is none. It stays if that fails for a
    /// reason that may pass, and is dropped with any other failure. One thread of a process may do so.
    ///
    /// `send` runs between two transactions: however long it takes, it keeps nobody waiting.
    pub fn send_mail<T>(
        &self,
        mine: &Claim,
        mut send: impl FnMut(&Mail) -> Result<T>,
    ) -> Result<Option<T>> {
        while let Some((number, mail)) = self.claim_mail(mine)? {
            let sent = match mail.as_ref().map(&mut send).transpose() {
                Err(error) if error.may_pass() => {
                    self.leave_mail(number, mine)?;
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "a mail is not sent");
                    None
                }
                Ok(sent) => sent,
            };
            self.drop_mail(number, mine)?;
            if sent.is_some() {
                return Ok(sent);
            }
        }
        Ok(None)
    }

    /// The next mail that nobody is at, with its row; without a mail if nobody knows its job any more.
    fn claim_mail(&self, mine: &Claim) -> Result<Option<(i64, Option<Mail>)>> {
        // Each transaction rings the bell, which makes everybody look again.
        if self.read(|sql| next(sql, mine))?.is_none() {
            return Ok(None);
        }
        self.write(|sql| {
            let Some(Noted { number, job, started }) = next(sql, mine)? else { return Ok(None) };
            let claim = "UPDATE mails SET claim = ?2 WHERE number = ?1";
            sql.prepare_cached(claim)?.execute(params![number, mine])?;
            let mail = match query::by_number(sql, job)? {
                Some(info) => mail(sql, job, started, info)?,
                None => None,
            };
            Ok(Some((number, mail)))
        })
    }

    /// Somebody may try it later.
    fn leave_mail(&self, number: i64, mine: &Claim) -> Result<()> {
        self.write(|sql| {
            let leave = "UPDATE mails SET claim = NULL WHERE number = ?1 AND claim = ?2";
            sql.prepare_cached(leave)?.execute(params![number, mine])?;
            Ok(())
        })
    }

    fn drop_mail(&self, number: i64, mine: &Claim) -> Result<()> {
        self.write(|sql| {
            let drop = "DELETE FROM mails WHERE number = ?1 AND claim = ?2";
            sql.prepare_cached(drop)?.execute(params![number, mine])?;
            Ok(sweep(sql)?)
        })
    }
}

/// The row of a mail.
struct Noted {
    number: i64,
    job: i64,
    started: bool,
}

/// The next mail that nobody is at: who claims it has died, or is this process, which could not store
/// what became of it.
fn next(sql: &Connection, mine: &Claim) -> Failable<Option<Noted>> {
    let next =
        format!("SELECT m.number, m.job, m.started, m.claim {MINE} ORDER BY m.started DESC, m.number");
    let mut query = sql.prepare_cached(&next)?;
    let mut rows = query.query([geteuid().as_raw()])?;
    while let Some(row) = rows.next()? {
        let claim: Option<Claim> = row.get(3)?;
        if claim.is_none_or(|claim| claim == *mine || !claim.is_alive()) {
            return Ok(Some(Noted { number: row.get(0)?, job: row.get(1)?, started: row.get(2)? }));
        }
    }
    Ok(None)
}

/// The mail about a job of this row; `None` if there is no program to send it.
fn mail(sql: &Connection, job: i64, started: bool, info: JobInfo) -> Failable<Option<Mail>> {
    let (template, mailer): (String, Option<String>) = sql
        .prepare_cached(
            "SELECT b.template, b.mailer FROM jobs j JOIN submissions b ON b.number = j.submission
             WHERE j.number = ?",
        )?
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(mailer) = mailer else { return Ok(None) };
    let program = parsed::<Mailer>(&mailer)?.program;
    let to = parsed::<JobTemplate>(&template)?.email.unwrap_or_default();
    Ok(Some(Mail { program, to, started, info }))
}
