//! The uses among the files of a crate, and their circles.
//!
//! A file uses another one if a path in it, in a `use` or anywhere else, leads to an item that the other
//! defines. A name that is passed on by `pub use` counts as one of the file that defines it. So a
//! `mod.rs` that declares its children and passes their names on does not use them. Tests, in files of
//! their own or not, do not count. Calls of methods are not seen, since they have no path.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::UseTree;

/// The most imports that lead from one to the next; more are a circle of names.
const MAX_STEPS: usize = 16;

/// A path, or the name of a module from the root of its crate on.
type Names = Vec<String>;

/// The files that each file uses, and the paths by which it does.
pub(crate) type Uses<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, BTreeSet<String>>>;

/// The modules of a crate.
#[derive(Default)]
pub(crate) struct Crate {
    modules: HashMap<Names, Module>,
}

#[derive(Default)]
struct Module {
    file: PathBuf,
    children: HashSet<String>,
    /// The name that each `use` brings, and the path that it stands for.
    imports: HashMap<String, Names>,
    /// The names that are passed on.
    exports: HashSet<String>,
    /// The paths in the code, names alone included, and those of each `use` that passes nothing on.
    paths: HashSet<Names>,
}

impl Crate {
    /// Read a crate, from its root file on.
    pub(crate) fn read(root: &Path) -> Self {
        let mut read = Self::default();
        read.read_file(root, root.parent().unwrap(), Names::new());
        read
    }

    /// Read a module whose children have their files in `dir`.
    fn read_file(&mut self, file: &Path, dir: &Path, name: Names) {
        let text = fs::read_to_string(file).unwrap();
        self.read_module(text.parse().unwrap(), file, dir, name);
    }

    fn read_module(&mut self, text: TokenStream, file: &Path, dir: &Path, name: Names) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        self.read_code(text, &mut module, dir, &name);
        self.modules.insert(name, module);
    }

    fn read_code(&mut self, text: TokenStream, module: &mut Module, dir: &Path, name: &Names) {
        let tokens: Vec<TokenTree> = text.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let (before, rest) = tokens.split_at(at);
            if is_for_tests(rest) {
                let is_end = |token: &TokenTree| is_sign(token, ';') || is_brace(token);
                at += rest.iter().position(is_end).unwrap() + 1;
            } else if let [word, TokenTree::Ident(child), body, ..] = rest
                && is_word(word, "mod")
            {
                self.read_child(&child.to_string(), body, module, dir, name);
                at += 3;
            } else if is_word(token, "use") && !is_sign(&rest[1], '<') {
                let length = rest.iter().position(|token| is_sign(token, ';')).unwrap() + 1;
                let item = syn::parse2::<syn::ItemUse>(rest[..length].iter().cloned().collect());
                // Behind `pub`, or `pub(crate)`.
                let before = before.rsplit(|token| !matches!(token, TokenTree::Group(_)));
                let is_passed_on = before.map(<[_]>::len).next().is_some_and(|groups| {
                    at.checked_sub(groups + 1).is_some_and(|at| is_word(&tokens[at], "pub"))
                });
                module.import(&item.unwrap().tree, Names::new(), is_passed_on);
                at += length;
            } else if let TokenTree::Group(group) = token {
                self.read_code(group.stream(), module, dir, name);
                at += 1;
            } else {
                let path = path(rest);
                // A member or a method alone is no path.
                let is_member = before.last().is_some_and(|token| is_sign(token, '.'));
                at += 1 + path.len().saturating_sub(1) * 3;
                if path.len() > usize::from(is_member) {
                    module.paths.insert(path);
                }
            }
        }
    }

    fn read_child(
        &mut self,
        child: &str,
        body: &TokenTree,
        module: &mut Module,
        dir: &Path,
        name: &Names,
    ) {
        module.children.insert(child.to_owned());
        let (dir, name) = (dir.join(child), [&name[..], &[child.to_owned()]].concat());
        match body {
            TokenTree::Group(body) => self.read_module(body.stream(), &module.file, &dir, name),
            _ => {
                let files = [dir.with_extension("rs"), dir.join("mod.rs")];
                self.read_file(files.iter().find(|file| file.exists()).unwrap(), &dir, name);
            }
        }
    }

    /// The uses among its files.
    pub(crate) fn uses(&self) -> Uses<'_> {
        let mut uses = Uses::new();
        for (name, module) in &self.modules {
            let from = uses.entry(&module.file).or_default();
            for path in &module.paths {
                // A name alone needs no path if it is imported, and that import is a path by itself; but
                // one that is also passed on is used only here.
                let counts = path.len() > 1 || module.exports.contains(&path[0]);
                let to = self.file_of(name, path, 0).filter(|to| counts && *to != module.file);
                if let Some(to) = to {
                    from.entry(to).or_default().insert(path.join("::"));
                }
            }
        }
        uses
    }

    /// The file with the item that a path in a module leads to, if that is in this crate.
    fn file_of(&self, name: &[String], path: &[String], steps: usize) -> Option<&Path> {
        let (first, rest) = path.split_first()?;
        if steps == MAX_STEPS {
            return None;
        }
        let module = &self.modules[name];
        let inner = match first.as_str() {
            "crate" => Names::new(),
            "self" => name.to_owned(),
            "super" => name.split_last()?.1.to_owned(),
            child if module.children.contains(child) => [name, &path[..1]].concat(),
            _ => {
                let import = module.imports.get(first).filter(|import| **import != path)?;
                return self.file_of(name, &[&import[..], rest].concat(), steps + 1);
            }
        };
        // A path to a module is no use of it; what is used there has a longer path.
        let next = rest.first()?;
        let module = &self.modules[&inner];
        if next == "super" || module.children.contains(next) || module.imports.contains_key(next) {
            return self.file_of(&inner, rest, steps + 1);
        }
        Some(&module.file)
    }
}

impl Module {
    /// Note what a `use` brings; `path` is the part before `tree`.
    fn import(&mut self, tree: &UseTree, mut path: Names, is_passed_on: bool) {
        let (item, name) = match tree {
            UseTree::Path(one) => {
                path.push(one.ident.to_string());
                return self.import(&one.tree, path, is_passed_on);
            }
            UseTree::Group(group) => {
                let all = group.items.iter();
                return all.for_each(|one| self.import(one, path.clone(), is_passed_on));
            }
            UseTree::Glob(_) => {
                path.push("*".to_owned());
                self.paths.insert(path);
                return;
            }
            UseTree::Name(one) => (&one.ident, &one.ident),
            UseTree::Rename(one) => (&one.ident, &one.rename),
        };
        if item == "self" {
            self.imports.insert(
                if name == "self" { path.last().unwrap().clone() } else { name.to_string() },
                path,
            );
            return;
        }
        path.push(item.to_string());
        if is_passed_on {
            self.exports.insert(name.to_string());
        } else {
            self.paths.insert(path.clone());
        }
        self.imports.insert(name.to_string(), path);
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_brace(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Returns whether the tokens begin with `#[cfg(test)]`.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [sign, TokenTree::Group(attribute), ..] = tokens else { return false };
    is_sign(sign, '#') && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// The path with which the tokens begin; empty if they begin with something else.
fn path(tokens: &[TokenTree]) -> Names {
    let mut names = Names::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(name), after @ ..] = rest {
        names.push(name.to_string());
        match after {
            [TokenTree::Punct(colon), _, TokenTree::Ident(_), ..]
                if colon.as_char() == ':' && colon.spacing() == Spacing::Joint =>
            {
                rest = &after[2..];
            }
            _ => break,
        }
    }
    names
}

/// The circles: sets of files each of which leads to each other one.
pub(crate) fn circles<'a>(uses: &Uses<'a>) -> Vec<Vec<&'a Path>> {
    let leads_to = |start: &'a Path| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(file) = open.pop() {
            open.extend(uses[file].keys().filter(|to| seen.insert(**to)));
        }
        seen
    };
    let leads_to: BTreeMap<&Path, BTreeSet<&Path>> =
        uses.keys().map(|file| (*file, leads_to(file))).collect();
    let mut circles: Vec<Vec<&Path>> = Vec::new();
    for (file, others) in leads_to.iter().filter(|(file, others)| others.contains(*file)) {
        if !circles.iter().any(|circle| circle.contains(file)) {
            circles
                .push(others.iter().copied().filter(|other| leads_to[other].contains(file)).collect());
        }
    }
    circles
}
