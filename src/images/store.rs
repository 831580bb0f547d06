//! The files of a directory with images.
//!
//! ```text
//! sha256-HEX/rootfs          an image, by the digest of its manifest; it is there as a whole or not at all
//! sha256-HEX/config.json     its configuration, as the registry has it
//! names/ARCHITECTURE/NAME    the digest that a name stands for on machines of this architecture
//! locks/sha256-HEX           locked while the image is pulled
//! tmp/                       images that are being made
//! ```

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use oci_spec::image::{Arch, Config, ImageConfiguration};
use sha2::{Digest, Sha256};

use super::document::{self, MAX_DOCUMENT};
use super::temporary;
use crate::model::{Result, io_error};
use crate::registry::is_digest;
use crate::rights;

/// Bytes of the name of a file; file systems know 255, and something is left for what ends in a hash.
const MAX_NAME: usize = 180;
/// Bytes of a file that has a digest in it.
const MAX_DIGEST: usize = 256;

/// An image that is there.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// Its name, in full.
    pub name: String,
    /// The digest of its manifest for this machine.
    pub digest: String,
    /// Its root file system.
    pub rootfs: PathBuf,
    /// The way its programs want to be run.
    pub config: Config,
}

/// The directory.
#[derive(Debug, Clone)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// In this directory, which need not be there.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Make the directories for those who write.
    pub(super) fn prepare(&self) -> Result<()> {
        for dir in [self.tmp(), self.dir.join("locks"), self.names()] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
            made.map_err(|error| io_error(&dir, &error))?;
        }
        Ok(())
    }

    /// The directory for images that are being made.
    pub(super) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// The file that is locked while the image of this digest is pulled.
    pub(super) fn lock(&self, digest: &str) -> PathBuf {
        self.dir.join("locks").join(file_name(digest))
    }

    /// The directory of an image.
    pub(super) fn place(&self, digest: &str) -> PathBuf {
        self.dir.join(file_name(digest))
    }

    /// The image of a name in full.
    pub(super) fn find(&self, name: &str) -> Result<Option<Unpacked>> {
        let file = self.names().join(escaped(name));
        let Some(text) = read(&file, MAX_DIGEST)? else { return Ok(None) };
        match std::str::from_utf8(&text).map(str::trim) {
            Ok(digest) if is_digest(digest) => self.load(name, digest),
            _ => Ok(None),
        }
    }

    /// The image of a digest, if it is whole.
    pub(super) fn load(&self, name: &str, digest: &str) -> Result<Option<Unpacked>> {
        let place = self.place(digest);
        let Some(text) = read(&place.join("config.json"), MAX_DOCUMENT)? else { return Ok(None) };
        let config: ImageConfiguration = match document::read(&text) {
            Ok(config) => config,
            Err(error) => {
                tracing::debug!(%error, digest, "an image is damaged");
                return Ok(None);
            }
        };
        let rootfs = place.join("rootfs");
        if !rootfs.is_dir() {
            return Ok(None);
        }
        let config = config.config().clone().unwrap_or_default();
        Ok(Some(Unpacked { name: name.to_owned(), digest: digest.to_owned(), rootfs, config }))
    }

    /// Give an image a name.
    pub(super) fn name(&self, name: &str, digest: &str) -> Result<()> {
        let file = self.names().join(escaped(name));
        let written = temporary::write(&self.tmp(), &file, &format!("{digest}\n"));
        written.map_err(|error| io_error(&file, &error))
    }

    /// Machines of several architectures may share the directory.
    fn names(&self) -> PathBuf {
        self.dir.join("names").join(Arch::default().to_string())
    }
}

/// The content of a file that may be missing.
fn read(file: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    match rights::read(file, limit) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(file, &error)),
    }
}

fn file_name(digest: &str) -> String {
    digest.replace(':', "-")
}

/// A name as that of a file.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(char::from(byte)),
            // Nothing fails to be written to a text.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    if text.len() > MAX_NAME {
        text.truncate(MAX_NAME);
        let _ = write!(text, "%{:x}", Sha256::digest(name));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_name_is_that_of_a_file_of_its_own() {
        assert_eq!(escaped("docker.io/library/a_b:1"), "docker.io%2Flibrary%2Fa_b%3A1");
        let long = |end: char| format!("h.example/{}{end}", "a/".repeat(120));
        let (one, other) = (escaped(&long('x')), escaped(&long('y')));
        assert!(one != other && one.len() <= 255 && !one.contains('/'), "{one}");
    }

    #[test]
    fn only_what_is_whole_is_an_image() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("images"));
        let (name, digest) = ("h/a:1", format!("sha256:{}", "0".repeat(64)));
        assert!(store.find(name).unwrap().is_none());
        store.prepare().unwrap();
        store.name(name, &digest).unwrap();
        assert!(store.find(name).unwrap().is_none());
        let place = store.place(&digest);
        fs::create_dir(&place).unwrap();
        fs::write(place.join("config.json"), r#"{"config": {"Env": ["A=1"]}}"#).unwrap();
        assert!(store.find(name).unwrap().is_none());
        fs::create_dir(place.join("rootfs")).unwrap();
        let found = store.find(name).unwrap().unwrap();
        assert_eq!((found.name.as_str(), &found.digest), (name, &digest));
        assert_eq!(found.config.env().as_deref(), Some(&["A=1".to_owned()][..]));
        fs::write(place.join("config.json"), "").unwrap();
        assert!(store.find(name).unwrap().is_none());
        fs::write(store.names().join(escaped(name)), "../../etc").unwrap();
        assert!(store.find(name).unwrap().is_none());
    }
}
