//! Files that are copied in before the command and out after it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use drmaa2_init::{Origin, Submitter, TERMINATE_FILE, Transfer};

use crate::harness::{Job, UNASKED};

const USER: u32 = 4711;
const SUBMITTER: u32 = 4712;

/// A job of one user on behalf of another, with a directory that belongs to the submitter.
fn job(script: &str) -> Job {
    let mut job = Job::sh(script);
    job.order.user = format!("{USER}:{USER}").into_bytes();
    job.order.submitter = Some(Submitter { uid: SUBMITTER, gid: SUBMITTER, groups: vec![] });
    fs::create_dir(job.path("host")).unwrap();
    chown(job.path("host"), Some(SUBMITTER), Some(SUBMITTER)).unwrap();
    fs::set_permissions(job.path("host"), fs::Permissions::from_mode(0o700)).unwrap();
    job
}

/// From the submitter's directory into the job's.
fn stage_in(job: &mut Job, name: &str, destination: &[u8]) {
    let transfer = Transfer {
        source: name.as_bytes().to_vec(),
        destination: destination.to_vec(),
        mount: job.bytes(&format!("host/{name}")),
    };
    job.order.stage_in.push(transfer);
}

/// From the job's directory into the submitter's.
fn stage_out(job: &mut Job, source: &[u8], name: &str) {
    let transfer = Transfer {
        source: source.to_vec(),
        destination: format!("/host/{name}").into_bytes(),
        mount: job.bytes("host"),
    };
    job.order.stage_out.push(transfer);
}

fn put(job: &Job, name: &str, text: &str, mode: u32, owner: u32) {
    job.put(name, text.as_bytes());
    chown(job.path(name), Some(owner), Some(owner)).unwrap();
    fs::set_permissions(job.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// Owner and access rights.
fn rights(job: &Job, name: &str) -> (u32, u32) {
    let found = fs::symlink_metadata(job.path(name)).unwrap();
    (found.uid(), found.mode() & 0o777)
}

#[test]
fn a_file_goes_in_and_out_and_belongs_to_whom_it_should() {
    let mut job = job("cat in; tr a-z A-Z <in >out; chmod 640 out; exit 3");
    put(&job, "host/data", "text\n", 0o400, SUBMITTER);
    stage_in(&mut job, "data", b"in");
    stage_out(&mut job, b"$DRMAA2_WORKING_DIR$/out", "result");
    let ended = job.run();
    ended.assert_exit(3);
    assert_eq!(ended.stdout(), "text\n");
    assert_eq!(rights(&ended.job, "in"), (USER, 0o400));
    assert_eq!(ended.job.get("host/result"), "TEXT\n");
    assert_eq!(rights(&ended.job, "host/result"), (SUBMITTER, 0o640));
}

#[test]
fn a_directory_goes_whole_with_links_and_rights() {
    let mut job = job("find new/deep -type f -exec cat {} +; readlink new/deep/link");
    fs::create_dir_all(job.path("host/tree/sub")).unwrap();
    put(&job, "host/tree/sub/file", "deep\n", 0o604, SUBMITTER);
    symlink("/no/such/target", job.path("host/tree/link")).unwrap();
    for (directory, mode) in [("host/tree/sub", 0o500), ("host/tree", 0o750)] {
        chown(job.path(directory), Some(SUBMITTER), Some(SUBMITTER)).unwrap();
        fs::set_permissions(job.path(directory), fs::Permissions::from_mode(mode)).unwrap();
    }
    let destination = job.bytes("new/deep");
    stage_in(&mut job, "tree", &destination);
    stage_out(&mut job, &destination, "back");
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.stdout(), "deep\n/no/such/target\n");
    for (tree, owner) in [("new/deep", USER), ("host/back", SUBMITTER)] {
        assert_eq!(rights(&ended.job, tree), (owner, 0o750));
        assert_eq!(rights(&ended.job, &format!("{tree}/sub")), (owner, 0o500));
        assert_eq!(rights(&ended.job, &format!("{tree}/sub/file")), (owner, 0o604));
        let link = ended.job.path(&format!("{tree}/link"));
        assert_eq!(fs::read_link(link).unwrap().to_str(), Some("/no/such/target"));
    }
}

#[test]
fn a_place_of_roots_in_the_container_is_filled_for_the_user() {
    let mut job = job("cat closed/in");
    put(&job, "host/data", "text\n", 0o600, SUBMITTER);
    fs::create_dir(job.path("closed")).unwrap();
    // An existing file is replaced, not written to.
    put(&job, "victim", "safe", 0o600, 0);
    fs::hard_link(job.path("victim"), job.path("closed/in")).unwrap();
    let destination = job.bytes("closed/in");
    stage_in(&mut job, "data", &destination);
    let ended = job.run();
    assert_eq!(ended.reason(), "");
    assert_eq!(ended.stdout(), "text\n");
    assert_eq!(ended.job.get("victim"), "safe");
    assert_eq!(rights(&ended.job, "closed/in"), (USER, 0o600));
}

#[test]
fn root_does_not_help_in_what_is_mounted() {
    let mut job = job("true");
    put(&job, "host/data", "text", 0o600, SUBMITTER);
    stage_in(&mut job, "data", b"/dev/drmaa2-staged");
    job.run().assert_unstarted("stageInFiles data to /dev/drmaa2-staged: Permission denied");
    assert!(!Path::new("/dev/drmaa2-staged").exists());
}

#[test]
fn what_the_submitter_may_not_read_is_not_staged_in() {
    let mut job = job("true");
    put(&job, "host/secret", "secret", 0o600, 0);
    stage_in(&mut job, "secret", b"in");
    let ended = job.run();
    ended.assert_unstarted("stageInFiles secret to in: Permission denied");
    assert!(!ended.job.path("in").exists());
}

#[test]
fn what_the_submitter_may_not_write_is_not_staged_out() {
    let mut job = job("echo text >out; exit 5");
    put(&job, "host/theirs", "theirs", 0o644, 0);
    stage_out(&mut job, b"out", "theirs");
    let ended = job.run();
    ended.assert_reason(5, "stageOutFiles out to /host/theirs: Permission denied");
    assert_eq!(ended.job.get("host/theirs"), "theirs");
}

#[test]
fn no_link_is_followed_out_of_the_directory() {
    let mut job = job("echo text >out");
    put(&job, "victim", "safe", 0o666, SUBMITTER);
    symlink(job.path("victim"), job.path("host/link")).unwrap();
    stage_out(&mut job, b"out", "link");
    let ended = job.run();
    ended.assert_reason(0, "stageOutFiles out to /host/link: Too many levels of symbolic links");
    assert_eq!(ended.job.get("victim"), "safe");
}

#[test]
fn a_missing_or_special_file_is_named() {
    let mut missing = job("exit 4");
    stage_out(&mut missing, b"tree", "tree");
    missing.run().assert_reason(4, "stageOutFiles tree to /host/tree: No such file or directory");

    let mut special = job("mkdir tree; mkfifo tree/fifo");
    stage_out(&mut special, b"tree", "tree");
    special.run().assert_reason(
        0,
        "stageOutFiles tree/fifo to /host/tree: neither a regular file, a directory nor a symbolic link",
    );
}

#[test]
fn a_file_that_was_replaced_is_not_used() {
    let mut job = Job::new(&["echo", "text"]);
    let found = fs::metadata(job.path("stdout")).unwrap();
    let origin = Origin {
        name: b"outputPath /o".to_vec(),
        mount: job.bytes("stdout"),
        device: found.dev(),
        inode: found.ino(),
    };
    job.order.origins = vec![origin.clone()];
    let ended = job.run();
    assert_eq!((ended.reason(), ended.stdout()), (String::new(), "text\n".to_owned()));

    let mut job = Job::new(&["echo", "text"]);
    job.order.origins = vec![Origin { mount: job.bytes("stdout"), ..origin }];
    let ended = job.run();
    ended.assert_unstarted("outputPath /o was replaced after the job was submitted");
    assert_eq!(ended.stdout(), "");
}

#[test]
fn a_signal_to_end_ends_the_copying_too() {
    let mut job = job("true");
    // The copy would take hours.
    put(&job, "host/endless", "", 0o600, SUBMITTER);
    fs::File::options().write(true).open(job.path("host/endless")).unwrap().set_len(1 << 43).unwrap();
    stage_in(&mut job, "endless", b"in");
    let ended = job.start().signal_until_end(libc::SIGTERM);
    assert!(ended.record.interrupted);
    ended.assert_unstarted(&format!("{UNASKED}, before the command was started"));
}

#[test]
fn a_request_from_before_the_copying_does_not_end_it() {
    const FILES: usize = 5000;
    // Only init takes the signal for a request.
    let script =
        format!("mkdir out; for i in $(seq {FILES}); do : >out/$i; done; echo >{TERMINATE_FILE}");
    let mut job = job(&script);
    stage_out(&mut job, b"$DRMAA2_WORKING_DIR$/out", "result");
    let ended = job.start().signal_until_end(libc::SIGCONT);
    // A signal may have come just when the command was done.
    assert!(!ended.reason().contains("stageOutFiles"), "{}", ended.reason());
    assert!(ended.job.path(&format!("host/result/{FILES}")).exists());
}

#[test]
fn times_stay_and_names_of_one_file_stay_names_of_one_file() {
    let mut job =
        job("[ tree/a -ef tree/sub/b ] && [ ! tree/a -nt stamp ] && [ ! tree -nt stamp ] || exit 9");
    let then = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5_000_000);
    for dir in ["host/tree", "host/tree/sub"] {
        fs::create_dir(job.path(dir)).unwrap();
    }
    put(&job, "host/tree/a", "text\n", 0o644, SUBMITTER);
    fs::hard_link(job.path("host/tree/a"), job.path("host/tree/sub/b")).unwrap();
    put(&job, "host/tree/alone", "text\n", 0o644, SUBMITTER);
    put(&job, "stamp", "", 0o644, USER);
    let times = fs::FileTimes::new().set_accessed(then).set_modified(then);
    for name in ["stamp", "host/tree/a", "host/tree/alone", "host/tree/sub", "host/tree"] {
        let path = job.path(name);
        fs::File::open(&path).unwrap().set_times(times).unwrap();
        chown(path, Some(SUBMITTER), Some(SUBMITTER)).unwrap();
    }
    stage_in(&mut job, "tree", b"tree");
    stage_out(&mut job, b"tree", "back");
    let ended = job.run();
    ended.assert_exit(0);
    let found = |name: &str| fs::symlink_metadata(ended.job.path(name)).unwrap();
    for name in ["tree", "host/back", "host/back/a", "host/back/alone", "host/back/sub"] {
        assert_eq!(found(name).modified().unwrap(), then, "{name}");
    }
    assert_eq!(found("host/back/a").ino(), found("host/back/sub/b").ino());
    assert_ne!(found("host/back/a").ino(), found("host/back/alone").ino());
    assert_eq!(found("host/back/a").nlink(), 2);
}
