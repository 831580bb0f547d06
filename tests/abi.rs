//! The binary interface is the one that programs were compiled against: `abidiff` compares what the
//! headers declare with the baseline of the SONAME. See `docs/abi.md`.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod headers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use headers::{HEADERS, Kind, declarations, root};
use tempfile::TempDir;

const BLESS: &str = "DRMAA2_BLESS=1 cargo test --test abi";

/// The name that programs record, as the linker is told it.
fn soname() -> String {
    let script = fs::read_to_string(root().join("build.rs")).unwrap();
    let (_, rest) = script.split_once("-soname,").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// A new SONAME begins with a baseline of its own.
fn baseline() -> PathBuf {
    root().join("abi").join(format!("{}.abi", soname()))
}

fn run(program: &str, command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Is `abidiff` there? Where no test may be skipped, it has to be.
fn have_abidiff() -> bool {
    let there = Command::new("abidiff").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("DRMAA2_TEST_REQUIRE").is_none(), "there is no abidiff");
    if !there {
        eprintln!("SKIPPED: there is no abidiff; the binary interface was not compared");
    }
    there
}

/// The declarations of the headers, as a shared library with debug information that defines all of them
/// and does nothing. The real library is built from the same source as the headers and exports the same
/// names, and other tests see to that; but its debug information knows no enums.
struct Shadow {
    directory: TempDir,
}

impl Shadow {
    /// Of the headers, after a change to the text of the standard's.
    fn new(change: impl Fn(&str) -> String) -> Self {
        let shadow = Self { directory: tempfile::tempdir().unwrap() };
        let mut source = String::new();
        for header in &HEADERS {
            let text = fs::read_to_string(root().join(header.path)).unwrap();
            let text = if header.path == "include/drmaa2.h" { change(&text) } else { text };
            let name = Path::new(header.path).file_name().unwrap();
            fs::write(shadow.path("").join(name), &text).unwrap();
            source += &format!("#include {name:?}\n");
            for declaration in declarations(&text) {
                let code = declaration.code.trim_end_matches(';');
                source += &match declaration.kind {
                    Kind::Type => continue,
                    Kind::Object => format!("{} = 0;\n", code.trim_start_matches("extern ")),
                    Kind::Function => format!("{code} {{ __builtin_trap(); }}\n"),
                };
            }
        }
        fs::write(shadow.path("shadow.c"), source).unwrap();
        let compiled = run(
            "gcc",
            Command::new("gcc")
                .args(["-g", "-O0", "-shared", "-fPIC", "-nostdlib", "-o", "shadow.so", "shadow.c"])
                .arg(format!("-Wl,-soname,{}", soname()))
                .current_dir(shadow.path("")),
        );
        assert!(compiled.status.success(), "gcc: {}", String::from_utf8_lossy(&compiled.stderr));
        shadow
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Its interface, as it is committed: types and symbols, but no paths and lines.
    fn interface(&self) -> String {
        let written = run(
            "abidw",
            Command::new("abidw")
                .args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs"])
                .arg("--headers-dir")
                .arg(self.path(""))
                .arg(self.path("shadow.so")),
        );
        assert!(written.status.success(), "abidw: {}", String::from_utf8_lossy(&written.stderr));
        String::from_utf8(written.stdout).unwrap()
    }

    /// Its differences from a baseline, if there are any.
    fn differs(&self, baseline: &Path, options: &[&str]) -> Option<String> {
        fs::write(self.path("now.abi"), self.interface()).unwrap();
        let compared = run(
            "abidiff",
            Command::new("abidiff")
                .arg("--no-architecture")
                .args(options)
                .arg(baseline)
                .arg(self.path("now.abi")),
        );
        let text = String::from_utf8(compared.stdout).unwrap();
        // The lowest bits stand for errors.
        let status = compared.status.code().unwrap();
        assert_eq!(status & 3, 0, "abidiff: {text}{}", String::from_utf8_lossy(&compared.stderr));
        (status != 0).then_some(text)
    }
}

/// Anything that is not known from the baseline is new; all else that differs breaks programs.
const NOTHING_NEW: [&str; 2] = ["--no-added-syms", "--harmless"];

#[test]
fn programs_that_were_compiled_before_go_on_working() {
    if !have_abidiff() {
        return;
    }
    let (shadow, baseline) = (Shadow::new(str::to_owned), baseline());
    let bless = std::env::var_os("DRMAA2_BLESS").is_some();
    if bless && !baseline.exists() {
        fs::write(&baseline, shadow.interface()).unwrap();
    }
    assert!(baseline.exists(), "{} has no baseline; run: {BLESS}", soname());
    if let Some(breach) = shadow.differs(&baseline, &NOTHING_NEW) {
        panic!("this breaks programs; undo it, or see docs/abi.md for a new SONAME:\n{breach}");
    }
    if bless {
        fs::write(&baseline, shadow.interface()).unwrap();
    }
    if let Some(news) = shadow.differs(&baseline, &[]) {
        panic!("this is new, and the baseline does not know it; run: {BLESS}\n{news}");
    }
}

/// Makes another header of the text of one.
type Change = Box<dyn Fn(&str) -> String>;

/// `abidiff` must see what would break a program, else the test above means nothing.
#[test]
fn what_breaks_programs_is_seen() {
    if !have_abidiff() {
        return;
    }
    let replace = |from: &'static str, to: &'static str| {
        move |header: &str| {
            assert_eq!(header.matches(from).count(), 1, "{from}");
            header.replace(from, to)
        }
    };
    let changes: [(&str, Change); 8] = [
        (
            "members in another order",
            Box::new(|header: &str| {
                header
                    .replacen("drmaa2_bool submitAsHold;", "drmaa2_bool PARKED;", 1)
                    .replacen("drmaa2_bool rerunnable;", "drmaa2_bool submitAsHold;", 1)
                    .replacen("drmaa2_bool PARKED;", "drmaa2_bool rerunnable;", 1)
            }),
        ),
        ("a member less", Box::new(replace("    drmaa2_string accountingId;\n", ""))),
        ("a member of another type", Box::new(replace("float load;", "double load;"))),
        ("a function less", Box::new(replace("drmaa2_error drmaa2_j_hold(drmaa2_j j);\n", ""))),
        (
            "an argument of another type",
            Box::new(replace(
                "drmaa2_list_get(drmaa2_list l, long pos)",
                "drmaa2_list_get(drmaa2_list l, int pos)",
            )),
        ),
        (
            "a result of another type",
            Box::new(replace("long drmaa2_list_size(", "int drmaa2_list_size(")),
        ),
        ("an enumerator of another number", Box::new(replace("DRMAA2_FAILED = 8", "DRMAA2_FAILED = 9"))),
        (
            "arguments of a callback",
            Box::new(replace(
                "(*drmaa2_list_entryfree)(void **value)",
                "(*drmaa2_list_entryfree)(void *value)",
            )),
        ),
    ];
    let unchanged = Shadow::new(str::to_owned);
    let before = unchanged.path("before.abi");
    fs::write(&before, unchanged.interface()).unwrap();
    assert_eq!(unchanged.differs(&before, &NOTHING_NEW), None);
    for (what, change) in changes {
        assert!(Shadow::new(change).differs(&before, &NOTHING_NEW).is_some(), "{what} was not seen");
    }
}

#[test]
fn the_library_and_the_package_have_the_same_version() {
    assert_eq!(soname(), format!("libdrmaa2.so.{}", env!("CARGO_PKG_VERSION_MAJOR")));
    let changelog = fs::read_to_string(root().join("debian/changelog")).unwrap();
    let version = changelog.split(['(', ')']).nth(1).unwrap();
    assert_eq!(version.rsplit_once('-').unwrap().0, env!("CARGO_PKG_VERSION"));
}
