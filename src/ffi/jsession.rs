//! Job sessions.

use std::ffi::c_longlong;
use std::ptr;
use std::sync::Arc;

use libc::time_t;

use crate::model::{Error, Result};
use crate::session::{Behalf, Bulk, JobRef, JobSession, Timeout};

use super::handles::JOB_SESSIONS;
use super::jarray::drmaa2_jarray;
use super::jinfo::drmaa2_jinfo;
use super::job::{drmaa2_j, drmaa2_j_s};
use super::jtemplate::drmaa2_jtemplate;
use super::list::{drmaa2_j_list, drmaa2_string_list};
use super::mem::{self, Block, Owned, null};
use super::types::drmaa2_string;
use super::{guard, jarray, jinfo, job, jtemplate, list};

/// A job session. Only the library makes these; the members are for reading.
#[repr(C)]
pub struct drmaa2_jsession_s {
    /// The contact string it was created with, or NULL.
    pub contact: drmaa2_string,
    /// Its name.
    pub name: drmaa2_string,
}
/// A job session; free it with drmaa2_jsession_free.
pub type drmaa2_jsession = *mut drmaa2_jsession_s;

/// Free the handle of a job session and set *js to NULL. An open session is closed; nothing else
/// happens to it, and nothing at all if js or *js is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_free(js: *mut drmaa2_jsession) {
    guard::quiet((), || {
        // SAFETY: NULL or a variable, as the header asks.
        let mut handle = unsafe { mem::take(js) };
        if JOB_SESSIONS.remove(handle).is_none() {
            return;
        }
        // SAFETY: a handle of ours that nobody can use any more.
        unsafe { mem::free(&raw mut handle) };
    });
}

/// Get the contact string a session was created with (GFD.231, JobSession).
///
/// Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS if there was
/// none. DRMAA2_INVALID_SESSION if js is NULL, closed or destroyed, as for all functions of job
/// sessions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_get_contact(js: drmaa2_jsession) -> drmaa2_string {
    guard::pointer(|| mem::optional_string(open(js)?.contact()))
}

/// Get the name of a session (GFD.231, JobSession).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_get_session_name(js: drmaa2_jsession) -> drmaa2_string {
    guard::pointer(|| mem::string(open(js)?.name()))
}

/// Get the names that jobCategory of a job template may have (GFD.231, JobSession).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_get_job_categories(js: drmaa2_jsession) -> drmaa2_string_list {
    guard::pointer(|| list::of_strings(open(js)?.job_categories()?))
}

/// Get the jobs of a session that match a filter, in the order of their submission (GFD.231,
/// JobSession).
///
/// filter: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free.
/// NULL on error: DRMAA2_INVALID_ARGUMENT if the filter makes no sense.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_get_jobs(
    js: drmaa2_jsession,
    filter: drmaa2_jinfo,
) -> drmaa2_j_list {
    guard::pointer(|| {
        let session = open(js)?;
        // SAFETY: NULL or an info, as the header asks.
        let filter = unsafe { jinfo::filter(filter) }?;
        list::of_blocks(session.jobs(filter.as_ref())?.iter().map(job::handle))
    })
}

/// Get a job array of a session by its id (GFD.231, JobSession).
///
/// Returns a handle to be freed with drmaa2_jarray_free. NULL on error: DRMAA2_INVALID_ARGUMENT if
/// jobarray_id is NULL or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_get_job_array(
    js: drmaa2_jsession,
    jobarray_id: drmaa2_string,
) -> drmaa2_jarray {
    guard::pointer(|| {
        let session = open(js)?;
        // SAFETY: NULL or a string, as the header asks.
        let id = unsafe { mem::name("job array id", jobarray_id) }?;
        let array = session.job_array(id)?;
        let jobs = array.jobs()?;
        let ja = jarray::handle(&array, || list::of_blocks(jobs.iter().map(job::handle)))?;
        Ok(ja.into_raw())
    })
}

/// Submit a job (GFD.231, JobSession). Returns once it is in the queue; it may be waiting, running or
/// have failed by then.
///
/// jt: what it is to do; copied. Returns a handle to be freed with drmaa2_j_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if jt is NULL or something in it makes no sense,
/// DRMAA2_UNSUPPORTED_ATTRIBUTE if it sets what is not supported, DRMAA2_DENIED_BY_DRMS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_run_job(js: drmaa2_jsession, jt: drmaa2_jtemplate) -> drmaa2_j {
    guard::pointer(|| {
        let session = open(js)?;
        // SAFETY: NULL or a template, as the header asks.
        let template = unsafe { jtemplate::read(jt) }?;
        Ok(job::handle(&session.run_job(template)?)?.into_raw())
    })
}

/// Submit a job array: one job for each of the indices begin_index, begin_index + step, ... up to
/// end_index (GFD.231, JobSession).
///
/// jt: what each job is to do; copied. max_parallel: at most so many jobs at a time, all of them if
/// it is not positive. Each job finds its index in the environment variable whose name is the value
/// of DRMAA_INDEX_VAR; $DRMAA2_INDEX$ stands for it in paths. Returns a handle to be freed with
/// drmaa2_jarray_free. NULL on error, and then nothing is submitted: as drmaa2_jsession_run_job;
/// DRMAA2_INVALID_ARGUMENT also if begin_index < 1, end_index < begin_index, step < 1, or if these are
/// more than 100000 jobs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_run_bulk_jobs(
    js: drmaa2_jsession,
    jt: drmaa2_jtemplate,
    begin_index: c_longlong,
    end_index: c_longlong,
    step: c_longlong,
    max_parallel: c_longlong,
) -> drmaa2_jarray {
    guard::pointer(|| {
        let session = open(js)?;
        // SAFETY: NULL or a template, as the header asks.
        let template = unsafe { jtemplate::read(jt) }?;
        let bulk = Bulk { begin: begin_index, end: end_index, step, max_parallel };
        jarray::submit(&session, &Behalf::Himself, &template, bulk)
    })
}

/// Wait until one of several jobs has started; one that has ended counts as well (GFD.231,
/// JobSession).
///
/// l: jobs of this session. timeout: at most so many seconds; DRMAA2_ZERO_TIME to look and return;
/// DRMAA2_INFINITE_TIME. Returns a new handle of such a job, to be freed with drmaa2_j_free. NULL
/// on error: DRMAA2_TIMEOUT when the time is over, DRMAA2_INVALID_ARGUMENT if l is NULL, empty or
/// holds a job of another session, or for a time that is none; DRMAA2_INVALID_SESSION also if the
/// session is closed or destroyed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_wait_any_started(
    js: drmaa2_jsession,
    l: drmaa2_j_list,
    timeout: time_t,
) -> drmaa2_j {
    guard::pointer(|| {
        let session = open(js)?;
        // SAFETY: NULL or a list, as the header asks.
        let jobs = unsafe { jobs(l) }?;
        let started = session.wait_any_started(&jobs, Timeout::from_time_t(timeout)?)?;
        Ok(job::handle(&started)?.into_raw())
    })
}

/// Wait until one of several jobs has ended (GFD.231, JobSession).
///
/// Arguments, result and errors: as drmaa2_jsession_wait_any_started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_wait_any_terminated(
    js: drmaa2_jsession,
    l: drmaa2_j_list,
    timeout: time_t,
) -> drmaa2_j {
    guard::pointer(|| {
        let session = open(js)?;
        // SAFETY: NULL or a list, as the header asks.
        let jobs = unsafe { jobs(l) }?;
        let ended = session.wait_any_terminated(&jobs, Timeout::from_time_t(timeout)?)?;
        Ok(job::handle(&ended)?.into_raw())
    })
}

impl Block for drmaa2_jsession_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the handle's own.
        unsafe {
            mem::free_string(&raw mut (*this).contact);
            mem::free_string(&raw mut (*this).name);
        }
    }
}

/// A handle for a session that was just opened.
pub(super) fn handle(session: Arc<JobSession>) -> Result<drmaa2_jsession> {
    let unset = drmaa2_jsession_s { contact: ptr::null_mut(), name: ptr::null_mut() };
    let mut js = Owned::new(unset)?;
    js.contact = mem::optional_string(session.contact())?;
    js.name = mem::string(session.name())?;
    let js = js.into_raw();
    JOB_SESSIONS.add(js, session);
    Ok(js)
}

/// The session behind a handle, if it is open and not destroyed.
pub(super) fn open(js: drmaa2_jsession) -> Result<Arc<JobSession>> {
    let session = JOB_SESSIONS.get(js)?;
    session.check_open()?;
    Ok(session)
}

/// The jobs in a caller's list.
///
/// # Safety
/// `l` is NULL or a list that no other thread changes now.
pub(super) unsafe fn jobs(l: drmaa2_j_list) -> Result<Vec<JobRef>> {
    if l.is_null() {
        return Err(null("list of jobs"));
    }
    // SAFETY: a list, as the header asks.
    let jobs = unsafe { list::blocks::<drmaa2_j_s>(l) }?;
    let jobs = jobs.ok_or_else(|| Error::argument("the list is not one of jobs"))?;
    if jobs.is_empty() {
        return Err(Error::argument("the list of jobs is empty"));
    }
    // SAFETY: the elements of a list of jobs are jobs.
    jobs.into_iter().map(|j| unsafe { job::get(j) }).collect()
}
