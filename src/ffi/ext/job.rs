//! Jobs and job arrays: ends that do not wait, and ends of many at once.

use crate::ffi::enums::drmaa2_error;
use crate::ffi::guard;
use crate::ffi::jarray::{self, drmaa2_jarray};
use crate::ffi::job::{self, drmaa2_j};
use crate::model::Control;

/// End a job at once, without asking it and without a time to end by itself. Returns once that is
/// accepted.
///
/// A job that runs is killed with all its processes, so its info says SIGKILL, and its stageOutFiles
/// are not copied. One that waits, or whose image is being pulled, does not start.
/// DRMAA2_INVALID_STATE if it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_terminate_forced(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { job::get(j) }?.control(Control::Kill))
}

/// End all jobs of the job array that a job belongs to, as drmaa2_jarray_terminate does. Returns once
/// that is accepted.
///
/// A job that is in no array is ended alone, as drmaa2_j_terminate does. DRMAA2_INVALID_STATE if all of
/// them have ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_terminate_all(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { job::get(j) }?.control_all(Control::Terminate))
}

/// End all jobs of the job array that a job belongs to at once, each as drmaa2_j_terminate_forced does.
/// Returns once that is accepted.
///
/// A job that is in no array is ended alone. DRMAA2_INVALID_STATE if all of them have ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_terminate_forced_all(j: drmaa2_j) -> drmaa2_error {
    // SAFETY: a job, or NULL.
    guard::status(|| unsafe { job::get(j) }?.control_all(Control::Kill))
}

/// End the jobs of a job array that have not ended: another name of drmaa2_jarray_terminate.
///
/// Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_terminate_all(ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: a job array, or NULL.
    guard::status(|| unsafe { jarray::get(ja) }?.control(Control::Terminate))
}
