//! The job's user: looked up in the image's own files as Docker does it, then assumed.
//!
//! The files are read directly: the C library's lookup would load modules of the image, as root.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use drmaa2_init::Order;

use crate::failure::{Failure, check};
use crate::identity::Identity;

/// The image's users.
pub(crate) const PASSWD: &str = "/etc/passwd";
/// The image's groups.
pub(crate) const GROUP: &str = "/etc/group";
/// The directory of the homes that are made.
const HOMES: &[u8] = b"/home/";

/// The user that the job runs as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    groups: Vec<u32>,
    /// The user's name in the image, or one that is not used there.
    pub(crate) name: Vec<u8>,
    /// The home directory; `/` for a user that the image does not know and that gets no home.
    pub(crate) home: Vec<u8>,
    /// The image does not know the user, who gets an account.
    pub(crate) is_new: bool,
    /// The image has the user's primary group.
    pub(crate) has_group: bool,
}

impl User {
    /// The order's user, with the order's groups, if it has any, instead of those of the image, and the
    /// groups of devices in addition.
    pub(crate) fn find(order: &Order) -> Result<Self, Failure> {
        // An image without these files has no names; numbers work without them.
        let passwd = fs::read(PASSWD).unwrap_or_default();
        let group = fs::read(GROUP).unwrap_or_default();
        let mut user = Self::look_up(&order.user, &passwd, &group).map_err(Failure::text)?;
        if let Some(groups) = &order.groups {
            let number = |name: &Vec<u8>| look_up_group(name, &group);
            user.groups = groups.iter().map(number).collect::<Result<_, _>>().map_err(Failure::text)?;
        }
        user.groups.extend(&order.more_groups);
        if user.name.is_empty() {
            let himself = order.submitter.as_ref().is_some_and(|submitter| submitter.uid == user.uid);
            user.name = match order.user_name.as_slice() {
                name if himself && is_free(name, &passwd) => name.to_vec(),
                _ => user.uid.to_string().into_bytes(),
            };
            // Root may write to `/`, and needs no home.
            user.is_new = order.account && user.uid != 0;
            if user.is_new {
                user.home = [HOMES, &user.name].concat();
            }
        }
        Ok(user)
    }

    /// `user[:group]`, each a name or a number; empty is root. A given group stands alone; without one
    /// the user gets all groups of the image.
    fn look_up(spec: &[u8], passwd: &[u8], group: &[u8]) -> Result<Self, String> {
        let mut parts = spec.splitn(2, |byte| *byte == b':');
        let user_part = parts.next().filter(|part| !part.is_empty()).unwrap_or(b"0");
        let group_part = parts.next().filter(|part| !part.is_empty());

        let account = accounts(passwd).find(|account| account.is(user_part));
        let uid = account.as_ref().map(|account| account.uid).or_else(|| number(user_part));
        let uid = uid.ok_or_else(|| unknown("user", user_part))?;
        let gid = match group_part {
            Some(part) => look_up_group(part, group)?,
            None => account.as_ref().map_or(0, |account| account.gid),
        };
        // The primary group is in the list too, as with initgroups(3).
        let mut all = vec![gid];
        if let (None, Some(account)) = (group_part, &account) {
            let joined = groups(group).filter(|group| group.has(account.name)).map(|group| group.gid);
            all.extend(joined.filter(|joined| *joined != gid));
        }
        let name = account.as_ref().map_or(&b""[..], |account| account.name).to_vec();
        let home = account.map(|account| account.home).filter(|home| !home.is_empty());
        let home = home.unwrap_or(b"/").to_vec();
        let has_group = groups(group).any(|group| group.gid == gid);
        Ok(Self { uid, gid, groups: all, name, home, is_new: false, has_group })
    }

    /// The user's identity, for work on files.
    pub(crate) fn identity(&self) -> Identity {
        Identity { uid: self.uid, gid: self.gid, groups: self.groups.clone() }
    }

    /// Become this user for good. The order matters: only root may change groups. For any other
    /// user the kernel drops the capabilities on the way.
    pub(crate) fn take_on(&self) -> Result<(), Failure> {
        if self.identity().is_here_without_rights() {
            return Ok(());
        }
        // SAFETY: the list of groups is valid for its length; the rest are numbers.
        let result = unsafe {
            check(libc::setgroups(self.groups.len(), self.groups.as_ptr()))
                .and_then(|()| check(libc::setgid(self.gid)))
                .and_then(|()| check(libc::setuid(self.uid)))
        };
        // A filter of system calls may have let one of them do nothing.
        let taken = result.and_then(|()| match self.is_taken_on() {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the change had no effect")),
            Err(error) => Err(error),
        });
        taken.map_err(|error| Failure::new(format_args!("user {}:{}", self.uid, self.gid), &error))
    }

    /// Returns whether this process has the user's numbers and groups and no others.
    fn is_taken_on(&self) -> io::Result<bool> {
        // None of them the user's: a call that does nothing leaves them as they are.
        let [mut uids, mut gids] = [self.uid, self.gid].map(|number| [!number; 3]);
        let mut groups = vec![0; self.groups.len() + 1];
        let length = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the numbers and the list are valid for writes, the list for its length.
        let found = unsafe {
            let [real, effective, saved] = &mut uids;
            check(libc::getresuid(real, effective, saved))?;
            let [real, effective, saved] = &mut gids;
            check(libc::getresgid(real, effective, saved))?;
            libc::getgroups(length, groups.as_mut_ptr())
        };
        groups.truncate(usize::try_from(found).map_err(|_| io::Error::last_os_error())?);
        let [has, wanted] = [&groups, &self.groups].map(BTreeSet::from_iter);
        Ok(uids == [self.uid; 3] && gids == [self.gid; 3] && has == wanted)
    }
}

/// Returns whether this can be the name of a new account.
fn is_free(name: &[u8], passwd: &[u8]) -> bool {
    let is_plain = !name.is_empty() && !name.iter().any(|byte| matches!(byte, b':' | b'/' | b'\n'));
    is_plain && !matches!(name, b"." | b"..") && accounts(passwd).all(|account| account.name != name)
}

/// The number of a group given by its name or number.
fn look_up_group(part: &[u8], group: &[u8]) -> Result<u32, String> {
    groups(group)
        .find(|group| group.is(part))
        .map(|group| group.gid)
        .or_else(|| number(part))
        .ok_or_else(|| unknown("group", part))
}

/// A line of the passwd file.
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

/// A line of the group file.
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl Account<'_> {
    /// A number is a uid, even if an account has it as its name.
    fn is(&self, part: &[u8]) -> bool {
        number(part).map_or(self.name == part, |uid| self.uid == uid)
    }
}

impl Group<'_> {
    fn is(&self, part: &[u8]) -> bool {
        number(part).map_or(self.name == part, |gid| self.gid == gid)
    }

    fn has(&self, user: &[u8]) -> bool {
        self.members.split(|byte| *byte == b',').any(|member| member == user)
    }
}

/// `name:password:uid:gid:comment:home:shell`; other lines are skipped.
fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        Some(Account { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

/// `name:password:gid:member,member`.
fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    group.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let gid = number(fields.nth(1)?)?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn unknown(what: &str, name: &[u8]) -> String {
    format!("{what} \"{}\" is not in the image", String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a comment\n\
        \n\
        broken:x:nine:9::/:/bin/sh\n\
        alice:x:1000:100:Alice:/home/alice:/bin/sh\n\
        7:x:2000:2000::/seven:/bin/sh\n\
        short:x:3000:3000\n";
    const GROUP: &[u8] = b"root:x:0:\nwheel:x:10:root,alice\nusers:x:100:alice\nvideo:x:44:bob,alice\n\
        alicex:x:45:alicex\n";

    fn look_up(spec: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
        let user = User::look_up(spec.as_bytes(), PASSWD, GROUP)?;
        Ok((user.uid, user.gid, user.groups, String::from_utf8(user.home).unwrap()))
    }

    #[test]
    fn a_change_that_had_no_effect_is_seen() {
        // SAFETY: neither takes anything but numbers and a list that is valid for its length.
        let (uid, gid, groups) = unsafe {
            let mut groups = vec![0; 1024];
            let found = libc::getgroups(1024, groups.as_mut_ptr());
            groups.truncate(found.try_into().unwrap());
            (libc::geteuid(), libc::getegid(), groups)
        };
        let user = |uid, gid, groups| User {
            uid,
            gid,
            groups,
            name: Vec::new(),
            home: Vec::new(),
            is_new: false,
            has_group: false,
        };
        assert!(user(uid, gid, groups.clone()).is_taken_on().unwrap());
        for other in [
            user(uid ^ 1, gid, groups.clone()),
            user(uid, gid ^ 1, groups.clone()),
            user(uid, gid, [groups.clone(), vec![54321]].concat()),
        ] {
            assert!(!other.is_taken_on().unwrap(), "{other:?}");
        }
    }

    #[test]
    fn names_and_numbers_find_the_same_account() {
        let alice = Ok((1000, 100, vec![100, 10, 44], "/home/alice".to_owned()));
        assert_eq!(look_up("alice"), alice);
        assert_eq!(look_up("1000"), alice);
        assert_eq!(look_up("alice:"), alice);
        let root = Ok((0, 0, vec![0, 10], "/root".to_owned()));
        assert_eq!(look_up(""), root);
        assert_eq!(look_up("root"), root);
        assert_eq!(look_up("0"), root);
    }

    #[test]
    fn a_group_given_by_hand_stands_alone() {
        assert_eq!(look_up("alice:video"), Ok((1000, 44, vec![44], "/home/alice".to_owned())));
        assert_eq!(look_up("alice:4711"), Ok((1000, 4711, vec![4711], "/home/alice".to_owned())));
        assert_eq!(look_up(":wheel"), Ok((0, 10, vec![10], "/root".to_owned())));
    }

    #[test]
    fn an_unknown_number_is_taken_and_an_unknown_name_is_not() {
        assert_eq!(look_up("5000"), Ok((5000, 0, vec![0], "/".to_owned())));
        assert_eq!(look_up("7"), Ok((7, 0, vec![0], "/".to_owned())));
        assert_eq!(look_up("short"), Ok((3000, 3000, vec![3000], "/".to_owned())));
        assert_eq!(look_up("bob"), Err("user \"bob\" is not in the image".to_owned()));
        assert_eq!(look_up("broken"), Err("user \"broken\" is not in the image".to_owned()));
        assert_eq!(look_up("alice:none"), Err("group \"none\" is not in the image".to_owned()));
    }

    #[test]
    fn a_name_that_is_taken_or_none_is_not_given_again() {
        assert!(is_free(b"bob", PASSWD) && is_free(b"some one", PASSWD));
        for name in ["alice", "", "a:b", "a\nb", "a/b", "..", "."] {
            assert!(!is_free(name.as_bytes(), PASSWD), "{name:?}");
        }
    }

    #[test]
    fn an_image_without_accounts_has_numbers_and_root() {
        let user = User::look_up(b"", b"", b"").unwrap();
        let (name, home) = (vec![], b"/".to_vec());
        let (is_new, has_group) = (false, false);
        assert_eq!(user, User { uid: 0, gid: 0, groups: vec![0], name, home, is_new, has_group });
        assert!(User::look_up(b"root", b"", b"").is_err());
    }
}
