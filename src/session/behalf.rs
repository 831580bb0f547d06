//! The user on whose behalf a call is made.
//!
//! All users may act for themselves, which is the default. Root may act for every existing user; such a
//! call has that user's rights, and its results belong to that user.

use nix::unistd::{Uid, User, geteuid};
use serde::{Deserialize, Serialize};

use super::submitter::{another, caller, group_named, submitter, user, user_named};
use crate::model::{self, Error, ErrorCode, Owner, Result, Scope};
use crate::tracker::Submitter;

/// A user and a group, as a caller names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sudo {
    /// The user's name.
    pub user: Option<String>,
    /// The group's name.
    pub group: Option<String>,
    /// The user's number.
    pub uid: Option<i64>,
    /// The group's number.
    pub gid: Option<i64>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behalf {
    /// On behalf of the calling user.
    Himself,
    /// On behalf of another user.
    Of(Box<Submitter>),
    /// By another user, who has no way to the runtime but this process.
    Guest(Box<Submitter>),
}

impl Behalf {
    /// The named user. INVALID_ARGUMENT for an unknown user or group, DENIED_BY_DRMS for one that the
    /// calling user may not act for.
    pub fn of(named: &Sudo) -> Result<Self> {
        let me = submitter()?;
        let (uid, gid) = (named.user_number()?.unwrap_or(me.uid), named.group_number()?);
        if uid == me.uid {
            return match gid {
                Some(gid) if gid != me.gid => Err(denied(format!(
                    "user {} can act for himself with the group of his process alone, which is {} and \
                     not {gid}",
                    me.user, me.gid
                ))),
                _ => Ok(Self::Himself),
            };
        }
        let user = existing(uid)?;
        if me.uid != 0 {
            return Err(denied(format!("user {} may not act for user {}", me.user, user.name)));
        }
        another(&user, gid).map(|user| Self::Of(Box::new(user)))
    }

    /// The submitter of new jobs.
    pub(super) fn submitter(&self) -> Result<Submitter> {
        match self {
            Self::Himself => submitter(),
            Self::Of(user) | Self::Guest(user) => Ok(Submitter::clone(user)),
        }
    }

    /// The owner of new objects.
    pub(super) fn owner(&self) -> Result<Owner> {
        let user = self.only().map_or_else(caller, |user| Ok(user.to_owned()))?;
        Ok(Owner { user, uid: self.uid() })
    }

    /// The objects that may be seen: all that are stored here, those of this user first.
    pub(super) fn scope(&self) -> Scope {
        Scope { uid: self.uid(), others: true }
    }

    pub(super) fn uid(&self) -> u32 {
        match self {
            Self::Himself => geteuid().as_raw(),
            Self::Of(user) | Self::Guest(user) => user.uid,
        }
    }

    /// The only owner whose objects may be changed; `None` if any may.
    pub(super) fn only(&self) -> Option<&str> {
        match self {
            Self::Himself => None,
            Self::Of(user) | Self::Guest(user) => Some(&user.user),
        }
    }

    /// DENIED_BY_DRMS if this user may not control an object.
    pub(super) fn check_owner(&self, what: &str, owner: Option<&str>) -> Result<()> {
        model::check_owner(what, owner, self.only())
    }
}

impl Sudo {
    fn user_number(&self) -> Result<Option<u32>> {
        let find = |name: &str| Ok(user_named(name)?.map(|user| user.uid.as_raw()));
        number("user", self.user.as_deref(), self.uid, find)
    }

    fn group_number(&self) -> Result<Option<u32>> {
        let find = |name: &str| Ok(group_named(name)?.map(|group| group.gid.as_raw()));
        number("group", self.group.as_deref(), self.gid, find)
    }
}

/// The number of a user or group that is given by number, by name, or by both.
fn number(
    what: &str,
    name: Option<&str>,
    number: Option<i64>,
    find: impl FnOnce(&str) -> Result<Option<u32>>,
) -> Result<Option<u32>> {
    let number = number
        // The largest number stands for none.
        .map(|number| u32::try_from(number).ok().filter(|number| *number != u32::MAX).ok_or(number))
        .transpose()
        .map_err(|number| Error::argument(format!("{number} is not the number of a {what}")))?;
    let Some(name) = name else { return Ok(number) };
    let found = find(name)?.ok_or_else(|| Error::argument(format!("there is no {what} \"{name}\"")))?;
    match number {
        Some(number) if number != found => {
            Err(Error::argument(format!("{what} \"{name}\" has the number {found}, not {number}")))
        }
        _ => Ok(Some(found)),
    }
}

/// Looked up by number, so that several names of one number are one user.
fn existing(uid: u32) -> Result<User> {
    user(Uid::from_raw(uid))?.ok_or_else(|| Error::argument(format!("there is no user {uid}")))
}

fn denied(text: String) -> Error {
    Error::new(ErrorCode::DeniedByDrms, text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{Control, JobTemplate};
    use crate::session::tests::{code, fresh, start, template};
    use crate::session::{Bulk, JobSession, ReservationSession, Timeout};

    /// On behalf of the user with this name.
    fn somebody(name: &str) -> Behalf {
        let submitter = submitter().unwrap();
        Behalf::Of(Box::new(Submitter { user: name.to_owned(), ..submitter }))
    }

    fn user(name: &str) -> Sudo {
        Sudo { user: Some(name.to_owned()), ..Sudo::default() }
    }

    fn is_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    #[test]
    fn nobody_named_and_the_caller_named_are_the_caller() {
        let me = submitter().unwrap();
        let by_number = Sudo { uid: Some(me.uid.into()), gid: Some(me.gid.into()), ..Sudo::default() };
        let by_both = Sudo { user: Some(me.user.clone()), ..by_number.clone() };
        for named in [Sudo::default(), user(&me.user), by_number, by_both] {
            assert_eq!(Behalf::of(&named), Ok(Behalf::Himself), "{named:?}");
        }
        assert_eq!(Behalf::Himself.submitter().unwrap(), me);
        assert_eq!(Behalf::Himself.owner().unwrap(), Owner { user: me.user.clone(), uid: me.uid });
        let other_group = Sudo { gid: Some(i64::from(me.gid) + 1), ..Sudo::default() };
        assert_eq!(code(Behalf::of(&other_group)), ErrorCode::DeniedByDrms);
    }

    #[test]
    fn what_is_no_user_is_named() {
        let gone = i64::from(u32::MAX - 7);
        let wrong = [
            (user("no such user"), "no such user"),
            (Sudo { uid: Some(5_000_000_000), ..Sudo::default() }, "5000000000"),
            (Sudo { uid: Some(u32::MAX.into()), ..Sudo::default() }, "4294967295"),
            (Sudo { uid: Some(-2), ..Sudo::default() }, "-2"),
            (Sudo { uid: Some(gone), ..Sudo::default() }, "4294967288"),
            (Sudo { uid: Some(65534), ..user("root") }, "\"root\" has the number 0, not 65534"),
            (Sudo { group: Some("no such group".into()), ..user("nobody") }, "no such group"),
            (Sudo { gid: Some(-2), ..user("nobody") }, "-2"),
        ];
        for (named, part) in wrong {
            let error = Behalf::of(&named).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{named:?}");
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn root_alone_acts_for_others() {
        if !is_root() {
            let error = Behalf::of(&user("root")).unwrap_err();
            assert_eq!(error.code, ErrorCode::DeniedByDrms);
            let text = format!("user {} may not act for user root", caller().unwrap());
            assert_eq!(error.message, text);
            return;
        }
        let nobody = Behalf::of(&user("nobody")).unwrap();
        let submitter = nobody.submitter().unwrap();
        assert_eq!((submitter.user.as_str(), submitter.uid), ("nobody", 65534));
        assert!(submitter.groups.contains(&submitter.gid));
        assert_eq!(nobody.owner().unwrap(), Owner::for_tests("nobody", 65534));
        nobody.check_owner("job j", Some("nobody")).unwrap();
        assert_eq!(code(nobody.check_owner("job j", Some("root"))), ErrorCode::DeniedByDrms);
        // Its number alone is equivalent.
        let numbered = Sudo { uid: Some(65534), ..Sudo::default() };
        assert_eq!(Behalf::of(&numbered), Ok(nobody));
        let not_his = Sudo { gid: Some(0), ..user("nobody") };
        let error = Behalf::of(&not_his).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("nobody is not in group 0"), "{error}");
    }

    #[test]
    fn a_user_controls_what_is_his() {
        let (_dir, _bench, session) = fresh();
        let (me, other) = (somebody(&caller().unwrap()), somebody("other"));
        let job = start(&session, template("sleep"));
        let error = job.clone().on_behalf(&other).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains(&job.id), "{error}");
        assert_eq!(job.clone().on_behalf(&me).unwrap(), job);
        assert_eq!(job.clone().on_behalf(&Behalf::Himself).unwrap(), job);

        let bulk = Bulk { begin: 1, end: 2, step: 1, max_parallel: 0 };
        let new = session.new_array();
        session.run_array(&new, &other, &template("sleep"), bulk).unwrap();
        let array = new.array;
        assert_eq!(code(array.clone().on_behalf(&me)), ErrorCode::DeniedByDrms);
        let task = array.jobs().unwrap().remove(0);
        assert_eq!(task.info().unwrap().owner.as_deref(), Some("other"));
        task.on_behalf(&other).unwrap().control(Control::Terminate).unwrap();
        array.on_behalf(&other).unwrap().control(Control::Kill).unwrap();
    }

    #[test]
    fn a_session_is_destroyed_for_its_owner() {
        let (_dir, _bench, _session) = fresh();
        let (me, other) = (somebody(&caller().unwrap()), somebody("other"));
        let _his = JobSession::create_as(&other, Some("his"), None).unwrap();
        let _mine = JobSession::create(Some("mine"), None).unwrap();
        assert_eq!(code(JobSession::destroy_as(&me, "his")), ErrorCode::DeniedByDrms);
        assert_eq!(code(JobSession::destroy_as(&other, "mine")), ErrorCode::DeniedByDrms);
        assert_eq!(code(JobSession::destroy_as(&other, "none")), ErrorCode::InvalidArgument);
        JobSession::destroy_as(&other, "his").unwrap();
        JobSession::destroy_as(&me, "mine").unwrap();

        let _his = ReservationSession::create_as(&other, Some("his"), None).unwrap();
        assert_eq!(code(ReservationSession::destroy_as(&me, "his")), ErrorCode::DeniedByDrms);
        ReservationSession::destroy("his").unwrap();
    }

    #[test]
    fn the_files_of_a_job_on_behalf_of_another_user_are_opened_as_him() {
        let (dir, bench, session) = fresh();
        if !is_root() {
            return;
        }
        let nobody = Behalf::of(&user("nobody")).unwrap();
        let out = dir.path().join("out");
        let wanted = |path: &Path| JobTemplate { output_path: Some(path.into()), ..template("0") };
        // Only root may use the directory.
        let job = session.run_job_as(&nobody, wanted(&out)).unwrap();
        let info = job.info().unwrap();
        assert!(info.annotation.unwrap().contains("Permission denied"));
        assert_eq!(info.owner.as_deref(), Some("nobody"));
        assert!(!out.exists());
        let job = session.run_job(wanted(&out)).unwrap();
        job.wait_terminated(Timeout::Infinite).unwrap();
        let job = session.run_job_as(&nobody, template("0")).unwrap();
        job.wait_terminated(Timeout::Infinite).unwrap();
        let orders = bench.tracker.orders();
        let users: Vec<u32> = orders.iter().map(|order| order.submitter.uid).collect();
        assert_eq!(users, [0, 65534]);
    }
}
