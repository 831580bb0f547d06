//! Follows the jobs: looks at what Slurm says from time to time, and at a job as soon as its node tells news of it.
//!
//! Slurm tells nobody that a job has changed. So it is asked, as seldom as its answers are slow, by one process for each
//! store; hardly ever while nobody waits, and without jobs not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::control;
use super::core::{Core, Known};
use super::job_dir;
use super::let_go;
use super::news::{News, Word};
use super::turn::Turn;
use super::words;
use crate::model::{ErrorCode, JobState, Result};
use crate::runtime::blocking;
use crate::tracker::Fact;

/// The shortest and the longest time between two questions.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A question is asked after so many times as long as the shortest of the last ones took: so it costs some percent of Slurm's
/// time, and of this process's. Slow ones, as the first about many new jobs, do not make the news late.
const PAUSE: u32 = 45;
/// The number of the last questions.
const LAST: usize = 4;
/// The time for which new jobs are gathered before they are asked about: an array makes many at once.
const GATHER: Duration = Duration::from_millis(100);
/// The time until the next question if the last one was not answered.
const RETRY: Duration = Duration::from_secs(2);

/// The number of releases of a job that nodes could not start; Slurm lets two minutes pass each time.
const RELEASES: u32 = 5;

/// Follow the jobs of a tracker, for as long as the process lives.
pub(super) async fn follow(core: Arc<Core>) {
    let settings = core.settings.clone();
    // The first of them must be seen too.
    let shared = settings.clone();
    if let Err(error) = blocking(move || job_dir::make_shared(&shared)).await {
        tracing::warn!(%error, "cannot make the directories of jobs");
    }
    // The first submission need not wait for that.
    core.renew_controller();
    let turn = Turn::of(&settings.dir, INTERVAL.1);
    let mut follower = Follower {
        core,
        is_live: None,
        turn,
        pause: INTERVAL.0,
        costs: [Duration::ZERO; LAST],
        has_forgotten: false,
        released: HashMap::new(),
        unlisted: HashSet::new(),
    };
    let mut news = News::watch(&settings.jobs_dir(), &settings.arrays_dir(), &settings.news_dir());
    let mut is_kicked = false;
    loop {
        let is_asked = std::mem::take(&mut is_kicked);
        if is_asked || follower.is_live != Some(true) || follower.turn.take() {
            follower.pause = follower.round().await;
        }
        follower.core.attention.reported(follower.pause);
        if !follower.core.is_watched() {
            follower.turn.give_up();
        }
        let began = Instant::now();
        let mut gathered: Option<Instant> = None;
        loop {
            let core = &follower.core;
            let due = began + if core.is_watched() { follower.pause } else { INTERVAL.1 };
            let due = gathered.map_or(due, |gathered| due.min(gathered));
            tokio::select! {
                () = core.kick.notified() => {
                    is_kicked = true;
                    break;
                }
                () = core.new.notified() => gathered = gathered.or(Some(Instant::now() + GATHER)),
                () = core.attention.news.notified() => {}
                () = sleep_until(due) => break,
                word = news.next() => match word {
                    Word::Submitted => gathered = gathered.or(Some(Instant::now() + GATHER)),
                    Word::Of(ids) => for id in ids {
                        follower.hear(&id).await;
                    },
                }
            }
        }
    }
}

struct Follower {
    core: Arc<Core>,
    /// Slurm answers; `None` if it was not asked yet.
    is_live: Option<bool>,
    turn: Turn,
    /// The time between two questions while somebody waits.
    pause: Duration,
    /// The costs of the last looks, the latest first.
    costs: [Duration; LAST],
    /// Slurm does not know a job any more that was to run there, or to run again.
    has_forgotten: bool,
    /// The number of releases of each job that nodes could not start.
    released: HashMap<String, u32>,
    /// See [`forget_gone`].
    unlisted: HashSet<String>,
}

/// Forget the jobs of which nothing is left: those that were not among the jobs of the last look, nor are among those of
/// this one. One that is missing once may have been submitted since.
fn forget_gone(
    known: &mut HashMap<String, Known>,
    unlisted: &mut HashSet<String>,
    ids: &HashSet<&String>,
) {
    known.retain(|id, _| ids.contains(id) || !unlisted.contains(id));
    *unlisted = known.keys().filter(|id| !ids.contains(id)).cloned().collect();
}

impl Follower {
    /// Look at all jobs. Returns the time until the next look.
    async fn round(&mut self) -> Duration {
        match self.look_at_all().await {
            Ok(pause) => {
                // Its controller may have died and come back between two questions. Then all is compared as well.
                if std::mem::take(&mut self.has_forgotten) || self.is_live != Some(true) {
                    self.is_live = Some(true);
                    self.core.report(Fact::Live);
                }
                pause
            }
            Err(error) => {
                tracing::debug!(%error, "Slurm does not answer");
                self.is_live = Some(false);
                // Each time: the records of jobs that have ended meanwhile are read then.
                self.core.report(Fact::Lost { error });
                RETRY
            }
        }
    }

    async fn look_at_all(&mut self) -> Result<Duration> {
        let settings = self.core.settings.clone();
        let started = std::time::Instant::now();
        let ids = blocking(move || job_dir::all(&settings)).await?;
        if let Err(error) = let_go::take_up(&self.core).await {
            tracing::debug!(%error, "cannot tell whether Slurm holds jobs that have ended");
        }
        if ids.is_empty() && self.is_live == Some(true) {
            forget_gone(&mut self.core.known.lock(), &mut self.unlisted, &HashSet::new());
            return Ok(INTERVAL.1);
        }
        let said = self.core.asked_after(std::time::Instant::now()).await?;
        let mut news = Vec::new();
        for id in &ids {
            let words = said.jobs.get(id).map(|entry| entry.words());
            let is_news = match self.core.known.lock().get(id) {
                Some(known) if known.state.is_terminated() => false,
                // One that Slurm does not show may be forgotten, or lost.
                Some(known) => words.is_none() || known.words != words || self.core.is_awaited(id),
                None => true,
            };
            if is_news {
                news.push(id.clone());
            }
        }
        // The question, and what it costs here to go through the answer.
        let cost = started.elapsed().max(said.cost);
        self.look_at(&news).await?;
        let ids: HashSet<&String> = ids.iter().collect();
        forget_gone(&mut self.core.known.lock(), &mut self.unlisted, &ids);
        self.released.retain(|id, _| ids.contains(id));
        let all_over = self.core.known.lock().values().all(|known| known.state.is_terminated());
        self.costs.rotate_right(1);
        self.costs[0] = cost;
        let usual = self.costs.iter().min().copied().unwrap_or(cost);
        let pause = (usual * PAUSE).clamp(INTERVAL.0, INTERVAL.1);
        Ok(if all_over { INTERVAL.1 } else { pause })
    }

    /// Report what is new of a job.
    async fn look_again(&mut self, id: &str) {
        if let Err(error) = self.look_at(&[id.to_owned()]).await {
            tracing::debug!(%error, id, "cannot look at a job");
        }
    }

    /// Report what is new of these jobs.
    async fn look_at(&mut self, ids: &[String]) -> Result<()> {
        for (id, info) in self.core.job_infos(ids).await? {
            match info {
                Ok(info) => {
                    self.core.tell(&info).await;
                    let waits = info.state.is_queued();
                    if info.substate.is_some_and(|substate| waits && words::could_not_start(&substate)) {
                        self.release(&id).await;
                    }
                }
                // It is not submitted yet, its directory has just gone, or Slurm has forgotten it.
                Err(error) => {
                    tracing::debug!(%error, id, "cannot look at a job");
                    let files = self.core.files(&id).await.ok().flatten();
                    if let (ErrorCode::InvalidArgument, Some(files)) = (error.code, files) {
                        let last = self.core.known.lock().remove(&id);
                        self.has_forgotten |= match last {
                            Some(last) => !last.state.is_terminated(),
                            // A task of an array that was not looked at before.
                            None => files.submitted.is_some(),
                        };
                    }
                }
            }
        }
        Ok(())
    }

    /// Release a job that Slurm holds because its node could not start it: nobody has asked for that.
    async fn release(&mut self, id: &str) {
        let times = self.released.entry(id.to_owned()).or_default();
        if *times < RELEASES {
            *times += 1;
            let released = control::release_unstarted(&self.core, id).await;
            tracing::info!(?released, id, "its node could not start it, released");
        }
    }

    /// Look at a job of which its node tells news.
    async fn hear(&mut self, id: &str) {
        let Ok(Some(files)) = self.core.files(id).await else { return };
        let last = self.core.known.lock().get(id).map(|known| known.state);
        if files.final_record().is_some() {
            if !last.is_some_and(JobState::is_terminated) {
                self.look_again(id).await;
            }
        } else if let Some(run) = &files.run
            && run.record.is_none()
            && last.is_none_or(JobState::is_queued)
        {
            let machine = run.node.clone();
            self.core.report(Fact::Placed { id: id.to_owned(), machine, slots: None });
            self.core.report(Fact::Started { id: id.to_owned(), at: run.claimed, image: None });
            // Slurm's words are news, whatever they are.
            self.core
                .known
                .lock()
                .insert(id.to_owned(), Known { words: Some(String::new()), state: JobState::Running });
        } else if files.run.is_some() && last.is_some_and(JobState::is_started) {
            // Its init has suspended or resumed it.
            self.look_again(id).await;
        } else {
            self.core.kick.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_submitted_during_a_look_is_not_forgotten() {
        let (one, other) = ("one".to_owned(), "other".to_owned());
        let jobs = [&one, &other].map(|id| (id.clone(), Known { words: None, state: JobState::Queued }));
        let (mut known, mut unlisted) = (HashMap::from(jobs), HashSet::new());
        // The other one was submitted after the jobs were listed.
        forget_gone(&mut known, &mut unlisted, &HashSet::from([&one]));
        assert_eq!(known.len(), 2);
        forget_gone(&mut known, &mut unlisted, &HashSet::from([&one, &other]));
        assert_eq!(known.len(), 2);
        for left in [2, 1] {
            forget_gone(&mut known, &mut unlisted, &HashSet::from([&one]));
            assert_eq!(known.len(), left);
        }
    }
}
