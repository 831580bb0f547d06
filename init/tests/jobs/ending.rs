//! The promises to each process of a job when the job ends, see `docs/ending.md`: whatever its relation
//! to the command, the time that it takes after a request, and the reason of the end.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::{Ended, Job};

/// A process that takes `$1` seconds after a request. It reports when it listens, and when it is done.
const SAVER: &str = "trap 'sleep $1; echo saved > out; exit 0' TERM
                     : > listens; echo > ready; while :; do sleep 0.1; done";

/// Processes that are asked to end: their relation to the command, and the script of the command.
const STANDS: [(&str, &str); 6] = [
    ("the command itself", "exec sh saver $time"),
    ("a child of the shell", "sh saver $time; echo done"),
    ("in a pipeline", "echo | sh saver $time | cat"),
    ("in the background", "sh saver $time & wait"),
    ("in a session of its own", "setsid sh saver $time & wait"),
    ("an orphan", "(setsid sh saver $time &); sleep 1000"),
];

/// The same, of a command that ends by itself once they listen.
const LEFT: [(&str, &str); 4] = [
    ("in a pipeline", "echo | sh saver $time | cat &"),
    ("in the background", "sh saver $time &"),
    ("in a session of its own", "setsid sh saver $time &"),
    ("an orphan", "(setsid sh saver $time &);"),
];
const UNTIL_IT_LISTENS: &str = "until [ -e listens ]; do sleep 0.05; done; exit 0";

/// The reasons of an end.
const ENDS: [&str; 3] = ["terminate", "wall clock", "deadline"];

/// Seconds that a process takes, and whether that is within the grace.
const TIMES: [(&str, bool); 3] = [("0", true), ("1.5", true), ("30", false)];

/// Milliseconds that a shell on a busy machine has to set its traps.
const LIMIT: u64 = 2000;

fn job(script: &str, time: &str, within: bool) -> Job {
    let mut job = Job::sh(&format!("time={time}; {script}"));
    job.put("saver", SAVER.as_bytes());
    job.put("out", b"");
    job.order.grace = if within { 60_000 } else { 500 };
    job
}

fn asked(end: &str, mut job: Job) -> Ended {
    match end {
        "wall clock" => job.order.wall_clock = Some(LIMIT),
        "deadline" => {
            let at =
                SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_millis(LIMIT);
            job.order.deadline = Some(at.as_millis().try_into().unwrap());
        }
        _ => return job.start().ready().request(libc::SIGTERM).wait(),
    }
    job.start().ready().wait()
}

fn check(cell: &str, within: bool, ended: &Ended, told: &str) {
    assert_eq!(ended.job.get("out"), if within { "saved\n" } else { "" }, "{cell}");
    let killed = told.contains("did not end within 0.5 s of SIGTERM; killed");
    assert_eq!(killed, !within, "{cell}: {told}");
}

#[test]
fn whoever_is_asked_has_the_grace() {
    thread::scope(|scope| {
        for (stand, script) in STANDS {
            scope.spawn(move || {
                for (time, within) in TIMES {
                    for end in ENDS {
                        let ended = asked(end, job(script, time, within));
                        check(&format!("{stand}, {time} s, {end}"), within, &ended, &ended.reason());
                    }
                }
            });
        }
    });
}

#[test]
fn whoever_outlives_the_command_is_asked_after_a_while_and_has_the_grace_then() {
    thread::scope(|scope| {
        for (stand, script) in LEFT {
            scope.spawn(move || {
                for (time, within) in TIMES {
                    let mut job = job(&format!("{script} {UNTIL_IT_LISTENS}"), time, within);
                    job.order.linger = 100;
                    let ended = job.run();
                    ended.assert_exit(0);
                    let remark = ended.remark();
                    check(&format!("{stand}, {time} s"), within, &ended, &remark);
                    assert!(
                        remark.contains("were asked to end after 0.1 s"),
                        "{stand}, {time} s: {remark}"
                    );
                }
            });
        }
    });
}

#[test]
fn a_request_ends_the_wait_for_what_outlives_the_command() {
    let script =
        "command=$$; (while kill -0 $command; do :; done 2>/dev/null; exec sh saver 0) & exit 0";
    let ended = asked("terminate", job(script, "0", true));
    ended.assert_reason(0, "terminated on request");
    assert_eq!(ended.job.get("out"), "saved\n");
}
