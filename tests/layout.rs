//! The layout of every struct and the number of every enumerator is pinned on both sides of the C
//! boundary: by assertions at compile time, in `c-tests` and in `src/ffi`. None may be forgotten.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod headers;
// Only texts are needed here, not their words.
#[allow(dead_code)]
mod source;

use std::fs;

use headers::{Declaration, HEADERS, declarations, generate, root, without_comments};

/// All declarations that begin with these words and show what is inside.
fn open(keywords: &str) -> Vec<Declaration> {
    let all = HEADERS.iter().flat_map(|header| declarations(&generate(header)));
    all.filter(|one| one.code.starts_with(keywords) && one.code.contains('{')).collect()
}

/// The text between the braces, without comments, taken apart.
fn parts(declaration: &Declaration, separator: char) -> Vec<String> {
    let code = without_comments(&declaration.code);
    let (_, inside) = code.split_once('{').unwrap();
    let (inside, _) = inside.rsplit_once('}').unwrap();
    inside.split(separator).map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn c_tests() -> String {
    let programs = fs::read_dir(root().join("c-tests")).unwrap().map(|entry| entry.unwrap().path());
    let programs = programs.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    programs.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_struct_is_pinned() {
    let c_tests = c_tests();
    let source: String = source::files()
        .into_iter()
        .filter(|source| source.path.starts_with("ffi"))
        .map(|source| source.text)
        .collect();
    let mut forgotten = Vec::new();
    let structs = open("typedef struct");
    assert!(structs.len() > 10, "the structs were not found");
    for one in &structs {
        for member in parts(one, ';') {
            let member = member.rsplit([' ', '*']).next().unwrap();
            // An array has its length behind its name.
            let member = member.split('[').next().unwrap();
            let pin = format!("MEMBER({}, {member}, ", one.name);
            forgotten.extend((!c_tests.contains(&pin)).then_some(pin));
        }
        // Anything that a session handle hides behind its members is the library's own matter.
        if one.comment.contains("Only the library makes these") {
            continue;
        }
        let Some((_, size)) = c_tests.split_once(&format!("SIZE({}, ", one.name)) else {
            forgotten.push(format!("SIZE({}, ", one.name));
            continue;
        };
        let pin = format!("::{}>() == {});", one.name, size.split(')').next().unwrap());
        forgotten.extend((!source.contains(&pin)).then_some(pin));
    }
    assert_eq!(forgotten, Vec::<String>::new());
}

#[test]
fn every_enumerator_is_pinned() {
    let c_tests = c_tests();
    let enums = open("typedef enum");
    assert!(enums.len() > 5, "the enums were not found");
    for one in &enums {
        assert!(c_tests.contains(&format!("SIZE({}, 4)", one.name)), "{} has no size", one.name);
        for enumerator in parts(one, ',') {
            let (name, number) = enumerator.split_once(" = ").unwrap();
            assert!(c_tests.contains(&format!("IS({name}, {number});")), "{enumerator} is not pinned");
        }
    }
}
