//! The reason why something could not be done for the job.

use std::ffi::c_int;
use std::fmt::Display;
use std::io;

/// Exit code of a command that could not be run, whether it was looked up or not.
pub(crate) const CANNOT_RUN: u8 = 126;
/// Exit code of a command that was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// The reason why the command could not be started.
pub(crate) struct Failure {
    /// The exit code a shell would report.
    pub(crate) code: u8,
    /// The reason, for people.
    pub(crate) reason: Vec<u8>,
}

impl Failure {
    /// A system call that failed, and what it was about.
    pub(crate) fn new(what: impl Display, error: &io::Error) -> Self {
        let text = error.to_string();
        // The number is of no use to the reader of a job's annotation.
        let text = text.split(" (os error").next().unwrap_or_default();
        Self::text(format!("{what}: {text}"))
    }

    /// A reason in words.
    pub(crate) fn text(reason: String) -> Self {
        Self { code: CANNOT_RUN, reason: reason.into_bytes() }
    }
}

/// The error of a system call that returns -1 on failure.
pub(crate) fn check(result: c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
