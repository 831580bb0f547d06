//! Processes with sessions. Such a process is this very program, with one test to run.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The part that a process of a test plays, and its image; set in those processes alone.
const PART: &str = "DRMAA2_TEST_PART";
pub const IMAGE: &str = "DRMAA2_TEST_PART_IMAGE";

/// A process with a part in `test`, and this in its environment. Those of the same state directory share
/// all there is.
pub fn process(test: &str, part: &str, state: &Path, image: &str, env: &[(&str, &str)]) -> Child {
    let namespace = state.file_name().unwrap().to_str().unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(PART, part)
        .env(IMAGE, image)
        .env("DRMAA2_STATE_DIR", state)
        .env("DRMAA2_AGENT", "off")
        .env("CONTAINERD_NAMESPACE", namespace)
        .envs(env.iter().copied())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// That of this process.
pub fn part() -> Option<String> {
    std::env::var(PART).ok()
}

pub fn state_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("drmaa2-pull-").tempdir().unwrap()
}

pub fn succeeded(mut process: Child) {
    assert!(process.wait().unwrap().success());
}
