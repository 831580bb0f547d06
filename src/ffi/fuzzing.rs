//! Entries for fuzz targets beside the C interface: the way of structs to C and back.

use crate::model::{JobInfo, JobTemplate, ReservationInfo, ReservationTemplate, Result, now};
use crate::session::Compat;

use super::jtemplate::{self, drmaa2_jtemplate};
use super::rtemplate::{self, drmaa2_rtemplate_free};
use super::{infos, jinfo};

/// Read a template of a caller.
///
/// # Safety
/// `jt` is NULL or a template that no other thread changes now.
pub unsafe fn read(jt: drmaa2_jtemplate) -> Result<JobTemplate> {
    // SAFETY: the caller's promise.
    unsafe { jtemplate::read(jt) }
}

/// Write a template and read it again.
pub fn job_template(template: &JobTemplate) -> Result<JobTemplate> {
    let mut jt = jtemplate::write(template)?.into_raw();
    // SAFETY: just made.
    unsafe {
        let back = jtemplate::read(jt);
        jtemplate::drmaa2_jtemplate_free(&raw mut jt);
        back
    }
}

/// Write a reservation template and read it again.
pub fn reservation_template(template: &ReservationTemplate) -> Result<ReservationTemplate> {
    let mut rt = rtemplate::write(template)?.into_raw();
    // SAFETY: just made.
    unsafe {
        let back = rtemplate::read(rt);
        drmaa2_rtemplate_free(&raw mut rt);
        back
    }
}

/// Write the account of a job.
pub fn job_info(info: &JobInfo) -> Result<()> {
    jinfo::write(info, now(), Compat::Standard).map(drop)
}

/// Write a reservation.
pub fn reservation_info(info: &ReservationInfo) -> Result<()> {
    infos::rinfo(info, Compat::Standard).map(drop)
}
