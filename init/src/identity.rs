//! The user whose rights this process has when it works on files.

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

    /// The kernel takes root's rights to files from another user, and gives them back to root.
    fn assume(&self) -> io::Result<()> {
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
}
