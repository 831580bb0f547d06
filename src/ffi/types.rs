//! Scalars that several families share.

use std::ffi::c_char;

use libc::time_t;

/// The value of a time that is not set: DRMAA2_UNSET_TIME of the header.
///
/// cbindgen:ignore
pub(super) const UNSET_TIME: time_t = -3;

/// A NUL-terminated string made by malloc. Its owner frees it with drmaa2_string_free or free.
pub type drmaa2_string = *mut c_char;
