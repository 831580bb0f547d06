//! The state directory on a small disk of its own, which gets full at each point.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault::{Act, At, Fault};
use crate::matrix::Cell;
use crate::proxy::{Side, Trap};
use crate::scene::Scene;
use crate::stage::Starter;

/// Room for a database and a few jobs.
const SIZE: u64 = 16 << 20;
const FILLER: &str = "filler";

/// A file system in a file, mounted.
pub struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Mount a new one.
    pub fn new(place: &Path) -> Self {
        let image = place.with_extension("image");
        File::create(&image).unwrap().set_len(SIZE).unwrap();
        fs::create_dir(place).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", image.to_str().unwrap()]);
        run("mount", &["-o", "loop", image.to_str().unwrap(), place.to_str().unwrap()]);
        Self { place: place.to_owned() }
    }

    /// Leave no room on it.
    pub fn fill(&self) {
        let mut filler = File::create(self.place.join(FILLER)).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while filler.write(&vec![1; size]).is_ok() {}
            // After this, the written data really takes its room, and room that was promised to others is gone.
            let _ = filler.sync_all();
        }
    }

    /// Make room again.
    pub fn free(&self) {
        let _ = fs::remove_file(self.place.join(FILLER));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.place.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    assert!(
        Command::new(program).args(arguments).status().unwrap().success(),
        "{program} {arguments:?}"
    );
}

pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |scene, at| {
        let fault = Fault { at, act: Act::FillDisk };
        cells.push(Cell { scene, starter: Starter::Submitter, fault });
    };
    for scene in [Scene::Life, Scene::Bare] {
        for method in [
            "Containers.Create",
            "Snapshots.Prepare",
            "Tasks.Create",
            "Tasks.Start",
            "Tasks.Delete",
            "Containers.Delete",
            "Snapshots.Remove",
        ] {
            for side in [Side::Before, Side::After] {
                add(scene, At::Call(Trap { method: Some(method.to_owned()), nth: 1, side }));
            }
        }
        add(scene, At::Moment("submitted"));
    }
    for name in ["running", "ended unheard"] {
        add(Scene::Running, At::Moment(name));
    }
    add(Scene::Suspend, At::Moment("suspended"));
    add(Scene::Terminate, At::Moment("asked to end"));
    add(Scene::Ahead, At::Moment("ready"));
    add(Scene::Rerun, At::Moment("lost"));
    cells
}
