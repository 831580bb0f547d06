//! The host's files in an [`Order`](crate::Order).

use std::io;

use crate::codec::{self, Writer};

/// A file or a directory to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// The source: a path of the host to stage in, of the container to stage out.
    pub source: Vec<u8>,
    /// The destination: a path of the container to stage in, of the host to stage out.
    pub destination: Vec<u8>,
    /// The host's side as mounted in the container: the source itself, or the directory of the
    /// destination.
    pub mount: Vec<u8>,
}

/// A mount of a file of the host, which must be the file that the submitter was found to have a right
/// to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Attribute and path, for people.
    pub name: Vec<u8>,
    /// The path in the container.
    pub mount: Vec<u8>,
    /// The number of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// The submitter of the job: the host's files are accessed with this user's rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submitter {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Transfer {
    pub(crate) fn write(all: &[Self], key: &str, out: &mut Writer) {
        for Self { source, destination, mount } in all {
            [source, destination, mount].iter().for_each(|value| out.bytes(key, value));
        }
    }

    pub(crate) fn read(values: &[Vec<u8>]) -> Vec<Self> {
        let (transfers, _) = values.as_chunks();
        let transfer = |[source, destination, mount]: &[Vec<u8>; 3]| Self {
            source: source.clone(),
            destination: destination.clone(),
            mount: mount.clone(),
        };
        transfers.iter().map(transfer).collect()
    }
}

impl Origin {
    pub(crate) fn write(all: &[Self], key: &str, out: &mut Writer) {
        for Self { name, mount, device, inode } in all {
            [name, mount].iter().for_each(|value| out.bytes(key, value));
            [device, inode].iter().for_each(|value| out.number(key, value));
        }
    }

    pub(crate) fn read(values: &[Vec<u8>]) -> io::Result<Vec<Self>> {
        let (origins, _) = values.as_chunks();
        let origin = |[name, mount, device, inode]: &[Vec<u8>; 4]| {
            Ok(Self {
                name: name.clone(),
                mount: mount.clone(),
                device: codec::number(device)?,
                inode: codec::number(inode)?,
            })
        };
        origins.iter().map(origin).collect()
    }
}

impl Submitter {
    pub(crate) fn write(&self, key: &str, out: &mut Writer) {
        [self.uid, self.gid].iter().chain(&self.groups).for_each(|number| out.number(key, number));
    }

    pub(crate) fn read(values: &[Vec<u8>]) -> io::Result<Option<Self>> {
        let numbers = values.iter().map(|value| codec::number(value)).collect::<io::Result<Vec<_>>>()?;
        Ok(match numbers[..] {
            [uid, gid, ref groups @ ..] => Some(Self { uid, gid, groups: groups.to_vec() }),
            _ => None,
        })
    }
}
