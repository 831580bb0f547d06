//! Scenes that are played while the fault happens: short lives of jobs that make every call to containerd.

use std::fmt;
use std::time::Duration;

use drmaa2::model::JobTemplate;

use crate::fault::Act;
use crate::player::LIMIT;
use crate::processes;
use crate::stage::Stage;
use crate::strike;

/// The time for which a disk is full that keeps a job from its start.
const FULL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scene {
    /// A job from its submission to its end.
    Life,
    /// The same without init.
    Bare,
    /// The same with an image that has to be pulled.
    Pull,
    /// A job runs, and ends while no event comes through.
    Running,
    /// A job is made ready while another has the only slot.
    Ahead,
    /// Three tasks on two slots.
    Array,
    /// A running job is suspended and resumed.
    Suspend,
    /// A running job is asked to end.
    Terminate,
    /// A rerunnable job is lost with its shim and runs again.
    Rerun,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

impl Scene {
    pub fn play(self, stage: &Stage) {
        let contact = match self {
            Self::Ahead => "containerd://?slots=1",
            Self::Array => "containerd://?slots=2",
            _ => "",
        };
        stage.expect(&["create", contact]);
        match self {
            Self::Life => life(stage, stage.job("a")),
            Self::Bare => life(stage, without_init(stage.job("a"))),
            Self::Pull => life(stage, with_unknown_image(stage)),
            Self::Running => running(stage),
            Self::Ahead => ahead(stage),
            Self::Array => array(stage),
            Self::Suspend => suspend(stage),
            Self::Terminate => terminate(stage),
            Self::Rerun => rerun(stage),
        }
    }
}

fn without_init(mut template: JobTemplate) -> JobTemplate {
    template.extensions.insert("containerd_jt_init".to_owned(), "off".into());
    template
}

fn with_unknown_image(stage: &Stage) -> JobTemplate {
    let category = Some(stage.daemon.unknown_image().into());
    JobTemplate { job_category: category, ..stage.job("a") }
}

/// The requests to a player that the fault may kill.
fn await_end(stage: &Stage, id: &str) {
    stage.open_gate();
    if let Some(disk) = &stage.disk {
        // It stays full while the job ends; one that cannot start waits for room, and so has to get it.
        stage.has_noted(2, FULL);
        disk.free();
    }
    // Another one takes over when the play is done.
    match stage.player().ask(&["ended", id]) {
        Err(error) if error != "dead" => stage.note(format!("the wait for the end answered: {error}")),
        _ => {}
    }
}

fn life(stage: &Stage, template: JobTemplate) {
    if stage.fault().is_none_or(|fault| fault.act != Act::KillDaemonLong) {
        stage.open_gate();
    }
    stage.arm();
    let Some(id) = stage.submit(template) else { return };
    stage.moment("submitted");
    await_end(stage, &id);
}

/// Submit a job and wait for its start, before anything can go wrong.
fn start(stage: &Stage, template: JobTemplate) -> Option<String> {
    let id = stage.submit(template)?;
    if let Err(error) = stage.player().ask(&["started", &id]) {
        stage.note(format!("the wait for the start answered: {error}"));
    }
    if !stage.has_noted(1, LIMIT) {
        stage.note("the job did not start".to_owned());
    }
    stage.proxy.bar(stage.player().pid, false);
    Some(id)
}

fn running(stage: &Stage) {
    let Some(id) = start(stage, stage.job("a")) else { return };
    stage.arm();
    stage.moment("running");
    stage.proxy.mute(true);
    stage.open_gate();
    for pid in stage.in_jobs() {
        processes::gone(pid, LIMIT);
    }
    stage.moment("ended unheard");
    stage.proxy.mute(false);
    await_end(stage, &id);
}

fn ahead(stage: &Stage) {
    let Some(first) = start(stage, stage.job("a")) else { return };
    stage.arm();
    let Some(second) = stage.submit(stage.job("b")) else { return };
    // Made, or struck meanwhile.
    stage.proxy.await_answer("Tasks.Create", Duration::from_secs(5));
    stage.moment("ready");
    await_end(stage, &first);
    await_end(stage, &second);
}

fn array(stage: &Stage) {
    stage.open_gate();
    stage.arm();
    let text = serde_json::to_string(&stage.job("a")).unwrap();
    let Some(ids) = stage.run(&["array", &text, "3"]) else { return };
    stage.moment("submitted");
    ids.split(' ').for_each(|id| await_end(stage, id));
}

fn suspend(stage: &Stage) {
    let Some(id) = start(stage, stage.job("a")) else { return };
    stage.arm();
    let suspended = stage.ask(&["suspend", &id]);
    stage.moment("suspended");
    let resumed = stage.ask(&["resume", &id]);
    if !stage.has_struck() && (suspended.is_err() || resumed.is_err()) {
        stage.note(format!("suspend and resume answered: {suspended:?}, {resumed:?}"));
    }
    // Nobody knows of a call that was not answered if it was carried out; and one to a daemon that is away is none.
    if !stage.is_calm(LIMIT) {
        stage.note("the fault does not come to its end".to_owned());
    }
    stage.open_gate();
    if let Err(error) = stage.ask(&["resumed", &id]) {
        stage.note(format!("the wait for the end answered: {error}"));
    }
    await_end(stage, &id);
}

fn terminate(stage: &Stage) {
    let Some(id) = start(stage, stage.job("a")) else { return };
    stage.arm();
    stage.hit(id.clone());
    let _ = stage.ask(&["terminate", &id]);
    stage.moment("asked to end");
    await_end(stage, &id);
}

fn rerun(stage: &Stage) {
    let template = JobTemplate { rerunnable: true, ..stage.job("a") };
    let Some(id) = start(stage, template) else { return };
    stage.arm();
    let running = stage.in_jobs();
    stage.daemon.shims().into_iter().for_each(|pid| strike::kill_shim(stage, pid));
    // containerd ends what it finds without its shim.
    for pid in running {
        processes::gone(pid, LIMIT);
    }
    stage.moment("lost");
    await_end(stage, &id);
}

/// Another host program does something to the jobs that wait.
pub fn interfere(stage: &Stage, control: &str) {
    let other = stage.another();
    let answer = other.ask(&["open"]).and_then(|_| other.ask(&["jobs"]));
    for id in answer.unwrap_or_default().split_whitespace() {
        match other.ask(&[control, id]) {
            Ok(_) if control == "terminate" => stage.hit(id.to_owned()),
            Ok(_) => stage.held.lock().unwrap().push(id.to_owned()),
            // It runs, or has run, by now.
            Err(error) if error.ends_with("that is RUNNING") || error.ends_with("that is DONE") => {}
            Err(error) => stage.note(format!("{control} answered: {error}")),
        }
    }
    other.leave();
}

/// Release the jobs that were held; they must not have run meanwhile.
pub fn release(stage: &Stage) {
    let other = stage.another();
    let _ = other.ask(&["open"]);
    for id in stage.held.lock().unwrap().drain(..) {
        if !stage.noted(&id).is_empty() {
            stage.note(format!("job {id} ran while it was held"));
        }
        if let Err(error) = other.ask(&["release", &id]) {
            stage.note(format!("release answered: {error}"));
        }
    }
    other.leave();
}
