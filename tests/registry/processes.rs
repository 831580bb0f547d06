//! Pulls as processes with sessions see them.

use std::process::{Child, Command, Stdio};

use drmaa2::model::{Control, JobState, JobTemplate};
use drmaa2::session::{JobSession, Timeout};
use serde_json::json;

use super::image::{Image, Layer};
use super::proxy::Proxy;
use super::rig::{is_possible, job};
use super::server::Server;

/// Set in a process that a test starts: the image of its job.
const IMAGE: &str = "DRMAA2_TEST_CHILD_IMAGE";
const PROCESSES: usize = 10;

/// This test again as a process, on the same store as its sisters.
fn sister(test: &str, state: &std::path::Path, image: &str) -> Child {
    let namespace = state.file_name().unwrap().to_str().unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(IMAGE, image)
        .env("DRMAA2_STATE_DIR", state)
        .env("DRMAA2_AGENT", "off")
        .env("CONTAINERD_NAMESPACE", namespace)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

fn state_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("drmaa2-pull-").tempdir().unwrap()
}

#[test]
fn ten_processes_want_an_image_and_one_pulls_it() {
    if let Ok(image) = std::env::var(IMAGE) {
        let session = JobSession::create(None, None).unwrap();
        let job = session.run_job(job(&image, "true")).unwrap();
        job.wait_terminated(Timeout::Infinite).unwrap();
        let info = job.info().unwrap();
        assert_eq!(info.state, JobState::Done, "{info:?}");
        return;
    }
    if !is_possible() {
        return;
    }
    let (server, state) = (Server::start(), state_dir());
    let layer = Layer::random(4 << 20);
    let digest = layer.digest();
    let name = server.push(&Image::new(vec![Layer::busybox(), layer], json!({})), "app:1");
    let test = "processes::ten_processes_want_an_image_and_one_pulls_it";
    let all: Vec<Child> = (0..PROCESSES).map(|_| sister(test, state.path(), &name)).collect();
    for mut process in all {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(server.downloads(&digest), 1);
}
