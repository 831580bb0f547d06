//! Suspension and resumption of jobs: by Slurm where it allows it, otherwise by the inits of the jobs.
//!
//! Slurm tells an ordinary user "Access/permission denied" before 26.05. Then a file asks the job's init, and Slurm's
//! signal makes it look; its answer, another file, decides the state. Slurm says RUNNING all the time, so it gives the
//! job's processors to nobody else.

use drmaa2_init::suspension::SUSPEND_SIGNAL;

use super::control::{Patience, SIGNAL, entry};
use super::core::Core;
use super::job_dir::{Run, unknown_job};
use super::squeue::Entry;
use crate::model::{Error, ErrorCode, JobState, Result, now};
use crate::runtime::blocking;

/// Suspend a job that runs.
pub(super) async fn suspend(core: &Core, id: &str) -> Result<()> {
    let entry = in_state(core, id, JobState::Running).await?;
    match by_slurm(core, &entry, "suspend").await {
        Err(error) if error.code == ErrorCode::DeniedByDrms => by_init(core, id, true).await,
        done => done,
    }
}

/// Resume a job that is suspended, by Slurm, by its init, or by both.
pub(super) async fn resume(core: &Core, id: &str) -> Result<()> {
    let entry = in_state(core, id, JobState::Suspended).await?;
    if entry.line.state != "RUNNING" {
        by_slurm(core, &entry, "resume").await?;
    }
    match run(core, id).await?.is_some_and(|run| run.is_suspended()) {
        true => by_init(core, id, false).await,
        false => Ok(()),
    }
}

/// The word of Slurm about a job that is in this state.
async fn in_state(core: &Core, id: &str, wanted: JobState) -> Result<Entry> {
    let entry = entry(core, id).await?.ok_or_else(|| unknown_job(id))?;
    match core.job_info(id).await?.state {
        state if state == wanted => Ok(entry),
        state => Err(Error::state(format!("job {id} is {state}"))),
    }
}

async fn by_slurm(core: &Core, entry: &Entry, word: &str) -> Result<()> {
    let done = core.settings.programs.ask("scontrol", &[word, &entry.number()]).await;
    core.requested();
    done.map(drop)
}

/// Have the init of a job suspend or resume it. Its answer is awaited from now on.
async fn by_init(core: &Core, id: &str, suspend: bool) -> Result<()> {
    core.await_switch(id, true);
    let mut patience = Patience::new();
    while let Err(error) = ask_init(core, id, suspend).await {
        patience.after(error).await.inspect_err(|_| core.await_switch(id, false))?;
    }
    core.kick.notify_one();
    Ok(())
}

async fn ask_init(core: &Core, id: &str, suspend: bool) -> Result<()> {
    let entry = entry(core, id).await?.ok_or_else(|| unknown_job(id))?;
    let Some(run) = run(core, id).await? else {
        return Err(Error::new(ErrorCode::TryLater, "it has not begun on its node yet"));
    };
    let run = blocking(move || run.note_suspension(suspend).map(|()| run)).await?;
    let (signal, number) = (format!("--signal={SUSPEND_SIGNAL}"), entry.number());
    let signal = [signal.as_str(), "--batch", &number];
    let sent = core.settings.programs.ask_within(SIGNAL, "scancel", &signal).await;
    if let Err(error) = sent {
        // Another signal would have it look.
        blocking(move || run.note_suspension(!suspend)).await?;
        return Err(error);
    }
    Ok(())
}

/// The run of a job.
async fn run(core: &Core, id: &str) -> Result<Option<Run>> {
    Ok(core.files(id).await?.and_then(|files| files.run))
}

impl Core {
    /// The time at which a job was suspended or resumed last, nanoseconds since the epoch. Slurm counts seconds.
    pub(super) async fn switched(&self, id: &str) -> i64 {
        let by_init = async { run(self, id).await.ok()??.switched.map(|switched| switched.at) };
        let by_slurm = async {
            let entry = entry(self, id).await.ok()??;
            let args = ["--oneliner", "show", "job", &entry.number()];
            let text = self.settings.programs.ask("scontrol", &args).await.ok()?;
            let word = text.split_whitespace().find_map(|word| word.strip_prefix("SuspendTime="))?;
            word.parse::<i64>().ok()?.checked_mul(1_000_000_000)
        };
        let last = by_init.await.max(by_slurm.await);
        last.unwrap_or_else(|| now() * 1_000_000)
    }
}
