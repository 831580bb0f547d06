//! The broker: calls of users who may not open the runtime's socket, answered as if each made them himself.
//!
//! A process with a broker never forks without executing a program.

#[cfg(test)]
mod again_tests;
#[cfg(test)]
mod credentials_tests;
mod lane;
mod listener;
mod outbox;
mod peer;
mod place;
mod reply;
#[cfg(test)]
mod restart_tests;
mod step;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;
#[cfg(test)]
mod waits_tests;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::message::{Asked, Told};
use super::world::World;
use crate::model::{Error, ErrorCode, PROTOCOL, Result};
use crate::runtime::{self, Runtime};
use crate::sync::Mutex;
use crate::wire::{self, MAX_ANSWER, MAX_REQUEST};
use lane::{Lane, Lanes};
pub(super) use listener::listener;
use outbox::{Answers, Outbox};
use peer::Peer;

/// The most connections, and the part of the descriptors of the process that they may take: it needs others for jobs.
const MAX_CONNECTIONS: u64 = 8000;
const PART_OF_ALL: u64 = 2;
/// The part of them that one user may have.
const PART_OF_USER: usize = 4;
/// The time to say hello, and to send the rest of a message.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause if the system lets nobody connect.
const PAUSE: Duration = Duration::from_millis(200);

/// A broker.
pub(super) struct Broker {
    world: Arc<World>,
    lanes: Lanes,
    /// The connected clients by user.
    peers: Mutex<HashMap<u32, Vec<Weak<Peer>>>>,
    /// The most of them.
    most: usize,
    runtime: Runtime,
}

/// Answer the calls of those who connect to this socket, from now on.
pub(super) fn open(world: &Arc<World>, socket: std::os::unix::net::UnixListener) -> Result<()> {
    let failed = |error: io::Error| {
        Error::new(ErrorCode::of_own(&error), format!("the broker's socket: {error}"))
    };
    let (lanes, peers) = Default::default();
    let (world, most, runtime) = (Arc::clone(world), most_connections(), Runtime::start()?);
    let broker = Arc::new(Broker { world, lanes, peers, most, runtime });
    socket.set_nonblocking(true).map_err(failed)?;
    let bell = Arc::downgrade(&broker);
    runtime::thread("drmaa2-events", move || tell_events(&bell))?;
    broker.tend_steps();
    let accepting = Arc::clone(&broker);
    broker.runtime.spawn(async move {
        match UnixListener::from_std(socket) {
            Ok(socket) => accept(&accepting, &socket).await,
            Err(error) => tracing::error!(%error, "the broker cannot use its socket"),
        }
    });
    Ok(())
}

/// As many as the descriptors allow, of which this process takes all that it may have.
fn most_connections() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let hard = limits.maximum.unwrap_or(u64::MAX).min(PART_OF_ALL * MAX_CONNECTIONS);
    let wanted = Rlimit { current: Some(hard), ..limits };
    let current = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => hard,
        Err(_) => limits.current.unwrap_or(hard),
    };
    usize::try_from((current / PART_OF_ALL).min(MAX_CONNECTIONS)).unwrap_or(usize::MAX)
}

/// Tell those with a callback of events, whenever the store changes.
fn tell_events(broker: &Weak<Broker>) {
    while let Some(broker) = broker.upgrade() {
        let changes = Arc::clone(&broker.world.changes);
        let seen = changes.seen();
        let peers = broker.peers.lock();
        peers.values().flatten().filter_map(Weak::upgrade).for_each(|peer| peer.tell_events());
        drop(peers);
        drop(broker);
        changes.wait(seen, None);
    }
}

async fn accept(broker: &Arc<Broker>, socket: &UnixListener) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = broker.take(stream) {
                    tracing::warn!(%error, "a client is not served");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can connect");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Broker {
    /// Serve a client.
    fn take(self: &Arc<Self>, stream: UnixStream) -> Result<()> {
        let (mut reader, writer) = stream.into_split();
        let (outbox, answers) = Outbox::new(writer);
        let peer = Arc::new(Peer::of(reader.as_ref(), outbox).map_err(|error| {
            Error::new(ErrorCode::of_io(&error), format!("the client that connects: {error}"))
        })?);
        self.admit(&peer)?;
        let lane = self.lanes.of(peer.uid)?;
        let (broker, told) = (Arc::clone(self), Arc::clone(&peer));
        let telling = tokio::spawn(async move {
            if let Err(error) = tell(&told, answers).await {
                tracing::debug!(%error, uid = told.uid, "a client cannot be told something");
            }
            told.over.notify_one();
        });
        tokio::spawn(async move {
            tokio::select! {
                heard = broker.hear(&peer, &lane, &mut reader) => if let Err(error) = heard {
                    tracing::debug!(%error, uid = peer.uid, "a client is let go");
                },
                () = peer.over.notified() => {}
            }
            telling.abort();
            // At once: work for it may go on.
            let _ = rustix::net::shutdown(reader.as_ref(), rustix::net::Shutdown::Both);
            broker.let_go(&peer, &lane);
        });
        Ok(())
    }

    /// Note it, unless its user, or all, have too many.
    fn admit(&self, peer: &Arc<Peer>) -> Result<()> {
        let mut peers = self.peers.lock();
        peers.retain(|_, peers| {
            peers.retain(|peer| peer.strong_count() > 0);
            !peers.is_empty()
        });
        let all = peers.values().map(Vec::len).sum::<usize>();
        let of_user = peers.entry(peer.uid).or_default();
        if all >= self.most || of_user.len() >= self.most / PART_OF_USER {
            let text = format!("user {} has {} connections, all have {all}", peer.uid, of_user.len());
            return Err(Error::new(ErrorCode::OutOfResource, text));
        }
        of_user.push(Arc::downgrade(peer));
        Ok(())
    }

    /// Read what a client says until it ends.
    async fn hear(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        lane: &Arc<Lane>,
        reader: &mut OwnedReadHalf,
    ) -> io::Result<()> {
        let first = timeout(PATIENCE, wire::read_head(reader, MAX_REQUEST)).await??;
        let Some(mut length) = first else { return Ok(()) };
        let mut said_hello = false;
        loop {
            // No more is read than may be in memory for this user.
            let room = lane.room.acquire().await.map_err(io::Error::other)?;
            let text = timeout(PATIENCE, wire::read_text(reader, length)).await??;
            let asked: Asked = wire::parse(&text)?;
            drop(text);
            if said_hello == matches!(asked, Asked::Hello { .. }) {
                return Err(io::Error::other("a client says hello first, and once"));
            }
            said_hello = true;
            if lane.run_at_once(|| self.act_at_once(peer, &asked)).is_none() {
                room.forget();
                let (broker, to, back) = (Arc::clone(self), Arc::clone(peer), Arc::downgrade(lane));
                lane.run(move || {
                    broker.act(&to, asked);
                    if let Some(lane) = back.upgrade() {
                        lane.room.add_permits(1);
                    }
                });
            }
            match wire::read_head(reader, MAX_REQUEST).await? {
                Some(next) => length = next,
                None => return Ok(()),
            }
        }
    }

    /// Do what a client asks for, if neither the work nor its answer has to wait.
    fn act_at_once(&self, peer: &Peer, asked: &Asked) -> Option<()> {
        let Asked::Call { number, monitoring, call } = asked else { return None };
        let answer = Ok(self.answer_at_once(peer, *monitoring, call)?);
        let frame = wire::frame(&Told::Answer { number: *number, answer }, MAX_ANSWER).ok()?;
        peer.answer_at_once(frame).ok()
    }

    /// Do what a client asks for, in the lane of its user.
    fn act(&self, peer: &Arc<Peer>, asked: Asked) {
        let told = match asked {
            Asked::Hello { protocol: PROTOCOL, umask } => match self.introduce(peer, umask) {
                Ok(()) => Told::Hello { protocol: PROTOCOL },
                Err(error) => Told::Refused(error),
            },
            Asked::Hello { .. } => Told::Hello { protocol: PROTOCOL },
            Asked::Call { number, monitoring, call } => {
                Told::Answer { number, answer: self.answer(peer, monitoring, *call) }
            }
            Asked::Follow { number, ids } => {
                Told::Answer { number, answer: self.follow(peer, ids).map(Into::into) }
            }
            Asked::Unfollow { ids } => return self.unfollow(peer, &ids),
            Asked::Step(container) => return self.step(peer, *container),
        };
        let framed = wire::frame(&told, MAX_ANSWER).or_else(|error| {
            let Told::Answer { number, .. } = told else { return Err(error) };
            let error = Error::new(ErrorCode::OutOfResource, format!("the answer is {error}"));
            wire::frame(&Told::Answer { number, answer: Err(error) }, MAX_ANSWER)
        });
        // One that does not take its answers is let go after a while.
        match framed {
            Ok(frame) => peer.answer(frame),
            Err(error) => tracing::error!(%error, "an answer cannot be written"),
        }
    }

    fn introduce(&self, peer: &Peer, umask: u32) -> Result<()> {
        peer.introduce(umask, &self.world.config.reload()?.operators)
    }

    /// The end of a connection.
    fn let_go(self: &Arc<Self>, peer: &Arc<Peer>, lane: &Lane) {
        let (broker, peer) = (Arc::clone(self), Arc::clone(peer));
        // After the calls that were made before.
        lane.run(move || broker.forget(&peer));
    }
}

/// Write what a client is told without having asked, and the answers that have to wait.
async fn tell(peer: &Peer, mut answers: Answers) -> io::Result<()> {
    loop {
        let answer = tokio::select! {
            answer = answers.recv() => match answer {
                Some(answer) => Some(answer),
                None => return Ok(()),
            },
            () = peer.outbox.rings.notified() => None,
        };
        let mut writer = peer.outbox.writer().await?;
        // The news first: an answer may say that all is told.
        writer.write(&peer.take_news()).await?;
        if let Some(answer) = answer {
            writer.write(&answer).await?;
        }
    }
}
