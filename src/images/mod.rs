//! Images of registries, as directories: for runtimes that take a root file system as it is.

pub(crate) mod archive;
pub(crate) mod document;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod manifest;
pub(crate) mod platform;
