//! The shim of a container that the daemon has forgotten, seen as a process of this machine.
//!
//! If its caller disappears while a task is made or deleted, the daemon abandons the shim after a few
//! seconds. The shim continues, and so does the container in it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::CreateTaskRequest;
use containerd_client::tonic::Status;
use containerd_client::types::Mount;
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, poll};
use nix::time::{ClockId, clock_gettime};

use super::connect::QUICK;
use super::files::{NO_STREAM, blocking, io_error};
use super::status;
use super::tracker_core::Core;
use crate::model::Result;
use crate::procfs::{self, Stat};

/// The daemon itself has abandoned a shim of this age.
const OLD: Duration = Duration::from_secs(15);

/// The time that a shim may take to end, milliseconds.
const FAREWELL: u16 = 2000;

/// A shim.
pub(super) struct Shim {
    pid: u32,
    age: Duration,
}

/// The shim of this container, if there is one.
pub(super) async fn find(core: &Core, container: &str) -> Result<Option<Shim>> {
    let (namespace, container) = (core.daemon.namespace().to_owned(), container.to_owned());
    blocking(move || Ok(of(&namespace, &container))).await
}

fn of(namespace: &str, container: &str) -> Option<Shim> {
    let is_wanted = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        has(&line, "-namespace", namespace) && has(&line, "-id", container)
    };
    let pid = procfs::all().find(is_wanted)?;
    Some(Shim { pid, age: age_of(pid).unwrap_or_default() })
}

impl Shim {
    /// The directory of its task, which is its working directory, if that is visible from here.
    fn bundle(&self, container: &str) -> Option<PathBuf> {
        let dir = fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()?;
        bundle(&dir, container)
    }

    /// Returns whether it has neither a container nor a runtime that makes one. Their processes are its
    /// children.
    fn is_empty(&self) -> bool {
        let mut all = procfs::all().filter_map(Stat::of);
        !all.any(|process| process.parent == self.pid && !process.is_dead())
    }
}

/// Kill a shim of this container that is empty and old. A shim that the daemon abandons at the moment of
/// its start waits for ever for the daemon to open its log, answers nothing, and so cannot be ended in
/// order.
pub(super) async fn kill_empty(core: &Core, container: &str) -> Result<()> {
    kill(core, container, OLD).await
}

/// Kill a shim of this container that is empty, whatever its age, and wait for its end: the daemon then
/// cleans up after it. To be used if the shim itself has answered that nothing is left to delete.
pub(super) async fn kill_unable(core: &Core, container: &str) -> Result<()> {
    kill(core, container, Duration::ZERO).await
}

async fn kill(core: &Core, container: &str, old: Duration) -> Result<()> {
    let (namespace, container) = (core.daemon.namespace().to_owned(), container.to_owned());
    blocking(move || {
        if let Some(process) = kill_if_empty(&namespace, &container, old) {
            wait_for_end(&process);
        }
        Ok(())
    })
    .await
}

/// Kill a shim of this container that is empty and has at least this age. Returns the shim's process.
fn kill_if_empty(namespace: &str, container: &str, old: Duration) -> Option<OwnedFd> {
    let shim = of(namespace, container).filter(|shim| shim.age >= old)?;
    let process = procfs::descriptor(shim.pid)?;
    // The descriptor was opened first: if the pid still is the shim's, it belongs to no other process.
    if of(namespace, container).is_none_or(|now| now.pid != shim.pid) || !shim.is_empty() {
        return None;
    }
    let killed = rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL);
    tracing::debug!(container, pid = shim.pid, ?killed, "killing a shim that has no container");
    Some(process)
}

/// Wait until a shim has ended, at most [`FAREWELL`].
fn wait_for_end(process: &OwnedFd) {
    let mut end = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut end, FAREWELL);
}

/// The directory of a task whose shim works in this one: the daemon renames it before it removes it, and
/// then the kernel reports it as removed.
fn bundle(dir: &Path, container: &str) -> Option<PathBuf> {
    let name = dir.file_name()?.to_str()?;
    let name = name.trim_start_matches('.').trim_end_matches(" (deleted)");
    (name == container).then(|| dir.with_file_name(container))
}

/// The age of a process.
fn age_of(pid: u32) -> Option<Duration> {
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    let begun = Duration::from_secs(Stat::of(pid)?.started) / u32::try_from(per_second).ok()?;
    Some(Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?).saturating_sub(begun))
}

/// Returns whether a command line has an argument of this name with this value.
fn has(line: &[u8], name: &str, value: &str) -> bool {
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair == [name.as_bytes(), value.as_bytes()])
}

/// Make the daemon end a shim that it has forgotten, with everything in it. `has_begun` says that its
/// container was started, so no call that makes it is under way. The caller has to check the result.
pub(super) async fn end(core: &Core, container: &str, shim: Shim, has_begun: bool) -> Result<()> {
    let process = procfs::descriptor(shim.pid);
    if let Err(status) = remind(core, container).await? {
        tracing::debug!(container, %status, "asked for the shim of a task that is not known");
        let is_forgotten = shim.age >= OLD || (has_begun && shim.is_empty());
        let in_the_way = status::exists(&status) && is_forgotten;
        if let Some(bundle) = shim.bundle(container).filter(|_| in_the_way) {
            blocking(move || remove_bundle(&bundle).map_err(|error| io_error(&bundle, &error))).await?;
            if let Err(status) = remind(core, container).await? {
                tracing::debug!(container, %status, "asked for it without the directory of its task");
            }
        }
    }
    if let Some(process) = process {
        // It ends a moment after the daemon has answered.
        blocking(move || {
            wait_for_end(&process);
            Ok(())
        })
        .await?;
    }
    // A shim does not end as long as it has a container that its runtime cannot delete.
    kill(core, container, if has_begun { Duration::ZERO } else { OLD }).await
}

/// Request another task of this name: the daemon finds the shim again. The task cannot be made, since
/// its root file system does not exist, and then the daemon ends the shim. Without any root file system
/// the runtime would make directories in its place, and the daemon keep them for ever.
async fn remind(core: &Core, container: &str) -> Result<std::result::Result<(), Status>> {
    let [stdin, stdout, stderr] = [NO_STREAM; 3].map(str::to_owned);
    let absent = Mount {
        r#type: "bind".to_owned(),
        source: core.settings.jobs_dir.join(".none").display().to_string(),
        options: vec!["bind".to_owned()],
        ..Mount::default()
    };
    let request = CreateTaskRequest {
        container_id: container.to_owned(),
        rootfs: vec![absent],
        stdin,
        stdout,
        stderr,
        ..CreateTaskRequest::default()
    };
    Ok(core.daemon.within(QUICK)?.tasks().create(request).await.map(drop))
}

/// Remove the directory of a task that the daemon could not remove when it abandoned the shim, since the
/// root file system was still mounted there. Until its next start, it prevents the daemon from finding
/// the shim again.
fn remove_bundle(bundle: &Path) -> io::Result<()> {
    let rootfs = bundle.join("rootfs");
    // There may be several mounts on top of each other.
    while umount2(&rootfs, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    // Never the content of a root file system: if one is still mounted, this fails.
    match fs::remove_dir(&rootfs) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_dir_all(bundle)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn a_shim_is_known_by_its_arguments() {
        let line = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0n\0-id\0j_2\0-address\0/run/c.sock\0";
        assert!(has(line, "-namespace", "n") && has(line, "-id", "j_2"));
        assert!(!has(line, "-id", "j") && !has(line, "-namespace", "j_2"));
    }

    /// A namespace that only this process uses.
    fn namespace() -> String {
        format!("test-{}", std::process::id())
    }

    /// A process with the arguments of a shim, whose shell runs this script. It has said that it is ready: the kernel
    /// shows no arguments of a process that is about to run its program.
    fn shim(id: &str, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script, "shim", "-namespace", &namespace(), "-id", id]);
        let mut shim = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shim.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        shim
    }

    #[test]
    fn a_shim_that_has_nothing_is_killed_and_no_other() {
        let mut stuck = shim("stuck", "echo ready; read never");
        kill_if_empty(&namespace(), "stuck", OLD);
        assert!(stuck.try_wait().unwrap().is_none(), "it is young");
        kill_if_empty(&namespace(), "other", Duration::ZERO);
        assert!(stuck.try_wait().unwrap().is_none(), "it is another");
        kill_if_empty(&namespace(), "stuck", Duration::ZERO);
        assert_eq!(stuck.wait().unwrap().signal(), Some(9));

        let mut busy = shim("busy", "(echo ready; read never <&3) 3<&0; true");
        kill_if_empty(&namespace(), "busy", Duration::ZERO);
        drop(busy.stdin.take());
        assert_eq!(busy.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_process_that_has_just_begun_is_young() {
        let mut child = shim("young", "echo ready; read never");
        let young = age_of(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(young < OLD && age_of(1).unwrap() > young);
    }

    #[test]
    fn the_directory_of_a_task_is_known_by_that_of_its_shim() {
        for dir in ["/s/n/j_2", "/s/n/.j_2", "/s/n/.j_2 (deleted)", "/s/n/j_2 (deleted)"] {
            assert_eq!(bundle(Path::new(dir), "j_2"), Some("/s/n/j_2".into()), "{dir}");
        }
        for dir in ["/", "/s/n/j", "/s/n/j_2/x"] {
            assert_eq!(bundle(Path::new(dir), "j_2"), None, "{dir}");
        }
    }

    #[test]
    fn nothing_in_a_root_file_system_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("j");
        fs::create_dir_all(bundle.join("rootfs/etc")).unwrap();
        fs::write(bundle.join("config.json"), "{}").unwrap();
        remove_bundle(&bundle).unwrap_err();
        assert!(bundle.join("rootfs/etc").is_dir() && bundle.join("config.json").is_file());
        fs::remove_dir(bundle.join("rootfs/etc")).unwrap();
        remove_bundle(&bundle).unwrap();
        assert!(!bundle.exists());
    }
}
