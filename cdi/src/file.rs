//! Files of the host that others have written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The content of a file of the host, read with the rights of this thread. One of more than `limit` bytes is refused, as
/// is a pipe, which would be waited for.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let refuse = |cause: String| io::Error::new(io::ErrorKind::InvalidInput, cause);
    if file.metadata()?.file_type().is_fifo() {
        return Err(refuse("it is a pipe, and not a file".to_owned()));
    }
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(refuse(format!("it is larger than {limit} bytes")));
    }
    Ok(content)
}
