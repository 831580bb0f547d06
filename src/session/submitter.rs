//! Who submits: this process, as its jobs will see it.

use std::fs;

use nix::unistd::{Uid, User, getegid, geteuid, getgroups, gethostname};

use crate::fork;
use crate::model::{Error, Result};
use crate::tracker::Submitter;

/// This process, with its user.
pub(super) fn submitter() -> Result<Submitter> {
    let uid = geteuid();
    let os = |what: &str, errno: nix::Error| Error::internal(format!("cannot find out {what}: {errno}"));
    let user = user(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
    let machine = gethostname().map_err(|errno| os("the host name", errno))?;
    let groups = getgroups().map_err(|errno| os("the groups of this process", errno))?;
    Ok(Submitter {
        user,
        uid: uid.as_raw(),
        gid: getegid().as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        umask: umask().unwrap_or(0o22),
        machine: machine.to_string_lossy().into_owned(),
    })
}

pub(super) fn user(uid: Uid) -> Result<Option<User>> {
    let _whole = fork::whole();
    User::from_uid(uid).map_err(|errno| Error::internal(format!("cannot look up user {uid}: {errno}")))
}

/// The file mode mask. `umask(2)` could tell only by changing it under the host's other threads.
fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}
