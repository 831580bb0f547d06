//! The directory of a job: its files, and what they show of the job. The files of the shared part, which
//! init reads and writes as well, are named in `drmaa2_init`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use drmaa2_init::{Fence, is_marked};

use super::files::io_error;
use crate::model::{ImageRef, Millis, Result};

/// A file in the job's directory with the time of its start. It is written before the first try, and so
/// distinguishes a job without a task yet from one whose task was lost.
pub(super) const STARTED_FILE: &str = "started";
/// A file in the job's directory that marks its start as to be withdrawn. The fence shows whether that
/// came in time.
pub(super) const WITHDRAW_FILE: &str = "withdraw";
/// A file in the job's directory that marks it as killed without a request to init.
pub(super) const KILL_FILE: &str = "kill";
/// A file in the job's directory that marks a job without an init.
const NO_INIT_FILE: &str = "no-init";
/// A file in the job's directory that holds name and digest of its image, a line each.
const IMAGE_FILE: &str = "image";
/// A file in the job's directory with the messages of the runtime's own init, and of the library's, that
/// have no other place.
pub(super) const ERRORS_FILE: &str = "errors";

/// The part of a job's directory that is mounted into its container. A job that runs as root can put
/// anything there; only the library can touch what is beside it.
pub(super) fn shared(dir: &Path) -> PathBuf {
    dir.join("shared")
}

/// The time of the first try to start the job in this directory.
pub(super) fn started_at(dir: &Path) -> Option<Millis> {
    fs::read_to_string(dir.join(STARTED_FILE)).ok()?.parse().ok()
}

/// Returns whether the job in this directory has begun, as far as its files show; without an init,
/// whether it may have.
pub(super) fn has_begun(dir: &Path) -> bool {
    // A fence that cannot be read must not make anything run twice.
    Fence::look(&shared(dir)).map_or(true, |fence| fence == Some(Fence::Begun))
}

/// Returns whether a start of the job in this directory was tried, or the job has even begun.
pub(super) fn was_tried(dir: &Path) -> bool {
    started_at(dir).is_some() || (dir.is_dir() && has_begun(dir))
}

/// Returns whether the start of the job in this directory was withdrawn.
pub(super) fn is_withdrawn(dir: &Path) -> bool {
    is_marked(&dir.join(WITHDRAW_FILE)) && will_never_begin(dir)
}

/// Returns whether the attempt with this directory was given up, so that its init will do nothing.
pub(super) fn will_never_begin(dir: &Path) -> bool {
    matches!(Fence::look(&shared(dir)), Ok(Some(Fence::Withdrawn)))
}

/// Mark the job of this directory as one without an init.
pub(super) fn mark_bare(dir: &Path) -> Result<()> {
    let mark = dir.join(NO_INIT_FILE);
    drmaa2_init::mark(&mark).map(drop).map_err(|error| io_error(&mark, &error))
}

/// Returns whether the job of this directory is one without an init.
pub(super) fn is_bare(dir: &Path) -> bool {
    is_marked(&dir.join(NO_INIT_FILE))
}

/// The image that the job in this directory runs in.
pub(super) fn image_of(dir: &Path) -> Option<ImageRef> {
    let text = fs::read_to_string(dir.join(IMAGE_FILE)).ok()?;
    let (name, digest) = text.split_once('\n')?;
    let digest = Some(digest.to_owned()).filter(|digest| !digest.is_empty());
    Some(ImageRef { name: name.to_owned(), digest })
}

/// Note the image, for [`image_of`].
pub(super) fn note_image(dir: &Path, image: &ImageRef) -> Result<()> {
    let file = dir.join(IMAGE_FILE);
    let digest = image.digest.as_deref().unwrap_or_default();
    fs::write(&file, format!("{}\n{digest}", image.name)).map_err(|error| io_error(&file, &error))
}

/// The identity of an attempt among those at the same job: device and inode of its directory.
pub(super) type Identity = (u64, u64);

/// The identity of a directory.
pub(super) fn identity_of(found: &fs::Metadata) -> Identity {
    (found.dev(), found.ino())
}
