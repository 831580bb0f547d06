//! Tar archives, entry by entry, with whatever may stand in one.

/// An archive being written.
#[derive(Default, Clone)]
pub struct Archive {
    bytes: Vec<u8>,
    owner: (u64, u64),
}

/// The type of an entry (POSIX `typeflag`).
pub mod kind {
    pub const FILE: u8 = b'0';
    pub const HARD_LINK: u8 = b'1';
    pub const SYMLINK: u8 = b'2';
    pub const CHARACTER: u8 = b'3';
    pub const BLOCK: u8 = b'4';
    pub const DIRECTORY: u8 = b'5';
    pub const FIFO: u8 = b'6';
    pub const CONTIGUOUS: u8 = b'7';
    pub const GNU_LONG_LINK: u8 = b'K';
    pub const GNU_LONG_NAME: u8 = b'L';
    pub const PAX: u8 = b'x';
    pub const PAX_GLOBAL: u8 = b'g';
}

const MTIME: u64 = 1_700_000_000;

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    /// The owner of all that follows.
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// An entry whose header has these very bytes.
    pub fn entry(mut self, kind: u8, path: &[u8], mode: u32, link: &[u8], content: &[u8]) -> Self {
        let header = self.header(kind, path, mode, link, content.len());
        self.push(header, content);
        self
    }

    fn header(&self, kind: u8, path: &[u8], mode: u32, link: &[u8], size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path);
        old.linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(MTIME);
        header.set_size(size.try_into().unwrap());
        header
    }

    fn push(&mut self, mut header: tar::Header, content: &[u8]) {
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        self.moded(path, 0o644, content)
    }

    pub fn moded(self, path: &str, mode: u32, content: &str) -> Self {
        self.entry(kind::FILE, path.as_bytes(), mode, b"", content.as_bytes())
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(kind::DIRECTORY, path.as_bytes(), mode, b"", b"")
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(kind::SYMLINK, path.as_bytes(), 0o777, target.as_bytes(), b"")
    }

    pub fn hard(self, path: &str, target: &str) -> Self {
        self.entry(kind::HARD_LINK, path.as_bytes(), 0o644, target.as_bytes(), b"")
    }

    /// A FIFO or a device.
    pub fn node(mut self, kind: u8, path: &str, (major, minor): (u32, u32)) -> Self {
        let mut header = self.header(kind, path.as_bytes(), 0o640, b"", 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.push(header, b"");
        self
    }

    /// A file without a number where none has to be.
    pub fn bare(mut self, path: &str, content: &str) -> Self {
        let mut header = self.header(kind::FILE, path.as_bytes(), 0, b"", content.len());
        let old = header.as_old_mut();
        (old.mode, old.uid, old.gid, old.mtime) = ([0; 8], [0; 8], *b"        ", [0; 12]);
        self.push(header, content.as_bytes());
        self
    }

    /// Records that count for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.entry(kind::PAX, b"PaxHeaders/x", 0o644, b"", &records_of(records))
    }

    /// The bytes, with the end that an archive has.
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }

    /// The bytes alone.
    pub fn cut(self) -> Vec<u8> {
        self.bytes
    }
}

/// `LENGTH KEY=VALUE` lines; the length counts its own digits.
pub fn records_of(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while rest + length.to_string().len() != length {
            length = rest + length.to_string().len();
        }
        all.extend_from_slice(format!("{length} {key}=").as_bytes());
        all.extend_from_slice(value);
        all.push(b'\n');
    }
    all
}
