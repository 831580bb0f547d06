//! Jobs with leftovers that cannot be removed.

use super::jobs_tests::{admit, exit, insert, job, store};
use super::*;

fn ended(store: &Store, session: &Session, mine: &Claim, id: &str, outcome: &crate::model::Outcome) {
    insert(store, session, id);
    admit(store, mine, 1, 0);
    assert!(store.job_started(id, 1, None).unwrap());
    assert!(store.job_ended(id, outcome, mine).unwrap());
}

#[test]
fn what_cannot_be_removed_is_told_where_nothing_else_is() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    let annotation = |id| job(&store, id).info.annotation;
    ended(&store, &session, &mine, "a", &exit(0));
    ended(&store, &session, &mine, "b", &crate::model::Outcome::failed("why"));
    for id in ["a", "b"] {
        store.job_not_deleted(id, "first").unwrap();
        store.job_not_deleted(id, "busy").unwrap();
    }
    assert_eq!(annotation("a").unwrap(), "what is left of it cannot be removed: busy");
    assert_eq!(annotation("b").unwrap(), "why");
    for id in ["a", "b"] {
        store.job_deleted(id).unwrap();
    }
    assert_eq!((annotation("a"), annotation("b").as_deref()), (None, Some("why")));
}

#[test]
fn what_was_given_up_keeps_nobody_and_is_tried_again() {
    let (_dir, store, session) = store();
    let mine = Claim::mine();
    ended(&store, &session, &mine, "a", &exit(0));
    store.give_up_deleting("a", &Claim::of_text("other")).unwrap();
    assert!(store.given_up_targets().unwrap().is_empty(), "it is not the other's");
    store.give_up_deleting("a", &mine).unwrap();
    assert!(store.unsettled_targets().unwrap().is_empty() && store.claimers().unwrap().is_empty());
    assert!(store.may_have_leftovers("a").unwrap());
    store.reap(Which::Job("a")).unwrap();
    assert!(store.knows("a").unwrap(), "it is needed for the clean-up");
    let targets = store.given_up_targets().unwrap();
    store.retry_deleting("another").unwrap();
    assert!(store.unsettled_targets().unwrap().is_empty());
    store.retry_deleting(&targets[0]).unwrap();
    assert_eq!(store.unsettled_targets().unwrap(), targets);
    assert!(store.take_over("a", None, &mine).unwrap());
    store.job_deleted("a").unwrap();
    assert!(!store.knows("a").unwrap() && !store.may_have_leftovers("a").unwrap());
}
