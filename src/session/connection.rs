//! The connection of this process to the broker: calls and their answers, and news of jobs.
//!
//! A broker may end and come back. What was asked is asked again then, and what is waited for is followed again.
//!
//! A call reads its answer itself: another thread between it and the broker would take longer than the broker. There is
//! such a thread from the moment on when the process waits for something that no call is answered by.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;

use super::call::{Answer, Call};
use super::changes::Changes;
use super::link::{self, Link, Pauses, Unmade};
use super::listener::Listener;
use super::message::{Asked, Told};
use super::waits::{Source, Waits};
use super::watched::Waiter;
use crate::config::Compat;
use crate::model::{Error, ErrorCode, Result};
use crate::runtime;
use crate::sync::{Condvar, Mutex};

/// The time for a call, with that until the broker is back.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time for the first connection, if it seems that the broker is being started again.
const FIRST: Duration = Duration::from_secs(5);
/// The most jobs in one message.
const CHUNK: usize = 10_000;

/// The result of something that needs a link.
type Made<T> = std::result::Result<T, Unmade>;

/// See the module.
pub(super) struct Connection {
    /// The path of the broker's socket.
    path: PathBuf,
    /// The effective user of the process, whom the broker knows it by.
    pub(super) uid: u32,
    /// The C structs that the program expects, as it said at its first use.
    compat: OnceCell<Compat>,
    me: Weak<Self>,
    state: Mutex<State>,
    /// Locked for moments alone, also while the link is made anew.
    followed: Mutex<Followed>,
    /// Notified when an answer has come, when a call reads no more, and when the link is lost.
    news: Condvar,
    /// The descriptor of the link, for a forked child, which has not the lock.
    descriptor: AtomicI32,
    pub(super) waits: Waits,
    pub(super) changes: Arc<Changes>,
    pub(super) listener: Listener,
}

#[derive(Default)]
struct State {
    /// The way to the broker that is there now.
    link: Option<Arc<Link>>,
    /// A thread reads from it.
    has_thread: bool,
    /// A call reads from it at present.
    is_read: bool,
    /// There was one before.
    was_there: bool,
    /// The number of the last message.
    number: u64,
    /// The answers to what was asked, once they have come.
    answers: HashMap<u64, Option<Result<Answer>>>,
}

/// The jobs that are followed.
#[derive(Default)]
struct Followed {
    /// All of them, as the broker knows them, or will with a message that is about to be sent.
    all: HashSet<String>,
    /// Those that are not followed any more, which the broker is to be told with the next message.
    over: HashSet<String>,
}

impl State {
    /// Returns whether this link is the one that is there now.
    fn has(&self, link: &Arc<Link>) -> bool {
        self.link.as_ref().is_some_and(|now| Arc::ptr_eq(now, link))
    }
}

impl Connection {
    /// A connection to a broker, which is made with the first call.
    pub(super) fn new(path: &Path, uid: u32) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            path: path.to_owned(),
            uid,
            compat: OnceCell::new(),
            me: me.clone(),
            state: Mutex::default(),
            followed: Mutex::default(),
            news: Condvar::new(),
            descriptor: AtomicI32::new(-1),
            waits: Waits::default(),
            changes: Arc::default(),
            listener: Listener::default(),
        })
    }

    /// The C structs that the program expects: what it says now, unless it was asked before.
    pub(super) fn compat(&self) -> Result<Compat> {
        self.compat.get_or_try_init(Compat::of_process).copied()
    }

    /// Make a call.
    pub(super) fn ask(&self, monitoring: bool, mut call: Call) -> Result<Answer> {
        call.looks();
        let message = |number| Asked::Call { number, monitoring, call: Box::new(call.clone()) };
        match self.exchange(&message)? {
            (answer, false) => answer,
            // The first answer was lost, and what is done cannot be done again.
            (answer, true) => answer.or_else(|error| call.was_done(&error).ok_or(error)),
        }
    }

    /// In a child that was forked: end its copy of the link. The parent keeps its own.
    pub(super) fn abandon(&self) {
        let descriptor = self.descriptor.swap(-1, Ordering::AcqRel);
        if descriptor >= 0 {
            // SAFETY: the child's copy of it, which nothing uses: the link is never dropped there.
            unsafe { libc::close(descriptor) };
        }
    }

    /// Say something, and wait for the answer. Returns also whether it had to be said again.
    fn exchange(&self, message: &dyn Fn(u64) -> Asked) -> Result<(Result<Answer>, bool)> {
        let begun = Instant::now();
        let mut deadline = begun + PATIENCE;
        let (mut again, mut pauses) = (false, Pauses::new());
        // The link may have been lost long ago.
        let mut stale = true;
        loop {
            let lost = match self.say(message) {
                Ok(Some((number, link))) => match self.answer(number, &link, deadline) {
                    Some(answer) => return Ok((answer, again)),
                    None => {
                        again = true;
                        self.error("it ends the connection again and again")
                    }
                },
                Ok(None) if std::mem::take(&mut stale) => continue,
                Ok(None) => self.error("it ends the connection again and again"),
                // One that was there may come back.
                Err(Unmade { error, .. })
                    if error.code == ErrorCode::DrmCommunication && self.was_there() =>
                {
                    error
                }
                Err(Unmade { error, passes: true }) => {
                    deadline = deadline.min(begun + FIRST);
                    error
                }
                Err(Unmade { error, .. }) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(lost);
            }
            pauses.wait(&self.path);
        }
    }

    fn was_there(&self) -> bool {
        self.state.lock().was_there
    }

    /// Say something. Returns its number, unless the link is lost.
    fn say(&self, message: &dyn Fn(u64) -> Asked) -> Made<Option<(u64, Arc<Link>)>> {
        let mut state = self.state.lock();
        let link = self.link(&mut state)?;
        if !self.tell_over(&mut state) {
            return Ok(None);
        }
        if !state.has_thread && self.waits.is_any() {
            self.listen_to(&mut state, &link)?;
        }
        state.number += 1;
        let number = state.number;
        let frame = link::frame(&message(number))?;
        if link.write(&frame).is_err() {
            self.lose(&mut state, &link);
            return Ok(None);
        }
        state.answers.insert(number, None);
        Ok(Some((number, link)))
    }

    /// Wait for an answer; `None` if the link is lost.
    fn answer(&self, number: u64, link: &Arc<Link>, deadline: Instant) -> Option<Result<Answer>> {
        let mut state = self.state.lock();
        loop {
            if let Some(answer) = state.answers.get_mut(&number).and_then(Option::take) {
                state.answers.remove(&number);
                return Some(answer);
            }
            let is_there = state.has(link);
            let is_late = Instant::now() >= deadline;
            if !is_there || is_late {
                state.answers.remove(&number);
                let text = format!("no answer within {} s", PATIENCE.as_secs());
                return is_there.then(|| Err(self.error(&text)));
            }
            if state.has_thread || state.is_read {
                state = self.news.wait_until(state, deadline).0;
                continue;
            }
            state.is_read = true;
            drop(state);
            let read = link.read(Some(deadline));
            if let Ok(Some(told)) = read {
                self.hear(told);
                state = self.state.lock();
            } else {
                state = self.state.lock();
                if !read.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                    self.lose(&mut state, link);
                }
            }
            if state.has(link) {
                state.is_read = false;
                self.news.notify_all();
            }
        }
    }

    /// Wait until no call reads from a link any more.
    fn await_turn(&self, link: &Arc<Link>) {
        let mut state = self.state.lock();
        while state.is_read && state.has(link) {
            state = self.news.wait(state);
        }
    }

    /// The link, which is made if there is none.
    fn link(&self, state: &mut State) -> Made<Arc<Link>> {
        if let Some(link) = &state.link {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::make(&self.path)?);
        (state.has_thread, state.is_read) = (false, false);
        // The broker does not wait for long until what it tells is read.
        if self.waits.is_any() || !self.followed.lock().all.is_empty() {
            self.listen_to(state, &link)?;
        }
        let was_there = std::mem::replace(&mut state.was_there, true);
        if was_there && let Err(error) = self.follow_again(&link) {
            link.end();
            return Err(error.into());
        }
        // There may have been events meanwhile.
        self.changes.tell();
        self.descriptor.store(link.descriptor(), Ordering::Release);
        state.link = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Have the broker tell, by a new link, of all that is followed.
    fn follow_again(&self, link: &Link) -> Result<()> {
        let mut followed = self.followed.lock();
        followed.over.clear();
        let all: Vec<String> = followed.all.iter().cloned().collect();
        drop(followed);
        for ids in all.chunks(CHUNK) {
            // Its answer is that of nobody.
            let frame = link::frame(&Asked::Follow { number: 0, ids: ids.to_vec() })?;
            link.write(&frame).map_err(|error| self.error(&error.to_string()))?;
        }
        Ok(())
    }

    /// Have a thread read from a link.
    fn listen_to(&self, state: &mut State, link: &Arc<Link>) -> Result<()> {
        let (me, read) = (self.me.clone(), Arc::clone(link));
        runtime::thread("drmaa2-broker", move || listen(&me, &read))?;
        state.has_thread = true;
        Ok(())
    }

    /// Tell the broker which jobs nobody waits for any more. False if the link is lost.
    fn tell_over(&self, state: &mut State) -> bool {
        let Some(link) = state.link.clone() else { return false };
        let over: Vec<String> = self.followed.lock().over.drain().collect();
        for ids in over.chunks(CHUNK) {
            let frame = link::frame(&Asked::Unfollow { ids: ids.to_vec() });
            if frame.is_ok_and(|frame| link.write(&frame).is_err()) {
                self.lose(state, &link);
                return false;
            }
        }
        true
    }

    /// Returns whether a thread reads what the broker tells.
    fn is_listened_to(&self) -> bool {
        let state = self.state.lock();
        state.link.is_some() && state.has_thread
    }

    /// Note that jobs are not followed any more, unless somebody has begun to wait for them again.
    fn forget(&self, ids: &[String]) {
        let mut followed = self.followed.lock();
        for id in ids.iter().filter(|id| !self.waits.has(id)) {
            if let Some(id) = followed.all.take(id) {
                followed.over.insert(id);
            }
        }
    }

    fn lose(&self, state: &mut State, link: &Arc<Link>) {
        if state.has(link) {
            self.descriptor.store(-1, Ordering::Release);
            state.link = None;
            link.end();
            self.news.notify_all();
        }
    }

    /// Take a message of the broker.
    fn hear(&self, told: Told) {
        match told {
            Told::Answer { number, answer } => {
                if let Some(place) = self.state.lock().answers.get_mut(&number) {
                    *place = Some(answer);
                    self.news.notify_all();
                }
            }
            Told::States(states) => self.forget(&self.waits.enter(states)),
            Told::Events => self.changes.tell(),
            // Said before, or to a program on a node.
            Told::Hello { .. } | Told::Refused(_) | Told::Step(_) => {}
        }
    }

    /// Make the lost link anew if somebody needs one who makes no call. Returns the path of a socket to wait for.
    fn awaits_broker(&self, lost: &Arc<Link>) -> Option<PathBuf> {
        let mut state = self.state.lock();
        self.lose(&mut state, lost);
        // Somebody waits for what the broker tells by itself.
        if state.link.is_some() || !self.waits.is_any() {
            return None;
        }
        match self.link(&mut state) {
            Ok(_) => None,
            Err(Unmade { error, .. }) => {
                tracing::debug!(%error, "the broker is not there");
                Some(self.path.clone())
            }
        }
    }

    /// Let the link break, as if the broker had ended.
    #[cfg(test)]
    pub(super) fn break_link(&self) {
        if let Some(link) = &self.state.lock().link {
            link.end();
        }
    }

    fn error(&self, cause: &str) -> Error {
        Error::new(ErrorCode::DrmCommunication, format!("broker {}: {cause}", self.path.display()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(link) = &self.state.lock().link {
            // The thread that reads finds the end.
            link.end();
        }
    }
}

impl Source for Connection {
    /// The broker tells at any time, and before the answer to whatever is asked first for a wait.
    fn catch_up(&self, _: &Waits) -> Result<()> {
        Ok(())
    }

    fn follow(&self, waits: &Waits, ids: &[&str], waiter: &Arc<dyn Waiter>) -> Result<()> {
        waits.add(ids, waiter);
        let mut followed = self.followed.lock();
        let is_new = |id: &&&str| {
            followed.over.remove(**id);
            followed.all.insert((**id).to_owned()) || waits.is_unknown(id)
        };
        let new: Vec<String> = ids.iter().filter(is_new).map(|id| (*id).to_owned()).collect();
        drop(followed);
        // The states are in the table when the answer comes.
        let follow = |ids: &[String]| {
            self.exchange(&|number| Asked::Follow { number, ids: ids.to_vec() })?.0.map(drop)
        };
        if new.is_empty() && !self.is_listened_to() {
            // Nobody would read what the broker tells: the link was lost, or made anew, while nobody waited.
            return follow(&[]);
        }
        new.chunks(CHUNK).try_for_each(follow)
    }

    fn unfollow(&self, ids: &[String]) {
        self.forget(ids);
        // The end of a wait does not wait: otherwise the next message says it.
        if let Some(mut state) = self.state.try_lock() {
            self.tell_over(&mut state);
        }
    }
}

/// The thread that reads what the broker says; one for each link that something is waited for by.
fn listen(me: &Weak<Connection>, link: &Arc<Link>) {
    if let Some(connection) = me.upgrade() {
        connection.await_turn(link);
    }
    while let Ok(Some(told)) = link.read(None) {
        let Some(connection) = me.upgrade() else { return };
        connection.hear(told);
    }
    let mut pauses = Pauses::new();
    while let Some(path) = me.upgrade().and_then(|connection| connection.awaits_broker(link)) {
        // The connection is not kept meanwhile: nobody may need it any more.
        pauses.wait(&path);
    }
}
