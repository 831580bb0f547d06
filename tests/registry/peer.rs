//! containerd's own client, `ctr`, beside the library: the same daemon, a namespace of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::rig::{Rig, usual_snapshotter};

/// The words with which `ctr` begins to tell why it gives up; what a container says does not begin so.
const COMPLAINT: &str = "ctr: ";

pub struct Peer {
    program: OsString,
    /// It is of containerd 2 or later.
    pub is_new: bool,
    address: PathBuf,
    snapshotter: String,
    pub namespace: String,
}

impl Peer {
    /// One beside a rig.
    pub fn of(rig: &Rig) -> Self {
        let program = std::env::var_os("DRMAA2_TEST_CTR").unwrap_or_else(|| "ctr".into());
        let version = Command::new(&program).arg("--version").output();
        let version = version.expect("ctr: scripts/test installs it").stdout;
        // `ctr github.com/containerd/containerd/v2 2.1.4`, with the letters of a distribution at the end.
        let version = String::from_utf8(version).unwrap();
        let major = version.split_whitespace().last().and_then(|number| number.split('.').next());
        Self {
            program,
            is_new: major.unwrap().parse::<u32>().unwrap() >= 2,
            address: rig.settings.address.clone(),
            snapshotter: usual_snapshotter(),
            namespace: format!("{}-ctr", rig.settings.namespace),
        }
    }

    /// Look at the root of an image in a namespace; `None` if it has none.
    pub fn look<T>(&self, namespace: &str, name: &str, at: impl FnOnce(&Path) -> T) -> Option<T> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let mount = ["images", "mount", "--snapshotter", &self.snapshotter, name, path];
        let mounted = self.ctr_in(namespace, &mount);
        let found = mounted.status.success().then(|| at(dir.path()))?;
        let unmount = ["images", "unmount", "--snapshotter", &self.snapshotter, "--rm", path];
        let unmounted = self.ctr_in(namespace, &unmount);
        assert!(unmounted.status.success(), "{unmounted:?}");
        Some(found)
    }

    fn ctr(&self, arguments: &[&str]) -> Output {
        self.ctr_in(&self.namespace, arguments)
    }

    fn ctr_in(&self, namespace: &str, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .arg("--address")
            .arg(&self.address)
            .args(["--namespace", namespace])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Pull an image for this machine; gives the reason if that fails.
    pub fn pull(&self, name: &str, more: &[&str]) -> Result<(), String> {
        let pull = ["images", "pull", "--snapshotter", &self.snapshotter];
        // A new one has the daemon pull, which may be an older one.
        let local: &[_] = if self.is_new { &["--local"] } else { &[] };
        let output = self.ctr(&[&pull, local, more, &[name]].concat());
        if output.status.success() {
            return Ok(());
        }
        Err(complaint(&output).unwrap_or_else(|| format!("{output:?}")))
    }

    /// Run a command in an image: its exit code and what it wrote, or why it did not run.
    pub fn run(&self, name: &str, command: &[&str]) -> Result<(i64, String), String> {
        let id = ulid::Ulid::generate().to_string().to_lowercase();
        // Output that goes through `ctr` itself may be lost if the command is quick.
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = format!("file://{}", file.path().display());
        let run = ["run", "--rm", "--snapshotter", &self.snapshotter, "--log-uri", &log, name, &id];
        let output = self.ctr(&[&run, command].concat());
        match complaint(&output) {
            Some(reason) => Err(reason),
            None => {
                let text = std::fs::read(file.path()).unwrap();
                let text = String::from_utf8_lossy(&text).into_owned();
                Ok((output.status.code().unwrap().into(), text))
            }
        }
    }
}

/// The line in which `ctr` says what is wrong.
fn complaint(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().find_map(|line| line.strip_prefix(COMPLAINT)).map(str::to_owned)
}
