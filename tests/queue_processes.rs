//! The queue over several processes, with a real containerd and the agent: what was submitted runs
//! once, on no more slots than there are, whoever exits or is killed.
//!
//! The test is a program of its own (`harness = false`), since its processes are this very program
//! started again. It needs what `tests/containerd_tracker.rs` needs, and `DRMAA2_TEST_AGENT`, the
//! path of `drmaa2d`. `DRMAA2_TEST_JOBS` is how many jobs a scenario has, `DRMAA2_TEST_SPAN` how many
//! seconds each runs; 40 and 0.2 if they are not set. A scenario may be named: `exits` or `killed`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use drmaa2::model::JobTemplate;
use drmaa2::session::JobSession;

const SESSION: &str = "fleet";
const SLOTS: usize = 4;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [role, first, last, exits] = args.as_slice()
        && role == "submit"
    {
        return submit(first.parse().unwrap(), last.parse().unwrap(), exits == "exits");
    }
    if args == ["create"] {
        let contact = format!("containerd://?slots={SLOTS}");
        return drop(JobSession::create(Some(SESSION), Some(&contact)).unwrap());
    }
    let needed = ["CONTAINERD_ADDRESS", "DRMAA2_TEST_IMAGE", "DRMAA2_INIT", "DRMAA2_TEST_AGENT"];
    let missing: Vec<_> = needed.into_iter().filter(|name| env::var_os(name).is_none()).collect();
    if !missing.is_empty() {
        let required = env::var("DRMAA2_TEST_REQUIRE").is_ok_and(|value| value == "1");
        assert!(!required, "DRMAA2_TEST_REQUIRE=1, but {} not set", missing.join(", "));
        eprintln!("SKIPPED: {} not set; the queue was not tested", missing.join(", "));
        return;
    }
    // One scenario, if it is named.
    match args.first().map(String::as_str) {
        Some("exits") => one_process_that_exits_at_once(),
        Some("killed") => eight_processes_two_of_them_killed(),
        _ => {
            one_process_that_exits_at_once();
            eight_processes_two_of_them_killed();
            println!("test result: ok. 2 passed; 0 failed; 0 ignored;");
        }
    }
}

fn count() -> usize {
    env::var("DRMAA2_TEST_JOBS").map_or(40, |count| count.parse().unwrap())
}

/// The part of a submitting process. It says when each job is submitted, then exits without closing
/// anything, or waits to be killed.
fn submit(first: usize, last: usize, exits: bool) {
    let session = JobSession::open(SESSION).unwrap();
    let out = env::var("OUT").unwrap();
    let image = env::var("DRMAA2_TEST_IMAGE").unwrap();
    let span = env::var("DRMAA2_TEST_SPAN").unwrap_or_else(|_| "0.2".to_owned());
    let start: i64 = env::var("START").unwrap().parse().unwrap();
    for number in first..last {
        let job = session.run_job(JobTemplate {
            remote_command: Some("sh".into()),
            args: Some(vec!["-c".into(), format!("echo ran; exec sleep {span}").as_str().into()]),
            job_category: Some(image.as_str().into()),
            job_name: Some(format!("{number}").as_str().into()),
            output_path: Some(format!("{out}/{number}").as_str().into()),
            priority: Some(priority(number)),
            start_time: Some(start),
            ..JobTemplate::default()
        });
        println!("{}", job.unwrap().id);
    }
    if !exits {
        // Until it is killed.
        let mut never = String::new();
        std::io::stdin().read_line(&mut never).unwrap();
    }
}

fn priority(number: usize) -> i64 {
    i64::try_from(number % 3).unwrap()
}

/// A state directory with a session that has so many slots.
struct Fleet {
    dir: tempfile::TempDir,
}

/// A job that is DONE, as the store has it, times in milliseconds.
#[derive(Debug)]
struct Ran {
    number: usize,
    started: i64,
    finished: i64,
    /// The number of times that it could not be started at first.
    attempts: i64,
}

impl Fleet {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        let made = Self { dir };
        // The session is made by a process of its own as well, so that nothing of this one serves it.
        let status = made.command(&["create"]).status().unwrap();
        assert!(status.success());
        made
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(args)
            .env("DRMAA2_STATE_DIR", self.dir.path().join("state"))
            .env("DRMAA2_AGENT", env::var_os("DRMAA2_TEST_AGENT").unwrap())
            .env("OUT", self.dir.path().join("out"));
        command
    }

    fn submitter(&self, first: usize, last: usize, exits: bool, start: i64) -> Child {
        let (first, last) = (first.to_string(), last.to_string());
        let mut command =
            self.command(&["submit", &first, &last, if exits { "exits" } else { "stays" }]);
        command.env("START", start.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Wait until the agent has left: it does when nothing is unfinished.
    fn wait_for_the_agent(&self) {
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.dir.path().join("state/drmaa2d.lock"))
            .unwrap();
        nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    }

    fn jobs(&self) -> Vec<Ran> {
        let database = rusqlite::Connection::open(self.dir.path().join("state/drmaa2.db")).unwrap();
        let mut query = database
            .prepare(
                "SELECT b.name, j.state, coalesce(j.dispatched, 0), j.finished, j.leftovers, j.claim,
                     j.annotation, j.attempts
                 FROM jobs j
                 JOIN submissions b ON b.number = j.submission ORDER BY j.dispatched, j.number",
            )
            .unwrap();
        let jobs = query.query_map([], |row| {
            let number = row.get::<_, String>(0)?.parse().unwrap();
            assert_eq!(row.get::<_, i64>(4)?, 0, "job {number} is not cleaned up");
            assert_eq!(row.get::<_, Option<String>>(5)?, None, "job {number} is still claimed");
            let (state, started, finished): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let annotation: Option<String> = row.get(6)?;
            assert_eq!(state, 7, "job {number} is not DONE: {annotation:?}");
            Ok(Ran { number, started, finished, attempts: row.get(7)? })
        });
        jobs.unwrap().map(Result::unwrap).collect()
    }

    /// Every job that was submitted ran once, and never were there more than the slots allow.
    fn check(&self, at_least: usize) -> Vec<Ran> {
        let jobs = self.jobs();
        assert!(jobs.len() >= at_least, "{} jobs of {at_least}", jobs.len());
        for job in &jobs {
            let output = fs::read_to_string(self.dir.path().join(format!("out/{}", job.number)));
            assert_eq!(output.unwrap(), "ran\n", "job {} did not run once", job.number);
            let with_it =
                jobs.iter().filter(|other| other.started <= job.started && other.finished > job.started);
            let with_it = with_it.count();
            assert!(with_it <= SLOTS, "{with_it} jobs ran when job {} started", job.number);
        }
        let left = Command::new("ctr")
            .args(["-a", &env::var("CONTAINERD_ADDRESS").unwrap()])
            .args(["-n", &env::var("CONTAINERD_NAMESPACE").unwrap(), "containers", "ls", "-q"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "containers are left");
        jobs
    }
}

fn in_seconds(seconds: i64) -> i64 {
    drmaa2::model::now() / 1000 + seconds
}

/// Did an earlier one of these jobs, which are in the order of their starts, take the slot that a later one
/// of higher priority should have had? One that was given its slot first may start later, but has it
/// meanwhile: then the others never have all of them.
fn overtaken(jobs: &[Ran]) -> Option<(&Ran, &Ran)> {
    let pairs = jobs
        .iter()
        .enumerate()
        .flat_map(|(place, later)| jobs[..place].iter().map(move |earlier| (earlier, later)));
    pairs.filter(|(earlier, later)| priority(earlier.number) < priority(later.number)).find(
        |(earlier, later)| {
            let between = jobs.iter().map(|job| job.started);
            let mut between = between.filter(|at| (earlier.started..later.started).contains(at));
            let run_at =
                |at: i64| jobs.iter().filter(|job| job.started <= at && at < job.finished).count();
            later.attempts == 0 && between.any(|at| run_at(at) >= SLOTS)
        },
    )
}

fn one_process_that_exits_at_once() {
    let (fleet, count) = (Fleet::new(), count());
    // All of them become eligible in one moment, so priority alone decides.
    let start = in_seconds(10);
    let submitter = fleet.submitter(0, count, true, start);
    let output = submitter.wait_with_output().unwrap();
    assert!(in_seconds(0) < start, "the first could start before the last was submitted");
    assert!(output.status.success());
    assert_eq!(output.stdout.lines().count(), count);
    fleet.wait_for_the_agent();
    let jobs = fleet.check(count);
    assert_eq!(jobs.len(), count);
    if let Some((earlier, later)) = overtaken(&jobs) {
        panic!("{later:?} came after {earlier:?} of lower priority, among {jobs:#?}");
    }
    println!("one process that exits at once: {count} jobs");
}

fn eight_processes_two_of_them_killed() {
    let (fleet, count) = (Fleet::new(), count().div_ceil(8));
    let mut submitters: Vec<Child> =
        (0..8).map(|place| fleet.submitter(place * count, (place + 1) * count, place > 1, 0)).collect();
    let mut accepted = 6 * count;
    for victim in &mut submitters[..2] {
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        accepted += lines.take(count / 2).count();
        victim.kill().unwrap();
    }
    for submitter in &mut submitters {
        submitter.wait().unwrap();
    }
    fleet.wait_for_the_agent();
    let jobs = fleet.check(accepted);
    println!("eight processes, two of them killed: {} jobs", jobs.len());
}
