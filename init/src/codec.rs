//! The file format of orders and records: `key=value` entries, each ended by NUL.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Builds a file.
#[derive(Default)]
pub(crate) struct Writer {
    text: Vec<u8>,
    has_nul: bool,
}

impl Writer {
    pub(crate) fn bytes(&mut self, key: &str, value: &[u8]) {
        self.has_nul |= value.contains(&0);
        self.text.extend_from_slice(key.as_bytes());
        self.text.push(b'=');
        self.text.extend_from_slice(value);
        self.text.push(0);
    }

    pub(crate) fn list(&mut self, key: &str, values: &[Vec<u8>]) {
        values.iter().for_each(|value| self.bytes(key, value));
    }

    pub(crate) fn number(&mut self, key: &str, value: impl Display) {
        self.bytes(key, value.to_string().as_bytes());
    }

    pub(crate) fn option(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.bytes(key, b"");
        }
    }

    /// Write to a sibling, sync, rename: a reader sees the old file or the whole new one.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> io::Result<()> {
        self.replace(dir, name, File::sync_all)?;
        File::open(dir)?.sync_all()
    }

    /// The same, but for stable storage, which the caller sees to for many files at once.
    pub(crate) fn write_unsynced(&self, dir: &Path, name: &str) -> io::Result<()> {
        self.replace(dir, name, |_| Ok(()))
    }

    fn replace(&self, dir: &Path, name: &str, sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
        if self.has_nul {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a NUL byte in a value"));
        }
        let draft = draft(dir, name);
        let mut file = match reserved(&draft) {
            Some(file) => file,
            None => {
                let _ = fs::remove_file(&draft);
                File::create_new(&draft)?
            }
        };
        file.write_all(&self.text)?;
        file.set_len(self.text.len() as u64)?;
        sync(&file)?;
        fs::rename(&draft, dir.join(name))
    }
}

/// The file that is written before it gets its final name.
fn draft(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.new"))
}

/// The existing draft, with its reserved disk space. The job may have replaced it, and root must not
/// write to a replacement.
fn reserved(draft: &Path) -> Option<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().write(true).custom_flags(flags).open(draft).ok()?;
    let found = file.metadata().ok()?;
    (found.is_file() && found.nlink() == 1).then_some(file)
}

/// Reserve disk space for a file that is written later, so that a full disk cannot prevent it.
pub(crate) fn reserve(dir: &Path, name: &str, length: usize) -> io::Result<()> {
    let draft = draft(dir, name);
    let _ = fs::remove_file(&draft);
    let mut file = File::create_new(draft)?;
    // SAFETY: takes numbers alone.
    let done = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length as libc::off_t) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if done == 0 => Ok(()),
        Some(libc::EOPNOTSUPP | libc::ENOSYS) => file.write_all(&vec![0; length]),
        _ => Err(error),
    }
}

/// The content of a regular file of at most `limit` bytes; anything else is invalid data. A job that
/// runs as root may replace such a file: by a pipe that blocks its reader for ever, by a link to an
/// endless file, by a device that acts as soon as it is opened.
fn read_plain(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Gets a handle without opening the file.
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let place = File::options().read(true).custom_flags(flags).open(path)?;
    if !place.metadata()?.is_file() {
        return Err(invalid("not a regular file"));
    }
    let same = format!("/proc/self/fd/{}", place.as_raw_fd());
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(same)?;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(invalid("the file is too large"));
    }
    Ok(content)
}

/// The entries of a file.
pub(crate) struct Entries(Vec<(String, Vec<u8>)>);

impl Entries {
    /// The entries of a file of at most `limit` bytes.
    pub(crate) fn read(dir: &Path, name: &str, limit: u64) -> io::Result<Self> {
        let text = read_plain(&dir.join(name), limit)?;
        let Some(entries) = text.strip_suffix(b"\0") else {
            return Err(invalid("the file does not end in NUL"));
        };
        let split = |entry: &[u8]| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let key = String::from_utf8(entry[..at].to_vec()).ok()?;
            Some((key, entry[at + 1..].to_vec()))
        };
        entries
            .split(|byte| *byte == 0)
            .map(|entry| split(entry).ok_or_else(|| invalid("an entry without a key")))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}

/// A decimal number.
pub(crate) fn number<T: FromStr>(value: &[u8]) -> io::Result<T> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("not a number"))
}

pub(crate) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let dir = std::env::temp_dir().join(format!("drmaa2-init-plain-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read_plain(&file, 5).unwrap(), b"12345");
        let refused = |path: &Path, limit| read_plain(path, limit).unwrap_err().kind();
        assert_eq!(refused(&file, 4), io::ErrorKind::InvalidData);
        assert_eq!(refused(&dir, 5), io::ErrorKind::InvalidData);
        assert_eq!(refused(Path::new("/dev/zero"), 5), io::ErrorKind::InvalidData);
        assert_eq!(refused(&dir.join("nothing"), 5), io::ErrorKind::NotFound);
        let link = dir.join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(refused(&link, 5), io::ErrorKind::InvalidData);
        let pipe = dir.join("pipe");
        let name = std::ffi::CString::new(pipe.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the path ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        // A plain open would wait for a writer.
        assert_eq!(refused(&pipe, 5), io::ErrorKind::InvalidData);
        // The reported size of a file that has no end is not believed.
        assert_eq!(refused(Path::new("/proc/self/status"), 5), io::ErrorKind::InvalidData);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn no_room_is_set_aside_behind_a_link() {
        let dir = std::env::temp_dir().join(format!("drmaa2-init-link-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let victim = dir.join("victim");
        fs::write(&victim, "safe").unwrap();
        symlink(&victim, draft(&dir, "record")).unwrap();
        reserve(&dir, "record", 10).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"safe");
        fs::remove_dir_all(dir).unwrap();
    }
}
