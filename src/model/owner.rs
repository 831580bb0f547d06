//! Ownership.

use super::{Error, ErrorCode, Result};

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
}
