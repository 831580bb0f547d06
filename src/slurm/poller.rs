//! Follows the jobs: looks at what Slurm says from time to time, and at a job as soon as its node tells news of it.
//!
//! Slurm tells nobody that a job has changed. So it is asked, as seldom as its answers are slow; without jobs it is
//! not asked at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::core::{Core, Known};
use super::job_dir;
use super::news::{News, Word};
use crate::model::{JobState, Result};
use crate::runtime::blocking;
use crate::tracker::Fact;

/// The shortest and the longest time between two questions.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A question is asked after so many times as long as the last one took: so it costs some percent of Slurm's time.
const PAUSE: u32 = 30;
/// The time for which new jobs are gathered before they are asked about: an array makes many at once.
const GATHER: Duration = Duration::from_millis(100);
/// The time until the next question if the last one was not answered.
const RETRY: Duration = Duration::from_secs(2);

/// Follow the jobs of a tracker, for as long as the process lives.
pub(super) async fn follow(core: Arc<Core>) {
    let mut follower = Follower { core, is_live: None };
    let settings = &follower.core.settings;
    // The first of them must be seen too.
    let shared = settings.clone();
    if let Err(error) = blocking(move || job_dir::make_shared(&shared)).await {
        tracing::warn!(%error, "cannot make the directories of jobs");
    }
    let mut news = News::watch(&settings.jobs_dir(), &settings.news_dir());
    loop {
        let mut next = Instant::now() + follower.round().await;
        loop {
            tokio::select! {
                () = follower.core.kick.notified() => break,
                () = sleep_until(next) => break,
                word = news.next() => match word {
                    Word::Submitted => next = next.min(Instant::now() + GATHER),
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
}

impl Follower {
    /// Look at all jobs. Returns the time until the next look.
    async fn round(&mut self) -> Duration {
        match self.look_at_all().await {
            Ok(pause) => {
                if self.is_live != Some(true) {
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
        let dir = self.core.settings.jobs_dir();
        let ids = blocking(move || job_dir::all(&dir)).await?;
        if ids.is_empty() && self.is_live == Some(true) {
            self.core.known.lock().clear();
            return Ok(INTERVAL.1);
        }
        let started = std::time::Instant::now();
        let said = self.core.asked_after(started).await?;
        for id in &ids {
            let words = said.jobs.get(id).map(|entry| entry.words());
            let is_news = match self.core.known.lock().get(id) {
                Some(known) if known.state.is_terminated() => false,
                Some(known) => known.words != words || self.core.is_awaited(id),
                None => true,
            };
            if is_news {
                self.look_at(id).await;
            }
        }
        let ids: HashSet<&String> = ids.iter().collect();
        self.core.known.lock().retain(|id, _| ids.contains(id));
        let all_over = self.core.known.lock().values().all(|known| known.state.is_terminated());
        let pause = (said.cost * PAUSE).clamp(INTERVAL.0, INTERVAL.1);
        Ok(if all_over { INTERVAL.1 } else { pause })
    }

    /// Report what is new of a job.
    async fn look_at(&mut self, id: &str) {
        match self.core.job_info(id).await {
            Ok(info) => self.core.tell(&info).await,
            // It is not submitted yet, or its directory has just gone.
            Err(error) => tracing::debug!(%error, id, "cannot look at a job"),
        }
    }

    /// Look at a job of which its node tells news.
    async fn hear(&mut self, id: &str) {
        let Ok(Some(files)) = self.core.files(id).await else { return };
        let last = self.core.known.lock().get(id).map(|known| known.state);
        if files.final_record().is_some() {
            if !last.is_some_and(JobState::is_terminated) {
                self.look_at(id).await;
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
        } else {
            self.core.kick.notify_one();
        }
    }
}
