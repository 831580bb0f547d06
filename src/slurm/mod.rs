//! The tracker for a cluster with Slurm: every job is a batch job whose script is the library's program for nodes.
//!
//! Slurm queues the jobs and decides where and when they run, the record of a job's init tells how it ended. Slurm's
//! programs alone are used, and of their texts only what has stayed the same from version to version.

mod account;
mod command;
mod container;
mod control;
mod core;
mod failure;
mod job_dir;
mod news;
mod nodes;
mod order;
mod poller;
mod report;
mod settings;
mod squeue;
mod submit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::{
    Control, Error, ErrorCode, JobInfo, JobState, JobTemplate, Machine, Queue, Result, Text, Version,
};
use crate::runtime::Runtime;
use crate::tracker::{
    self, Contact, EventSink, Fact, JobTracker, Monitoring, NewJob, Queueing, Withdrawn,
};

use self::core::{Core, is_over};
use crate::runtime::blocking;
use account::{Said, account};
pub use command::Programs;
pub use settings::{JobSettings, Settings};

/// The attributes of a job template that this tracker supports.
const ATTRIBUTES: [&str; 24] = [
    "remoteCommand",
    "args",
    "jobEnvironment",
    "workingDirectory",
    "jobCategory",
    "jobName",
    "inputPath",
    "outputPath",
    "errorPath",
    "joinFiles",
    "stageInFiles",
    "stageOutFiles",
    "resourceLimits",
    "containerd_jt_rlimits",
    "containerd_jt_stop_signal",
    "containerd_jt_grace",
    "containerd_jt_linger",
    "containerd_jt_mounts",
    "containerd_jt_tmpfs",
    "containerd_jt_read_only",
    "containerd_jt_shm_size",
    "containerd_jt_hostname",
    "containerd_jt_entrypoint",
    "containerd_jt_pull",
];

/// Runs jobs on a cluster with Slurm.
pub struct SlurmTracker {
    runtime: Arc<Runtime>,
    core: Arc<Core>,
    following: AtomicBool,
}

impl SlurmTracker {
    /// A tracker. It asks Slurm at its first use.
    pub fn new(settings: Settings, runtime: Arc<Runtime>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            core: Arc::new(Core::new(settings)),
            following: AtomicBool::new(false),
        })
    }

    /// Run something that needs the core to its end.
    fn run<T, F>(&self, work: impl FnOnce(Arc<Core>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.run(work(self.core.clone()))
    }

    /// Follow the jobs from now on.
    fn follow(&self) {
        if !self.following.swap(true, Ordering::AcqRel) {
            self.runtime.spawn(poller::follow(self.core.clone()));
        }
    }

    /// Pass a hold or a release on.
    fn queue(&self, ids: &[String], release: bool) -> Result<()> {
        let ids = ids.to_vec();
        self.run(|core| async move {
            control::queue(&core, &ids, release).await?;
            for id in &ids {
                let info = core.job_info(id).await?;
                core.tell(&info).await;
            }
            Ok(())
        })
    }

    /// Remove all that is left of a job, and report it.
    fn remove(&self, id: String) {
        let core = self.core.clone();
        self.runtime.spawn(async move {
            let removed = async {
                let dir = core.job_dir(&id)?;
                if core.files(&id).await?.is_some_and(|files| files.final_record().is_none()) {
                    control::cancel(&core, &id).await?;
                }
                let news = core.settings.news_dir().join(&id);
                blocking(move || {
                    job_dir::remove(&dir)?;
                    // Most jobs have left one.
                    let _ = std::fs::remove_file(news);
                    Ok(())
                })
                .await
            };
            core.report(match removed.await {
                Ok(()) => {
                    core.forget(&id);
                    Fact::Deleted { id }
                }
                Err(error) => Fact::NotDeleted { id, error },
            });
        });
    }
}

impl JobTracker for SlurmTracker {
    fn attributes(&self) -> &'static [&'static str] {
        &ATTRIBUTES
    }

    fn check_template(&self, template: &JobTemplate, settings: &tracker::Settings) -> Result<()> {
        // An image may have a command of its own; the image of the default category is not meant to be run.
        let set = |text: &Option<Text>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !set(&template.remote_command) && !set(&template.job_category) {
            return Err(Error::argument("the job template has neither remoteCommand nor jobCategory"));
        }
        template.extensions()?;
        let (least, most) = template.slots()?;
        if least != most {
            let text = format!(
                "job template attribute maxSlots ({most}) other than minSlots is not supported on Slurm"
            );
            return Err(Error::new(ErrorCode::UnsupportedAttribute, text));
        }
        settings.read::<JobSettings>()?.check(template)
    }

    fn list_jobs(&self) -> Result<Vec<String>> {
        self.run(|core| async move {
            let dir = core.settings.jobs_dir();
            blocking(move || job_dir::all(&dir)).await
        })
    }

    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>> {
        let is_task = |id: &String| id.strip_prefix(array).is_some_and(|rest| rest.starts_with('.'));
        Ok(self.list_jobs()?.into_iter().filter(is_task).collect())
    }

    fn add_job(&self, job: NewJob) -> Result<()> {
        self.add_array_job(vec![job])
    }

    fn add_array_job(&self, tasks: Vec<NewJob>) -> Result<()> {
        self.run(|core| async move { submit::submit(&core, tasks).await })
    }

    fn withdraw(&self, id: &str) -> Result<Withdrawn> {
        // Slurm starts it, and nobody can tell whether it has just done so.
        self.core.job_dir(id).map(|_| Withdrawn::Begun)
    }

    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)> {
        self.job_info(id).map(|info| (info.state, info.substate))
    }

    fn job_info(&self, id: &str) -> Result<JobInfo> {
        let id = id.to_owned();
        self.run(|core| async move { core.job_info(&id).await })
    }

    fn recorded(&self, id: &str) -> Option<JobInfo> {
        let id = id.to_owned();
        let told = self.run(|core| async move {
            let files = core.files(&id).await?.filter(|files| files.final_record().is_some());
            files.map(|files| account(&id, &files, &Said::Nothing(""))).transpose()
        });
        told.ok().flatten()
    }

    fn job_control(&self, id: &str, control: Control) -> Result<()> {
        let id = id.to_owned();
        self.run(|core| async move { control::job(&core, &id, control).await })
    }

    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState> {
        self.follow();
        let (id, states) = (id.to_owned(), states.to_owned());
        self.run(|core| async move {
            // Subscribe before looking, or a change in between would be missed.
            let mut changes = core.changes();
            let reached = async {
                loop {
                    let state = core.job_info(&id).await?.state;
                    if states.contains(&state) {
                        return Ok(state);
                    }
                    // The sender lives as long as the core.
                    let _ = changes.changed().await;
                }
            };
            match timeout {
                None => reached.await,
                Some(timeout) => tokio::time::timeout(timeout, reached).await.unwrap_or_else(|_| {
                    Err(Error::new(ErrorCode::Timeout, format!("job {id} is in none of these states")))
                }),
            }
        })
    }

    fn delete_job(&self, id: &str) -> Result<()> {
        self.core.job_dir(id)?;
        self.remove(id.to_owned());
        Ok(())
    }

    fn list_job_categories(&self) -> Result<Vec<String>> {
        Ok(vec![settings::HOST.to_owned()])
    }

    fn leftovers(&self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for id in self.list_jobs()? {
            if !needed(&id)? {
                left.push(id);
            }
        }
        Ok(left)
    }

    fn delete_leftover(&self, name: &str) -> Result<()> {
        self.delete_job(name)
    }

    fn contact(&self) -> Result<Contact> {
        let config = self.run(|core| async move { core.config().await })?;
        let version = config.get("SLURM_VERSION").map(String::as_str).unwrap_or_default();
        let address = config.get("SlurmctldHost[0]").cloned();
        Ok(Contact { name: NAME.to_owned(), version: Version { address, ..Version::parse(version) } })
    }

    fn queueing(&self) -> Option<&dyn Queueing> {
        Some(self)
    }

    fn monitoring(&self) -> Option<&dyn Monitoring> {
        Some(self)
    }

    fn subscribe(&self, sink: Arc<dyn EventSink>) {
        self.core.deliver(sink);
        self.follow();
    }
}

/// The name of the system.
pub const NAME: &str = "Slurm";
/// The optional features that there are on containerd alone, by their numbers in the C enum `drmaa2_capability`.
pub const LACKS: [i32; 7] = [
    0,  // ADVANCE_RESERVATION
    1,  // RESERVE_SLOTS
    7,  // JT_MAXSLOTS
    9,  // RT_STARTNOW
    10, // RT_DURATION
    11, // RT_MACHINEOS
    12, // RT_MACHINEARCH
];

impl Queueing for SlurmTracker {
    fn hold(&self, ids: &[String]) -> Result<()> {
        self.queue(ids, false)
    }

    fn release(&self, ids: &[String]) -> Result<()> {
        self.queue(ids, true)
    }

    fn end(&self, ids: &[String], how: Control) -> Result<()> {
        let ids = ids.to_vec();
        self.run(|core| async move { control::end_all(&core, &ids, how == Control::Kill).await })
    }
}

impl Monitoring for SlurmTracker {
    fn all_jobs(&self) -> Result<Vec<JobInfo>> {
        self.run(|core| async move {
            let said = core.recent().await?;
            let mut jobs = Vec::new();
            for (id, entry) in said.jobs.iter() {
                match core.job_info(id).await {
                    Ok(info) => jobs.push(info),
                    // Slurm shows it for a while after it was deleted.
                    Err(_) if is_over(&entry.line.state) => {}
                    // One of another store has no directory here.
                    Err(_) => jobs.push(account::foreign(id, entry)),
                }
            }
            Ok(jobs)
        })
    }

    fn all_queues(&self) -> Result<Vec<Queue>> {
        self.run(|core| async move { nodes::queues(&core.settings.programs).await })
    }

    fn all_machines(&self) -> Result<Vec<Machine>> {
        self.run(|core| async move { nodes::machines(&core.settings.programs).await })
    }
}
