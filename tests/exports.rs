//! The library that programs link: its symbols, its name, what the loader is told.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod symbols;

use std::path::PathBuf;
use std::process::Command;

/// The shared library that was built for this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.parent().unwrap().join("libdrmaa2.so");
    assert!(library.exists(), "no {}", library.display());
    library
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(library()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_library_exports_the_listed_symbols_and_no_others() {
    let table = output("nm", &["-D", "--defined-only", "--format=posix"]);
    let mut exported: Vec<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
    exported.sort_unstable();
    let mut expected = symbols::names();
    // The entry of the agent's program is for that alone.
    expected.push("drmaa2d_main".to_owned());
    expected.sort_unstable();
    assert_eq!(exported, expected);
}

#[test]
fn the_library_has_a_name_and_stays_loaded() {
    let dynamic = output("readelf", &["--dynamic", "--wide"]);
    assert!(dynamic.contains("Library soname: [libdrmaa2.so.1]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}
