//! Entries for fuzz targets: readers of what registries and their users write.

pub use super::challenge::fuzz as challenges;
pub use super::credentials::fuzz as auth_file;
pub use super::hosts::fuzz as hosts_file;
