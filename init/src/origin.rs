//! Checks that the host's files are still those that the submitter was found to have a right to.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use drmaa2_init::Origin;

use crate::failure::Failure;

/// Between submission and launch, a part of a path may have become a symbolic link to another user's
/// file. A mount does not change afterwards, so one check is enough.
pub(crate) fn check(origins: &[Origin]) -> Result<(), Failure> {
    for Origin { name, mount, device, inode } in origins {
        let name = OsStr::from_bytes(name).display();
        let found =
            fs::metadata(OsStr::from_bytes(mount)).map_err(|error| Failure::new(&name, &error))?;
        if (found.dev(), found.ino()) != (*device, *inode) {
            return Err(Failure::text(format!("{name} was replaced after the job was submitted")));
        }
    }
    Ok(())
}
