//! The account of a job: from its record, its task and its container, in this order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::{Container, ListContainersRequest, ListTasksRequest};
use containerd_client::types::v1::{Process, Status};
use drmaa2_init::{Order, TERMINATE_FILE, is_marked};
use tokio::time::Instant;

use super::connect::QUICK;
use super::facts::change_of;
use super::finish::{self, Exit};
use super::job_dir::{self, is_withdrawn, will_never_begin};
use super::look_up::{container, containers, is_relic, shown_process, spec_of, unknown_job};
use super::tracker_core::Core;
use super::{group, labels};
use crate::model::{
    Error, ErrorCode, JobInfo, JobState, JobTemplate, Millis, Outcome, Result, SlotInfo, Text,
};

/// All traces of one job.
struct Traces {
    container: Option<Container>,
    process: Option<Process>,
    /// Its end, from init's record.
    outcome: Option<Outcome>,
    /// Its directory, which the library's own jobs have.
    dir: Option<PathBuf>,
    /// Its start was withdrawn.
    withdrawn: bool,
    /// Time of the first attempt to start it.
    started: Option<Millis>,
    /// It has begun, as far as its directory shows.
    begun: bool,
    /// The attempt was given up, so its end is not that of the job.
    given_up: bool,
    /// Its processes are frozen, although the daemon reports them as running.
    frozen: bool,
}

impl Traces {
    /// Add the content of the job's directory.
    fn new(
        container: Option<Container>,
        process: Option<Process>,
        started: Option<Millis>,
        dir: &Path,
    ) -> Self {
        let (outcome, begun) = (finish::recorded(dir), job_dir::has_begun(dir));
        let withdrawn = is_withdrawn(dir);
        let started = started.filter(|_| !withdrawn);
        let given_up = will_never_begin(dir);
        let dir = dir.is_dir().then(|| dir.to_owned());
        let running = process.as_ref().is_some_and(|process| process.status() == Status::Running);
        let frozen =
            running && container.as_ref().is_some_and(|container| group::frozen(container).is_some());
        Self { container, process, outcome, started, begun, withdrawn, dir, given_up, frozen }
    }

    /// Returns whether it is a job of the library without an init.
    fn is_bare(&self) -> bool {
        self.dir.as_deref().is_some_and(job_dir::is_bare)
    }

    /// Returns whether a job of the library has ended if no process of it lives. Without an init, it is
    /// enough that its start was tried.
    fn has_begun(&self) -> bool {
        self.begun || (self.is_bare() && self.started.is_some())
    }
}

/// The account of one job; INVALID_ARGUMENT if there is no trace of it.
pub(super) async fn job_info(core: &Core, id: &str) -> Result<JobInfo> {
    if !core.job_dir(id).is_dir() && core.note(id).is_dir() {
        // The container with its name belongs to an abandoned attempt.
        return Err(unknown_job(id));
    }
    // First: it is marked once there is a task, so if there is none afterwards, that was lost.
    let started = job_dir::started_at(&core.job_dir(id));
    let name = core.container_of(id);
    let (container, process) = tokio::join!(container(core, id), shown_process(core, &name));
    let (container, process, answers) = match (container, process) {
        (Ok(container), Ok(process)) => (container, process, true),
        // Its end is on record, whether the daemon answers or not.
        (Err(_), _) | (_, Err(_)) if finish::recorded(&core.job_dir(id)).is_some() => {
            (None, None, false)
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let traces = Traces::new(container, process, started, &core.job_dir(id));
    if traces.container.is_none() && traces.process.is_none() && traces.dir.is_none() {
        return Err(unknown_job(id));
    }
    let info = account(id, traces, &core.machine);
    Ok(if answers { completed(core, info).await } else { info })
}

/// The account of a job that has left a record of its end, from that alone.
pub(super) fn recorded(core: &Core, id: &str) -> Option<JobInfo> {
    let dir = core.job_dir(id);
    finish::recorded(&dir)?;
    let traces = Traces::new(None, None, job_dir::started_at(&dir), &dir);
    Some(account(id, traces, &core.machine)).filter(|info| info.state.is_terminated())
}

/// Wait until the job is in one of `states`.
pub(super) async fn wait(
    core: &Core,
    id: &str,
    timeout: Option<Duration>,
    states: &[JobState],
) -> Result<JobState> {
    // Subscribe before looking, or a change in between would be missed.
    let mut changes = core.facts.changes();
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let state = job_info(core, id).await?.state;
        if states.contains(&state) {
            return Ok(state);
        }
        let change = change_of(id, &mut changes);
        match deadline {
            None => change.await,
            Some(deadline) => tokio::time::timeout_at(deadline, change)
                .await
                .map_err(|_| Error::new(ErrorCode::Timeout, format!("job {id} is still {state}")))?,
        }
    }
}

/// The accounts of all containers that have a task or are marked as jobs.
pub(super) async fn all_jobs(core: &Core) -> Result<Vec<JobInfo>> {
    let mut tasks = core.daemon.within(QUICK)?.tasks();
    let tasks = tasks.list(ListTasksRequest::default());
    let containers = containers(core, ListContainersRequest::default());
    let (containers, tasks) = tokio::join!(containers, tasks);
    let tasks = tasks.map_err(|status| core.daemon.error(status))?.into_inner().tasks;
    // A task's own process bears the container's id.
    let mut tasks: HashMap<String, Process> =
        tasks.into_iter().map(|process| (process.id.clone(), process)).collect();
    let mut jobs = Vec::new();
    for container in containers? {
        let process = tasks.remove(&container.id);
        let Some(id) = core.job_of(&container.id) else { continue };
        let dir = core.job_dir(&id);
        let is_job = container.labels.contains_key(labels::MARK) && !is_relic(&container, &dir);
        if process.is_some() || is_job {
            let traces = Traces::new(Some(container), process, job_dir::started_at(&dir), &dir);
            jobs.push(completed(core, account(&id, traces, &core.machine)).await);
        }
    }
    Ok(jobs)
}

/// An account with what only the daemon knows of the end.
async fn completed(core: &Core, mut info: JobInfo) -> JobInfo {
    if info.state.is_terminated() {
        let outcome = finish::complete(core, &info.id, info.outcome()).await;
        info.end(outcome);
    }
    info
}

/// The known part of a job's template: from the order of a job of the library, from the spec of any
/// other.
pub(super) async fn job_template(core: &Core, id: &str) -> Result<JobTemplate> {
    let container = container(core, id).await?.ok_or_else(|| unknown_job(id))?;
    let mut info = JobInfo::new(id, JobState::Undetermined);
    labels::decode(&container, &mut info);
    let (args, directory) = match Order::read(&core.shared_dir(id)) {
        Ok(order) => (order.args.into_iter().map(Text::from).collect(), Text::from(order.directory)),
        Err(_) => process_of(&container),
    };
    let mut args = args.into_iter();
    Ok(JobTemplate {
        remote_command: args.next(),
        args: Some(args.collect()),
        working_directory: Some(directory).filter(|directory| !directory.is_empty()),
        job_category: Some(container.image.into()),
        job_name: info.name.map(Text::from),
        ..JobTemplate::default()
    })
}

/// Arguments and working directory in a container's spec.
fn process_of(container: &Container) -> (Vec<Text>, Text) {
    let spec = spec_of(container);
    let process = &spec["process"];
    let args = process["args"].as_array().into_iter().flatten();
    let args = args.filter_map(|arg| arg.as_str().map(Text::from)).collect();
    (args, process["cwd"].as_str().unwrap_or_default().into())
}

fn account(id: &str, traces: Traces, machine: &str) -> JobInfo {
    let (state, substate, outcome) = state(&traces);
    let mut info = JobInfo::new(id, state);
    if let Some(container) = &traces.container {
        labels::decode(container, &mut info);
        info.submitted = container.created_at.as_ref().map(finish::millis);
    }
    info.substate = substate.map(str::to_owned);
    info.dispatched = traces.started;
    if !state.is_queued() {
        info.allocated_machines = vec![SlotInfo { machine: machine.to_owned(), slots: 1 }];
        info.slots = Some(1);
    }
    if let Some(outcome) = outcome {
        info.end(outcome);
    }
    info
}

/// The state that the traces of a job show, a substate, and its end.
fn state(traces: &Traces) -> (JobState, Option<&'static str>, Option<Outcome>) {
    if let Some(outcome) = &traces.outcome {
        return (outcome.state(), None, Some(outcome.clone()));
    }
    if traces.withdrawn {
        return (JobState::Queued, Some("withdrawn"), None);
    }
    let has_begun = traces.has_begun();
    let Some(process) = &traces.process else {
        if !has_begun {
            return unbegun(traces, None);
        }
        let lost = finish::lost(traces.dir.as_deref());
        return (lost.state(), Some("lost"), Some(lost));
    };
    match process.status() {
        // Its start was interrupted after it had been carried out.
        Status::Created if has_begun && !traces.is_bare() => (JobState::Running, None, None),
        // Only another start would show it.
        Status::Created if has_begun => (JobState::Undetermined, None, None),
        Status::Created => (JobState::Queued, Some("created"), None),
        Status::Running if traces.frozen => (JobState::Suspended, None, None),
        Status::Running | Status::Pausing => (JobState::Running, None, None),
        Status::Paused => (JobState::Suspended, None, None),
        Status::Stopped if traces.dir.is_some() && !has_begun => {
            unbegun(traces, Some(process.clone().into()))
        }
        Status::Stopped => {
            let outcome = finish::unrecorded(traces.dir.as_deref(), Exit::from(process.clone()));
            (outcome.state(), None, Some(outcome))
        }
        Status::Unknown => (JobState::Undetermined, None, None),
    }
}

/// The state of a job that has no process any more and has not begun: it waits to be started again,
/// unless it was asked to end, or its container has ended by itself. A request also holds for the
/// attempts that follow.
fn unbegun(traces: &Traces, exit: Option<Exit>) -> (JobState, Option<&'static str>, Option<Outcome>) {
    let asked = |dir: &Path| is_marked(&dir.join(TERMINATE_FILE));
    let tried = traces.dir.as_ref().filter(|_| traces.started.is_some());
    let tried = tried.filter(|dir| !traces.given_up || asked(dir));
    let outcome = tried.map(|dir| finish::unbegun(dir, exit)).filter(|outcome| !outcome.lost);
    match outcome {
        Some(outcome) => (outcome.state(), None, Some(outcome)),
        None => (JobState::Queued, Some("creating"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::look_up::memory_limit;

    fn traces(status: Option<(Status, u32)>) -> Traces {
        let process = status.map(|(status, exit_status)| Process {
            status: status.into(),
            exit_status,
            ..Process::default()
        });
        Traces {
            container: None,
            process,
            outcome: None,
            dir: None,
            withdrawn: false,
            started: None,
            begun: false,
            given_up: false,
            frozen: false,
        }
    }

    #[test]
    fn the_states_of_a_task_are_those_of_the_mapping() {
        for (status, expected) in [
            ((Status::Created, 0), JobState::Queued),
            ((Status::Running, 0), JobState::Running),
            ((Status::Pausing, 0), JobState::Running),
            ((Status::Paused, 0), JobState::Suspended),
            ((Status::Stopped, 0), JobState::Done),
            ((Status::Stopped, 3), JobState::Failed),
            ((Status::Unknown, 0), JobState::Undetermined),
        ] {
            assert_eq!(account("j", traces(Some(status)), "m").state, expected, "{status:?}");
        }
    }

    #[test]
    fn a_job_that_is_frozen_is_suspended_whatever_the_daemon_says() {
        let running = traces(Some((Status::Running, 0)));
        assert_eq!(account("j", Traces { frozen: true, ..running }, "m").state, JobState::Suspended);
    }

    #[test]
    fn a_job_of_ours_that_was_not_started_has_not_ended() {
        let killed = || traces(Some((Status::Stopped, 137)));
        let prepared = account("j", Traces { dir: Some("/jobs/j".into()), ..killed() }, "m");
        assert_eq!((prepared.state, prepared.exit_status), (JobState::Queued, None));
        // The runtime was asked to start it, and killed it instead.
        let ours = || Traces { started: Some(5), dir: Some("/jobs/j".into()), ..killed() };
        assert_eq!(account("j", ours(), "m").state, JobState::Queued);
        let ended = traces(Some((Status::Stopped, 1)));
        let ended = account("j", Traces { process: ended.process, ..ours() }, "m");
        assert_eq!((ended.state, ended.exit_status), (JobState::Failed, None));
        let given_up = traces(Some((Status::Stopped, 125)));
        let given_up = Traces { process: given_up.process, given_up: true, ..ours() };
        assert_eq!(account("j", given_up, "m").state, JobState::Queued);
        // The process that has found its end has given it up, so that it never begins.
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(TERMINATE_FILE), "").unwrap();
        let asked = Traces { given_up: true, dir: Some(dir.path().to_owned()), ..ours() };
        assert_eq!(account("j", asked, "m").state, JobState::Failed);
        let begun = account("j", Traces { begun: true, ..ours() }, "m");
        assert_eq!((begun.state, begun.exit_status), (JobState::Failed, Some(137)));
    }

    #[test]
    fn a_start_that_was_cut_off_and_carried_out_is_known_by_the_fence() {
        let created = || Traces { started: Some(5), ..traces(Some((Status::Created, 0))) };
        assert_eq!(account("j", created(), "m").state, JobState::Queued);
        assert_eq!(account("j", Traces { begun: true, ..created() }, "m").state, JobState::Running);
    }

    #[test]
    fn the_record_comes_before_the_task() {
        let outcome = Outcome { exit_status: Some(0), finished: 7, ..Outcome::default() };
        let traces = Traces { outcome: Some(outcome), ..traces(Some((Status::Running, 0))) };
        let info = account("j", traces, "m");
        assert_eq!((info.state, info.finished, info.exit_status), (JobState::Done, Some(7), Some(0)));
    }

    #[test]
    fn a_job_without_a_task_waits_or_was_lost() {
        assert_eq!(account("j", traces(None), "m").state, JobState::Queued);
        let tried = || Traces { started: Some(5), ..traces(None) };
        assert_eq!(account("j", tried(), "m").state, JobState::Queued);
        let lost = account("j", Traces { begun: true, ..tried() }, "m");
        assert!(lost.lost);
        assert_eq!((lost.state, lost.dispatched), (JobState::Failed, Some(5)));
        assert!(lost.annotation.unwrap().contains("lost"));
    }

    #[test]
    fn a_spec_tells_the_command_and_the_memory() {
        let value = br#"{"process":{"args":["a","b"],"cwd":"/w"},
            "linux":{"resources":{"memory":{"limit":7}}}}"#
            .to_vec();
        let spec = prost_types::Any { type_url: String::new(), value };
        let container = Container { spec: Some(spec), ..Container::default() };
        assert_eq!(process_of(&container), (vec!["a".into(), "b".into()], "/w".into()));
        assert_eq!(memory_limit(&container), Some(7));
        assert_eq!(process_of(&Container::default()), (vec![], "".into()));
    }
}
