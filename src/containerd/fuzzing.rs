//! Entries for fuzz targets: the readers of the documents and the layers of an image.

use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};

use super::{image, unpack};
use crate::images::document::{self, Kind};

/// Read a manifest or an index, and a configuration.
pub fn documents(manifest: &[u8], config: &[u8]) {
    let kind = Kind::of(manifest);
    let _ = kind.check(kind.media_type().unwrap_or_default());
    let _ = (kind.check_members(true), kind.check_members(false));
    let _ = document::read::<ImageIndex>(manifest);
    let Ok(manifest) = document::read::<ImageManifest>(manifest) else { return };
    let _ = (document::check_declared(&manifest), document::artifact(&manifest));
    let Ok(config) = document::read::<ImageConfiguration>(config) else { return };
    if document::check(&manifest, &config).is_ok() {
        // A snapshot is made for each of them.
        assert_eq!(image::layers(&manifest, &config).len(), document::layers(&manifest).len());
    }
}

/// Read the entries of a layer, not packed.
pub fn layer(archive: &[u8]) {
    unpack::check_entries(archive);
}
