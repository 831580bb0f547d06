//! Reservation sessions.

use std::ptr;
use std::sync::Arc;

use crate::model::Result;
use crate::session::ReservationSession;

use super::handles::RESERVATION_SESSIONS;
use super::list::drmaa2_r_list;
use super::mem::{self, Block, Owned};
use super::reservation::drmaa2_r;
use super::rtemplate::drmaa2_rtemplate;
use super::types::drmaa2_string;
use super::{guard, list, reservation, rtemplate};

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

/// Free the handle of a reservation session and set *rs to NULL. An open session is closed; nothing
/// else happens to it, and nothing at all if rs or *rs is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_free(rs: *mut drmaa2_rsession) {
    guard::quiet((), || {
        // SAFETY: NULL or a variable, as the header asks.
        let mut handle = unsafe { mem::take(rs) };
        if RESERVATION_SESSIONS.remove(handle).is_none() {
            return;
        }
        // SAFETY: a handle of ours that nobody can use any more.
        unsafe { mem::free(&raw mut handle) };
    });
}

/// Get the contact string a reservation session was created with (GFD.231, ReservationSession).
///
/// Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS if there was
/// none. DRMAA2_INVALID_SESSION if rs is NULL, closed or destroyed, as for all functions of
/// reservation sessions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_contact(rs: drmaa2_rsession) -> drmaa2_string {
    guard::pointer(|| mem::optional_string(open(rs)?.contact()))
}

/// Get the name of a reservation session (GFD.231, ReservationSession).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_session_name(rs: drmaa2_rsession) -> drmaa2_string {
    guard::pointer(|| mem::string(open(rs)?.name()))
}

/// Get a reservation of a session by its id, also one that is over (GFD.231, ReservationSession).
///
/// Returns a handle to be freed with drmaa2_r_free. NULL on error: DRMAA2_INVALID_ARGUMENT if
/// reservation_id is NULL or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_reservation(
    rs: drmaa2_rsession,
    reservation_id: drmaa2_string,
) -> drmaa2_r {
    guard::pointer(|| {
        let session = open(rs)?;
        // SAFETY: NULL or a string, as the header asks.
        let id = unsafe { mem::name("reservation id", reservation_id) }?;
        Ok(reservation::handle(&session.reservation(id)?)?.into_raw())
    })
}

/// Reserve slots and memory for a time (GFD.231, ReservationSession).
///
/// rt: what is wanted; copied. Returns a handle to be freed with drmaa2_r_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if rt is NULL or something in it makes no sense or cannot be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_request_reservation(
    rs: drmaa2_rsession,
    rt: drmaa2_rtemplate,
) -> drmaa2_r {
    guard::pointer(|| {
        let session = open(rs)?;
        // SAFETY: NULL or a template, as the header asks.
        let template = unsafe { rtemplate::read(rt) }?;
        Ok(reservation::handle(&session.request(&template)?)?.into_raw())
    })
}

/// Get the reservations of a session that are not over, in the order in which they were made
/// (GFD.231, ReservationSession).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_get_reservations(rs: drmaa2_rsession) -> drmaa2_r_list {
    guard::pointer(|| list::of_blocks(open(rs)?.reservations()?.iter().map(reservation::handle)))
}

impl Block for drmaa2_rsession_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the handle's own.
        unsafe {
            mem::free_string(&raw mut (*this).contact);
            mem::free_string(&raw mut (*this).name);
        }
    }
}

/// A handle for a session that was just opened.
pub(super) fn handle(session: Arc<ReservationSession>) -> Result<drmaa2_rsession> {
    let unset = drmaa2_rsession_s { contact: ptr::null_mut(), name: ptr::null_mut() };
    let mut rs = Owned::new(unset)?;
    rs.contact = mem::optional_string(session.contact())?;
    rs.name = mem::string(session.name())?;
    let rs = rs.into_raw();
    RESERVATION_SESSIONS.add(rs, session);
    Ok(rs)
}

/// The session behind a handle, if it is open and not destroyed.
pub(super) fn open(rs: drmaa2_rsession) -> Result<Arc<ReservationSession>> {
    let session = RESERVATION_SESSIONS.get(rs)?;
    session.check_open()?;
    Ok(session)
}
