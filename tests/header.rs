//! The headers in `include` are what `src/ffi` says, and every C and C++ compiler takes them.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod symbols;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A header and what it is made from.
struct Header {
    path: &'static str,
    config: &'static str,
    /// The families of the API in the order in which the header has them.
    families: &'static [&'static str],
}

const HEADERS: [Header; 2] = [
    Header {
        path: "include/drmaa2.h",
        config: "cbindgen.toml",
        families: &[
            "enums",
            "types",
            "limits",
            "strings",
            "list",
            "dict",
            "jtemplate",
            "jinfo",
            "rtemplate",
            "infos",
            "impl_spec",
            "manager",
            "jsession",
            "job",
            "jarray",
            "msession",
            "rsession",
            "reservation",
        ],
    },
    Header {
        path: "include/drmaa2_ext.h",
        config: "cbindgen-ext.toml",
        families: &[
            "ext/names",
            "ext/infos",
            "ext/list",
            "ext/impl_spec",
            "ext/wait",
            "ext/job",
            "ext/sudo",
        ],
    },
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn generate(header: &Header) -> String {
    let mut builder = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root().join(header.config)).unwrap());
    for family in header.families {
        builder = builder.with_src(root().join(format!("src/ffi/{family}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    polish(&String::from_utf8(text).unwrap())
}

/// What cbindgen cannot be told.
fn polish(header: &str) -> String {
    let header = header
        // C89 has no comma after the last enumerator.
        .replace(",\n}", "\n}")
        // Nor comments to the end of the line.
        .replace("#endif  // __cplusplus", "#endif /* __cplusplus */")
        .replace("#endif // __cplusplus", "#endif /* __cplusplus */")
        .replace("}  // extern \"C\"", "} /* extern \"C\" */")
        // The pointer is constant too.
        .replace("extern const char *DRMAA2_", "extern const char *const DRMAA2_");
    let mut polished: Vec<String> = Vec::new();
    let mut lines = header.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim_start() != "/*" {
            polished.push(line.to_owned());
            continue;
        }
        let text: Vec<&str> = lines
            .by_ref()
            .map(|line| line.trim_start_matches(' '))
            .take_while(|line| *line != "*/")
            .collect();
        if let [text] = text[..] {
            polished.push(format!("{indent}/* {text} */"));
            continue;
        }
        polished.push(format!("{indent}/*"));
        for text in text {
            let text = text.trim_start_matches("* ").trim_start_matches('*');
            polished.push(format!("{indent} * {text}").trim_end().to_owned());
        }
        polished.push(format!("{indent} */"));
    }
    // One blank line is enough.
    polished.dedup_by(|next, line| next.is_empty() && line.is_empty());
    polished.join("\n").trim().to_owned() + "\n"
}

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
        .flat_map(|header| statements(&generate(header)))
        .filter(|statement| !statement.starts_with("typedef") && !statement.starts_with("struct"))
        .map(|statement| {
            // The word before the arguments, or the last one of an object.
            let name = statement.split('(').next().unwrap().trim_end_matches(';');
            name.rsplit([' ', '*']).next().unwrap().to_owned()
        })
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

/// The declarations of a header at file level.
fn statements(header: &str) -> Vec<String> {
    let mut code = String::new();
    let mut rest = header;
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = &rest[start + rest[start..].find("*/").unwrap() + 2..];
    }
    code.push_str(rest);
    let code: String =
        code.lines().filter(|line| !line.starts_with('#') && !line.contains("extern \"C\"")).collect();
    let mut statements = Vec::new();
    let (mut statement, mut depth) = (String::new(), 0_u32);
    for character in code.chars() {
        match character {
            '{' => depth += 1,
            // The brace that ends extern "C" has no beginning here.
            '}' if depth == 0 => continue,
            '}' => depth -= 1,
            _ => {}
        }
        statement.push(character);
        if character == ';' && depth == 0 {
            statements.push(statement.trim().to_owned());
            statement.clear();
        }
    }
    statements
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
        // What follows a comma goes on with a declaration.
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
    drmaa2_rinfo ri = drmaa2_rinfo_create();
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    uge_drmaa2_list_free_root(&list);
    drmaa2_rinfo_free(&ri);
    return ri != NULL;
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
