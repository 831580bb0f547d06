//! What the library promises, with everything around it dying at every point.
//!
//! `faults matrix|rpcs|chaos|disks|clocks` plays a part in full, which `scripts/test-deep` calls;
//! without one, as a test among others, a short part is played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub, missing_docs)]

mod check;
mod daemon;
mod fault;
mod matrix;
mod player;
mod processes;
mod proxy;
mod scene;
mod stage;
mod strike;
mod wrapper;

use std::env;
use std::path::PathBuf;

use check::Verdict;
use daemon::Daemon;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == player::ROLE) {
        return player::play();
    }
    if env::var_os("DRMAA2_INIT").is_none() {
        let required = env::var("DRMAA2_TEST_REQUIRE").is_ok_and(|value| value == "1");
        assert!(!required, "DRMAA2_TEST_REQUIRE=1, but DRMAA2_INIT not set");
        eprintln!("SKIPPED: DRMAA2_INIT not set; no fault was tried");
        return;
    }
    let value = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        words.get(place + 1).cloned()
    };
    let dir = PathBuf::from(format!("/var/tmp/c{}", std::process::id()));
    let bin = value("--bin").map(PathBuf::from);
    let runtime = value("--runtime").unwrap_or_else(|| "runc".to_owned());
    let mut daemon = Daemon::new(dir, bin, &runtime);
    let only = value("--only").unwrap_or_default();
    let mut failed = 0;
    for cell in matrix::all() {
        let name = format!("{} {:?} {}", cell.scene, cell.starter, cell.fault);
        if !name.contains(&only) {
            continue;
        }
        let begun = std::time::Instant::now();
        let Verdict { missed, wrong, kept, .. } =
            check::play(&mut daemon, cell.scene, cell.starter, cell.fault);
        let result = if !wrong.is_empty() {
            "WRONG"
        } else if missed {
            "MISSED"
        } else {
            "ok"
        };
        println!("{result:6} {:5.1} s  {name}", begun.elapsed().as_secs_f64());
        for wrong in &wrong {
            println!("         {wrong}");
        }
        if let Some(kept) = kept {
            println!("         see {}", kept.display());
        }
        failed += usize::from(!wrong.is_empty());
    }
    assert_eq!(failed, 0, "cells are wrong");
}
