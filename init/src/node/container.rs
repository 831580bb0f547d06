//! The container of a job: an OCI runtime, without rights that the job's user does not have; or another program of the
//! site, see [`site`](super::site).
//!
//! The root file system is the image's directory below a layer that is the node's own. An ordinary user makes it in a
//! user namespace, in which the runtime is root as well.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::ptr;

use drmaa2_cdi::Edits;
use drmaa2_init::array::replace;
use drmaa2_init::{
    CONTAINER_FILE, ERRORS_FILE, NODE_PLACEHOLDER, RUN_PLACEHOLDER, SITE_FILE, SPEC_FILE,
    keep_locked_options,
};

use super::gpus;
use super::job::Job;
use super::site;

/// Names of the directories on a node begin so; the job's follows.
const PREFIX: &str = "drmaa2-";
/// A file in such a directory that is locked as long as the directory is in use.
const LOCK: &str = "lock";
/// A file in it with the name of the runtime.
const RUNTIME: &str = "runtime";

/// A container on this node, and its directory, which goes with it.
pub(crate) struct Container {
    dir: PathBuf,
    runtime: OsString,
    _lock: File,
}

/// The way in which a container is started.
pub(crate) enum Start {
    /// By an OCI runtime, over the root file system of the image.
    Runtime { lower: PathBuf, runtime: OsString },
    /// By this command.
    Site(Vec<OsString>),
}

impl Start {
    /// The one of a job, if it has a container.
    pub(crate) fn of(job: &Job) -> io::Result<Option<Self>> {
        let found = |name: &str| match job.text(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => text.map(Some),
        };
        if let Some(text) = found(SITE_FILE)? {
            let text = text.strip_suffix(b"\0").unwrap_or(&text);
            let words = text.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned());
            return Ok(Some(Self::Site(words.collect())));
        }
        let Some(text) = found(CONTAINER_FILE)? else { return Ok(None) };
        let mut lines = text.split(|byte| *byte == b'\n').map(OsStr::from_bytes);
        match (lines.next(), lines.next()) {
            (Some(lower), Some(runtime)) => {
                Ok(Some(Self::Runtime { lower: lower.into(), runtime: runtime.into() }))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Returns whether init is in a step of Slurm's.
    pub(crate) fn is_step(&self) -> bool {
        matches!(self, Self::Site(words) if site::is_step(words))
    }
}

impl Container {
    /// Start the container of a job.
    pub(crate) fn start(
        job: &Job,
        run_dir: &Path,
        start: &Start,
        gpus: Option<&Edits>,
    ) -> io::Result<(Self, Child)> {
        let runtime = match start {
            Start::Runtime { runtime, .. } => runtime.as_os_str(),
            Start::Site(_) => OsStr::new(""),
        };
        let container = Self::make(job, run_dir, runtime, gpus)?;
        let child = match start {
            Start::Runtime { lower, .. } => container.run(lower, run_dir)?,
            Start::Site(words) => {
                let words: Vec<OsString> = words
                    .iter()
                    .map(|word| container.filled(job, run_dir, word.as_bytes()))
                    .collect::<io::Result<_>>()?;
                site::run(&words, run_dir)?
            }
        };
        Ok((container, child))
    }

    fn make(job: &Job, run_dir: &Path, runtime: &OsStr, gpus: Option<&Edits>) -> io::Result<Self> {
        let name = job.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (dir, lock) = make_dir(&node_dir(), &name, runtime)?;
        let container = Self { dir, runtime: runtime.to_owned(), _lock: lock };
        for name in ["upper", "work", "rootfs", "run"] {
            DirBuilder::new().mode(0o755).create(container.dir.join(name))?;
        }
        match job.text(SPEC_FILE) {
            // Not all programs of sites need one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            spec => {
                let text = container.filled(job, run_dir, &spec?)?.into_vec();
                // SAFETY: takes nothing.
                let is_root = unsafe { libc::geteuid() } == 0;
                let text = match serde_json::from_slice(&text) {
                    Ok(mut spec) => {
                        if let Some(gpus) = gpus {
                            gpus::apply(gpus, &mut spec, is_root)?;
                        }
                        if !is_root {
                            keep_locked_options(&mut spec);
                        }
                        spec.to_string().into_bytes()
                    }
                    // The messages for a containerd of the node are several documents, and go to it as they are.
                    Err(_) if gpus.is_none() => text,
                    Err(error) => return Err(error.into()),
                };
                fs::write(container.dir.join(SPEC_FILE), text)?;
            }
        }
        Ok(container)
    }

    /// A text with the directories of this run. In a spec they are the text of a JSON string, so that nothing may be in
    /// them that would have to be escaped there.
    fn filled(&self, job: &Job, run_dir: &Path, text: &[u8]) -> io::Result<OsString> {
        let run = run_dir.strip_prefix(&job.dir).map_err(|_| io::ErrorKind::InvalidFilename)?;
        let dir = self.dir.to_str().filter(|dir| !dir.contains(['"', '\\', ':', ',']));
        let text = replace(text, RUN_PLACEHOLDER.as_bytes(), run.as_os_str().as_bytes());
        if !text.windows(NODE_PLACEHOLDER.len()).any(|window| window == NODE_PLACEHOLDER.as_bytes()) {
            return Ok(OsString::from_vec(text));
        }
        let dir = dir.ok_or_else(|| {
            let text = format!(
                "{}: no container can be made in a directory of such a name",
                self.dir.display()
            );
            io::Error::new(io::ErrorKind::InvalidFilename, text)
        })?;
        Ok(OsString::from_vec(replace(&text, NODE_PLACEHOLDER.as_bytes(), dir.as_bytes())))
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

/// Make the directory of a container of this job, and lock it.
fn make_dir(node_dir: &Path, name: &str, runtime: &OsStr) -> io::Result<(PathBuf, File)> {
    let dir = node_dir.join(format!("{PREFIX}{name}-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&dir)?;
    // It gets its name once it is locked: nobody is to take this directory for one that was left.
    let new = dir.join("new");
    let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    take(&lock);
    fs::write(dir.join(RUNTIME), runtime.as_bytes())?;
    fs::rename(new, dir.join(LOCK))?;
    Ok((dir, lock))
}

/// Lock a file; false if another process has done so.
fn take(lock: &File) -> bool {
    // SAFETY: takes plain numbers.
    unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Remove what is left of containers whose program on this node was killed.
pub(crate) fn sweep_node() {
    sweep(&node_dir());
}

fn sweep(node_dir: &Path) {
    for entry in fs::read_dir(node_dir).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // Not that of another user, who could lead root astray with what is in it.
        // SAFETY: takes nothing.
        let own = unsafe { libc::geteuid() };
        if !entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own) {
            continue;
        }
        // Not one that is being made.
        let Ok(lock) = OpenOptions::new().write(true).open(entry.path().join(LOCK)) else { continue };
        if take(&lock) {
            let runtime = fs::read(entry.path().join(RUNTIME)).unwrap_or_default();
            remove(&entry.path(), OsStr::from_bytes(&runtime));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::{env, process, thread};

    use super::*;

    #[test]
    fn no_directory_is_swept_away_that_is_being_made() {
        let place = env::temp_dir().join(format!("drmaa2-made-{}", process::id()));
        fs::create_dir_all(&place).unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    sweep(&place);
                }
            });
            let lost = (0..2000).find(|number| {
                let (dir, _lock) = make_dir(&place, &number.to_string(), OsStr::new("runc")).unwrap();
                let is_lost = !dir.join(LOCK).exists();
                remove_all(&dir);
                is_lost
            });
            over.store(true, Ordering::Relaxed);
            assert_eq!(lost, None);
        });
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn what_a_killed_program_has_left_is_removed_and_what_is_in_use_stays() {
        let node_dir = env::temp_dir().join(format!("drmaa2-sweep-{}", process::id()));
        let made = ["left", "used", "new"].map(|name| node_dir.join(format!("{PREFIX}{name}")));
        for dir in &made {
            fs::create_dir_all(dir.join("upper/closed")).unwrap();
        }
        let [left, used, new] = made;
        File::create(left.join(LOCK)).unwrap();
        let lock = File::create(used.join(LOCK)).unwrap();
        assert!(take(&lock));
        sweep(&node_dir);
        assert!(!left.exists() && used.exists() && new.exists());
        drop(lock);
        sweep(&node_dir);
        assert!(!used.exists());
        fs::remove_dir_all(node_dir).unwrap();
    }
}
