//! The C programs that a client would write use the whole of the header.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod symbols;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// They know the standard's header, and nothing of the library.
const PROGRAMS: [&str; 4] = ["statements", "job_statements", "job_statements_system", "job_functions"];
/// What they share.
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

#[test]
fn they_know_nothing_but_the_header() {
    for program in PROGRAMS {
        for line in text(&format!("c-tests/{program}.c")).lines() {
            assert!(!line.contains("_ext.h") && !line.contains("containerd_"), "{program}: {line}");
        }
    }
}
