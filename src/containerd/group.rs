//! The control group of a container, as this machine shows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use containerd_client::services::v1::Container;
use serde::Deserialize;

const ROOT: &str = "/sys/fs/cgroup";

/// What a container's spec says of its group.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    linux: Linux,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    cgroups_path: String,
}

/// The path of a container's group below those of all. `None` if its spec has none; one that systemd is to make is
/// not looked for.
fn path(container: &Container) -> Option<PathBuf> {
    let spec: Spec = serde_json::from_slice(&container.spec.as_ref()?.value).ok()?;
    let path = spec.linux.cgroups_path;
    let path = path.trim_start_matches('/');
    (!path.is_empty() && !path.contains(':')).then(|| path.into())
}

/// Did the kernel kill a process of a container that is still there for want of memory? The daemon does not know
/// the group of a process that was killed early.
pub(super) fn was_out_of_memory(container: &Container) -> bool {
    let Some(path) = path(container) else { return false };
    let root = Path::new(ROOT);
    let files = [
        root.join("memory").join(&path).join("memory.oom_control"),
        root.join(&path).join("memory.events"),
    ];
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let killed =
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
    killed.is_some_and(|processes| processes > 0)
}

/// A file that freezes the processes of a group, and what is written there.
struct Freezer {
    file: PathBuf,
    frozen: &'static str,
    thawed: &'static str,
}

/// The freezers of a group, in versions 1 and 2 of control groups.
fn freezers(root: &Path, path: &Path) -> [Freezer; 2] {
    let first = root.join("freezer").join(path).join("freezer.state");
    let second = root.join(path).join("cgroup.freeze");
    [
        Freezer { file: first, frozen: "FROZEN", thawed: "THAWED" },
        Freezer { file: second, frozen: "1", thawed: "0" },
    ]
}

impl Freezer {
    fn is_on(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text.trim_end() == self.frozen)
    }
}

/// Are the processes of a container frozen? The daemon does not know of it if it, or a shim, died after the runtime had
/// done it.
pub(super) fn is_frozen(container: &Container) -> bool {
    path(container).is_some_and(|path| frozen(Path::new(ROOT), &path).is_some())
}

/// Let the processes of a container go on that are frozen. False if they are not.
pub(super) fn thaw(container: &Container) -> io::Result<bool> {
    path(container).map_or(Ok(false), |path| thaw_in(Path::new(ROOT), &path))
}

fn frozen(root: &Path, path: &Path) -> Option<Freezer> {
    freezers(root, path).into_iter().find(Freezer::is_on)
}

fn thaw_in(root: &Path, path: &Path) -> io::Result<bool> {
    let Some(freezer) = frozen(root, path) else { return Ok(false) };
    fs::write(&freezer.file, freezer.thawed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(spec: &str) -> Container {
        let spec = prost_types::Any { type_url: String::new(), value: spec.into() };
        Container { spec: Some(spec), ..Container::default() }
    }

    #[test]
    fn the_group_of_a_container_is_that_of_its_spec() {
        let spec =
            |path: &str| container(&format!(r#"{{"linux": {{"cgroupsPath": "{path}", "x": 1}}}}"#));
        assert_eq!(path(&spec("/ns/j")), Some("ns/j".into()));
        for nothing in
            [spec(""), spec("/"), spec("system.slice:cri:j"), container("{}"), container("no")]
        {
            assert_eq!(path(&nothing), None);
            assert!(!is_frozen(&nothing) && !thaw(&nothing).unwrap());
        }
    }

    #[test]
    fn what_is_frozen_is_thawed() {
        let dir = tempfile::tempdir().unwrap();
        let path = Path::new("ns/j");
        assert!(!thaw_in(dir.path(), path).unwrap());
        for (file, frozen, thawed) in
            [("freezer/ns/j/freezer.state", "FROZEN\n", "THAWED"), ("ns/j/cgroup.freeze", "1\n", "0")]
        {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, frozen).unwrap();
            assert!(thaw_in(dir.path(), path).unwrap());
            assert_eq!(fs::read_to_string(&file).unwrap(), thawed);
            assert!(!thaw_in(dir.path(), path).unwrap());
        }
    }
}
