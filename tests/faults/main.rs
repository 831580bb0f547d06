//! What the library promises, with everything around it dying at every point.
//!
//! Without an argument that names a part, as a test among others, a short part is played on the machine's
//! containerd. `scripts/test-deep` plays them all, on several versions.
//!
//! Needs root, containerd and `DRMAA2_INIT`; with `DRMAA2_TEST_REQUIRE=1` a missing one is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub, missing_docs)]

mod check;
mod daemon;
mod fault;
mod matrix;
mod player;
mod processes;
mod proxy;
mod report;
mod rpcs;
mod scene;
mod stage;
mod strike;
mod wrapper;

use std::collections::VecDeque;
use std::env;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use daemon::Daemon;
use matrix::Cell;
use report::Report;

/// What the arguments say.
struct Plan {
    part: String,
    /// Where another containerd's programs are.
    bin: Option<PathBuf>,
    runtime: String,
    /// Only faults whose name has this in it.
    only: String,
    /// How many are played at a time, each on a containerd of its own.
    workers: usize,
    report: Option<PathBuf>,
}

impl Plan {
    fn read(words: &[String]) -> Self {
        let value = |name: &str| {
            let place = words.iter().position(|word| word == name)?;
            words.get(place + 1).cloned()
        };
        let number = |name: &str, otherwise: &str| {
            value(name).unwrap_or_else(|| otherwise.to_owned()).parse::<usize>().unwrap()
        };
        Self {
            part: words
                .first()
                .filter(|word| !word.starts_with('-'))
                .map_or("short", |word| word)
                .to_owned(),
            bin: value("--bin").map(PathBuf::from),
            runtime: value("--runtime").unwrap_or_else(|| "runc".to_owned()),
            only: value("--only").unwrap_or_default(),
            workers: number("--workers", "1"),
            report: value("--report").map(PathBuf::from),
        }
    }

    fn daemon(&self, number: usize) -> Daemon {
        let dir = PathBuf::from(format!("/var/tmp/faults-{}-{number}", std::process::id()));
        Daemon::new(dir, self.bin.clone(), &self.runtime)
    }
}

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
    let plan = Plan::read(&words);
    let mut first = plan.daemon(0);
    let cells = match plan.part.as_str() {
        "matrix" => matrix::all(),
        "rpcs" => rpcs::all(&mut first),
        part => panic!("there is no part {part}"),
    };
    let version = format!("{} {}", first.version, plan.runtime);
    let report = Mutex::new(Report::new(version));
    play(&plan, first, cells, &report);
    let report = report.into_inner().unwrap();
    report.write(&plan.part, plan.report.as_deref());
    assert_eq!(report.wrong(), 0, "faults went wrong");
}

/// Play them all, each on one of the daemons.
fn play(plan: &Plan, first: Daemon, cells: Vec<Cell>, report: &Mutex<Report>) {
    let wanted = cells.into_iter().filter(|cell| cell.to_string().contains(&plan.only));
    let queue = &Mutex::new(wanted.collect::<VecDeque<_>>());
    let work = move |mut daemon: Daemon| {
        let next = || queue.lock().unwrap().pop_front();
        while let Some(cell) = next() {
            let begun = Instant::now();
            let verdict = check::play(&mut daemon, &cell);
            let kind = cell.fault.act.to_string();
            report.lock().unwrap().add(&kind, &cell.to_string(), &verdict, begun.elapsed());
        }
    };
    std::thread::scope(|scope| {
        for number in 1..plan.workers {
            scope.spawn(move || work(plan.daemon(number)));
        }
        work(first);
    });
}
