//! One look at all that may have to be done: most wake-ups are about the jobs of other processes, and each
//! question asked by itself would cost as much as the look.

use once_cell::sync::Lazy;
use rusqlite::{Connection, params};

use super::changes::{self, Changes, LAST};
use super::queue::{ANY_WAITS, any_late, any_outlasts, next_time};
use super::work::{any_overdue, claimed, claimers};
use super::{Claim, Failable, Store, Unsettled};
use crate::model::{Millis, Result};

static QUERY: Lazy<String> = Lazy::new(|| {
    let overdue = [any_outlasts(), any_late(), any_overdue()].map(|query| format!("EXISTS ({query})"));
    let (overdue, next) = (overdue.join(" OR "), next_time());
    format!(
        "SELECT {overdue}, EXISTS ({ANY_WAITS}), EXISTS (SELECT 1 FROM mails), ({next}),
             EXISTS (SELECT 1 FROM jobs WHERE claim = ?2), ({LAST})"
    )
});

/// The most jobs that a look shows: there is one for each change.
const FEW: usize = 100;

/// The pending work at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// A job outlasts its reservation, waits beyond its deadline, or is suspended beyond its time.
    pub overdue: bool,
    /// Jobs wait to be started.
    pub waits: bool,
    /// There are mails.
    pub mails: bool,
    /// See [`Store::next_change`].
    pub next: Option<Millis>,
    /// See [`Store::claimed_jobs`]; `None` if there are so many that each look at them would cost too much.
    pub claimed: Option<Vec<Unsettled>>,
    /// See [`Store::claimers`].
    pub claimers: Vec<Claim>,
}

impl Glance {
    /// Returns whether there is nothing to do for the process that has looked, but to wait for a time or for the end of
    /// another.
    pub fn is_idle(&self) -> bool {
        !(self.overdue || self.waits || self.mails) && self.claimed.as_ref().is_some_and(Vec::is_empty)
    }
}

impl Store {
    /// Look at the pending work, that of the process `mine` and of nobody.
    pub fn glance(&self, mine: &Claim, now: Millis) -> Result<Glance> {
        self.read(|sql| Ok(look(sql, mine, now)?.0))
    }

    /// The same at one moment with the changes since one, if it is given.
    pub fn news(
        &self,
        mine: &Claim,
        now: Millis,
        seen: Option<i64>,
    ) -> (Result<Glance>, Option<Result<Changes>>) {
        let read = self.read(|sql| {
            let (glance, last) = look(sql, mine, now)?;
            let changes = seen.map(|seen| changes::since(sql, seen, last));
            Ok((glance, changes.transpose()?))
        });
        match read {
            Ok((glance, changes)) => (Ok(glance), changes.map(Ok)),
            Err(error) => (Err(error.clone()), seen.map(|_| Err(error))),
        }
    }
}

/// The pending work, and the number of the last change.
fn look(sql: &Connection, mine: &Claim, now: Millis) -> Failable<(Glance, i64)> {
    let mut query = sql.prepare_cached(&QUERY)?;
    let (overdue, waits, mails, next, works, last) = query.query_row(params![now, mine], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    })?;
    let claimed = if works { claimed(sql, mine, FEW + 1)? } else { Vec::new() };
    let claimed = Some(claimed).filter(|claimed| claimed.len() <= FEW);
    Ok((Glance { overdue, waits, mails, next, claimed, claimers: claimers(sql)? }, last))
}

#[cfg(test)]
mod tests {
    use super::super::jobs_tests::{store, submit_template, template, terms};
    use super::super::{Terms, Which};
    use super::*;

    #[test]
    fn each_kind_of_work_is_seen() {
        let (_dir, store, session) = store();
        let mine = Claim::mine();
        let glance = |now| store.glance(&mine, now).unwrap();
        let nothing = Glance {
            overdue: false,
            waits: false,
            mails: false,
            next: None,
            claimed: Some(Vec::new()),
            claimers: Vec::new(),
        };
        assert_eq!(glance(5), nothing);
        assert!(nothing.is_idle());
        let late = Terms { deadline: Some(100), ..terms() };
        submit_template(&store, &session, "a", &template(), &late);
        assert_eq!(glance(5), Glance { waits: true, next: Some(100), ..nothing.clone() });
        assert!(!glance(5).is_idle());
        assert!(glance(100).overdue && !store.glance(&mine, 99).unwrap().overdue);
        store.hold(Which::Job("a")).unwrap();
        assert!(!glance(5).waits);
        store.expire_deadlines(100).unwrap();
        assert!(!glance(100).overdue);
    }
}
