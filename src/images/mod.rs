//! Images of registries as directories, for runtimes that take a root file system as it is.
//!
//! Processes on several machines may use the same directory of images at once. An image gets its place there by being
//! renamed, so it is there as a whole or not at all, and no lock is needed for that.

pub(crate) mod archive;
pub(crate) mod document;
pub(crate) mod entry;
pub(crate) mod file;
mod flat;
pub(crate) mod manifest;
pub(crate) mod platform;
mod pull;
mod remove;
mod store;
mod temporary;
mod turn;

use std::path::PathBuf;

use oci_spec::image::Config;

use crate::model::extensions::Pull;
use crate::model::{Error, Result};
use crate::registry::{Name, Settings};
use crate::runtime::blocking;

use store::Store;
pub use store::Unpacked;

/// The way the programs of an image want to be run, asked of its registry. INVALID_ARGUMENT as for [`Images::get`].
pub async fn config(name: &str, settings: &Settings) -> Result<Config> {
    let name = Name::parse(name)?.to_string();
    let config = pull::config(&name, settings).await;
    config.map_err(|error| settings.explain(error).of(format_args!("cannot look up image {name}")))
}

/// A directory with images that are unpacked.
#[derive(Debug, Clone)]
pub struct Images {
    store: Store,
}

impl Images {
    /// In this directory, which is made when an image is to be put there.
    pub fn new(dir: PathBuf) -> Self {
        Self { store: Store::new(dir) }
    }

    /// The image of this name: pulled and unpacked, unless it is there. INVALID_ARGUMENT if there is none, or none that
    /// can be run here. What a pull has made is removed when it is dropped before its end.
    pub async fn get(&self, name: &str, policy: Pull, settings: &Settings) -> Result<Unpacked> {
        let name = Name::parse(name)?.to_string();
        if policy != Pull::Always {
            let (store, wanted) = (self.store.clone(), name.clone());
            let found = blocking(move || store.find(&wanted)).await;
            if let Some(found) = found.map_err(|error| error.of(format_args!("image {name}")))? {
                return Ok(found);
            }
        }
        if policy == Pull::Never {
            let dir = self.store.dir().display();
            return Err(Error::argument(format!("image {name} is not in {dir}, and not to be pulled")));
        }
        let pulled = pull::pull(&self.store, &name, settings).await;
        pulled.map_err(|error| settings.explain(error).of(format_args!("cannot pull image {name}")))
    }
}
