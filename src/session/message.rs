//! The messages between a client and the broker.

use serde::{Deserialize, Serialize};

use super::call::{Answer, Call};
use super::waits::Known;
use crate::model::Error;

/// The version of all this. Both sides have to have the same.
pub(super) const PROTOCOL: u32 = 1;

/// A message of a client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Asked {
    /// The first of all. The broker answers with its own.
    Hello {
        protocol: u32,
        /// The file mode mask of the client's jobs.
        umask: u32,
    },
    /// A call, which the broker answers under the same number.
    Call {
        number: u64,
        /// The client has a monitoring session open.
        monitoring: bool,
        call: Box<Call>,
    },
    /// Tell the states of these jobs, now and whenever they change. The broker answers when their present states are told.
    Follow { number: u64, ids: Vec<String> },
    /// The end of that.
    Unfollow { ids: Vec<String> },
}

/// A message of the broker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// The answer to the first of all.
    Hello { protocol: u32 },
    /// The client is refused; the connection ends.
    Refused(Error),
    /// The answer to a call.
    Answer { number: u64, answer: Result<Answer, Error> },
    /// The knowledge about jobs that the client follows.
    States(Vec<(String, Known)>),
    /// There may be events for the client's callback.
    Events,
}
