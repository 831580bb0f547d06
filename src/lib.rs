//! libdrmaa2: the DRMAA2 C API over containerd. See `docs/architecture.md` for the modules.

pub mod agent;
pub mod config;
pub mod container;
pub mod containerd;
pub mod daemon;
pub mod drms;
pub mod ffi;
pub mod fork;
pub mod images;
pub mod model;
pub mod procfs;
pub mod registry;
pub mod rights;
pub mod runtime;
pub mod scheduler;
pub mod session;
pub mod slurm;
pub mod spawn;
pub mod store;
pub mod sync;
pub mod tracker;
pub mod wire;
