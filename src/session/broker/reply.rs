//! The answers of the broker: each call is one of the client's user, whatever it says of itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Broker;
use super::peer::{MAX_FOLLOWED, Peer, waiter};
use crate::model::{Error, ErrorCode, Result, Scope};
use crate::session::behalf::Behalf;
use crate::session::call::{Answer, Call};
use crate::session::desk::Desk;
use crate::session::watched::{Known, Waiter};

impl Broker {
    /// Answer a call.
    pub(super) fn answer(&self, peer: &Arc<Peer>, monitoring: bool, mut call: Call) -> Result<Answer> {
        let submitter = peer.submitter.get().ok_or_else(|| refused(peer))?;
        call.is_by(&Behalf::Guest(Box::new(submitter.clone())));
        match call {
            // A client that has connected again does not say anew that it listens.
            Call::Listen | Call::TakeEvents(_) => {
                if !peer.listens.swap(true, Ordering::AcqRel) {
                    self.world.waits.listens();
                }
                // Before the look: what comes after it is told.
                peer.awaits_events.store(true, Ordering::Release);
            }
            Call::Unlisten => self.unlisten(peer),
            _ => {}
        }
        let desk = self.desk(peer, monitoring);
        let answered = catch_unwind(AssertUnwindSafe(|| desk.answer(call)));
        answered.unwrap_or_else(|_| Err(Error::internal("the broker's work on a call died")))
    }

    /// Answer a call, if that takes no wait for anybody.
    pub(super) fn answer_at_once(&self, peer: &Peer, monitoring: bool, call: &Call) -> Option<Answer> {
        let Call::JobState(job) = call else { return None };
        peer.submitter.get()?;
        let desk = self.desk(peer, monitoring);
        let answered = catch_unwind(AssertUnwindSafe(|| desk.job_state_at_once(job)));
        // The other way finds out what is wrong, if something is.
        Some((answered.ok()?.ok()??, None).into())
    }

    fn desk<'a>(&'a self, peer: &'a Peer, monitoring: bool) -> Desk<'a> {
        let (world, scope, claim) = (&self.world, scope(peer), &peer.claim);
        Desk { world, scope, is_guest: peer.uid != 0, monitoring, claim, is_remote: true }
    }

    /// Have a client told what happens to jobs. Those that its user may not see are not there.
    pub(super) fn follow(&self, peer: &Arc<Peer>, ids: Vec<String>) -> Result<()> {
        peer.submitter.get().ok_or_else(|| refused(peer))?;
        let scope = scope(peer);
        let (mut new, mut others): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        let mut outcome = Ok(());
        for id in &ids {
            match self.world.store.standing(id) {
                Ok(Some(standing)) if scope.has_one_of(standing.whose) => {}
                Ok(_) => {
                    peer.learn(id, &Known::Gone);
                    continue;
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            let mut followed = peer.followed.lock();
            if followed.len() >= MAX_FOLLOWED {
                let text = format!("a client that waits for more than {MAX_FOLLOWED} jobs");
                outcome = Err(Error::new(ErrorCode::OutOfResource, text));
                break;
            }
            if followed.insert(id.clone()) { new.push(id) } else { others.push(id) }
        }
        let followed = self.world.waits.follow(&self.world.store, &new, &others, &waiter(peer));
        if followed.is_err() {
            let mut all = peer.followed.lock();
            for id in new {
                all.remove(id);
            }
        }
        outcome.and(followed)
    }

    pub(super) fn unfollow(&self, peer: &Arc<Peer>, ids: &[String]) {
        let mut followed = peer.followed.lock();
        let over: Vec<&str> = ids.iter().filter(|id| followed.remove(*id)).map(String::as_str).collect();
        drop(followed);
        self.world.waits.unfollow(&over, &waiter(peer));
    }

    /// Nothing is done for a client any more. Its events are kept as long as its process lives: it may connect again.
    pub(super) fn forget(&self, peer: &Arc<Peer>) {
        let followed: Vec<String> = peer.followed.lock().iter().cloned().collect();
        self.unfollow(peer, &followed);
        self.unlisten(peer);
    }

    fn unlisten(&self, peer: &Peer) {
        peer.awaits_events.store(false, Ordering::Release);
        if peer.listens.swap(false, Ordering::AcqRel) {
            self.world.waits.unlistens();
        }
    }
}

/// The objects that a client may see: those of its user. Root and operators see all.
fn scope(peer: &Peer) -> Scope {
    let others = peer.uid == 0 || peer.is_operator.load(Ordering::Relaxed);
    Scope { uid: peer.uid, others }
}

pub(super) fn refused(peer: &Peer) -> Error {
    let text = format!("user {} was refused", peer.uid);
    Error::new(ErrorCode::DeniedByDrms, text)
}
