//! What goes beyond the standard: the extensions that programs know from the DRMAA2 libraries of Grid
//! Engine, and the names that functions had in earlier headers. `include/drmaa2_ext.h` is generated
//! from here.

pub mod infos;
pub mod sudo;
