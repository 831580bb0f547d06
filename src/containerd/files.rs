//! Work on files of the host, and its errors.

pub(super) use crate::model::io_error;
pub(super) use crate::runtime::blocking;

/// A stream without a file. All of a shim are such if init opens those of the job.
pub(super) const NO_STREAM: &str = "/dev/null";
