//! The account of jobs that ran on a real containerd: what they used, what killed them, where they ran.
//! It needs what `tests/containerd_tracker.rs` needs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drmaa2::model::{Control, JobInfo, JobState, JobTemplate};
use drmaa2::session::{JobRef, JobSession, Timeout};

/// Nothing here takes so long unless it hangs.
const PATIENCE: Timeout = Timeout::After(Duration::from_secs(120));

/// False where there is no containerd to test with, and none is required.
fn ready() -> bool {
    let needed = ["CONTAINERD_ADDRESS", "DRMAA2_TEST_IMAGE", "DRMAA2_INIT", "DRMAA2_STATE_DIR"];
    let missing: Vec<_> = needed.into_iter().filter(|name| env::var_os(name).is_none()).collect();
    let required = env::var("DRMAA2_TEST_REQUIRE").is_ok_and(|value| value == "1");
    assert!(
        missing.is_empty() || !required,
        "DRMAA2_TEST_REQUIRE=1, but {} not set",
        missing.join(", ")
    );
    if !missing.is_empty() {
        eprintln!("SKIPPED: {} not set; no account was tested", missing.join(", "));
    }
    missing.is_empty()
}

fn script(text: &str) -> JobTemplate {
    JobTemplate {
        remote_command: Some("sh".into()),
        args: Some(vec!["-c".into(), text.into()]),
        job_category: Some(env::var("DRMAA2_TEST_IMAGE").unwrap().as_str().into()),
        ..JobTemplate::default()
    }
}

fn finish(job: &JobRef) -> JobInfo {
    job.wait_terminated(PATIENCE).unwrap();
    job.info().unwrap()
}

fn extension(info: &JobInfo, name: &str) -> Option<String> {
    let name = format!("containerd_ji_{name}");
    info.extensions().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn ctr(args: &[&str]) -> String {
    let mut command = Command::new("ctr");
    command.args(["-a", &env::var("CONTAINERD_ADDRESS").unwrap(), "-n"]);
    command.arg(env::var("CONTAINERD_NAMESPACE").unwrap()).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn cpu_time_is_that_of_all_descendants() {
    if !ready() {
        return;
    }
    let session = JobSession::create(None, None).unwrap();
    // Each is killed after a second on the processor, however long that takes; the kernel counts that second in
    // ticks, which on a busy machine are not just as long.
    let burn = "for child in 1 2; do sh -c 'ulimit -t 1; while :; do :; done' & done; wait; exit 0";
    let info = finish(&session.run_job(script(burn)).unwrap());
    assert_eq!(info.state, JobState::Done, "{info:?}");
    let cpu = info.usage.cpu_time.unwrap();
    assert!((1500..=2500).contains(&cpu), "{cpu} ms");
    assert_eq!(extension(&info, "cpu_millis"), Some(cpu.to_string()));
    session.close().unwrap();
}

#[test]
fn memory_image_and_container_are_told() {
    if !ready() {
        return;
    }
    let session = JobSession::create(None, None).unwrap();
    let template = JobTemplate {
        accounting_id: Some("grant 7".into()),
        ..script("dd if=/dev/zero of=/dev/null bs=40M count=1")
    };
    let job = session.run_job(template).unwrap();
    let info = finish(&job);
    assert_eq!(info.state, JobState::Done, "{info:?}");
    assert!(info.usage.max_rss.unwrap() > 40 * 1024, "{info:?}");
    let (peak, start) = (info.usage.peak_memory.unwrap(), info.usage.start_memory.unwrap());
    assert!(peak > 40 << 20 && start > 0 && start < 40 << 20, "{info:?}");
    assert_eq!(extension(&info, "start_memory"), Some(start.to_string()));
    assert_eq!(extension(&info, "oom_killed").as_deref(), Some("false"));
    assert_eq!(extension(&info, "container_id"), Some(job.id.clone()));
    assert_eq!(extension(&info, "accounting_id").as_deref(), Some("grant 7"));
    let (image, digest) =
        (extension(&info, "image").unwrap(), extension(&info, "image_digest").unwrap());
    let images = ctr(&["images", "list"]);
    let line = images.lines().find(|line| line.starts_with(&format!("{image} "))).unwrap();
    assert!(line.contains(&digest), "{digest} is not in {line}");
    session.close().unwrap();
}

#[test]
fn a_job_sees_its_own_control_group_and_nothing_above() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // The paths of its groups, its limit, whether it is in there, and what it can change.
    let look = "cut -d: -f3 /proc/self/cgroup | sort -u; cd /sys/fs/cgroup; \
                cat memory.max memory/memory.limit_in_bytes; \
                for file in cgroup.procs memory/cgroup.procs; do \
                    [ ! -e $file ] || { grep -c '^1$' $file; echo 1 >$file || echo read-only; }; done";
    let session = JobSession::create(None, None).unwrap();
    for init in ["on", "off"] {
        let out = dir.path().join(init);
        let extensions = [("containerd_jt_memory", "64m"), ("containerd_jt_init", init)];
        let template = JobTemplate {
            output_path: Some(out.as_path().into()),
            extensions: extensions.map(|(name, value)| (name.to_owned(), value.into())).into(),
            ..script(look)
        };
        let info = finish(&session.run_job(template).unwrap());
        assert_eq!(info.state, JobState::Done, "{info:?}");
        assert_eq!(fs::read_to_string(&out).unwrap(), "/\n67108864\n1\nread-only\n", "init {init}");
    }
    session.close().unwrap();
}

/// The file that limits the memory of a control group, and what is not below it.
fn limit_file(job: &str) -> PathBuf {
    let group = Path::new(&env::var("CONTAINERD_NAMESPACE").unwrap()).join(job);
    let first = Path::new("/sys/fs/cgroup/memory").join(&group).join("memory.limit_in_bytes");
    let second = Path::new("/sys/fs/cgroup").join(&group).join("memory.max");
    if first.exists() { first } else { second }
}

#[test]
fn a_job_without_memory_is_told_from_one_that_was_killed() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    fs::write(&gate, "").unwrap();
    let session = JobSession::create(None, None).unwrap();
    let hungry =
        "until read line; do usleep 10000; done; exec dd if=/dev/zero of=/dev/null bs=200M count=1";
    let template = JobTemplate { input_path: Some(gate.as_path().into()), ..script(hungry) };
    let job = session.run_job(template).unwrap();
    job.wait_started(PATIENCE).unwrap();
    let labels = ctr(&["containers", "info", &job.id]);
    assert!(labels.contains("drmaa2.image_digest"), "{labels}");
    fs::write(limit_file(&job.id), (32 << 20).to_string()).unwrap();
    fs::write(&gate, "go\n").unwrap();
    let info = finish(&job);
    assert_eq!((info.state, info.terminating_signal.as_deref()), (JobState::Failed, Some("SIGKILL")));
    let annotation = info.annotation.clone().unwrap();
    assert!(annotation.starts_with("killed for want of memory"), "{annotation}");
    assert_eq!(extension(&info, "oom_killed").as_deref(), Some("true"));
    assert!(info.usage.peak_memory.unwrap() > 16 << 20, "{info:?}");

    let info = finish(&session.run_job(script("kill -KILL $$")).unwrap());
    assert_eq!((info.state, info.terminating_signal.as_deref()), (JobState::Failed, Some("SIGKILL")));
    assert_eq!((info.annotation.as_deref(), info.usage.oom_killed), (None, false));
    session.close().unwrap();
}

/// The cause of its end is open; a command that could not be run has the code that a shell gives it.
#[test]
fn a_job_that_never_ran_has_no_exit_status() {
    if !ready() {
        return;
    }
    let session = JobSession::create(None, None).unwrap();
    let host = tempfile::NamedTempFile::new().unwrap();
    let copied = vec![(host.path().to_str().unwrap().into(), "/proc/no/such/place".into())];
    let with = |name: &str, value: &str| {
        let mut template = script("echo ran");
        template.extensions.insert(format!("containerd_jt_{name}"), value.into());
        template
    };
    for (template, reason) in [
        (JobTemplate { stage_in_files: Some(copied), ..script("echo ran") }, "stageInFiles"),
        (JobTemplate { input_path: Some("/no/such/input".into()), ..script("cat") }, "/no/such/input"),
        (with("memory", "1m"), "containerd_jt_memory"),
        (JobTemplate { submit_as_hold: true, ..script("echo ran") }, "terminated"),
    ] {
        let is_held = template.submit_as_hold;
        let job = session.run_job(template).unwrap();
        if is_held {
            job.control(Control::Terminate).unwrap();
        }
        let info = finish(&job);
        assert_eq!((info.state, info.exit_status), (JobState::Failed, None), "{info:?}");
        assert_eq!(info.terminating_signal, None, "{info:?}");
        assert!(info.annotation.as_ref().is_some_and(|text| text.contains(reason)), "{info:?}");
    }
    let missing = JobTemplate { remote_command: Some("/no/such".into()), ..script("") };
    assert_eq!(finish(&session.run_job(missing).unwrap()).exit_status, Some(127));
    session.close().unwrap();
}
