//! Job arrays. As with jobs, a handle is a value.

use std::ptr;

use crate::model::{Control, JobTemplate, Result};
use crate::session::{Behalf, Bulk, JobArray, JobSession, Tasks};

use super::enums::drmaa2_error;
use super::jtemplate::drmaa2_jtemplate;
use super::list::drmaa2_j_list;
use super::mem::{self, Block, Owned, null};
use super::types::drmaa2_string;
use super::{guard, job, jtemplate, list};

/// A handle of a job array. A caller may build one of an id and a session name of its own.
#[repr(C)]
pub struct drmaa2_jarray_s {
    /// The id of the array.
    pub id: drmaa2_string,
    /// The jobs of the array, or NULL. The library never reads it in a handle that it is given; it
    /// is freed with the handle.
    pub job_list: drmaa2_j_list,
    /// The session of the array.
    pub session_name: drmaa2_string,
}
/// A job array; free it with drmaa2_jarray_free.
pub type drmaa2_jarray = *mut drmaa2_jarray_s;

/// Free a job array handle with its id, its list of jobs and its session name and set *ja to NULL.
/// Nothing happens to the jobs, and nothing at all if ja or *ja is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_free(ja: *mut drmaa2_jarray) {
    // SAFETY: the caller hands over a job array handle.
    guard::quiet((), || unsafe { mem::free(ja) });
}

/// Get the id of a job array (GFD.231, JobArray).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if ja
/// or its id is NULL, as for all functions of job arrays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_id(ja: drmaa2_jarray) -> drmaa2_string {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| mem::string(unsafe { get(ja) }?.id))
}

/// Get the jobs of a job array, in the order of their indices (GFD.231, JobArray).
///
/// Returns a list to be freed with drmaa2_list_free; a job that is reaped is not in it. NULL on
/// error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_jobs(ja: drmaa2_jarray) -> drmaa2_j_list {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| list::of_blocks(unsafe { get(ja) }?.jobs()?.iter().map(job::handle)))
}

/// Get the name of the session of a job array (GFD.231, JobArray).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_session_name(ja: drmaa2_jarray) -> drmaa2_string {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| mem::optional_string(unsafe { get(ja) }?.session))
}

/// Get the template a job array was submitted with (GFD.231, JobArray).
///
/// Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_jtemplate(ja: drmaa2_jarray) -> drmaa2_jtemplate {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| unsafe { template(ja) })
}

/// Suspend the running jobs of a job array (GFD.231, JobArray).
///
/// Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_suspend(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { get(ja) }?.control(Control::Suspend))
}

/// Resume the suspended jobs of a job array (GFD.231, JobArray).
///
/// Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_resume(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { get(ja) }?.control(Control::Resume))
}

/// Keep the waiting jobs of a job array from starting (GFD.231, JobArray).
///
/// Each is held as by drmaa2_j_hold. DRMAA2_INVALID_STATE if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_hold(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { get(ja) }?.control(Control::Hold))
}

/// Let the held jobs of a job array start (GFD.231, JobArray).
///
/// Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_release(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { get(ja) }?.control(Control::Release))
}

/// End the jobs of a job array that have not ended (GFD.231, JobArray).
///
/// Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_terminate(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { get(ja) }?.control(Control::Terminate))
}

/// Forget a job array whose jobs have all ended (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE, and nothing is done, if one of them has not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_reap(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { get(ja) }?.reap())
}

impl Block for drmaa2_jarray_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the handle's own.
        unsafe {
            mem::free_string(&raw mut (*this).id);
            list::free(&raw mut (*this).job_list);
            mem::free_string(&raw mut (*this).session_name);
        }
    }
}

/// A handle for a caller, with a list of its jobs.
pub(super) fn handle(
    array: &JobArray,
    job_list: impl FnOnce() -> Result<drmaa2_j_list>,
) -> Result<Owned<drmaa2_jarray_s>> {
    let unset = drmaa2_jarray_s {
        id: ptr::null_mut(),
        job_list: ptr::null_mut(),
        session_name: ptr::null_mut(),
    };
    let mut ja = Owned::new(unset)?;
    ja.id = mem::string(&array.id)?;
    ja.session_name = mem::optional_string(array.session.as_ref())?;
    ja.job_list = job_list()?;
    Ok(ja)
}

/// Submit a job array for a user. Returns its handle.
pub(super) fn submit(
    session: &JobSession,
    behalf: &Behalf,
    template: &JobTemplate,
    bulk: Bulk,
) -> Result<drmaa2_jarray> {
    let new = session.new_array();
    let tasks = Tasks::new(&new.array, template, bulk)?;
    // Thousands of handles would take as long as the submission: each is made when somebody asks for it. The list comes
    // before the submission, which cannot be undone.
    let jobs = move || list::of_unmade(tasks.count(), move |place| job::handle(&tasks.job(place)));
    let ja = handle(&new.array, jobs)?;
    session.run_array(&new, behalf, template, bulk)?;
    Ok(ja.into_raw())
}

/// The template that a job array was submitted with, for a caller.
///
/// # Safety
/// As [`get`].
pub(super) unsafe fn template(ja: drmaa2_jarray) -> Result<drmaa2_jtemplate> {
    // SAFETY: the caller's promise.
    let template = unsafe { get(ja) }?.template()?;
    Ok(jtemplate::write(&template)?.into_raw())
}

/// The job array of a caller's handle.
///
/// # Safety
/// `ja` is NULL or leads to an id and a session name; its list is not read.
pub(super) unsafe fn get(ja: drmaa2_jarray) -> Result<JobArray> {
    if ja.is_null() {
        return Err(null("job array"));
    }
    // SAFETY: the caller's promise.
    let (id, session) = unsafe {
        (
            mem::name("id of the job array", (*ja).id)?,
            mem::optional_name("session of the job array", (*ja).session_name)?,
        )
    };
    Ok(JobArray { id: id.to_owned(), session: session.map(str::to_owned) })
}
