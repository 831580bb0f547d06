//! Work on files of the host, and its errors.

use std::io;
use std::path::Path;

use crate::model::{Error, ErrorCode, Result};

/// A stream without a file. All of a shim are such if init opens those of the job.
pub(super) const NO_STREAM: &str = "/dev/null";

/// Work on files, on a thread that they may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::internal("work on the files of a job died")))
}

/// An error of the system, with the path of the file.
pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::of_io(error), format!("{}: {error}", path.display()))
}
