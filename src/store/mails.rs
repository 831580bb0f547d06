//! Mails about jobs that are still to be sent. Triggers note them with the change that they are about,
//! in any process. A process claims a mail and starts another that takes it over, sends it and removes
//! it: no two send the same one, and the claims of a process that dies pass to others. A mail that
//! cannot be sent stays, with the reason and the time of the next attempt.

use nix::unistd::geteuid;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::query::{self, parsed};
use super::sweep::sweep;
use super::{Claim, Failable, Store};
use crate::model::{JobInfo, JobTemplate, Millis, Result, Text, now};

/// A mail about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The program that sends it.
    pub program: Text,
    /// Its recipients.
    pub to: Vec<Text>,
    /// It is about the start of the job, otherwise about its end.
    pub started: bool,
    /// The job.
    pub info: JobInfo,
}

/// The program that sends the mails about a submission, as configured where it was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailer {
    /// A program that takes them as sendmail does.
    pub program: Text,
    /// The user of the process that it was configured for, and the only one that runs it.
    pub uid: u32,
}

/// The mails that a process of this user may send, and those about jobs that are not stored any more.
const MINE: &str = "FROM mails m
    LEFT JOIN jobs j ON j.number = m.job
    LEFT JOIN submissions b ON b.number = j.submission
    WHERE (b.mailer IS NULL OR b.mailer ->> 'uid' = ?1)";

/// The next mail that no process is sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextMail {
    /// It has this number, and now belongs to the caller.
    Claimed(i64),
    /// It is due at this time.
    DueAt(Millis),
    /// There is none.
    None,
}

/// The number of attempts in the first minutes; after them the mail keeps no agent.
const SOON: i64 = 5;
/// The number of attempts in all, which takes five days if a process is always there to make them.
const LAST: i64 = 128;
/// The longest time between two attempts, milliseconds.
const LONGEST: Millis = 3_600_000;

impl Store {
    /// Returns whether there is a mail that this process may send and for which an agent should stay.
    pub fn any_mail(&self) -> Result<bool> {
        let query = format!("SELECT 1 {MINE} AND m.attempts < ?2 LIMIT 1");
        self.read(|sql| Ok(sql.prepare_cached(&query)?.exists(params![geteuid().as_raw(), SOON])?))
    }

    /// Claim the next mail that no process is sending, if it is due.
    pub fn claim_mail(&self, mine: &Claim, now: Millis) -> Result<NextMail> {
        // Each transaction rings the bell, which makes every process look again.
        match self.read(|sql| next(sql, mine))? {
            None => return Ok(NextMail::None),
            Some(mail) if mail.due > now => return Ok(NextMail::DueAt(mail.due)),
            Some(_) => {}
        }
        self.write(|sql| {
            let Some(mail) = next(sql, mine)? else { return Ok(NextMail::None) };
            if mail.due > now {
                return Ok(NextMail::DueAt(mail.due));
            }
            // Counted before: the process that sends it may die in the attempt.
            let attempts = mail.attempts.saturating_add(1);
            let claim = "UPDATE mails SET claim = ?2, attempts = ?3, due = ?4 WHERE number = ?1";
            sql.prepare_cached(claim)?.execute(params![
                mail.number,
                mine,
                attempts,
                now.saturating_add(pause(attempts))
            ])?;
            Ok(NextMail::Claimed(mail.number))
        })
    }

    /// Take a mail over from its holder, to send it. `None` if it is no longer the holder's, or its job
    /// is not stored any more.
    pub fn take_mail(&self, number: i64, holder: &Claim, mine: &Claim) -> Result<Option<Mail>> {
        self.write(|sql| {
            let take =
                "UPDATE mails SET claim = ?3 WHERE number = ?1 AND claim = ?2 RETURNING job, started";
            let taken: Option<(i64, bool)> = sql
                .prepare_cached(take)?
                .query_row(params![number, holder, mine], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((job, started)) = taken else { return Ok(None) };
            let Some(info) = query::by_number(sql, job)? else {
                remove(sql, number, mine)?;
                return Ok(None);
            };
            let mail = mail(sql, job, started, info)?;
            if mail.is_none() {
                remove(sql, number, mine)?;
            }
            Ok(mail)
        })
    }

    /// Remove a sent mail.
    pub fn mail_sent(&self, number: i64, mine: &Claim) -> Result<()> {
        self.write(|sql| Ok(remove(sql, number, mine)?))
    }

    /// Store that a mail cannot be sent now, with the reason. It is tried again later, but not for ever.
    pub fn mail_failed(&self, number: i64, mine: &Claim, error: &str) -> Result<()> {
        let now = now();
        self.write(|sql| {
            let attempts = "SELECT attempts FROM mails WHERE number = ?1 AND claim = ?2";
            let attempts: Option<i64> = sql
                .prepare_cached(attempts)?
                .query_row(params![number, mine], |row| row.get(0))
                .optional()?;
            match attempts {
                None => {}
                Some(LAST..) => remove(sql, number, mine)?,
                Some(attempts) => {
                    let leave = "UPDATE mails SET claim = NULL, error = ?2, due = ?3 WHERE number = ?1";
                    let due = now.saturating_add(pause(attempts));
                    sql.prepare_cached(leave)?.execute(params![number, error, due])?;
                }
            }
            Ok(())
        })
    }

    /// The reason of its last failure.
    pub fn mail_error(&self, number: i64) -> Result<Option<String>> {
        let query = "SELECT error FROM mails WHERE number = ?";
        self.read(|sql| {
            Ok(sql.prepare_cached(query)?.query_row([number], |row| row.get(0)).optional()?.flatten())
        })
    }
}

/// The pause after this number of attempts, milliseconds.
fn pause(attempts: i64) -> Millis {
    let exponent = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(10);
    4_i64.pow(exponent).saturating_mul(1000).min(LONGEST)
}

fn remove(sql: &Connection, number: i64, mine: &Claim) -> rusqlite::Result<()> {
    let remove = "DELETE FROM mails WHERE number = ?1 AND claim = ?2";
    sql.prepare_cached(remove)?.execute(params![number, mine])?;
    sweep(sql)
}

/// The row of a mail.
struct Noted {
    number: i64,
    attempts: i64,
    due: Millis,
}

/// The next mail that no process is sending: its claimer has died, or is this process and has started no
/// process that took it over.
fn next(sql: &Connection, mine: &Claim) -> Failable<Option<Noted>> {
    let next = format!(
        "SELECT m.number, m.attempts, m.due, m.claim {MINE} ORDER BY m.due, m.started DESC, m.number"
    );
    let mut query = sql.prepare_cached(&next)?;
    let mut rows = query.query([geteuid().as_raw()])?;
    while let Some(row) = rows.next()? {
        let claim: Option<Claim> = row.get(3)?;
        if claim.is_none_or(|claim| claim == *mine || !claim.is_alive()) {
            return Ok(Some(Noted { number: row.get(0)?, attempts: row.get(1)?, due: row.get(2)? }));
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
