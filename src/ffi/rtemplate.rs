//! Reservation templates.

use std::ffi::{c_int, c_longlong, c_void};
use std::ptr;

use libc::time_t;

use crate::model::{PRIORITY_UNSET_AGE, ReservationTemplate, Result, Text};

use super::enums::{UNSET, drmaa2_cpu, drmaa2_os};
use super::list::drmaa2_string_list;
use super::mem::{self, Block, Owned, null};
use super::types::{UNSET_TIME, drmaa2_string};
use super::{guard, list};

/// The description of a reservation (GFD.231, ReservationTemplate). Strings and lists are NULL when not
/// set; one that is empty counts as not set. Grid Engine's -99999 is no number either.
///
/// Of startTime, endTime and duration, two say when it is; all three must agree. Without startTime,
/// duration alone or with endTime stands for the earliest such window, which ends by endTime.
#[repr(C)]
pub struct drmaa2_rtemplate_s {
    /// A label.
    pub reservationName: drmaa2_string,
    /// Start time, seconds since the epoch; DRMAA2_NOW (DRMAA2_RT_STARTNOW);
    /// DRMAA2_UNSET_TIME is not set.
    pub startTime: time_t,
    /// Time of its end, seconds since the epoch; DRMAA2_UNSET_TIME is not set.
    pub endTime: time_t,
    /// Its duration, seconds; DRMAA2_UNSET_TIME is not set (DRMAA2_RT_DURATION).
    pub duration: time_t,
    /// At least so many slots; -1 is not set, for 1.
    pub minSlots: c_longlong,
    /// At most so many slots; -1 is not set, for minSlots.
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
/// The description of a reservation; free it with drmaa2_rtemplate_free.
pub type drmaa2_rtemplate = *mut drmaa2_rtemplate_s;

/// Create a reservation template in which nothing is set.
///
/// Returns a template to be freed with drmaa2_rtemplate_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rtemplate_create() -> drmaa2_rtemplate {
    guard::pointer(|| Ok(Owned::new(drmaa2_rtemplate_s::unset())?.into_raw()))
}

/// Free a reservation template with its strings and lists and set *rt to NULL. Nothing happens if
/// rt or *rt is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rtemplate_free(rt: *mut drmaa2_rtemplate) {
    // SAFETY: the caller hands over a template.
    guard::quiet((), || unsafe { mem::free(rt) });
}

impl drmaa2_rtemplate_s {
    /// Nothing is set.
    fn unset() -> Self {
        Self {
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
        }
    }
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

/// Copy a caller's template.
///
/// # Safety
/// `rt` is NULL or a template that no other thread changes now.
pub(super) unsafe fn read(rt: drmaa2_rtemplate) -> Result<ReservationTemplate> {
    // SAFETY: the caller's promise.
    let rt = unsafe { rt.as_ref() }.ok_or_else(|| null("reservation template"))?;
    // SAFETY: the caller's promise: members are NULL or what their types say.
    let text = |member: drmaa2_string| unsafe { mem::bytes(member) }.map(Text::from);
    // SAFETY: the same.
    let texts = |name, member: drmaa2_string_list| unsafe { list::texts(name, member) };
    let number = |member: c_longlong| {
        (member != c_longlong::from(UNSET) && member != PRIORITY_UNSET_AGE).then_some(member)
    };
    let member_of_enum = |member: c_int| (member != UNSET).then_some(member);
    let time = |member: time_t| (member != UNSET_TIME).then_some(member);
    Ok(ReservationTemplate {
        reservation_name: text(rt.reservationName),
        start_time: time(rt.startTime),
        end_time: time(rt.endTime),
        duration: time(rt.duration),
        min_slots: number(rt.minSlots),
        max_slots: number(rt.maxSlots),
        job_category: text(rt.jobCategory),
        users: texts("usersACL", rt.usersACL)?,
        candidate_machines: texts("candidateMachines", rt.candidateMachines)?,
        min_phys_memory: number(rt.minPhysMemory),
        machine_os: member_of_enum(rt.machineOS),
        machine_arch: member_of_enum(rt.machineArch),
    })
}

/// A template for a caller, equal to the one that was read.
pub(super) fn write(template: &ReservationTemplate) -> Result<Owned<drmaa2_rtemplate_s>> {
    let text = |text: &Option<Text>| mem::optional_string(text.as_ref().map(Text::as_bytes));
    let texts = |texts: &Option<Vec<Text>>| match texts {
        Some(texts) => list::of_strings(texts.iter().map(Text::as_bytes)),
        None => Ok(ptr::null_mut()),
    };
    let number = |number: Option<i64>| number.unwrap_or(UNSET.into());
    let mut rt = Owned::new(drmaa2_rtemplate_s {
        startTime: template.start_time.unwrap_or(UNSET_TIME),
        endTime: template.end_time.unwrap_or(UNSET_TIME),
        duration: template.duration.unwrap_or(UNSET_TIME),
        minSlots: number(template.min_slots),
        maxSlots: number(template.max_slots),
        minPhysMemory: number(template.min_phys_memory),
        machineOS: template.machine_os.unwrap_or(UNSET),
        machineArch: template.machine_arch.unwrap_or(UNSET),
        ..drmaa2_rtemplate_s::unset()
    })?;
    // One by one into the block, which frees them all if one of them fails.
    rt.reservationName = text(&template.reservation_name)?;
    rt.jobCategory = text(&template.job_category)?;
    rt.usersACL = texts(&template.users)?;
    rt.candidateMachines = texts(&template.candidate_machines)?;
    Ok(rt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(template: &ReservationTemplate) -> ReservationTemplate {
        let mut rt = write(template).unwrap().into_raw();
        // SAFETY: just made.
        let back = unsafe { read(rt) }.unwrap();
        // SAFETY: just made.
        unsafe { drmaa2_rtemplate_free(&raw mut rt) };
        assert!(rt.is_null());
        back
    }

    #[test]
    fn a_new_template_has_nothing_set() {
        assert_eq!(there_and_back(&ReservationTemplate::default()), ReservationTemplate::default());
    }

    #[test]
    fn every_attribute_survives_the_way_to_c_and_back() {
        let texts = |texts: &[&str]| Some(texts.iter().map(|text| Text::from(*text)).collect());
        let template = ReservationTemplate {
            reservation_name: Some("name".into()),
            start_time: Some(-2),
            end_time: Some(5_000_000_000),
            duration: Some(60),
            min_slots: Some(2),
            max_slots: Some(3),
            job_category: Some("".into()),
            users: texts(&["a", "b"]),
            candidate_machines: texts(&[]),
            min_phys_memory: Some(4),
            machine_os: Some(3),
            machine_arch: Some(99),
        };
        assert_eq!(there_and_back(&template), template);
    }

    #[test]
    fn both_values_that_stand_for_no_number_are_read_so() {
        for unset in [-1, PRIORITY_UNSET_AGE] {
            let mut rt = drmaa2_rtemplate_s {
                minSlots: unset,
                maxSlots: unset,
                minPhysMemory: unset,
                ..drmaa2_rtemplate_s::unset()
            };
            // SAFETY: a template on the stack.
            assert_eq!(unsafe { read(&raw mut rt) }.unwrap(), ReservationTemplate::default());
        }
    }
}
