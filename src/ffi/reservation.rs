//! Reservations. A handle is a value, as that of a job: one that a caller has built is valid as well.

use std::ffi::c_void;
use std::ptr;

use crate::model::Result;
use crate::session::{self, ReservationRef};

use super::enums::{ListType, drmaa2_error};
use super::infos::drmaa2_rinfo;
use super::list::Listed;
use super::mem::{self, Block, Owned, null};
use super::rtemplate::drmaa2_rtemplate;
use super::types::drmaa2_string;
use super::{guard, infos, rtemplate};

/// A handle of a reservation. A caller may build one of an id and a session name of its own.
#[repr(C)]
pub struct drmaa2_r_s {
    /// The id of the reservation.
    pub id: drmaa2_string,
    /// The session of the reservation.
    pub session_name: drmaa2_string,
}
/// A reservation; free it with drmaa2_r_free.
pub type drmaa2_r = *mut drmaa2_r_s;

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

/// Get the id of a reservation (GFD.231, Reservation).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if r
/// or its id is NULL, as for all functions of reservations.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_id(r: drmaa2_r) -> drmaa2_string {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| mem::string(unsafe { get(r) }?.id))
}

/// Get the name of the session of a reservation (GFD.231, Reservation).
///
/// Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS if the handle
/// has none. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_session_name(r: drmaa2_r) -> drmaa2_string {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| mem::optional_string(unsafe { get(r) }?.session))
}

/// Get the template a reservation was requested with (GFD.231, Reservation).
///
/// Returns an equal copy to be freed with drmaa2_rtemplate_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if there is no such reservation in its session; DRMAA2_INVALID_SESSION
/// if this process has neither that session nor a monitoring session open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_reservation_template(r: drmaa2_r) -> drmaa2_rtemplate {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| unsafe { template(r) })
}

/// Get what is known of a reservation, which may be over (GFD.231, Reservation).
///
/// Returns a snapshot to be freed with drmaa2_rinfo_free. NULL on error: as
/// drmaa2_r_get_reservation_template.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_info(r: drmaa2_r) -> drmaa2_rinfo {
    guard::pointer(|| {
        // SAFETY: a reservation, or NULL.
        let info = unsafe { get(r) }?.info()?;
        Ok(infos::rinfo(&info, session::compat()?)?.into_raw())
    })
}

/// Give a reservation up (GFD.231, Reservation). It is over then, and so are the jobs in it.
///
/// DRMAA2_INVALID_STATE if it is over already; else as drmaa2_r_get_reservation_template.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_terminate(r: drmaa2_r) -> drmaa2_error {
    // SAFETY: a reservation, or NULL.
    guard::status(|| unsafe { get(r) }?.terminate())
}

/// Free a reservation handle as drmaa2_r_free does; for lists of reservations.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_list_default_callback(value: *mut *mut c_void) {
    // SAFETY: the caller hands over a reservation handle.
    guard::quiet((), || unsafe { mem::free::<drmaa2_r_s>(value.cast()) });
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

impl Listed for drmaa2_r_s {
    const KIND: ListType = ListType::DRMAA2_RESERVATIONLIST;
    const RELEASE: unsafe extern "C" fn(*mut *mut c_void) = drmaa2_r_list_default_callback;
}

/// A handle for a caller.
pub(super) fn handle(reservation: &ReservationRef) -> Result<Owned<drmaa2_r_s>> {
    let mut r = Owned::new(drmaa2_r_s { id: ptr::null_mut(), session_name: ptr::null_mut() })?;
    r.id = mem::string(&reservation.id)?;
    r.session_name = mem::optional_string(reservation.session.as_ref())?;
    Ok(r)
}

/// The template that a reservation was requested with, for a caller.
///
/// # Safety
/// As [`get`].
pub(super) unsafe fn template(r: drmaa2_r) -> Result<drmaa2_rtemplate> {
    // SAFETY: the caller's promise.
    let template = unsafe { get(r) }?.template()?;
    Ok(rtemplate::write(&template)?.into_raw())
}

/// The reservation of a caller's handle.
///
/// # Safety
/// `r` is NULL or leads to an id and a session name; nothing behind them is read.
pub(super) unsafe fn get(r: drmaa2_r) -> Result<ReservationRef> {
    if r.is_null() {
        return Err(null("reservation"));
    }
    // SAFETY: the caller's promise.
    let (id, session) = unsafe {
        (
            mem::name("id of the reservation", (*r).id)?,
            mem::optional_name("session of the reservation", (*r).session_name)?,
        )
    };
    Ok(ReservationRef { id: id.to_owned(), session: session.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_which_reservation_is_meant() {
        for session in [None, Some("s".to_owned())] {
            let reservation = ReservationRef { id: "01r".into(), session };
            let mut r = handle(&reservation).unwrap().into_raw();
            // SAFETY: just made.
            unsafe {
                assert_eq!(get(r), Ok(reservation));
                drmaa2_r_free(&raw mut r);
            }
            assert!(r.is_null());
        }
    }
}
