//! A connected client: who it is, and what is to be told to it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::unistd::{Gid, Uid};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::outbox::Outbox;
use crate::model::{Error, ErrorCode, Result};
use crate::session::message::Told;
use crate::session::submitter;
use crate::session::watched::{Known, Waiter};
use crate::store::Claim;
use crate::sync::Mutex;
use crate::tracker::Submitter;
use crate::wire::{self, MAX_ANSWER};

/// The most jobs that one client may follow.
pub(super) const MAX_FOLLOWED: usize = 200_000;

/// A connected client.
pub(super) struct Peer {
    /// Its user, as the kernel says it was when it connected.
    pub(super) uid: u32,
    gid: u32,
    groups: Vec<u32>,
    /// Its process.
    pub(super) claim: Claim,
    /// The submitter of its jobs, once it has said hello.
    pub(super) submitter: OnceLock<Submitter>,
    /// Its user sees and controls the jobs of all.
    pub(super) is_operator: AtomicBool,
    /// The frames that are said to it.
    pub(super) outbox: Outbox,
    /// The news for it.
    pub(super) news: Mutex<News>,
    /// The connection is to end.
    pub(super) over: Notify,
    /// The jobs that it follows.
    pub(super) followed: Mutex<HashSet<String>>,
    /// It has a callback.
    pub(super) listens: AtomicBool,
    /// It has seen all events, and is to be told of more.
    pub(super) awaits_events: AtomicBool,
}

/// News for a client.
#[derive(Default)]
pub(super) struct News {
    /// The last of each job.
    pub(super) states: HashMap<String, Known>,
    /// There are events for its callback.
    pub(super) events: bool,
}

impl Peer {
    /// The client at the other end.
    pub(super) fn of(stream: &UnixStream, outbox: Outbox) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        let claim = pid.and_then(Claim::of_process).ok_or_else(|| {
            io::Error::other("its process has gone, or is in a PID namespace that is not below this one")
        })?;
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            groups: groups(stream)?,
            claim,
            submitter: OnceLock::new(),
            is_operator: AtomicBool::new(false),
            outbox,
            news: Mutex::default(),
            over: Notify::new(),
            followed: Mutex::default(),
            listens: AtomicBool::new(false),
            awaits_events: AtomicBool::new(false),
        })
    }

    /// Find out who submits its jobs, and whether that is an operator, one of these groups. DENIED_BY_DRMS if the user has
    /// no account.
    pub(super) fn introduce(&self, umask: u32, operators: &[String]) -> Result<()> {
        let uid = Uid::from_raw(self.uid);
        let user = submitter::user(uid)?.ok_or_else(|| {
            let text = format!("user {uid} has no account on this machine");
            Error::new(ErrorCode::DeniedByDrms, text)
        })?;
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let submitter =
            submitter::of_peer(user.name, uid, Gid::from_raw(self.gid), &groups, umask & 0o777)?;
        self.is_operator.store(submitter::is_in_one_of(&submitter, operators)?, Ordering::Relaxed);
        // The first one counts.
        let _ = self.submitter.set(submitter);
        Ok(())
    }

    /// Answer it, after the news that it is to be told first: an answer may say that all is told.
    pub(super) fn answer(&self, frame: Vec<u8>) {
        self.outbox.answer(frame, || self.take_news());
    }

    /// The same without a wait. Returns the answer if something comes before it.
    pub(super) fn answer_at_once(&self, frame: Vec<u8>) -> std::result::Result<(), Vec<u8>> {
        self.outbox.say_at_once(frame, || self.take_news())
    }

    /// Take the news, as frames.
    pub(super) fn take_news(&self) -> Vec<u8> {
        let News { states, events } = std::mem::take(&mut *self.news.lock());
        let states = (!states.is_empty()).then(|| Told::States(states.into_iter().collect()));
        let mut frames = Vec::new();
        for told in states.into_iter().chain(events.then_some(Told::Events)) {
            match wire::frame(&told, MAX_ANSWER) {
                Ok(frame) => frames.extend(frame),
                Err(error) => tracing::error!(%error, "a client cannot be told news"),
            }
        }
        frames
    }

    /// Tell it that there may be events, if it waits for that.
    pub(super) fn tell_events(&self) {
        if self.awaits_events.swap(false, Ordering::AcqRel) {
            self.news.lock().events = true;
            self.pass_on();
        }
    }
}

impl Waiter for Peer {
    fn learn(&self, id: &str, known: &Known) -> bool {
        let mut news = self.news.lock();
        // Whoever has left news here before is about to pass on all that is there.
        let is_first = news.states.is_empty();
        news.states.insert(id.to_owned(), known.clone());
        is_first
    }

    fn pass_on(&self) {
        if self.outbox.say_at_once(Vec::new(), || self.take_news()).is_err() {
            self.outbox.rings.notify_one();
        }
    }
}

/// The supplementary groups of the process at the other end, as they were when it connected.
fn groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let socket = stream.as_raw_fd();
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let mut length = u32::try_from(size_of_val(&groups[..])).map_err(io::Error::other)?;
        // SAFETY: the kernel writes no more than `length` bytes, which are those of the vector, and corrects the length.
        let got = unsafe {
            libc::getsockopt(
                socket,
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<u32>();
        match got {
            0 => {
                groups.truncate(count);
                return Ok(groups);
            }
            // It says how many there are.
            _ if count > groups.len() => groups.resize(count, 0),
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// The same peer, as a waiter.
pub(super) fn waiter(peer: &Arc<Peer>) -> Arc<dyn Waiter> {
    Arc::clone(peer) as Arc<dyn Waiter>
}
