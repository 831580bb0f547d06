//! Layers that this process unpacks while it reads them.
//!
//! containerd unpacks one layer after another, each from its first byte, when it is there as a whole. Here each is
//! unpacked as its bytes come, whichever layers are below it, into a snapshot that has none below: a directory
//! of containerd's, which is exchanged for that of the right snapshot when this can be made. It is done only where
//! the directory is known to be the one that containerd sees. Whatever is unusual is left to containerd.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use containerd_client::types::Mount;
use rustix::fs::{self, AtFlags, CWD, Gid, Mode, RenameFlags, Uid};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::extract::{Extracted, Form, extract};
use super::implied;
use crate::images::archive::Pieces;
use crate::images::file::open;
use crate::runtime;

/// Layers that are unpacked at a time, each on a thread: as many as a pull reads.
const LAYERS: usize = 3;
/// Pieces on their way to the thread.
const PIECES: usize = 2;

/// The turns to unpack a layer.
pub(in crate::containerd) struct Turns(Arc<Semaphore>);

impl Turns {
    /// All of them.
    pub(in crate::containerd) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LAYERS)))
    }

    /// One of them, if there is one now, and nothing about this process speaks against it.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        // A write beyond the limit would be a signal to the host.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
        limit.current.is_none().then(|| Arc::clone(&self.0).try_acquire_owned().ok())?
    }
}

/// The directory of a snapshot without a parent, empty.
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// That of these mounts, if it is to be seen here.
    pub(super) fn of(mounts: &[Mount]) -> Option<Self> {
        let path = place(mounts, true)?;
        let fd = open(&path).ok()?;
        Some(Self { path, fd })
    }

    /// Make a mark in it, so that containerd can tell whether it sees the same directory.
    pub(super) fn mark(&self) -> io::Result<()> {
        Ok(fs::mkdirat(&self.fd, MARK, Mode::RWXU)?)
    }

    /// Remove the mark.
    pub(super) fn clear(&self) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, MARK, AtFlags::REMOVEDIR)?)
    }
}

const MARK: &str = "drmaa2-mark";

/// A layer that is being unpacked.
pub(in crate::containerd) struct Apart {
    /// The key of the snapshot.
    pub(super) key: String,
    path: PathBuf,
    pieces: mpsc::Sender<Vec<u8>>,
    /// Bytes of the layer that are on their way.
    fed: u64,
    extracted: oneshot::Receiver<io::Result<Extracted>>,
}

impl Apart {
    /// Begin with a layer in this directory.
    pub(super) fn begin(
        key: &str,
        directory: Directory,
        form: Form,
        turn: OwnedSemaphorePermit,
    ) -> crate::model::Result<Self> {
        let Directory { path, fd } = directory;
        let (pieces, receiver) = mpsc::channel(PIECES);
        let (done, extracted) = oneshot::channel();
        runtime::thread("drmaa2-layer", move || {
            let result = extract(Pieces::from(receiver), &fd, form);
            drop((fd, turn));
            let _ = done.send(result);
        })?;
        Ok(Self { key: key.to_owned(), path, pieces, fed: 0, extracted })
    }

    /// The next bytes of the layer, which begin at `offset`. They are of no use if some before are missing, or if
    /// the layer is left to containerd.
    pub(in crate::containerd) async fn feed(&mut self, offset: u64, bytes: &[u8]) {
        if offset == self.fed && self.pieces.send(bytes.to_vec()).await.is_ok() {
            self.fed = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
    }

    /// That was all.
    pub(in crate::containerd) async fn finish(self) -> Unpacked {
        let Self { key, path, pieces, extracted, .. } = self;
        drop(pieces);
        let extracted = match extracted.await {
            Ok(Ok(extracted)) => Some(extracted),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a layer is left to containerd");
                None
            }
            Err(_) => None,
        };
        Unpacked { key, path, extracted }
    }
}

/// A layer that was unpacked, or was not to be.
pub(in crate::containerd) struct Unpacked {
    /// The key of the snapshot, which is of no more use after the exchange.
    pub(super) key: String,
    path: PathBuf,
    extracted: Option<Extracted>,
}

impl Unpacked {
    /// Returns whether the layer was unpacked, and is this one.
    pub(super) fn is(&self, diff_id: &str) -> bool {
        self.extracted.as_ref().is_some_and(|extracted| extracted.diff_id == diff_id)
    }

    /// The directory of the snapshot of these mounts, if it can have the layer's.
    pub(super) fn place(&self, mounts: &[Mount], lowest: bool) -> Option<PathBuf> {
        // Both are the same daemon's, in the directory where it has all of them.
        place(mounts, lowest).filter(|place| root(place) == root(&self.path))
    }

    /// Give its files to a snapshot with this directory, which is empty; returns whether they are there.
    pub(super) fn exchange(&self, place: &Path, mounts: &[Mount]) -> bool {
        let parents = self.extracted.as_ref().map(|extracted| extracted.implied.as_slice());
        match exchange(&self.path, place, parents.unwrap_or_default(), &lower(mounts)) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "a layer is left to containerd");
                false
            }
        }
    }
}

fn exchange(ours: &Path, other: &Path, parents: &[Vec<u8>], lower: &[&Path]) -> io::Result<()> {
    implied::adopt(&open(ours)?, parents, lower)?;
    // Owner and mode from containerd are those of the layer below.
    let stat = fs::statat(CWD, other, AtFlags::SYMLINK_NOFOLLOW)?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fs::chownat(CWD, ours, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    fs::chmodat(CWD, ours, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    Ok(fs::renameat_with(CWD, ours, CWD, other, RenameFlags::EXCHANGE)?)
}

/// The directory in which a snapshot has its files, which is `…/snapshots/NUMBER/fs`.
fn place(mounts: &[Mount], lowest: bool) -> Option<PathBuf> {
    let [mount] = mounts else { return None };
    let path = match (mount.r#type.as_str(), lowest) {
        ("bind", true) => mount.source.as_str(),
        ("overlay", false) => {
            let options = &mount.options;
            // Its marks are others.
            if options.iter().any(|option| option == "userxattr") {
                return None;
            }
            options.iter().find_map(|option| option.strip_prefix("upperdir="))?
        }
        _ => return None,
    };
    Path::new(path).is_absolute().then(|| PathBuf::from(path))
}

/// The directories of the layers below, the uppermost first.
fn lower(mounts: &[Mount]) -> Vec<&Path> {
    let options = mounts.iter().flat_map(|mount| &mount.options);
    let below = options.filter_map(|option| option.strip_prefix("lowerdir="));
    below.flat_map(|paths| paths.split(':').map(Path::new)).collect()
}

fn root(directory: &Path) -> Option<&Path> {
    directory.parent()?.parent()
}
