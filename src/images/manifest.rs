//! From the name of an image, which a registry has, to its manifest for this machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use sha2::{Digest, Sha256};

use super::document::{self, Kind};
use super::platform;
use crate::model::{Error, Result};
use crate::registry::{Failure, Manifest, Registry};

/// Media type of Docker's own form of an index.
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Indexes may hold indexes; so deep and no deeper.
pub(crate) const MAX_DEPTH: usize = 4;

/// The way from an image's name to its manifest.
pub(crate) struct Found {
    /// The indexes on the way, the outermost first.
    pub(crate) indexes: Vec<Manifest>,
    /// The manifest for this machine.
    pub(crate) last: Manifest,
    /// An index says that it is for this machine.
    pub(crate) says_platform: bool,
}

/// Ask a registry for the manifest of its image.
pub(crate) async fn find(registry: &Registry) -> std::result::Result<Found, Failure> {
    let mut indexes = Vec::new();
    let (mut last, mut says_platform) = (with_type(registry.target().await?)?, false);
    while is_index(&MediaType::from(last.media_type.as_str())) {
        let index: ImageIndex = parsed(&last)?;
        let chosen = platform::choose(index.manifests(), &Arch::default())?;
        says_platform = chosen.platform().is_some();
        let (digest, size) = (chosen.digest().to_string(), chosen.size());
        indexes.push(last);
        if indexes.len() == MAX_DEPTH {
            return Err(too_deep().into());
        }
        last = with_type(registry.manifest(&digest, size).await?)?;
    }
    Ok(Found { indexes, last, says_platform })
}

/// Read a manifest or an index that a registry has given.
pub(crate) fn parsed<T: document::Document>(manifest: &Manifest) -> Result<T> {
    document::read(&manifest.bytes).map_err(|error| {
        let Manifest { digest, media_type, .. } = manifest;
        Error::argument(format!("manifest {digest} of type \"{media_type}\": {error}"))
    })
}

/// The media type in a manifest takes precedence over that in its header.
fn with_type(mut manifest: Manifest) -> Result<Manifest> {
    let kind = Kind::of(&manifest.bytes);
    kind.check(&manifest.media_type)?;
    if let Some(media_type) = kind.media_type() {
        media_type.clone_into(&mut manifest.media_type);
    }
    kind.check_members(is_index(&MediaType::from(manifest.media_type.as_str())))?;
    Ok(manifest)
}

/// Refuse an image that cannot be run here. What an index says of its platform counts more than what the configuration
/// says.
pub(crate) fn check(
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    says_platform: bool,
) -> Result<()> {
    document::check(manifest, config)?;
    if says_platform {
        return Ok(());
    }
    platform::check(config.os(), config.architecture())
}

/// Content that its descriptor holds, so that no registry need be asked for it. What is not as it is described is not used.
pub(crate) fn given(descriptor: &Descriptor) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(descriptor.data().as_deref()?).ok()?;
    let is_whole = u64::try_from(bytes.len()) == Ok(descriptor.size());
    let digest = format!("sha256:{:x}", Sha256::digest(&bytes));
    (is_whole && digest == descriptor.digest().to_string()).then_some(bytes)
}

/// Returns whether a document of this type lists manifests.
pub(crate) fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageIndex)
        || matches!(media_type, MediaType::Other(other) if other == DOCKER_INDEX)
}

pub(crate) fn too_deep() -> Error {
    Error::argument("too many indexes inside each other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_index_are_known() {
        assert!(is_index(&MediaType::ImageIndex));
        assert!(is_index(&MediaType::from(DOCKER_INDEX)));
        assert!(!is_index(&MediaType::ImageManifest));
    }
}
