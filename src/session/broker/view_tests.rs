//! A client whose mounts are its own.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fs, ptr, thread};

use super::tests::{NOBODY, Site, is_root};
use crate::model::{ErrorCode, JobTemplate, Text};
use crate::session::tests::template;
use crate::session::{Bulk, JobSession};

/// Give this thread, and those that it starts, mounts of their own, and a file system at this path that nobody else sees.
fn mount_alone(at: &Path) {
    let at = CString::new(at.to_str().unwrap()).unwrap();
    let (kind, private) = (c"tmpfs".as_ptr(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: the texts end in NUL, and no pointer is kept.
    let answers = unsafe {
        [
            libc::unshare(libc::CLONE_NEWNS),
            libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()),
            libc::mount(kind, at.as_ptr(), kind, 0, c"mode=1777".as_ptr().cast()),
        ]
    };
    assert_eq!(answers, [0; 3], "{}", io::Error::last_os_error());
}

#[test]
fn a_file_that_only_the_client_sees_is_not_made_elsewhere() {
    let site = Site::new();
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there");
    fs::create_dir(&there).unwrap();
    for open in [dir.path(), &there] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let output = |dir: &Path| JobTemplate {
        output_path: Some(Text::from(dir.join("out").as_path())),
        ..template("0")
    };
    let (hidden, seen) = (output(&there), output(dir.path()));
    let client = || {
        mount_alone(&there);
        site.of(NOBODY, |_| {
            let session = JobSession::create(None, None).unwrap();
            let bulk = Bulk { begin: 1, end: 2, step: 1, max_parallel: 0 };
            let refused =
                [session.run_job(hidden.clone()).err(), session.run_bulk_jobs(&hidden, bulk).err()];
            for error in refused.map(Option::unwrap) {
                assert_eq!(error.code, ErrorCode::InvalidArgument);
                let named = error.message.contains("outputPath") && error.message.contains("/there is");
                assert!(named && error.message.contains("another directory for the broker"), "{error}");
            }
            assert!(session.jobs(None).unwrap().is_empty());
            // A directory that both see is the same.
            session.run_job(seen.clone()).unwrap();
        });
    };
    thread::scope(|scope| scope.spawn(client).join().unwrap());
    assert!(!there.join("out").exists() && dir.path().join("out").exists());
}
