//! Device nodes in a container.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use serde_json::{Value, json};

/// A device node of a container.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Its path in the container.
    pub path: String,
    /// The device.
    pub number: Number,
    /// Permission bits; `None` leaves them to the runtime.
    pub mode: Option<u32>,
    /// Its owner, likewise.
    pub uid: Option<u32>,
    /// Its group, likewise.
    pub gid: Option<u32>,
    /// The job's access in the control group: some of r, w and m.
    pub access: String,
}

/// The identity of a device on the machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Number {
    /// `c` or `b`.
    pub kind: String,
    /// Its driver.
    pub major: u64,
    /// Its number there.
    pub minor: u64,
}

impl Number {
    /// The number of a node of the host.
    pub fn from_metadata(about: &fs::Metadata) -> Result<Self, String> {
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
    /// The node for the spec.
    pub fn device(&self) -> Value {
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
    pub fn rule(&self) -> Value {
        let Number { kind, major, minor } = &self.number;
        json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": self.access })
    }
}
