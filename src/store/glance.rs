//! One look at all that may have to be done: most wake-ups are about the jobs of other processes, and each
//! question asked by itself would cost as much as the look.

use rusqlite::params;

use super::queue::{ANY_WAITS, any_late, any_outlasts, next_time};
use super::work::{any_overdue, claimed, claimers};
use super::{Claim, Store, Unsettled};
use crate::model::{Millis, Result};

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
    /// See [`Store::claimed_jobs`].
    pub claimed: Vec<Unsettled>,
    /// See [`Store::claimers`].
    pub claimers: Vec<Claim>,
}

impl Store {
    /// Look at the pending work, that of the process `mine` and of nobody.
    pub fn glance(&self, mine: &Claim, now: Millis) -> Result<Glance> {
        let overdue =
            [any_outlasts(), any_late(), any_overdue()].map(|query| format!("EXISTS ({query})"));
        let query = format!(
            "SELECT {}, EXISTS ({ANY_WAITS}), EXISTS (SELECT 1 FROM mails), ({})",
            overdue.join(" OR "),
            next_time()
        );
        self.read(|sql| {
            let (overdue, waits, mails, next) =
                sql.prepare_cached(&query)?.query_row(params![now], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
            let (claimed, claimers) = (claimed(sql, mine)?, claimers(sql)?);
            Ok(Glance { overdue, waits, mails, next, claimed, claimers })
        })
    }
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
            claimed: Vec::new(),
            claimers: Vec::new(),
        };
        assert_eq!(glance(5), nothing);
        let late = Terms { deadline: Some(100), ..terms() };
        submit_template(&store, &session, "a", &template(), &late);
        assert_eq!(glance(5), Glance { waits: true, next: Some(100), ..nothing.clone() });
        assert!(glance(100).overdue && !store.glance(&mine, 99).unwrap().overdue);
        store.hold(Which::Job("a")).unwrap();
        assert!(!glance(5).waits);
        store.expire_deadlines(100).unwrap();
        assert!(!glance(100).overdue);
    }
}
