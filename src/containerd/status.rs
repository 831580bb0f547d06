//! The one table from the status of a call to the daemon to a DRMAA2 error.

use std::error::Error as _;
use std::io;
use std::path::Path;

use containerd_client::tonic::{Code, Status};

use crate::model::{Error, ErrorCode};

/// The DRMAA2 error for a failed call to the daemon at `address`.
///
/// NOT_FOUND becomes INVALID_ARGUMENT: the caller knows the object, and adds its name.
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

/// The advice for a socket that cannot be connected to.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "; a broker would do this for every user: an administrator starts it by \
             `systemctl enable --now drmaa2d.socket`. Access to this socket itself gives the rights of root"
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "; is containerd running, and is this its socket? `systemctl start containerd` starts it"
        }
        _ => "",
    }
}

/// Returns whether the named object does not exist.
pub(super) fn not_found(status: &Status) -> bool {
    status.code() == Code::NotFound
}

/// Returns whether the object to make exists already.
pub(super) fn exists(status: &Status) -> bool {
    status.code() == Code::AlreadyExists || says(status, &TAKEN)
}

/// Returns whether the container for a task was removed.
pub(super) fn is_removed(status: &Status) -> bool {
    not_found(status) && status.message().starts_with("container \"")
}

/// Returns whether the task to start runs already.
pub(super) fn is_running(status: &Status) -> bool {
    says(status, &RUNNING)
}

/// Another object has the id of a container. Nothing here waits for its removal; another id is taken.
const TAKEN: [&str; 9] = [
    // The directory of a task that containerd could not remove, until its next start: "mkdir ...: file
    // exists".
    ": file exists",
    // runc
    "container with given id already exists",
    "container's cgroup is not empty",
    "container's cgroup unexpectedly frozen",
    // crun: "container `ID` already exists"
    "` already exists",
    // youki
    "container already exists",
    // systemd, if it makes the control groups
    ".scope already exists",
    ".scope was already loaded",
    "unitexists",
];

/// The same call, or a similar one, may succeed later: the cause is not the job.
const PASSING: [&str; 10] = [
    // The shim has died, or is not started yet.
    "ttrpc: closed",
    "ttrpc: server closed",
    "connect: connection refused",
    "connect: no such file or directory",
    // The caller has stopped waiting, or containerd goes down.
    "context canceled",
    "deadline exceeded",
    // The runtime was killed.
    "signal: killed",
    // Its program is being replaced.
    "text file busy",
    // A mount or a control group is temporarily in use.
    "device or resource busy",
    "transport is closing",
];

/// The messages of the errors ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE and EAGAIN; programs in Go begin
/// them with a small letter, those in C and Rust with a capital one.
const EXHAUSTED: [&str; 5] = [
    "no space left on device",
    "disk quota exceeded",
    "cannot allocate memory",
    "too many open files",
    "resource temporarily unavailable",
];

/// A container was started before. crun misses the FIFO by which it would start it.
const RUNNING: [&str; 3] = [
    "cannot start an already running container",
    "exec.fifo`: no such file or directory",
    "incompatible container status: `running`",
];

/// Returns whether the runtime has removed the container already, so that its shim cannot delete the task: the
/// shim takes only "does not exist" for that, which are the words of runc.
pub(super) fn is_gone(status: &Status) -> bool {
    // crun misses the directory of the container's state.
    says(status, &["cannot open directory"]) && says(status, &["no such file or directory"])
}

/// Returns whether the message contains one of these: errors of the shims and the runtimes come as text
/// under UNKNOWN and the like.
fn says(status: &Status, words: &[&str]) -> bool {
    let text = status.message().to_lowercase();
    let is_theirs = matches!(
        status.code(),
        Code::Unknown | Code::Internal | Code::DataLoss | Code::FailedPrecondition | Code::AlreadyExists
    );
    is_theirs && words.iter().any(|words| text.contains(words))
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
        // Another name, or another time, will do.
        _ if exists(status) || says(status, &PASSING) => ErrorCode::TryLater,
        _ if says(status, &EXHAUSTED) => ErrorCode::OutOfResource,
        Code::Ok => ErrorCode::Success,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => ErrorCode::DrmCommunication,
        Code::PermissionDenied | Code::Unauthenticated => ErrorCode::DeniedByDrms,
        Code::NotFound | Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidArgument,
        Code::FailedPrecondition => ErrorCode::InvalidState,
        Code::Aborted => ErrorCode::TryLater,
        Code::ResourceExhausted => ErrorCode::OutOfResource,
        Code::Unimplemented => ErrorCode::UnsupportedOperation,
        Code::Unknown | Code::Internal | Code::DataLoss | Code::AlreadyExists => ErrorCode::Internal,
    }
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
    fn a_container_that_was_removed_is_told_from_anything_else_that_is_not_there() {
        let text = "container \"01j\" in namespace \"n\": not found";
        assert!(is_removed(&Status::not_found(text)));
        for other in
            ["task 01j not found", "snapshot 01j does not exist: not found", "runtime \"x\": not found"]
        {
            assert!(!is_removed(&Status::not_found(other)), "{other}");
        }
        assert!(!is_removed(&Status::unknown(text)));
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
            (Code::AlreadyExists, TryLater),
        ] {
            assert_eq!(code_of(Status::new(grpc, "x")), expected, "{grpc}");
        }
        let full = Status::unknown("write /a: no space left on device: unknown");
        assert_eq!(code_of(full), OutOfResource);
    }

    /// The texts were observed, or are in the source of these versions.
    #[test]
    fn the_words_of_shims_and_runtimes_have_their_class() {
        use ErrorCode::*;
        for (text, expected) in [
            // containerd 1.6, 1.7 and 2.x
            (
                "failed to start shim: mkdir /run/c/io.containerd.runtime.v2.task/n/j: file exists",
                TryLater,
            ),
            ("failed to create shim task: ttrpc: closed", TryLater),
            ("failed to create shim task: context canceled", TryLater),
            ("failed to start shim: start failed: : context deadline exceeded", TryLater),
            (
                "failed to start shim: start failed: fork/exec /usr/bin/s: resource temporarily unavailable",
                OutOfResource,
            ),
            (
                "failed to start shim: start failed: fork/exec /usr/bin/containerd-shim-runc-v2: text file busy",
                TryLater,
            ),
            ("dial unix:///run/containerd/s/0a: connect: connection refused", TryLater),
            // runc 1.1 to 1.3
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: container with given ID \
                 already exists",
                TryLater,
            ),
            (
                "OCI runtime create failed: runc create failed: container's cgroup is not empty: 2 process(es) found",
                TryLater,
            ),
            (
                "OCI runtime create failed: runc create failed: unable to start container process: unable to apply \
                 cgroup configuration: unable to start unit \"j.scope\": Unit j.scope was already loaded or has a \
                 fragment file.",
                TryLater,
            ),
            (
                "OCI runtime start failed: runc did not terminate successfully: signal: killed: ",
                TryLater,
            ),
            (
                "OCI runtime create failed: runc create failed: unable to start container process: error during \
                 container init: error mounting \"/a\" to rootfs at \"/b\": not a directory",
                Internal,
            ),
            (
                "OCI runtime create failed: runc create failed: write /x: no space left on device",
                OutOfResource,
            ),
            ("cannot start a container that has stopped", Internal),
            // crun 1.8 to 1.21
            ("OCI runtime create failed: crun: container `j_2` already exists", TryLater),
            (
                "OCI runtime create failed: write to `/sys/fs/cgroup/j`: Device or resource busy",
                TryLater,
            ),
            (
                "OCI runtime create failed: mkdir `/sys/fs/cgroup/j`: No space left on device",
                OutOfResource,
            ),
            ("OCI runtime create failed: mount `/a` to `b`: Not a directory", Internal),
            // youki 0.1 to 0.5
            (
                "OCI runtime create failed: failed to create container: container already exists",
                TryLater,
            ),
        ] {
            for code in [Code::Unknown, Code::Internal] {
                assert_eq!(code_of(Status::new(code, format!("{text}: unknown"))), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_container_that_runs_is_told_from_one_that_cannot() {
        for (text, expected) in [
            ("OCI runtime start failed: cannot start an already running container: unknown", true),
            ("OCI runtime start failed: open `/run/crun/j/exec.fifo`: No such file or directory", true),
            ("failed operation due to incompatible container status: `Running`", true),
            ("cannot start a container that has stopped", false),
        ] {
            assert_eq!(is_running(&Status::unknown(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_container_that_its_runtime_has_removed_is_told_from_one_that_it_cannot_remove() {
        for (text, expected) in [
            (
                "failed to delete task: cannot open directory '/run/containerd/runc/n/j': No such file or directory",
                true,
            ),
            (
                "failed to delete task: cannot open directory `/run/crun/j`: No such file or directory",
                true,
            ),
            ("failed to delete task: cannot open directory '/run/crun/j': Too many open files", false),
            (
                "failed to delete task: remove '/run/crun/j/config.json': No such file or directory",
                false,
            ),
        ] {
            assert_eq!(is_gone(&Status::unknown(format!("{text}: unknown"))), expected, "{text}");
        }
        assert!(!is_gone(&Status::unavailable("cannot open directory: no such file or directory")));
    }

    #[test]
    fn a_socket_that_does_not_answer_is_named() {
        for (kind, expected, remedy) in [
            (libc::ENOENT, ErrorCode::DrmCommunication, "`systemctl start containerd` starts it"),
            (libc::ECONNREFUSED, ErrorCode::DrmCommunication, "`systemctl start containerd` starts it"),
            (libc::EPIPE, ErrorCode::DrmCommunication, "(os error 32)"),
            (libc::EACCES, ErrorCode::DeniedByDrms, "gives the rights of root"),
        ] {
            let status = Status::from_error(Box::new(io::Error::from_raw_os_error(kind)));
            let error = error(&status, Path::new("/run/c.sock"));
            assert_eq!(error.code, expected, "{error}");
            assert!(error.message.starts_with("containerd at /run/c.sock: "), "{error}");
            assert!(error.message.ends_with(remedy), "{error}");
        }
    }
}
