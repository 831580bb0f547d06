//! A containerd of a test's own, which it may kill, a runtime that waits where it is told to, and a connection
//! that can be cut.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use drmaa2::tracker::NewJob;

use super::{Rig, resolved_with, rig_elsewhere, setting};

/// A containerd with the image that all tests use. It ends, with all that it runs, when this is dropped.
pub(crate) struct Daemon {
    pub(crate) dir: tempfile::TempDir,
    script: PathBuf,
}

impl Daemon {
    /// `None` if this machine cannot have one.
    pub(crate) fn start() -> Option<Self> {
        let Some(script) = setting("DRMAA2_TEST_CONTAINERD") else {
            assert!(setting("DRMAA2_TEST_REQUIRE").is_none(), "DRMAA2_TEST_CONTAINERD is not set");
            eprintln!("SKIPPED: DRMAA2_TEST_CONTAINERD not set; no containerd was killed");
            return None;
        };
        // The name of its socket has to be short.
        let dir = tempfile::Builder::new().prefix("d2.").tempdir_in("/var/tmp").unwrap();
        let daemon = Self { dir, script: script.into() };
        daemon.tell("start");
        let image = daemon.dir.path().join("image.tar");
        let name = setting("DRMAA2_TEST_IMAGE").unwrap();
        let make = daemon.script.with_file_name("make-image");
        done(Command::new(make).arg(&image).arg(name));
        let snapshotter = daemon.snapshotter();
        done(daemon.ctr().args(["images", "import", "--snapshotter", &snapshotter]).arg(&image));
        Some(daemon)
    }

    /// Let `scripts/private-containerd` do something to it.
    pub(crate) fn tell(&self, what: &str) {
        done(Command::new(&self.script).arg(what).arg(self.dir.path()));
    }

    pub(crate) fn ctr(&self) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("-a").arg(self.socket()).args(["-n", "once"]);
        ctr
    }

    /// The ids that `ctr` lists.
    pub(crate) fn list(&self, what: &str) -> Vec<String> {
        let output = self.ctr().args([what, "ls", "-q"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn snapshotter(&self) -> String {
        fs::read_to_string(self.dir.path().join("snapshotter")).unwrap().trim().to_owned()
    }

    /// A tracker for this daemon.
    pub(crate) fn rig(&self) -> Option<Rig> {
        self.rig_at(self.socket())
    }

    /// The same, connected through a socket that leads there.
    pub(crate) fn rig_at(&self, socket: PathBuf) -> Option<Rig> {
        rig_elsewhere(|settings| {
            settings.address = socket;
            settings.namespace = "once".into();
            settings.snapshotter = Some(self.snapshotter());
        })
    }

    /// The shims that serve it, by their pids.
    pub(crate) fn shims(&self) -> Vec<u32> {
        let socket = self.socket();
        let is_ours = |process: &Path| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.windows(2).any(|pair| pair == [b"-address", socket.as_os_str().as_encoded_bytes()])
        };
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let ours = processes.filter(|process| is_ours(process));
        ours.filter_map(|process| process.file_name()?.to_str()?.parse().ok()).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ =
            Command::new(&self.script).arg("stop").arg(self.dir.path()).stdout(Stdio::null()).status();
    }
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// A runtime that waits before or after a command of its own, as often as it is told to.
pub(crate) struct Runtime(tempfile::TempDir);

/// The process that waits survives its callers: that makes a start late. A shim that has created something
/// waits for the end of the standard streams; one that starts it gives up with its caller.
const SCRIPT: &str = r#"#!/bin/bash
dir=${0%/*}
for word; do case $word in create|start|delete|kill|state) command=$word; break;; esac; done
point() {
    if mv "$dir/$1" "$dir/$1.taken" 2>/dev/null; then
        exec 7<>"$dir/$1.at"
        echo >&7
        read -r -t 100 _ <>"$dir/$1.go"
        exec 7>&-
    fi
}
late() {
    point "$command-before"
    RUNTIME "$@"
    result=$?
    point "$command-after"
    exit $result
}
case $command in
start) late "$@" >/dev/null 2>&1 & ;;
*) late "$@" & ;;
esac
wait $!
"#;

impl Runtime {
    /// One that runs containers by `program`.
    pub(crate) fn new(program: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Self(dir);
        fs::write(runtime.program(), SCRIPT.replace("RUNTIME", program)).unwrap();
        fs::set_permissions(runtime.program(), fs::Permissions::from_mode(0o755)).unwrap();
        runtime
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("runtime")
    }

    /// Let a job be run by it.
    pub(crate) fn run(&self, job: NewJob) -> NewJob {
        let program = self.program().to_str().unwrap().to_owned();
        let settings = resolved_with(&job.template, |settings| settings.runtime_binary = Some(program));
        NewJob { settings, ..job }
    }

    /// Let it wait when it comes to this point, as `start-before`, for the next time.
    pub(crate) fn hold(&self, point: &str) {
        for end in ["at", "go"] {
            let fifo = self.0.path().join(format!("{point}.{end}"));
            let _ = fs::remove_file(&fifo);
            nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        fs::write(self.0.path().join(point), "").unwrap();
    }

    /// Wait until it waits there.
    pub(crate) fn reached(&self, point: &str) {
        let fifo = File::open(self.0.path().join(format!("{point}.at"))).unwrap();
        assert_ne!(BufReader::new(fifo).read_line(&mut String::new()).unwrap(), 0);
    }

    /// Let it go on, or pass there if it has not come so far.
    pub(crate) fn release(&self, point: &str) {
        if fs::remove_file(self.0.path().join(point)).is_err() {
            let fifo = self.0.path().join(format!("{point}.go"));
            File::options().write(true).open(fifo).unwrap().write_all(b"\n").unwrap();
        }
    }
}

/// A socket that leads to a daemon, until its connections are cut.
pub(crate) struct Cable {
    path: PathBuf,
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Cable {
    pub(crate) fn to(daemon: &Daemon) -> Self {
        let path = daemon.dir.path().join("cable");
        // That of an earlier one.
        let _ = fs::remove_file(&path);
        let (listener, target) = (UnixListener::bind(&path).unwrap(), daemon.socket());
        let open: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
        let opened = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&target)) else { continue };
                let ends = [&client, &server].map(|end| end.try_clone().unwrap());
                opened.lock().unwrap().extend(ends);
                copy(client.try_clone().unwrap(), server.try_clone().unwrap());
                copy(server, client);
            }
        });
        Self { path, open }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Break all connections. Others can be made.
    pub(crate) fn cut(&self) {
        for end in self.open.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
