//! The optional features that there are.

use crate::config::Config;
use crate::drms;

/// Numbers of the C enum `drmaa2_capability` that this build has, see `docs/capabilities.md`.
const CAPABILITIES: [i32; 12] = [
    0,  // ADVANCE_RESERVATION
    1,  // RESERVE_SLOTS
    2,  // CALLBACK
    3,  // BULK_JOBS_MAXPARALLEL
    5,  // JT_STAGING
    6,  // JT_DEADLINE
    7,  // JT_MAXSLOTS
    8,  // JT_ACCOUNTINGID
    9,  // RT_STARTNOW
    10, // RT_DURATION
    11, // RT_MACHINEOS
    12, // RT_MACHINEARCH
];

/// `JT_EMAIL`, which this build has if a program that sends mails is configured.
const JT_EMAIL: i32 = 4;

/// Those of reservations, which the broker makes for others than root only if the site says so.
const RESERVATIONS: [i32; 6] = [0, 1, 9, 10, 11, 12];

/// Returns whether there is one where this is configured; without a configuration, whether there is one everywhere.
pub(super) fn has(config: Option<&Config>, capability: i32) -> bool {
    let lacks = config.map_or(drms::SOME_LACK, |config| drms::lacks(&config.target()));
    let has_mail = || config.is_some_and(|config| config.sendmail.is_some());
    let has = CAPABILITIES.contains(&capability) || (capability == JT_EMAIL && has_mail());
    has && !lacks.contains(&capability)
}

/// The same for a client of the broker that is not root.
pub(super) fn guest_has(config: &Config, capability: i32) -> bool {
    let may = config.guests.reservations || !RESERVATIONS.contains(&capability);
    has(Some(config), capability) && may
}
