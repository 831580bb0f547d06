//! Monitoring sessions.

use std::ptr;
use std::sync::Arc;

use crate::model::Result;
use crate::session::{self, MonitoringSession};

use super::handles::MONITORING_SESSIONS;
use super::jinfo::drmaa2_jinfo;
use super::list::{
    drmaa2_j_list, drmaa2_machineinfo_list, drmaa2_queueinfo_list, drmaa2_r_list, drmaa2_string_list,
};
use super::mem::{self, Block, Owned};
use super::types::drmaa2_string;
use super::{guard, infos, jinfo, job, list, reservation};

/// A monitoring session. Only the library makes these; the member is for reading.
#[repr(C)]
pub struct drmaa2_msession_s {
    /// The name it was opened with, or NULL.
    pub name: drmaa2_string,
}
/// A monitoring session; free it with drmaa2_msession_free.
pub type drmaa2_msession = *mut drmaa2_msession_s;

/// Free the handle of a monitoring session and set *ms to NULL. An open session is closed. Nothing
/// happens if ms or *ms is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_msession_free(ms: *mut drmaa2_msession) {
    guard::quiet((), || {
        // SAFETY: NULL or a variable, as the header asks.
        let mut handle = unsafe { mem::take(ms) };
        if MONITORING_SESSIONS.remove(handle).is_none() {
            return;
        }
        // SAFETY: a handle of ours that nobody can use any more.
        unsafe { mem::free(&raw mut handle) };
    });
}

/// Get all reservations that the user may see and that are not over, in the order in which they
/// were made (GFD.231, MonitoringSession).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error:
/// DRMAA2_INVALID_SESSION if ms is NULL or closed, as for all functions of monitoring sessions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_msession_get_all_reservations(ms: drmaa2_msession) -> drmaa2_r_list {
    guard::pointer(|| {
        let reservations = MONITORING_SESSIONS.get(ms)?.reservations()?;
        list::of_blocks(reservations.iter().map(reservation::handle))
    })
}

/// Get all jobs that the user may see and that match a filter, of every session and of none
/// (GFD.231, MonitoringSession).
///
/// filter: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free.
/// NULL on error: DRMAA2_INVALID_ARGUMENT if the filter makes no sense.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_msession_get_all_jobs(
    ms: drmaa2_msession,
    filter: drmaa2_jinfo,
) -> drmaa2_j_list {
    guard::pointer(|| {
        let session = MONITORING_SESSIONS.get(ms)?;
        // SAFETY: NULL or an info, as the header asks.
        let filter = unsafe { jinfo::filter(filter) }?;
        list::of_blocks(session.jobs(filter.as_ref())?.iter().map(job::handle))
    })
}

/// Get all queues, or those of the given names that there are (GFD.231, MonitoringSession).
///
/// names: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL
/// on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_msession_get_all_queues(
    ms: drmaa2_msession,
    names: drmaa2_string_list,
) -> drmaa2_queueinfo_list {
    guard::pointer(|| {
        let session = MONITORING_SESSIONS.get(ms)?;
        // SAFETY: NULL or a list, as the header asks.
        let names = unsafe { list::names("list of queues", names) }?;
        list::of_blocks(session.queues(names.as_deref())?.iter().map(infos::queueinfo))
    })
}

/// Get all machines, or those of the given names that there are (GFD.231, MonitoringSession).
///
/// names: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL
/// on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_msession_get_all_machines(
    ms: drmaa2_msession,
    names: drmaa2_string_list,
) -> drmaa2_machineinfo_list {
    guard::pointer(|| {
        let session = MONITORING_SESSIONS.get(ms)?;
        // SAFETY: NULL or a list, as the header asks.
        let names = unsafe { list::names("list of machines", names) }?;
        let (machines, compat) = (session.machines(names.as_deref())?, session::compat()?);
        list::of_blocks(machines.iter().map(|machine| infos::machineinfo(machine, compat)))
    })
}

impl Block for drmaa2_msession_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the member is the handle's own.
        unsafe { mem::free_string(&raw mut (*this).name) };
    }
}

/// A handle for a session that was just opened, with the name that the caller gave.
pub(super) fn handle(session: Arc<MonitoringSession>, name: Option<&[u8]>) -> Result<drmaa2_msession> {
    let mut ms = Owned::new(drmaa2_msession_s { name: ptr::null_mut() })?;
    ms.name = mem::optional_string(name)?;
    let ms = ms.into_raw();
    MONITORING_SESSIONS.add(ms, session);
    Ok(ms)
}
