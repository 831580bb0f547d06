//! The extensions of the standard that programs know from the DRMAA2 libraries of Grid Engine, and the
//! names that functions had in earlier headers. `include/drmaa2_ext.h` is generated from here.

pub mod impl_spec;
pub mod infos;
pub mod job;
pub mod list;
pub mod names;
pub mod sudo;
pub mod wait;
