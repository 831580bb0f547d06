//! Reservation templates.

use std::ffi::{c_longlong, c_void};
use std::ptr;

use libc::time_t;

use super::enums::{UNSET, drmaa2_cpu, drmaa2_os};
use super::mem::{self, Block, Owned};
use super::types::{UNSET_TIME, drmaa2_string, drmaa2_string_list};
use super::{guard, list};

/// What a reservation is to be (GFD.231, ReservationTemplate). Strings and lists are NULL when not
/// set.
#[repr(C)]
pub struct drmaa2_rtemplate_s {
    /// A label.
    pub reservationName: drmaa2_string,
    /// When it begins, seconds since the epoch; DRMAA2_NOW (DRMAA2_RT_STARTNOW);
    /// DRMAA2_UNSET_TIME is not set.
    pub startTime: time_t,
    /// When it ends, seconds since the epoch; DRMAA2_UNSET_TIME is not set.
    pub endTime: time_t,
    /// How long it lasts, seconds; DRMAA2_UNSET_TIME is not set (DRMAA2_RT_DURATION).
    pub duration: time_t,
    /// At least so many slots; -1 is not set.
    pub minSlots: c_longlong,
    /// At most so many slots; -1 is not set.
    pub maxSlots: c_longlong,
    /// The category of the jobs to come.
    pub jobCategory: drmaa2_string,
    /// The users that may use it; NULL for its owner alone.
    pub usersACL: drmaa2_string_list,
    /// The machines it may be on, by their names.
    pub candidateMachines: drmaa2_string_list,
    /// At least so much physical memory, kilobytes; -1 is not set.
    pub minPhysMemory: c_longlong,
    /// The operating system wanted (DRMAA2_RT_MACHINEOS); DRMAA2_UNSET_OS is not set.
    pub machineOS: drmaa2_os,
    /// The architecture wanted (DRMAA2_RT_MACHINEARCH); DRMAA2_UNSET_CPU is not set.
    pub machineArch: drmaa2_cpu,
    /// For the library; NULL in a template made without it.
    pub implementationSpecific: *mut c_void,
}
/// What a reservation is to be; free it with drmaa2_rtemplate_free.
pub type drmaa2_rtemplate = *mut drmaa2_rtemplate_s;

/// Create a reservation template in which nothing is set.
///
/// Returns a template to be freed with drmaa2_rtemplate_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rtemplate_create() -> drmaa2_rtemplate {
    guard::pointer(|| {
        let unset = drmaa2_rtemplate_s {
            reservationName: ptr::null_mut(),
            startTime: UNSET_TIME,
            endTime: UNSET_TIME,
            duration: UNSET_TIME,
            minSlots: UNSET.into(),
            maxSlots: UNSET.into(),
            jobCategory: ptr::null_mut(),
            usersACL: ptr::null_mut(),
            candidateMachines: ptr::null_mut(),
            minPhysMemory: UNSET.into(),
            machineOS: UNSET,
            machineArch: UNSET,
            implementationSpecific: ptr::null_mut(),
        };
        Ok(Owned::new(unset)?.into_raw())
    })
}

/// Free a reservation template with its strings and lists and set *rt to NULL. Nothing happens if
/// rt or *rt is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rtemplate_free(rt: *mut drmaa2_rtemplate) {
    // SAFETY: the caller hands over a template.
    guard::quiet((), || unsafe { mem::free(rt) });
}

impl Block for drmaa2_rtemplate_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            mem::free_string(&raw mut (*this).reservationName);
            mem::free_string(&raw mut (*this).jobCategory);
            list::free(&raw mut (*this).usersACL);
            list::free(&raw mut (*this).candidateMachines);
        }
    }
}
