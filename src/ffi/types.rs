//! Scalars, callbacks and opaque handles that several families share.

use std::ffi::{c_char, c_void};

use libc::time_t;

use super::dict::drmaa2_dict_s;
use super::infos::drmaa2_notification;
use super::list::drmaa2_list_s;

/// The value of a time that is not set: DRMAA2_UNSET_TIME of the header.
///
/// cbindgen:ignore
pub(super) const UNSET_TIME: time_t = -3;

/// A NUL-terminated string made by malloc. Its owner frees it with drmaa2_string_free or free.
pub type drmaa2_string = *mut c_char;

/// A list of pointers, of one kind.
pub type drmaa2_list = *mut drmaa2_list_s;
/// A list of char *, type DRMAA2_STRINGLIST.
pub type drmaa2_string_list = drmaa2_list;
/// A list of drmaa2_j, type DRMAA2_JOBLIST.
pub type drmaa2_j_list = drmaa2_list;
/// A list of drmaa2_queueinfo, type DRMAA2_QUEUEINFOLIST.
pub type drmaa2_queueinfo_list = drmaa2_list;
/// A list of drmaa2_machineinfo, type DRMAA2_MACHINEINFOLIST.
pub type drmaa2_machineinfo_list = drmaa2_list;
/// A list of drmaa2_slotinfo, type DRMAA2_SLOTINFOLIST.
pub type drmaa2_slotinfo_list = drmaa2_list;
/// A list of drmaa2_r, type DRMAA2_RESERVATIONLIST.
pub type drmaa2_r_list = drmaa2_list;

/// A dictionary of strings.
pub type drmaa2_dict = *mut drmaa2_dict_s;

/// Releases an element that a list lets go of. It gets the address of a variable that holds the
/// element, so that functions shaped like drmaa2_string_free fit.
pub type drmaa2_list_entryfree = Option<unsafe extern "C" fn(value: *mut *mut c_void)>;

/// Releases a key and a value that a dictionary lets go of. It gets the addresses of variables
/// that hold them; the key is NULL when only the value is replaced.
pub type drmaa2_dict_entryfree =
    Option<unsafe extern "C" fn(key: *mut *mut c_char, val: *mut *mut c_char)>;

/// Takes a notification, which is the callee's from then on: free it with
/// drmaa2_notification_free.
pub type drmaa2_callback = Option<unsafe extern "C" fn(notification: *mut drmaa2_notification)>;
