//! The values of an `implementationSpecific`, the member of structs for what the standard does not name.

use std::ffi::c_void;

use crate::model::{Result, Text};

use super::dict;

/// The values of an `implementationSpecific`.
///
/// # Safety
/// As [`dict::texts`].
pub(super) unsafe fn values(member: *mut c_void) -> Result<Vec<(String, Text)>> {
    // SAFETY: the caller's promise.
    let entries = unsafe { dict::texts(member.cast()) }?.unwrap_or_default();
    Ok(entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}

/// An `implementationSpecific` with these values, NULL for none.
pub(super) fn member<'a>(values: impl Iterator<Item = (&'a str, Text)>) -> Result<*mut c_void> {
    let entries: Vec<(Text, Text)> = values.map(|(name, value)| (name.into(), value)).collect();
    if entries.is_empty() {
        return Ok(std::ptr::null_mut());
    }
    dict::of_texts(&entries).map(<*mut _>::cast)
}
