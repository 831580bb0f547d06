//! Lists beyond what the standard does with them.

use std::ffi::{c_long, c_void};

use crate::ffi::enums::drmaa2_error;
use crate::ffi::list::drmaa2_list;
use crate::ffi::{guard, list};

/// Free a list, but not its elements, and set *l to NULL: what drmaa2_list_free does for a list
/// without a callback. Nothing happens if l or *l is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uge_drmaa2_list_free_root(l: *mut drmaa2_list) {
    // SAFETY: the caller hands over his list, and keeps what is in it.
    guard::quiet((), || unsafe { list::free_root(l) });
}

/// Replace the element at position pos, counted from 0.
///
/// The list keeps the pointer value, not a copy; the old element is left alone, it is the caller's
/// from then on. DRMAA2_INVALID_ARGUMENT if l or value is NULL or there is no such element.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uge_drmaa2_list_set(
    l: drmaa2_list,
    pos: c_long,
    value: *mut c_void,
) -> drmaa2_error {
    // SAFETY: a list that no other thread uses now, or NULL; the value fits it.
    guard::status(|| unsafe { list::set(l, pos, value) })
}
