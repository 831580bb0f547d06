//! The reach of a job, and the parts of containerd that run it, on a real daemon; see `common` for what
//! is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::*;
use drmaa2::model::{Control, ErrorCode, JobState, JobTemplate, Text};
use drmaa2::tracker::{Fact, JobTracker, NewJob};
use nix::sys::stat::{Mode, SFlag, mknod};

/// A job of a script with these attributes.
fn job_with(attributes: &[(&str, &str)], text: &str) -> NewJob {
    job(with(attributes, script(text)))
}

fn with(attributes: &[(&str, &str)], template: JobTemplate) -> JobTemplate {
    let named = |(name, value): &(&str, &str)| (format!("containerd_jt_{name}"), Text::from(*value));
    JobTemplate { extensions: attributes.iter().map(named).collect(), ..template }
}

/// The message with which a template is refused at submission.
fn refusal(rig: &Rig, attribute: &str, value: &str) -> String {
    let error = rig.check(&with(&[(attribute, value)], script("exit 0"))).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    assert!(error.message.contains(&format!("containerd_jt_{attribute}")), "{error}");
    error.message
}

/// Tries what the default profile forbids; root of a container has the capabilities for some of it.
const FORBIDDEN: &str = "\
    grep ^Seccomp: /proc/self/status
    unshare -U true && echo made a user namespace
    unshare -m true && echo made a mount namespace
    mount -t tmpfs none /mnt && echo mounted
    true";

#[test]
fn the_default_profile_forbids_what_leads_out() {
    let Some(rig) = rig() else { return };
    let (outcome, text) = rig.output(job_with(&[], FORBIDDEN));
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
    assert!(text.contains("Seccomp:\t2"), "{text}");
    assert_eq!(text.matches("ermitted").count(), 2, "{text}");
    assert!(text.contains("mount: permission denied"), "{text}");
    assert!(!text.contains("made") && !text.contains("mounted"), "{text}");
}

/// Names the test that makes system calls; without it, that one does nothing.
const CALLS: &str = "DRMAA2_TEST_CALLS";

/// Runs in a job, and says how each call ended there.
#[test]
fn calls_from_inside() {
    if std::env::var_os(CALLS).is_none() {
        return;
    }
    let say = |name: &str, result: libc::c_long| {
        let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        println!("{name}: {}", if result < 0 { error } else { 0 });
    };
    let families = [
        ("unix", libc::AF_UNIX),
        ("can", libc::AF_CAN),
        ("alg", libc::AF_ALG),
        ("vsock", libc::AF_VSOCK),
    ];
    for (name, family) in families.into_iter().chain([("isdn", 34), ("unborn", 46)]) {
        // SAFETY: the call takes numbers.
        say(name, unsafe { libc::syscall(libc::SYS_socket, family, libc::SOCK_RAW, 0) });
    }
    // The first four have the same numbers on all machines; lsm is lsm_list_modules.
    for (name, number) in [
        ("statmount", 457),
        ("listmount", 458),
        ("lsm", 461),
        ("clone3", 435),
        ("keyctl", libc::SYS_keyctl),
    ] {
        // SAFETY: with nothing to read from or to write to, none of them does anything.
        say(name, unsafe { libc::syscall(number, 0, 0, 0, 0, 0) });
    }
}

#[test]
fn a_job_reaches_the_calls_of_the_default_profile_and_no_others() {
    let Some(rig) = rig() else { return };
    let program = std::env::current_exe().unwrap();
    let dir = program.parent().unwrap();
    // A program of the host's needs its libraries.
    let mounts: Vec<String> = ["/lib", "/lib64", "/usr/lib"]
        .into_iter()
        .map(Path::new)
        .chain([dir])
        .filter(|path| path.exists())
        .map(|path| format!("{0}:{0}:ro", path.display()))
        .collect();
    let text = format!("{CALLS}=1 {} --exact calls_from_inside --nocapture", program.display());
    let run = |seccomp: &str| {
        let (outcome, text) =
            rig.output(job_with(&[("mounts", &mounts.join(",")), ("seccomp", seccomp)], &text));
        assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
        move |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("{name}: {text}")).parse::<i32>().unwrap()
        }
    };
    let (confined, free) = (run("default"), run("unconfined"));
    for name in ["alg", "vsock", "isdn", "unborn", "keyctl"] {
        assert_eq!(confined(name), libc::EPERM, "{name}");
        assert_ne!(free(name), libc::EPERM, "{name}");
    }
    assert_eq!(confined("clone3"), libc::ENOSYS);
    assert_eq!(confined("unix"), 0);
    assert_eq!(confined("can"), free("can"));
    // A runtime whose libseccomp does not know them yet says ENOSYS.
    for name in ["statmount", "listmount"] {
        assert!([free(name), libc::ENOSYS].contains(&confined(name)), "{name}: {}", confined(name));
    }
    assert!([libc::EPERM, libc::ENOSYS].contains(&confined("lsm")), "{}", confined("lsm"));
}

#[test]
fn an_unconfined_job_is_held_by_its_capabilities_alone() {
    let Some(rig) = rig() else { return };
    let (outcome, text) = rig.output(job_with(&[("seccomp", "unconfined")], FORBIDDEN));
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
    assert!(text.contains("Seccomp:\t0"), "{text}");
    assert!(text.contains("made a user namespace"), "{text}");
}

#[test]
fn a_profile_of_the_users_own_is_enforced() {
    let Some(rig) = rig() else { return };
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    let path = rig.file("profile.json", profile, 0);
    let attributes = [("seccomp", path.to_str().unwrap())];
    let template = with(&attributes, script("mkdir /new"));
    rig.check(&template).unwrap();
    let (outcome, text) = rig.output(job(template));
    assert_eq!(outcome.state(), JobState::Failed);
    assert!(text.contains("No space left"), "{text}");

    fs::write(&path, "{").unwrap();
    assert!(refusal(&rig, "seccomp", attributes[0].1).contains("profile.json"));
    assert!(refusal(&rig, "seccomp", "/no/such/profile").contains("/no/such/profile"));
    assert!(refusal(&rig, "seccomp", "rubbish").contains("rubbish"));
    // It was there when the job was submitted, and is not when it starts.
    fs::remove_file(&path).unwrap();
    let reason = rig.run(job_with(&attributes, "exit 0")).reason.unwrap();
    assert!(reason.contains("profile.json"), "{reason}");
}

#[test]
fn a_device_is_there_with_the_rights_asked_for() {
    let Some(rig) = rig() else { return };
    // One that every job could open that has it.
    let candidates = ["/dev/fuse", "/dev/loop-control", "/dev/net/tun"];
    let source = candidates.into_iter().find(|path| Path::new(path).exists()).unwrap();
    let number = fs::metadata(source).unwrap().rdev();
    let (major, minor) = (libc::major(number), libc::minor(number));
    let text = "ls -l /dev/my; true < /dev/my && echo reads; true > /dev/my && echo writes; true";
    let value = format!("{source}:/dev/my:r");
    let device = [("devices", value.as_str())];
    rig.check(&with(&device, script(text))).unwrap();
    let (_, text) = rig.output(job_with(&device, text));
    assert!(text.contains(&format!("{major}, {minor:>3}")) && text.contains("reads"), "{text}");
    assert!(text.contains("ermitted") && !text.contains("writes"), "{text}");

    // Without asking, not even root of a container gets at it.
    let text =
        format!("mknod /dev/my c {major} {minor} && echo made; true < /dev/my && echo reads; true");
    let (_, text) = rig.output(job_with(&[], &text));
    assert!(text.contains("made") && !text.contains("reads"), "{text}");
}

#[test]
fn a_directory_of_devices_is_there_with_all_of_them() {
    let Some(rig) = rig() else { return };
    let dir = tempfile::tempdir_in("/dev").unwrap();
    fs::create_dir(dir.path().join("by-path")).unwrap();
    for (name, minor) in [("full", 7), ("by-path/zero", 5)] {
        let (kind, mode) = (SFlag::S_IFCHR, Mode::from_bits_truncate(0o666));
        mknod(&dir.path().join(name), kind, mode, libc::makedev(1, minor)).unwrap();
    }
    let value = format!("{}:/dev/all", dir.path().display());
    let text =
        "echo x > /dev/all/full || echo full; head -c 3 /dev/all/by-path/zero | wc -c; ls /dev/all";
    let (_, text) = rig.output(job_with(&[("devices", &value)], text));
    assert!(text.ends_with("full\n3\nby-path\nfull\n"), "{text}");
}

#[test]
fn a_device_that_cannot_be_had_is_refused_by_name() {
    let Some(rig) = rig() else { return };
    for (value, part) in [
        ("/dev/no-such-device", "/dev/no-such-device"),
        ("/etc/passwd:/dev/my", "not a device"),
        ("/dev/full:/dev/my:x", "/dev/full:/dev/my:x"),
        ("rubbish", "rubbish"),
        ("example.com/none=0", "example.com/none=0"),
    ] {
        let message = refusal(&rig, "devices", value);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_device_that_its_submitter_may_not_use_is_refused() {
    let Some(rig) = rig() else { return };
    let path = rig.dir.path().join("device");
    let owner_only = Mode::S_IRUSR | Mode::S_IWUSR;
    mknod(&path, SFlag::S_IFCHR, owner_only, libc::makedev(1, 7)).unwrap();
    let value = format!("{}:/dev/my:r", path.display());
    let template = with(&[("devices", &value)], script("exit 0"));
    rig.check(&template).unwrap();
    let (tracker, settings) = (rig.tracker.clone(), resolved(&template));
    let refused = std::thread::spawn(move || {
        // SAFETY: the call takes numbers. Past the C library, it changes this thread alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
        assert_eq!(changed, 0);
        tracker.check_template(&template, &settings).unwrap_err()
    });
    let error = refused.join().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains(path.to_str().unwrap()), "{error}");
    assert!(error.message.contains("Permission denied"), "{error}");
}

/// A description of a device, as a vendor would write it, with a hook that leaves a trace.
fn describe(dir: &Path, trace: &Path) {
    let hook = dir.join("hook");
    fs::write(&hook, format!("#!/bin/sh\ncat > {}\n", trace.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.join("data");
    fs::write(&data, "of the vendor\n").unwrap();
    let text = format!(
        "cdiVersion: 0.6.0
kind: example.com/gpu
containerEdits:
  env: [VENDOR=example]
  additionalGids: [5151]
devices:
- name: one
  containerEdits:
    deviceNodes: [{{path: /dev/gpu, hostPath: /dev/full}}]
    mounts: [{{hostPath: {}, containerPath: /vendor, options: [ro, nosuid]}}]
    hooks: [{{hookName: createRuntime, path: {}, args: [hook]}}]
",
        data.display(),
        hook.display()
    );
    fs::write(dir.join("gpu.yaml"), text).unwrap();
}

#[test]
fn a_cdi_device_comes_with_all_that_belongs_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(rig) = rig() else { return };
    let trace = dir.path().join("trace");
    describe(dir.path(), &trace);
    let text =
        "echo $VENDOR; id -G; cat /vendor; echo x > /vendor; ls -l /dev/gpu; echo x > /dev/gpu; true";
    let device = [("devices", "example.com/gpu=one")];
    let template = with(&device, script(text));
    let settings = resolved_with(&template, |settings| settings.cdi_dirs = vec![dir.path().to_owned()]);
    rig.tracker.check_template(&template, &settings).unwrap();
    for uid in [0, 1234] {
        let (submitter, settings) = (submitter(uid), settings.clone());
        let (outcome, text) = rig.output(NewJob { submitter, settings, ..job_with(&device, text) });
        assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
        for part in ["example\n", "5151", "of the vendor", "1,   7", "No space left"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("Read-only") || text.contains("ermission denied"), "{text}");
    }
    assert!(fs::read_to_string(trace).unwrap().contains("ociVersion"));
}

#[test]
fn the_runtimes_program_can_be_chosen() {
    let Some(rig) = rig() else { return };
    let trace = rig.dir.path().join("trace");
    let program = rig.dir.path().join("my-runc");
    fs::write(&program, format!("#!/bin/sh\necho ran >> {}\nexec runc \"$@\"\n", trace.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = program.to_str().unwrap();
    let attributes = [("runtime", "io.containerd.runc.v2"), ("runtime_binary", binary)];
    let outcome = rig.run(job_with(&attributes, "exit 4"));
    assert_eq!(outcome.exit_status, Some(4), "{outcome:?}");
    assert!(fs::read_to_string(&trace).unwrap().contains("ran"));

    fs::remove_file(&trace).unwrap();
    let template = script("exit 5");
    let settings =
        resolved_with(&template, |settings| settings.runtime_binary = Some(binary.to_owned()));
    assert_eq!(rig.run(NewJob { settings, ..job(template) }).exit_status, Some(5));
    assert!(trace.exists());
}

#[test]
fn a_runtime_that_is_not_there_fails_the_job_with_its_name() {
    let Some(rig) = rig() else { return };
    let outcome = rig.run(job_with(&[("runtime_binary", "/no/such/runc")], "exit 0"));
    assert!(outcome.reason.as_ref().unwrap().contains("/no/such/runc"), "{outcome:?}");
    let outcome = rig.run(job_with(&[("runtime", "io.containerd.none-such.v9")], "exit 0"));
    assert!(outcome.reason.as_ref().unwrap().contains("none-such"), "{outcome:?}");
    assert!(refusal(&rig, "runtime", "rubbish").contains("rubbish"));
    assert!(refusal(&rig, "runtime_binary", "two words").contains("two words"));
}

#[test]
fn a_snapshotter_of_ones_own_is_used_and_cleaned_up() {
    let Some(rig) = rig() else { return };
    let is_native = rig.settings.snapshotter.as_deref() == Some("native");
    let other = if is_native { "overlayfs" } else { "native" };
    let attributes = [("snapshotter", other)];
    let template = with(&attributes, script("grep ' / ' /proc/mounts"));
    rig.check(&template).unwrap();
    let first = job(template);
    let id = first.id.clone();
    let (outcome, text) = rig.output(first);
    assert_eq!(outcome.state(), JobState::Done, "{outcome:?}: {text}");
    assert_eq!(text.contains("overlay"), other == "overlayfs", "{text}");
    assert!(!rig.has_snapshot(other, &id));
    // A tracker that did not start it finds out where it is.
    let job = job_with(&attributes, "exit 0");
    let id = job.id.clone();
    rig.tracker.add_job(job).unwrap();
    rig.until_ended(&id);
    assert!(rig.has_snapshot(other, &id));
    let (neighbour, heard) = rig.neighbour();
    neighbour.delete_job(&id).unwrap();
    while heard.recv_timeout(LONG).unwrap() != (Fact::Deleted { id: id.clone() }) {}
    assert!(!rig.has_snapshot(other, &id));
    assert!(refusal(&rig, "snapshotter", "none-such").contains("none-such"));
}

#[test]
fn nothing_in_an_image_is_a_device_or_set_user_id_for_who_is_not_root() {
    let Some(rig) = rig() else { return };
    let options = |uid: u32| {
        let job =
            NewJob { submitter: submitter(uid), ..job_with(&[], "grep ' / / ' /proc/self/mountinfo") };
        let (outcome, line) = rig.output(job);
        assert_eq!(outcome.exit_status, Some(0), "{outcome:?}");
        let options = line.split(' ').nth(5).unwrap().to_owned();
        options.split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |uid: u32| ["nosuid", "nodev"].map(|wanted| options(uid).iter().any(|it| it == wanted));
    // For a file system that is a part of another one, the daemon ignores them.
    let heeded = rig.settings.snapshotter.as_deref() != Some("native");
    assert_eq!((has(65534), has(0)), ([heeded; 2], [false; 2]));
}

#[test]
fn a_kept_container_stays_and_is_no_job() {
    let Some(rig) = rig() else { return };
    let job = job_with(&[("keep", "true")], "echo left > /left");
    let id = job.id.clone();
    assert_eq!(rig.run_and_keep(job).state(), JobState::Done);
    assert_eq!(rig.traces(&id), ["container", "snapshot"]);
    // A job that was deleted once may be deleted again, after a crash.
    rig.delete_kept(&id);
    assert_eq!(rig.traces(&id), ["container", "snapshot"]);
    assert!(!rig.tracker.list_jobs().unwrap().contains(&id));
    assert_eq!(rig.tracker.job_info(&id).unwrap_err().code, ErrorCode::InvalidArgument);
    // One that never ran is not kept.
    let prepared = job_with(&[("keep", "true")], "exit 0");
    rig.prepare(&prepared);
    rig.delete(&prepared.id);
    // Nor does it stand in the way of another job with its name.
    assert_eq!(rig.run(NewJob { id: id.clone(), ..self::job(script("exit 3")) }).exit_status, Some(3));
    assert!(refusal(&rig, "keep", "rubbish").contains("rubbish"));
}

#[test]
fn a_fork_bomb_leaves_room_for_others_and_nothing_behind() {
    let Some(rig) = rig() else { return };
    // Nobody else on the machine has this uid, so the limit is that of the job.
    const BOMBER: u32 = 717_171;
    let text = "ulimit -u 100; bomb() { sleep 1000 & bomb & bomb; }; bomb 2>/dev/null & echo; \
                exec sleep 1000";
    let bomb = NewJob { submitter: submitter(BOMBER), ..job_with(&[], text) };
    let id = bomb.id.clone();
    let _output = rig.start_and_hear(bomb);
    for _ in 0..3 {
        assert_eq!(rig.run(job(script("exit 3"))).exit_status, Some(3));
    }
    assert!(processes_of(BOMBER) > 50);
    assert_eq!(rig.tracker.job_state(&id).unwrap().0, JobState::Running);
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    assert_eq!(rig.until_ended(&id).signal, Some(libc::SIGTERM));
    assert_eq!(processes_of(BOMBER), 0);
    rig.delete(&id);
}

fn processes_of(uid: u32) -> usize {
    let owner = |entry: fs::DirEntry| entry.metadata().ok().map(|about| about.uid());
    fs::read_dir("/proc").unwrap().flatten().filter_map(owner).filter(|owner| *owner == uid).count()
}
