//! Pulls: an image of 20 layers of 50 MB, from a registry on the loopback interface.
//!
//! Three do the same in turn, so that whatever else the machine does falls on all: the library, from the
//! submission of a job until it runs; `ctr images pull`, from its start to its end; and `skopeo copy` into
//! a storage of its own, which unpacks as well. In between all is removed and written back to the disk.
//! The ratio within a round counts. The library is in a process of its own each time, so that its memory is known.
//!
//! `scripts/bench` sets up a containerd and runs it.

mod origin;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use drmaa2::model::JobTemplate;
use drmaa2::session::{JobSession, Timeout};

use origin::Registry;
use report::{Error, median, verdict};

/// The times that a round took, and the growth of the library's process.
struct Round {
    library: Duration,
    ctr: Duration,
    skopeo: Duration,
    growth: u64,
}

const ROUNDS: usize = 3;
/// The part that a process of the benchmark plays, and what it has to know.
const PART: &str = "DRMAA2_BENCH_PART";
const SUBJECT: &str = "DRMAA2_BENCH_SUBJECT";
/// Goals: part of ctr's time, and bytes.
const RATIO: f64 = 0.8;
const GROWTH: u64 = 20_000_000;

fn set(name: &str) -> Result<String, Error> {
    Ok(std::env::var(name).map_err(|_| format!("{name} is not set"))?)
}

/// This program with another part; what it writes.
fn part(name: &str, subject: &str) -> Result<String, Error> {
    let mut process = Command::new(std::env::current_exe()?);
    // The agent would pull in its place.
    process.env(PART, name).env(SUBJECT, subject).env("DRMAA2_AGENT", "off");
    let output = process.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn run(what: &str, command: &mut Command) -> Result<Duration, Error> {
    let begin = Instant::now();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{what}: {error}"))?;
    let took = begin.elapsed();
    if !output.status.success() {
        return Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(took)
}

fn ctr(args: &[&str]) -> Result<Duration, Error> {
    let mut ctr = Command::new("ctr");
    ctr.args(["--address", &set("CONTAINERD_ADDRESS")?, "--namespace", &set("CONTAINERD_NAMESPACE")?]);
    run("ctr", ctr.args(args))
}

/// The writes of others do not fall on the next.
fn settle() -> Result<(), Error> {
    run("sync", &mut Command::new("sync")).map(drop)
}

/// One pull by the library, and the growth of its process.
fn ours(image: &str) -> Result<(Duration, u64), Error> {
    let told = part("host", image)?;
    let mut numbers = told.split_whitespace().map(str::parse::<u64>);
    let mut next = || Ok::<_, Error>(numbers.next().ok_or("a part that tells nothing")??);
    let pulled = (Duration::from_micros(next()?), next()?);
    ctr(&["images", "rm", "--sync", image])?;
    settle()?;
    Ok(pulled)
}

fn by_ctr(image: &str) -> Result<Duration, Error> {
    let snapshotter = set("CONTAINERD_SNAPSHOTTER")?;
    let took = ctr(&["images", "pull", "--plain-http", "--snapshotter", &snapshotter, image])?;
    ctr(&["images", "rm", "--sync", image])?;
    settle()?;
    Ok(took)
}

fn by_skopeo(image: &str, dir: &Path) -> Result<Duration, Error> {
    let storage = dir.join("skopeo");
    let shown = storage.display();
    let target = format!("containers-storage:[overlay@{shown}/root+{shown}/run]localhost/bench:1");
    let source = format!("docker://{image}");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", &source, &target]);
    let took = run("skopeo", &mut skopeo)?;
    // The storage may have mounted itself.
    for below in ["root/overlay", "root"] {
        let _ = Command::new("umount").arg(storage.join(below)).stderr(Stdio::null()).status();
    }
    std::fs::remove_dir_all(storage)?;
    settle()?;
    Ok(took)
}

fn measure() -> Result<bool, Error> {
    let dir = PathBuf::from(set("DRMAA2_BENCH_DIR")?);
    let registry = Registry::start(&dir)?;
    if !registry.has_image() {
        part("make", registry.address())?;
        registry.complete()?;
        settle()?;
    }
    let image = registry.name();
    let mut rounds = Vec::new();
    for number in 1..=ROUNDS {
        let (library, growth) = ours(&image)?;
        let (ctr, skopeo) = (by_ctr(&image)?, by_skopeo(&image, &dir)?);
        println!("round {number}: library {library:.1?}, ctr {ctr:.1?}, skopeo {skopeo:.1?}");
        rounds.push(Round { library, ctr, skopeo, growth });
    }
    let middle = |time: fn(&Round) -> Duration| median(&mut rounds.iter().map(time).collect::<Vec<_>>());
    let [library, ctr, skopeo] =
        [middle(|round| round.library), middle(|round| round.ctr), middle(|round| round.skopeo)];
    let ratio = |other: fn(&Round) -> Duration| {
        let mut ratios: Vec<_> = rounds
            .iter()
            .map(|round| round.library.as_secs_f64() / other(round).as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::INFINITY)
    };
    let (to_ctr, to_skopeo) = (ratio(|round| round.ctr), ratio(|round| round.skopeo));
    let growth = rounds.iter().map(|round| round.growth).max().unwrap_or_default();
    let (layers, size) = (origin::LAYERS, origin::LAYER / 1_000_000);
    println!("medians of {ROUNDS} rounds; {layers} layers of {size} MB, gzip");
    println!("pull and unpack        skopeo {skopeo:.1?}, library {library:.1?}: {to_skopeo:.2}x");
    let goals = [
        verdict(
            &format!(
                "pull and unpack        ctr {ctr:.1?}, library {library:.1?}: {to_ctr:.2}x, goal {RATIO}x"
            ),
            to_ctr <= RATIO,
        ),
        verdict(
            &format!(
                "memory of the host     +{:.1} MB at its peak, goal +{} MB",
                growth as f64 / 1e6,
                GROWTH / 1_000_000
            ),
            growth <= GROWTH,
        ),
    ];
    Ok(goals.into_iter().all(|met| met))
}

/// A line of the kernel's about this process, in bytes.
fn memory(name: &str) -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    let kilobytes = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// A program with the library: it tells how long a job took to run, in microseconds, and by how much the
/// peak of its memory exceeds what it had before it submitted it.
fn host(image: &str) -> Result<(), Error> {
    let session = JobSession::create(None, None)?;
    let template = JobTemplate {
        remote_command: Some("/bin/busybox".into()),
        args: Some(vec!["true".into()]),
        job_category: Some(image.into()),
        ..JobTemplate::default()
    };
    let before = memory("VmRSS")?;
    let begin = Instant::now();
    let job = session.run_job(template)?;
    job.wait_started(Timeout::Infinite)?;
    let took = begin.elapsed();
    let growth = memory("VmHWM")?.saturating_sub(before);
    job.wait_terminated(Timeout::Infinite)?;
    let info = job.info()?;
    if info.exit_status != Some(0) {
        return Err(format!("the job failed: {:?}", info.annotation).into());
    }
    session.close()?;
    JobSession::destroy(session.name())?;
    println!("{} {growth}", took.as_micros());
    Ok(())
}

fn play() -> Result<bool, Error> {
    match std::env::var(PART).ok().as_deref() {
        Some("make") => origin::push(&set(SUBJECT)?).map(|()| true),
        Some(_) => host(&set(SUBJECT)?).map(|()| true),
        None => measure(),
    }
}

fn main() -> ExitCode {
    match play() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("pull: {error}");
            ExitCode::FAILURE
        }
    }
}
