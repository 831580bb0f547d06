//! Finding and starting the command.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use drmaa2_init::{Fence, HOME_PLACEHOLDER, Record};

use crate::harness::{INIT, Job, quoted};

#[test]
fn arguments_and_environment_are_passed_byte_by_byte() {
    let mut job = Job::new(&["cat", "/proc/self/cmdline", "/proc/self/environ", ""]);
    job.order.args[3] = b"\xff\n=".to_vec();
    job.order.env = vec![b"B=\xfe=\n".to_vec(), b"HOME=".to_vec(), b"PATH=/bin:/usr/bin".to_vec()];
    job.order.env.extend([b"USER=".to_vec(), b"LOGNAME=x".to_vec()]);
    let ended = job.run();
    assert_eq!(ended.code, 1, "the last argument is no file");
    let expected: &[u8] = b"cat\0/proc/self/cmdline\0/proc/self/environ\0\xff\n=\0\
        B=\xfe=\n\0HOME=\0PATH=/bin:/usr/bin\0USER=\0LOGNAME=x\0";
    assert_eq!(fs::read(ended.job.path("stdout")).unwrap(), expected);
}

#[test]
fn a_job_without_home_and_path_gets_both() {
    let ended = Job::new(&["cat", "/proc/self/environ"]).run();
    ended.assert_exit(0);
    assert!(ended.stdout().starts_with("HOME=/"), "{}", ended.stdout());
    assert!(
        ended
            .stdout()
            .ends_with("\0PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\0")
    );
}

#[test]
fn the_path_is_the_jobs_own() {
    let mut job = Job::new(&["tool"]);
    for (dir, mode) in [("closed", 0o644), ("open", 0o755)] {
        fs::create_dir(job.path(dir)).unwrap();
        job.put(&format!("{dir}/tool"), b"#!/bin/sh\necho found $0\n");
        fs::set_permissions(job.path(&format!("{dir}/tool")), fs::Permissions::from_mode(mode)).unwrap();
    }
    // A file that is not executable is skipped, a missing directory too.
    job.order.env = vec![[b"PATH=/none:closed:", &job.bytes("open")[..]].concat()];
    let ended = job.run();
    ended.assert_exit(0);
    assert!(ended.stdout().contains("open/tool"));
}

#[test]
fn a_missing_command_is_127() {
    let reason = "cannot run \"nosuch\": not found in PATH";
    Job::new(&["nosuch"]).run().assert_reason(127, reason);
    Job::new(&["/no/such"]).run().assert_reason(127, "cannot run \"/no/such\": no such file");
    Job::new(&["/etc/passwd/x"]).run().assert_reason(127, "cannot run \"/etc/passwd/x\": no such file");
}

#[test]
fn a_command_that_cannot_run_is_126() {
    Job::new(&["/etc/passwd"]).run().assert_reason(126, "cannot run \"/etc/passwd\": Permission denied");
    Job::new(&["/etc"]).run().assert_reason(126, "cannot run \"/etc\": Permission denied");
    Job::new(&[]).run().assert_reason(126, "no command");
    for (text, reason) in [
        (&b"no program"[..], "Exec format error"),
        (b"#!/no/such/interpreter\n", "its interpreter or loader is missing"),
    ] {
        let job = Job::new(&["./tool"]);
        job.put("tool", text);
        fs::set_permissions(job.path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        job.run().assert_reason(126, &format!("cannot run \"./tool\": {reason}"));
    }
}

#[test]
fn a_long_reason_does_not_block() {
    let name = format!("/{}", "x".repeat(100_000));
    let ended = Job::new(&[&name]).run();
    assert_eq!((ended.code, ended.reason().len()), (126, 4096));
}

#[test]
fn the_working_directory_must_exist_or_be_created() {
    let mut job = Job::new(&["pwd"]);
    job.order.directory = job.bytes("a/b");
    let reason = format!("working directory {}: No such file or directory", quoted(&job.path("a/b")));
    job.run().assert_reason(126, &reason);

    let mut job = Job::new(&["pwd"]);
    job.order.directory = job.bytes("a/b");
    job.order.create_directory = true;
    job.order.umask = Some(0o777);
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.stdout().trim_end(), ended.job.path("a/b").to_str().unwrap());
    assert_eq!(fs::metadata(ended.job.path("a/b")).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn the_working_directory_starts_at_the_root_or_at_home() {
    let mut job = Job::new(&["pwd"]);
    job.order.directory = b"etc".to_vec();
    assert_eq!(job.run().stdout(), "/etc\n");
    let below = [HOME_PLACEHOLDER, b"/sub"].concat();
    for (directory, has_home, expected) in
        [(below, true, "HOME/sub\n"), (vec![], true, "HOME\n"), (vec![], false, "/\n")]
    {
        let mut job = Job::new(&["pwd"]);
        let home = job.path("home").into_os_string().into_string().unwrap();
        if has_home {
            fs::create_dir_all(job.path("home/sub")).unwrap();
        }
        job.put("passwd", format!("tester:x:4711:4712::{home}:/bin/sh\n").as_bytes());
        job.order.user = b"tester".to_vec();
        job.order.directory = directory;
        let ended = job.run();
        ended.assert_exit(0);
        assert_eq!(ended.stdout(), expected.replace("HOME", &home));
    }
}

#[test]
fn the_command_leads_a_session_and_has_plain_signals() {
    let ended = Job::new(&["cat", "/proc/self/stat", "/proc/self/status"]).run();
    ended.assert_exit(0);
    let text = ended.stdout();
    // Process, command, state, parent, group, session.
    let stat: Vec<_> = text.split(' ').take(6).collect();
    assert!(stat[3] == "1" && stat[4] == stat[0] && stat[5] == stat[0], "{stat:?}");
    for name in ["SigBlk:\t", "SigIgn:\t"] {
        let mask = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        // Signals 32 and 33 belong to the C library, which leaves them as it found them.
        let mask = u64::from_str_radix(mask, 16).unwrap() & !(0b11 << 31);
        assert_eq!(mask, 0, "{name}");
    }
}

#[test]
fn the_command_has_the_standard_streams_and_no_other_file() {
    let ended = Job::new(&["ls", "/proc/self/fd"]).run();
    // The fourth is the directory that ls reads.
    assert_eq!(ended.stdout(), "0\n1\n2\n3\n");
}

#[test]
fn without_an_order_there_is_a_record() {
    let job = Job::new(&["true"]);
    job.put("order", b"torn");
    let status = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", INIT])
        .arg(job.path(""))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(125));
    let record = Record::read(&job.path("")).unwrap();
    assert_eq!((record.exit_code, record.signal), (None, None));
    assert_eq!(record.reason.unwrap(), b"order: the file does not end in NUL");
}

/// Run init on a job's directory, without the harness, which expects a record.
fn init(job: &Job) -> Output {
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--mount-proc", INIT]).arg(job.path("")).output().unwrap()
}

#[test]
fn what_was_withdrawn_runs_nothing() {
    let job = Job::sh("echo ran");
    job.order.write(&job.path("")).unwrap();
    assert_eq!(Fence::withdraw(&job.path("")).unwrap(), Fence::Withdrawn);
    let output = init(&job);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(output.stderr, b"drmaa2-init: this start was withdrawn, or it is not the first\n");
    assert_eq!(job.get("stdout"), "");
    assert!(Record::read(&job.path("")).is_err());
}

#[test]
fn a_job_runs_once_whoever_starts_it_again() {
    let job = Job::sh("echo ran; exit 3");
    job.order.write(&job.path("")).unwrap();
    assert_eq!(init(&job).status.code(), Some(3));
    assert_eq!(Fence::look(&job.path("")).unwrap(), Some(Fence::Begun));
    fs::remove_file(job.path("record")).unwrap();
    assert_eq!(init(&job).status.code(), Some(125));
    assert_eq!(job.get("stdout"), "ran\n");
    assert!(Record::read(&job.path("")).is_err());
}

#[test]
fn only_pid_1_runs_a_job() {
    let job = Job::new(&["true"]);
    job.order.write(&job.path("")).unwrap();
    let output = Command::new(INIT).arg(job.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(output.stderr, b"drmaa2-init: must be PID 1 of a container\n");
    assert!(Record::read(&job.path("")).is_err());
}
