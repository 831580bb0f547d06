//! What an [`Order`](crate::Order) says of the host's files.

use std::io;

use crate::codec::{self, Writer};

/// A file or a directory to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// From where: a path of the host to stage in, of the container to stage out.
    pub source: Vec<u8>,
    /// To where: a path of the container to stage in, of the host to stage out.
    pub destination: Vec<u8>,
    /// Where the container has the host's side of it: the source itself, or the directory in which the
    /// destination shall be.
    pub mount: Vec<u8>,
}

/// A mount of a file of the host, which has to be the file that the submitter was found to have a
/// right to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What it is, for people: attribute and path.
    pub name: Vec<u8>,
    /// Where the container sees it.
    pub mount: Vec<u8>,
    /// The number of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// Who submitted the job: what is done with the host's files is done with his rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submitter {
    /// His number.
    pub uid: u32,
    /// His group.
    pub gid: u32,
    /// His supplementary groups.
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
