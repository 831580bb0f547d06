//! A client of image registries (OCI distribution specification): it reads manifests and blobs.
//!
//! It knows nothing of containerd and nothing of jobs. A registry's answers that may be different the
//! next time are asked for again a few times; what fails then is a [`Failure`] with the reason.

mod auth;
mod blob;
mod body;
mod challenge;
mod client;
mod credentials;
mod endpoint;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod helper;
mod hosts;
mod name;
mod settings;

use std::sync::atomic::Ordering;

use reqwest::Response;
use sha2::{Digest, Sha256};

pub use blob::Blob;
use body::Unread;
use endpoint::{Endpoint, Wanted};
pub use failure::Failure;
pub use name::{Name, is_digest};
pub use settings::Settings;

/// The forms of a manifest that are understood, of OCI and of Docker.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";
/// A manifest is a few kilobytes; this much is a mistake.
const MAX_MANIFEST: usize = 8 << 20;

/// A manifest, or an index of manifests.
#[derive(Debug)]
pub struct Manifest {
    /// As the registry has it.
    pub bytes: Vec<u8>,
    /// Its media type, as the registry or the document tells it.
    pub media_type: String,
    /// Its digest, computed here.
    pub digest: String,
}

/// The places from which one image can be had.
pub struct Registry {
    name: Name,
    endpoints: Vec<Endpoint>,
}

impl Registry {
    /// Find out where an image can be had.
    pub async fn of(name: Name, settings: &Settings) -> Result<Self, Failure> {
        let endpoints = hosts::endpoints(&name, settings).await?;
        Ok(Self { name, endpoints })
    }

    /// The manifest that the image's name stands for.
    pub async fn target(&self) -> Result<Manifest, Failure> {
        match (&self.name.digest, &self.name.tag) {
            (Some(digest), _) => self.read_manifest(digest, Some(digest), None).await,
            (None, tag) => self.read_manifest(tag.as_deref().unwrap_or("latest"), None, None).await,
        }
    }

    /// The manifest of a digest, with the size that its index tells.
    pub async fn manifest(&self, digest: &str, size: u64) -> Result<Manifest, Failure> {
        match usize::try_from(size) {
            Ok(size @ 0..=MAX_MANIFEST) => self.read_manifest(digest, Some(digest), Some(size)).await,
            _ => Err(Failure::lasting(format!("{digest} of {size} bytes is too large for a manifest"))),
        }
    }

    async fn read_manifest(
        &self,
        reference: &str,
        digest: Option<&str>,
        size: Option<usize>,
    ) -> Result<Manifest, Failure> {
        let path = format!("{}/manifests/{reference}", self.name.repository);
        let wanted = Wanted { path, accept: Some(MANIFESTS), from: 0 };
        let by_tag = digest.is_none();
        let mut last = None;
        for endpoint in self.places(|one| if by_tag { one.resolves } else { one.pulls }) {
            match read(endpoint, &wanted, digest, size).await {
                Ok(manifest) => return Ok(manifest),
                Err(failure) => last = note(last, failure),
            }
        }
        Err(last.unwrap_or_else(|| self.nowhere()))
    }

    /// The answer of the first endpoint that has a blob of this size.
    async fn open_blob(&self, digest: &str, size: u64, from: u64) -> Result<Response, Failure> {
        let path = format!("{}/blobs/{digest}", self.name.repository);
        let wanted = Wanted { path, accept: None, from };
        let mut last = None;
        for endpoint in self.places(|endpoint| endpoint.pulls) {
            let failure = match endpoint.fetch(&wanted).await {
                Ok(answer) => match body::told_size(&answer, from) {
                    Some(told) if told != size => {
                        let cause = format!("it has {told} bytes, and the image's manifest says {size}");
                        endpoint.lasting(&wanted.path, &cause)
                    }
                    _ => return Ok(answer),
                },
                Err(failure) => failure,
            };
            last = note(last, failure);
        }
        Err(last.unwrap_or_else(|| self.nowhere()))
    }

    /// Returns whether credentials were shown to one of the places.
    pub fn has_shown_credentials(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.authority.has_shown.load(Ordering::Relaxed))
    }

    /// Those that may be asked, in the order in which to do so.
    fn places(&self, may: impl Fn(&Endpoint) -> bool) -> Vec<&Endpoint> {
        let mut places: Vec<_> = self.endpoints.iter().filter(|endpoint| may(endpoint)).collect();
        places.sort_by_key(|endpoint| endpoint.is_down.load(Ordering::Relaxed));
        places
    }

    fn nowhere(&self) -> Failure {
        Failure::lasting(format!("hosts.toml names nothing to pull from for {}", self.name.host))
    }
}

/// The failure to tell of: that of the last place, but one that may pass if there is any.
fn note(last: Option<Failure>, failure: Failure) -> Option<Failure> {
    tracing::debug!(error = %failure.error, "a registry cannot serve");
    let passes = failure.passes || last.is_some_and(|last| last.passes);
    Some(Failure { passes, ..failure })
}

async fn read(
    endpoint: &Endpoint,
    wanted: &Wanted,
    digest: Option<&str>,
    size: Option<usize>,
) -> Result<Manifest, Failure> {
    let answer = endpoint.fetch(wanted).await?;
    let media_type = answer
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or(value).trim().to_owned())
        .unwrap_or_default();
    let useless = |cause: &str| endpoint.lasting(&wanted.path, cause);
    let bytes = body::read(answer, size.unwrap_or(MAX_MANIFEST)).await;
    let bytes = bytes.map_err(|unread| match (unread, size) {
        (Unread::TooLarge, None) => useless("it is too large for a manifest"),
        (Unread::TooLarge, Some(size)) => {
            useless(&format!("it has more than the {size} bytes that its index says"))
        }
        (Unread::Broken(error), _) => endpoint.broken(&error),
    })?;
    if let Some(size) = size.filter(|size| *size != bytes.len()) {
        let cause = format!("it has {} bytes, and its index says {size}", bytes.len());
        return Err(useless(&cause));
    }
    let found = format!("sha256:{:x}", Sha256::digest(&bytes));
    if let Some(digest) = digest.filter(|digest| **digest != *found) {
        return Err(useless(&format!("its digest is {found}, not {digest}")));
    }
    Ok(Manifest { bytes, media_type, digest: found })
}
