//! The image of a job.

use std::path::{Path, PathBuf};

use oci_spec::image::Config;

use super::core::Core;
use super::settings::JobSettings;
use crate::images::{self, Images};
use crate::model::{Error, Result};
use crate::registry::Name;
use crate::tracker::NewJob;

/// The image of a job.
pub(super) struct Image {
    pub(super) name: String,
    /// The way its programs want to be run.
    pub(super) config: Config,
    /// Its root file system, unless the nodes pull it themselves.
    rootfs: Option<PathBuf>,
}

impl Image {
    /// The image of a job, pulled; `None` if it runs on the machine itself.
    pub(super) async fn get(core: &Core, job: &NewJob) -> Result<Option<Self>> {
        let settings = JobSettings::of(job)?;
        let Some(name) = settings.image()? else { return Ok(None) };
        if settings.containers.pulls_on_node() {
            let config = images::config(name, &settings.registry).await?;
            return Ok(Some(Self { name: Name::parse(name)?.to_string(), config, rootfs: None }));
        }
        let policy = job.template.extensions()?.pull.unwrap_or(settings.pull);
        let images = Images::new(core.settings.images_dir());
        let image = images.get(name, policy, &settings.registry).await?;
        Ok(Some(Self { name: image.name, config: image.config, rootfs: Some(image.rootfs) }))
    }

    /// Its root file system.
    pub(super) fn rootfs(&self) -> Result<&Path> {
        self.rootfs
            .as_deref()
            .ok_or_else(|| Error::internal(format!("image {} is not unpacked", self.name)))
    }

    /// One that is unpacked here.
    #[cfg(test)]
    pub(super) fn for_tests(name: &str, rootfs: &str) -> Self {
        Self { name: name.to_owned(), config: Config::default(), rootfs: Some(rootfs.into()) }
    }
}
