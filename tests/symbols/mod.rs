//! The exports of the library, as `include/drmaa2.symbols` lists them: a name and the version in which it
//! came, a line each.

use std::fs;
use std::path::Path;

/// The names of functions and objects, in the order of their bytes.
pub(crate) fn names() -> Vec<String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/drmaa2.symbols");
    let list = fs::read_to_string(list).unwrap();
    let this = version(env!("CARGO_PKG_VERSION"));
    let mut names = Vec::new();
    for line in list.lines() {
        let (name, since) = line.split_once(' ').unwrap();
        assert!(version(since) <= this, "{name} cannot have come after this version");
        names.push(name.to_owned());
    }
    assert!(names.is_sorted_by(|one, next| one < next), "the list of symbols is not sorted");
    names
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}
