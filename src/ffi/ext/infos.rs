//! Infos that a caller makes.

use crate::ffi::guard;
use crate::ffi::infos::{drmaa2_rinfo, drmaa2_rinfo_s};
use crate::ffi::mem::Owned;

/// Create a reservation info in which nothing is set.
///
/// Returns an info to be freed with drmaa2_rinfo_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rinfo_create() -> drmaa2_rinfo {
    guard::pointer(|| Ok(Owned::new(drmaa2_rinfo_s::unset())?.into_raw()))
}
