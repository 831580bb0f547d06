//! The session manager: what the system is and can, and how sessions come and go.

use std::ffi::c_char;

use crate::session::{self, JobSession, MonitoringSession, ReservationSession};

use super::enums::{FALSE, TRUE, drmaa2_bool, drmaa2_capability, drmaa2_error};
use super::handles::{JOB_SESSIONS, MONITORING_SESSIONS, RESERVATION_SESSIONS};
use super::infos::drmaa2_version;
use super::jsession::drmaa2_jsession;
use super::list::drmaa2_string_list;
use super::msession::drmaa2_msession;
use super::rsession::drmaa2_rsession;
use super::types::drmaa2_string;
use super::{guard, infos, jsession, list, mem, msession, rsession};

/// Get the name of the DRM system (GFD.231, SessionManager).
///
/// Returns a copy to be freed with drmaa2_string_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_drms_name() -> drmaa2_string {
    guard::pointer(|| mem::string(session::drms_name()?))
}

/// Get the version of the DRM system (GFD.231, SessionManager).
///
/// Returns a version to be freed with drmaa2_version_free. NULL on error:
/// DRMAA2_DRM_COMMUNICATION if the system does not answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_drms_version() -> drmaa2_version {
    guard::pointer(|| Ok(infos::version(&session::drms_version()?)?.into_raw()))
}

/// Get the name of this library (GFD.231, SessionManager).
///
/// Returns a copy to be freed with drmaa2_string_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_drmaa_name() -> drmaa2_string {
    guard::pointer(|| mem::string(session::DRMAA_NAME))
}

/// Get the version of DRMAA and of this library (GFD.231, SessionManager).
///
/// The major part is "2", for DRMAA2; the minor part is the version of this library, such as "1.0.0".
/// Returns a version to be freed with drmaa2_version_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_drmaa_version() -> drmaa2_version {
    guard::pointer(|| Ok(infos::version(&session::drmaa_version())?.into_raw()))
}

/// Is an optional feature there (GFD.231, SessionManager)?
///
/// Returns DRMAA2_TRUE or DRMAA2_FALSE, which is also the answer for a number that is no
/// capability.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_supports(c: drmaa2_capability) -> drmaa2_bool {
    guard::value(FALSE, || Ok(if session::supports(c) { TRUE } else { FALSE }))
}

/// Create a job session, store it and open it (GFD.231, SessionManager).
///
/// session_name: a name that no job session of the user has; NULL for a new one. contact: which DRM
/// system to use; NULL for the default. Returns a handle to be freed with drmaa2_jsession_free.
/// NULL on error: DRMAA2_INVALID_ARGUMENT if the name is taken or is no name, or the contact is
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_create_jsession(
    session_name: *const c_char,
    contact: *const c_char,
) -> drmaa2_jsession {
    guard::pointer(|| {
        // SAFETY: NULL or strings, as the header asks.
        let (name, contact) = unsafe {
            (mem::optional_name("session name", session_name)?, mem::optional_name("contact", contact)?)
        };
        jsession::handle(JobSession::create(name, contact)?)
    })
}

/// Create a reservation session, store it and open it (GFD.231, SessionManager).
///
/// session_name: a name that no reservation session of the user has, though a job session may have
/// it; NULL for a new one. contact: which DRM system to use; NULL for the default. Returns a handle
/// to be freed with drmaa2_rsession_free. NULL on error: DRMAA2_INVALID_ARGUMENT if the name is
/// taken or is no name, or the contact is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_create_rsession(
    session_name: *const c_char,
    contact: *const c_char,
) -> drmaa2_rsession {
    guard::pointer(|| {
        // SAFETY: NULL or strings, as the header asks.
        let (name, contact) = unsafe {
            (mem::optional_name("session name", session_name)?, mem::optional_name("contact", contact)?)
        };
        rsession::handle(ReservationSession::create(name, contact)?)
    })
}

/// Open a job session that was created before, by any process of the user (GFD.231,
/// SessionManager).
///
/// Returns a handle of its own, to be freed with drmaa2_jsession_free, also if the session is open
/// already. NULL on error: DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_open_jsession(session_name: *const c_char) -> drmaa2_jsession {
    guard::pointer(|| {
        // SAFETY: NULL or a string, as the header asks.
        let name = unsafe { mem::name("session name", session_name) }?;
        jsession::handle(JobSession::open(name)?)
    })
}

/// Open a reservation session that was created before, by any process of the user (GFD.231,
/// SessionManager).
///
/// Returns a handle of its own, to be freed with drmaa2_rsession_free, also if the session is open
/// already. NULL on error: DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_open_rsession(session_name: *const c_char) -> drmaa2_rsession {
    guard::pointer(|| {
        // SAFETY: NULL or a string, as the header asks.
        let name = unsafe { mem::name("session name", session_name) }?;
        rsession::handle(ReservationSession::open(name)?)
    })
}

/// Open a monitoring session: a view of the whole system (GFD.231, SessionManager).
///
/// session_name: any; it has no meaning. Returns a handle to be freed with drmaa2_msession_free.
/// NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_open_msession(session_name: *const c_char) -> drmaa2_msession {
    guard::pointer(|| {
        // SAFETY: NULL or a string, as the header asks.
        let name = unsafe { mem::bytes(session_name) };
        msession::handle(MonitoringSession::open()?, name)
    })
}

/// Close a job session (GFD.231, SessionManager). It stays stored, and its jobs go on; the handle
/// is still to be freed, and for nothing else. Returns when what this process was starting or cleaning
/// up is done; where no agent may be started (DRMAA2_AGENT=off), also not before every job that was
/// submitted through it has started, but for those that are held or whose time has not come.
///
/// DRMAA2_INVALID_SESSION if js is NULL, closed or destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_close_jsession(js: drmaa2_jsession) -> drmaa2_error {
    guard::status(|| JOB_SESSIONS.get(js)?.close())
}

/// Close a reservation session (GFD.231, SessionManager). It stays stored, and its reservations stay
/// in force; the handle is still to be freed, and for nothing else.
///
/// DRMAA2_INVALID_SESSION if rs is NULL, closed or destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_close_rsession(rs: drmaa2_rsession) -> drmaa2_error {
    guard::status(|| RESERVATION_SESSIONS.get(rs)?.close())
}

/// Close a monitoring session (GFD.231, SessionManager). The handle is still to be freed, and for
/// nothing else.
///
/// DRMAA2_INVALID_SESSION if ms is NULL or closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_close_msession(ms: drmaa2_msession) -> drmaa2_error {
    guard::status(|| MONITORING_SESSIONS.get(ms)?.close())
}

/// Remove a job session from the store (GFD.231, SessionManager). Its running jobs go on; handles
/// of it are of no use any more, and still to be freed.
///
/// DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_destroy_jsession(session_name: *const c_char) -> drmaa2_error {
    // SAFETY: NULL or a string, as the header asks.
    guard::status(|| JobSession::destroy(unsafe { mem::name("session name", session_name) }?))
}

/// Remove a reservation session from the store (GFD.231, SessionManager). Its reservations stay in
/// force until they are over; handles of it are of no use any more, and still to be freed.
///
/// DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_destroy_rsession(session_name: *const c_char) -> drmaa2_error {
    // SAFETY: NULL or a string, as the header asks.
    guard::status(|| ReservationSession::destroy(unsafe { mem::name("session name", session_name) }?))
}

/// Get the names of the job sessions that drmaa2_open_jsession opens (GFD.231, SessionManager).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_jsession_names() -> drmaa2_string_list {
    guard::pointer(|| list::of_strings(JobSession::names()?))
}

/// Get the names of the reservation sessions that drmaa2_open_rsession opens (GFD.231,
/// SessionManager).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_rsession_names() -> drmaa2_string_list {
    guard::pointer(|| list::of_strings(ReservationSession::names()?))
}
