//! The source of the library as tokens, for tests that check its structure: comments and strings
//! cannot fool them.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// A file of the library.
pub(crate) struct Source {
    /// Its path below `src`.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) text: String,
}

/// All files below `src`.
pub(crate) fn files() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 10, "the source was not found");
    found
}

impl Source {
    /// All its words and signs in order, those in brackets, macros and attributes as well.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        flatten(self.text.parse().unwrap(), &mut words);
        words
    }
}

fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                words.push("{".to_owned());
                flatten(group.stream(), words);
                words.push("}".to_owned());
            }
            // The text of a comment for documentation is no word of the program.
            TokenTree::Literal(_) => {}
            token => words.push(token.to_string()),
        }
    }
}
