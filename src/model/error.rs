//! The DRMAA2 error numbers, and the error that every fallible function returns.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A DRMAA2 error code (GFD.231, error conditions). The numbers are those of the C enum `drmaa2_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum ErrorCode {
    /// Success.
    Success = 0,
    /// Refused for reasons of security or policy.
    DeniedByDrms = 1,
    /// The daemon cannot be reached; whether this will pass is unknown.
    DrmCommunication = 2,
    /// A temporary overload; the same call may succeed later.
    TryLater = 3,
    /// A failure in the session layer, such as a store that cannot be read.
    SessionManagement = 4,
    /// The time to wait has passed.
    Timeout = 5,
    /// Unexpected and unclassified.
    Internal = 6,
    /// Bad input, unknown name or id, reaped job.
    InvalidArgument = 7,
    /// The session handle is closed, destroyed or NULL.
    InvalidSession = 8,
    /// The operation is not allowed in the job's current state.
    InvalidState = 9,
    /// Memory, descriptors or disk are exhausted.
    OutOfResource = 10,
    /// An optional attribute that is not supported.
    UnsupportedAttribute = 11,
    /// An optional function that is not supported.
    UnsupportedOperation = 12,
    /// Anything else an implementation documents. Not used here.
    ImplementationSpecific = 13,
}

/// A failure: a DRMAA2 code, and a text that names the object, the cause and the runtime's own message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The class of the error.
    pub code: ErrorCode,
    /// The text that `drmaa2_lasterror_text` returns.
    pub message: String,
}

/// The result of everything that can fail with a DRMAA2 error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of class `code` with the text `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Bad input.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// An operation that the job's state does not allow.
    pub fn state(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidState, message)
    }

    /// A session that is closed, destroyed or NULL.
    pub fn session(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidSession, message)
    }

    /// An impossible situation.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Returns whether the same call may succeed later.
    pub fn may_pass(&self) -> bool {
        use ErrorCode::{DrmCommunication, OutOfResource, TryLater};
        matches!(self.code, DrmCommunication | OutOfResource | TryLater)
    }

    /// A function that this build does not have.
    pub fn unsupported(operation: &str) -> Self {
        Self::new(ErrorCode::UnsupportedOperation, format!("{operation} is not supported"))
    }

    /// The same error with the name of the object in front: `job 01J…: image … not found`.
    #[must_use]
    pub fn of(mut self, object: impl std::fmt::Display) -> Self {
        self.message = format!("{object}: {}", self.message);
        self
    }
}

/// An error of the system, with the path of the file.
pub fn io_error(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::of_io(error), format!("{}: {error}", path.display()))
}

impl ErrorCode {
    /// The class of an operating-system error about something that no caller has named.
    pub fn of_own(error: &std::io::Error) -> Self {
        match Self::of_io(error) {
            Self::InvalidArgument => Self::Internal,
            code => code,
        }
    }

    /// The class of an operating-system error.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        /// EAGAIN, which a want of threads gives, ENFILE, EMFILE, ENOLCK, ENOBUFS and EUSERS.
        const FULL_TABLES: [i32; 6] = [11, 23, 24, 37, 105, 87];
        match error.kind() {
            _ if error.raw_os_error().is_some_and(|error| FULL_TABLES.contains(&error)) => {
                Self::OutOfResource
            }
            Kind::WouldBlock => Self::TryLater,
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::DeniedByDrms,
            Kind::StorageFull | Kind::OutOfMemory | Kind::QuotaExceeded => Self::OutOfResource,
            Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidInput => {
                Self::InvalidArgument
            }
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_errors_may_pass() {
        assert!(Error::new(ErrorCode::DrmCommunication, "").may_pass());
        assert!(Error::new(ErrorCode::OutOfResource, "").may_pass());
        assert!(!Error::internal("").may_pass());
        assert!(!Error::argument("").may_pass());
    }

    #[test]
    fn full_tables_are_out_of_resource_and_missing_rights_are_denied() {
        // EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOLCK, ENOSPC, EDQUOT, EUSERS; EACCES, EPERM, EROFS.
        let full = [11, 24, 23, 12, 105, 37, 28, 122, 87];
        let denied = [13, 1, 30];
        let codes = full.map(|errno| (errno, ErrorCode::OutOfResource)).into_iter();
        for (errno, code) in codes.chain(denied.map(|errno| (errno, ErrorCode::DeniedByDrms))) {
            let error = std::io::Error::from_raw_os_error(errno);
            assert_eq!(ErrorCode::of_io(&error), code, "{error}");
        }
    }
}
