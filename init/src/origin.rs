//! Checks that the host's files are still those that the submitter was found to have a right to.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use drmaa2_init::{Order, Origin};

use crate::failure::Failure;

/// Between submission and launch, a part of a path may have become a symbolic link to another user's
/// file. A mount does not change afterwards, so one check is enough. Root has a right to every file, so
/// with a runtime that shows other numbers than the host's, nothing is proved for root.
pub(crate) fn check(order: &Order, job_dir: &Path) -> Result<(), Failure> {
    let shows_others = has_other_numbers(order, job_dir);
    if shows_others && order.submitter.as_ref().is_none_or(|submitter| submitter.uid == 0) {
        return Ok(());
    }
    for Origin { name, mount, device, inode } in &order.origins {
        let name = OsStr::from_bytes(name).display();
        if shows_others {
            let text = "the runtime shows files under numbers of its own, so nothing proves that it is the file of the \
                        submission";
            return Err(Failure::text(format!("{name}: {text}")));
        }
        let found =
            fs::metadata(OsStr::from_bytes(mount)).map_err(|error| Failure::new(&name, &error))?;
        if (found.dev(), found.ino()) != (*device, *inode) {
            return Err(Failure::text(format!("{name} was replaced after the job was submitted")));
        }
    }
    Ok(())
}

/// Returns whether files have other numbers here than on the host, as with gVisor: the job's directory,
/// which nobody but root can replace, shows it.
fn has_other_numbers(order: &Order, job_dir: &Path) -> bool {
    let found = fs::metadata(job_dir).ok().map(|found| (found.dev(), found.ino()));
    order.place.is_some() && found.is_some() && order.place != found
}

#[cfg(test)]
mod tests {
    use drmaa2_init::Submitter;

    use super::*;

    #[test]
    fn a_runtime_with_numbers_of_its_own_proves_nothing() {
        let dir = std::env::temp_dir();
        let found = fs::metadata(&dir).unwrap();
        let origin = |inode| Origin {
            name: b"outputPath /h/o".to_vec(),
            mount: dir.as_os_str().as_bytes().to_vec(),
            device: found.dev(),
            inode,
        };
        let of = |uid, place, inode| Order {
            submitter: Some(Submitter { uid, gid: 0, groups: vec![] }),
            origins: vec![origin(inode)],
            place,
            ..Order::default()
        };
        let (same, other) = (Some((found.dev(), found.ino())), Some((found.dev(), !found.ino())));
        let checked = |order: &Order| {
            check(order, &dir).map_err(|failure| String::from_utf8(failure.reason).unwrap())
        };
        for place in [None, same] {
            assert_eq!(checked(&of(1000, place, found.ino())), Ok(()));
            for uid in [0, 1000] {
                let replaced = checked(&of(uid, place, !found.ino())).unwrap_err();
                assert_eq!(replaced, "outputPath /h/o was replaced after the job was submitted");
            }
        }
        assert_eq!(checked(&of(0, other, !found.ino())), Ok(()));
        let unproved = checked(&of(1000, other, found.ino())).unwrap_err();
        assert!(unproved.starts_with("outputPath /h/o: the runtime shows"), "{unproved}");
        assert_eq!(checked(&Order { origins: vec![], ..of(1000, other, 1) }), Ok(()));
    }
}
