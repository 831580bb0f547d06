//! The pages in `docs/man` that describe the API are what `src/ffi` says: one for each family, and an
//! overview.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod headers;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use headers::{Declaration, HEADERS, Header, Kind, declarations, generate, root};

/// The day of the release that the pages describe.
const DAY: &str = "November 26, 2026";

const OVERVIEW: &str = "drmaa2.7";

/// A family of the API: what one file of `src/ffi` declares.
struct Family {
    /// The name of its page.
    name: String,
    /// The subject of the page, in a few words.
    title: String,
    source: String,
    declarations: Vec<Declaration>,
}

/// The families of a header, in its order.
fn families(header: &Header) -> Vec<Family> {
    let mut families: Vec<Family> = header
        .families
        .iter()
        .map(|family| {
            let path = format!("src/ffi/{family}.rs");
            let source = fs::read_to_string(root().join(path)).unwrap();
            let name = format!("drmaa2_{}", family.replace('/', "_"));
            Family { name, title: title(&source), source, declarations: Vec::new() }
        })
        .collect();
    for declaration in declarations(&generate(header)) {
        let owner = families.iter_mut().find(|family| family.defines(&declaration.name));
        owner
            .unwrap_or_else(|| panic!("no family has {}", declaration.name))
            .declarations
            .push(declaration);
    }
    families
}

/// The first sentence about a file, as the end of a line.
fn title(source: &str) -> String {
    let words: Vec<&str> =
        source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let text = words.join(" ");
    let sentence = text.split('.').next().unwrap();
    sentence[..1].to_lowercase() + &sentence[1..]
}

impl Family {
    fn defines(&self, name: &str) -> bool {
        ["fn", "struct", "type", "static"].iter().any(|keyword| {
            self.source.match_indices(&format!("{keyword} {name}")).any(|(at, found)| {
                !self.source[at + found.len()..]
                    .starts_with(|next: char| next.is_alphanumeric() || next == '_')
            })
        })
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Declaration> {
        self.declarations.iter().filter(move |declaration| declaration.kind == kind)
    }

    /// The whole page.
    fn page(&self, header: &Header) -> String {
        let mut page = head(&self.name, 3);
        let functions: Vec<&Declaration> = self.of(Kind::Function).collect();
        // The first name is the one of the page, the others become links to it.
        let names =
            [self.name.as_str()].into_iter().chain(functions.iter().map(|one| one.name.as_str()));
        let names: Vec<String> = names.map(|name| format!(".Nm {name}")).collect();
        page += &format!(".Sh NAME\n{}\n.Nd {}\n", names.join(" ,\n"), self.title);
        page += ".Sh LIBRARY\nlibdrmaa2 (\\-ldrmaa2)\n.Sh SYNOPSIS\n";
        page += &format!(".In {}\n", header.path.strip_prefix("include/").unwrap());
        for object in self.of(Kind::Object) {
            page += &format!(".Vt {}\n", object.code);
        }
        functions.iter().for_each(|function| page += &synopsis(function));
        page += ".Sh DESCRIPTION\n";
        page +=
            "What holds for all functions, of errors, memory, NULL and threads, is in\n.Xr drmaa2 7 .\n";
        for declaration in &self.declarations {
            page += &format!(".Ss {}\n{}", declaration.name, prose(&declaration.comment));
            if declaration.kind == Kind::Type {
                page += &literal(&declaration.code);
            }
        }
        page + ".Sh SEE ALSO\n.Xr drmaa2 7\n"
    }
}

fn head(name: &str, section: u8) -> String {
    let title = name.to_uppercase();
    format!(
        ".\\\" SPDX-License-Identifier: Apache-2.0\n\
         .\\\" Generated from src/ffi by: DRMAA2_BLESS=1 cargo test --test man\n\
         .Dd {DAY}\n.Dt {title} {section}\n.Os libdrmaa2 {}\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The form of a call of a function.
fn synopsis(function: &Declaration) -> String {
    let code = function.code.split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, arguments) = code.trim_end_matches([')', ';']).split_once('(').unwrap();
    let result = before.strip_suffix(function.name.as_str()).unwrap().trim_end();
    let arguments: String =
        arguments.split(", ").map(|argument| format!(".Fa \"{argument}\"\n")).collect();
    format!(".Ft {result}\n.Fo {}\n{arguments}.Fc\n", function.name)
}

/// Text of a comment: a sentence a line.
fn prose(comment: &str) -> String {
    let paragraphs: Vec<String> = comment
        .split("\n\n")
        .map(|paragraph| {
            let text = paragraph.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
            let mut sentences = String::new();
            let mut rest = text.as_str();
            while let Some(end) = rest.find(". ") {
                sentences += &rest[..=end];
                sentences.push('\n');
                rest = &rest[end + 2..];
            }
            lines(&(sentences + rest))
        })
        .collect();
    paragraphs.join(".Pp\n")
}

/// A word of a text. A hyphen before a number is a minus sign, and no name is broken at a line's end.
fn word(word: &str) -> String {
    let escaped = word.replace('\\', "\\e");
    match escaped.strip_prefix('-') {
        Some(number) => format!("\\-{number}"),
        None if escaped.contains('_') => format!("\\%{escaped}"),
        None => escaped,
    }
}

/// Code, as it stands in the header.
fn literal(code: &str) -> String {
    format!(".Bd -literal\n{}.Ed\n", lines(&code.replace('\\', "\\e").replace('-', "\\-")))
}

/// Lines of text that are no requests.
fn lines(text: &str) -> String {
    let safe = |line: &str| {
        if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") }
    };
    text.lines().map(safe).collect()
}

/// `#define`s with the comments before them, as the header has them.
fn constants(header: &str) -> String {
    let begin = header.find("/* A moment or a span").unwrap();
    let end = begin + header[begin..].find("\n/* The state of a job").unwrap();
    header[begin..end].trim().to_owned()
}

/// The text that holds for the whole API: the comment at the top of the header.
fn overview(families: &[Family]) -> String {
    let header = generate(&HEADERS[0]);
    let comment = header.split("*/").next().unwrap();
    let comment: Vec<&str> =
        comment.lines().map(|line| line.trim_start_matches([' ', '*', '/'])).collect();
    let comment = comment.join("\n");
    let mut page = head("drmaa2", 7);
    page += ".Sh NAME\n.Nm drmaa2\n.Nd batch jobs as containers, by the standard C interface\n";
    page += ".Sh DESCRIPTION\n.Nm\nis the DRMAA2 interface to batch systems, GFD.231 in its C binding GFD.230.\n";
    page += "Each job is a container that containerd runs on this machine.\n.Pp\n";
    page += &prose(
        comment
            .trim()
            .split_once("\n\nErrors.")
            .map(|(_, rest)| rest)
            .map_or_else(
                || panic!("the header does not begin with what holds for all"),
                |rest| format!("Errors.{rest}"),
            )
            .as_str(),
    );
    page += ".Pp\nThe functions are described by family:\n.Bl -tag -width Ds\n";
    for family in families {
        page += &format!(".It Xr {} 3\n{}\n", family.name, family.title);
    }
    page += ".El\n.Pp\nThese are the constants:\n";
    page += &literal(&constants(&header));
    page += ".Sh SEE ALSO\n.Xr drmaa2d 8\n.Pp\n";
    page + "The job template, errors, configuration and capabilities are described at length in the\n\
            documentation of the project.\n"
}

/// All pages, by the names of their files.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut all = Vec::new();
    for header in &HEADERS {
        for family in families(header) {
            pages.insert(format!("{}.3", family.name), family.page(header));
            all.push(family);
        }
    }
    pages.insert(OVERVIEW.to_owned(), overview(&all));
    pages
}

#[test]
fn the_pages_are_well_formed_and_what_the_source_says() {
    let directory = root().join("docs/man");
    let pages = pages();
    if std::env::var_os("DRMAA2_BLESS").is_some() {
        for (name, page) in &pages {
            fs::write(directory.join(name), page).unwrap();
        }
    }
    for (name, page) in &pages {
        let committed = fs::read_to_string(directory.join(name)).unwrap_or_default();
        assert!(
            committed == *page,
            "docs/man/{name} is out of date; run: DRMAA2_BLESS=1 cargo test --test man"
        );
    }
    for entry in fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".3") || pages.contains_key(&name), "docs/man/{name} describes nothing");
    }
    assert_well_formed();
}

fn assert_well_formed() {
    let pages = fs::read_dir(root().join("docs/man")).unwrap().map(|entry| entry.unwrap().path());
    match Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(pages).output() {
        Ok(output) => {
            assert!(output.status.success(), "mandoc:\n{}", String::from_utf8_lossy(&output.stdout));
        }
        Err(_) if std::env::var_os("DRMAA2_TEST_REQUIRE").is_none() => {
            eprintln!("SKIPPED: there is no mandoc; the pages were not checked");
        }
        Err(error) => panic!("mandoc: {error}"),
    }
}
