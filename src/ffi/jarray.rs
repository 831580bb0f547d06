//! Job arrays. As with jobs, a handle is a value.

use crate::model::{Error, Result};

use super::enums::drmaa2_error;
use super::jtemplate::drmaa2_jtemplate;
use super::mem::{self, Block, null};
use super::types::{drmaa2_j_list, drmaa2_string};
use super::{guard, list};

/// Which job array is meant. A caller may build one of an id and a session name of its own.
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
    guard::pointer(|| mem::string(unsafe { id(ja) }?))
}

/// Get the jobs of a job array, in the order of their indices (GFD.231, JobArray).
///
/// Returns a list to be freed with drmaa2_list_free. NULL on error:
/// DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_jobs(ja: drmaa2_jarray) -> drmaa2_j_list {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| Err(unsafe { unsupported(ja) }))
}

/// Get the name of the session of a job array (GFD.231, JobArray).
///
/// Returns a copy to be freed with drmaa2_string_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_session_name(ja: drmaa2_jarray) -> drmaa2_string {
    guard::pointer(|| {
        // SAFETY: a job array, or NULL.
        let session = unsafe {
            id(ja)?;
            mem::optional_name("session of the job array", (*ja).session_name)?
        };
        mem::optional_string(session)
    })
}

/// Get the template a job array was submitted with (GFD.231, JobArray).
///
/// Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error:
/// DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_jtemplate(ja: drmaa2_jarray) -> drmaa2_jtemplate {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| Err(unsafe { unsupported(ja) }))
}

/// Suspend the running jobs of a job array (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE if there are none; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_suspend(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| Err(unsafe { unsupported(ja) }))
}

/// Resume the suspended jobs of a job array (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE if there are none; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_resume(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| Err(unsafe { unsupported(ja) }))
}

/// Keep the waiting jobs of a job array from starting (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE if there are none; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_hold(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| Err(unsafe { unsupported(ja) }))
}

/// Let the held jobs of a job array start (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE if there are none; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_release(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| Err(unsafe { unsupported(ja) }))
}

/// End the jobs of a job array that have not ended (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE if there are none; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_terminate(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| Err(unsafe { unsupported(ja) }))
}

/// Forget a job array whose jobs have all ended (GFD.231, JobArray).
///
/// DRMAA2_INVALID_STATE if one of them has not; DRMAA2_UNSUPPORTED_OPERATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_reap(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| Err(unsafe { unsupported(ja) }))
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

/// Which job array does a caller mean?
unsafe fn id<'a>(ja: drmaa2_jarray) -> Result<&'a str> {
    if ja.is_null() {
        return Err(null("job array"));
    }
    // SAFETY: a handle, as the header asks.
    unsafe { mem::name("id of the job array", (*ja).id) }
}

/// The error for what this build cannot do with a job array, or for a handle that is none.
unsafe fn unsupported(ja: drmaa2_jarray) -> Error {
    // SAFETY: NULL or a handle, as the header asks.
    unsafe { id(ja) }.err().unwrap_or_else(|| Error::unsupported("a job array"))
}
