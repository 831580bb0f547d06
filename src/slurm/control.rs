//! The control of jobs: requests to Slurm, and to the program on the node.

use std::time::{Duration, Instant};

use super::core::Core;
use super::job_dir;
use super::squeue::{Entry, numbers};
use super::words::{could_not_start, is_over};
use crate::model::{Error, ErrorCode, Result};
use crate::runtime::blocking;

/// The jobs of one call of a program, arrays counted as one.
const AT_ONCE: usize = 500;

/// The time that a signal may take; Slurm's program would try for much longer.
pub(super) const SIGNAL: Duration = Duration::from_secs(5);
/// The first and the last pause between two tries to signal a job.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Hold or release jobs that wait.
pub(super) async fn queue(core: &Core, ids: &[String], release: bool) -> Result<()> {
    let said = core.asked_after(Instant::now()).await?;
    let (shown, other): (Vec<&String>, Vec<&String>) =
        ids.iter().partition(|id| said.jobs.get(id).is_some());
    // One that has ended is left alone, as all that do not wait.
    let other: Vec<String> = other.into_iter().cloned().collect();
    for (_, info) in core.job_infos(&other).await? {
        info?;
    }
    // Slurm would hold one that runs as well, for the time when it is to run again.
    let shown = shown.into_iter().filter_map(|id| said.jobs.get(id));
    let waiting: Vec<&Entry> = shown.filter(|entry| is_pending(entry)).collect();
    // A hold by root would be the administrator's, which the user cannot release.
    let word = if release { "release" } else { "uhold" };
    for numbers in numbers(waiting.into_iter()).chunks(AT_ONCE) {
        core.settings.programs.ask("scontrol", &[word, &numbers.join(",")]).await?;
        core.requested();
    }
    Ok(())
}

/// End several jobs: what waits leaves Slurm's queue, what runs is signalled, with one call for many.
pub(super) async fn end_all(core: &Core, ids: &[String], kill: bool) -> Result<()> {
    let (mut asked, mut failed) = (Vec::new(), Ok(()));
    for (id, info) in core.job_infos(ids).await? {
        match info {
            Ok(info) if info.state.is_terminated() => {}
            Ok(_) => asked.push(id),
            // It has ended, and is cleaned up already.
            Err(error) if error.code == ErrorCode::InvalidArgument => {}
            // The others are ended all the same.
            Err(error) => failed = Err(error),
        }
    }
    let (settings, noted) = (core.settings.clone(), asked.clone());
    let noted = blocking(move || Ok(job_dir::note_end(&settings, &noted, kill))).await?;
    let said = core.asked_after(Instant::now()).await?;
    let entries = || asked.iter().filter_map(|id| said.jobs.get(id));
    let waiting = call(core, &["--quiet"], entries().filter(|entry| is_pending(entry))).await;
    // Those that have begun by now get the signal for which the program on the node waits.
    let said = core.asked_after(Instant::now()).await?;
    let entries = asked.iter().filter_map(|id| said.jobs.get(id));
    let running = entries.filter(|entry| entry.line.state == "RUNNING");
    let signalled = call(core, &["--quiet", "--signal=TERM", "--batch"], running).await;
    failed = failed.and(noted).and(waiting);
    let said = core.asked_after(Instant::now()).await?;
    let mut over = Vec::new();
    for id in asked {
        match said.jobs.get(&id).map(|entry| entry.line.state.as_str()) {
            Some("RUNNING" | "COMPLETING") if signalled.is_ok() => {}
            // The moment may have been the wrong one.
            Some(state) if !is_over(state) => failed = failed.and(wake_again(core, &id).await),
            _ => over.push(id),
        }
    }
    for (_, info) in core.job_infos(&over).await? {
        match info {
            Ok(info) => core.tell(&info).await,
            // It is over, and its end was told and stored meanwhile.
            Err(error) if error.code == ErrorCode::InvalidArgument => {}
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed
}

/// Call `scancel` for these jobs, with many at once.
async fn call(core: &Core, options: &[&str], entries: impl Iterator<Item = &Entry>) -> Result<()> {
    let mut called = Ok(());
    for numbers in numbers(entries).chunks(AT_ONCE) {
        let numbers = numbers.iter().map(String::as_str);
        let args: Vec<&str> = options.iter().copied().chain(numbers).collect();
        called = called.and(core.settings.programs.ask("scancel", &args).await.map(drop));
        core.requested();
    }
    called
}

/// End a job that was submitted: the files say how, then Slurm's signal wakes the program on the node, or the job leaves Slurm's queue.
pub(super) async fn end(core: &Core, id: &str, kill: bool) -> Result<()> {
    let state = core.job_info(id).await?.state;
    if state.is_terminated() {
        return Err(Error::state(format!("job {id} is {state}")));
    }
    let (settings, ids) = (core.settings.clone(), vec![id.to_owned()]);
    blocking(move || job_dir::note_end(&settings, &ids, kill)).await?;
    wake_again(core, id).await
}

/// Let a job that is to end notice it, at the next moment at which Slurm takes a signal for it.
async fn wake_again(core: &Core, id: &str) -> Result<()> {
    let mut patience = Patience::new();
    while let Err(error) = wake(core, id).await {
        patience.after(error).await.map_err(|error| error.of(format_args!("job {id}")))?;
    }
    // One that has waited is over by now.
    match core.job_info(id).await {
        Ok(info) => core.tell(&info).await,
        // Its end was told and stored meanwhile, and it is cleaned up.
        Err(error) if error.code == ErrorCode::InvalidArgument => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The pauses between tries to signal a job: Slurm refuses that at moments at which a job changes, and then the next one
/// may serve.
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) fn new() -> Self {
        Self(MIN_PAUSE)
    }

    /// Wait for the next try after one that has failed; its error if there is to be none.
    pub(super) async fn after(&mut self, error: Error) -> Result<()> {
        if self.0 > MAX_PAUSE || error.code == ErrorCode::DeniedByDrms {
            return Err(error);
        }
        tokio::time::sleep(self.0).await;
        self.0 *= 2;
        Ok(())
    }
}

/// Let a job that is to end notice it, as far as it has begun.
async fn wake(core: &Core, id: &str) -> Result<()> {
    let Some(entry) = entry(core, id).await? else { return Ok(()) };
    let (programs, number) = (&core.settings.programs, entry.number());
    // Not Slurm's own way to end what runs, which kills it after a time of its own.
    let signal = ["--signal=TERM", "--batch", &number];
    let done = match entry.line.state.as_str() {
        state if is_over(state) => return Ok(()),
        "RUNNING" => programs.ask_within(SIGNAL, "scancel", &signal).await,
        // Slurm signals no suspended job. Without the right to let it go on, only Slurm can end it.
        "SUSPENDED" | "STOPPED" => match programs.ask("scontrol", &["resume", &number]).await {
            Ok(_) => programs.ask_within(SIGNAL, "scancel", &signal).await,
            Err(_) => programs.ask("scancel", &[&number]).await,
        },
        "COMPLETING" => return Ok(()),
        _ => programs.ask("scancel", &[&number]).await,
    };
    core.requested();
    done.map(drop)
}

/// The present word of Slurm about a job.
pub(super) async fn entry(core: &Core, id: &str) -> Result<Option<Entry>> {
    let said = core.asked_after(Instant::now()).await?;
    Ok(said.jobs.get(id).cloned())
}

/// Take a job out of Slurm's hands, whatever it does there.
pub(super) async fn cancel(core: &Core, id: &str) -> Result<()> {
    let said = core.recent().await?;
    if let Some(entry) = said.jobs.get(id).filter(|entry| !is_over(&entry.line.state)) {
        core.settings.programs.ask("scancel", &[&entry.number()]).await?;
        core.requested();
    }
    Ok(())
}

/// Let a job start that Slurm holds because a node could not start it: the next one may.
pub(super) async fn release_unstarted(core: &Core, id: &str) -> Result<()> {
    let said = core.recent().await?;
    // It may be held for another reason by now.
    if let Some(entry) = said.jobs.get(id).filter(|entry| could_not_start(&entry.words())) {
        core.settings.programs.ask("scontrol", &["release", &entry.number()]).await?;
        core.requested();
    }
    Ok(())
}

fn is_pending(entry: &Entry) -> bool {
    matches!(
        entry.line.state.as_str(),
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT" | "REQUEUE_FED" | "RESV_DEL_HOLD"
    )
}
