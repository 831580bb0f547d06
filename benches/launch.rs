//! The time that the library adds to the bare RPCs, measured side by side in one run.
//!
//! The floor is the launch sequence that containerd cannot do without, with the same image and the
//! same sandbox, but without store, init and clean-up. Rounds of both alternate, so that whatever
//! else the machine does falls on both. What counts is the ratio; the times are for orientation.
//!
//! `scripts/bench` sets up a containerd and runs it.

mod raw;
mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use drmaa2::session::{JobSession, Timeout};

use raw::{Floor, template};
use report::{Error, median, verdict};

const ROUNDS: usize = 30;
const STATE_CALLS: u32 = 10_000;

fn measure() -> Result<bool, Error> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let session = JobSession::create(None, None)?;
    let sleeper = template(&["/bin/sleep", "1000"])?;
    let model = session.run_job(sleeper.clone())?;
    model.wait_started(Timeout::Infinite)?;
    let floor = Floor::like(&model, io.handle().clone())?;

    let (mut bare, mut ours, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let mut accepted = Vec::new();
    for round in 0..=ROUNDS {
        let id = format!("bench-{}-{round}", std::process::id());
        let begin = Instant::now();
        floor.create(&id, &["/bin/sleep", "1000"])?;
        floor.start(&id)?;
        let bare_time = begin.elapsed();
        floor.remove(&id)?;

        let begin = Instant::now();
        let job = session.run_job(sleeper.clone())?;
        let returned = begin.elapsed();
        job.wait_started(Timeout::Infinite)?;
        let our_time = begin.elapsed();
        job.control(drmaa2::model::Control::Terminate)?;
        job.wait_terminated(Timeout::Infinite)?;
        let waited = Instant::now();
        let late = waited.saturating_duration_since(floor.exit_of(&job.id)?);
        // The first round warms up.
        if round > 0 {
            bare.push(bare_time);
            ours.push(our_time);
            told.push(late);
            accepted.push(returned);
        }
    }

    let begin = Instant::now();
    for _ in 0..STATE_CALLS {
        model.state()?;
    }
    let state = begin.elapsed() / STATE_CALLS;
    model.control(drmaa2::model::Control::Terminate)?;
    model.wait_terminated(Timeout::Infinite)?;
    session.close()?;
    JobSession::destroy(session.name())?;

    let (bare, ours, told) = (median(&mut bare), median(&mut ours), median(&mut told));
    let accepted = median(&mut accepted);
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("medians of {ROUNDS} rounds");
    let goals = [
        verdict(
            &format!("run_job returns        {accepted:.1?}, goal under 1 ms"),
            accepted < Duration::from_millis(1),
        ),
        verdict(
            &format!(
                "submit -> running      raw {bare:.1?}, library {ours:.1?}: {ratio:.3}x, goal 1.1x"
            ),
            ratio <= 1.1,
        ),
        verdict(
            &format!("exit event -> wait     {told:.1?}, goal under 2 ms"),
            told < Duration::from_millis(2),
        ),
        verdict(
            &format!("state of a known job   {state:.1?}, goal under 50 µs"),
            state < Duration::from_micros(50),
        ),
    ];
    Ok(goals.into_iter().all(|met| met))
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("launch: {error}");
            ExitCode::FAILURE
        }
    }
}
