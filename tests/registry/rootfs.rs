//! The files of an image, with all that there is to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// A file, without its name.
#[derive(PartialEq, Eq)]
pub struct File {
    /// Type, mode, owner, size and all else that is short.
    about: String,
    content: Vec<u8>,
}

pub type Files = BTreeMap<Vec<u8>, File>;

/// All files below a directory.
pub fn walk(root: &Path) -> Files {
    let mut files = Files::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        // A snapshot may hold what its file system does not show.
        let entries = fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().path());
        for path in entries.chain((dir == root).then(|| root.to_owned())) {
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_owned();
            // An overlay lists the whiteouts that an archive itself has, and shows none.
            let Ok(about) = fs::symlink_metadata(&path) else {
                files.insert(name, File { about: "hidden".to_owned(), content: Vec::new() });
                continue;
            };
            if about.is_dir() && path != root {
                dirs.push(path.clone());
            }
            files.insert(name, file(&path, &about));
        }
    }
    files
}

fn file(path: &Path, about: &fs::Metadata) -> File {
    let kind = about.file_type();
    let mut text = format!("{:o} {}:{}", about.mode(), about.uid(), about.gid());
    if kind.is_char_device() || kind.is_block_device() {
        write!(text, ", device {}", about.rdev()).unwrap();
    }
    // A directory that no layer has is as old as the snapshot, and so is a whiteout.
    if !(kind.is_dir() || kind.is_char_device() && about.rdev() == 0) {
        let (size, links) = (about.size(), about.nlink());
        let time = (about.mtime(), about.mtime_nsec());
        write!(text, ", {size} bytes, {links} links, of {time:?}").unwrap();
    }
    if kind.is_symlink() {
        write!(text, ", to {}", fs::read_link(path).unwrap().display()).unwrap();
    }
    for (name, value) in attributes(path) {
        write!(text, ", {name}={value:?}").unwrap();
    }
    let content = if kind.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    File { about: text, content }
}

/// The extended attributes of a file, but not those by which the overlay itself works.
fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names[..]) else { return Vec::new() };
    names.truncate(length);
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = vec![0; 4096];
        if let Ok(length) = rustix::fs::lgetxattr(path, &name, &mut value[..]) {
            value.truncate(length);
            found.push((name, value));
        }
    }
    found.sort();
    found
}

/// The differences of two sets of files, a line for each.
pub fn differences(ours: &Files, theirs: &Files) -> Vec<String> {
    let about = |files: &Files, name: &[u8]| {
        files.get(name).map_or_else(|| "missing".to_owned(), |file| file.about.clone())
    };
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    names
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| {
            let (ours, theirs) = (about(ours, name), about(theirs, name));
            format!("/{}: {ours} <> {theirs}", String::from_utf8_lossy(name))
        })
        .collect()
}
