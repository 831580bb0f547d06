//! The headers in `include` are what `src/ffi` says, and every C and C++ compiler takes them.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod headers;
mod symbols;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use headers::{HEADERS, Kind, declarations, generate, root};

#[test]
fn the_headers_are_what_the_source_says() {
    for header in &HEADERS {
        let generated = generate(header);
        if std::env::var_os("DRMAA2_BLESS").is_some() {
            fs::write(root().join(header.path), &generated).unwrap();
        }
        assert!(
            fs::read_to_string(root().join(header.path)).unwrap() == generated,
            "{} is out of date; run: DRMAA2_BLESS=1 cargo test --test header",
            header.path
        );
    }
}

#[test]
fn the_headers_declare_each_symbol_and_nothing_else() {
    let mut declared: Vec<String> = HEADERS
        .iter()
        .flat_map(|header| declarations(&generate(header)))
        .filter(|declaration| declaration.kind != Kind::Type)
        .map(|declaration| declaration.name)
        .collect();
    declared.sort();
    assert_eq!(declared, symbols::names());
}

#[test]
fn every_function_is_called_with_null() {
    let program = |name| fs::read_to_string(root().join("c-tests").join(name)).unwrap();
    let programs = program("nulls.c") + &program("nulls_ext.c");
    let functions = symbols::names().into_iter().filter(|name| !name.starts_with("DRMAA2_"));
    let forgotten: Vec<String> =
        functions.filter(|name| !programs.contains(&format!("{name}("))).collect();
    assert_eq!(forgotten, Vec::<String>::new());
}

#[test]
fn every_declaration_is_documented() {
    let headers: String = HEADERS.iter().map(generate).collect();
    let lines: Vec<&str> = headers.lines().map(str::trim).collect();
    let declares = |line: &str| {
        let comment = line.starts_with(['*', '/', '#', '}']) || line.starts_with("extern \"C\"");
        // The structs that stay closed are documented with the pointers to them.
        let closed = line.starts_with("typedef struct") && line.ends_with("_s;");
        !comment && !closed && (line.ends_with([';', '(', '{']) || line.contains('('))
    };
    let bare: Vec<&str> = lines
        .windows(2)
        .filter(|pair| declares(pair[1]))
        // The line after a comma goes on with a declaration.
        .filter(|pair| !pair[0].ends_with("*/") && !pair[0].ends_with(','))
        .map(|pair| pair[1])
        .collect();
    assert_eq!(bare, Vec::<&str>::new());
}

/// A file that includes a header, twice and before everything else, and uses a bit of it.
const PROGRAMS: [&str; 2] = [
    r#"
#include "drmaa2.h"
#include "drmaa2.h"

static void took(drmaa2_notification *notification) { drmaa2_notification_free(notification); }

int main(void) {
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    drmaa2_callback callback = took;
    drmaa2_list_entryfree release = drmaa2_string_list_default_callback;
    long long slots = jt == NULL ? DRMAA2_UNSET_NUM : jt->minSlots;
    drmaa2_error error = drmaa2_register_event_notification(callback);
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, release);
    drmaa2_list_free(&list);
    drmaa2_jtemplate_free(&jt);
    return error == DRMAA2_SUCCESS && slots == 0 && DRMAA2_CPU_TIME == NULL;
}
"#,
    r#"
#include "drmaa2_ext.h"
#include "drmaa2_ext.h"
#include "drmaa2.h"

int main(void) {
    drmaa2_sudo_t sudo = {"", "", -1, -1};
    drmaa2_sudo_s *record = &sudo;
    drmaa2_sudo caller = record;
    drmaa2_error error = drmaa2_destroy_jsession_as(caller, NULL);
    drmaa2_rinfo ri = drmaa2_rinfo_create();
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    uge_drmaa2_list_free_root(&list);
    drmaa2_rinfo_free(&ri);
    return ri != NULL && error == DRMAA2_SUCCESS;
}
"#,
];

fn compile(compiler: &str, arguments: &[&str], extension: &str) {
    for program in PROGRAMS {
        let directory = tempfile::tempdir().unwrap();
        let source: PathBuf = directory.path().join("program").with_extension(extension);
        fs::write(&source, program).unwrap();
        let output = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-pedantic-errors", "-Werror"])
            .args(arguments)
            .arg("-I")
            .arg(root().join("include"))
            .args(["-c", "-o", "/dev/null"])
            .arg(&source)
            .output()
            .unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{compiler} {arguments:?}:\n{messages}");
    }
}

#[test]
fn every_c_standard_takes_the_headers() {
    compile("gcc", &["-std=c89", "-Wno-long-long", "-Wstrict-prototypes"], "c");
    for standard in ["-std=c99", "-std=c11", "-std=c2x"] {
        compile("gcc", &[standard, "-Wstrict-prototypes"], "c");
    }
}

#[test]
fn cpp_takes_the_headers() {
    compile("g++", &["-std=c++17"], "cpp");
}
