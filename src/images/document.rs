//! The documents of an image, read as containerd reads them: what is empty may be missing, or null.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::model::json::{self, Shape};
use crate::model::{Error, Result};

const PLATFORM: Shape = Shape::Members(&[
    ("architecture", Shape::Any),
    ("os", Shape::Any),
    ("os.version", Shape::Any),
    ("os.features", Shape::Any),
    ("variant", Shape::Any),
]);
const DESCRIPTOR: Shape = Shape::Members(&[
    ("mediaType", Shape::Any),
    ("digest", Shape::Any),
    ("size", Shape::Any),
    ("urls", Shape::Any),
    ("annotations", Shape::Any),
    ("platform", PLATFORM),
    ("artifactType", Shape::Any),
    ("data", Shape::Any),
]);
const RUN: Shape = Shape::Members(&[
    ("User", Shape::Any),
    ("ExposedPorts", Shape::Any),
    ("Env", Shape::Any),
    ("Entrypoint", Shape::Any),
    ("Cmd", Shape::Any),
    ("Volumes", Shape::Any),
    ("WorkingDir", Shape::Any),
    ("Labels", Shape::Any),
    ("StopSignal", Shape::Any),
]);
/// A manifest or an index.
const MANIFEST: Shape = Shape::Members(&[
    ("schemaVersion", Shape::Any),
    ("mediaType", Shape::Any),
    ("artifactType", Shape::Any),
    ("config", DESCRIPTOR),
    ("layers", Shape::Each(&DESCRIPTOR)),
    ("manifests", Shape::Each(&DESCRIPTOR)),
    ("subject", DESCRIPTOR),
    ("annotations", Shape::Any),
]);
const CONFIGURATION: Shape = Shape::Members(&[
    ("created", Shape::Any),
    ("author", Shape::Any),
    ("architecture", Shape::Any),
    ("os", Shape::Any),
    ("os.version", Shape::Any),
    ("os.features", Shape::Any),
    ("variant", Shape::Any),
    ("config", RUN),
    ("rootfs", Shape::Members(&[("type", Shape::Any), ("diff_ids", Shape::Any)])),
    ("history", Shape::Any),
]);

/// A document of an image.
pub(crate) trait Document: DeserializeOwned {
    /// Its names.
    const SHAPE: Shape;
}

impl Document for ImageManifest {
    const SHAPE: Shape = MANIFEST;
}

impl Document for ImageIndex {
    const SHAPE: Shape = MANIFEST;
}

impl Document for ImageConfiguration {
    const SHAPE: Shape = CONFIGURATION;
}

/// Add what a document leaves out, with the meaning that this has.
fn complete(document: &mut Value) {
    let absent = [
        ("", "schemaVersion", json!(2)),
        ("", "layers", json!([])),
        ("", "manifests", json!([])),
        ("", "architecture", json!("")),
        ("", "os", json!("")),
        ("", "rootfs", json!({})),
        ("/rootfs", "type", json!("layers")),
        ("/rootfs", "diff_ids", json!([])),
    ];
    for (place, name, value) in absent {
        if let Some(members) = document.pointer_mut(place).and_then(Value::as_object_mut) {
            members.entry(name).or_insert(value);
        }
    }
    for list in ["layers", "manifests"] {
        let entries = document.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for platform in entries.filter_map(|entry| entry.get_mut("platform")?.as_object_mut()) {
            for name in ["architecture", "os"] {
                platform.entry(name).or_insert(json!(""));
            }
            // The name that the type of a platform has for it.
            if let Some(features) = platform.remove("os.features") {
                platform.insert("os_features".to_owned(), features);
            }
        }
    }
}

/// Read one.
pub(crate) fn read<T: Document>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut document = json::read_as(bytes, &T::SHAPE)?;
    complete(&mut document);
    serde_json::from_value(document)
}

/// A manifest or a configuration is a few kilobytes; this much is a mistake.
pub(crate) const MAX_DOCUMENT: usize = 8 << 20;
/// As many layers as Linux stacks in one overlay file system, `OVL_MAX_STACK`. Builders stop at 127, and
/// other snapshotters would take a call for each.
const MAX_LAYERS: usize = 500;

/// The media types of the configuration of an image.
const CONFIGURATIONS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The kind of a document, as it says itself.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Kind {
    media_type: String,
    schema_version: Option<i64>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

impl Kind {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        json::read_as(bytes, &MANIFEST).unwrap_or_default()
    }

    /// Its media type, if it says one.
    pub(crate) fn media_type(&self) -> Option<&str> {
        (!self.media_type.is_empty()).then_some(&self.media_type)
    }

    /// Refuse what is a document of a registry and no manifest of an image.
    pub(crate) fn check(&self, media_type: &str) -> Result<()> {
        let is_old = self.schema_version == Some(1) || media_type.contains(".distribution.manifest.v1+");
        if is_old {
            return Err(Error::argument(
                "an image of Docker's schema 1, which containerd has given up; push it anew",
            ));
        }
        Ok(())
    }

    /// Refuse one that can be read as an index and as a manifest: others may take it for an image that this is not.
    pub(crate) fn check_members(&self, is_index: bool) -> Result<()> {
        if is_index && (self.config.is_some() || self.layers.is_some()) {
            return Err(Error::argument("an index that has what only a manifest has"));
        }
        if !is_index && self.manifests.is_some() {
            return Err(Error::argument("a manifest that has what only an index has"));
        }
        Ok(())
    }
}

/// Is its configuration of a type that images have? containerd does not ask, so others may be images too.
pub(crate) fn is_image(manifest: &ImageManifest) -> bool {
    match manifest.config().media_type() {
        MediaType::ImageConfig => true,
        MediaType::Other(name) => CONFIGURATIONS.contains(&name.as_str()),
        _ => false,
    }
}

/// The types of layers begin so.
const LAYERS: [&str; 3] = [
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.diff.",
    "application/vnd.docker.image.rootfs.foreign.diff.",
];

/// The layers of an image, each with its number. A manifest may list more than that, such as what an image is made of.
pub(crate) fn layers(manifest: &ImageManifest) -> Vec<(usize, &Descriptor)> {
    let all = manifest.layers().iter().enumerate();
    let is_layer = |(_, layer): &(usize, &Descriptor)| {
        let media_type = layer.media_type().to_string();
        LAYERS.iter().any(|begin| media_type.starts_with(begin))
    };
    all.filter(is_layer).collect()
}

/// Refuse an image by what its manifest declares, before anything of it is read.
pub(crate) fn check_declared(manifest: &ImageManifest) -> Result<()> {
    let (count, config) = (layers(manifest).len(), manifest.config());
    if count > MAX_LAYERS {
        return Err(Error::argument(format!(
            "it has {count} layers, and more than {MAX_LAYERS} cannot be stacked"
        )));
    }
    if usize::try_from(config.size()).is_ok_and(|size| size <= MAX_DOCUMENT) {
        return Ok(());
    }
    let (digest, size) = (config.digest(), config.size());
    Err(Error::argument(format!("{digest} of {size} bytes is too large for a configuration")))
}

/// Something of a registry that is no image: nothing of it can be run.
pub(crate) fn artifact(manifest: &ImageManifest) -> Error {
    let kind = manifest.artifact_type().as_ref().unwrap_or_else(|| manifest.config().media_type());
    Error::argument(format!("not an image but an artifact of type \"{kind}\""))
}

/// Refuse a manifest whose configuration does not describe its layers.
pub(crate) fn check(manifest: &ImageManifest, config: &ImageConfiguration) -> Result<()> {
    let (layers, diff_ids) = (layers(manifest).len(), config.rootfs().diff_ids().len());
    match is_image(manifest) {
        true if layers != diff_ids => {
            Err(Error::argument("manifest and configuration disagree on the layers"))
        }
        false if layers != diff_ids || layers == 0 => Err(artifact(manifest)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_may_be_missing_or_null() {
        let config = br#"{"architecture": null, "rootfs": {"diff_ids": null}, "config": {"Labels": null, "Env": null}}"#;
        let config: ImageConfiguration = read(config).unwrap();
        assert!(config.rootfs().diff_ids().is_empty() && config.os().to_string().is_empty());
        assert!(read::<ImageConfiguration>(b"{}").is_ok());
        let descriptor = r#"{"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000", "annotations": null}"#;
        let manifest = format!(r#"{{"config": {descriptor}, "layers": null}}"#);
        let manifest: ImageManifest = read(manifest.as_bytes()).unwrap();
        assert!(manifest.layers().is_empty() && is_image(&manifest));
        assert!(read::<ImageIndex>(br#"{"manifests": null}"#).unwrap().manifests().is_empty());
        let index = format!(
            r#"{{"Manifests": [{}]}}"#,
            descriptor.replace("annotations\": null", r#"platform": {"os.features": ["x"]}"#)
        );
        let index: ImageIndex = read(index.as_bytes()).unwrap();
        let platform = index.manifests()[0].platform().as_ref().unwrap();
        assert!(platform.os().to_string().is_empty() && platform.os_features().is_some());
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let manifest = r#"{"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2,
            "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000"}, "layers": []}"#;
        let manifest: ImageManifest = read(manifest.as_bytes()).unwrap();
        let error = check(&manifest, &read(br#"{"name": "chart"}"#).unwrap()).unwrap_err();
        assert!(error.message.contains("application/vnd.cncf.helm.config.v1+json"), "{error}");
        let old = Kind::of(br#"{"schemaVersion": 1, "name": "a"}"#);
        assert!(old.check("application/json").unwrap_err().message.contains("schema 1"));
        assert!(Kind::of(br#"{"schemaVersion": 2}"#).check("").is_ok());
        let both = Kind::of(br#"{"layers": [], "Manifests": []}"#);
        assert!(both.check_members(true).is_err() && both.check_members(false).is_err());
    }
}
