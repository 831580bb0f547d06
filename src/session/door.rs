//! The way of a process to the store and the runtime: its own, or the broker's.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::behalf::Behalf;
use super::call::{Answer, Call};
use super::changes::Changes;
use super::connection::Connection;
use super::desk::Desk;
use super::listener::Listener;
use super::waits::{Look, Source, Waits};
use super::watched::Known;
use super::world::World;
use crate::config::{Config, Target};
use crate::model::Result;
use crate::rights;

/// See the module.
#[derive(Clone)]
pub(super) enum Door {
    /// This process does the work.
    Here(Arc<World>),
    /// The broker does it.
    There(Arc<Connection>),
}

/// A door that may be gone.
pub(super) enum WeakDoor {
    Here(Weak<World>),
    There(Weak<Connection>),
}

impl Door {
    /// Make a call.
    pub(super) fn ask(&self, monitoring: bool, call: Call) -> Result<Answer> {
        match self {
            Self::Here(world) => {
                let scope = Behalf::Himself.scope();
                let claim = &world.mine;
                Desk { world, scope, is_guest: false, monitoring, claim, is_remote: false }.answer(call)
            }
            Self::There(connection) => connection.ask(monitoring, call),
        }
    }

    /// Wait for jobs, see [`Waits::wait`].
    pub(super) fn wait<T>(
        &self,
        ids: &[&str],
        deadline: Option<Instant>,
        look: impl FnMut(&[Known]) -> Result<Look<T>>,
    ) -> Result<Option<T>> {
        match self {
            Self::Here(world) => world.waits.wait(&*world.store, ids, deadline, look),
            Self::There(connection) => connection.waits.wait(&**connection, ids, deadline, look),
        }
    }

    /// Enter what has happened to the jobs in the table of waits while nobody waited.
    pub(super) fn catch_up(&self) -> Result<()> {
        match self {
            Self::Here(world) => world.store.catch_up(&world.waits),
            Self::There(connection) => connection.catch_up(&connection.waits),
        }
    }

    /// Keep no jobs of earlier waits any more.
    pub(super) fn forget_waits(&self) {
        let dropped = self.waits().forget();
        if let Self::There(connection) = self {
            connection.unfollow(&dropped);
        }
    }

    pub(super) fn waits(&self) -> &Waits {
        match self {
            Self::Here(world) => &world.waits,
            Self::There(connection) => &connection.waits,
        }
    }

    pub(super) fn changes(&self) -> &Arc<Changes> {
        match self {
            Self::Here(world) => &world.changes,
            Self::There(connection) => &connection.changes,
        }
    }

    pub(super) fn listener(&self) -> &Listener {
        match self {
            Self::Here(world) => &world.listener,
            Self::There(connection) => &connection.listener,
        }
    }

    pub(super) fn downgrade(&self) -> WeakDoor {
        match self {
            Self::Here(world) => WeakDoor::Here(Arc::downgrade(world)),
            Self::There(connection) => WeakDoor::There(Arc::downgrade(connection)),
        }
    }
}

impl WeakDoor {
    pub(super) fn upgrade(&self) -> Option<Door> {
        match self {
            Self::Here(world) => world.upgrade().map(Door::Here),
            Self::There(connection) => connection.upgrade().map(Door::There),
        }
    }
}

/// The socket of the broker, if it is there and the runtime's is not open to this process.
pub(super) fn broker(config: &Config) -> Option<PathBuf> {
    let Target::Containerd(containerd) = config.target() else { return None };
    let path = config.broker.path()?;
    let is_closed = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let closed = rights::may(&containerd.address, libc::W_OK).is_err_and(is_closed);
    (closed && path.exists()).then(|| path.to_owned())
}
