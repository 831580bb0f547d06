//! Reservation sessions and reservations, which this build does not have: NULL is refused as
//! everywhere, all else is DRMAA2_UNSUPPORTED_OPERATION.

use crate::model::{Error, Result};

use super::enums::drmaa2_error;
use super::guard;
use super::infos::drmaa2_rinfo;
use super::mem::{self, Block, null};
use super::rtemplate::drmaa2_rtemplate;
use super::types::{drmaa2_r_list, drmaa2_string};

/// A reservation session. Only the library makes these; the members are for reading.
#[repr(C)]
pub struct drmaa2_rsession_s {
    /// The contact string it was created with, or NULL.
    pub contact: drmaa2_string,
    /// Its name.
    pub name: drmaa2_string,
}
/// A reservation session; free it with drmaa2_rsession_free.
pub type drmaa2_rsession = *mut drmaa2_rsession_s;

/// Which reservation is meant. A caller may build one of an id and a session name of its own.
#[repr(C)]
pub struct drmaa2_r_s {
    /// The id of the reservation.
    pub id: drmaa2_string,
    /// The session of the reservation.
    pub session_name: drmaa2_string,
}
/// A reservation; free it with drmaa2_r_free.
pub type drmaa2_r = *mut drmaa2_r_s;

/// Free the handle of a reservation session and set *rs to NULL. Nothing happens if rs or *rs is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_free(rs: *mut drmaa2_rsession) {
    guard::quiet((), || {
        // No handle of this kind was ever made: whatever it is, it is not ours to free.
        // SAFETY: NULL or a variable, as the header asks.
        let _ = unsafe { mem::take(rs) };
    });
}

/// Free a reservation handle with its id and session name and set *r to NULL. Nothing happens to
/// the reservation, and nothing at all if r or *r is NULL.
///
/// A handle that a caller has built is freed likewise: its id, its session name and the handle
/// must come from malloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_free(r: *mut drmaa2_r) {
    // SAFETY: the caller hands over a reservation handle.
    guard::quiet((), || unsafe { mem::free(r) });
}

/// Get the contact string a reservation session was created with (GFD.231, ReservationSession).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_SESSION if rs
/// is NULL, as for all functions of reservation sessions; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_contact(rs: drmaa2_rsession) -> drmaa2_string {
    guard::pointer(|| Err(session(rs)))
}

/// Get the name of a reservation session (GFD.231, ReservationSession).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_session_name(rs: drmaa2_rsession) -> drmaa2_string {
    guard::pointer(|| Err(session(rs)))
}

/// Get a reservation of a session by its id (GFD.231, ReservationSession).
///
/// Returns a handle to be freed with drmaa2_r_free. NULL on error: DRMAA2_INVALID_ARGUMENT if
/// reservation_id is NULL or unknown; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_reservation(
    rs: drmaa2_rsession,
    reservation_id: drmaa2_string,
) -> drmaa2_r {
    guard::pointer(|| Err(with_argument(rs, "reservation id", reservation_id)))
}

/// Reserve resources (GFD.231, ReservationSession).
///
/// rt: what is wanted; copied. Returns a handle to be freed with drmaa2_r_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if rt is NULL or something in it makes no sense or cannot be had;
/// DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_request_reservation(
    rs: drmaa2_rsession,
    rt: drmaa2_rtemplate,
) -> drmaa2_r {
    guard::pointer(|| Err(with_argument(rs, "reservation template", rt)))
}

/// Get the reservations of a session (GFD.231, ReservationSession).
///
/// Returns a list to be freed with drmaa2_list_free. NULL on error: DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_reservations(rs: drmaa2_rsession) -> drmaa2_r_list {
    guard::pointer(|| Err(session(rs)))
}

/// Get the id of a reservation (GFD.231, Reservation).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if r
/// or its id is NULL, as for all functions of reservations; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_id(r: drmaa2_r) -> drmaa2_string {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| Err(unsafe { reservation(r) }))
}

/// Get the name of the session of a reservation (GFD.231, Reservation).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_session_name(r: drmaa2_r) -> drmaa2_string {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| Err(unsafe { reservation(r) }))
}

/// Get the template a reservation was requested with (GFD.231, Reservation).
///
/// Returns an equal copy to be freed with drmaa2_rtemplate_free. NULL on error:
/// DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_reservation_template(r: drmaa2_r) -> drmaa2_rtemplate {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| Err(unsafe { reservation(r) }))
}

/// Get what is known of a reservation now (GFD.231, Reservation).
///
/// Returns a snapshot to be freed with drmaa2_rinfo_free. NULL on error:
/// DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_info(r: drmaa2_r) -> drmaa2_rinfo {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| Err(unsafe { reservation(r) }))
}

/// Give a reservation up (GFD.231, Reservation).
///
/// DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_terminate(r: drmaa2_r) -> drmaa2_error {
    // SAFETY: a reservation, or NULL.
    guard::status(|| Err(unsafe { reservation(r) }))
}

impl Block for drmaa2_r_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the handle's own.
        unsafe {
            mem::free_string(&raw mut (*this).id);
            mem::free_string(&raw mut (*this).session_name);
        }
    }
}

pub(super) fn unsupported() -> Error {
    Error::unsupported("a reservation")
}

/// The error for a call on a reservation session.
pub(super) fn session(rs: drmaa2_rsession) -> Error {
    if rs.is_null() { Error::session("reservation session is NULL") } else { unsupported() }
}

/// The error for a call on a reservation session with an argument that must not be NULL.
fn with_argument<T>(rs: drmaa2_rsession, what: &str, argument: *const T) -> Error {
    if !rs.is_null() && argument.is_null() { null(what) } else { session(rs) }
}

/// The error for a call on a reservation.
unsafe fn reservation(r: drmaa2_r) -> Error {
    let id = || -> Result<&str> {
        if r.is_null() {
            return Err(null("reservation"));
        }
        // SAFETY: a handle, as the header asks.
        unsafe { mem::name("id of the reservation", (*r).id) }
    };
    id().err().unwrap_or_else(unsupported)
}
