//! Images that were pulled with credentials: the users who have shown that they may have one.
//!
//! Everybody else shows it first, by a pull of his own. What the daemon has from elsewhere, or was pulled without
//! credentials, is for all.

use std::collections::HashMap;

use super::labels::MAX_PAIR;

/// The label of such an image: the numbers of these users, the last one first.
pub(super) const LABEL: &str = "drmaa2.users";

/// The users that an image's labels name; `None` if it is for all.
pub(super) fn users(labels: &HashMap<String, String>) -> Option<String> {
    labels.get(LABEL).filter(|users| !users.is_empty()).cloned()
}

/// Returns whether this user may have an image of these. `None` is the one of this process.
pub(super) fn may_use(users: Option<&str>, user: Option<u32>) -> bool {
    let (Some(users), Some(user)) = (users, user) else { return true };
    user == 0 || users.split(' ').any(|other| other.parse() == Ok(user))
}

/// The value of the label after another pull by this user; empty if the image is for all. `before` is what was said of
/// it, if it was there, and whether it is the same image still.
pub(super) fn after_pull(
    before: Option<(Option<&str>, bool)>,
    shown_credentials: bool,
    user: Option<u32>,
) -> String {
    let Some(user) = user.filter(|_| shown_credentials) else { return String::new() };
    match before {
        // It came without credentials.
        Some((None, true)) => String::new(),
        Some((Some(users), _)) if !may_use(Some(users), Some(user)) || user == 0 => with(user, users),
        Some((Some(users), _)) => users.to_owned(),
        Some((None, false)) | None => user.to_string(),
    }
}

/// These users and one more, as far as a label can hold them: the rest have to show it again.
fn with(user: u32, users: &str) -> String {
    let mut all = user.to_string();
    for other in users.split(' ').filter(|other| other.parse() != Ok(user)) {
        if LABEL.len() + all.len() + 1 + other.len() > MAX_PAIR {
            break;
        }
        all.push(' ');
        all.push_str(other);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_for_those_who_have_shown_credentials_and_for_root() {
        for (user, may) in
            [(Some(7), true), (Some(77), false), (Some(1), true), (Some(0), true), (None, true)]
        {
            assert_eq!(may_use(Some("7 1"), user), may, "{user:?}");
            assert!(may_use(None, user));
        }
        let labels = |users: &str| [(LABEL.to_owned(), users.to_owned())].into();
        assert_eq!(users(&labels("7")).as_deref(), Some("7"));
        assert_eq!((users(&labels("")), users(&HashMap::new())), (None, None));
    }

    #[test]
    fn a_pull_with_credentials_adds_a_user_and_one_without_opens_the_image() {
        let after = |before, user| after_pull(before, true, Some(user));
        assert_eq!(after(None, 7), "7");
        assert_eq!(after(Some((Some("7"), true)), 8), "8 7");
        assert_eq!(after(Some((Some("8 7"), false)), 7), "8 7");
        assert_eq!(after(Some((Some("7"), true)), 0), "0 7");
        assert_eq!(after(Some((None, true)), 7), "", "it was for all");
        assert_eq!(after(Some((None, false)), 7), "7", "it is another one now");
        assert_eq!(after_pull(Some((Some("7"), true)), false, Some(8)), "");
        let many: Vec<String> = (100_000..101_000).map(|user: u32| user.to_string()).collect();
        let after = after(Some((Some(&many.join(" ")), true)), 5);
        assert!(after.starts_with("5 100000 ") && LABEL.len() + after.len() <= MAX_PAIR, "{after}");
    }
}
