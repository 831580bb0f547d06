//! Waits for several jobs together.

use libc::time_t;

use crate::ffi::jsession::{self, drmaa2_jsession};
use crate::ffi::list::drmaa2_j_list;
use crate::ffi::{guard, job, list};
use crate::session::Timeout;

/// Wait until all of several jobs have started; one that has ended counts as well.
///
/// l: jobs of this session. timeout: at most so many seconds; DRMAA2_ZERO_TIME to look and return;
/// DRMAA2_INFINITE_TIME. Returns a new list of the same jobs in the same order, to be freed with
/// drmaa2_list_free. NULL on error: DRMAA2_TIMEOUT when the time is over, DRMAA2_INVALID_ARGUMENT if l
/// is NULL, empty or holds a job of another session, if a job is reaped meanwhile, or for a time that is
/// none; DRMAA2_INVALID_SESSION also if the session is closed or destroyed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_wait_all_started(
    js: drmaa2_jsession,
    l: drmaa2_j_list,
    timeout: time_t,
) -> drmaa2_j_list {
    guard::pointer(|| {
        let session = jsession::open(js)?;
        // SAFETY: NULL or a list, as the header asks.
        let jobs = unsafe { jsession::jobs(l) }?;
        let started = session.wait_all_started(&jobs, Timeout::from_time_t(timeout)?)?;
        list::of_blocks(started.iter().map(job::handle))
    })
}

/// Wait until all of several jobs have ended.
///
/// Arguments, result and errors: as drmaa2_jsession_wait_all_started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_wait_all_terminated(
    js: drmaa2_jsession,
    l: drmaa2_j_list,
    timeout: time_t,
) -> drmaa2_j_list {
    guard::pointer(|| {
        let session = jsession::open(js)?;
        // SAFETY: NULL or a list, as the header asks.
        let jobs = unsafe { jsession::jobs(l) }?;
        let ended = session.wait_all_terminated(&jobs, Timeout::from_time_t(timeout)?)?;
        list::of_blocks(ended.iter().map(job::handle))
    })
}
