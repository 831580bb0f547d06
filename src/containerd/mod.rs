//! The tracker for containerd: every job is a container with the project's own init as PID 1.
//!
//! The daemon is the authority on processes, init's record on the end of a job. The tracker keeps no
//! state that a new process could not determine again.

mod account;
mod ahead;
mod attempt;
mod attributes;
mod bare;
mod connect;
mod control;
mod cpuset;
mod defaults;
mod devices;
mod events;
mod facts;
mod files;
mod finish;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grants;
mod group;
mod host_root;
mod image;
mod job_dir;
mod labels;
mod launch;
mod look_up;
mod machine;
mod metrics;
mod names;
mod next_look;
mod private;
mod pull;
mod remove;
mod runtime;
mod sandbox;
mod seccomp;
mod settings;
mod shim;
mod snapshot;
mod start;
mod status;
mod step;
mod step_mounts;
mod sweep;
mod tracker_core;
mod turn;
mod unpack;
mod withdraw;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use containerd_client::services::v1::ListImagesRequest;

use crate::model::extensions::Pull;
use crate::model::{
    Control, Error, JobInfo, JobState, JobTemplate, Machine, Queue, Result, Text, Version,
};
use crate::runtime::Runtime;
use crate::tracker::{
    self, Contact, EventSink, FindClient, JobTracker, Monitoring, NewJob, Step, StepNews, Steps,
    TemplateSource, Withdrawn,
};

use attributes::ATTRIBUTES;
use connect::QUICK;
use control::Request;
use facts::Word;
pub use host_root::CATEGORY as NO_IMAGE;
use look_up::checked;
use sandbox::Sandbox;
pub use settings::{JobSettings, Settings};
use tracker_core::Core;

/// Runs jobs as containers of a containerd daemon.
pub struct ContainerdTracker {
    runtime: Arc<Runtime>,
    core: Arc<Core>,
    following: AtomicBool,
}

impl ContainerdTracker {
    /// A tracker. It connects at its first use.
    pub fn new(settings: Settings, runtime: Arc<Runtime>) -> Arc<Self> {
        let core = Core::new(settings);
        Arc::new(Self { runtime, core: Arc::new(core), following: AtomicBool::new(false) })
    }

    /// Run something that needs the core to its end.
    fn run<T, F>(&self, work: impl FnOnce(Arc<Core>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.run(work(self.core.clone()))
    }

    /// Begin an attempt at a job. From now on it can be told to end: the request is a file in its
    /// directory.
    fn begin(&self, job: &NewJob) -> Result<()> {
        let old = attempt::begin(&self.core, job).inspect_err(|_| self.core.facts.cancel(&job.id))?;
        if let Some(old) = old {
            let core = self.core.clone();
            self.runtime.spawn(async move { remove::remove_in_background(&core, old) });
        }
        Ok(())
    }

    /// Follow the daemon's events from now on.
    fn follow(&self) {
        if !self.following.swap(true, Ordering::AcqRel) {
            self.runtime.spawn(events::follow(self.core.clone()));
        }
    }
}

/// Refuse an image that can never be available, as far as that is known without a registry.
async fn check_image(core: &Core, name: &str, snapshotter: &str, policy: Pull) -> Result<()> {
    match policy {
        Pull::Never => core.images.resolve(&core.daemon, snapshotter, name).await.map(drop),
        Pull::Always => pull::check_name(name),
        Pull::Missing => match core.images.find(&core.daemon, snapshotter, name).await? {
            Some(_) => Ok(()),
            None => pull::check_name(name),
        },
    }
}

/// The error for a second attempt at a job at the same time.
fn under_way(id: &str) -> Error {
    Error::state(format!("job {id} is being started"))
}

impl JobTracker for ContainerdTracker {
    fn attributes(&self) -> &'static [&'static str] {
        &ATTRIBUTES
    }

    fn check_template(&self, template: &JobTemplate, settings: &tracker::Settings) -> Result<()> {
        // An image may have a command of its own; the image of the default category is not meant to be
        // run.
        let set = |text: &Option<Text>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !set(&template.remote_command) && !set(&template.job_category) {
            return Err(Error::argument("the job template has neither remoteCommand nor jobCategory"));
        }
        let wanted = template.extensions()?;
        sandbox::check_without_init(template, &wanted)?;
        bare::check(template, &wanted)?;
        wanted.cpuset.as_ref().map_or(Ok(()), cpuset::check)?;
        let settings: JobSettings = settings.read()?;
        Sandbox::read(&settings.cdi_dirs, &wanted)?;
        if settings.is_on_host() {
            return host_root::check(&wanted);
        }
        let name = settings.image()?.to_owned();
        let category = template.job_category.as_ref().filter(|category| !category.is_empty());
        let category = category.map_or_else(|| name.clone(), Text::to_string);
        self.run(|core| async move {
            snapshot::check(&core, &wanted).await?;
            let policy = settings.policy(&wanted);
            let snapshotter = core.snapshotter(&wanted).await?;
            let checked = check_image(&core, &name, &snapshotter, policy).await;
            checked.map_err(|error| error.of(format_args!("jobCategory \"{category}\"")))
        })
    }

    fn list_jobs(&self) -> Result<Vec<String>> {
        Ok(self.all_jobs()?.into_iter().map(|info| info.id).collect())
    }

    fn list_array_jobs(&self, array: &str) -> Result<Vec<String>> {
        let is_task = |id: &String| id.strip_prefix(array).is_some_and(|rest| rest.starts_with('.'));
        Ok(self.list_jobs()?.into_iter().filter(is_task).collect())
    }

    fn add_job(&self, job: NewJob) -> Result<()> {
        let id = checked(&job.id)?;
        let Err(Word::Start(job)) = self.core.facts.tell(&id, Word::Start(Box::new(job))) else {
            return Ok(());
        };
        let ticket = self.core.facts.launch(&id).ok_or_else(|| under_way(&id))?;
        let core = self.core.clone();
        if job_dir::was_tried(&self.core.job_dir(&id)) {
            self.runtime.spawn(async move { start::resume(&core, &job, ticket).await });
            return Ok(());
        }
        self.begin(&job)?;
        self.runtime.spawn(async move { start::launch(&core, &job, ticket).await });
        Ok(())
    }

    fn prepare_job(&self, job: NewJob) -> Result<bool> {
        let id = checked(&job.id)?;
        let (ticket, words) = self.core.facts.prepare(&id).ok_or_else(|| under_way(&id))?;
        self.begin(&job)?;
        let core = self.core.clone();
        self.runtime.spawn(async move { ahead::prepare(&core, job, ticket, words).await });
        Ok(true)
    }

    fn withdraw(&self, id: &str) -> Result<Withdrawn> {
        withdraw::withdraw(&self.core, &checked(id)?)
    }

    fn job_state(&self, id: &str) -> Result<(JobState, Option<String>)> {
        self.job_info(id).map(|info| (info.state, info.substate))
    }

    fn job_info(&self, id: &str) -> Result<JobInfo> {
        let id = checked(id)?;
        self.run(|core| async move { account::job_info(&core, &id).await })
    }

    fn recorded(&self, id: &str) -> Option<JobInfo> {
        account::recorded(&self.core, &checked(id).ok()?)
    }

    fn job_control(&self, id: &str, control: Control) -> Result<()> {
        let id = checked(id)?;
        self.run(|core| async move { control::control(&core, &id, control).await })
    }

    fn end_again(&self, id: &str, how: Control) -> Result<()> {
        let id = checked(id)?;
        self.run(|core| async move { control::end(&core, &id, how, Request::Again).await })
    }

    fn wait(&self, id: &str, timeout: Option<Duration>, states: &[JobState]) -> Result<JobState> {
        let (id, states) = (checked(id)?, states.to_owned());
        self.follow();
        self.run(|core| async move { account::wait(&core, &id, timeout, &states).await })
    }

    fn delete_job(&self, id: &str) -> Result<()> {
        let id = checked(id)?;
        if self.core.facts.tell(&id, Word::Undo).is_err() {
            let core = self.core.clone();
            self.runtime.spawn(async move { remove::delete(&core, id).await });
        }
        Ok(())
    }

    fn list_job_categories(&self) -> Result<Vec<String>> {
        let images = self.run(|core| async move {
            let answer = core.daemon.within(QUICK)?.images().list(ListImagesRequest::default()).await;
            Ok(answer.map_err(|status| core.daemon.error(status))?.into_inner().images)
        })?;
        let images = images.into_iter().map(|image| image.name);
        Ok([host_root::CATEGORY.to_owned()].into_iter().chain(images).collect())
    }

    fn leftovers(&self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        self.run(|core| async move { sweep::traces(&core).await })?.unneeded(needed)
    }

    fn delete_leftover(&self, name: &str) -> Result<()> {
        let (core, name) = (self.core.clone(), name.to_owned());
        self.runtime.spawn(async move { sweep::delete(&core, name).await });
        Ok(())
    }

    fn contact(&self) -> Result<Contact> {
        let answer = self.run(|core| async move {
            let answer = core.daemon.within(QUICK)?.version().version(()).await;
            Ok(answer.map_err(|status| core.daemon.error(status))?.into_inner())
        })?;
        let version = Version {
            revision: Some(answer.revision).filter(|revision| !revision.is_empty()),
            address: Some(self.core.settings.address.display().to_string()),
            ..Version::parse(&answer.version)
        };
        Ok(Contact { name: "containerd".to_owned(), version })
    }

    fn job_template(&self) -> Option<&dyn TemplateSource> {
        Some(self)
    }

    fn monitoring(&self) -> Option<&dyn Monitoring> {
        Some(self)
    }

    fn steps(&self) -> Option<&dyn Steps> {
        Some(self)
    }

    fn subscribe(&self, sink: Arc<dyn EventSink>) {
        if let Some(delivery) = self.core.facts.deliver(sink) {
            self.runtime.spawn(delivery);
        }
        self.follow();
    }
}

impl TemplateSource for ContainerdTracker {
    fn job_template(&self, id: &str) -> Result<JobTemplate> {
        let id = checked(id)?;
        self.run(|core| async move { account::job_template(&core, &id).await })
    }
}

impl Steps for ContainerdTracker {
    fn run_step(&self, step: Step, told: Box<dyn Fn(StepNews) + Send + Sync>) {
        let core = self.core.clone();
        self.runtime.spawn(async move { told(step::run(&core, step, &told).await) });
    }

    fn tend_steps(&self, find: FindClient) {
        self.runtime.spawn(step::tend(self.core.clone(), find));
    }
}

impl Monitoring for ContainerdTracker {
    fn all_jobs(&self) -> Result<Vec<JobInfo>> {
        self.run(|core| async move { account::all_jobs(&core).await })
    }

    fn all_queues(&self) -> Result<Vec<Queue>> {
        Ok(Vec::new())
    }

    fn all_machines(&self) -> Result<Vec<Machine>> {
        // A machine whose daemon does not answer exists, but takes no jobs.
        Ok(vec![machine::machine(self.contact().is_ok())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::extensions::JOB_TEMPLATE;

    #[test]
    fn every_attribute_that_is_listed_is_honoured() {
        // A machine has no generic resources to grant.
        for attribute in JOB_TEMPLATE.iter().filter(|attribute| attribute.name != "containerd_jt_gres") {
            assert!(ATTRIBUTES.contains(&attribute.name), "{}", attribute.name);
        }
    }
}
