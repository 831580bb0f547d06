//! The submitter: this process, as its jobs will see it, or the user on whose behalf it acts.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist, getgroups, gethostname};

use crate::fork;
use crate::model::{Error, ErrorCode, Result};
use crate::tracker::Submitter;

/// This process, with its user.
pub(super) fn submitter() -> Result<Submitter> {
    let groups = getgroups().map_err(|errno| os("find out the groups of this process", errno))?;
    new(caller()?, geteuid(), getegid(), &groups)
}

/// The process of another user that calls this one.
pub(super) fn of_peer(
    user: String,
    uid: Uid,
    gid: Gid,
    groups: &[Gid],
    umask: u32,
) -> Result<Submitter> {
    Ok(Submitter { umask, ..new(user, uid, gid, groups)? })
}

/// The name of the user of this process.
pub(super) fn caller() -> Result<String> {
    let uid = geteuid();
    Ok(user(uid)?.map_or_else(|| uid.to_string(), |user| user.name))
}

/// Another user, with the groups of the user database, otherwise as a job of this process. Without a
/// given group, it is the user's primary one.
pub(super) fn another(user: &User, group: Option<u32>) -> Result<Submitter> {
    let groups = groups(user)?;
    let group = group.map_or(user.gid, Gid::from_raw);
    if !groups.contains(&group) {
        let text = format!("user {} is not in group {group}", user.name);
        return Err(Error::new(ErrorCode::DeniedByDrms, text));
    }
    new(user.name.clone(), user.uid, group, &groups)
}

fn new(user: String, uid: Uid, gid: Gid, groups: &[Gid]) -> Result<Submitter> {
    let machine = gethostname().map_err(|errno| os("find out the host name", errno))?;
    Ok(Submitter {
        user,
        uid: uid.as_raw(),
        gid: gid.as_raw(),
        groups: groups.iter().map(|group| group.as_raw()).collect(),
        umask: umask().unwrap_or(0o22),
        machine: machine.to_string_lossy().into_owned(),
    })
}

pub(super) fn user(uid: Uid) -> Result<Option<User>> {
    let _whole = fork::whole();
    User::from_uid(uid).map_err(|errno| os(&format!("look up user {uid}"), errno))
}

pub(super) fn user_named(name: &str) -> Result<Option<User>> {
    let _whole = fork::whole();
    User::from_name(name).map_err(|errno| os(&format!("look up user \"{name}\""), errno))
}

pub(super) fn group_named(name: &str) -> Result<Option<Group>> {
    let _whole = fork::whole();
    Group::from_name(name).map_err(|errno| os(&format!("look up group \"{name}\""), errno))
}

/// Returns whether a user is in one of these groups; a name that no group has is nobody's.
pub(super) fn is_in_one_of(submitter: &Submitter, groups: &[String]) -> Result<bool> {
    for name in groups {
        let is_member = |gid| gid == submitter.gid || submitter.groups.contains(&gid);
        if group_named(name)?.is_some_and(|group| is_member(group.gid.as_raw())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The user's primary group and those that the user is a member of.
fn groups(user: &User) -> Result<Vec<Gid>> {
    let look_up = || {
        let name = CString::new(user.name.as_bytes()).map_err(|_| nix::Error::EINVAL)?;
        let _whole = fork::whole();
        getgrouplist(&name, user.gid)
    };
    look_up().map_err(|errno| os(&format!("look up the groups of user {}", user.name), errno))
}

fn os(what: &str, errno: nix::Error) -> Error {
    Error::new(ErrorCode::of_own(&errno.into()), format!("cannot {what}: {errno}"))
}

/// The file mode mask. `umask(2)` can report it only by changing it under the host's other threads.
pub(super) fn umask() -> Option<u32> {
    // The kernel writes the whole text for each read, and the mask is in the second line.
    let mut start = [0; 256];
    let length = File::open("/proc/self/status").ok()?.read(&mut start).ok()?;
    let start = String::from_utf8_lossy(start.get(..length)?);
    let mask = start.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}
