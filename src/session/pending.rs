//! The pending work as the thread sees it that notices changes. The dispatcher is woken if there is something for
//! it: most changes are about the work of others, and a second thread would cost more than the look.

use crate::model::Result;
use crate::store::Glance;
use crate::sync::Mutex;

/// Passes a look at the pending work from one thread to the other.
#[derive(Default)]
pub(super) struct Pending(Mutex<Looks>);

#[derive(Default)]
struct Looks {
    /// The last one, if the dispatcher has not taken it.
    new: Option<Glance>,
    /// The one after which the dispatcher had nothing to do.
    idle: Option<Glance>,
}

impl Pending {
    /// Note a look that was taken after a change. Returns whether the dispatcher is to be woken.
    pub(super) fn note(&self, glance: Result<Glance>) -> bool {
        let mut looks = self.0.lock();
        // After an error the dispatcher looks, and tells.
        looks.new = glance.ok();
        if looks.new.is_some() && looks.new == looks.idle {
            looks.new = None;
            return false;
        }
        true
    }

    /// The last look, unless it was taken before. Until [`Self::idle`] each later one wakes the dispatcher again: what
    /// it does by this one need not fit any more.
    pub(super) fn take(&self) -> Option<Glance> {
        let mut looks = self.0.lock();
        looks.idle = None;
        looks.new.take()
    }

    /// Nothing is to be done until a look shows something else than this one.
    pub(super) fn idle(&self, glance: Option<Glance>) {
        self.0.lock().idle = glance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Error;

    fn glance(next: i64) -> Glance {
        Glance {
            overdue: false,
            waits: false,
            mails: false,
            next: Some(next),
            claimed: Some(Vec::new()),
            claimers: Vec::new(),
        }
    }

    #[test]
    fn only_news_wake_the_dispatcher() {
        let pending = Pending::default();
        assert!(pending.note(Ok(glance(1))));
        assert_eq!(pending.take(), Some(glance(1)));
        assert_eq!(pending.take(), None);
        assert!(pending.note(Ok(glance(1))));
        pending.idle(Some(glance(1)));
        assert!(!pending.note(Ok(glance(1))));
        assert!(pending.note(Ok(glance(2))));
        assert!(pending.note(Err(Error::internal("no look"))));
        assert_eq!(pending.take(), None);
        pending.idle(None);
        assert!(pending.note(Ok(glance(1))));
    }

    #[test]
    fn what_was_before_is_news_while_the_dispatcher_works() {
        let pending = Pending::default();
        pending.idle(Some(glance(1)));
        assert!(pending.note(Ok(glance(2))));
        assert_eq!(pending.take(), Some(glance(2)));
        assert!(pending.note(Ok(glance(1))));
        pending.idle(Some(glance(2)));
        assert_eq!(pending.take(), Some(glance(1)));
    }
}
