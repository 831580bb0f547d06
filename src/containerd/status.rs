//! The one table from what a call to the daemon ends with to a DRMAA2 error.

use std::error::Error as _;
use std::io;
use std::path::Path;

use containerd_client::tonic::{Code, Status};

use crate::model::{Error, ErrorCode};

/// The DRMAA2 error for a failed call to the daemon at `address`.
///
/// NOT_FOUND becomes INVALID_ARGUMENT: whoever asked knows what it was, and tells it by name.
pub(super) fn error(status: &Status, address: &Path) -> Error {
    let code = code(status);
    let text = match io_cause(status) {
        Some(cause) => format!("{cause}{}", remedy(cause)),
        None => status.message().to_owned(),
    };
    match code {
        ErrorCode::DrmCommunication | ErrorCode::DeniedByDrms => {
            Error::new(code, format!("containerd at {}: {text}", address.display()))
        }
        _ => Error::new(code, text),
    }
}

/// What to do about a socket that cannot be connected to.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "; run this as root, or ask an administrator for access to the socket, which gives the rights of root"
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "; is containerd running, and is this its socket? `systemctl start containerd` starts it"
        }
        _ => "",
    }
}

/// Did the daemon say that what was named does not exist?
pub(super) fn not_found(status: &Status) -> bool {
    status.code() == Code::NotFound
}

/// Is what was to be made there already?
pub(super) fn exists(status: &Status) -> bool {
    // The second is a task that the daemon is making, or has not done removing.
    status.code() == Code::AlreadyExists || status.message().contains(": file exists")
}

fn code(status: &Status) -> ErrorCode {
    if let Some(cause) = io_cause(status) {
        return match ErrorCode::of_io(cause) {
            known @ (ErrorCode::DeniedByDrms | ErrorCode::OutOfResource) => known,
            _ => ErrorCode::DrmCommunication,
        };
    }
    // An error with a source was made on this side of the connection.
    if status.source().is_some() {
        return ErrorCode::DrmCommunication;
    }
    match status.code() {
        Code::Ok => ErrorCode::Success,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => ErrorCode::DrmCommunication,
        Code::PermissionDenied | Code::Unauthenticated => ErrorCode::DeniedByDrms,
        Code::NotFound | Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidArgument,
        Code::FailedPrecondition => ErrorCode::InvalidState,
        Code::Aborted => ErrorCode::TryLater,
        Code::ResourceExhausted => ErrorCode::OutOfResource,
        Code::Unimplemented => ErrorCode::UnsupportedOperation,
        // A runtime's own failures come as text under one of these.
        Code::Unknown | Code::Internal | Code::DataLoss | Code::AlreadyExists => {
            if exhausted(status.message()) { ErrorCode::OutOfResource } else { ErrorCode::Internal }
        }
    }
}

/// The messages of the errors ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE and EAGAIN as Go writes them.
fn exhausted(message: &str) -> bool {
    [
        "no space left on device",
        "disk quota exceeded",
        "cannot allocate memory",
        "too many open files",
        "resource temporarily unavailable",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// The system's own error, when connecting, reading or writing failed.
fn io_cause(status: &Status) -> Option<&io::Error> {
    let mut source = status.source();
    while let Some(error) = source {
        match error.downcast_ref::<io::Error>() {
            Some(error) if error.raw_os_error().is_some() => return Some(error),
            _ => source = error.source(),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(status: Status) -> ErrorCode {
        error(&status, Path::new("/run/c.sock")).code
    }

    #[test]
    fn every_code_has_its_class() {
        use ErrorCode::*;
        for (grpc, expected) in [
            (Code::Unavailable, DrmCommunication),
            (Code::DeadlineExceeded, DrmCommunication),
            (Code::Cancelled, DrmCommunication),
            (Code::PermissionDenied, DeniedByDrms),
            (Code::Unauthenticated, DeniedByDrms),
            (Code::NotFound, InvalidArgument),
            (Code::InvalidArgument, InvalidArgument),
            (Code::OutOfRange, InvalidArgument),
            (Code::FailedPrecondition, InvalidState),
            (Code::Aborted, TryLater),
            (Code::ResourceExhausted, OutOfResource),
            (Code::Unimplemented, UnsupportedOperation),
            (Code::Unknown, Internal),
            (Code::Internal, Internal),
            (Code::DataLoss, Internal),
            (Code::AlreadyExists, Internal),
        ] {
            assert_eq!(code_of(Status::new(grpc, "x")), expected, "{grpc}");
        }
        let full = Status::unknown("write /a: no space left on device: unknown");
        assert_eq!(code_of(full), OutOfResource);
    }

    #[test]
    fn a_socket_that_does_not_answer_is_named() {
        for (kind, expected, remedy) in [
            (libc::ENOENT, ErrorCode::DrmCommunication, "`systemctl start containerd` starts it"),
            (libc::ECONNREFUSED, ErrorCode::DrmCommunication, "`systemctl start containerd` starts it"),
            (libc::EPIPE, ErrorCode::DrmCommunication, "(os error 32)"),
            (libc::EACCES, ErrorCode::DeniedByDrms, "which gives the rights of root"),
        ] {
            let status = Status::from_error(Box::new(io::Error::from_raw_os_error(kind)));
            let error = error(&status, Path::new("/run/c.sock"));
            assert_eq!(error.code, expected, "{error}");
            assert!(error.message.starts_with("containerd at /run/c.sock: "), "{error}");
            assert!(error.message.ends_with(remedy), "{error}");
        }
    }
}
