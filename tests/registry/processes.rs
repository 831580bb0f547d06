//! Pulls as processes with sessions see them.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use drmaa2::model::{Control, JobState};
use drmaa2::session::{Bulk, JobSession, Timeout};
use serde_json::json;

use super::image::{Image, Layer};
use super::part::{self, IMAGE, part, state_dir, succeeded};
use super::proxy::Proxy;
use super::rig::{is_possible, job, unfinished};
use super::server::{Server, sends_for_blobs};

const ABSENT: &str = "DRMAA2_TEST_PART_ABSENT";
const SESSION: &str = "watched";
const PROCESSES: usize = 10;

/// A process with a part in a test of this file.
fn process(test: &str, part: &str, state: &Path, image: &str) -> Child {
    process_with(test, part, state, image, &[])
}

/// The same with more in its environment.
fn process_with(test: &str, part: &str, state: &Path, image: &str, env: &[(&str, &str)]) -> Child {
    part::process(&format!("processes::{test}"), part, state, image, env)
}

#[test]
fn ten_processes_want_an_image_and_one_pulls_it() {
    if part().is_some() {
        return run();
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let layer = Layer::random(4 << 20);
    let digest = layer.digest();
    let name = server.push(&Image::new(vec![Layer::busybox(), layer], json!({})), "app:1");
    let test = "ten_processes_want_an_image_and_one_pulls_it";
    let all: Vec<Child> = (0..PROCESSES).map(|_| process(test, "submit", state.path(), &name)).collect();
    all.into_iter().for_each(succeeded);
    assert_eq!((server.downloads(&digest), server.requests("/app/manifests/1 ")), (1, 1));
}

#[test]
fn another_process_sees_how_far_a_pull_is_and_ends_the_job() {
    match part().as_deref() {
        Some("submit") => return submit_and_wait(),
        Some(_) => return watch_and_terminate(),
        None => {}
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let proxy = Proxy::new(&server.address);
    let layer = Layer::random(8 << 20);
    server.push(&Image::new(vec![Layer::busybox(), layer], json!({})), "app:1");
    proxy.limit(6 << 20);
    let test = "another_process_sees_how_far_a_pull_is_and_ends_the_job";
    let name = format!("{}/app:1", proxy.address);
    let submitter = process(test, "submit", state.path(), &name);
    proxy.until_stalled();
    succeeded(process(test, "watch", state.path(), &name));
    succeeded(submitter);
}

#[test]
fn a_pull_goes_on_where_a_process_that_was_killed_left_it() {
    match part().as_deref() {
        Some("submit") => return submit_and_wait(),
        Some(_) => return see_it_done(),
        None => {}
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let proxy = Proxy::new(&server.address);
    let layer = Layer::random(8 << 20);
    server.push(&Image::new(vec![Layer::busybox(), layer], json!({})), "app:1");
    proxy.limit(7 << 20);
    let test = "a_pull_goes_on_where_a_process_that_was_killed_left_it";
    let name = format!("{}/app:1", proxy.address);
    let mut submitter = process(test, "submit", state.path(), &name);
    proxy.until_stalled();
    let namespace = state.path().file_name().unwrap().to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while unfinished(namespace) < 5 << 20 {
        assert!(Instant::now() < deadline, "{} bytes", unfinished(namespace));
    }
    submitter.kill().unwrap();
    submitter.wait().unwrap();
    proxy.limit(u64::MAX);
    succeeded(process(test, "finish", state.path(), &name));
    assert!(proxy.passed() < 5 << 20, "{} bytes more", proxy.passed());
}

fn see_it_done() {
    let session = JobSession::open(SESSION).unwrap();
    let job = session.jobs(None).unwrap().pop().unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    let info = job.info().unwrap();
    assert_eq!(info.state, JobState::Done, "{info:?}");
}

#[test]
fn a_proxy_is_used_but_not_for_the_loopback_interface() {
    if part().is_some() {
        return run();
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let here = server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    let dir = state.path().join("registry.invalid");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("hosts.toml"), "server = 'http://registry.invalid'\n").unwrap();
    let test = "a_proxy_is_used_but_not_for_the_loopback_interface";
    let certs = ("DRMAA2_CERTS_DIR", state.path().to_str().unwrap());
    // A registry understands what is said to a proxy, whatever host it is about.
    let proxy = format!("http://{}", server.address);
    let env = [certs, ("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "")];
    succeeded(process_with(test, "there", state.path(), "registry.invalid/app:1", &env));
    let nowhere = "http://127.0.0.1:1";
    let env = [("HTTP_PROXY", nowhere), ("HTTPS_PROXY", nowhere), ("NO_PROXY", "")];
    succeeded(process_with(test, "here", state.path(), &here, &env));
}

#[test]
fn an_array_that_waits_for_an_image_keeps_no_other_job_from_starting() {
    if part().is_some() {
        return run_beside_an_array();
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let proxy = Proxy::new(&server.address);
    server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    proxy.limit(0);
    let test = "an_array_that_waits_for_an_image_keeps_no_other_job_from_starting";
    let env = [(ABSENT, format!("{}/app:1", proxy.address))];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let here = format!("{}/app:1", server.address);
    succeeded(process_with(test, "both", state.path(), &here, &env));
}

fn run_beside_an_array() {
    let session = JobSession::create(None, None).unwrap();
    let absent = job(&std::env::var(ABSENT).unwrap(), "true");
    let array = Bulk { begin: 1, end: 300, step: 1, max_parallel: 0 };
    let array = session.run_bulk_jobs(&absent, array).unwrap();
    run();
    array.control(Control::Terminate).unwrap();
    for task in array.jobs().unwrap() {
        task.wait_terminated(Timeout::Infinite).unwrap();
    }
}

#[test]
fn a_registry_without_tls_may_send_to_one_that_the_system_trusts() {
    if part().is_some() {
        return run();
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let layer = Layer::random(1000);
    let digest = layer.digest();
    server.push(&Image::new(vec![Layer::busybox(), layer], json!({})), "app:1");
    let (elsewhere, certificate) = server.over_tls();
    let file = state.path().join("certificates.pem");
    std::fs::write(&file, certificate).unwrap();
    let name = format!("{}/app:1", sends_for_blobs(&server, &elsewhere));
    // All of it is on the loopback interface, where no proxy is asked.
    let env = [("SSL_CERT_FILE", file.to_str().unwrap()), ("HTTPS_PROXY", "http://127.0.0.1:1")];
    let test = "a_registry_without_tls_may_send_to_one_that_the_system_trusts";
    succeeded(process_with(test, "run", state.path(), &name, &env));
    assert_eq!(elsewhere.downloads(&digest), 1);
}

/// Run a job in the image.
fn run() {
    let session = JobSession::create(None, None).unwrap();
    let job = session.run_job(job(&std::env::var(IMAGE).unwrap(), "true")).unwrap();
    job.wait_terminated(Timeout::After(Duration::from_secs(120))).unwrap();
    let info = job.info().unwrap();
    assert_eq!(info.state, JobState::Done, "{info:?}");
}

fn submit_and_wait() {
    let session = JobSession::create(Some(SESSION), None).unwrap();
    let job = session.run_job(job(&std::env::var(IMAGE).unwrap(), "true")).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
}

fn watch_and_terminate() {
    let session = JobSession::open(SESSION).unwrap();
    let job = session.jobs(None).unwrap().pop().unwrap();
    // Nobody is woken for it: who wants to know looks.
    let deadline = Instant::now() + Duration::from_secs(60);
    let counted = |text: &String| text.starts_with("pulling ") && text.contains(" of 2 layers, ");
    loop {
        let (state, detail) = job.state().unwrap();
        assert_eq!(state, JobState::Queued, "{detail:?}");
        if detail.as_ref().is_some_and(counted) {
            break;
        }
        assert!(Instant::now() < deadline, "{detail:?}");
    }
    job.control(Control::Terminate).unwrap();
    job.wait_terminated(Timeout::Infinite).unwrap();
    let info = job.info().unwrap();
    assert_eq!(info.state, JobState::Failed);
    assert_eq!(info.annotation.as_deref(), Some("terminated before it started"));
}
