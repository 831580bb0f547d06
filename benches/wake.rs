//! Wake-ups: what a submission by another process costs a process that waits for jobs, and one that only has a session,
//! with many jobs in the store; and what both cost while nothing happens.
//!
//! The cost is time of the processor, of all threads of the process; shown beside it is that of a process that does no
//! more than to be woken and to read one number, and that of the submission itself. The jobs are held, so that nothing
//! is started. `scripts/bench` sets up a containerd and runs it.

mod report;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use drmaa2::model::JobTemplate;
use drmaa2::session::{Bulk, JobRef, JobSession, Timeout};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use report::{Error, median, verdict};

const JOBS: i64 = 100_000;
/// The jobs that one process waits for, with a thread for each, and those that another waits for at one time.
const WAITS: usize = 1000;
const ANY: usize = 10_000;
const ROUNDS: usize = 5;
const SUBMISSIONS: u32 = 100;
const QUIET: Duration = Duration::from_secs(3);
/// The most that a submission may cost another process.
const MOST: Duration = Duration::from_micros(100);
/// The most that an idle process may take in a second: less than a tick of a timer costs.
const IDLE: Duration = Duration::from_micros(100);
/// The number of processes that are woken.
const PARTS: usize = 4;
/// The part that a process of the benchmark plays.
const PART: &str = "DRMAA2_BENCH_PART";

/// Time of the processor that this process has used.
fn used() -> Result<Duration, Error> {
    // SAFETY: all zeroes is a valid rusage, and it is valid for writes.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    Ok(Duration::from_micros(u64::try_from(micros(usage.ru_utime) + micros(usage.ru_stime))?))
}

/// Another process of this benchmark: it tells the time that it has used whenever it is asked.
struct Part {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Part {
    fn start(name: &str) -> Result<Self, Error> {
        let mut process = Command::new(std::env::current_exe()?);
        let mut child = process.env(PART, name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().ok_or("a part that says nothing")?);
        let mut part = Self { asks: child.stdin.take(), child, answers };
        part.used()?;
        Ok(part)
    }

    fn used(&mut self) -> Result<Duration, Error> {
        if let Some(asks) = &mut self.asks {
            asks.write_all(b"?\n")?;
        }
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(Duration::from_micros(line.trim().parse()?))
    }

    fn end(mut self) -> Result<(), Error> {
        drop(self.asks.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a part: {status}").into()) }
    }
}

fn held() -> Result<JobTemplate, Error> {
    let image = std::env::var("DRMAA2_TEST_IMAGE").map_err(|_| "DRMAA2_TEST_IMAGE is not set")?;
    Ok(JobTemplate {
        submit_as_hold: true,
        remote_command: Some("/bin/true".into()),
        job_category: Some(image.into()),
        ..JobTemplate::default()
    })
}

fn tasks(session: &JobSession, count: i64) -> Result<Vec<JobRef>, Error> {
    let bulk = Bulk { begin: 1, end: count, step: 1, max_parallel: 0 };
    Ok(session.run_bulk_jobs(&held()?, bulk)?.jobs()?)
}

/// The body of a part: it has a session, and waits for jobs, with a thread for each or for any of them.
fn play(part: &str) -> Result<(), Error> {
    let session = JobSession::create(None, None)?;
    let thread = |body: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().stack_size(128 * 1024).spawn(body).map(drop)
    };
    match part {
        "waits" => tasks(&session, JOBS)?.into_iter().take(WAITS).try_for_each(|job| {
            thread(Box::new(move || drop(job.wait_terminated(Timeout::Infinite))))
        })?,
        "any" => {
            let (jobs, session) = (tasks(&session, i64::try_from(ANY)?)?, Arc::clone(&session));
            thread(Box::new(move || drop(session.wait_any_terminated(&jobs, Timeout::Infinite))))?;
        }
        _ => {}
    }
    // Anything that is done once is done before the first question, and all threads wait.
    thread::sleep(Duration::from_secs(2));
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", used()?.as_micros());
    }
    JobSession::destroy(session.name())?;
    Ok(())
}

/// The body of the floor: it is told of each change, and reads which was the last.
fn bare() -> Result<(), Error> {
    let dir = PathBuf::from(std::env::var("DRMAA2_STATE_DIR")?);
    let sql = rusqlite::Connection::open(dir.join("drmaa2.db"))?;
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(&dir.join("drmaa2.bell"), AddWatchFlags::IN_MODIFY)?;
    thread::spawn(move || {
        while inotify.read_events().is_ok() {
            let last = "SELECT max(number) FROM changes";
            let _ = sql
                .prepare_cached(last)
                .and_then(|mut query| query.query_row([], |row| row.get::<_, i64>(0)));
        }
    });
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", used()?.as_micros());
    }
    Ok(())
}

fn measure() -> Result<bool, Error> {
    let session = JobSession::create(None, None)?;
    let mut parts = [
        ("one with many waits", Part::start("waits")?),
        ("one that waits for any", Part::start("any")?),
        ("one that is idle", Part::start("idle")?),
        ("the floor", Part::start("bare")?),
    ];
    let mut before = [Duration::ZERO; PARTS];
    let ask = |parts: &mut [(&str, Part); PARTS], since: &mut [Duration; PARTS]| {
        let mut spent = [Duration::ZERO; PARTS];
        for ((spent, since), (_, part)) in spent.iter_mut().zip(since).zip(parts) {
            let now = part.used()?;
            *spent = now - *since;
            *since = now;
        }
        Ok::<_, Error>(spent)
    };
    ask(&mut parts, &mut before)?;
    thread::sleep(QUIET);
    let quiet = ask(&mut parts, &mut before)?;
    let (mut own, mut spent) = (Vec::new(), [const { Vec::new() }; PARTS]);
    for _ in 0..ROUNDS {
        let begun = used()?;
        for _ in 0..SUBMISSIONS {
            session.run_job(held()?)?;
            // Each wakes the others, who would take several that come at once for one.
            thread::sleep(Duration::from_millis(2));
        }
        own.push((used()? - begun) / SUBMISSIONS);
        for (all, round) in spent.iter_mut().zip(ask(&mut parts, &mut before)?) {
            all.push(round / SUBMISSIONS);
        }
    }
    let own = median(&mut own);
    println!(
        "medians of {ROUNDS} rounds of {SUBMISSIONS} submissions, which take {own:.1?} each; {JOBS} jobs, {WAITS} waits, one for any of {ANY}"
    );
    let mut met = true;
    let mut each = spent.iter_mut().map(|all| median(all)).collect::<Vec<_>>();
    let floor = each.pop().unwrap_or_default();
    println!("{:<22} {floor:.1?} for each: woken, and one number read", "the floor");
    for ((name, _), (each, quiet)) in parts.iter().zip(each.into_iter().zip(quiet)) {
        let (ratio, part) =
            (each.as_secs_f64() / floor.as_secs_f64(), each.as_secs_f64() / own.as_secs_f64());
        let line = format!(
            "{name:<22} {each:.1?} for each, {ratio:.1}x the floor, {part:.2}x of a submission, goal {MOST:.0?}"
        );
        met &= verdict(&line, each <= MOST);
        let idle = quiet.div_f64(QUIET.as_secs_f64());
        met &= verdict(
            &format!("{:<22} {idle:.1?} in a second of nothing, goal {IDLE:.0?}", ""),
            idle <= IDLE,
        );
    }
    JobSession::destroy(session.name())?;
    for (_, part) in parts {
        part.end()?;
    }
    Ok(met)
}

fn run() -> Result<bool, Error> {
    match std::env::var(PART).ok().as_deref() {
        Some("bare") => bare().map(|()| true),
        Some(part) => play(part).map(|()| true),
        None => measure(),
    }
}

fn main() -> ExitCode {
    // An agent would be another process that is woken.
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("DRMAA2_AGENT", "off") };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("wake: {error}");
            ExitCode::FAILURE
        }
    }
}
