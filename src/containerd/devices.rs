//! Device nodes of the host in a container.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use serde_json::{Value, json};

use crate::rights;

/// A device node that a container has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its path in the container.
    pub(super) path: String,
    pub(super) number: Number,
    /// Permission bits; `None` leaves them to the runtime.
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// What the control group lets the job do with it: some of r, w and m.
    pub(super) access: String,
}

/// What tells a device from the others of the machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// `c` or `b`.
    pub(super) kind: String,
    pub(super) major: u64,
    pub(super) minor: u64,
}

impl Number {
    /// That of a node of the host.
    pub(super) fn from_metadata(about: &fs::Metadata) -> Result<Self, String> {
        let kind = match about.file_type() {
            kind if kind.is_char_device() => "c",
            kind if kind.is_block_device() => "b",
            _ => return Err("not a device".to_owned()),
        };
        let device = about.rdev();
        Ok(Self {
            kind: kind.to_owned(),
            major: libc::major(device).into(),
            minor: libc::minor(device).into(),
        })
    }
}

impl Node {
    /// A node like one of the host's, or why this thread may not hand it on: containerd, being root,
    /// would not ask.
    pub(super) fn like(source: &Path, path: &str, access: &str) -> Result<Self, String> {
        let about = fs::metadata(source).map_err(|error| error.to_string())?;
        let number = Number::from_metadata(&about)?;
        // Such a file system may be the submitter's own, and show any number.
        let place = statvfs(source).map_err(|error| error.desc().to_owned())?;
        if place.flags().contains(FsFlags::ST_NODEV) {
            return Err("on a file system without devices".to_owned());
        }
        let read = if access.contains('r') { libc::R_OK } else { 0 };
        let write = if access.contains('w') { libc::W_OK } else { 0 };
        rights::may(source, read | write).map_err(|error| error.to_string())?;
        Ok(Self {
            path: path.to_owned(),
            number,
            mode: Some(about.mode() & 0o7777),
            uid: Some(about.uid()),
            gid: Some(about.gid()),
            access: access.to_owned(),
        })
    }

    /// The node for the spec.
    pub(super) fn device(&self) -> Value {
        let Number { kind, major, minor } = &self.number;
        let mut device = json!({ "path": self.path, "type": kind, "major": major, "minor": minor });
        for (key, value) in [("fileMode", self.mode), ("uid", self.uid), ("gid", self.gid)] {
            if let Some(value) = value {
                device[key] = value.into();
            }
        }
        device
    }

    /// The rule of the control group that lets the job use it.
    pub(super) fn rule(&self) -> Value {
        let Number { kind, major, minor } = &self.number;
        json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": self.access })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_it_is_on_the_host() {
        let node = Node::like(Path::new("/dev/full"), "/dev/my", "rw").unwrap();
        let number = Number { kind: "c".into(), major: 1, minor: 7 };
        assert_eq!((&node.number, node.access.as_str()), (&number, "rw"));
        assert_eq!(node.rule()["minor"], 7);
        assert_eq!(node.device()["path"], "/dev/my");
    }

    #[test]
    fn only_devices_are_taken() {
        let refusal = |path: &str| Node::like(Path::new(path), "/dev/my", "r").unwrap_err();
        assert_eq!(refusal("/etc/passwd"), "not a device");
        assert!(refusal("/no/such/device").contains("No such file"));
    }
}
