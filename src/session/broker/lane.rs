//! The lanes of calls: one for each user, so that what hangs, such as a file system of his, keeps nobody else.
//!
//! Work that cannot hang need not go to the lane's thread, which would take longer than the work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};

use crate::model::Result;
use crate::runtime;
use crate::sync::Mutex;

type Work = Box<dyn FnOnce() + Send>;

/// The lanes of all users with a connection.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<u32, Weak<Lane>>>);

/// A thread that does the work of one user, one after the other. It ends with the last connection.
pub(super) struct Lane {
    sender: Sender<Work>,
    turn: Arc<Turn>,
    /// How many messages of this user may be in memory.
    pub(super) room: tokio::sync::Semaphore,
}

/// The right to work in a lane.
#[derive(Default)]
struct Turn {
    /// Locked by whoever works.
    works: Mutex<()>,
    /// The work that is left for the thread.
    left: AtomicUsize,
}

/// The most messages of one user that are read and not answered.
const ROOM: usize = 8;

impl Lanes {
    /// That of a user.
    pub(super) fn of(&self, uid: u32) -> Result<Arc<Lane>> {
        let mut lanes = self.0.lock();
        lanes.retain(|_, lane| lane.strong_count() > 0);
        if let Some(lane) = lanes.get(&uid).and_then(Weak::upgrade) {
            return Ok(lane);
        }
        let (sender, work) = mpsc::channel::<Work>();
        let turn = Arc::<Turn>::default();
        let (room, of_thread) = (tokio::sync::Semaphore::new(ROOM), Arc::clone(&turn));
        runtime::thread("drmaa2-lane", move || of_thread.work(&work))?;
        let lane = Arc::new(Lane { sender, turn, room });
        lanes.insert(uid, Arc::downgrade(&lane));
        Ok(lane)
    }
}

impl Turn {
    /// Do all work that comes.
    fn work(&self, work: &Receiver<Work>) {
        for work in work {
            let turn = self.works.lock();
            work();
            drop(turn);
            self.left.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Lane {
    /// Do something that does not hang on this thread, unless there is anything to be done before, or at present.
    pub(super) fn run_at_once<T>(&self, work: impl FnOnce() -> Option<T>) -> Option<T> {
        let _turn = self.turn.works.try_lock()?;
        if self.turn.left.load(Ordering::Acquire) > 0 { None } else { work() }
    }

    /// Do something after all that is to be done before.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) {
        self.turn.left.fetch_add(1, Ordering::AcqRel);
        // The thread lives as long as the sender.
        let _ = self.sender.send(Box::new(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_in_one_lane_keeps_no_other() {
        let lanes = Lanes::default();
        let (slow, quick) = (lanes.of(1).unwrap(), lanes.of(2).unwrap());
        assert!(Arc::ptr_eq(&slow, &lanes.of(1).unwrap()));
        let (let_go, held) = mpsc::channel::<()>();
        let (sender, done) = mpsc::channel();
        let first = sender.clone();
        slow.run(move || {
            held.recv().unwrap_err();
            first.send("slow").unwrap();
        });
        let second = sender.clone();
        slow.run(move || second.send("after it").unwrap());
        assert_eq!(slow.run_at_once(|| Some("what waits for it")), None);
        assert_eq!(quick.run_at_once(|| Some("at once")), Some("at once"));
        quick.run(move || sender.send("quick").unwrap());
        assert_eq!(done.recv().unwrap(), "quick");
        drop(let_go);
        assert_eq!([done.recv().unwrap(), done.recv().unwrap()], ["slow", "after it"]);
        drop(slow);
        assert_eq!(lanes.0.lock().values().filter(|lane| lane.strong_count() > 0).count(), 1);
    }
}
