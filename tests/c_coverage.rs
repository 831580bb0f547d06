//! The C programs that a client would write use the whole of the header.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod symbols;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// They know the standard's header, and nothing of the library.
const PROGRAMS: [&str; 4] = ["statements", "job_statements", "job_statements_system", "job_functions"];
/// The files that they share.
const SHARED: [&str; 3] = ["check.h", "job.h", "statement.h"];
const STATEMENTS: u32 = 50;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Without comments and strings.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '/']) {
        let (before, after) = rest.split_at(start);
        code.push_str(before);
        rest = if let Some(comment) = after.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else if let Some(string) = after.strip_prefix('"') {
            let end =
                string.char_indices().find(|(at, char)| *char == '"' && !string[..*at].ends_with('\\'));
            end.map_or("", |(at, _)| &string[at + 1..])
        } else {
            &after[1..]
        };
        code.push(' ');
    }
    code + rest
}

fn words(code: &str) -> BTreeSet<&str> {
    code.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').collect()
}

#[test]
fn every_symbol_of_the_header_is_used() {
    let header = code(&text("include/drmaa2.h"));
    let declared = words(&header);
    let programs: Vec<String> = PROGRAMS
        .iter()
        .map(|name| format!("{name}.c"))
        .chain(SHARED.iter().map(|name| (*name).to_owned()))
        .map(|name| code(&text(&format!("c-tests/{name}"))))
        .collect();
    let used: BTreeSet<&str> = programs.iter().flat_map(|program| words(program)).collect();
    let exported = symbols::names();
    let exported = exported.iter().map(String::as_str).filter(|symbol| declared.contains(symbol));
    let (used, unused): (Vec<&str>, Vec<&str>) = exported.partition(|symbol| used.contains(symbol));
    assert!(used.len() + unused.len() >= 123, "not all symbols are listed");
    assert!(unused.is_empty(), "not used by any of {PROGRAMS:?}: {unused:?}");
}

#[test]
fn every_statement_is_checked_once_or_more() {
    let mut checked = BTreeSet::new();
    for program in PROGRAMS {
        for call in text(&format!("c-tests/{program}.c")).split("STATEMENT(").skip(1) {
            checked.insert(call.split(',').next().unwrap().trim().parse::<u32>().unwrap());
        }
    }
    assert_eq!(checked, (1..=STATEMENTS).collect());
}

/// The header as the standard has it: what is in a handle is nobody's business.
fn strict_header() -> String {
    let mut header = text("include/drmaa2.h");
    for handle in ["j", "jarray", "r", "jsession", "rsession", "msession"] {
        let (begin, end) =
            (format!("typedef struct drmaa2_{handle}_s {{"), format!("}} drmaa2_{handle}_s;"));
        let (before, rest) = header.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        header = format!("{before}typedef struct drmaa2_{handle}_s drmaa2_{handle}_s;{after}");
    }
    header
}

#[test]
fn they_know_nothing_but_the_standards_header() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("drmaa2.h"), strict_header()).unwrap();
    for program in PROGRAMS {
        let source = format!("c-tests/{program}.c");
        for line in text(&source).lines() {
            assert!(!line.contains("_ext.h") && !line.contains("containerd_"), "{program}: {line}");
        }
        let compiled = Command::new("gcc")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I"])
            .args([dir.path().as_os_str(), source.as_ref()])
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    }
}
