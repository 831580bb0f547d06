//! The control group of a container, as this machine shows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use containerd_client::services::v1::Container;
use serde::Deserialize;

const ROOT: &str = "/sys/fs/cgroup";

/// The part of a container's spec that names its group.
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

/// The path of a container's group below those of all. `None` if its spec has none; one that systemd is
/// to make is not looked for.
fn path(container: &Container) -> Option<PathBuf> {
    let spec: Spec = serde_json::from_slice(&container.spec.as_ref()?.value).ok()?;
    let path = spec.linux.cgroups_path;
    let path = path.trim_start_matches('/');
    (!path.is_empty() && !path.contains(':')).then(|| path.into())
}

/// Returns whether the kernel killed a process of an existing container because memory ran out. The
/// daemon does not know the group of a process that was killed early.
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

/// A file that freezes the processes of a group, and its contents.
pub(super) struct Freezer {
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

    /// Let the processes continue.
    pub(super) fn thaw(&self) -> io::Result<()> {
        fs::write(&self.file, self.thawed)
    }
}

/// The freezer of a container whose processes are frozen. The daemon does not know of it if it, or a
/// shim, died after the runtime had done it.
pub(super) fn frozen(container: &Container) -> Option<Freezer> {
    frozen_in(Path::new(ROOT), &path(container)?)
}

fn frozen_in(root: &Path, path: &Path) -> Option<Freezer> {
    freezers(root, path).into_iter().find(Freezer::is_on)
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
            assert!(frozen(&nothing).is_none());
        }
    }

    #[test]
    fn what_is_frozen_is_thawed() {
        let dir = tempfile::tempdir().unwrap();
        let path = Path::new("ns/j");
        assert!(frozen_in(dir.path(), path).is_none());
        for (file, frozen, thawed) in
            [("freezer/ns/j/freezer.state", "FROZEN\n", "THAWED"), ("ns/j/cgroup.freeze", "1\n", "0")]
        {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, frozen).unwrap();
            frozen_in(dir.path(), path).unwrap().thaw().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), thawed);
            assert!(frozen_in(dir.path(), path).is_none());
        }
    }
}
