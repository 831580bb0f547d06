//! Device nodes of the host in a container.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use drmaa2_cdi::{Node, Number};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::rights;

/// More nodes than a directory of devices has.
const MAX_NODES: usize = 1024;
/// More levels than a directory of devices has.
const MAX_DEPTH: usize = 8;
/// Directories that a container's `/dev` has of its own.
const OWN: [&str; 4] = ["pts", "shm", "mqueue", "fd"];

/// Nodes like one of the host's, or like all nodes in and below a directory of the host. Other
/// files, including links, are skipped.
pub(super) fn all_like(source: &Path, path: &str, access: &str) -> Result<Vec<Node>, String> {
    if !fs::metadata(source).map_err(|error| error.to_string())?.is_dir() {
        return Ok(vec![like(source, path, access)?]);
    }
    let mut nodes = Vec::new();
    collect(source, path, access, MAX_DEPTH, &mut nodes)?;
    if nodes.is_empty() { Err("a directory without devices".to_owned()) } else { Ok(nodes) }
}

fn collect(
    dir: &Path,
    path: &str,
    access: &str,
    depth: usize,
    nodes: &mut Vec<Node>,
) -> Result<(), String> {
    let named = |error: std::io::Error, file: &Path| format!("{}: {error}", file.display());
    let entries = fs::read_dir(dir).map_err(|error| named(error, dir))?;
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(|error| named(error, dir))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, file) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str() else { continue };
        let place = format!("{path}/{name}");
        let kind = entry.file_type().map_err(|error| named(error, &file))?;
        if kind.is_dir() && depth > 0 && !OWN.contains(&name) {
            collect(&file, &place, access, depth - 1, nodes)?;
        } else if kind.is_char_device() || kind.is_block_device() {
            if nodes.len() == MAX_NODES {
                return Err(format!("a directory with more than {MAX_NODES} devices"));
            }
            let node = like(&file, &place, access);
            nodes.push(node.map_err(|cause| format!("{}: {cause}", file.display()))?);
        }
    }
    Ok(())
}

/// A node like one of the host's, or the reason why this thread may not hand it on: containerd, as
/// root, would not check.
fn like(source: &Path, path: &str, access: &str) -> Result<Node, String> {
    let about = fs::metadata(source).map_err(|error| error.to_string())?;
    let number = Number::from_metadata(&about)?;
    // Such a file system may be the submitter's own, and show any number.
    let place = statvfs(source).map_err(|error| error.desc().to_owned())?;
    if place.flags().contains(FsFlags::ST_NODEV) {
        return Err("on a file system without devices".to_owned());
    }
    let read = if access.contains('r') { libc::R_OK } else { 0 };
    let write = if access.contains('w') { libc::W_OK } else { 0 };
    rights::may(source, read | write).map_err(|error| error.to_string())?;
    Ok(Node {
        path: path.to_owned(),
        number,
        mode: Some(about.mode() & 0o7777),
        uid: Some(about.uid()),
        gid: Some(about.gid()),
        access: access.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_it_is_on_the_host() {
        let node = like(Path::new("/dev/full"), "/dev/my", "rw").unwrap();
        let number = Number { kind: "c".into(), major: 1, minor: 7 };
        assert_eq!((&node.number, node.access.as_str()), (&number, "rw"));
        assert_eq!(node.rule()["minor"], 7);
        assert_eq!(node.device()["path"], "/dev/my");
    }

    #[test]
    fn a_directory_stands_for_all_devices_below_it() {
        // Only root can make one.
        let Ok(dir) = tempfile::tempdir_in("/dev") else { return };
        let make = |name: &str, minor| {
            let (kind, mode) =
                (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::from_bits_truncate(0o666));
            let device = nix::sys::stat::makedev(1, minor);
            nix::sys::stat::mknod(&dir.path().join(name), kind, mode, device).is_ok()
        };
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("text"), "").unwrap();
        let all = || all_like(dir.path(), "/dev/dri", "rw");
        assert_eq!(all().unwrap_err(), "a directory without devices");
        if !(make("full", 7) && make("sub/zero", 5)) {
            return;
        }
        std::os::unix::fs::symlink("full", dir.path().join("link")).unwrap();
        let found: Vec<_> =
            all().unwrap().into_iter().map(|node| (node.path, node.number.minor)).collect();
        assert_eq!(found, [("/dev/dri/full".to_owned(), 7), ("/dev/dri/sub/zero".to_owned(), 5)]);
        assert_eq!(all_like(&dir.path().join("full"), "/dev/x", "r").unwrap().len(), 1);
    }

    #[test]
    fn only_devices_are_taken() {
        let refusal = |path: &str| like(Path::new(path), "/dev/my", "r").unwrap_err();
        assert_eq!(refusal("/etc/passwd"), "not a device");
        assert!(refusal("/no/such/device").contains("No such file"));
    }
}
