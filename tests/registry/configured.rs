//! The configuration of the process that submits a job holds for it, whichever process starts it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use drmaa2::model::{Control, JobState, JobTemplate};
use drmaa2::session::{JobSession, Timeout};
use drmaa2_init::Order;
use serde_json::json;

use super::image::{Image, Layer};
use super::part::{IMAGE, part, process, state_dir, succeeded};
use super::rig::{LONG, is_possible, job};
use super::server::Server;

const SESSION: &str = "configured";

fn setting(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap().into()
}

fn state() -> PathBuf {
    setting("DRMAA2_STATE_DIR")
}

fn script(text: &str) -> JobTemplate {
    job(setting(IMAGE).to_str().unwrap(), text)
}

fn grace_of(id: &str) -> Duration {
    Duration::from_millis(Order::read(&state().join("jobs").join(id).join("shared")).unwrap().grace)
}

fn agent() -> PathBuf {
    std::env::var_os("DRMAA2_TEST_AGENT").expect("DRMAA2_TEST_AGENT: scripts/test sets it").into()
}

/// A program that leaves a mark and is another one.
fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn another_process_starts_a_job_as_it_was_configured_where_it_was_submitted() {
    match part().as_deref() {
        Some("submit") => return submit(),
        Some(_) => return start(),
        None => {}
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::with_password(), state_dir());
    let name = server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let file = |name: &str, text: &str| fs::write(path(name), text).unwrap();
    let mark = path("mark");
    program(&path("my-runc"), &format!("echo ran >>{}; exec runc \"$@\"", mark.display()));
    file(
        "gpu.json",
        r#"{"cdiVersion": "0.6.0", "kind": "example.com/gpu", "devices":
            [{"name": "one", "containerEdits": {"env": ["VENDOR=example"]}}]}"#,
    );
    // A helper that is found by PATH, and finds by DOCKER_CONFIG what it needs.
    program(&path("docker-credential-test"), "read -r server; cat \"$DOCKER_CONFIG/answer\"");
    file("answer", r#"{"Username": "drmaa2", "Secret": "secret"}"#);
    file("config.json", &json!({ "credHelpers": { server.address.as_str(): "test" } }).to_string());
    nix::unistd::mkfifo(&path("mail"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    program(&path("sendmail"), &format!("exec cat >{}", path("mail").display()));
    let (here, runc) = (dir.path().to_str().unwrap(), path("my-runc"));
    let own = format!(
        "sendmail = '{here}/sendmail'\nruntime_binary = '{}'\ncdi_dirs = ['{here}']\ngrace_seconds = 7\ndefault_category = 'own'\n\
         [categories.own]\nimage = '{name}'\n",
        runc.display()
    );
    file("own.toml", &own);
    let others = "runtime_binary = '/no/such/runc'\ngrace_seconds = 600\npull = 'never'\n\
                  cdi_dirs = []\ncerts_dir = '/nowhere'\ndefault_category = 'no/such:image'\n";
    file("others.toml", others);
    let test = "configured::another_process_starts_a_job_as_it_was_configured_where_it_was_submitted";
    let searched = format!("{here}:{}", std::env::var("PATH").unwrap());
    let own = [
        ("DRMAA2_CONFIG", path("own.toml")),
        ("DOCKER_CONFIG", here.into()),
        ("PATH", searched.into()),
        ("HTTPS_PROXY", "http://name:pass-word@127.0.0.1:1".into()),
    ];
    let own = own.each_ref().map(|(name, value)| (*name, value.to_str().unwrap()));
    succeeded(process(test, "submit", state.path(), &name, &own));
    let others = [
        ("DRMAA2_CONFIG", path("others.toml")),
        // Its program sends mails; and whether it starts the job or the process itself makes no difference.
        ("DRMAA2_AGENT", agent()),
        ("DOCKER_CONFIG", "/nowhere".into()),
        ("HOME", "/nowhere".into()),
    ];
    let others = others.each_ref().map(|(name, value)| (*name, value.to_str().unwrap()));
    let (sender, mail) = mpsc::channel();
    let fifo = path("mail");
    std::thread::spawn(move || sender.send(fs::read_to_string(fifo).unwrap()));
    succeeded(process(test, "start", state.path(), &name, &others));
    let mail = mail.recv_timeout(LONG).unwrap();
    assert!(mail.starts_with("To: a@b\n") && mail.contains(" is DONE\n"), "{mail}");
    assert!(mark.exists(), "another runtime's program was used");
    for file in fs::read_dir(state.path()).unwrap() {
        let path = file.unwrap().path();
        let content = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let content = String::from_utf8_lossy(&content);
        for secret in ["pass-word", "ZHJtYWEyOnNlY3JldA", "secret"] {
            assert!(!content.contains(secret), "{secret} in {}", path.display());
        }
    }
}

fn submit() {
    let session = JobSession::create(Some(SESSION), None).unwrap();
    let mut short = script("test \"$VENDOR\" = example");
    short.job_category = None;
    short.email = Some(vec!["a@b".into()]);
    short.email_on_terminated = true;
    let devices = [("containerd_jt_devices".to_owned(), "example.com/gpu=one".into())];
    let short = JobTemplate { extensions: devices.into(), ..short };
    for template in [short, script("exec sleep 1000")] {
        let held = JobTemplate { submit_as_hold: true, ..template };
        session.run_job(held).unwrap();
    }
    session.close().unwrap();
}

fn start() {
    let session = JobSession::open(SESSION).unwrap();
    let jobs: Vec<_> = session.jobs(None).unwrap();
    let [short, long] = &jobs[..] else { panic!("{jobs:?}") };
    short.control(Control::Release).unwrap();
    short.wait_terminated(Timeout::After(LONG)).unwrap();
    let info = short.info().unwrap();
    assert_eq!(info.state, JobState::Done, "{info:?}");
    long.control(Control::Release).unwrap();
    long.wait_started(Timeout::After(LONG)).unwrap();
    let info = long.info().unwrap();
    assert_eq!(info.state, JobState::Running, "{info:?}");
    assert_eq!(grace_of(&long.id), Duration::from_secs(7));
    long.control(Control::Kill).unwrap();
    long.wait_terminated(Timeout::After(LONG)).unwrap();
    session.close().unwrap();
}

#[test]
fn an_edited_file_counts_for_the_next_submission_while_an_agent_lives() {
    if part().is_some() {
        return edit();
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let name = server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    let file = state.path().join("own.toml");
    let agent = agent();
    let env = [("DRMAA2_CONFIG", &file), ("DRMAA2_AGENT", &agent)]
        .map(|(name, value)| (name, value.to_str().unwrap()));
    fs::write(&file, "grace_seconds = 3\n").unwrap();
    let test = "configured::an_edited_file_counts_for_the_next_submission_while_an_agent_lives";
    succeeded(process(test, "edit", state.path(), &name, &env));
}

fn edit() {
    let session = JobSession::create(Some(SESSION), None).unwrap();
    let run = || {
        let job = session.run_job(script("exec sleep 1000")).unwrap();
        job.wait_started(Timeout::After(LONG)).unwrap();
        let info = job.info().unwrap();
        assert_eq!(info.state, JobState::Running, "{info:?}");
        job
    };
    // It keeps the agent.
    let first = run();
    fs::write(setting("DRMAA2_CONFIG"), "grace_seconds = 5\n").unwrap();
    let second = run();
    assert_eq!(grace_of(&first.id), Duration::from_secs(3));
    assert_eq!(grace_of(&second.id), Duration::from_secs(5));
    fs::write(setting("DRMAA2_CONFIG"), "grace = 5\n").unwrap();
    let refused = session.run_job(script("true")).unwrap_err();
    assert!(refused.message.contains("own.toml") && refused.message.contains("grace"), "{refused}");
    for job in [first, second] {
        job.control(Control::Kill).unwrap();
        job.wait_terminated(Timeout::After(LONG)).unwrap();
    }
    session.close().unwrap();
}
