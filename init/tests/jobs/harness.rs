//! Runs a job under init and reports how it ended.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use drmaa2_init::{Order, Record, TERMINATE_FILE};

/// The built init.
pub(crate) const INIT: &str = env!("CARGO_BIN_EXE_drmaa2-init");

/// Longer than any job here takes; a test that needs it has failed.
const TIMEOUT_MS: i32 = 60_000;

/// The reason of a job that got a signal to end without a request.
pub(crate) const UNASKED: &str = "ended by a signal that nobody asked for: the machine went down, or its \
                                  container was signalled from outside";

/// Puts the job's own account files and its small disk in place and becomes init.
const CONTAINER: &str = r#"set -e
for file in passwd group; do
    if [ -e "$1/$file" ]; then mount --bind "$1/$file" "/etc/$file"; fi
done
if [ -d "$1/small" ]; then mount -t tmpfs -o size=32k none "$1/small" && : >"$1/small/stdout"; fi
exec "$0" "$1""#;

/// A job that is not started yet.
pub(crate) struct Job {
    dir: PathBuf,
    pub(crate) order: Order,
}

impl Job {
    pub(crate) fn new(args: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("drmaa2-init-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        // A job of any user may work here.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let bytes = |name: &str| dir.join(name).into_os_string().into_encoded_bytes();
        let order = Order {
            args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
            directory: bytes(""),
            stdout: bytes("stdout"),
            stderr: bytes("stderr"),
            grace: 60_000,
            linger: 60_000,
            ..Order::default()
        };
        let job = Self { dir, order };
        job.put("stdout", b"");
        job.put("stderr", b"");
        job.fifo("ready");
        job.fifo("hold");
        job
    }

    pub(crate) fn sh(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path as an order holds it.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.path(name).into_os_string().into_encoded_bytes()
    }

    pub(crate) fn put(&self, name: &str, text: &[u8]) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned()
    }

    pub(crate) fn fifo(&self, name: &str) {
        let path = CString::new(self.bytes(name)).unwrap();
        // SAFETY: the path ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o666) }, 0);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// Mount a disk of 32 KiB at the directory `small`, with a file `stdout`. It vanishes at the end.
    pub(crate) fn small_disk(&self) {
        fs::create_dir(self.path("small")).unwrap();
    }

    pub(crate) fn start(self) -> Running {
        self.order.write(&self.dir).unwrap();
        let ready = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.path("ready"))
            .unwrap();
        let process = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", CONTAINER, INIT])
            .arg(&self.dir)
            .spawn()
            .expect("unshare");
        // SAFETY: the process is ours and not yet waited for; a valid descriptor is then owned here.
        let exit = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, process.id(), 0);
            OwnedFd::from_raw_fd(RawFd::try_from(fd).unwrap())
        };
        Running { job: self, process, exit, ready }
    }

    pub(crate) fn run(self) -> Ended {
        self.start().wait()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A job under init.
pub(crate) struct Running {
    job: Job,
    process: Child,
    exit: OwnedFd,
    ready: File,
}

impl Running {
    /// Wait until the job has written to `ready` in its directory.
    pub(crate) fn ready(self) -> Self {
        assert!(readable(&self.ready, TIMEOUT_MS), "the job did not get ready");
        self
    }

    /// Ask the job to end as the library does: by a file, then a signal.
    pub(crate) fn request(self, signal: i32) -> Self {
        self.job.put(TERMINATE_FILE, b"");
        self.signal(signal)
    }

    /// Send init a signal from outside its container, as containerd does.
    pub(crate) fn signal(self, signal: i32) -> Self {
        self.send(signal);
        self
    }

    /// Send a signal again and again until the job has ended.
    pub(crate) fn signal_until_end(self, signal: i32) -> Ended {
        while !readable(&self.exit, 20) {
            self.send(signal);
        }
        self.wait()
    }

    fn send(&self, signal: i32) {
        if let Some(init) = child(self.process.id()) {
            // SAFETY: takes and returns plain numbers.
            unsafe { libc::kill(init.cast_signed(), signal) };
        }
    }

    /// A path in the job's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.job.path(name)
    }

    /// A descriptor of the command, as a process outside of the container may open it.
    pub(crate) fn stream(&self, fd: u32) -> String {
        let command = child(self.process.id()).and_then(child).expect("a command");
        format!("/proc/{command}/fd/{fd}")
    }

    pub(crate) fn wait(mut self) -> Ended {
        if !readable(&self.exit, TIMEOUT_MS) {
            self.process.kill().unwrap();
            panic!("the job did not end");
        }
        let status = self.process.wait().unwrap();
        assert_eq!(status.signal(), None, "init itself was killed");
        let record = Record::read(&self.job.dir).expect("a record");
        assert!(record.started > 0 && record.finished >= record.started, "{record:?}");
        Ended { code: status.code().unwrap(), record, job: self.job }
    }
}

/// The first child of a process.
fn child(id: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    children.split_whitespace().next().map(|child| child.parse().unwrap())
}

/// A job that has ended.
pub(crate) struct Ended {
    /// Exit code of init.
    pub(crate) code: i32,
    pub(crate) record: Record,
    pub(crate) job: Job,
}

impl Ended {
    pub(crate) fn stdout(&self) -> String {
        self.job.get("stdout")
    }

    pub(crate) fn remark(&self) -> String {
        String::from_utf8(self.record.remark.clone().unwrap_or_default()).unwrap()
    }

    pub(crate) fn reason(&self) -> String {
        String::from_utf8(self.record.reason.clone().unwrap_or_default()).unwrap()
    }

    /// The command exited by itself, with this code.
    pub(crate) fn assert_exit(&self, code: i32) {
        assert_eq!((self.reason().as_str(), self.code), ("", code), "{}", self.job.get("stderr"));
        assert_eq!((self.record.exit_code, self.record.signal), (Some(code), None));
    }

    /// The end was not requested.
    pub(crate) fn assert_interrupted(&self, signal: i32, reason: &str) {
        assert!(self.record.interrupted, "{:?}", self.record);
        self.assert_signal(signal, reason);
    }

    /// The command was ended by this signal.
    pub(crate) fn assert_signal(&self, signal: i32, reason: &str) {
        assert_eq!((self.reason().as_str(), self.code), (reason, 128 + signal));
        assert_eq!((self.record.exit_code, self.record.signal), (None, Some(signal)));
    }

    /// The command was not tried.
    pub(crate) fn assert_unstarted(&self, reason: &str) {
        assert_eq!((self.reason().as_str(), self.code), (reason, 125));
        assert_eq!((self.record.exit_code, self.record.signal), (None, None));
        assert!(self.record.untried);
    }

    /// The command was not tried, because of a request with this signal.
    pub(crate) fn assert_unwanted(&self, signal: i32, reason: &str) {
        assert_eq!((self.reason().as_str(), self.code), (reason, 128 + signal));
        assert_eq!((self.record.exit_code, self.record.signal), (None, Some(signal)));
        assert!(self.record.untried);
    }

    /// The command exited with this code, for this reason.
    pub(crate) fn assert_reason(&self, code: i32, reason: &str) {
        assert_eq!((self.reason().as_str(), self.code), (reason, code));
        assert_eq!((self.record.exit_code, self.record.signal), (Some(code), None));
    }
}

/// The path as text for a reason.
pub(crate) fn quoted(path: &Path) -> String {
    format!("\"{}\"", String::from_utf8_lossy(path.as_os_str().as_bytes()))
}

fn readable(file: &impl AsRawFd, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry, and the descriptor is open.
    unsafe { libc::poll(&mut poll, 1, timeout_ms) > 0 && poll.revents & libc::POLLIN != 0 }
}
