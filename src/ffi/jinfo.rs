//! Job infos, as report and as filter.

use std::ffi::{c_int, c_longlong, c_void};
use std::ptr;

use libc::time_t;

use crate::model::{Error, JobFilter, JobInfo, JobState, Millis, Result, Text};
use crate::session::Compat;

use super::enums::{UNSET, drmaa2_jstate};
use super::infos::{self, drmaa2_slotinfo_s};
use super::list::drmaa2_slotinfo_list;
use super::mem::{self, Block, Owned};
use super::types::{UNSET_TIME, drmaa2_string};
use super::{dict, guard, list, values};

/// Information about a job; as an argument, a filter for jobs (GFD.231, JobInfo).
///
/// A filter lets a job through when all its members that are set match. A string is not set when
/// it is NULL or empty, a number or time when it is negative, a list when it is NULL or empty.
#[repr(C)]
pub struct drmaa2_jinfo_s {
    /// Its id. Filter: equal.
    pub jobId: drmaa2_string,
    /// The name its template gave it. Filter: equal.
    pub jobName: drmaa2_string,
    /// Its exit code, 128 + signal if a signal ended it; -1 before the end and if it never ran.
    /// Filter: equal.
    pub exitStatus: c_int,
    /// The signal that ended it, such as SIGKILL. Filter: equal.
    pub terminatingSignal: drmaa2_string,
    /// The reason for its state, for people. Filter: ignored.
    pub annotation: drmaa2_string,
    /// Its state. Filter: equal.
    pub jobState: drmaa2_jstate,
    /// Detail within the state, in words of this implementation. Filter: equal.
    pub jobSubState: drmaa2_string,
    /// Machines and slots in use. Filter: uses at least these machines; a list of strings with
    /// their names does as well.
    pub allocatedMachines: drmaa2_slotinfo_list,
    /// The host it was submitted from. Filter: equal.
    pub submissionMachine: drmaa2_string,
    /// The user it belongs to. Filter: equal.
    pub jobOwner: drmaa2_string,
    /// Slots in use. Filter: equal.
    pub slots: c_longlong,
    /// Its queue. Filter: equal.
    pub queueName: drmaa2_string,
    /// Seconds since it started, suspended time included. Filter: at least.
    pub wallclockTime: time_t,
    /// CPU seconds used. Filter: at least.
    pub cpuTime: c_longlong,
    /// Time of its submission, seconds since the epoch. Filter: then or later.
    pub submissionTime: time_t,
    /// Time of its first start, seconds since the epoch. Filter: then or later.
    pub dispatchTime: time_t,
    /// Time of its end, seconds since the epoch. Filter: then or later.
    pub finishTime: time_t,
    /// For the library; NULL in an info made without it.
    pub implementationSpecific: *mut c_void,
}
/// Information about a job; free it with drmaa2_jinfo_free.
pub type drmaa2_jinfo = *mut drmaa2_jinfo_s;

/// Create a job info in which nothing is set: a filter that lets every job through.
///
/// Returns an info to be freed with drmaa2_jinfo_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jinfo_create() -> drmaa2_jinfo {
    guard::pointer(|| Ok(Owned::new(drmaa2_jinfo_s::unset())?.into_raw()))
}

/// Free a job info with its strings and its list and set *ji to NULL. Nothing happens if ji or *ji
/// is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jinfo_free(ji: *mut drmaa2_jinfo) {
    // SAFETY: the caller hands over an info.
    guard::quiet((), || unsafe { mem::free(ji) });
}

impl drmaa2_jinfo_s {
    /// Nothing is set.
    fn unset() -> Self {
        Self {
            jobId: ptr::null_mut(),
            jobName: ptr::null_mut(),
            exitStatus: UNSET,
            terminatingSignal: ptr::null_mut(),
            annotation: ptr::null_mut(),
            jobState: UNSET,
            jobSubState: ptr::null_mut(),
            allocatedMachines: ptr::null_mut(),
            submissionMachine: ptr::null_mut(),
            jobOwner: ptr::null_mut(),
            slots: UNSET.into(),
            queueName: ptr::null_mut(),
            wallclockTime: UNSET_TIME,
            cpuTime: UNSET.into(),
            submissionTime: UNSET_TIME,
            dispatchTime: UNSET_TIME,
            finishTime: UNSET_TIME,
            implementationSpecific: ptr::null_mut(),
        }
    }
}

impl Block for drmaa2_jinfo_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            for string in [
                &raw mut (*this).jobId,
                &raw mut (*this).jobName,
                &raw mut (*this).terminatingSignal,
                &raw mut (*this).annotation,
                &raw mut (*this).jobSubState,
                &raw mut (*this).submissionMachine,
                &raw mut (*this).jobOwner,
                &raw mut (*this).queueName,
            ] {
                mem::free_string(string);
            }
            list::free(&raw mut (*this).allocatedMachines);
            dict::free((&raw mut (*this).implementationSpecific).cast());
        }
    }
}

/// A snapshot for a caller, with `now` as the end of a job that still runs.
pub(super) fn write(info: &JobInfo, now: Millis, compat: Compat) -> Result<Owned<drmaa2_jinfo_s>> {
    let text = |text: &Option<String>| mem::optional_string(text.as_ref());
    let time = |at: Option<Millis>| at.map_or(UNSET_TIME, |at| at.div_euclid(1000));
    let mut ji = Owned::new(drmaa2_jinfo_s {
        exitStatus: info.exit_status.unwrap_or(UNSET),
        jobState: info.state as drmaa2_jstate,
        slots: info.slots.unwrap_or(UNSET.into()),
        wallclockTime: info.wallclock_seconds(now).unwrap_or(UNSET_TIME),
        cpuTime: info.cpu_seconds().unwrap_or(UNSET.into()),
        submissionTime: time(info.submitted),
        dispatchTime: time(info.dispatched),
        finishTime: time(info.finished),
        ..drmaa2_jinfo_s::unset()
    })?;
    // One by one into the block, which frees them all if one of them fails.
    ji.jobId = mem::string(&info.id)?;
    ji.jobName = text(&info.name)?;
    ji.terminatingSignal = text(&info.terminating_signal)?;
    ji.annotation = text(&info.annotation)?;
    ji.jobSubState = text(&info.substate)?;
    ji.submissionMachine = text(&info.submission_machine)?;
    ji.jobOwner = text(&info.owner)?;
    ji.queueName = text(&info.queue)?;
    if !info.allocated_machines.is_empty() {
        ji.allocatedMachines = infos::machines(&info.allocated_machines, compat)?;
    }
    let extensions = info.extensions().into_iter();
    ji.implementationSpecific =
        values::member(extensions.map(|(name, value)| (name, Text::from(value))))?;
    Ok(ji)
}

/// A caller's filter; `None` for NULL.
///
/// # Safety
/// `ji` is NULL or an info that no other thread changes now. It need not be the library's.
pub(super) unsafe fn filter(ji: drmaa2_jinfo) -> Result<Option<JobFilter>> {
    // SAFETY: the caller's promise.
    let Some(ji) = (unsafe { ji.as_ref() }) else { return Ok(None) };
    let text = |what, member: drmaa2_string| {
        // SAFETY: the caller's promise: members are NULL or what their types say.
        let text = unsafe { mem::optional_name(what, member) }?;
        Ok::<_, Error>(text.filter(|text| !text.is_empty()).map(str::to_owned))
    };
    let number = |member: i64| (member >= 0).then_some(member);
    Ok(Some(JobFilter {
        job_id: text("jobId of the filter", ji.jobId)?,
        job_name: text("jobName of the filter", ji.jobName)?,
        exit_status: (ji.exitStatus >= 0).then_some(ji.exitStatus),
        terminating_signal: text("terminatingSignal of the filter", ji.terminatingSignal)?,
        state: state(ji.jobState)?,
        substate: text("jobSubState of the filter", ji.jobSubState)?,
        // SAFETY: the caller's promise.
        machines: unsafe { machines(ji.allocatedMachines) }?,
        submission_machine: text("submissionMachine of the filter", ji.submissionMachine)?,
        owner: text("jobOwner of the filter", ji.jobOwner)?,
        slots: number(ji.slots),
        queue: text("queueName of the filter", ji.queueName)?,
        wallclock: number(ji.wallclockTime),
        cpu_time: number(ji.cpuTime),
        submitted: number(ji.submissionTime),
        dispatched: number(ji.dispatchTime),
        finished: number(ji.finishTime),
        // SAFETY: NULL or a dictionary that `drmaa2_set_instance_value` has made.
        extensions: unsafe { values::values(ji.implementationSpecific) }?
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.to_string()))
            .collect(),
    }))
}

fn state(number: drmaa2_jstate) -> Result<Option<JobState>> {
    if number == UNSET {
        return Ok(None);
    }
    JobState::from_number(number)
        .map(Some)
        .ok_or_else(|| Error::argument(format!("jobState of the filter: {number} is no job state")))
}

/// The names of the machines. The standard has a list of slot infos here, Grid Engine's clients use
/// strings; a list knows its type.
unsafe fn machines(machines: drmaa2_slotinfo_list) -> Result<Vec<String>> {
    const WHAT: &str = "allocatedMachines of the filter";
    // SAFETY: NULL or a list, as the caller of `filter` promised.
    let Some(slots) = unsafe { list::blocks::<drmaa2_slotinfo_s>(machines) }? else {
        // SAFETY: the same.
        return Ok(unsafe { list::names(WHAT, machines) }?.unwrap_or_default());
    };
    // SAFETY: the same; the elements of such a list are slot infos.
    let name = |slot: *mut drmaa2_slotinfo_s| unsafe { mem::name(WHAT, (*slot).machineName) };
    slots.into_iter().map(|slot| name(slot).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::enums::ListType;
    use crate::ffi::list::{drmaa2_list_add, drmaa2_list_create, drmaa2_list_free};
    use crate::model::{ErrorCode, SlotInfo};

    fn filter_of(mut ji: drmaa2_jinfo_s) -> Result<Option<JobFilter>> {
        // SAFETY: an info on the stack.
        unsafe { filter(&raw mut ji) }
    }

    #[test]
    fn a_new_info_is_a_filter_for_everything() {
        assert_eq!(filter_of(drmaa2_jinfo_s::unset()), Ok(Some(JobFilter::default())));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { filter(ptr::null_mut()) }, Ok(None));
    }

    #[test]
    fn negative_numbers_and_empty_strings_are_not_set() {
        let ji = drmaa2_jinfo_s {
            jobName: c"".as_ptr().cast_mut(),
            slots: -3,
            cpuTime: -3,
            wallclockTime: -1,
            submissionTime: -2,
            ..drmaa2_jinfo_s::unset()
        };
        assert_eq!(filter_of(ji), Ok(Some(JobFilter::default())));
    }

    #[test]
    fn every_member_is_read() {
        let image = [("containerd_ji_image", Text::from("i"))];
        let mut extensions = values::member(image.into_iter()).unwrap();
        let literal = |text: &'static std::ffi::CStr| text.as_ptr().cast_mut();
        let ji = drmaa2_jinfo_s {
            jobId: literal(c"1"),
            jobName: literal(c"n"),
            exitStatus: 0,
            terminatingSignal: literal(c"SIGKILL"),
            annotation: literal(c"ignored"),
            jobState: 7,
            jobSubState: literal(c"s"),
            submissionMachine: literal(c"m"),
            jobOwner: literal(c"o"),
            slots: 1,
            queueName: literal(c"q"),
            wallclockTime: 2,
            cpuTime: 3,
            submissionTime: 4,
            dispatchTime: 5,
            finishTime: 6,
            implementationSpecific: extensions,
            ..drmaa2_jinfo_s::unset()
        };
        let expected = JobFilter {
            job_id: Some("1".into()),
            job_name: Some("n".into()),
            exit_status: Some(0),
            terminating_signal: Some("SIGKILL".into()),
            state: Some(JobState::Done),
            substate: Some("s".into()),
            machines: vec![],
            submission_machine: Some("m".into()),
            owner: Some("o".into()),
            slots: Some(1),
            queue: Some("q".into()),
            wallclock: Some(2),
            cpu_time: Some(3),
            submitted: Some(4),
            dispatched: Some(5),
            finished: Some(6),
            extensions: vec![("containerd_ji_image".into(), "i".into())],
        };
        assert_eq!(filter_of(ji), Ok(Some(expected)));
        // SAFETY: made above, and the info is gone.
        unsafe { dict::free((&raw mut extensions).cast()) };
    }

    #[test]
    fn a_state_or_text_that_is_none_is_refused_by_name() {
        let bad_state = drmaa2_jinfo_s { jobState: 99, ..drmaa2_jinfo_s::unset() };
        let bad_text =
            drmaa2_jinfo_s { jobOwner: c"\xff".as_ptr().cast_mut(), ..drmaa2_jinfo_s::unset() };
        for (ji, member) in [(bad_state, "jobState"), (bad_text, "jobOwner")] {
            let error = filter_of(ji).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains(member), "{error}");
        }
    }

    #[test]
    fn machines_may_be_slot_infos_or_strings() {
        let slot = SlotInfo { machine: "a".into(), slots: 1 };
        let mut infos = list::of_blocks([infos::slotinfo(&slot)]).unwrap();
        let mut strings = list::of_strings(["a"]).unwrap();
        // SAFETY: plain uses of the API.
        unsafe {
            assert_eq!(machines(infos), Ok(vec!["a".to_owned()]));
            assert_eq!(machines(strings), Ok(vec!["a".to_owned()]));
            assert_eq!(machines(ptr::null_mut()), Ok(vec![]));
            let mut jobs = drmaa2_list_create(ListType::DRMAA2_JOBLIST as c_int, None);
            drmaa2_list_add(jobs, (&raw const slot).cast());
            assert!(machines(jobs).is_err());
            for list in [&raw mut infos, &raw mut strings, &raw mut jobs] {
                drmaa2_list_free(list);
            }
        }
    }

    #[test]
    fn a_report_has_seconds_and_unset_values() {
        let mut info = JobInfo::new("j", JobState::Running);
        info.dispatched = Some(1_999);
        info.submitted = Some(1_000);
        let ji = write(&info, 5_000, Compat::Standard).unwrap();
        assert_eq!((ji.jobState, ji.exitStatus, ji.slots, ji.cpuTime), (3, -1, -1, -1));
        assert_eq!((ji.submissionTime, ji.dispatchTime, ji.finishTime), (1, 1, UNSET_TIME));
        assert_eq!(ji.wallclockTime, 3);
        assert!(ji.allocatedMachines.is_null() && ji.jobName.is_null());
        // SAFETY: just made.
        assert_eq!(unsafe { mem::bytes(ji.jobId) }, Some(&b"j"[..]));
    }
}
