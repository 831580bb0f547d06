//! A wrapper of runc that can be stopped before and after runc does its work.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::proxy::Side;

/// Takes the options before the command for what they are; all of them but one have a value. What is named
/// in `armed` is stopped once.
const SCRIPT: &str = r#"#!/bin/sh
command=
for word; do
    case $word in create | start | delete | kill | pause | resume) command=$word && break ;; esac
done
stop() {
    [ -e DIR/armed ] && read -r armed <DIR/armed && [ "$armed" = "$1 $command" ] && mv DIR/armed DIR/fired 2>/dev/null || return
    echo $$ >DIR/hits
    read -r go <DIR/go
}
stop before
RUNTIME "$@"
status=$?
stop after
exit $status
"#;

/// Its path below a directory.
pub const PATH: &str = "runtime/runtime";

/// Such a program in a directory of its own.
pub struct Wrapper {
    path: PathBuf,
    hits: File,
    go: File,
}

impl Wrapper {
    /// `on_hit` hears the number of the process that is stopped.
    pub fn new(dir: &Path, runtime: &Path, on_hit: impl Fn(i32) + Send + 'static) -> Self {
        let path = dir.join(PATH);
        let dir = path.parent().unwrap();
        fs::create_dir(dir).unwrap();
        let script = SCRIPT.replace("RUNTIME", runtime.to_str().unwrap());
        let script = script.replace("DIR", dir.to_str().unwrap());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let [hits, go] = ["hits", "go"].map(|name| {
            let path = dir.join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            // Open for both, so that no side waits for the other to open it.
            File::options().read(true).write(true).open(path).unwrap()
        });
        let lines = BufReader::new(hits.try_clone().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match line.parse() {
                    Ok(pid) => on_hit(pid),
                    Err(_) => return,
                }
            }
        });
        Self { path, hits, go }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn armed(&self) -> PathBuf {
        self.path.with_file_name("armed")
    }

    /// Stop the next such command.
    pub fn arm(&self, command: &str, side: Side) {
        let side = if side == Side::Before { "before" } else { "after" };
        // Whole or not at all.
        let new = self.armed().with_extension("new");
        fs::write(&new, format!("{side} {command}\n")).unwrap();
        fs::rename(new, self.armed()).unwrap();
    }

    pub fn disarm(&self) {
        let _ = fs::remove_file(self.armed());
    }

    /// Let the one that is stopped go on.
    pub fn go(&self) {
        (&self.go).write_all(b"go\n").unwrap();
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        let _ = self.hits.write_all(b"over\n");
    }
}
