//! The promises of the library, with everything around it dying at every point.
//!
//! Without an argument that names a part, as a test among others, a short part is played on the machine's
//! containerd. `scripts/test-deep` plays them all, on several versions.
//!
//! Needs root, containerd and `DRMAA2_INIT`; with `DRMAA2_TEST_REQUIRE=1` a missing one is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub, missing_docs)]

mod chaos;
mod check;
mod clocks;
mod daemon;
mod disks;
mod fault;
#[allow(dead_code)]
#[path = "../registry/image.rs"]
mod image;
mod matrix;
mod player;
mod processes;
mod proxy;
mod report;
mod rpcs;
mod scene;
#[allow(dead_code)]
#[path = "../registry/server.rs"]
mod server;
mod stage;
mod strike;
mod wrapper;

use std::collections::VecDeque;
use std::env;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use check::Verdict;
use daemon::Daemon;
use matrix::Cell;
use report::Report;

/// The short part is one of so many faults of the matrix.
const SHORT: usize = 16;

/// The plan that the arguments give.
struct Plan {
    part: String,
    /// The directory of another containerd's programs.
    bin: Option<PathBuf>,
    runtime: String,
    /// Only faults whose name has this in it.
    only: String,
    /// The number of faults that are played at a time, each on a containerd of its own.
    workers: usize,
    /// The number of rounds of chaos, and the number that decides the first.
    rounds: usize,
    seed: u64,
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
            rounds: number("--rounds", "100"),
            seed: value("--seed").map_or_else(|| fastrand::u64(..1 << 32), |seed| seed.parse().unwrap()),
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
    let tasks: Vec<Task> = match plan.part.as_str() {
        "short" => matrix::some(SHORT).into_iter().map(Task::Cell).collect(),
        "matrix" => matrix::all().into_iter().map(Task::Cell).collect(),
        "rpcs" => rpcs::all(&mut first).into_iter().map(Task::Cell).collect(),
        "chaos" => (0..plan.rounds).map(|round| Task::Chaos(plan.seed + round as u64)).collect(),
        "disks" => disks::all().into_iter().map(Task::Cell).collect(),
        "clocks" => clocks::all().into_iter().map(Task::Cell).collect(),
        part => panic!("there is no part {part}"),
    };
    let version = format!("{} {}", first.version, plan.runtime);
    let report = Mutex::new(Report::new(version));
    play(&plan, first, tasks, &report);
    let report = report.into_inner().unwrap();
    report.write(&plan.part, plan.report.as_deref());
    assert_eq!(report.wrong(), 0, "faults went wrong");
    println!("test result: ok. {} passed; 0 failed; 0 ignored;", report.tried());
}

/// Something to be played on one daemon.
enum Task {
    Cell(Cell),
    /// A round of chaos, by its number.
    Chaos(u64),
}

impl Task {
    /// The name that it is counted under, and its own name.
    fn names(&self) -> (String, String) {
        match self {
            Self::Cell(cell) => (cell.fault.act.to_string(), cell.to_string()),
            Self::Chaos(seed) => ("random faults".to_owned(), format!("chaos --rounds 1 --seed {seed}")),
        }
    }

    fn play(&self, daemon: &mut Daemon) -> Verdict {
        match self {
            Self::Cell(cell) => check::play(daemon, cell),
            Self::Chaos(seed) => chaos::play(daemon, *seed),
        }
    }
}

/// Play them all, each on one of the daemons.
fn play(plan: &Plan, first: Daemon, tasks: Vec<Task>, report: &Mutex<Report>) {
    let wanted = tasks.into_iter().filter(|task| task.names().1.contains(&plan.only));
    let queue = &Mutex::new(wanted.collect::<VecDeque<_>>());
    let work = move |mut daemon: Daemon| {
        let next = || queue.lock().unwrap().pop_front();
        while let Some(task) = next() {
            let begun = Instant::now();
            let verdict = task.play(&mut daemon);
            let (kind, name) = task.names();
            report.lock().unwrap().add(&kind, &name, &verdict, begun.elapsed());
        }
    };
    std::thread::scope(|scope| {
        for number in 1..plan.workers {
            scope.spawn(move || work(plan.daemon(number)));
        }
        work(first);
    });
}
