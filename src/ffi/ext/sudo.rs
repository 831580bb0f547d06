//! Calls on behalf of another user.

use std::ffi::{c_char, c_long, c_longlong};

use crate::ffi::enums::{FALSE, UNSET, drmaa2_bool, drmaa2_error};
use crate::ffi::guard;
use crate::ffi::jarray::{self, drmaa2_jarray};
use crate::ffi::job::{self, drmaa2_j};
use crate::ffi::jsession::{self, drmaa2_jsession};
use crate::ffi::jtemplate::{self, drmaa2_jtemplate};
use crate::ffi::mem;
use crate::ffi::reservation::{self, drmaa2_r};
use crate::ffi::rsession::{self, drmaa2_rsession};
use crate::ffi::rtemplate::{self, drmaa2_rtemplate};
use crate::model::{Control, Error, Result};
use crate::session::{
    Behalf, Bulk, JobArray, JobRef, JobSession, ReservationRef, ReservationSession, Sudo,
};

/// Length of a name, including its NUL.
const NAME: usize = 128;

/// A user on whose behalf a function is called, by his name, his number or both.
///
/// A record in which nobody is named means the calling user, and so does one that names that user, and so
/// does NULL: the function is the same then as the one without _as. Root may name every user of the
/// system's user database. Whoever else names another user gets DRMAA2_DENIED_BY_DRMS.
///
/// A job that root submits on behalf of a user is that user's: he is its jobOwner, and it runs with his
/// user id, his group and the supplementary groups of the user database, and with the umask of the calling
/// process. What it names on the host is opened with his rights, what is made there is his, and he may ask
/// for no more than in a job of his own; nor for one without an init (containerd_jt_init).
///
/// Anything that root controls, gives up or destroys on behalf of a user has to be that user's; else
/// DRMAA2_DENIED_BY_DRMS.
///
/// DRMAA2_INVALID_ARGUMENT if a name has no end, there is no such user or group, or name and number are
/// those of two.
#[repr(C)]
pub struct drmaa2_sudo_s {
    /// The name of the user, or "".
    pub username: [c_char; 128],
    /// The name of a group that he is in, to be his in the place of his own one, or "". For the calling
    /// user himself there is none but that of his process. DRMAA2_DENIED_BY_DRMS for any other.
    pub groupname: [c_char; 128],
    /// The number of the user, or -1.
    pub uid: c_long,
    /// The number of the group, or -1.
    pub gid: c_long,
}
/// Another name of the struct, which programs for Grid Engine use.
pub type drmaa2_sudo_t = drmaa2_sudo_s;
/// A user on whose behalf a function is called. Programs make these.
pub type drmaa2_sudo = *mut drmaa2_sudo_s;

/// Create a job session for a user and open it: as drmaa2_create_jsession.
///
/// It is stored with those of the caller, and its name is one of theirs. Jobs that are submitted through
/// it are those of who submits them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_create_jsession_as(
    sudo: drmaa2_sudo,
    session_name: *const c_char,
    contact: *const c_char,
) -> drmaa2_jsession {
    guard::pointer(|| {
        // SAFETY: NULL, a record or strings, as the header asks.
        let (behalf, name, contact) = unsafe {
            (
                behalf(sudo)?,
                mem::optional_name("session name", session_name)?,
                mem::optional_name("contact", contact)?,
            )
        };
        jsession::handle(JobSession::create_as(&behalf, name, contact)?)
    })
}

/// Create a reservation session for a user and open it: as drmaa2_create_rsession.
///
/// It is stored with those of the caller, and its name is one of theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_create_rsession_as(
    sudo: drmaa2_sudo,
    session_name: *const c_char,
    contact: *const c_char,
) -> drmaa2_rsession {
    guard::pointer(|| {
        // SAFETY: NULL, a record or strings, as the header asks.
        let (behalf, name, contact) = unsafe {
            (
                behalf(sudo)?,
                mem::optional_name("session name", session_name)?,
                mem::optional_name("contact", contact)?,
            )
        };
        rsession::handle(ReservationSession::create_as(&behalf, name, contact)?)
    })
}

/// Remove a job session of a user from the store: as drmaa2_destroy_jsession.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_destroy_jsession_as(
    sudo: drmaa2_sudo,
    session_name: *const c_char,
) -> drmaa2_error {
    guard::status(|| {
        // SAFETY: NULL, a record or a string, as the header asks.
        let (behalf, name) = unsafe { (behalf(sudo)?, mem::name("session name", session_name)?) };
        JobSession::destroy_as(&behalf, name)
    })
}

/// Remove a reservation session of a user from the store: as drmaa2_destroy_rsession.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_destroy_rsession_as(
    sudo: drmaa2_sudo,
    session_name: *const c_char,
) -> drmaa2_error {
    guard::status(|| {
        // SAFETY: NULL, a record or a string, as the header asks.
        let (behalf, name) = unsafe { (behalf(sudo)?, mem::name("session name", session_name)?) };
        ReservationSession::destroy_as(&behalf, name)
    })
}

/// Submit a job of a user: as drmaa2_jsession_run_job. The session may be anybody's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_run_job_as(
    sudo: drmaa2_sudo,
    js: drmaa2_jsession,
    jt: drmaa2_jtemplate,
) -> drmaa2_j {
    guard::pointer(|| {
        // SAFETY: NULL or a record, as the header asks.
        let behalf = unsafe { behalf(sudo) }?;
        let session = jsession::open(js)?;
        // SAFETY: NULL or a template, as the header asks.
        let template = unsafe { jtemplate::read(jt) }?;
        Ok(job::handle(&session.run_job_as(&behalf, template)?)?.into_raw())
    })
}

/// Submit a job array of a user: as drmaa2_jsession_run_bulk_jobs. The session may be anybody's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jsession_run_bulk_jobs_as(
    sudo: drmaa2_sudo,
    js: drmaa2_jsession,
    jt: drmaa2_jtemplate,
    begin_index: c_longlong,
    end_index: c_longlong,
    step: c_longlong,
    max_parallel: c_longlong,
) -> drmaa2_jarray {
    guard::pointer(|| {
        // SAFETY: NULL or a record, as the header asks.
        let behalf = unsafe { behalf(sudo) }?;
        let session = jsession::open(js)?;
        // SAFETY: NULL or a template, as the header asks.
        let template = unsafe { jtemplate::read(jt) }?;
        let bulk = Bulk { begin: begin_index, end: end_index, step, max_parallel };
        jarray::submit(&session, &behalf, &template, bulk)
    })
}

/// Reserve slots and memory for a user: as drmaa2_rsession_request_reservation. Without usersACL it is
/// for him alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rsession_request_reservation_as(
    sudo: drmaa2_sudo,
    rs: drmaa2_rsession,
    rt: drmaa2_rtemplate,
) -> drmaa2_r {
    guard::pointer(|| {
        // SAFETY: NULL or a record, as the header asks.
        let behalf = unsafe { behalf(sudo) }?;
        let session = rsession::open(rs)?;
        // SAFETY: NULL or a template, as the header asks.
        let template = unsafe { rtemplate::read(rt) }?;
        Ok(reservation::handle(&session.request_as(&behalf, &template)?)?.into_raw())
    })
}

/// Give up a reservation of a user: as drmaa2_r_terminate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_r_terminate_as(sudo: drmaa2_sudo, r: drmaa2_r) -> drmaa2_error {
    // SAFETY: NULL, a record or a reservation.
    guard::status(|| unsafe { reservation_of(sudo, r) }?.terminate())
}

/// Suspend a running job of a user: as drmaa2_j_suspend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_suspend_as(sudo: drmaa2_sudo, j: drmaa2_j) -> drmaa2_error {
    // SAFETY: NULL, a record or a job.
    guard::status(|| unsafe { job_of(sudo, j) }?.control(Control::Suspend))
}

/// Resume a suspended job of a user: as drmaa2_j_resume.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_resume_as(sudo: drmaa2_sudo, j: drmaa2_j) -> drmaa2_error {
    // SAFETY: NULL, a record or a job.
    guard::status(|| unsafe { job_of(sudo, j) }?.control(Control::Resume))
}

/// Keep a waiting job of a user from starting: as drmaa2_j_hold.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_hold_as(sudo: drmaa2_sudo, j: drmaa2_j) -> drmaa2_error {
    // SAFETY: NULL, a record or a job.
    guard::status(|| unsafe { job_of(sudo, j) }?.control(Control::Hold))
}

/// Let a held job of a user start: as drmaa2_j_release.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_release_as(sudo: drmaa2_sudo, j: drmaa2_j) -> drmaa2_error {
    // SAFETY: NULL, a record or a job.
    guard::status(|| unsafe { job_of(sudo, j) }?.control(Control::Release))
}

/// End a job of a user: as drmaa2_j_terminate, or as drmaa2_j_terminate_forced if forced is not
/// DRMAA2_FALSE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_terminate_as(
    sudo: drmaa2_sudo,
    j: drmaa2_j,
    forced: drmaa2_bool,
) -> drmaa2_error {
    // SAFETY: NULL, a record or a job.
    guard::status(|| unsafe { job_of(sudo, j) }?.control(end(forced)))
}

/// End all jobs of the job array that a job of a user belongs to: as drmaa2_j_terminate_all, or as
/// drmaa2_j_terminate_forced_all if forced is not DRMAA2_FALSE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_j_terminate_all_as(
    sudo: drmaa2_sudo,
    j: drmaa2_j,
    forced: drmaa2_bool,
) -> drmaa2_error {
    // SAFETY: NULL, a record or a job.
    guard::status(|| unsafe { job_of(sudo, j) }?.control_all(end(forced)))
}

/// Suspend the running jobs of a job array, which is a user's: as drmaa2_jarray_suspend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_suspend_as(sudo: drmaa2_sudo, ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: NULL, a record or a job array.
    guard::status(|| unsafe { array_of(sudo, ja) }?.control(Control::Suspend))
}

/// Resume the suspended jobs of a job array, which is a user's: as drmaa2_jarray_resume.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_resume_as(sudo: drmaa2_sudo, ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: NULL, a record or a job array.
    guard::status(|| unsafe { array_of(sudo, ja) }?.control(Control::Resume))
}

/// Keep the waiting jobs of a job array from starting, which is a user's: as drmaa2_jarray_hold.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_hold_as(sudo: drmaa2_sudo, ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: NULL, a record or a job array.
    guard::status(|| unsafe { array_of(sudo, ja) }?.control(Control::Hold))
}

/// Let the held jobs of a job array start, which is a user's: as drmaa2_jarray_release.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_release_as(sudo: drmaa2_sudo, ja: drmaa2_jarray) -> drmaa2_error {
    // SAFETY: NULL, a record or a job array.
    guard::status(|| unsafe { array_of(sudo, ja) }?.control(Control::Release))
}

/// End the jobs of a job array that have not ended, which is a user's: as drmaa2_jarray_terminate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_terminate_as(
    sudo: drmaa2_sudo,
    ja: drmaa2_jarray,
) -> drmaa2_error {
    // SAFETY: NULL, a record or a job array.
    guard::status(|| unsafe { array_of(sudo, ja) }?.control(Control::Terminate))
}

/// End the jobs of a job array that have not ended: another name of drmaa2_jarray_terminate_as.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jarray_terminate_all_as(
    sudo: drmaa2_sudo,
    ja: drmaa2_jarray,
) -> drmaa2_error {
    // SAFETY: NULL, a record or a job array.
    guard::status(|| unsafe { array_of(sudo, ja) }?.control(Control::Terminate))
}

/// The requested end of a job.
fn end(forced: drmaa2_bool) -> Control {
    if forced == FALSE { Control::Terminate } else { Control::Kill }
}

/// The job, if it may be controlled on this behalf.
///
/// # Safety
/// As [`behalf`] and [`job::get`].
unsafe fn job_of(sudo: drmaa2_sudo, j: drmaa2_j) -> Result<JobRef> {
    // SAFETY: the caller's promise.
    let (behalf, job) = unsafe { (behalf(sudo)?, job::get(j)?) };
    job.on_behalf(&behalf)
}

/// The job array, if it may be controlled on this behalf.
///
/// # Safety
/// As [`behalf`] and [`jarray::get`].
unsafe fn array_of(sudo: drmaa2_sudo, ja: drmaa2_jarray) -> Result<JobArray> {
    // SAFETY: the caller's promise.
    let (behalf, array) = unsafe { (behalf(sudo)?, jarray::get(ja)?) };
    array.on_behalf(&behalf)
}

/// The reservation, if it may be terminated on this behalf.
///
/// # Safety
/// As [`behalf`] and [`reservation::get`].
unsafe fn reservation_of(sudo: drmaa2_sudo, r: drmaa2_r) -> Result<ReservationRef> {
    // SAFETY: the caller's promise.
    let (behalf, reservation) = unsafe { (behalf(sudo)?, reservation::get(r)?) };
    reservation.on_behalf(&behalf)
}

/// The user on whose behalf a caller acts; without a record, that is the calling user.
///
/// # Safety
/// `sudo` is NULL or a record.
unsafe fn behalf(sudo: drmaa2_sudo) -> Result<Behalf> {
    // SAFETY: the caller's promise.
    match unsafe { sudo.as_ref() } {
        Some(record) => Behalf::of(&named(record)?),
        None => Ok(Behalf::Himself),
    }
}

/// The set members of a record.
fn named(sudo: &drmaa2_sudo_s) -> Result<Sudo> {
    let number = |number: c_long| (number != c_long::from(UNSET)).then_some(number);
    Ok(Sudo {
        user: text("username", &sudo.username)?,
        group: text("groupname", &sudo.groupname)?,
        uid: number(sudo.uid),
        gid: number(sudo.gid),
    })
}

/// A name in a record; `None` if it is not set.
fn text(member: &str, name: &[c_char; NAME]) -> Result<Option<String>> {
    let bytes: Vec<u8> = name.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    let refuse = |cause: &str| {
        let name = bytes.escape_ascii();
        Err(Error::argument(format!("{member} \"{name}\" of the sudo record {cause}")))
    };
    match std::str::from_utf8(&bytes) {
        _ if bytes.len() == NAME => refuse("has no end within its 128 bytes"),
        Err(_) => refuse("is not UTF-8"),
        Ok("") => Ok(None),
        Ok(name) => Ok(Some(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;

    fn record(name: &[u8]) -> drmaa2_sudo_s {
        let mut sudo = drmaa2_sudo_s { username: [0; 128], groupname: [0; 128], uid: -1, gid: -1 };
        for (place, byte) in sudo.username.iter_mut().zip(name) {
            *place = *byte as c_char;
        }
        sudo
    }

    #[test]
    fn without_a_record_the_caller_is_meant() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { behalf(std::ptr::null_mut()) }, Ok(Behalf::Himself));
    }

    #[test]
    fn what_is_not_set_is_nobody() {
        assert_eq!(named(&record(b"")).unwrap(), Sudo::default());
        let mut sudo = record(b"alice\0rubbish");
        (sudo.uid, sudo.gid) = (0, 100);
        let expected = Sudo { user: Some("alice".into()), group: None, uid: Some(0), gid: Some(100) };
        assert_eq!(named(&sudo).unwrap(), expected);
    }

    #[test]
    fn a_name_without_an_end_is_no_name() {
        let long = named(&record(&[b'x'; 127])).unwrap();
        assert_eq!(long.user, Some("x".repeat(127)));
        for name in [&[b'x'; 128][..], b"\xff"] {
            let error = named(&record(name)).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.starts_with("username \""), "{error}");
        }
    }
}
