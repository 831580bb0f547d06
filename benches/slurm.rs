//! Jobs on a cluster of this machine: a large array against Slurm's own programs, the time until an end is seen, the cost
//! of following many jobs, and a container on its node against the bare runtime.
//!
//! `scripts/bench` sets up a cluster and runs it.

mod report;

use std::ffi::{CStr, CString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use drmaa2::ffi::{jarray, jsession, jtemplate, manager, strings};
use drmaa2::model::{Control, JobFilter, JobState, JobTemplate};
use drmaa2::session::{Bulk, JobArray, JobRef, JobSession, Timeout};

use report::{Error, median, verdict};

const ROUNDS: usize = 20;
const TASKS: usize = 10_000;
const OTHERS: usize = 1_000;
/// The number of large arrays whose submission is timed.
const ARRAYS: usize = 15;
/// Before each, the library and Slurm's controller have done so little for so long: Slurm ends what was cancelled, and
/// the rest of the array before is removed.
const REST: Duration = Duration::from_secs(1);
const REST_SHARE: f64 = 3.0;
/// The most rests before one.
const RESTS: usize = 60;
/// The time for which the cost of following jobs is counted.
const WATCH: Duration = Duration::from_secs(20);

fn template(category: &str, command: &str, held: bool) -> JobTemplate {
    JobTemplate {
        remote_command: Some(command.into()),
        job_category: Some(category.into()),
        submit_as_hold: held,
        ..JobTemplate::default()
    }
}

fn bulk(tasks: usize) -> Result<Bulk, Error> {
    Ok(Bulk { begin: 1, end: i64::try_from(tasks)?, step: 1, max_parallel: 0 })
}

/// Run a program to its end. Returns its output and the time.
fn run(program: &str, args: &[&str]) -> Result<(String, Duration), Error> {
    let begin = Instant::now();
    let output = Command::new(program).args(args).output()?;
    let time = begin.elapsed();
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok((String::from_utf8(output.stdout)?, time))
}

/// Processor time that a process has used.
fn processor_time(stat: &Path) -> Result<Duration, Error> {
    let text = fs::read_to_string(stat)?;
    let rest = text.rsplit_once(')').ok_or("no such format")?.1;
    let ticks: Vec<u64> = rest.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

/// Processor time of this process and of Slurm's controller while something is done.
fn costs(work: impl FnOnce() -> Result<(), Error>) -> Result<[f64; 2], Error> {
    let controller = fs::read_to_string(std::env::var("DRMAA2_BENCH_CONTROLLER")?)?;
    let stats =
        [Path::new("/proc/self/stat").to_owned(), format!("/proc/{}/stat", controller.trim()).into()];
    let before = [processor_time(&stats[0])?, processor_time(&stats[1])?];
    let begin = Instant::now();
    work()?;
    let time = begin.elapsed().as_secs_f64();
    let share = |place: usize| -> Result<f64, Error> {
        let used: Duration = processor_time(&stats[place])?.saturating_sub(before[place]);
        Ok(100.0 * used.as_secs_f64() / time)
    };
    Ok([share(0)?, share(1)?])
}

/// A large held array, submitted, shown and cancelled by Slurm's own programs. Returns the times.
fn raw_array() -> Result<[Duration; 3], Error> {
    let last = format!("--array=0-{}", TASKS - 1);
    let args = ["--parsable", "--hold", &last, "--output=/dev/null", "--wrap=true"];
    let (number, submitted) = run("sbatch", &args)?;
    let (lines, states) = run("squeue", &["-h", "-r", "-t", "all", "-j", number.trim()])?;
    let (_, ended) = run("scancel", &[number.trim()])?;
    if lines.lines().count() != TASKS {
        return Err("squeue does not show all tasks".into());
    }
    Ok([submitted, states, ended])
}

/// End all jobs of an array. Returns the time until that is accepted, and until it is done.
fn end(array: &JobArray, jobs: &[JobRef]) -> Result<[Duration; 2], Error> {
    let begin = Instant::now();
    array.control(Control::Terminate)?;
    let asked = begin.elapsed();
    for job in jobs {
        job.wait_terminated(Timeout::Infinite)?;
    }
    Ok([asked, begin.elapsed()])
}

/// Submit a large held array as a C program does: its handle has one of each of its jobs. Returns its id and the time.
fn submit_in_c(session: &str) -> Result<(String, Duration), Error> {
    let [session, command, category] = [session, "true", "host"].map(CString::new);
    // SAFETY: strings that end with NUL, structs and handles of the library, each freed once; the strings of a template
    // come from malloc.
    unsafe {
        let mut js = manager::drmaa2_open_jsession(session?.as_ptr());
        let mut jt = jtemplate::drmaa2_jtemplate_create();
        let template = jt.as_mut().ok_or("no template")?;
        template.remoteCommand = libc::strdup(command?.as_ptr());
        template.jobCategory = libc::strdup(category?.as_ptr());
        template.submitAsHold = 1;
        let begin = Instant::now();
        let mut ja = jsession::drmaa2_jsession_run_bulk_jobs(js, jt, 1, i64::try_from(TASKS)?, 1, 0);
        let time = begin.elapsed();
        let mut id = jarray::drmaa2_jarray_get_id(ja);
        if id.is_null() {
            return Err("no array was submitted".into());
        }
        let told = CStr::from_ptr(id).to_str()?.to_owned();
        strings::drmaa2_string_free(&raw mut id);
        jarray::drmaa2_jarray_free(&raw mut ja);
        jtemplate::drmaa2_jtemplate_free(&raw mut jt);
        jsession::drmaa2_jsession_free(&raw mut js);
        Ok((told, time))
    }
}

/// Wait until neither the library nor Slurm's controller is busy with what was before.
fn rest() -> Result<(), Error> {
    for _ in 0..RESTS {
        let shares = costs(|| {
            std::thread::sleep(REST);
            Ok(())
        })?;
        if shares.iter().all(|share| *share <= REST_SHARE) {
            return Ok(());
        }
    }
    Err("the library or Slurm is busy for minutes".into())
}

/// The times of a submission by Slurm's program and by the library, in turn.
fn submissions(session: &JobSession) -> Result<[Duration; 2], Error> {
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ARRAYS {
        rest()?;
        let [submitted, ..] = raw_array()?;
        raw.push(submitted);
        rest()?;
        let (id, submitted) = submit_in_c(session.name())?;
        ours.push(submitted);
        let array = session.job_array(&id)?;
        let jobs = array.jobs()?;
        end(&array, &jobs)?;
        array.reap()?;
    }
    Ok([raw, ours].map(|mut times| median(&mut times)))
}

/// A large array, against Slurm's programs.
fn array(session: &JobSession) -> Result<Vec<bool>, Error> {
    let [_, raw_states, raw_ended] = raw_array()?;
    let array = session.run_bulk_jobs(&template("host", "true", true), bulk(TASKS)?)?;
    let jobs = array.jobs()?;
    let begin = Instant::now();
    for job in &jobs {
        if job.state()?.0 != JobState::QueuedHeld {
            return Err(format!("job {} is not held", job.id).into());
        }
    }
    let states = begin.elapsed();
    let begin = Instant::now();
    let held = JobFilter { state: Some(JobState::QueuedHeld), ..JobFilter::default() };
    if session.jobs(Some(&held))?.len() != TASKS {
        return Err("not all tasks match the filter".into());
    }
    let filtered = begin.elapsed();
    // Reports of the submission are stored by now; what follows is the cost of jobs that do not change.
    let waited = costs(|| match jobs[0].wait_terminated(Timeout::After(WATCH)) {
        Err(error) if error.code == drmaa2::model::ErrorCode::Timeout => Ok(()),
        other => Err(format!("{other:?}").into()),
    })?;
    let idle = costs(|| {
        std::thread::sleep(WATCH);
        Ok(())
    })?;
    let [asked, ended] = end(&array, &jobs)?;
    // Last: Slurm shows what was cancelled for minutes, and takes longer for each answer by that.
    let [raw_submitted, submitted] = submissions(session)?;

    let ratio = |what: &str, raw: Duration, ours: Duration, goal: f64| {
        let ratio = ours.as_secs_f64() / raw.as_secs_f64();
        let line = format!("{what:<22} Slurm {raw:.1?}, library {ours:.1?}: {ratio:.1}x, goal {goal}x");
        verdict(&line, ratio <= goal)
    };
    println!("an array of {TASKS} tasks");
    let goals = vec![
        ratio("submission", raw_submitted, submitted, 1.5),
        ratio("states of all tasks", raw_states, states, 1.5),
        ratio("all through a filter", raw_states, filtered, 1.5),
        verdict(
            &format!(
                "share of a processor while one is waited for: {:.1} %, controller {:.1} %, goal 3 %",
                waited[0], waited[1]
            ),
            waited.iter().all(|share| *share <= 3.0),
        ),
        verdict(
            &format!("while nobody waits     {:.2} %, controller {:.2} %, goal 0.5 %", idle[0], idle[1]),
            idle[0] <= 0.5,
        ),
    ];
    println!(
        "termination of all     scancel {raw_ended:.1?}, accepted after {asked:.1?}, seen for all after {ended:.1?}"
    );
    Ok(goals)
}

/// From the end of a job to the return of the wait, among many others; if the directory of the jobs is on a file system
/// that tells nothing of what the nodes do, their ends are seen when Slurm is asked.
fn seen(session: &JobSession, is_remote: bool) -> Result<Vec<bool>, Error> {
    let others = session.run_bulk_jobs(&template("host", "true", true), bulk(OTHERS)?)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let job = session.run_job(template("host", "true", false))?;
        job.wait_terminated(Timeout::Infinite)?;
        let now = drmaa2::model::now();
        let finished = job.info()?.finished.ok_or("no time of its end")?;
        times.push(Duration::from_millis((now - finished).try_into()?));
    }
    others.control(Control::Terminate)?;
    for other in &others.jobs()? {
        other.wait_terminated(Timeout::Infinite)?;
    }
    let middle = median(&mut times);
    let most = times.iter().max().copied().unwrap_or_default();
    let (place, goals) = match is_remote {
        true => ("remote", [600, 1200]),
        false => ("local", [50, 1200]),
    };
    let line = format!(
        "end to seen, among {OTHERS} others, directory {place}: median {middle:.0?}, goal {} ms, most {most:.0?}, goal {} ms",
        goals[0], goals[1]
    );
    let [middle_goal, most_goal] = goals.map(Duration::from_millis);
    Ok(vec![verdict(&line, middle <= middle_goal && most <= most_goal)])
}

/// From the claim of a job on its node to its end.
fn on_node(session: &JobSession, category: &str) -> Result<Duration, Error> {
    let job = session.run_job(template(category, "/bin/true", false))?;
    job.wait_terminated(Timeout::Infinite)?;
    let info = job.info()?;
    let (begun, ended) = info.dispatched.zip(info.finished).ok_or("a job did not run")?;
    if info.exit_status != Some(0) {
        return Err(format!("{:?}", info.annotation).into());
    }
    Ok(Duration::from_millis((ended - begun).try_into()?))
}

/// The directory of the root file system of the one image that was unpacked.
fn rootfs(dir: &Path) -> Result<PathBuf, Error> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "rootfs") {
            return Ok(path);
        }
        if path.is_dir()
            && let Ok(found) = rootfs(&path)
        {
            return Ok(found);
        }
    }
    Err("no image was unpacked".into())
}

/// A bundle for the bare runtime, with its own specification and the root file system of the image.
fn bundle(state: &Path) -> Result<PathBuf, Error> {
    let bundle = std::env::temp_dir().join(format!("drmaa2-bench-{}", std::process::id()));
    fs::create_dir_all(&bundle)?;
    run("runc", &["spec", "--bundle", bundle.to_str().ok_or("no text")?])?;
    let config = bundle.join("config.json");
    let mut spec: serde_json::Value = serde_json::from_str(&fs::read_to_string(&config)?)?;
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = ["/bin/true"].into();
    spec["root"]["path"] = rootfs(&state.join("slurm/images"))?.to_str().ok_or("no text")?.into();
    fs::write(&config, spec.to_string())?;
    Ok(bundle)
}

/// A job with a container, one without, and the bare runtime, in turn.
fn containers(session: &JobSession) -> Result<Vec<bool>, Error> {
    let image = std::env::var("DRMAA2_TEST_IMAGE")?;
    let state = PathBuf::from(std::env::var_os("DRMAA2_STATE_DIR").ok_or("no state directory")?);
    // The first one has the image unpacked.
    on_node(session, &image)?;
    let bundle = bundle(&state)?;
    let (mut within, mut without, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        without.push(on_node(session, "host")?);
        within.push(on_node(session, &image)?);
        let id = format!("bench-{}-{round}", std::process::id());
        raw.push(run("runc", &["run", "--bundle", bundle.to_str().ok_or("no text")?, &id])?.1);
    }
    fs::remove_dir_all(bundle)?;
    let [within, without, raw] = [within, without, raw].map(|mut times| median(&mut times));
    let more = within.saturating_sub(without);
    let ratio = more.as_secs_f64() / raw.as_secs_f64();
    let line = format!(
        "a container on the node: runc {raw:.0?}, with it {within:.0?}, without {without:.0?}: {ratio:.2}x, goal 1.3x"
    );
    Ok(vec![verdict(&line, ratio <= 1.3)])
}

fn measure() -> Result<bool, Error> {
    let session = JobSession::create(None, None)?;
    let is_remote = std::env::var_os("DRMAA2_BENCH_REMOTE").is_some();
    let mut goals = seen(&session, is_remote)?;
    if !is_remote {
        goals.extend(containers(&session)?);
        goals.extend(array(&session)?);
    }
    session.close()?;
    JobSession::destroy(session.name())?;
    Ok(goals.into_iter().all(|met| met))
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("slurm: {error}");
            ExitCode::FAILURE
        }
    }
}
