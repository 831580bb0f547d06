//! The standard streams.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};

use drmaa2_init::Rlimit;

use crate::harness::{Job, quoted};

#[test]
fn the_streams_are_the_orders_files() {
    let mut job = Job::sh("cat; echo err >&2");
    job.put("input", b"in\n");
    job.put("stdout", b"before\n");
    job.order.stdin = job.bytes("input");
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.stdout(), "before\nin\n");
    assert_eq!(ended.job.get("stderr"), "err\n");
}

#[test]
fn joined_output_keeps_its_order() {
    let mut job = Job::sh("for i in 1 2 3; do echo out $i; echo err $i >&2; done");
    job.order.join = true;
    let ended = job.run();
    assert_eq!(ended.stdout(), "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
    assert_eq!(ended.job.get("stderr"), "");
}

#[test]
fn an_empty_path_is_dev_null() {
    let mut job =
        Job::sh("names=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$names\" > names");
    job.order.stdout.clear();
    job.order.stderr.clear();
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.job.get("names"), "/dev/null\n/dev/null\n/dev/null\n");
}

#[test]
fn a_stream_that_cannot_be_opened_is_126() {
    for (what, name) in [("input", "a"), ("output", "b"), ("error output", "c")] {
        let mut job = Job::new(&["true"]);
        let missing = job.bytes(name);
        match what {
            "input" => job.order.stdin = missing,
            "output" => job.order.stdout = missing,
            _ => job.order.stderr = missing,
        }
        let reason = format!("{what} {}: No such file or directory", quoted(&job.path(name)));
        let ended = job.run();
        ended.assert_reason(126, &reason);
        assert!(!ended.job.path(name).exists(), "only the submitter may make it");
    }
}

#[test]
fn the_error_of_a_device_is_the_jobs_own() {
    let mut job = Job::new(&["cat", "/etc/passwd"]);
    job.order.stdout = b"/dev/full".to_vec();
    let ended = job.run();
    assert_ne!(ended.code, 0);
    assert!(ended.job.get("stderr").contains("No space left on device"));
}

/// Every name that a stream has; each use empties the file that it opens.
const REOPENED: &str = "echo 1; echo 1 >&2
    echo 2 > /dev/stdout; echo 2 > /dev/stderr; echo 3; echo 3 >&2
    echo 4 > /proc/self/fd/1; echo 4 > /dev/fd/2; echo 5 >&1; echo 5 >&2";

#[test]
fn a_stream_that_is_opened_anew_loses_nothing() {
    for user in ["", "4711:4712"] {
        let mut job = Job::sh(REOPENED);
        job.order.user = user.as_bytes().to_vec();
        let ended = job.run();
        ended.assert_exit(0);
        assert_eq!(
            (ended.stdout().as_str(), ended.job.get("stderr").as_str()),
            ("1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n")
        );
    }
}

#[test]
fn one_file_for_both_streams_is_written_in_order() {
    for join in [true, false] {
        let mut job = Job::sh(REOPENED);
        job.order.join = join;
        job.order.stderr = job.order.stdout.clone();
        let ended = job.run();
        ended.assert_exit(0);
        assert_eq!(ended.stdout(), "1\n1\n2\n2\n3\n3\n4\n4\n5\n5\n");
    }
}

#[test]
fn all_that_was_written_is_in_the_file_at_the_end() {
    // More than a pipe holds, and then without end by a process that is killed.
    let mut job = Job::sh("seq 1 200000; trap '' TERM; echo > ready; while :; do echo more; done");
    job.order.grace = 0;
    let text = job.start().ready().request(libc::SIGTERM).wait().stdout();
    let mut lines = text.lines();
    let numbers = (1..=200_000).map(|number| number.to_string());
    assert!(numbers.eq(lines.by_ref().take(200_000)), "{} bytes", text.len());
    assert!(lines.all(|line| line == "more") && text.ends_with('\n'));
}

#[test]
fn a_disk_that_is_full_fails_the_job_by_name() {
    for bytes in ["999999", "60000"] {
        let mut job = Job::new(&["head", "-c", bytes, "/dev/zero"]);
        job.small_disk();
        job.order.stdout = job.bytes("small/stdout");
        assert_eq!(job.run().reason(), "outputPath: No space left on device");
    }
}

#[test]
fn output_counts_by_the_limit_of_a_file() {
    for bytes in ["999999", "9999"] {
        let mut job = Job::new(&["head", "-c", bytes, "/dev/zero"]);
        let name = "FILE_SIZE".to_owned();
        job.order.rlimits = vec![Rlimit { number: libc::RLIMIT_FSIZE, soft: 4096, hard: 4096, name }];
        let ended = job.run();
        assert_eq!(ended.reason(), "exceeded its file size limit (FILE_SIZE) of 4096 bytes");
        assert_eq!(ended.stdout().len(), 4096);
    }
}

#[test]
fn a_pipe_that_somebody_else_holds_keeps_no_job_from_its_end() {
    let running = Job::sh("echo > ready; read line < hold; echo out").start().ready();
    let mut pipe = OpenOptions::new().write(true).open(running.stream(1)).unwrap();
    fs::write(running.path("hold"), "go\n").unwrap();
    let ended = running.wait();
    ended.assert_exit(0);
    assert_eq!(ended.stdout(), "out\n");
    assert_eq!(pipe.write_all(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
}
