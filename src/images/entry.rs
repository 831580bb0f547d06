//! The entries of a layer's archive, read within bounds.
//!
//! This knows the plain part of the format, which builders write. Everything else is an error. Where there is a
//! containerd, it reads the layer then, and its reading is the one that counts.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::{self, Read};

use rustix::fs::{Timespec, Timestamps};
use tar::{EntryType, Header, PaxExtensions};

/// The most bytes that precede an entry, to describe it: Go's reader, which containerd uses, allows as many.
const MAX_DESCRIPTION: u64 = 1 << 20;
/// An extension whose rest is the name of an extended attribute.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// The only such attribute that images commonly have.
pub(crate) const CAPABILITY: &str = "security.capability";
/// The last second that containerd accepts.
const MAX_SECONDS: u64 = i64::MAX as u64 / 1_000_000_000;

/// The type of an entry, with what only this type has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    HardLink(Place),
    SymbolicLink(CString),
    CharacterDevice(u64),
    BlockDevice(u64),
    Fifo,
    /// The entry of this name below is gone.
    Whiteout,
    /// Everything below this directory is gone.
    Opaque,
}

/// A path below the root, without links and dots in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Empty for the root.
    pub(crate) parent: Vec<u8>,
    /// Empty for the root itself.
    pub(crate) name: Vec<u8>,
}

/// An entry, but for the content of a file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Permissions, with the bits for other users and groups.
    pub(crate) mode: u32,
    pub(crate) times: Timestamps,
    /// Its extended attributes; an empty value is that of one that is taken back.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
}

/// The descriptions that precede an entry.
#[derive(Default)]
struct Described {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    extensions: Option<HashMap<Vec<u8>, Vec<u8>>>,
}

/// The error for what is not understood here.
pub(crate) fn unusual(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what.to_owned())
}

/// Call a function for each entry of an archive, with the content of a file.
pub(crate) fn each<R: Read>(
    archive: R,
    mut take: impl FnMut(Entry, &mut tar::Entry<'_, R>) -> io::Result<()>,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    let mut described = Described::default();
    // Raw entries: what describes others is read here, within bounds.
    for raw in archive.entries()?.raw(true) {
        let mut raw = raw?;
        if !described.add(&mut raw)? {
            let entry = Entry::read(raw.header(), std::mem::take(&mut described))?;
            take(entry, &mut raw)?;
        }
    }
    Ok(())
}

impl Described {
    /// Take what is a description; returns whether it is one.
    fn add(&mut self, raw: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
        let kind = raw.header().entry_type();
        // Each once, so that all of them are within bounds.
        let is_there = match kind {
            EntryType::XHeader => self.extensions.is_some(),
            EntryType::GNULongName => self.name.is_some(),
            EntryType::GNULongLink => self.link.is_some(),
            _ => return Ok(false),
        };
        let size = raw.size();
        if is_there || size > MAX_DESCRIPTION {
            return Err(unusual("two descriptions of a kind, or one of more than 1 MiB"));
        }
        let mut text = Vec::new();
        raw.take(size).read_to_end(&mut text)?;
        if kind == EntryType::XHeader {
            let mut extensions = HashMap::new();
            for extension in PaxExtensions::new(&text) {
                let extension = extension?;
                extensions.insert(extension.key_bytes().to_vec(), extension.value_bytes().to_vec());
            }
            self.extensions = Some(extensions);
            return Ok(true);
        }
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        let slot = if kind == EntryType::GNULongName { &mut self.name } else { &mut self.link };
        *slot = Some(text);
        Ok(true)
    }
}

impl Entry {
    /// An entry by its header and the descriptions before it.
    fn read(header: &Header, described: Described) -> io::Result<Self> {
        let Described { name, link, extensions } = described;
        let mut extensions = extensions.unwrap_or_default();
        let mut known = |key: &str| match extensions.remove(key.as_bytes()) {
            Some(value) if value.is_empty() => Err(unusual("an extension that takes something back")),
            value => Ok(value),
        };
        let path = only(name, known("path")?)?.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = only(link, known("linkpath")?)?
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let old = header.as_old();
        let uid = known("uid")?.map_or_else(|| field(&old.uid, header.uid()), |text| number(&text))?;
        let gid = known("gid")?.map_or_else(|| field(&old.gid, header.gid()), |text| number(&text))?;
        let seconds = |value| Timespec { tv_sec: value, tv_nsec: 0 };
        let modified = match known("mtime")? {
            Some(text) => time(&text)?,
            None => seconds(below(field(&old.mtime, header.mtime())?, MAX_SECONDS)?.cast_signed()),
        };
        // GNU's form has one, too, if it is not zero.
        if header
            .as_gnu()
            .is_some_and(|gnu| gnu.atime.iter().any(|byte| !matches!(byte, 0 | b'0' | b' ')))
        {
            return Err(unusual("a time of the last access"));
        }
        let accessed = known("atime")?.map_or(Ok(modified), |text| time(&text))?;
        if known("size")?.is_some() {
            return Err(unusual("a size that the header has no room for"));
        }
        let mut attributes = Vec::new();
        for (key, value) in extensions {
            if key.starts_with(b"GNU.sparse.") {
                return Err(unusual("a sparse file"));
            }
            if let Some(name) = key.strip_prefix(XATTR) {
                let name = String::from_utf8(name.to_vec());
                attributes
                    .push((name.map_err(|_| unusual("an attribute whose name is no text"))?, value));
            }
        }
        let (kind, place) = kind(header, &path, link)?;
        Ok(Self {
            kind,
            place,
            uid: below(uid, u32::MAX - 1)?,
            gid: below(gid, u32::MAX - 1)?,
            mode: field(&old.mode, header.mode())? & 0o7777,
            times: Timestamps {
                last_access: if later(accessed, modified) { accessed } else { modified },
                last_modification: modified,
            },
            attributes,
        })
    }
}

impl Place {
    /// The whole path.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = self.name.as_slice();
        if self.parent.is_empty() { name.to_vec() } else { [&self.parent, name].join(&b'/') }
    }

    /// The place of a path below the root; `None` if one has to know the links and parents on its way.
    fn of(path: &[u8]) -> Option<Self> {
        if path.contains(&0) {
            return None;
        }
        let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
        let mut parts: Vec<&[u8]> = parts.collect();
        if parts.iter().any(|part| *part == b"..") {
            return None;
        }
        let name = parts.pop().unwrap_or_default().to_vec();
        Some(Self { parent: parts.join(&b'/'), name })
    }
}

fn kind(header: &Header, path: &[u8], link: Option<Vec<u8>>) -> io::Result<(Kind, Place)> {
    let mut place = Place::of(path).ok_or_else(|| unusual("a path with .. in it"))?;
    if place.name.starts_with(b".wh.") {
        if place.name == b".wh..wh..opq" {
            return Ok((Kind::Opaque, place));
        }
        if place.name.starts_with(b".wh..wh.") {
            return Err(unusual("a file of aufs"));
        }
        place.name.drain(..b".wh.".len());
        return if matches!(place.name.as_slice(), b"" | b"." | b"..") {
            Err(unusual("a whiteout of nothing"))
        } else {
            Ok((Kind::Whiteout, place))
        };
    }
    let link = || link.filter(|link| !link.is_empty()).ok_or_else(|| unusual("a link to nothing"));
    let device = || {
        let part = |number: io::Result<Option<u32>>| Ok::<_, io::Error>(number?.unwrap_or(0));
        let (major, minor) = (part(header.device_major())?, part(header.device_minor())?);
        Ok::<_, io::Error>(rustix::fs::makedev(major, minor))
    };
    let kind = match header.entry_type() {
        EntryType::Regular if !path.ends_with(b"/") => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Link => {
            let target = Place::of(&link()?).filter(|target| !target.name.is_empty());
            Kind::HardLink(target.ok_or_else(|| unusual("a hard link to a path with .. in it"))?)
        }
        EntryType::Symlink => Kind::SymbolicLink(CString::new(link()?)?),
        EntryType::Char => Kind::CharacterDevice(device()?),
        EntryType::Block => Kind::BlockDevice(device()?),
        EntryType::Fifo => Kind::Fifo,
        _ => return Err(unusual("an entry of a rare type")),
    };
    if place.name.is_empty() && kind != Kind::Directory {
        return Err(unusual("a root that is no directory"));
    }
    Ok((kind, place))
}

fn only(one: Option<Vec<u8>>, other: Option<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    if one.is_some() && other.is_some() {
        return Err(unusual("a name that is given twice"));
    }
    Ok(one.or(other))
}

/// The number in a field of a header; nothing in it is 0.
fn field<T: Default>(bytes: &[u8], number: io::Result<T>) -> io::Result<T> {
    if bytes.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(T::default()) } else { number }
}

fn number(text: &[u8]) -> io::Result<u64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| unusual("a number that is none"))
}

fn below<T: TryInto<U>, U: PartialOrd>(number: T, most: U) -> io::Result<U> {
    let number = number.try_into().ok().filter(|number| *number <= most);
    number.ok_or_else(|| unusual("a number that is too large"))
}

/// The time of an extension, seconds with a fraction.
fn time(text: &[u8]) -> io::Result<Timespec> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds: u64 = below(number(parts.next().unwrap_or_default())?, MAX_SECONDS)?;
    let mut nanoseconds = parts.next().unwrap_or_default().to_vec();
    if !nanoseconds.iter().all(u8::is_ascii_digit) {
        return Err(unusual("a time that is none"));
    }
    nanoseconds.resize(9, b'0');
    Ok(Timespec { tv_sec: seconds.cast_signed(), tv_nsec: below(number(&nanoseconds)?, 999_999_999)? })
}

fn later(one: Timespec, other: Timespec) -> bool {
    (one.tv_sec, one.tv_nsec) > (other.tv_sec, other.tv_nsec)
}
