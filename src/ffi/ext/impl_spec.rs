//! Implementation-specific attributes of structs for which the standard has no list of them.

use crate::ffi::dict::drmaa2_dict;
use crate::ffi::infos::{drmaa2_version, drmaa2_version_s};
use crate::ffi::list::drmaa2_string_list;
use crate::ffi::mem::null;
use crate::ffi::{dict, guard, impl_spec, instances};
use crate::model::Error;
use crate::model::extensions::VERSION;

/// Get the names of the implementation-specific attributes of versions.
///
/// Returns a list to be freed with drmaa2_list_free. The attributes are those of the version that
/// drmaa2_get_drms_version returns; in any other they are not set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_version_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| impl_spec::names(&VERSION))
}

/// Get the names of the implementation-specific attributes of slot infos: there are none.
///
/// Returns an empty list to be freed with drmaa2_list_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_slotinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| impl_spec::names(&[]))
}

/// Get all implementation-specific attributes of a version that are set, with their values.
///
/// Returns a new dictionary, which may be empty, to be freed with drmaa2_dict_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if v is NULL, or a struct of another kind that the library has made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uge_vi_impl_spec_get(v: drmaa2_version) -> drmaa2_dict {
    guard::pointer(|| {
        // SAFETY: NULL or a version that no other thread changes now.
        let version = unsafe { v.as_ref() }.ok_or_else(|| null("version"))?;
        if instances::is_other::<drmaa2_version_s, _>(v) {
            return Err(Error::argument("this is no version"));
        }
        // SAFETY: NULL or a dictionary of ours.
        let values = unsafe { dict::texts(version.implementationSpecific.cast()) }?;
        dict::of_texts(&values.unwrap_or_default())
    })
}
