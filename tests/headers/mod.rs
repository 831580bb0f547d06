//! The headers in `include`: what they are made from, how, and what they declare.

// Each test uses a part of it.
#![allow(dead_code)]

use std::path::Path;

/// A header and what it is made from.
pub(crate) struct Header {
    pub(crate) path: &'static str,
    pub(crate) config: &'static str,
    /// The families of the API in the order in which the header has them.
    pub(crate) families: &'static [&'static str],
}

pub(crate) const HEADERS: [Header; 2] = [
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
            "notification",
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

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header as the source has it now.
pub(crate) fn generate(header: &Header) -> String {
    let mut builder = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root().join(header.config)).unwrap());
    for family in header.families {
        builder = builder.with_src(root().join(format!("src/ffi/{family}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    polish(&String::from_utf8(text).unwrap())
}

/// The details that cbindgen cannot be told.
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

/// The kind of thing that a declaration declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Type,
    Object,
    Function,
}

/// A declaration at file level.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The text of the comment before it, without the signs of a comment.
    pub(crate) comment: String,
    /// The declaration up to its semicolon, with the comments in it.
    pub(crate) code: String,
}

impl Declaration {
    fn new(comment: &str, code: &str) -> Self {
        let bare = without_comments(code);
        // The last word before the arguments, or of all.
        let last_word = |text: &str| {
            text.trim_end_matches([';', ')', ' ']).rsplit([' ', '*', '\n']).next().unwrap().to_owned()
        };
        let (kind, name) = if bare.starts_with("typedef") {
            let name =
                bare.split_once("(*").map_or(bare.as_str(), |(_, rest)| rest.split(')').next().unwrap());
            (Kind::Type, last_word(name))
        } else if let Some((before, _)) = bare.split_once('(') {
            (Kind::Function, last_word(before))
        } else {
            (Kind::Object, last_word(&bare))
        };
        let comment: Vec<&str> =
            comment.lines().map(|line| line.trim_start().trim_start_matches('*').trim()).collect();
        Self { kind, name, comment: comment.join("\n").trim().to_owned(), code: code.trim().to_owned() }
    }
}

/// The declarations of a header at file level, in its order.
pub(crate) fn declarations(header: &str) -> Vec<Declaration> {
    let code: Vec<&str> =
        header.lines().filter(|line| !line.starts_with('#') && !line.contains("extern \"C\"")).collect();
    let code = code.join("\n");
    let mut rest = code.as_str();
    let mut declarations = Vec::new();
    let (mut comment, mut text, mut depth) = ("", String::new(), 0_u32);
    while let Some(character) = rest.chars().next() {
        if rest.starts_with("/*") {
            let end = rest.find("*/").unwrap();
            if text.trim().is_empty() {
                comment = &rest[2..end];
            } else {
                text.push_str(&rest[..end + 2]);
            }
            rest = &rest[end + 2..];
            continue;
        }
        rest = &rest[character.len_utf8()..];
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        text.push(character);
        if character == ';' && depth == 0 {
            declarations.push(Declaration::new(comment, &text));
            (comment, text) = ("", String::new());
        }
    }
    assert!(text.trim().is_empty(), "what is this: {text}");
    declarations
}

/// Code without the comments in it.
pub(crate) fn without_comments(code: &str) -> String {
    let mut bare = String::new();
    let mut rest = code;
    while let Some(start) = rest.find("/*") {
        bare.push_str(&rest[..start]);
        rest = &rest[start + rest[start..].find("*/").unwrap() + 2..];
    }
    (bare + rest).trim().to_owned()
}
