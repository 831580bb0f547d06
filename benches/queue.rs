//! The queue: how soon a freed slot is used again, and what large arrays cost.
//!
//! The floor of a refill is the start of a task that was created before. `scripts/bench` sets up a
//! containerd and runs it.

mod raw;
mod report;

use std::process::ExitCode;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use drmaa2::model::{Control, JobFilter, JobState, JobTemplate};
use drmaa2::session::{Bulk, JobRef, JobSession, Timeout};

use raw::{Floor, template};
use report::{Error, median, verdict};

const ROUNDS: usize = 25;
const TASKS: usize = 10_000;
/// Threads that submit at one time, the jobs that they submit, and how often.
const THREADS: usize = 8;
const SUBMISSIONS: usize = 800;
const SUBMIT_ROUNDS: usize = 5;

fn bulk(tasks: usize, max_parallel: i64) -> Result<Bulk, Error> {
    Ok(Bulk { begin: 1, end: i64::try_from(tasks)?, step: 1, max_parallel })
}

/// From the end of a job to the start of the next, as their inits have recorded it.
fn refill() -> Result<Vec<Duration>, Error> {
    // One of the slots is the model's.
    let session = JobSession::create(None, Some("containerd://?slots=2"))?;
    let jobs =
        session.run_bulk_jobs(&template(&["/bin/sleep", "0.3"])?, bulk(ROUNDS + 1, 0)?)?.jobs()?;
    for job in &jobs {
        job.wait_terminated(Timeout::Infinite)?;
    }
    let infos = jobs.iter().map(JobRef::info).collect::<Result<Vec<_>, _>>()?;
    let gap = |pair: &[drmaa2::model::JobInfo]| {
        let [before, after] = pair else { return None };
        Some(Duration::from_millis((after.dispatched? - before.finished?).try_into().ok()?))
    };
    let gaps = infos.windows(2).map(gap).collect::<Option<Vec<_>>>().ok_or("a job did not run")?;
    session.close()?;
    JobSession::destroy(session.name())?;
    Ok(gaps)
}

/// The same with nothing but containerd.
fn raw_refill(floor: &Floor) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let id = format!("refill-{}-{round}", std::process::id());
        floor.create(&id, &["/bin/sleep", "1000"])?;
        times.push(floor.start(&id)?);
        floor.remove(&id)?;
    }
    Ok(times)
}

fn release(session: &JobSession) -> Result<Vec<Duration>, Error> {
    let held = JobTemplate { submit_as_hold: true, ..template(&["/bin/sleep", "1000"])? };
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let job = session.run_job(held.clone())?;
        let begin = Instant::now();
        job.control(Control::Release)?;
        job.wait_started(Timeout::Infinite)?;
        times.push(begin.elapsed());
        job.control(Control::Terminate)?;
        job.wait_terminated(Timeout::Infinite)?;
    }
    Ok(times)
}

/// The time for a submission, if so many threads submit at one time.
fn submission(session: &JobSession, threads: usize) -> Result<Duration, Error> {
    let held = JobTemplate { submit_as_hold: true, ..template(&["/bin/true"])? };
    let each = SUBMISSIONS / threads;
    let submit = || (0..each).map(|_| session.run_job(held.clone())).collect::<Result<Vec<_>, _>>();
    let begin = Instant::now();
    let jobs = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(submit)).collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let time = begin.elapsed() / u32::try_from(each * threads)?;
    for jobs in jobs {
        for job in jobs.map_err(|_| "a thread has panicked")?? {
            job.control(Control::Terminate)?;
            job.wait_terminated(Timeout::Infinite)?;
            job.reap()?;
        }
    }
    Ok(time)
}

/// The time of a wait for any of many jobs, of which one has just ended, after a wait for the same ones.
fn wait_for_any(session: &JobSession, jobs: &[JobRef]) -> Result<Duration, Error> {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        jobs[round].control(Control::Terminate)?;
        let begin = Instant::now();
        let ended = session.wait_any_terminated(&jobs[round..], Timeout::Infinite)?;
        times.push(begin.elapsed());
        if ended != jobs[round] {
            return Err(format!("job {} has ended, not {}", jobs[round].id, ended.id).into());
        }
    }
    Ok(median(&mut times))
}

/// The same for one thread, and for [`THREADS`], one after the other.
fn submissions(session: &JobSession) -> Result<[Duration; 2], Error> {
    let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..SUBMIT_ROUNDS {
        of_one.push(submission(session, 1)?);
        of_many.push(submission(session, THREADS)?);
    }
    Ok([median(&mut of_one), median(&mut of_many)])
}

fn measure() -> Result<bool, Error> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let session = JobSession::create(None, None)?;
    let model = session.run_job(template(&["/bin/sleep", "1000"])?)?;
    model.wait_started(Timeout::Infinite)?;
    let floor = Floor::like(&model, io.handle().clone())?;

    let raw = median(&mut raw_refill(&floor)?);
    let ours = median(&mut refill()?);
    let released = median(&mut release(&session)?);

    let [of_one, of_many] = submissions(&session)?;

    let begin = Instant::now();
    let array = session.run_bulk_jobs(
        &JobTemplate { submit_as_hold: true, ..template(&["/bin/true"])? },
        bulk(TASKS, 8)?,
    )?;
    let submitted = begin.elapsed();
    let jobs = array.jobs()?;
    let begin = Instant::now();
    for job in &jobs {
        if job.state()?.0 != JobState::QueuedHeld {
            return Err(format!("job {} is not held", job.id).into());
        }
    }
    let states = begin.elapsed();
    let begin = Instant::now();
    let filter = JobFilter { state: Some(JobState::QueuedHeld), ..JobFilter::default() };
    let found = session.jobs(Some(&filter))?.len();
    let filtered = begin.elapsed();
    if found != TASKS {
        return Err(format!("{found} jobs match, not {TASKS}").into());
    }
    let any = wait_for_any(&session, &jobs)?;
    let begin = Instant::now();
    array.control(Control::Terminate)?;
    let terminated = begin.elapsed();
    model.control(Control::Terminate)?;
    model.wait_terminated(Timeout::Infinite)?;
    session.close()?;
    JobSession::destroy(session.name())?;

    println!("medians of {ROUNDS} rounds; an array of {TASKS} tasks");
    let ratio = ours.as_secs_f64() / raw.as_secs_f64();
    let gain = of_one.as_secs_f64() / of_many.as_secs_f64();
    let under = |what: &str, time: Duration, limit: u64| {
        let line = format!("{what:<22} {time:.1?}, goal under {limit} ms");
        verdict(&line, time < Duration::from_millis(limit))
    };
    let goals = [
        verdict(
            &format!(
                "refill of a slot       raw {raw:.1?}, library {ours:.1?}: {ratio:.2}x, goal under 15 ms"
            ),
            ours < Duration::from_millis(15),
        ),
        under("release -> running", released, 100),
        verdict(
            &format!(
                "a submission           of one thread {of_one:.1?}, of {THREADS} {of_many:.1?}: {gain:.2} times the rate, goal 3"
            ),
            gain >= 3.0,
        ),
        under("submission", submitted, 1000),
        under("states of all tasks", states, 100),
        under("all through a filter", filtered, 100),
        under("a wait for any of them", any, 20),
        under("termination of all", terminated, 1000),
    ];
    Ok(goals.into_iter().all(|met| met))
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("queue: {error}");
            ExitCode::FAILURE
        }
    }
}
