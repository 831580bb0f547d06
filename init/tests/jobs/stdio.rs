//! The standard streams.

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
fn a_full_disk_is_the_jobs_own_error() {
    let mut job = Job::new(&["cat", "/etc/passwd"]);
    job.order.stdout = b"/dev/full".to_vec();
    let ended = job.run();
    assert_ne!(ended.code, 0);
    assert!(ended.job.get("stderr").contains("No space left on device"));
}
