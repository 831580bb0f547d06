//! The clock as the library sees it is set, at each point. A library that is loaded before all others
//! (libfaketime) tells a wrong time, so that the clock of the machine stays as it is; containerd and what runs
//! in containers keep to that one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fault::{Act, At, Fault};
use crate::matrix::Cell;
use crate::proxy::{Side, Trap};
use crate::scene::Scene;
use crate::stage::Starter;

const HOUR: i64 = 3600;

/// The path of libfaketime on Debian.
fn library() -> PathBuf {
    let dirs = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut libraries = dirs.map(|dir| dir.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime is needed for the clocks")
}

fn file(dir: &Path) -> PathBuf {
    dir.join("clock")
}

/// Variables that make processes see the time that is set.
pub fn environment(dir: &Path) -> Vec<(&'static str, String)> {
    set(dir, 0);
    vec![
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file(dir).display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Set the clock, by so many seconds off the right time.
pub fn set(dir: &Path, off: i64) {
    let new = file(dir).with_extension("new");
    fs::write(&new, format!("{off:+}\n")).unwrap();
    fs::rename(new, file(dir)).unwrap();
}

pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for off in [-HOUR, HOUR] {
        let mut add = |scene, starter, at| {
            let fault = Fault { at, act: Act::SetClock(off) };
            cells.push(Cell { scene, starter, fault });
        };
        for starter in [Starter::Submitter, Starter::Agent] {
            add(Scene::Life, starter, At::Moment("submitted"));
            for method in ["Containers.Create", "Tasks.Create", "Tasks.Start", "Tasks.Delete"] {
                for side in [Side::Before, Side::After] {
                    add(
                        Scene::Life,
                        starter,
                        At::Call(Trap { method: Some(method.to_owned()), nth: 1, side }),
                    );
                }
            }
            add(Scene::Running, starter, At::Moment("running"));
            add(Scene::Running, starter, At::Moment("ended unheard"));
        }
        add(Scene::Ahead, Starter::Submitter, At::Moment("ready"));
        add(Scene::Suspend, Starter::Submitter, At::Moment("suspended"));
        add(Scene::Terminate, Starter::Submitter, At::Moment("asked to end"));
        add(Scene::Rerun, Starter::Submitter, At::Moment("lost"));
    }
    cells
}
