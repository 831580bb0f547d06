//! Other names of functions of the standard.

use crate::ffi::guard;
use crate::ffi::jarray::{self, drmaa2_jarray};
use crate::ffi::job::{self, drmaa2_j};
use crate::ffi::jtemplate::drmaa2_jtemplate;
use crate::ffi::reservation::{self, drmaa2_r};
use crate::ffi::rtemplate::drmaa2_rtemplate;

/// Get the template a job was submitted with: the earlier name of drmaa2_j_get_jtemplate.
///
/// Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_get_jt(j: drmaa2_j) -> drmaa2_jtemplate {
    // SAFETY: a job, or NULL.
    guard::pointer(|| unsafe { job::template(j) })
}

/// Get the template a job array was submitted with: the earlier name of drmaa2_jarray_get_jtemplate.
///
/// Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_get_job_template(ja: drmaa2_jarray) -> drmaa2_jtemplate {
    // SAFETY: a job array, or NULL.
    guard::pointer(|| unsafe { jarray::template(ja) })
}

/// Get the template a reservation was requested with: Grid Engine's name of
/// drmaa2_r_get_reservation_template.
///
/// Returns an equal copy to be freed with drmaa2_rtemplate_free. NULL on error: as
/// drmaa2_r_get_reservation_template.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_get_rtemplate(r: drmaa2_r) -> drmaa2_rtemplate {
    // SAFETY: a reservation, or NULL.
    guard::pointer(|| unsafe { reservation::template(r) })
}
