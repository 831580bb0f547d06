//! Strings and the last error.

use std::ptr;

use crate::model::ErrorCode;

use super::enums::drmaa2_error;
use super::types::drmaa2_string;
use super::{guard, mem};

/// Free a string and set *s to NULL. Nothing happens if s or *s is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_string_free(s: *mut drmaa2_string) {
    // SAFETY: the caller hands over a string.
    guard::quiet((), || unsafe { mem::free_string(s) });
}

/// Get the error code of the last call on this thread.
///
/// Every function sets it, to DRMAA2_SUCCESS too, but for this one, drmaa2_lasterror_text, all
/// that free and the default callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_lasterror() -> drmaa2_error {
    guard::quiet(ErrorCode::Internal as drmaa2_error, || {
        guard::with_last(|last| last.map_or(ErrorCode::Success, |error| error.code)) as drmaa2_error
    })
}

/// Get the text of the error of the last call on this thread.
///
/// Returns a copy to be freed with drmaa2_string_free or free, or NULL if there was no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_lasterror_text() -> drmaa2_string {
    guard::quiet(ptr::null_mut(), || {
        guard::with_last(|last| mem::optional_string(last.map(|error| &error.message)))
            .unwrap_or(ptr::null_mut())
    })
}
