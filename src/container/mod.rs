//! The container of a job, whatever system runs it: its OCI spec, and the order for its init.

pub mod environment;
pub mod order;
pub mod outcome;
pub mod rlimits;
pub mod spec;
