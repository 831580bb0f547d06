//! The order of the rooms (see `docs/architecture.md`): each room names only rooms below it.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod circles;
mod source;

use std::fs;
use std::path::Path;

use circles::Crate;
use source::Source;

fn room(source: &Source) -> String {
    let first = source.path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a file names: what follows `crate::`, alone or in braces.
fn named_rooms(words: &[String]) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, window) in words.windows(3).enumerate() {
        if window != ["crate", ":", ":"] {
            continue;
        }
        let mut rest = words[at + 3..].iter().map(String::as_str);
        match rest.next() {
            Some("{") => {
                // Each name at the start of a branch of this brace.
                let (mut depth, mut start) = (0, true);
                for word in rest {
                    match word {
                        "{" => depth += 1,
                        "}" if depth == 0 => break,
                        "}" => depth -= 1,
                        "," if depth == 0 => start = true,
                        name if start => {
                            rooms.push(name);
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            Some(name) => rooms.push(name),
            None => {}
        }
    }
    rooms
}

/// Every file of `of` names no rooms but `allowed` and its own, and none of the words `never`.
fn check(of: &str, allowed: &[&str], never: &[&str]) {
    for source in source::files().iter().filter(|source| room(source) == of) {
        let words = source.words();
        // Its locks are for the whole house.
        for name in named_rooms(&words).into_iter().filter(|name| *name != "sync") {
            assert!(name == of || allowed.contains(&name), "{} names {name}", source.path.display());
        }
        for word in never {
            assert!(!words.iter().any(|other| other == word), "{} names {word}", source.path.display());
        }
    }
}

#[test]
fn the_model_knows_nobody() {
    check("model", &[], &["libc", "nix", "tokio", "rusqlite", "tonic", "containerd_client"]);
}

#[test]
fn the_scheduler_knows_the_model_alone() {
    check("scheduler", &["model"], &["libc", "nix", "tokio", "rusqlite", "tonic", "containerd_client"]);
}

#[test]
fn a_client_of_registries_knows_the_model_and_whose_credentials_are_meant() {
    check(
        "registry",
        &["model", "rights", "spawn", "tracker"],
        &["libc", "rusqlite", "tonic", "containerd_client"],
    );
}

#[test]
fn images_know_registries_and_nothing_of_containerd_or_jobs() {
    check(
        "images",
        &["model", "registry", "runtime", "rights"],
        &["libc", "rusqlite", "tonic", "containerd_client"],
    );
}

#[test]
fn a_tracker_is_an_interface_over_the_model() {
    check("tracker", &["model"], &["libc", "tokio", "rusqlite", "tonic", "containerd_client"]);
}

#[test]
fn the_c_interface_knows_sessions_and_the_model_alone() {
    check(
        "ffi",
        &["session", "model", "runtime", "fork", "daemon"],
        &["tokio", "rusqlite", "tonic", "containerd_client"],
    );
    // The agent enters by the same wall.
    for source in source::files().iter().filter(|source| room(source) == "ffi") {
        let names_agent = named_rooms(&source.words()).contains(&"daemon");
        assert_eq!(names_agent, source.path.ends_with("ffi/agent.rs"), "{}", source.path.display());
    }
}

#[test]
fn how_an_agent_starts_and_leaves_has_nothing_to_do_with_jobs() {
    check("agent", &["model", "fork", "spawn"], &["tokio", "rusqlite", "tonic", "containerd_client"]);
}

#[test]
fn rights_are_those_of_a_submitter() {
    check("rights", &["model", "tracker", "fork", "runtime"], &["tokio", "rusqlite", "tonic"]);
}

#[test]
fn nobody_knows_the_c_interface() {
    for source in source::files().iter().filter(|source| room(source) != "ffi") {
        let words = source.words();
        assert!(!named_rooms(&words).contains(&"ffi"), "{} names ffi", source.path.display());
    }
}

#[test]
fn sessions_know_no_particular_tracker() {
    for source in source::files().iter().filter(|source| room(source) == "session") {
        let words = source.words();
        for tracker in ["containerd", "slurm"] {
            assert!(!named_rooms(&words).contains(&tracker), "{}", source.path.display());
        }
        // The broker serves many sockets.
        let is_broker = source.path.starts_with("session/broker");
        for word in ["tokio", "tonic", "containerd_client"] {
            let may = is_broker && word == "tokio";
            let named = words.iter().any(|other| other == word);
            assert!(may || !named, "{} names {word}", source.path.display());
        }
    }
}

#[test]
fn containerd_knows_no_sessions() {
    for source in source::files().iter().filter(|source| room(source) == "containerd") {
        let words = source.words();
        let rooms = named_rooms(&words);
        for name in ["session", "store"] {
            assert!(!rooms.contains(&name), "{} names {name}", source.path.display());
        }
    }
}

#[test]
fn what_a_container_consists_of_is_the_same_for_every_tracker() {
    check("container", &["model", "tracker"], &["tokio", "rusqlite", "tonic", "containerd_client"]);
}

#[test]
fn slurm_is_known_by_its_programs_alone() {
    check(
        "slurm",
        &["model", "tracker", "container", "images", "registry", "runtime", "spawn"],
        &["rusqlite", "tonic", "containerd_client"],
    );
}

/// Files of a crate use each other in one direction: no way along the uses leads back to where it began.
///
/// A `mod.rs` is a file like any other. It may be below its children, with types that they use, or above
/// them, with code that calls them, but not both. To declare its children and to pass their names on is
/// not to use them. What two files need from each other belongs in one of them, or in a third file below
/// both.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let found: String = ["src/lib.rs", "init/src/lib.rs", "init/src/main.rs"]
        .map(|root| describe_circles(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root)))
        .concat();
    assert!(found.is_empty(), "files use each other in a circle:{found}");
}

/// The circles among the files of a crate, with the paths that make them.
fn describe_circles(root: &Path) -> String {
    let source = Crate::read(root);
    let uses = source.uses();
    let name = |file: &Path| file.strip_prefix(root.parent().unwrap()).unwrap().display().to_string();
    let mut text = String::new();
    for circle in circles::circles(&uses) {
        text += &format!("\n{} files:\n", circle.len());
        for file in &circle {
            for (to, paths) in uses[file].iter().filter(|(to, _)| circle.contains(to)) {
                text += &format!("  {} uses {} by {paths:?}\n", name(file), name(to));
            }
        }
    }
    text
}

#[test]
fn a_circle_of_files_is_found_in_every_form() {
    let found = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [("lib.rs", "mod a; mod b; mod c;")].iter().chain(files) {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        describe_circles(&dir.path().join("lib.rs"))
    };
    let a = ("a.rs", "pub struct A; fn f() { crate::b::g(0) }");
    let (b, c) = ("b.rs", "c.rs");
    for text in [
        "use crate::a::A;",
        "use super::{c, a::{self, A as B}};",
        "use crate::a; fn g(_: a::A) {}",
        "use super::a::*;",
        "pub use crate::a::A; struct B(A);",
        "fn g() -> Vec<u8> { vec![super::a::A] }",
        "mod inner { use super::super::a::A; }",
        // By a name that a third file passes on.
        "use crate::c::C;",
        "use crate::c::inner::A;",
    ] {
        let passes_on = "pub use super::a::A as C; pub mod inner { pub(crate) use crate::a::A; }";
        let text = found(&[a, (b, text), (c, passes_on)]);
        assert!(text.contains("2 files:") && text.contains("b.rs uses a.rs"), "{text}");
    }
    for text in [
        "",
        "// crate::a::A\n#[doc = \"crate::a::A\"] fn g() { h.a(x.A) }",
        "pub use crate::a::A;",
        "use crate::a; use std::a::A; use c::A;",
        "#[cfg(test)] use crate::a::A; #[cfg(test)] mod tests { use crate::a::A; } fn g() {}",
        "#[cfg(test)] mod tests;",
    ] {
        assert_eq!(found(&[a, (b, text), (c, ""), ("b/tests.rs", "use crate::a::A;")]), "", "{text}");
    }
    // A parent and its child.
    let (parent, child) = ("a/mod.rs", ("a/child.rs", "use super::A; pub struct Child;"));
    let (b, c) = ((b, ""), (c, ""));
    assert_eq!(found(&[(parent, "mod child; pub struct A; pub use child::Child;"), child, b, c]), "");
    let text = found(&[(parent, "mod child; struct A(child::Child);"), child, b, c]);
    assert!(text.contains("a/mod.rs uses a/child.rs by {\"child::Child\"}"), "{text}");
}

#[test]
fn no_lock_queues_its_threads_in_a_table_of_the_process() {
    // Nor may a feature of tokio bring it in; why, is said in src/sync.rs.
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    assert!(!lock.contains("name = \"parking_lot"), "parking_lot is among the dependencies");
}

#[test]
fn one_file_decides_which_tracker_it_is() {
    for source in source::files() {
        let allowed = room(&source) == "containerd" || source.path.as_os_str() == "drms.rs";
        assert!(
            allowed || !source.words().iter().any(|word| word == "ContainerdTracker"),
            "{} names ContainerdTracker",
            source.path.display()
        );
    }
}

#[test]
fn a_named_room_is_found_in_every_form() {
    let source = Source {
        path: "x.rs".into(),
        text: "use crate::{a::{b, c}, d as e}; // crate::f\nfn g() { h!(crate::i::j) }".to_owned(),
    };
    assert_eq!(named_rooms(&source.words()), ["a", "d", "i"]);
}
