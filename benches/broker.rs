//! The broker, for an ordinary user, against the library in root's own process: the same calls, one after the other.
//!
//! `scripts/bench` sets up a containerd and runs it. Client and broker are processes of their own.
//!
//! The goal for a state is one for processes on the same processor. To wake one that has halted takes a virtual machine
//! longer than all the work, and by chance; what it is between two is shown, with a bare round trip to compare.
//!
//! The goal for memory is one for what the machine has to spend on a client. How much of the library's text is mapped
//! is decided by the kernel, which maps what is around a page as well, and it is there once for all.

mod report;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use drmaa2::model::{Control, JobFilter, JobState, JobTemplate};
use drmaa2::session::{Bulk, JobRef, JobSession, Timeout};

use report::{Error, median, verdict};

/// A user whom every system has.
const USER: u32 = 1;
const ROUNDS: usize = 100;
const STATES: usize = 1000;
const TASKS: usize = 10_000;
const LOOKS: usize = 9;
const WAITS: usize = 60;
const CLIENTS: usize = 100;
/// About the bytes of a question for a state.
const MESSAGE: usize = 128;
/// The time for which the wake-ups of the broker are counted.
const QUIET: Duration = Duration::from_secs(5);
/// What this process is to do.
const ROLE: &str = "DRMAA2_BENCH_ROLE";

/// The results of one client.
struct Results {
    submit: Duration,
    state: Duration,
    all: Duration,
    wait: Duration,
    /// Threads and bytes that the first call has added.
    threads: u64,
    memory: u64,
}

fn template(command: &str, held: bool) -> Result<JobTemplate, Error> {
    Ok(JobTemplate {
        remote_command: Some(command.into()),
        job_category: Some(std::env::var("DRMAA2_TEST_IMAGE")?.as_str().into()),
        submit_as_hold: held,
        ..JobTemplate::default()
    })
}

/// A number of this process, as the kernel tells it.
fn status(name: &str) -> Result<u64, Error> {
    number_in(&fs::read_to_string("/proc/self/status")?, name)
}

fn number_in(status: &str, name: &str) -> Result<u64, Error> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    Ok(word.ok_or("no such number")?.parse()?)
}

/// Make the calls, and print what they took.
fn client() -> Result<(), Error> {
    let before = (status("Threads")?, status("VmRSS")?);
    let session = JobSession::create(None, None)?;
    let added = (status("Threads")? - before.0, status("VmRSS")?.saturating_sub(before.1) * 1024);
    let (held, short) = (template("/bin/true", true)?, template("/bin/true", false)?);
    let (mut submits, mut jobs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        jobs.push(session.run_job(held.clone())?);
        submits.push(begin.elapsed());
    }
    let state = states(&jobs)?;
    for job in &jobs {
        job.control(Control::Terminate)?;
        job.wait_terminated(Timeout::Infinite)?;
        job.reap()?;
    }
    let bulk = Bulk { begin: 1, end: i64::try_from(TASKS)?, step: 1, max_parallel: 0 };
    let array = session.run_bulk_jobs(&held, bulk)?;
    let filter = JobFilter { state: Some(JobState::QueuedHeld), ..JobFilter::default() };
    let mut looks = Vec::new();
    for _ in 0..LOOKS {
        let begin = Instant::now();
        if session.jobs(Some(&filter))?.len() != TASKS {
            return Err("not all tasks are held".into());
        }
        looks.push(begin.elapsed());
    }
    array.control(Control::Terminate)?;
    session.wait_all_terminated(&array.jobs()?, Timeout::Infinite)?;
    array.reap()?;
    let mut waits = Duration::ZERO;
    for _ in 0..WAITS {
        let job = session.run_job(short.clone())?;
        job.wait_terminated(Timeout::Infinite)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let finished = job.info()?.finished.ok_or("no time of the end")?;
        waits += now.saturating_sub(Duration::from_millis(finished.try_into()?));
        job.reap()?;
    }
    let times = [median(&mut submits), state, median(&mut looks), waits / u32::try_from(WAITS)?];
    times.iter().for_each(|time| println!("{}", time.as_nanos()));
    println!("{}\n{}", added.0, added.1);
    Ok(())
}

/// Look at the state of a job, on one processor alone, and print what that took.
fn looker() -> Result<(), Error> {
    pin(0)?;
    let session = JobSession::create(None, None)?;
    let job = session.run_job(template("/bin/true", true)?)?;
    println!("{}", states(std::slice::from_ref(&job))?.as_nanos());
    job.control(Control::Terminate)?;
    job.wait_terminated(Timeout::Infinite)?;
    Ok(job.reap()?)
}

fn states(jobs: &[JobRef]) -> Result<Duration, Error> {
    let mut times = Vec::new();
    for job in jobs.iter().cycle().take(STATES) {
        let begin = Instant::now();
        job.state()?;
        times.push(begin.elapsed());
    }
    Ok(median(&mut times))
}

/// Have a thread, this one for 0, run on the first processor alone.
fn pin(thread: i32) -> Result<(), Error> {
    // SAFETY: all zeroes is an empty set, which is valid for reads.
    let done = unsafe {
        let mut first = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(0, &mut first);
        libc::sched_setaffinity(thread, size_of_val(&first), &raw const first)
    };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// The time for a state, if client and broker are on one processor: root's own and the user's.
fn states_on_one_processor(
    broker: &Child,
    program: &Path,
    place: &Path,
) -> Result<(Duration, Duration), Error> {
    for thread in fs::read_dir(format!("/proc/{}/task", broker.id()))? {
        pin(thread?.file_name().to_str().ok_or("no number")?.parse()?)?;
    }
    let look = |by_broker| {
        let output = other("looker", program, place, by_broker).stderr(Stdio::inherit()).output()?;
        Ok::<_, Error>(Duration::from_nanos(String::from_utf8(output.stdout)?.trim().parse()?))
    };
    Ok((look(false)?, look(true)?))
}

/// Wait for a job that does not end, until this process is ended.
fn waiter() -> Result<(), Error> {
    let session = JobSession::create(None, None)?;
    let job = session.run_job(template("/bin/true", true)?)?;
    println!("waits");
    job.wait_terminated(Timeout::Infinite)?;
    Ok(())
}

/// Send back what a process says, see [`round_trip`].
fn echo() -> Result<(), Error> {
    let mut peer = UnixStream::connect(std::env::var("DRMAA2_BROKER")?)?;
    let mut bytes = [0; MESSAGE];
    while peer.read_exact(&mut bytes).is_ok() {
        peer.write_all(&bytes)?;
    }
    Ok(())
}

/// The time for a message to another process and back, by a socket and without any work: the floor of a call.
fn round_trip(program: &Path, place: &Path) -> Result<Duration, Error> {
    let path = place.join("echo.sock");
    let listener = UnixListener::bind(&path)?;
    let _child = Running(Command::new(program).env(ROLE, "echo").env("DRMAA2_BROKER", &path).spawn()?);
    let (mut peer, _) = listener.accept()?;
    let (mut bytes, mut times) = ([0; MESSAGE], Vec::new());
    for _ in 0..STATES {
        let begin = Instant::now();
        peer.write_all(&bytes)?;
        peer.read_exact(&mut bytes)?;
        times.push(begin.elapsed());
    }
    Ok(median(&mut times))
}

/// This program in another role, with root's own way or by the broker.
fn other(role: &str, program: &Path, place: &Path, by_broker: bool) -> Command {
    let mut command = Command::new(program);
    command.env(ROLE, role).stdout(Stdio::piped());
    match by_broker {
        true => command
            .uid(USER)
            .gid(USER)
            .env("HOME", place)
            .env("DRMAA2_BROKER", place.join("broker.sock")),
        false => command.env("DRMAA2_STATE_DIR", place.join("own")),
    };
    command
}

fn results(mut command: Command) -> Result<Results, Error> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let lines: Vec<u64> = String::from_utf8(output.stdout)?.lines().flat_map(str::parse).collect();
    let [submit, state, all, wait, threads, memory] = lines[..] else {
        return Err("a client failed".into());
    };
    let [submit, state, all, wait] = [submit, state, all, wait].map(Duration::from_nanos);
    Ok(Results { submit, state, all, wait, threads, memory })
}

/// A process that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn broker(place: &Path) -> Result<Running, Error> {
    let socket = place.join("broker.sock");
    let mut command = Command::new(std::env::var("DRMAA2_AGENT")?);
    command.arg("--service").env("DRMAA2_STATE_DIR", place.join("broker")).env("DRMAA2_BROKER", &socket);
    let mut running = Running(command.spawn()?);
    while UnixStream::connect(&socket).is_err() {
        if let Some(status) = running.0.try_wait()? {
            return Err(format!("the broker has ended: {status}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(running)
}

/// The number of times that threads of a process have waited for something and gone on, in [`QUIET`].
fn wakes(process: &Child) -> Result<u64, Error> {
    let count = || {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", process.id()))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            sum += number_in(&status, "voluntary_ctxt_switches")?;
        }
        Ok::<u64, Error>(sum)
    };
    let before = count()?;
    std::thread::sleep(QUIET);
    Ok(count()?.saturating_sub(before))
}

fn waiters(program: &Path, place: &Path) -> Result<Vec<Running>, Error> {
    let mut all = Vec::new();
    for _ in 0..CLIENTS {
        let mut running = Running(other("waiter", program, place, true).spawn()?);
        let mut said = [0; 5];
        running.0.stdout.as_mut().ok_or("no output")?.read_exact(&mut said)?;
        all.push(running);
    }
    Ok(all)
}

/// The memory that one of several processes takes, kB: of what they share with one another and with the broker, its part.
fn memory(processes: &[Running]) -> Result<u64, Error> {
    let mut sum = 0;
    for process in processes {
        sum += number_in(&fs::read_to_string(format!("/proc/{}/smaps_rollup", process.0.id()))?, "Pss")?;
    }
    Ok(sum / processes.len() as u64)
}

fn measure() -> Result<bool, Error> {
    let place = tempfile::tempdir()?;
    let place: PathBuf = place.path().to_owned();
    fs::set_permissions(&place, Permissions::from_mode(0o755))?;
    // Where the user gets to it.
    let program = place.join("bench");
    fs::copy(std::env::current_exe()?, &program)?;
    let broker = broker(&place)?;
    let own = results(other("client", &program, &place, false))?;
    let his = results(other("client", &program, &place, true))?;
    let floor = round_trip(&program, &place)?;
    let quiet = wakes(&broker.0)?;
    let waiters = waiters(&program, &place)?;
    let waited = wakes(&broker.0)?;
    let memory = memory(&waiters)?;
    drop(waiters);
    let state = states_on_one_processor(&broker.0, &program, &place)?;

    let ratio = |what: &str, own: Duration, his: Duration, goal: f64, most: Duration| {
        let ratio = his.as_secs_f64() / own.as_secs_f64();
        let line =
            format!("{what:<28} own {own:.1?}, by the broker {his:.1?}: {ratio:.2}x, goal {goal}x");
        verdict(&line, ratio <= goal && his <= most)
    };
    println!(
        "state between processors      own {:.1?}, by the broker {:.1?}; a bare round trip {floor:.1?}",
        own.state, his.state
    );
    println!(
        "memory mapped at the first call {} kB, most of it the library's, which all share",
        his.memory / 1000
    );
    let later = his.wait.saturating_sub(own.wait);
    let goals = [
        ratio("submit", own.submit, his.submit, 1.3, Duration::MAX),
        ratio("state, at most 50 us", state.0, state.1, 5.0, Duration::from_micros(50)),
        ratio("10,000 states in one answer", own.all, his.all, 2.0, Duration::MAX),
        verdict(
            &format!(
                "end to return of the wait    own {:.1?}, later by {later:.1?}, goal 500 us",
                own.wait
            ),
            later <= Duration::from_micros(500),
        ),
        verdict(
            &format!(
                "wake-ups of the broker in 5 s {quiet}, with {CLIENTS} that wait {waited}, goal no more"
            ),
            waited <= quiet + 2,
        ),
        verdict(
            &format!(
                "a client has {} more threads, goal 1, and one of {CLIENTS} takes {memory} kB, goal 3000",
                his.threads
            ),
            his.threads <= 1 && memory < 3000,
        ),
    ];
    Ok(goals.iter().all(|met| *met))
}

fn main() -> ExitCode {
    let done = match std::env::var(ROLE).as_deref() {
        Ok("client") => client().map(|()| true),
        Ok("looker") => looker().map(|()| true),
        Ok("waiter") => waiter().map(|()| true),
        Ok("echo") => echo().map(|()| true),
        _ => measure(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
