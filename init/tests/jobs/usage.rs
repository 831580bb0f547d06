//! Limits of what a job uses: CPU time, and the kernel's own.

use drmaa2_init::Rlimit;

use crate::harness::{Job, Running};

const BURN: &str = "burn() { while :; do :; done; }";

fn limited(script: &str, number: u32, value: u64, name: &str) -> Job {
    let mut job = Job::sh(script);
    job.order.rlimits = vec![Rlimit { number, soft: value, hard: value, name: name.to_owned() }];
    job
}

fn burning(script: &str) -> Running {
    let mut job = Job::sh(&format!("{BURN}; {script}"));
    job.order.cpu_time = Some(1000);
    job.start()
}

#[test]
fn cpu_time_counts_over_all_processes() {
    let reason = "exceeded its CPU time limit (CPU_TIME) of 1 s";
    for script in
        ["burn", "burn & (burn) & wait", "while :; do timeout 0.1 sh -c 'while :; do :; done'; done"]
    {
        let ended = burning(script).wait();
        ended.assert_signal(libc::SIGTERM, reason);
        assert!((900..2500).contains(&ended.record.cpu_time), "{script}: {:?}", ended.record);
    }
}

#[test]
fn a_job_that_sleeps_uses_no_cpu_time() {
    burning("sleep 2; exit 3").wait().assert_exit(3);
}

#[test]
fn a_file_that_grows_too_large_is_told_apart() {
    let write = "head -c 9999 /dev/zero > big";
    let reason = "exceeded its file size limit (FILE_SIZE) of 4096 bytes";
    let ended = limited(&format!("exec {write}"), libc::RLIMIT_FSIZE, 4096, "FILE_SIZE").run();
    ended.assert_signal(libc::SIGXFSZ, reason);
    assert_eq!(ended.job.path("big").metadata().unwrap().len(), 4096);
    let ended = limited(&format!("{write}; exit $?"), libc::RLIMIT_FSIZE, 4096, "FILE_SIZE").run();
    ended.assert_reason(128 + libc::SIGXFSZ, reason);
    // Without a limit the code is the job's own.
    Job::sh("exit 153").run().assert_exit(153);
}

#[test]
fn cpu_time_of_one_process_is_told_apart() {
    let ended = limited(&format!("{BURN}; burn"), libc::RLIMIT_CPU, 1, "cpu").run();
    // With equal limits the kernel kills at once.
    assert_eq!(ended.record.signal, Some(libc::SIGKILL));
    let mut job = Job::sh(&format!("{BURN}; burn"));
    let name = "cpu".to_owned();
    job.order.rlimits = vec![Rlimit { number: libc::RLIMIT_CPU, soft: 1, hard: 5, name }];
    job.run().assert_signal(libc::SIGXCPU, "exceeded its CPU time limit (cpu) of 1 s");
}

#[test]
fn a_job_has_the_limits_of_its_order() {
    let ended = limited("ulimit -n; ulimit -Hn", libc::RLIMIT_NOFILE, 23, "OPEN_FILES").run();
    ended.assert_exit(0);
    assert_eq!(ended.stdout(), "23\n23\n");
}

#[test]
fn a_limit_that_the_kernel_refuses_is_named() {
    let ended = limited("echo ran", libc::RLIMIT_NOFILE, u64::MAX - 1, "OPEN_FILES").run();
    let reason = format!("limit OPEN_FILES of {}: Operation not permitted", u64::MAX - 1);
    ended.assert_reason(126, &reason);
    assert_eq!(ended.stdout(), "");
}
