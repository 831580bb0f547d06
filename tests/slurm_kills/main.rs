//! Jobs on a cluster of which parts die at random moments: each runs once, its end is the true one, and nothing is left.
//!
//! Needs root, `DRMAA2_TEST_CLUSTER`, the script that starts and kills clusters, and `DRMAA2_INIT`, beside which
//! `drmaa2-node` is. With `DRMAA2_TEST_REQUIRE=1` a missing one is a failure. `DRMAA2_TEST_KILLS` is the number of
//! moments, `DRMAA2_TEST_SEED` decides the first; the next number decides the next. `DRMAA2_TEST_ONLY` is a part of the
//! names of the faults that are played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub, missing_docs)]

mod cluster;
mod fault;
#[allow(dead_code)]
#[path = "../registry/image.rs"]
mod image;
mod job;
#[allow(dead_code)]
#[path = "../faults/player.rs"]
mod player;
mod round;
#[allow(dead_code)]
#[path = "../registry/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::Cluster;
use image::{Image, Layer};
use round::Round;
use server::Server;

/// The number of moments, unless it is set.
const USUAL: u64 = 10;

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn main() {
    if env::args().nth(1).is_some_and(|word| word == player::ROLE) {
        return player::play();
    }
    let (Some(script), Some(_)) = (setting("DRMAA2_TEST_CLUSTER"), setting("DRMAA2_INIT")) else {
        let required = setting("DRMAA2_TEST_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "DRMAA2_TEST_REQUIRE=1, but DRMAA2_TEST_CLUSTER or DRMAA2_INIT is not set");
        eprintln!("SKIPPED: DRMAA2_TEST_CLUSTER or DRMAA2_INIT is not set; nothing was killed");
        return;
    };
    let number = |name: &str| setting(name).map(|value| value.parse::<u64>().unwrap());
    let moments = number("DRMAA2_TEST_KILLS").unwrap_or(USUAL);
    let seed = number("DRMAA2_TEST_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let wrong = play(script.into(), moments, seed);
    assert!(wrong.is_empty(), "moments went wrong:\n{}", wrong.join("\n"));
    println!("test result: ok. {moments} passed; 0 failed; 0 ignored;");
}

/// Play so many moments. Returns what went wrong in those that did.
fn play(script: PathBuf, moments: u64, seed: u64) -> Vec<String> {
    let dir = tempfile::Builder::new().prefix("kills.").tempdir_in("/var/tmp").unwrap();
    std::fs::create_dir(dir.path().join("runs")).unwrap();
    let cluster = Cluster::start(script);
    let server = Server::start();
    let image = server.push(&Image::new(vec![Layer::busybox()], serde_json::json!({})), "busybox:1");
    let environment = environment(dir.path());
    let contact = format!("slurm://{}", cluster.conf().display());
    let mut player = round::player(&environment, dir.path(), &["create", &contact]);
    let (mut wrong, mut played) = (Vec::new(), BTreeMap::new());
    for seed in seed..seed + moments {
        let begun = Instant::now();
        let mut round = Round::new(&cluster, dir.path(), &environment, &mut player);
        let faults = round.play(seed, &image);
        println!("DRMAA2_TEST_SEED={seed} {faults:?} {:?} {:?}", round.notes, begun.elapsed());
        for fault in faults {
            *played.entry(fault).or_insert(0) += 1;
        }
        round.wrong.iter().for_each(|text| println!("  WRONG {text}"));
        wrong.extend(round.wrong.iter().map(|text| format!("DRMAA2_TEST_SEED={seed}: {text}")));
    }
    println!("{played:?}");
    if !has_let_go(&dir.path().join("state/slurm/ended")) {
        wrong.push("there are marks of jobs that Slurm has not let go".to_owned());
    }
    drop(player);
    if !wrong.is_empty() {
        cluster.keep_logs(dir.path());
        wrong.push(format!("see {}", dir.keep().display()));
    }
    wrong
}

/// Wait until no job has a mark in this directory any more: some time after its end.
fn has_let_go(ended: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(90);
    let is_empty = || std::fs::read_dir(ended).unwrap().next().is_none();
    while !is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    is_empty()
}

fn environment(dir: &Path) -> Vec<(&'static str, String)> {
    let config = dir.join("drmaa2.toml");
    std::fs::write(&config, "").unwrap();
    vec![
        ("DRMAA2_STATE_DIR", dir.join("state").display().to_string()),
        ("DRMAA2_CONFIG", config.display().to_string()),
        ("DRMAA2_AGENT", "off".to_owned()),
        ("DRMAA2_GRACE_SECONDS", "1".to_owned()),
        ("DRMAA2_LOG", "drmaa2=debug".to_owned()),
    ]
}
