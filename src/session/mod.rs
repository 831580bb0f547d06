//! The meaning of the API: sessions, jobs, waits, monitoring. Knows no C and no containerd.

mod agent;
mod array;
mod behalf;
mod broker;
mod call;
mod capabilities;
mod changes;
mod cleanup;
#[cfg(test)]
mod cleanup_tests;
mod connection;
mod desk;
mod dispatch;
mod door;
mod engine;
mod failed_start;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guests;
mod hand_over;
#[cfg(test)]
mod hand_over_tests;
mod handle;
mod hold;
mod ids;
mod job;
mod job_session;
mod jobs;
mod kick;
mod link;
mod listener;
mod mail;
mod mailer;
mod message;
#[cfg(test)]
mod model_check;
mod monitoring;
#[cfg(test)]
mod monitoring_tests;
mod news;
mod notify;
#[cfg(test)]
mod notify_tests;
mod only_copy;
mod paths;
mod pending;
mod policy;
mod process;
mod progress;
#[cfg(test)]
mod queue_tests;
mod refs;
mod requests;
mod rerun;
mod reservation;
mod reservation_session;
mod reserve;
mod reserving;
#[cfg(test)]
mod reserving_tests;
mod serve;
mod settle;
mod start;
mod submit;
mod submitter;
#[cfg(test)]
mod tests;
mod view;
mod waits;
#[cfg(test)]
mod waits_tests;
mod watch;
mod watched;
mod world;

use std::time::{Duration, Instant};

pub use crate::config::Compat;
use crate::config::Config;
use crate::model::{Error, Result, Version};
pub use behalf::{Behalf, Sudo};
use door::Door;
pub use job_session::{JobSession, NewArray};
pub use listener::{Callback, Notification};
pub(crate) use mail::SEND_MAIL;
pub use mailer::send_mail;
pub use monitoring::MonitoringSession;
pub use notify::notify;
pub use refs::{JobArray, JobRef, ReservationRef};
pub use reservation_session::ReservationSession;
pub use serve::serve;
pub use submit::{Bulk, Tasks};

/// The limit of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Look and return (DRMAA2_ZERO_TIME, DRMAA2_NOW).
    Zero,
    /// No limit (DRMAA2_INFINITE_TIME).
    Infinite,
    /// At most this long.
    After(Duration),
}

impl Timeout {
    /// From a C `time_t`; other negative values are INVALID_ARGUMENT.
    pub fn from_time_t(seconds: i64) -> Result<Self> {
        match seconds {
            0 | -2 => Ok(Self::Zero),
            -1 => Ok(Self::Infinite),
            1.. => Ok(Self::After(Duration::from_secs(seconds.unsigned_abs()))),
            _ => Err(Error::argument(format!("{seconds} is no waiting time"))),
        }
    }

    /// The end of the time; `None` for never, or if the clock cannot represent it.
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Zero => Some(Instant::now()),
            Self::Infinite => None,
            Self::After(span) => Instant::now().checked_add(span),
        }
    }
}

/// Returns whether this build has an optional feature on the DRM system that a NULL contact stands for, by its number
/// in the C enum `drmaa2_capability`. False for an unknown number; if the configuration, which names the system, cannot be
/// read, also for those that not every system has.
pub fn supports(capability: i32) -> bool {
    let config = Config::load().ok();
    match config.as_ref().and_then(door::broker) {
        // That is for the broker to say, which has a configuration of its own.
        Some(_) => {
            let answer = process::way().and_then(|way| way.ask(false, call::Call::Supports(capability)));
            answer.and_then(<bool as call::Content>::of).unwrap_or(false)
        }
        None => capabilities::has(config.as_ref(), capability),
    }
}

/// Name of this library.
pub const DRMAA_NAME: &str = "drmaa2-containerd";

/// The version of DRMAA as major, which GFD.231 fixes, and that of this library as minor.
pub fn drmaa_version() -> Version {
    let minor = env!("CARGO_PKG_VERSION").to_owned();
    Version { major: "2".to_owned(), minor, ..Version::default() }
}

/// The implementation whose C structs this program expects.
pub fn compat() -> Result<Compat> {
    match process::door()? {
        Door::Here(world) => Ok(world.config.compat),
        Door::There(connection) => connection.compat(),
    }
}

/// Name of the DRM system that a NULL contact stands for.
pub fn drms_name() -> Result<String> {
    process::ask(call::Call::DrmsName)
}

/// Version of the DRM system that a NULL contact stands for.
pub fn drms_version() -> Result<Version> {
    process::ask(call::Call::DrmsVersion)
}
