//! Implementation-specific attributes of structs, by name. There are none yet: each list is empty
//! (callers count on a list), and every name is unknown.

use std::ffi::{c_char, c_void};

use crate::model::{Error, Result};

use super::enums::drmaa2_error;
use super::mem::null;
use super::types::{drmaa2_string, drmaa2_string_list};
use super::{guard, list, mem};

/// Get the names of the implementation-specific attributes of job templates (GFD.231,
/// DrmaaReflective).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free, as all of these do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jtemplate_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the names of the implementation-specific attributes of job infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the names of the implementation-specific attributes of reservation templates.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rtemplate_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the names of the implementation-specific attributes of reservation infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the names of the implementation-specific attributes of queue infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_queueinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the names of the implementation-specific attributes of machine infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_machineinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the names of the implementation-specific attributes of notifications.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_notification_impl_spec() -> drmaa2_string_list {
    guard::pointer(none)
}

/// Get the value of an implementation-specific attribute (GFD.231, DrmaaReflective).
///
/// instance: a struct of the kind that name belongs to. Returns a copy to be freed with
/// drmaa2_string_free, or NULL with DRMAA2_SUCCESS if it is not set. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if instance or name is NULL or there is no such attribute.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_instance_value(
    instance: *const c_void,
    name: *const c_char,
) -> drmaa2_string {
    guard::pointer(|| {
        if instance.is_null() {
            return Err(null("instance"));
        }
        // SAFETY: NULL or a string, as the header asks.
        Err(unsafe { unknown(name) })
    })
}

/// Get a description of an implementation-specific attribute, for people (GFD.231,
/// DrmaaReflective).
///
/// instance: not looked at. Returns a text to be freed with drmaa2_string_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if name is NULL or there is no such attribute.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_describe_attribute(
    instance: *const c_void,
    name: *const c_char,
) -> drmaa2_string {
    guard::pointer(|| {
        let _ = instance;
        // SAFETY: NULL or a string, as the header asks.
        Err(unsafe { unknown(name) })
    })
}

/// Set the value of an implementation-specific attribute (GFD.231, DrmaaReflective).
///
/// instance: a struct of the kind that name belongs to. value: copied; NULL or empty for not set.
/// DRMAA2_INVALID_ARGUMENT if instance or name is NULL or there is no such attribute.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_set_instance_value(
    instance: *mut c_void,
    name: *const c_char,
    value: *const c_char,
) -> drmaa2_error {
    guard::status(|| {
        let _ = value;
        if instance.is_null() {
            return Err(null("instance"));
        }
        // SAFETY: NULL or a string, as the header asks.
        Err(unsafe { unknown(name) })
    })
}

fn none() -> Result<drmaa2_string_list> {
    list::of_strings::<&str>([])
}

unsafe fn unknown(name: *const c_char) -> Error {
    // SAFETY: NULL or a string.
    match unsafe { mem::name("attribute name", name) } {
        Ok(name) => Error::argument(format!("no implementation-specific attribute \"{name}\"")),
        Err(error) => error,
    }
}
