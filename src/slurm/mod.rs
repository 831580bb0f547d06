//! The tracker for a cluster with Slurm: every job is a batch job whose script is the library's program for nodes.
//!
//! Slurm queues the jobs and decides where and when they run, the record of a job's init tells how it ended. Slurm's
//! programs alone are used, and of their texts only what has stayed the same from version to version.

mod account;
mod adapter;
mod array_dir;
mod attention;
mod command;
mod container;
mod control;
mod controller;
mod core;
mod failure;
mod image;
mod job_dir;
mod let_go;
mod news;
mod nodes;
mod order;
mod plan;
mod poller;
mod report;
mod reservation;
mod sacct;
mod sbatch;
mod settings;
mod squeue;
mod submission;
mod submit;
mod submit_array;
mod suspend;
mod turn;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::{
    Control, Error, ErrorCode, JobInfo, JobState, JobTemplate, Machine, Queue, ReservationInfo,
    ReservationTemplate, Result, Text, Version,
};
use crate::runtime::Runtime;
use crate::tracker::{
    self, Accepted, Contact, EventSink, Fact, JobTracker, Monitoring, NewArray, NewJob, Queueing,
    Reserving, Task, TaskRange, Withdrawn,
};

use self::core::Core;
use crate::runtime::blocking;
use account::{Said, account};
pub use command::Programs;
pub use settings::{JobSettings, Settings};

/// The attributes of a job template that this tracker supports.
const ATTRIBUTES: [&str; 25] = [
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
    "containerd_jt_gres",
    "containerd_jt_mounts",
    "containerd_jt_tmpfs",
    "containerd_jt_read_only",
    "containerd_jt_shm_size",
    "containerd_jt_hostname",
    "containerd_jt_entrypoint",
    "containerd_jt_pull",
];

/// The time between two looks at a job that is waited for.
const LOOK: Duration = Duration::from_millis(500);

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

    /// The same for a submission.
    fn submit<T, F>(&self, work: impl FnOnce(Arc<Core>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.run(|core| {
            let submitted = work(Arc::clone(&core));
            async move {
                let submitted = submitted.await;
                core.renew_controller();
                submitted
            }
        })
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
            core.tell_all(&ids).await
        })
    }

    /// Remove all that is left of a job, and report it.
    fn remove(&self, id: String) {
        let core = self.core.clone();
        self.runtime.spawn(async move {
            let removed = async {
                let files = core.files(&id).await?;
                if files.as_ref().is_some_and(|files| files.final_record().is_none()) {
                    control::cancel(&core, &id).await?;
                }
                // Slurm was told of the end of all others, or never had them.
                if files.is_some_and(|files| files.run.is_some()) {
                    let_go::note(&core, &id).await?;
                }
                let (settings, removed) = (core.settings.clone(), id.clone());
                blocking(move || job_dir::remove(&settings, &removed)).await
            };
            let removed = removed.await;
            if removed.is_ok() {
                core.forget(&id);
            }
            let name = id.clone();
            core.report(match &removed {
                Ok(()) => Fact::Deleted { id },
                Err(error) => Fact::NotDeleted { id, error: error.clone() },
            });
            if removed.is_ok() {
                let_go::let_go(core, name).await;
            }
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
        let settings = settings.read::<JobSettings>()?;
        settings.check(template)?;
        adapter::check(settings.containers, template)
    }

    fn list_jobs(&self) -> Result<Vec<String>> {
        self.run(|core| async move {
            let settings = core.settings.clone();
            blocking(move || job_dir::all(&settings)).await
        })
    }

    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>> {
        let is_task = |id: &String| id.strip_prefix(array).is_some_and(|rest| rest.starts_with('.'));
        Ok(self.list_jobs()?.into_iter().filter(is_task).collect())
    }

    fn add_job(&self, job: NewJob) -> Result<()> {
        let Some(Task { array, index, range, max_parallel }) = job.task.clone() else {
            return self.submit(|core| async move { submit::submit(&core, job).await });
        };
        let range = range.unwrap_or(TaskRange { first: index, last: index, step: 1 });
        let id = job.id.clone();
        let common = NewJob { id: array, task: None, ..job };
        let array = NewArray { common, range, max_parallel, indices: vec![index] };
        match self.add_array_job(array)? {
            Accepted::Reports => Ok(()),
            Accepted::Wait(how) => self.run(|core| async move {
                core.tell_submitted(&id, how.held).await;
                Ok(())
            }),
        }
    }

    fn add_array_job(&self, array: NewArray) -> Result<Accepted> {
        self.submit(|core| async move { submit_array::submit(&core, array).await })
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

    fn job_infos(&self, ids: &[String]) -> Vec<Result<JobInfo>> {
        let asked = ids.to_vec();
        match self.run(|core| async move { core.job_infos(&asked).await }) {
            Ok(infos) => infos.into_iter().map(|(_, info)| info).collect(),
            Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
        }
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
        self.run(|core| async move {
            let done = match control {
                Control::Suspend => suspend::suspend(&core, &id).await,
                Control::Resume => suspend::resume(&core, &id).await,
                Control::Terminate | Control::Kill => {
                    return control::end(&core, &id, control == Control::Kill).await;
                }
                _ => Err(Error::internal("holds are passed on in another way")),
            };
            done.map_err(|error| error.of(format_args!("job {id}")))
        })
    }

    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState> {
        self.follow();
        let _waiting = self.core.attention.wait();
        let (id, states) = (id.to_owned(), states.to_owned());
        self.run(|core| async move {
            // Subscribe before looking, or a change in between would be missed.
            let mut changes = core.changes();
            let reached = async {
                let mut is_known = false;
                loop {
                    match core.job_info(&id).await {
                        Ok(info) if states.contains(&info.state) => return Ok(info.state),
                        Ok(_) => is_known = true,
                        // It goes on while Slurm does not answer.
                        Err(error) if is_known && error.code == ErrorCode::DrmCommunication => {}
                        Err(error) => return Err(error),
                    }
                    // The sender lives as long as the core. Nobody reports the jobs of other programs.
                    let _ = tokio::time::timeout(LOOK, changes.changed()).await;
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

    fn reserving(&self) -> Option<&dyn Reserving> {
        Some(self)
    }

    fn attend(&self) -> bool {
        self.core.attention.attend()
    }

    fn subscribe(&self, sink: Arc<dyn EventSink>) {
        self.core.deliver(sink);
        self.follow();
    }
}

/// The name of the system.
pub const NAME: &str = "Slurm";
/// The optional features that there are on containerd alone, by their numbers in the C enum `drmaa2_capability`.
pub const LACKS: [i32; 1] = [
    7, // JT_MAXSLOTS
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
            let (mut jobs, mut others) = (Vec::new(), Vec::new());
            for (id, entry) in said.jobs.iter() {
                match core.job_info(id).await {
                    Ok(info) => jobs.push(info),
                    // Slurm shows it for a while after it was deleted.
                    Err(_) if words::is_over(&entry.line.state) => {}
                    // One of another store has no directory here.
                    Err(_) => others.push((id, entry)),
                }
            }
            // Nor has one that was deleted, and of whose end Slurm does not know yet.
            let settings = core.settings.clone();
            let ended = blocking(move || job_dir::ended(&settings)).await?;
            others.retain(|(id, _)| !ended.contains(*id));
            jobs.extend(others.into_iter().map(|(id, entry)| account::foreign(id, entry)));
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

impl Reserving for SlurmTracker {
    fn reserve(
        &self,
        id: &str,
        template: &ReservationTemplate,
        users: &[String],
    ) -> Result<ReservationInfo> {
        let (id, template, users) = (id.to_owned(), template.clone(), users.to_owned());
        self.run(|core| async move {
            reservation::reserve(&core.settings.programs, &id, &template, &users).await
        })
    }

    fn reservation(&self, id: &str) -> Result<ReservationInfo> {
        let id = id.to_owned();
        self.run(|core| async move { reservation::reservation(&core.settings.programs, &id).await })
    }

    fn all_reservations(&self) -> Result<Vec<ReservationInfo>> {
        self.run(|core| async move { reservation::all(&core.settings.programs).await })
    }

    fn end_reservation(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.run(|core| async move { reservation::end(&core.settings.programs, &id).await })
    }
}
