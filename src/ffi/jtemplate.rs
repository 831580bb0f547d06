//! Job templates.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::ptr;

use libc::time_t;

use crate::model::{JobTemplate, PRIORITY_UNSET_AGE, Result, Text};

use super::dict::drmaa2_dict;
use super::enums::{FALSE, TRUE, UNSET, drmaa2_bool, drmaa2_cpu, drmaa2_os};
use super::list::drmaa2_string_list;
use super::mem::{self, Block, Owned, null};
use super::types::{UNSET_TIME, drmaa2_string};
use super::{dict, guard, list, values};

/// The description of a job (GFD.231, JobTemplate). Strings, lists and dictionaries are NULL when not
/// set; one that is empty counts as not set.
#[repr(C)]
pub struct drmaa2_jtemplate_s {
    /// The program, by its path on the execution host (in a container: inside the image). Without it
    /// and args, the command of the image is run.
    pub remoteCommand: drmaa2_string,
    /// Its arguments in order, without the name of the program.
    pub args: drmaa2_string_list,
    /// Start in state DRMAA2_QUEUED_HELD.
    pub submitAsHold: drmaa2_bool,
    /// The job may be run anew from the beginning.
    pub rerunnable: drmaa2_bool,
    /// Variables added to the job's environment, values by names.
    pub jobEnvironment: drmaa2_dict,
    /// The directory in which the job starts.
    pub workingDirectory: drmaa2_string,
    /// A name of drmaa2_jsession_get_job_categories, or an image.
    pub jobCategory: drmaa2_string,
    /// Addresses for mails about the job (DRMAA2_JT_EMAIL).
    pub email: drmaa2_string_list,
    /// Write a mail when it has started (DRMAA2_JT_EMAIL).
    pub emailOnStarted: drmaa2_bool,
    /// Write a mail when it has ended (DRMAA2_JT_EMAIL).
    pub emailOnTerminated: drmaa2_bool,
    /// A label.
    pub jobName: drmaa2_string,
    /// File for standard input: an absolute path, or one that starts with a placeholder.
    pub inputPath: drmaa2_string,
    /// File for standard output, likewise. It is truncated.
    pub outputPath: drmaa2_string,
    /// File for standard error, likewise.
    pub errorPath: drmaa2_string,
    /// Standard error goes where standard output goes; errorPath is ignored.
    pub joinFiles: drmaa2_bool,
    /// The reservation in which the job runs.
    pub reservationId: drmaa2_string,
    /// The queue, by its name.
    pub queueName: drmaa2_string,
    /// At least so many slots; -1 is not set.
    pub minSlots: c_longlong,
    /// At most so many slots; -1 is not set (DRMAA2_JT_MAXSLOTS).
    pub maxSlots: c_longlong,
    /// Larger is more important; -1 (and Grid Engine's -99999) is not set.
    pub priority: c_longlong,
    /// The machines on which the job may run, by their names.
    pub candidateMachines: drmaa2_string_list,
    /// At least so much physical memory, kilobytes; -1 is not set.
    pub minPhysMemory: c_longlong,
    /// The operating system wanted; DRMAA2_UNSET_OS is not set.
    pub machineOS: drmaa2_os,
    /// The architecture wanted; DRMAA2_UNSET_CPU is not set.
    pub machineArch: drmaa2_cpu,
    /// Do not start before, seconds since the epoch; DRMAA2_NOW; DRMAA2_UNSET_TIME is not set.
    pub startTime: time_t,
    /// End by then, seconds since the epoch; DRMAA2_UNSET_TIME is not set (DRMAA2_JT_DEADLINE).
    pub deadlineTime: time_t,
    /// Files copied before the job starts, destinations by sources (DRMAA2_JT_STAGING).
    pub stageInFiles: drmaa2_dict,
    /// Files copied after the job has ended, destinations by sources (DRMAA2_JT_STAGING).
    pub stageOutFiles: drmaa2_dict,
    /// Limits as decimal numbers by their names, such as DRMAA2_CPU_TIME.
    pub resourceLimits: drmaa2_dict,
    /// A text for accounting (DRMAA2_JT_ACCOUNTINGID).
    pub accountingId: drmaa2_string,
    /// For the library; NULL in a template made without it.
    pub implementationSpecific: *mut c_void,
}
/// The description of a job; free it with drmaa2_jtemplate_free.
pub type drmaa2_jtemplate = *mut drmaa2_jtemplate_s;

/// Create a job template in which nothing is set.
///
/// Returns a template to be freed with drmaa2_jtemplate_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jtemplate_create() -> drmaa2_jtemplate {
    guard::pointer(|| Ok(Owned::new(drmaa2_jtemplate_s::unset())?.into_raw()))
}

/// Free a job template with its strings, lists and dictionaries and set *jt to NULL. Nothing
/// happens if jt or *jt is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jtemplate_free(jt: *mut drmaa2_jtemplate) {
    // SAFETY: the caller hands over a template.
    guard::quiet((), || unsafe { mem::free(jt) });
}

impl drmaa2_jtemplate_s {
    /// Nothing is set.
    fn unset() -> Self {
        Self {
            remoteCommand: ptr::null_mut(),
            args: ptr::null_mut(),
            submitAsHold: FALSE,
            rerunnable: FALSE,
            jobEnvironment: ptr::null_mut(),
            workingDirectory: ptr::null_mut(),
            jobCategory: ptr::null_mut(),
            email: ptr::null_mut(),
            emailOnStarted: FALSE,
            emailOnTerminated: FALSE,
            jobName: ptr::null_mut(),
            inputPath: ptr::null_mut(),
            outputPath: ptr::null_mut(),
            errorPath: ptr::null_mut(),
            joinFiles: FALSE,
            reservationId: ptr::null_mut(),
            queueName: ptr::null_mut(),
            minSlots: UNSET.into(),
            maxSlots: UNSET.into(),
            priority: UNSET.into(),
            candidateMachines: ptr::null_mut(),
            minPhysMemory: UNSET.into(),
            machineOS: UNSET,
            machineArch: UNSET,
            startTime: UNSET_TIME,
            deadlineTime: UNSET_TIME,
            stageInFiles: ptr::null_mut(),
            stageOutFiles: ptr::null_mut(),
            resourceLimits: ptr::null_mut(),
            accountingId: ptr::null_mut(),
            implementationSpecific: ptr::null_mut(),
        }
    }
}

impl Block for drmaa2_jtemplate_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            for string in [
                &raw mut (*this).remoteCommand,
                &raw mut (*this).workingDirectory,
                &raw mut (*this).jobCategory,
                &raw mut (*this).jobName,
                &raw mut (*this).inputPath,
                &raw mut (*this).outputPath,
                &raw mut (*this).errorPath,
                &raw mut (*this).reservationId,
                &raw mut (*this).queueName,
                &raw mut (*this).accountingId,
            ] {
                mem::free_string(string);
            }
            for list in
                [&raw mut (*this).args, &raw mut (*this).email, &raw mut (*this).candidateMachines]
            {
                list::free(list);
            }
            for dict in [
                &raw mut (*this).jobEnvironment,
                &raw mut (*this).stageInFiles,
                &raw mut (*this).stageOutFiles,
                &raw mut (*this).resourceLimits,
            ] {
                dict::free(dict);
            }
            dict::free((&raw mut (*this).implementationSpecific).cast());
        }
    }
}

/// Copy a caller's template.
///
/// # Safety
/// `jt` is NULL or a template that no other thread changes now.
pub(super) unsafe fn read(jt: drmaa2_jtemplate) -> Result<JobTemplate> {
    // SAFETY: the caller's promise.
    let jt = unsafe { jt.as_ref() }.ok_or_else(|| null("job template"))?;
    // SAFETY: the caller's promise: members are NULL or what their types say.
    let text = |member: drmaa2_string| unsafe { mem::bytes(member) }.map(Text::from);
    // SAFETY: the same.
    let texts = |name, member: drmaa2_string_list| unsafe { list::texts(name, member) };
    // SAFETY: the same.
    let entries = |member: drmaa2_dict| unsafe { dict::texts(member) };
    let number = |member: c_longlong| (member != c_longlong::from(UNSET)).then_some(member);
    let member_of_enum = |member: c_int| (member != UNSET).then_some(member);
    let time = |member: time_t| (member != UNSET_TIME).then_some(member);
    Ok(JobTemplate {
        remote_command: text(jt.remoteCommand),
        args: texts("args", jt.args)?,
        submit_as_hold: jt.submitAsHold != FALSE,
        rerunnable: jt.rerunnable != FALSE,
        job_environment: entries(jt.jobEnvironment)?,
        working_directory: text(jt.workingDirectory),
        job_category: text(jt.jobCategory),
        email: texts("email", jt.email)?,
        email_on_started: jt.emailOnStarted != FALSE,
        email_on_terminated: jt.emailOnTerminated != FALSE,
        job_name: text(jt.jobName),
        input_path: text(jt.inputPath),
        output_path: text(jt.outputPath),
        error_path: text(jt.errorPath),
        join_files: jt.joinFiles != FALSE,
        reservation_id: text(jt.reservationId),
        queue_name: text(jt.queueName),
        min_slots: number(jt.minSlots),
        max_slots: number(jt.maxSlots),
        priority: number(jt.priority).filter(|priority| *priority != PRIORITY_UNSET_AGE),
        candidate_machines: texts("candidateMachines", jt.candidateMachines)?,
        min_phys_memory: number(jt.minPhysMemory),
        machine_os: member_of_enum(jt.machineOS),
        machine_arch: member_of_enum(jt.machineArch),
        start_time: time(jt.startTime),
        deadline_time: time(jt.deadlineTime),
        stage_in_files: entries(jt.stageInFiles)?,
        stage_out_files: entries(jt.stageOutFiles)?,
        resource_limits: entries(jt.resourceLimits)?,
        accounting_id: text(jt.accountingId),
        // SAFETY: NULL or a dictionary that `drmaa2_set_instance_value` has made.
        extensions: unsafe { values::values(jt.implementationSpecific) }?.into_iter().collect(),
        defaults: BTreeMap::new(),
    })
}

/// A template for a caller, equal to the one that was read.
pub(super) fn write(template: &JobTemplate) -> Result<Owned<drmaa2_jtemplate_s>> {
    let text = |text: &Option<Text>| mem::optional_string(text.as_ref().map(Text::as_bytes));
    let texts = |texts: &Option<Vec<Text>>| match texts {
        Some(texts) => list::of_strings(texts.iter().map(Text::as_bytes)),
        None => Ok(ptr::null_mut()),
    };
    let entries = |entries: &Option<Vec<(Text, Text)>>| match entries {
        Some(entries) => dict::of_texts(entries),
        None => Ok(ptr::null_mut()),
    };
    let number = |number: Option<i64>| number.unwrap_or(UNSET.into());
    let flag = |flag| if flag { TRUE } else { FALSE };
    let mut jt = Owned::new(drmaa2_jtemplate_s {
        submitAsHold: flag(template.submit_as_hold),
        rerunnable: flag(template.rerunnable),
        emailOnStarted: flag(template.email_on_started),
        emailOnTerminated: flag(template.email_on_terminated),
        joinFiles: flag(template.join_files),
        minSlots: number(template.min_slots),
        maxSlots: number(template.max_slots),
        priority: number(template.priority),
        minPhysMemory: number(template.min_phys_memory),
        machineOS: template.machine_os.unwrap_or(UNSET),
        machineArch: template.machine_arch.unwrap_or(UNSET),
        startTime: template.start_time.unwrap_or(UNSET_TIME),
        deadlineTime: template.deadline_time.unwrap_or(UNSET_TIME),
        ..drmaa2_jtemplate_s::unset()
    })?;
    // One by one into the block, which frees them all if one of them fails.
    jt.remoteCommand = text(&template.remote_command)?;
    jt.args = texts(&template.args)?;
    jt.jobEnvironment = entries(&template.job_environment)?;
    jt.workingDirectory = text(&template.working_directory)?;
    jt.jobCategory = text(&template.job_category)?;
    jt.email = texts(&template.email)?;
    jt.jobName = text(&template.job_name)?;
    jt.inputPath = text(&template.input_path)?;
    jt.outputPath = text(&template.output_path)?;
    jt.errorPath = text(&template.error_path)?;
    jt.reservationId = text(&template.reservation_id)?;
    jt.queueName = text(&template.queue_name)?;
    jt.candidateMachines = texts(&template.candidate_machines)?;
    jt.stageInFiles = entries(&template.stage_in_files)?;
    jt.stageOutFiles = entries(&template.stage_out_files)?;
    jt.resourceLimits = entries(&template.resource_limits)?;
    jt.accountingId = text(&template.accounting_id)?;
    let extensions = template.extensions.iter();
    jt.implementationSpecific =
        values::member(extensions.map(|(name, value)| (name.as_str(), value.clone())))?;
    Ok(jt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(template: &JobTemplate) -> JobTemplate {
        let mut jt = write(template).unwrap().into_raw();
        // SAFETY: just made.
        let back = unsafe { read(jt) }.unwrap();
        // SAFETY: just made.
        unsafe { drmaa2_jtemplate_free(&raw mut jt) };
        assert!(jt.is_null());
        back
    }

    #[test]
    fn a_new_template_has_nothing_set() {
        assert_eq!(there_and_back(&JobTemplate::default()), JobTemplate::default());
    }

    #[test]
    fn every_attribute_survives_the_way_to_c_and_back() {
        let text = |text: &str| Some(Text::from(text));
        let texts = |texts: &[&str]| Some(texts.iter().map(|text| Text::from(*text)).collect());
        let entries =
            |name: &str| Some(vec![(format!("{name}2").into(), "b".into()), (name.into(), "a".into())]);
        let template = JobTemplate {
            remote_command: text("/bin/sh"),
            args: texts(&["-c", "", "\u{fc}"]),
            submit_as_hold: true,
            rerunnable: true,
            job_environment: entries("ENV"),
            working_directory: Some(Text::from(&b"/\xff"[..])),
            job_category: text("category"),
            email: texts(&[]),
            email_on_started: true,
            email_on_terminated: true,
            job_name: text(""),
            input_path: text("/in"),
            output_path: text("/out"),
            error_path: text("/err"),
            join_files: true,
            reservation_id: text("r1"),
            queue_name: text("q1"),
            min_slots: Some(2),
            max_slots: Some(3),
            priority: Some(-7),
            candidate_machines: texts(&["m1"]),
            min_phys_memory: Some(4),
            machine_os: Some(3),
            machine_arch: Some(99),
            start_time: Some(-2),
            deadline_time: Some(5_000_000_000),
            stage_in_files: entries("in"),
            stage_out_files: entries("out"),
            resource_limits: Some(vec![]),
            accounting_id: text("project"),
            extensions: [("containerd_jt_user".to_owned(), Text::from("a"))].into(),
            defaults: BTreeMap::new(),
        };
        assert_eq!(there_and_back(&template), template);
    }

    #[test]
    fn both_values_that_stand_for_no_priority_are_read_so() {
        for unset in [-1, PRIORITY_UNSET_AGE] {
            let mut jt = drmaa2_jtemplate_s { priority: unset, ..drmaa2_jtemplate_s::unset() };
            // SAFETY: a template on the stack.
            assert_eq!(unsafe { read(&raw mut jt) }.unwrap().priority, None);
        }
    }
}
