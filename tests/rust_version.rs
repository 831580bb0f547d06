//! The Rust that `Cargo.toml` asks for is new enough for all dependencies, by what they say themselves. What the code here uses
//! of the standard library, clippy compares with the same number (`incompatible_msrv`).

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

type Version = [u32; 3];

/// `1.89` and `1.89.0` are the same.
fn version(text: &str) -> Version {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    [0; 3].map(|absent| numbers.next().unwrap_or(absent))
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All packages that are built for this machine, with those of the tests.
fn packages() -> Vec<Value> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = output(Command::new(compiler).arg("-vV"));
    let machine = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = output(
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform", machine])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn no_dependency_asks_for_a_newer_rust() {
    let claimed = env!("CARGO_PKG_RUST_VERSION");
    let packages = packages();
    assert!(packages.len() > 100, "the dependencies were not found");
    let newer = |package: &&Value| {
        package["rust_version"].as_str().is_some_and(|asked| version(asked) > version(claimed))
    };
    let newer = packages.iter().filter(newer);
    let newer: Vec<String> = newer
        .map(|one| format!("{} {}: {}", one["name"], one["version"], one["rust_version"]))
        .collect();
    assert_eq!(newer, [""; 0], "rust-version in Cargo.toml is {claimed}");
}

#[test]
fn the_package_asks_for_the_same_rust() {
    let control = Path::new(env!("CARGO_MANIFEST_DIR")).join("debian/control");
    let control = fs::read_to_string(control).unwrap();
    for program in ["cargo", "rustc"] {
        let line = format!(" {program} (>= {}),\n", env!("CARGO_PKG_RUST_VERSION"));
        assert!(control.contains(&line), "debian/control has no line{line}");
    }
}
