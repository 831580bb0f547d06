//! The reason why a registry did not serve.

use std::error::Error as _;

use reqwest::Url;

use crate::model::{Error, ErrorCode};

/// The reason why something could not be had from a registry.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error, with the place where it happened.
    pub error: Error,
    /// It was no answer, or one that may be different next time.
    pub passes: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let passes = error.may_pass();
        Self { error, passes }
    }
}

impl Failure {
    /// One that stays.
    pub(super) fn lasting(message: impl Into<String>) -> Self {
        Self { error: Error::argument(message), passes: false }
    }

    /// One that may pass. The job is told of it all the same, so its class is none that is tried again.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self { error: Error::new(ErrorCode::Internal, message), passes: true }
    }
}

/// Scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The innermost cause of an error, which is the one that tells something.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
