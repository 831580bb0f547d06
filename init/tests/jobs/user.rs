//! The job's user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use drmaa2_init::Submitter;

use crate::harness::{Ended, Job, quoted};

const WHO: &str = "echo $(id -u):$(id -g) $(id -G); echo $HOME $USER $LOGNAME; : > made";

fn run_as(user: &str, groups: Option<Vec<&str>>) -> Ended {
    let mut job = Job::sh(WHO);
    job.put("passwd", b"root:x:0:0::/root:/bin/sh\ntester:x:4711:4712::/home/tester:/bin/sh\n");
    job.put("group", b"root:x:0:\ntester:x:4712:\nfriends:x:4713:other,tester\n");
    job.order.user = user.as_bytes().to_vec();
    job.order.user_name = b"me".to_vec();
    job.order.submitter = Some(Submitter { uid: 4714, gid: 4715, groups: vec![] });
    job.order.groups = groups.map(|groups| groups.into_iter().map(Into::into).collect());
    job.order.umask = Some(0o027);
    let ended = job.run();
    ended.assert_exit(0);
    ended
}

#[test]
fn the_job_runs_as_its_user() {
    for (user, groups, expected) in [
        ("", None, "0:0 0\n/root root root\n"),
        ("tester", None, "4711:4712 4712 4713\n/home/tester tester tester\n"),
        ("4711", None, "4711:4712 4712 4713\n/home/tester tester tester\n"),
        ("tester:friends", None, "4711:4713 4713\n/home/tester tester tester\n"),
        ("4714:4715", None, "4714:4715 4715\n/ me me\n"),
        (
            "tester",
            Some(vec!["4720", "friends"]),
            "4711:4712 4712 4713 4720\n/home/tester tester tester\n",
        ),
        ("4714:4715", Some(vec![]), "4714:4715 4715\n/ me me\n"),
    ] {
        let ended = run_as(user, groups);
        assert_eq!(ended.stdout(), expected, "{user}");
        let made = fs::metadata(ended.job.path("made")).unwrap();
        assert_eq!(made.mode() & 0o777, 0o640);
        assert!(expected.starts_with(&format!("{}:{} ", made.uid(), made.gid())));
    }
}

#[test]
fn a_user_who_is_not_root_has_no_capabilities() {
    let mut job = Job::sh("grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status");
    job.order.user = b"4711:4712".to_vec();
    let none = "0000000000000000";
    assert_eq!(job.run().stdout(), format!("CapPrm:\t{none}\nCapEff:\t{none}\nCapAmb:\t{none}\n"));
}

#[test]
fn a_job_of_root_has_no_capability_that_it_gives_up() {
    let mut job = Job::sh("grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status");
    // The last number has no kernel yet.
    job.order.drop_capabilities = (0..=40).chain([63]).collect();
    let none = "0000000000000000";
    assert_eq!(job.run().stdout(), format!("CapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\n"));
}

#[test]
fn an_unknown_user_or_group_is_126() {
    for (user, reason) in [
        ("nobody-here", "user \"nobody-here\" is not in the image"),
        ("0:nobody-here", "group \"nobody-here\" is not in the image"),
        ("4294967295", "user 4294967295:0: Invalid argument"),
    ] {
        let mut job = Job::new(&["true"]);
        job.order.user = user.as_bytes().to_vec();
        job.run().assert_reason(126, reason);
    }
}

#[test]
fn the_streams_are_opened_for_the_user_and_the_directory_is_not() {
    let mut job = Job::sh("echo text");
    fs::set_permissions(job.path("stdout"), fs::Permissions::from_mode(0o600)).unwrap();
    job.order.user = b"4711:4712".to_vec();
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.stdout(), "text\n");

    let mut job = Job::sh("echo text");
    fs::create_dir(job.path("closed")).unwrap();
    fs::set_permissions(job.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    job.order.directory = job.bytes("closed");
    job.order.user = b"4711:4712".to_vec();
    let reason = format!("working directory {}: Permission denied", quoted(&job.path("closed")));
    job.run().assert_reason(126, &reason);
}
