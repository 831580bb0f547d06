//! A user namespace with one user: that of somebody without any rights, who is root in it.
//!
//! All files that this user has on the machine are root's in it, and nobody can become anybody else. Still the command
//! should see its user under the numbers that the user has on the machine, so it gets a namespace below this one.

use std::fs;
use std::io;

use crate::failure::{Failure, check};
use crate::user::User;

/// Enter a namespace in which the one user has the numbers of this one.
pub(crate) fn enter(user: &User) -> Result<(), Failure> {
    let entered = || {
        // SAFETY: takes a number. This process has one thread.
        check(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
        fs::write("/proc/self/uid_map", format!("{} 0 1", user.uid))?;
        fs::write("/proc/self/gid_map", format!("{} 0 1", user.gid))
    };
    let failed = |error: io::Error| Failure::new(format_args!("user {}:{}", user.uid, user.gid), &error);
    entered().map_err(failed)
}
