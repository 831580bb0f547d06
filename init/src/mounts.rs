//! The mounts of a container's spec that a user namespace may not change at will.

use std::ffi::CString;
use std::mem::MaybeUninit;

use libc::{ST_NODEV, ST_NOEXEC, ST_NOSUID, ST_RDONLY, c_ulong};
use serde_json::Value;

/// The options of a mount that can be locked, and the flags by which the kernel tells them.
const OPTIONS: [(&str, c_ulong); 4] =
    [("ro", ST_RDONLY), ("nosuid", ST_NOSUID), ("nodev", ST_NODEV), ("noexec", ST_NOEXEC)];

/// Add, to each bind mount with options, those that the mount of its source has.
///
/// In a user namespace the options of a mount from outside are locked. A runtime sets all options of a bind mount at
/// once, so that one which it does not name would be cleared, and the kernel refuses that. What cannot be examined
/// stays as it is: the runtime will say what is wrong with it.
pub fn keep_locked_options(spec: &mut Value) {
    let mounts = spec["mounts"].as_array_mut().into_iter().flatten();
    for mount in mounts.filter(|mount| mount["type"] == "bind") {
        let locked = mount["source"].as_str().and_then(flags);
        if let (Some(locked), Some(options)) = (locked, mount["options"].as_array_mut()) {
            keep(options, locked);
        }
    }
}

/// Add to the options of a bind mount those of the mount of its source, which has these flags.
fn keep(options: &mut Vec<Value>, locked: c_ulong) {
    let is_named = |options: &[Value], name: &str| options.iter().any(|option| option == name);
    // One that sets no option keeps them all.
    if OPTIONS.iter().any(|(name, _)| is_named(options, name)) {
        for (name, _) in OPTIONS.into_iter().filter(|(_, flag)| locked & flag != 0) {
            if !is_named(options, name) {
                options.push(name.into());
            }
        }
    }
}

/// The flags of the mount that a path is on.
fn flags(path: &str) -> Option<c_ulong> {
    let path = CString::new(path).ok()?;
    let mut found = MaybeUninit::uninit();
    // SAFETY: the path ends in NUL, and there is space for the answer.
    let failed = unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) } != 0;
    // SAFETY: it was filled in.
    (!failed).then(|| unsafe { found.assume_init() }.f_flag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(options: &[&str], locked: c_ulong) -> Vec<String> {
        let mut options = options.iter().map(|option| json!(option)).collect();
        keep(&mut options, locked);
        options.into_iter().map(|option| option.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_mount_that_is_changed_keeps_what_is_locked() {
        let stream = ["rbind", "rw", "nosuid", "noexec"];
        assert_eq!(kept(&stream, ST_NODEV | ST_NOSUID), ["rbind", "rw", "nosuid", "noexec", "nodev"]);
        assert_eq!(kept(&stream, 0), stream);
        assert_eq!(kept(&["bind", "ro"], ST_NODEV | ST_RDONLY), ["bind", "ro", "nodev"]);
    }

    #[test]
    fn a_mount_that_sets_nothing_stays() {
        assert_eq!(kept(&["rbind", "rw"], ST_NODEV), ["rbind", "rw"]);
    }

    #[test]
    fn a_source_that_cannot_be_examined_stays() {
        let mount = |source: &str| json!({ "type": "bind", "source": source, "options": ["ro"] });
        let mut spec = json!({ "mounts": [mount("/no such file"), { "type": "proc" }, mount("a\0b")] });
        let before = spec.clone();
        keep_locked_options(&mut spec);
        assert_eq!(spec, before);
        assert!(flags("/").is_some());
    }
}
