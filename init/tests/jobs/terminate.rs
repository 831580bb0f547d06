//! Signals from outside, and the request to end.

use drmaa2_init::TERMINATE_FILE;

use crate::harness::{Job, UNASKED};

const REQUESTED: &str = "terminated on request";
/// A wait that a trap can interrupt, for something that ends with the shell.
const WAIT: &str = "cat < hold & exec 3> hold; echo > ready; wait; wait";

#[test]
fn a_cooperative_job_ends_by_the_signal() {
    let ended = Job::sh("echo > ready; exec sleep 1000").start().ready().request(libc::SIGTERM).wait();
    ended.assert_signal(libc::SIGTERM, REQUESTED);
}

#[test]
fn the_whole_process_group_is_asked() {
    // The shell waits for its foreground command and does not end before it.
    let job = Job::sh("trap 'exit 5' TERM; sh -c 'echo > ready; exec sleep 1000'");
    job.start().ready().request(libc::SIGTERM).wait().assert_reason(5, REQUESTED);
}

#[test]
fn a_job_that_exits_0_on_request_is_no_success() {
    let running = Job::sh(&format!("trap 'exit 0' TERM; {WAIT}")).start().ready();
    running.request(libc::SIGTERM).wait().assert_reason(0, REQUESTED);
}

#[test]
fn a_job_that_ignores_the_request_is_killed() {
    let mut job = Job::sh(&format!("trap '' TERM; {WAIT}"));
    job.order.grace = 300;
    let ended = job.start().ready().request(libc::SIGTERM).wait();
    ended.assert_signal(libc::SIGKILL, "did not end within 0.3 s of SIGTERM; killed");
    assert!(ended.record.finished - ended.record.started >= 300);
}

#[test]
fn asking_again_does_not_prolong_the_grace() {
    let mut job = Job::sh("trap 'echo asked' TERM; echo > ready; while :; do sleep 1000 & wait; done");
    job.order.grace = 500;
    let ended = job.start().ready().request(libc::SIGTERM).signal_until_end(libc::SIGTERM);
    ended.assert_signal(libc::SIGKILL, "did not end within 0.5 s of SIGTERM; killed");
    assert_eq!(ended.stdout(), "asked\n");
}

#[test]
fn no_grace_is_no_mercy() {
    let mut job = Job::sh(&format!("trap '' INT; {WAIT}"));
    job.order.grace = 0;
    job.order.stop_signal = libc::SIGINT;
    let ended = job.start().ready().request(libc::SIGTERM).wait();
    ended.assert_signal(libc::SIGKILL, "did not end within 0 s of signal 2; killed");
}

#[test]
fn the_stop_signal_is_the_orders() {
    for sent in [libc::SIGTERM, libc::SIGQUIT] {
        let mut job = Job::sh(&format!("trap 'exit 4' QUIT; trap '' TERM; {WAIT}"));
        job.order.stop_signal = libc::SIGQUIT;
        job.start().ready().request(sent).wait().assert_reason(4, REQUESTED);
    }
}

#[test]
fn a_stopped_job_can_end_on_request() {
    // The inner shell reports once the outer one is stopped.
    let job = Job::sh("trap 'exit 6' TERM; sh -c 'kill -STOP $PPID; echo > ready; exec sleep 1000'");
    job.start().ready().request(libc::SIGTERM).wait().assert_reason(6, REQUESTED);
}

#[test]
fn a_request_from_before_the_start_is_kept() {
    let job = Job::sh("echo ran");
    job.put(TERMINATE_FILE, b"");
    let ended = job.run();
    ended.assert_unwanted(libc::SIGTERM, "terminated before the command was started");
    assert_eq!(ended.stdout(), "");
}

#[test]
fn a_signal_reaches_a_job_whose_start_hangs() {
    let mut job = Job::sh("echo ran");
    job.fifo("input");
    job.order.stdin = job.bytes("input");
    let ended = job.start().signal_until_end(libc::SIGTERM);
    ended.assert_interrupted(libc::SIGTERM, UNASKED);
    assert_eq!(ended.stdout(), "");
}

#[test]
fn any_signal_is_a_request_once_the_file_is_there() {
    let job = Job::sh("echo > ready; exec sleep 1000");
    job.start().ready().request(libc::SIGUSR1).wait().assert_signal(libc::SIGTERM, REQUESTED);
}

#[test]
fn other_signals_are_the_commands() {
    for (name, signal) in
        [("HUP", 1), ("INT", 2), ("USR1", 10), ("USR2", 12), ("WINCH", 28), ("CONT", 18)]
    {
        let job = Job::sh(&format!("trap 'exit 9' {name}; {WAIT}"));
        job.start().ready().signal(signal).wait().assert_exit(9);
    }
    let running = Job::sh("echo > ready; exec sleep 1000").start().ready();
    running.signal(libc::SIGHUP).wait().assert_signal(libc::SIGHUP, "");
}

#[test]
fn a_request_ends_what_the_command_left_behind() {
    let script = "trap '' TERM; setsid sleep 1000 & trap 'exit 0' TERM; echo > ready; wait; wait";
    let mut job = Job::sh(script);
    job.order.grace = 300;
    let reason = "terminated on request; processes that outlived the command did not end within 0.3 s of SIGTERM; \
                  killed";
    job.start().ready().request(libc::SIGTERM).wait().assert_reason(0, reason);
}

#[test]
fn a_machine_that_goes_down_is_nobodys_request() {
    let job = Job::sh("echo > ready; exec sleep 1000");
    job.start().ready().signal(libc::SIGTERM).wait().assert_interrupted(libc::SIGTERM, UNASKED);

    let mut job = Job::sh(&format!("trap '' QUIT; {WAIT}"));
    job.order.stop_signal = libc::SIGQUIT;
    job.order.grace = 300;
    let ended = job.start().ready().signal(libc::SIGQUIT).wait();
    let reason = format!("{UNASKED}; did not end within 0.3 s of signal 3; killed");
    ended.assert_interrupted(libc::SIGKILL, &reason);

    let running = Job::sh(&format!("trap 'exit 0' TERM; {WAIT}")).start().ready();
    let ended = running.signal(libc::SIGTERM).wait();
    ended.assert_reason(0, UNASKED);
    assert!(ended.record.interrupted);
}

#[test]
fn what_ends_for_a_reason_of_its_own_was_not_interrupted() {
    let ended = Job::sh("echo > ready; exec sleep 1000").start().ready().request(libc::SIGTERM).wait();
    assert!(!ended.record.interrupted);

    let mut job = Job::sh(&format!("trap '' TERM; {WAIT}"));
    job.order.wall_clock = Some(300);
    job.order.grace = 300;
    let ended = job.start().ready().wait();
    assert!(!ended.record.interrupted, "{:?}", ended.record);

    assert!(!Job::sh("exit 3").run().record.interrupted);
}

#[test]
fn a_request_counts_that_comes_after_a_signal_of_nobody() {
    let mut job = Job::sh(&format!("trap '' TERM; {WAIT}"));
    job.order.grace = 2000;
    let ended = job.start().ready().signal(libc::SIGTERM).request(libc::SIGTERM).wait();
    ended.assert_signal(libc::SIGKILL, "did not end within 2 s of SIGTERM; killed");
    assert!(!ended.record.interrupted);
}
