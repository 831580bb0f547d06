//! Job templates: any of them goes to C and into the store and comes back as it was, and its values are
//! taken or refused.

#![no_main]
// A panic is what a target reports.
#![allow(clippy::panic)]

use arbitrary::Arbitrary;
use drmaa2::ffi::fuzzing;
use drmaa2::model::{JobTemplate, Submission, Text};
use libfuzzer_sys::fuzz_target;

type Words<'a> = Option<Vec<&'a [u8]>>;
type Pairs<'a> = Option<Vec<(&'a [u8], &'a [u8])>>;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    texts: [Option<&'a [u8]>; 10],
    lists: [Words<'a>; 3],
    pairs: [Pairs<'a>; 4],
    numbers: [Option<i64>; 6],
    enums: [Option<i32>; 2],
    flags: [bool; 5],
}

fn template(input: Input<'_>) -> JobTemplate {
    // A text ends at its first NUL, as in C.
    let text = |bytes: &[u8]| Text::from(bytes.split(|byte| *byte == 0).next().unwrap_or_default());
    let texts = |words: Words<'_>| words.map(|all| all.into_iter().map(text).collect());
    let entries = |pairs: Pairs<'_>| {
        pairs.map(|all| all.into_iter().map(|(key, value)| (text(key), text(value))).collect())
    };
    let [
        remote_command,
        working_directory,
        job_category,
        job_name,
        input_path,
        output_path,
        error_path,
        reservation_id,
        queue_name,
        accounting_id,
    ] = input.texts.map(|bytes| bytes.map(text));
    let [args, email, candidate_machines] = input.lists.map(texts);
    let [job_environment, stage_in_files, stage_out_files, resource_limits] = input.pairs.map(entries);
    let [min_slots, max_slots, priority, min_phys_memory, start_time, deadline_time] = input.numbers;
    let [machine_os, machine_arch] = input.enums;
    let [submit_as_hold, rerunnable, email_on_started, email_on_terminated, join_files] = input.flags;
    JobTemplate {
        remote_command,
        args,
        submit_as_hold,
        rerunnable,
        job_environment,
        working_directory,
        job_category,
        email,
        email_on_started,
        email_on_terminated,
        job_name,
        input_path,
        output_path,
        error_path,
        join_files,
        reservation_id,
        queue_name,
        min_slots,
        max_slots,
        priority,
        candidate_machines,
        min_phys_memory,
        machine_os,
        machine_arch,
        start_time,
        deadline_time,
        stage_in_files,
        stage_out_files,
        resource_limits,
        accounting_id,
        ..JobTemplate::default()
    }
}

fuzz_target!(|input: Input<'_>| {
    // The first time, values that stand for "not set" and keys that come twice go.
    let Ok(first) = fuzzing::job_template(&template(input)) else { panic!("a template is not written") };
    assert_eq!(fuzzing::job_template(&first).as_ref(), Ok(&first));
    let stored = serde_json::to_string(&first).unwrap_or_default();
    assert_eq!(serde_json::from_str(&stored).ok().as_ref(), Some(&first), "{stored}");

    let set = first.set_attributes();
    let _ = first.check(&set, Submission::Single);
    let _ = first.check(&set, Submission::Array);
    let _ = (first.limits(), first.slots(), first.starts_at(), first.ends_at());
    for (attribute, path) in first.stdio_paths() {
        let _ = first.expand_path(attribute, path, &"/home/u".into());
    }
});
