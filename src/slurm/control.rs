//! The control of jobs: requests to Slurm, and to the program on the node.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drmaa2_init::{KILL_FILE, TERMINATE_FILE};

use super::core::{Core, is_over};
use super::job_dir::{note_request, unknown_job};
use super::squeue::{Entry, numbers};
use crate::model::{Control, Error, ErrorCode, JobState, Result};
use crate::runtime::blocking;

/// The jobs of one call of a program, arrays counted as one.
const AT_ONCE: usize = 500;

/// The time that a signal may take; Slurm's program would try for much longer.
const SIGNAL: Duration = Duration::from_secs(5);
/// The first and the last pause between two tries to signal a job.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Hold or release jobs that wait.
pub(super) async fn queue(core: &Core, ids: &[String], release: bool) -> Result<()> {
    let said = core.asked_after(Instant::now()).await?;
    let mut waiting = Vec::new();
    for id in ids {
        let Some(entry) = said.jobs.get(id) else {
            // One that has ended is left alone, as all that do not wait.
            core.job_info(id).await?;
            continue;
        };
        // Slurm would hold one that runs as well, for the time when it is to run again.
        if !is_pending(entry) {
            continue;
        }
        waiting.push(entry);
    }
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
    let (mut asked, mut failed) = (Vec::new(), None);
    for id in ids {
        match core.job_info(id).await {
            Ok(info) if info.state.is_terminated() => {}
            Ok(_) => asked.push((id, core.job_dir(id)?)),
            // It has ended, and is cleaned up already.
            Err(error) if error.code == ErrorCode::InvalidArgument => {}
            // The others are ended all the same.
            Err(error) => failed = Some(error),
        }
    }
    let dirs: Vec<PathBuf> = asked.iter().map(|(_, dir)| dir.clone()).collect();
    let noted = move || Ok(dirs.iter().map(|dir| note_end(dir, kill)).fold(Ok(()), Result::and));
    failed = failed.or(blocking(noted).await?.err());
    let said = core.asked_after(Instant::now()).await?;
    let entries: Vec<&Entry> = asked.iter().filter_map(|(id, _)| said.jobs.get(id)).collect();
    let waiting = entries.iter().copied().filter(|entry| is_pending(entry));
    for numbers in numbers(waiting).chunks(AT_ONCE) {
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        core.settings.programs.ask("scancel", &numbers).await?;
        core.requested();
    }
    // Jobs that have begun by now are signalled one by one.
    let said = core.asked_after(Instant::now()).await?;
    for (id, _) in asked {
        let done = match said.jobs.get(id) {
            Some(entry) if !is_over(&entry.line.state) => wake_again(core, id).await,
            _ => match core.job_info(id).await {
                Ok(info) => {
                    core.tell(&info).await;
                    Ok(())
                }
                // It is over, and its end was told and stored meanwhile.
                Err(error) if error.code == ErrorCode::InvalidArgument => Ok(()),
                Err(error) => Err(error),
            },
        };
        failed = failed.or(done.err());
    }
    failed.map_or(Ok(()), Err)
}

/// Mark a job as to be ended, or killed.
fn note_end(dir: &Path, kill: bool) -> Result<()> {
    if kill {
        note_request(dir, KILL_FILE)?;
    }
    note_request(dir, TERMINATE_FILE)
}

/// Control a job that was submitted.
pub(super) async fn job(core: &Core, id: &str, control: Control) -> Result<()> {
    let word = match control {
        Control::Suspend => "suspend",
        Control::Resume => "resume",
        Control::Terminate | Control::Kill => return end(core, id, control == Control::Kill).await,
        _ => return Err(Error::internal(format!("job {id}: holds are passed on in another way"))),
    };
    let (entry, state) =
        (entry(core, id).await?.ok_or_else(|| unknown_job(id))?, core.job_info(id).await?.state);
    let wanted = if control == Control::Suspend { JobState::Running } else { JobState::Suspended };
    if state != wanted {
        return Err(Error::state(format!("job {id} is {state}")));
    }
    let done = core.settings.programs.ask("scontrol", &[word, &entry.number()]).await;
    core.requested();
    done.map(drop).map_err(|error| error.of(format_args!("job {id}")))
}

/// End a job: the files say how, then Slurm's signal wakes the program on the node, or the job leaves Slurm's queue.
async fn end(core: &Core, id: &str, kill: bool) -> Result<()> {
    let state = core.job_info(id).await?.state;
    if state.is_terminated() {
        return Err(Error::state(format!("job {id} is {state}")));
    }
    let dir = core.job_dir(id)?;
    blocking(move || note_end(&dir, kill)).await?;
    wake_again(core, id).await
}

/// Let a job that is to end notice it, at the next moment at which Slurm takes a signal for it.
async fn wake_again(core: &Core, id: &str) -> Result<()> {
    let mut pause = MIN_PAUSE;
    loop {
        let Err(error) = wake(core, id).await else {
            // One that has waited is over by now.
            let info = core.job_info(id).await?;
            core.tell(&info).await;
            return Ok(());
        };
        // Slurm refuses a signal at moments at which a job changes, and then the next one may serve.
        if pause > MAX_PAUSE || error.code == ErrorCode::DeniedByDrms {
            return Err(error.of(format_args!("job {id}")));
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
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
async fn entry(core: &Core, id: &str) -> Result<Option<Entry>> {
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

fn is_pending(entry: &Entry) -> bool {
    matches!(
        entry.line.state.as_str(),
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT" | "REQUEUE_FED"
    )
}

impl Core {
    /// The time at which a job was suspended or resumed last, nanoseconds since the epoch. Slurm counts seconds.
    pub(super) async fn switched(&self, id: &str) -> i64 {
        let told = async {
            let entry = entry(self, id).await.ok()??;
            let args = ["--oneliner", "show", "job", &entry.number()];
            let text = self.settings.programs.ask("scontrol", &args).await.ok()?;
            let word = text.split_whitespace().find_map(|word| word.strip_prefix("SuspendTime="))?;
            word.parse::<i64>().ok()?.checked_mul(1_000_000_000)
        };
        told.await.unwrap_or_else(|| crate::model::now() * 1_000_000)
    }
}
