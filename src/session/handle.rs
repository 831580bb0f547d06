//! An open session of either kind, as far as both are the same.

use std::sync::atomic::{AtomicBool, Ordering};

use super::behalf::Behalf;
use super::call::{Call, Content};
use super::ids::Nonce;
use super::process;
use crate::model::{Error, Result};
use crate::store::{Kind, Session};

/// A handle of an open session, which is closed with it.
pub(super) struct Handle {
    row: Session,
    closed: AtomicBool,
}

impl Handle {
    /// Create a session for a user, who owns it, and open it. Without a name it gets a new one.
    pub(super) fn create(
        kind: Kind,
        behalf: &Behalf,
        name: Option<&str>,
        contact: Option<&str>,
    ) -> Result<Self> {
        let (name, contact) = (name.map(str::to_owned), contact.map(str::to_owned));
        let (behalf, nonce) = (behalf.clone(), Nonce::new());
        process::ask(Call::CreateSession { kind, behalf, nonce, name, contact }).map(Self::opened)
    }

    /// Open a session that was created before.
    pub(super) fn open(kind: Kind, name: &str) -> Result<Self> {
        process::ask(Call::OpenSession { kind, name: name.to_owned() }).map(Self::opened)
    }

    fn opened(row: Session) -> Self {
        process::session_opened(&row);
        // It may have the name of another one, whose jobs were waited for.
        if let Ok(door) = process::door() {
            door.forget_waits();
        }
        Self { row, closed: AtomicBool::new(false) }
    }

    /// Close the session; any further use of it is INVALID_SESSION.
    pub(super) fn close(&self) -> Result<()> {
        self.check_open()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(self.is_closed());
        }
        process::session_closed(&self.row);
        process::ask(Call::CloseSession(self.row()))
    }

    /// Its row; works on a closed session too.
    pub(super) fn row(&self) -> Session {
        self.row.clone()
    }

    /// Its name; works on a closed session too.
    pub(super) fn name(&self) -> &str {
        &self.row.name
    }

    /// The contact string that it was created with; works on a closed session too.
    pub(super) fn contact(&self) -> Option<&str> {
        self.row.contact.as_deref()
    }

    /// INVALID_SESSION if it is closed or destroyed.
    pub(super) fn check_open(&self) -> Result<()> {
        self.ask(Call::CheckSession(self.row()))
    }

    /// Ask about the session unless it is closed.
    pub(super) fn ask<T: Content>(&self, call: Call) -> Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.is_closed());
        }
        process::ask(call)
    }

    fn is_closed(&self) -> Error {
        Error::session(format!("{} \"{}\" is closed", self.row.kind, self.name()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            process::session_closed(&self.row);
        }
    }
}
