//! Ownership: whose an object is, and who may see it.

use serde::{Deserialize, Serialize};

use super::{Error, ErrorCode, Result};

/// The user to whom an object belongs. Users are told apart by the number; the name is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Login name, or the number in digits if there is none.
    pub user: String,
    /// User id.
    pub uid: u32,
}

/// The objects that a user may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The user, whose own objects come first where several have the same name.
    pub uid: u32,
    /// Those of others as well.
    pub others: bool,
}

impl Scope {
    /// Returns whether the objects of the user with this number are among them; a negative one is nobody.
    pub fn has(self, owner: i64) -> bool {
        self.others || owner == i64::from(self.uid)
    }

    /// Returns whether an object is among them of this owner, in a session of that owner.
    pub fn has_one_of(self, (owner, of_session): (i64, i64)) -> bool {
        self.has(owner) || self.has(of_session)
    }
}

/// DENIED_BY_DRMS if only objects of `wanted` are allowed and this one belongs to another user.
pub fn check_owner(what: &str, owner: Option<&str>, wanted: Option<&str>) -> Result<()> {
    match wanted {
        Some(wanted) if owner != Some(wanted) => {
            let owner = owner.map_or_else(String::new, |owner| format!("user {owner}'s, "));
            let text = format!("{what} is {owner}not user {wanted}'s");
            Err(Error::new(ErrorCode::DeniedByDrms, text))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
impl Owner {
    /// A user of this name.
    pub(crate) fn for_tests(user: &str, uid: u32) -> Self {
        Self { user: user.to_owned(), uid }
    }
}

#[cfg(test)]
impl Scope {
    pub(crate) const ALL: Self = Self { uid: 0, others: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_counts_where_one_is_wanted() {
        assert_eq!(check_owner("job j", Some("a"), None), Ok(()));
        assert_eq!(check_owner("job j", None, None), Ok(()));
        assert_eq!(check_owner("job j", Some("a"), Some("a")), Ok(()));
        let refused = |owner| {
            let error = check_owner("job j", owner, Some("b")).unwrap_err();
            assert_eq!(error.code, ErrorCode::DeniedByDrms);
            error.message
        };
        assert_eq!(refused(Some("a")), "job j is user a's, not user b's");
        assert_eq!(refused(None), "job j is not user b's");
    }

    #[test]
    fn a_scope_has_his_own_and_those_of_others_if_it_says_so() {
        let own = Scope { uid: 7, others: false };
        assert!(own.has(7) && !own.has(8) && !own.has(-1));
        let all = Scope { others: true, ..own };
        assert!(all.has(7) && all.has(8));
    }
}
