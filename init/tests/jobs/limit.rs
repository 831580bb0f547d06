//! Limits: the wall clock limit and the deadline.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drmaa2_init::Order;

use crate::harness::{Ended, Job};

/// Milliseconds that a shell on a busy machine has to set its traps.
const LIMIT: u64 = 2000;
const WALL_CLOCK: &str = "exceeded its wall clock limit (WALLCLOCK_TIME) of 2 s";
const DEADLINE: &str = "ended at its deadline";
/// A wait that a trap can interrupt, for something that ends with the shell.
const WAIT: &str = "cat < hold & exec 3> hold; echo > ready; wait; wait";

/// The time after this duration, milliseconds since the epoch.
fn from_now(left: Duration) -> i64 {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
    at.as_millis().try_into().unwrap()
}

fn limited(script: &str, limit: impl FnOnce(&mut Order)) -> Job {
    let mut job = Job::sh(script);
    limit(&mut job.order);
    job
}

fn ran_for(ended: &Ended) -> i64 {
    ended.record.finished - ended.record.started
}

#[test]
fn a_job_within_its_limits_is_left_alone() {
    let job = limited("exit 3", |order| {
        order.wall_clock = Some(60_000);
        order.deadline = Some(from_now(Duration::from_secs(60)));
    });
    job.run().assert_exit(3);
}

#[test]
fn a_limit_beyond_the_end_of_time_is_none() {
    let job = limited("exit 3", |order| {
        order.wall_clock = Some(u64::MAX);
        order.deadline = Some(i64::MAX);
    });
    job.run().assert_exit(3);
}

#[test]
fn a_job_is_asked_to_end_at_its_wall_clock_limit() {
    let ended = limited("exec sleep 1000", |order| order.wall_clock = Some(LIMIT)).run();
    ended.assert_signal(libc::SIGTERM, WALL_CLOCK);
    assert!((2000..12_000).contains(&ran_for(&ended)), "{:?}", ended.record);
}

#[test]
fn a_job_is_asked_to_end_at_its_deadline() {
    let deadline = from_now(Duration::from_secs(1));
    let ended = limited("exec sleep 1000", |order| order.deadline = Some(deadline)).run();
    ended.assert_signal(libc::SIGTERM, DEADLINE);
    // Both times are truncated to whole milliseconds.
    assert!((deadline - 2..deadline + 10_000).contains(&ended.record.finished), "{:?}", ended.record);
}

#[test]
fn a_deadline_may_have_a_reason() {
    let ended = limited("exec sleep 1000", |order| {
        order.deadline = Some(from_now(Duration::from_millis(300)));
        order.deadline_reason = b"its time is over".to_vec();
    })
    .run();
    ended.assert_signal(libc::SIGTERM, "its time is over");
}

#[test]
fn the_earlier_limit_counts() {
    let later = from_now(Duration::from_secs(60));
    let both = |order: &mut Order| (order.wall_clock, order.deadline) = (Some(LIMIT), Some(later));
    limited("exec sleep 1000", both).run().assert_signal(libc::SIGTERM, WALL_CLOCK);
    let sooner = from_now(Duration::from_secs(1));
    let both = |order: &mut Order| (order.wall_clock, order.deadline) = (Some(60_000), Some(sooner));
    limited("exec sleep 1000", both).run().assert_signal(libc::SIGTERM, DEADLINE);
}

#[test]
fn the_stop_signal_is_the_orders_and_exit_0_is_no_success() {
    let job = limited(&format!("trap 'exit 0' QUIT; trap '' TERM; {WAIT}"), |order| {
        order.stop_signal = libc::SIGQUIT;
        order.wall_clock = Some(LIMIT);
    });
    job.start().ready().wait().assert_reason(0, WALL_CLOCK);
}

#[test]
fn a_job_that_ignores_its_limit_is_killed_with_all_its_children() {
    // The children hold the FIFO open for as long as they live.
    let script = "trap '' TERM; exec 3<> alive; setsid sleep 1000 & sleep 1000 & (sleep 1000 &)
                  echo > ready; while :; do sleep 1000; done";
    for reason in [WALL_CLOCK, DEADLINE] {
        let job = limited(script, |order| {
            order.grace = 200;
            match reason {
                WALL_CLOCK => order.wall_clock = Some(LIMIT),
                _ => order.deadline = Some(from_now(Duration::from_secs(3))),
            }
        });
        job.fifo("alive");
        let ended = job.start().ready().wait();
        let killed = format!("{reason}; did not end within 0.2 s of SIGTERM; killed");
        ended.assert_signal(libc::SIGKILL, &killed);
        assert!(ran_for(&ended) >= 200, "{:?}", ended.record);
        assert_eq!(error_of_writer(&ended.job), Some(libc::ENXIO), "somebody still holds the FIFO");
    }
}

/// The error of opening the job's FIFO for writing: ENXIO means that nobody reads it.
fn error_of_writer(job: &Job) -> Option<i32> {
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).custom_flags(libc::O_NONBLOCK).open(job.path("alive"));
    opened.err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_request_before_the_limit_is_a_request() {
    let job = limited(&format!("trap 'exit 5' TERM; {WAIT}"), |order| order.wall_clock = Some(60_000));
    job.start().ready().request(libc::SIGTERM).wait().assert_reason(5, "terminated on request");
    // The grace that a request begins is neither shortened nor restarted by the limit.
    let job = limited(&format!("trap '' TERM; {WAIT}"), |order| {
        (order.wall_clock, order.grace) = (Some(LIMIT), LIMIT + 500);
    });
    let ended = job.start().ready().request(libc::SIGTERM).wait();
    ended.assert_signal(libc::SIGKILL, "did not end within 2.5 s of SIGTERM; killed");
    assert!(ran_for(&ended) >= 2500, "{:?}", ended.record);
}

#[test]
fn a_request_after_the_limit_changes_nothing() {
    let job =
        limited("trap 'echo asked; echo > ready' TERM; while :; do sleep 1000 & wait; done", |order| {
            (order.wall_clock, order.grace) = (Some(LIMIT), 500);
        });
    let ended = job.start().ready().signal_until_end(libc::SIGTERM);
    let reason = format!("{WALL_CLOCK}; did not end within 0.5 s of SIGTERM; killed");
    ended.assert_signal(libc::SIGKILL, &reason);
    assert_eq!(ended.stdout(), "asked\n");
}

#[test]
fn other_signals_do_not_move_the_limit() {
    let job = limited(&format!("trap : USR1; while :; do {WAIT}; done"), |order| {
        order.wall_clock = Some(LIMIT);
    });
    let ended = job.start().ready().signal_until_end(libc::SIGUSR1);
    ended.assert_signal(libc::SIGTERM, WALL_CLOCK);
}

#[test]
fn a_job_that_comes_too_late_is_not_started() {
    let job = limited("echo ran", |order| order.deadline = Some(from_now(Duration::ZERO) - 1));
    let ended = job.run();
    ended.assert_unstarted("ended at its deadline, before the command was started");
    assert_eq!(ended.stdout(), "");
}

#[test]
fn a_limit_reaches_a_job_whose_start_hangs() {
    let mut job = limited("echo ran", |order| order.wall_clock = Some(LIMIT));
    job.fifo("input");
    job.order.stdin = job.bytes("input");
    let ended = job.run();
    ended.assert_signal(libc::SIGTERM, WALL_CLOCK);
    assert_eq!(ended.stdout(), "");
}

#[test]
fn a_stopped_job_ends_at_its_limit() {
    let script = "trap 'exit 6' TERM; sh -c 'kill -STOP $PPID; exec sleep 1000'";
    let job = limited(script, |order| order.wall_clock = Some(LIMIT));
    job.run().assert_reason(6, WALL_CLOCK);
}
