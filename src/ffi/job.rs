//! Jobs. A handle is a value: it names a job and has no hidden part, so one that a caller has built is
//! valid as well.

use std::ffi::{c_int, c_void};
use std::ptr;

use libc::time_t;

use crate::model::{Control, Result, now};
use crate::session::{self, JobRef, Timeout};

use super::enums::{ListType, UNSET, drmaa2_error, drmaa2_jstate};
use super::jinfo::drmaa2_jinfo;
use super::jtemplate::drmaa2_jtemplate;
use super::list::Listed;
use super::mem::{self, Block, Owned, null};
use super::types::drmaa2_string;
use super::{guard, jinfo, jtemplate};

/// A handle of a job. A caller may build one of an id and a session name of its own.
#[repr(C)]
pub struct drmaa2_j_s {
    /// The id of the job.
    pub id: drmaa2_string,
    /// The session of the job; NULL for a job that was not made through DRMAA.
    pub session_name: drmaa2_string,
    /// The name its template gave it, or NULL. Part of the handle's own memory: not to be freed.
    /// The library never reads it in a handle that it is given.
    pub job_name: drmaa2_string,
}
/// A job; free it with drmaa2_j_free.
pub type drmaa2_j = *mut drmaa2_j_s;

/// Free a job handle with its id and session name and set *j to NULL. Nothing happens to the job,
/// and nothing at all if j or *j is NULL.
///
/// A handle that a caller has built is freed likewise: its id, its session name and the handle
/// must come from malloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_free(j: *mut drmaa2_j) {
    // SAFETY: the caller hands over a job handle.
    guard::quiet((), || unsafe { mem::free(j) });
}

/// Get the id of a job (GFD.231, Job).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if j
/// or its id is NULL, as for all functions of jobs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_get_id(j: drmaa2_j) -> drmaa2_string {
    // SAFETY: a job, or NULL.
    guard::pointer(|| mem::string(unsafe { get(j) }?.id))
}

/// Get the name of the session of a job (GFD.231, Job).
///
/// Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS for a job that
/// was not made through DRMAA.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_get_session_name(j: drmaa2_j) -> drmaa2_string {
    // SAFETY: a job, or NULL.
    guard::pointer(|| mem::optional_string(unsafe { get(j) }?.session))
}

/// Get the template a job was submitted with (GFD.231, Job).
///
/// Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_get_jtemplate(j: drmaa2_j) -> drmaa2_jtemplate {
    // SAFETY: a job, or NULL.
    guard::pointer(|| unsafe { template(j) })
}

/// Suspend a running job (GFD.231, Job). Returns once that is accepted.
///
/// DRMAA2_INVALID_STATE if it is not in DRMAA2_RUNNING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_suspend(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.control(Control::Suspend))
}

/// Resume a suspended job (GFD.231, Job). Returns once that is accepted.
///
/// DRMAA2_INVALID_STATE if it is not in DRMAA2_SUSPENDED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_resume(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.control(Control::Resume))
}

/// Keep a waiting job from starting (GFD.231, Job).
///
/// A job that is just being started is held if its command has not begun, and then does not. Else the call
/// returns DRMAA2_INVALID_STATE, as for every job that is not in DRMAA2_QUEUED or DRMAA2_REQUEUED, once the
/// state says so too. DRMAA2_TRY_LATER if the DRM system does not tell that in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_hold(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.control(Control::Hold))
}

/// Let a held job start (GFD.231, Job).
///
/// DRMAA2_INVALID_STATE if it is not in DRMAA2_QUEUED_HELD or DRMAA2_REQUEUED_HELD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_release(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.control(Control::Release))
}

/// End a job that is waiting or started (GFD.231, Job). Returns once that is accepted.
///
/// DRMAA2_INVALID_STATE if it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_terminate(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.control(Control::Terminate))
}

/// Forget a job that has ended (GFD.231, Job). From then on no function knows its id any more; the
/// handle is still to be freed.
///
/// DRMAA2_INVALID_STATE if it has not ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_reap(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.reap())
}

/// Get the state of a job (GFD.231, Job).
///
/// substate: if it is not NULL, *substate becomes a detail within the state, to be freed with
/// drmaa2_string_free, or NULL. Returns DRMAA2_UNSET_JSTATE on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_get_state(j: drmaa2_j, substate: *mut drmaa2_string) -> drmaa2_jstate {
    guard::value(UNSET, || {
        // Also on error, so that a caller that frees it in any case frees nothing.
        // SAFETY: NULL or a variable; its previous value belongs to the caller.
        let _ = unsafe { mem::take(substate) };
        // SAFETY: a job, or NULL.
        let (state, detail) = unsafe { get(j) }?.state()?;
        if !substate.is_null() {
            let detail = mem::optional_string(detail)?;
            // SAFETY: the caller's variable.
            unsafe { substate.write(detail) };
        }
        Ok(state as c_int)
    })
}

/// Get what is known of a job now (GFD.231, Job).
///
/// Returns a snapshot to be freed with drmaa2_jinfo_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_get_info(j: drmaa2_j) -> drmaa2_jinfo {
    guard::pointer(|| {
        // SAFETY: a job, or NULL.
        let info = unsafe { get(j) }?.info()?;
        Ok(jinfo::write(&info, now(), session::compat()?)?.into_raw())
    })
}

/// Wait until a job has started; one that has ended counts as well (GFD.231, Job).
///
/// timeout: at most so many seconds; DRMAA2_ZERO_TIME to look and return; DRMAA2_INFINITE_TIME.
/// DRMAA2_TIMEOUT when the time is over; DRMAA2_INVALID_ARGUMENT for a time that is none;
/// DRMAA2_INVALID_SESSION if its session is closed or destroyed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_wait_started(j: drmaa2_j, timeout: time_t) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.wait_started(Timeout::from_time_t(timeout)?))
}

/// Wait until a job has ended (GFD.231, Job).
///
/// timeout and errors: as drmaa2_j_wait_started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_wait_terminated(j: drmaa2_j, timeout: time_t) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { get(j) }?.wait_terminated(Timeout::from_time_t(timeout)?))
}

/// Free a job as drmaa2_j_free does; for lists of jobs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_list_default_callback(value: *mut *mut c_void) {
    // SAFETY: the caller hands over a job handle.
    guard::quiet((), || unsafe { mem::free::<drmaa2_j_s>(value.cast()) });
}

impl Block for drmaa2_j_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: both are the handle's own. job_name is not: in a handle of ours it is part of the
        // block, in one that a caller built it may be anything.
        unsafe {
            mem::free_string(&raw mut (*this).id);
            mem::free_string(&raw mut (*this).session_name);
        }
    }
}

impl Listed for drmaa2_j_s {
    const KIND: ListType = ListType::DRMAA2_JOBLIST;
    const RELEASE: unsafe extern "C" fn(*mut *mut c_void) = drmaa2_j_list_default_callback;
}

/// A handle for a caller.
pub(super) fn handle(job: &JobRef) -> Result<Owned<drmaa2_j_s>> {
    let unset =
        drmaa2_j_s { id: ptr::null_mut(), session_name: ptr::null_mut(), job_name: ptr::null_mut() };
    // The name is stored behind the handle, so that handles with and without one are freed alike.
    let mut j = Owned::with_text(unset, job.name.as_ref().map_or(b"", |name| name.as_bytes()))?;
    j.id = mem::string(&job.id)?;
    j.session_name = mem::optional_string(job.session.as_ref())?;
    if job.name.is_some() {
        j.job_name = j.text();
    }
    Ok(j)
}

/// The template that a job was submitted with, for a caller.
///
/// # Safety
/// As [`get`].
pub(super) unsafe fn template(j: drmaa2_j) -> Result<drmaa2_jtemplate> {
    // SAFETY: the caller's promise.
    let template = unsafe { get(j) }?.template()?;
    Ok(jtemplate::write(&template)?.into_raw())
}

/// The job of a caller's handle.
///
/// # Safety
/// `j` is NULL or leads to an id and a session name; nothing behind them is read.
pub(super) unsafe fn get(j: drmaa2_j) -> Result<JobRef> {
    if j.is_null() {
        return Err(null("job"));
    }
    // SAFETY: the caller's promise.
    let (id, session) = unsafe {
        (
            mem::name("id of the job", (*j).id)?,
            mem::optional_name("session of the job", (*j).session_name)?,
        )
    };
    Ok(JobRef { id: id.to_owned(), session: session.map(str::to_owned), name: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_which_job_is_meant() {
        for name in [None, Some("a name".to_owned()), Some(String::new())] {
            let job = JobRef { id: "01j".into(), session: Some("s".into()), name: name.clone() };
            let mut j = handle(&job).unwrap().into_raw();
            // SAFETY: just made.
            unsafe {
                assert_eq!(get(j), Ok(JobRef { name: None, ..job }));
                assert_eq!(mem::bytes((*j).job_name), name.as_ref().map(String::as_bytes));
                drmaa2_j_free(&raw mut j);
            }
            assert!(j.is_null());
        }
    }

    #[test]
    fn a_handle_without_an_id_means_no_job() {
        let mut j = drmaa2_j_s {
            id: ptr::null_mut(),
            session_name: ptr::null_mut(),
            job_name: ptr::dangling_mut(),
        };
        // SAFETY: a handle on the stack; its job_name is not looked at.
        unsafe {
            assert!(get(&raw mut j).unwrap_err().message.contains("id of the job is NULL"));
            assert!(get(ptr::null_mut()).is_err());
        }
    }
}
