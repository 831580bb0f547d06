//! The lease that keeps the garbage collector from a pull.
//!
//! After a failure that stays, nothing may be left. After one that may pass, or a death, what there is
//! stays for a day, so that the next attempt goes on with it: each attempt has a lease of its own,
//! since none can be prolonged, and the first that comes to an end removes those before it. These are
//! the leases of attempts that the same locks have kept apart: another one may be at work.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::{
    AddResourceRequest, CreateRequest, DeleteRequest, ListRequest, Resource,
};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use super::super::connect::{Calls, Daemon, QUICK, RUN};
use crate::model::Result;

/// The time that a lease lasts, should its maker die.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Label of a lease: which image it is for.
const IMAGE: &str = "drmaa2/pull";
/// Label of a lease: a hash of the directory of the locks that its maker uses.
const LOCKS: &str = "drmaa2/pull-locks";

/// The leases for the pulls of an image that the same locks keep apart.
pub(super) struct Leases<'a> {
    daemon: &'a Daemon,
    image: &'a str,
    locks: String,
}

/// A lease of the daemon.
pub(super) struct Lease<'a> {
    daemon: &'a Daemon,
    id: String,
}

impl<'a> Leases<'a> {
    /// For an image, with the locks in a directory.
    pub(super) fn of(daemon: &'a Daemon, image: &'a str, locks: &Path) -> Self {
        let locks = format!("{:x}", Sha256::digest(locks.as_os_str().as_bytes()));
        Self { daemon, image, locks }
    }

    /// One for a pull that has something to keep.
    pub(super) async fn take(&self) -> Result<Lease<'a>> {
        let id = format!("drmaa2-pull-{}", Ulid::generate().to_string().to_lowercase());
        let expires = prost_types::Timestamp::from(SystemTime::now() + LIFE).to_string();
        let labels = HashMap::from([
            ("containerd.io/gc.expire".to_owned(), expires),
            (IMAGE.to_owned(), self.image.to_owned()),
            (LOCKS.to_owned(), self.locks.clone()),
        ]);
        let request = CreateRequest { id: id.clone(), labels };
        let created = self.daemon.within(QUICK)?.leases().create(request).await;
        created.map_err(|status| self.daemon.error(status))?;
        Ok(Lease { daemon: self.daemon, id })
    }

    /// Let go of all that this and earlier attempts have made. If it is no use to anybody, wait until the
    /// collector has removed it.
    pub(super) async fn end(&self, useless: bool) {
        if let Err(error) = self.delete_all(useless).await {
            tracing::debug!(%error, "cannot delete a lease; it will expire");
        }
    }

    async fn delete_all(&self, useless: bool) -> Result<()> {
        let error = |status| self.daemon.error(status);
        // The collector has to look at all content of the daemon.
        let calls = self.daemon.within(RUN)?;
        let filters =
            vec![format!("labels.{IMAGE:?}=={:?},labels.{LOCKS:?}=={:?}", self.image, self.locks)];
        let mut leases =
            calls.leases().list(ListRequest { filters }).await.map_err(error)?.into_inner().leases;
        // One wait is for all of them.
        let last = leases.pop().map(|lease| (lease, useless));
        for (lease, sync) in leases.into_iter().map(|lease| (lease, false)).chain(last) {
            calls.leases().delete(DeleteRequest { id: lease.id, sync }).await.map_err(error)?;
        }
        Ok(())
    }
}

impl Lease<'_> {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Calls without a deadline that make things under this lease.
    pub(super) fn calls(&self) -> Result<Calls> {
        self.daemon.endless()?.leased(&self.id)
    }

    /// Keep content that was there already.
    pub(super) async fn keep(&self, digest: &str) -> Result<()> {
        let resource = Resource { id: digest.to_owned(), r#type: "content".to_owned() };
        let request = AddResourceRequest { id: self.id.clone(), resource: Some(resource) };
        let added = self.daemon.within(QUICK)?.leases().add_resource(request).await;
        added.map(drop).map_err(|status| self.daemon.error(status))
    }
}
