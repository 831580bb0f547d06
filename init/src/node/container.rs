//! The container of a job: an OCI runtime, without rights that the job's user does not have.
//!
//! The root file system is the image's directory below a layer that is the node's own. An ordinary user makes it in a
//! user namespace, in which the runtime is root as well.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::ptr;

use drmaa2_init::{CONTAINER_FILE, ERRORS_FILE, RUN_PLACEHOLDER, SPEC_FILE};

/// Names of the directories on a node begin so; the job's follows.
const PREFIX: &str = "drmaa2-";
/// A file in such a directory that is locked as long as the directory is in use.
const LOCK: &str = "lock";

/// A container on this node, and its directory, which goes with it.
pub(crate) struct Container {
    dir: PathBuf,
    runtime: OsString,
    _lock: File,
}

impl Container {
    /// Start the container of a job that has one.
    pub(crate) fn start(job_dir: &Path, run_dir: &Path) -> io::Result<Option<(Self, Child)>> {
        let text = match fs::read(job_dir.join(CONTAINER_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut lines = text.split(|byte| *byte == b'\n').map(OsStr::from_bytes);
        let (Some(lower), Some(runtime)) = (lines.next(), lines.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        sweep(&node_dir());
        let container = Self::make(job_dir, run_dir, runtime)?;
        let child = container.run(Path::new(lower), run_dir)?;
        Ok(Some((container, child)))
    }

    fn make(job_dir: &Path, run_dir: &Path, runtime: &OsStr) -> io::Result<Self> {
        let name = job_dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = node_dir().join(format!("{PREFIX}{name}-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir)?;
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(LOCK))?;
        // SAFETY: takes plain numbers.
        unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        let container = Self { dir, runtime: runtime.to_owned(), _lock: lock };
        for name in ["upper", "work", "rootfs", "run"] {
            DirBuilder::new().mode(0o755).create(container.dir.join(name))?;
        }
        let spec = fs::read_to_string(job_dir.join(SPEC_FILE))?;
        let run = run_dir.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        // Both are the text of a JSON string: nothing that would have to be escaped is in the names of jobs and runs.
        let place = job_dir.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let run = run.strip_prefix(place).ok_or(io::ErrorKind::InvalidFilename)?;
        fs::write(
            container.dir.join(SPEC_FILE),
            spec.replace(RUN_PLACEHOLDER, run.trim_start_matches('/')),
        )?;
        Ok(container)
    }

    fn run(&self, lower: &Path, run_dir: &Path) -> io::Result<Child> {
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
        let escaped = |path: &Path| path.to_str().map(|path| path.replace(['\\', ':', ','], "?"));
        // The kernel takes no such letters in the names of these directories without another way to write them.
        if escaped(lower).as_deref() != lower.to_str()
            || escaped(&self.dir).as_deref() != self.dir.to_str()
        {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let [upper, work, rootfs] = ["upper", "work", "rootfs"].map(|name| self.dir.join(name));
        // SAFETY: takes nothing.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let kind = if uid == 0 { "" } else { ",userxattr" };
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{kind}",
            lower.display(),
            upper.display(),
            work.display()
        );
        let (options, rootfs) = (CString::new(options)?, text(&rootfs)?);
        let errors = File::create(run_dir.join(ERRORS_FILE))?;
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(self.dir.join("run"));
        command.arg("run").arg("--bundle").arg(&self.dir).arg(self.id());
        command.env("XDG_RUNTIME_DIR", self.dir.join("run")).process_group(0);
        command.stdin(Stdio::null()).stdout(errors.try_clone()?).stderr(errors);
        let prepare = move || {
            if uid != 0 {
                check(unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS))?;
                fs::write("/proc/self/setgroups", "deny")?;
                fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
                fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
            } else {
                check(unshare(libc::CLONE_NEWNS))?;
            }
            // SAFETY: all texts end in NUL and outlive the calls.
            unsafe {
                let private = libc::MS_REC | libc::MS_PRIVATE;
                check(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()))?;
                let overlay = c"overlay".as_ptr();
                check(libc::mount(
                    overlay,
                    rootfs.as_ptr(),
                    overlay,
                    libc::MS_NODEV,
                    options.as_ptr().cast(),
                ))
            }
        };
        // SAFETY: the program has one thread, so the child may use the heap.
        unsafe { command.pre_exec(prepare) };
        let named = |error: io::Error| {
            let runtime = self.runtime.display();
            io::Error::new(
                error.kind(),
                format!("cannot run \"{runtime}\" on {}: {error}", lower.display()),
            )
        };
        command.spawn().map_err(named)
    }

    /// The name of the container.
    fn id(&self) -> &OsStr {
        self.dir.file_name().unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&self.dir, &self.runtime);
    }
}

fn unshare(flags: libc::c_int) -> libc::c_int {
    // SAFETY: takes a number.
    unsafe { libc::unshare(flags) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The directory for what a job needs on its node alone.
fn node_dir() -> PathBuf {
    let set = ["SLURM_TMPDIR", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    set.chain(["/tmp".into()])
        .find(|dir| dir.is_absolute() && dir.is_dir())
        .unwrap_or_else(|| "/tmp".into())
}

/// Remove what is left of containers whose program on this node was killed.
fn sweep(node_dir: &Path) {
    for entry in fs::read_dir(node_dir).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // Not that of another user, and not one that is being made.
        let Ok(lock) = OpenOptions::new().write(true).open(entry.path().join(LOCK)) else { continue };
        // SAFETY: takes plain numbers.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            remove(&entry.path(), OsStr::new("runc"));
        }
    }
}

/// Remove a container and its directory.
fn remove(dir: &Path, runtime: &OsStr) {
    let state = dir.join("run");
    // The runtime has removed it, unless it was killed.
    if fs::read_dir(&state).is_ok_and(|mut entries| entries.next().is_some()) {
        let mut command = Command::new(runtime);
        command
            .arg("--root")
            .arg(&state)
            .args(["delete", "--force"])
            .arg(dir.file_name().unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.env("XDG_RUNTIME_DIR", &state).status();
    }
    remove_all(dir);
}

/// Remove a directory, even if it contains directories that its user has closed.
fn remove_all(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    let _ = fs::remove_dir(dir);
}
