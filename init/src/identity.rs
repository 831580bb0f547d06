//! The user whose rights this process has when it works on files.

use std::fs;
use std::io;

use drmaa2_init::Submitter;

use crate::failure::check;

/// A user with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

impl Identity {
    pub(crate) fn root() -> Self {
        Self { uid: 0, gid: 0, groups: Vec::new() }
    }

    /// The user on whose behalf an order is.
    pub(crate) fn of(submitter: Option<&Submitter>) -> Self {
        submitter.map_or_else(Self::root, |submitter| Self {
            uid: submitter.uid,
            gid: submitter.gid,
            groups: submitter.groups.clone(),
        })
    }

    /// Do something with this user's rights, then continue with those of root. No other user can send
    /// this process a signal in between: its other user ids stay root's.
    pub(crate) fn act<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.assume()?;
        let done = work();
        Self::root().assume()?;
        done
    }

    /// Returns whether this process is the user's and can be no other: the groups are then those that it was given.
    /// In a namespace with one user, that is any user.
    pub(crate) fn is_here_without_rights(&self) -> bool {
        // SAFETY: neither takes anything.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        (uid != 0 && (self.uid, self.gid) == (uid, gid)) || (uid == 0 && has_one_user())
    }

    /// The kernel takes root's rights to files from another user, and gives them back to root.
    fn assume(&self) -> io::Result<()> {
        if !has_file_ids() {
            return self.assume_effectively();
        }
        // SAFETY: the list of groups is valid for its length; the rest are numbers.
        unsafe {
            check(libc::setgroups(self.groups.len(), self.groups.as_ptr()))?;
            libc::setfsgid(self.gid);
            libc::setfsuid(self.uid);
            // The calls report no failure, only the previous id: with an invalid id they change nothing.
            let taken = (libc::setfsuid(u32::MAX), libc::setfsgid(u32::MAX));
            let wanted = (self.uid.cast_signed(), self.gid.cast_signed());
            if taken == wanted { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        }
    }

    /// Do it by the effective ids. The system calls are made directly: the C library would change the other
    /// threads as well.
    fn assume_effectively(&self) -> io::Result<()> {
        /// Leaves an id as it is.
        const SAME: libc::c_long = -1;
        // SAFETY: the list of groups is valid for its length; the rest are numbers.
        unsafe {
            // Groups can be changed by root alone.
            called(libc::syscall(libc::SYS_setresuid, SAME, 0, SAME))?;
            called(libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()))?;
            called(libc::syscall(libc::SYS_setresgid, SAME, libc::c_ulong::from(self.gid), SAME))?;
            called(libc::syscall(libc::SYS_setresuid, SAME, libc::c_ulong::from(self.uid), SAME))
        }
    }
}

/// Returns whether this process is in a user namespace with one user: see `sole_user.rs`. Nobody can become anybody else in
/// it, and all files of this user are root's.
pub(crate) fn has_one_user() -> bool {
    fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "deny")
}

/// Returns whether the kernel has ids for files alone. gVisor's has not.
fn has_file_ids() -> bool {
    // SAFETY: takes a number, and with this one changes nothing.
    unsafe { libc::setfsuid(u32::MAX) != -1 }
}

fn called(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn both_ways_to_work_as_a_user_do_the_same() {
        // SAFETY: takes nothing.
        if unsafe { libc::geteuid() } != 0 {
            return;
        }
        let user = Identity { uid: 12345, gid: 54321, groups: vec![54321, 7] };
        for assume in [Identity::assume, Identity::assume_effectively] {
            let dir = std::env::temp_dir().join(format!("drmaa2-identity-{}", std::process::id()));
            std::fs::create_dir(&dir).unwrap();
            std::os::unix::fs::chown(&dir, Some(user.uid), Some(user.gid)).unwrap();
            let secret = dir.join("secret");
            std::fs::write(&secret, "").unwrap();
            std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
            assume(&user).unwrap();
            let (made, read) = (std::fs::write(dir.join("made"), ""), std::fs::read(&secret));
            assume(&Identity::root()).unwrap();
            made.unwrap();
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            let found = std::fs::metadata(dir.join("made")).unwrap();
            assert_eq!((found.uid(), found.gid()), (user.uid, user.gid));
            std::fs::read(&secret).unwrap();
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
}
