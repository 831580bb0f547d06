//! The end of a job.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use containerd_client::types::v1::{Process, Status};
use drmaa2_init::{Record, TERMINATE_FILE, is_marked};
use prost_types::Timestamp;

use super::job_dir::{self, ERRORS_FILE, KILL_FILE, is_withdrawn, shared};
use super::tracker_core::Core;
use super::{group, look_up, metrics, withdraw};
use crate::container::outcome::of_record;
use crate::model::{Error, Millis, Outcome, Result, now};
use crate::tracker::Fact;

/// The reason of a failed job whose init could not write its record.
const NO_RECORD: &str = "its container was killed, and there is no record of its end";

/// The longest excerpt of [`ERRORS_FILE`], bytes.
const MAX_SAID: u64 = 4096;

/// The attribute that limits a job's memory.
const MEMORY: &str = "containerd_jt_memory";

/// Messages of runc about a limit that is too low for runc itself.
const TOO_LITTLE: [&str; 2] = ["container init was OOM-killed", "unable to set memory limit"];

/// First and last pause between two tries to find how a job ended.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The end of PID 1, as reported by containerd.
#[derive(Clone)]
pub(super) struct Exit {
    /// Its exit status, 128 + n for a signal.
    pub(super) status: u32,
    /// Its time.
    pub(super) at: Option<Timestamp>,
}

impl Exit {
    fn time(self) -> Millis {
        self.at.map_or_else(now, |at| millis(&at))
    }
}

impl From<Process> for Exit {
    fn from(process: Process) -> Self {
        Self { status: process.exit_status, at: process.exited_at }
    }
}

/// The end of a job; `None` if it has not ended, if it was a prepared one whose task was removed, or one
/// whose start was withdrawn. `exit` is from an event, perhaps about an earlier attempt at the same job;
/// `reason` is the reason of the end, unless there is a record.
pub(super) async fn end(
    core: &Core,
    id: &str,
    exit: Option<Exit>,
    reason: Option<String>,
) -> Result<Option<Outcome>> {
    let dir = core.job_dir(id);
    if let Some(outcome) = recorded(&dir) {
        return Ok(Some(complete(core, id, outcome).await));
    }
    // Before the task is looked for: it is marked when there is one.
    if !was_started(core, id, &dir).await? {
        return Ok(None);
    }
    let process = look_up::process(core, id).await?;
    if process.as_ref().is_some_and(|process| process.status() != Status::Stopped) {
        return Ok(None);
    }
    // Init writes its record before it ends.
    if let Some(outcome) = recorded(&dir) {
        return Ok(Some(complete(core, id, outcome).await));
    }
    let ours = dir.is_dir().then_some(dir.as_path());
    let has_init = ours.is_some_and(|dir| !job_dir::is_bare(dir));
    let (begun, by_us) = if has_init { withdraw::settle_fence(core, id).await? } else { (true, false) };
    let mut outcome = match (process.map(Exit::from), exit) {
        // Its init has found that the attempt was given up: the process that did so continues with
        // another one.
        _ if !begun && !by_us => return Ok(None),
        (found, told) if !begun => unbegun(&dir, found.or(told)),
        (Some(exit), _) => unrecorded(ours, exit),
        (None, Some(exit)) if !has_init => unrecorded(ours, exit),
        // The exit reported then is the daemon's own invention.
        (None, exit) => Outcome { finished: exit.map_or_else(now, Exit::time), ..lost(ours) },
    };
    outcome.reason = reason.or(outcome.reason);
    Ok(Some(complete(core, id, outcome).await))
}

/// Report the end of a job, if it has ended; `reason` is the reason, unless its record has another. Tried
/// until there is an answer: nothing else may come that makes anybody look at the job again.
pub(super) async fn report_end(core: &Core, id: &str, exit: Option<Exit>, reason: Option<String>) {
    let mut pause = MIN_PAUSE;
    let ended = loop {
        match end(core, id, exit.clone(), reason.clone()).await {
            Ok(ended) => break ended,
            Err(error) => tracing::debug!(%error, id, "cannot tell how a job ended"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    };
    match ended {
        Some(outcome) => core.facts.report(Fact::Ended { id: id.to_owned(), outcome }),
        None if is_withdrawn(&core.job_dir(id)) => {
            core.facts.report(Fact::Withdrawn { id: id.to_owned() });
        }
        // It was no job of the library, or has not run; those that wait for it look themselves.
        None => core.facts.changed(id),
    }
}

/// Add the daemon's knowledge of a job's end.
pub(super) async fn complete(core: &Core, id: &str, outcome: Outcome) -> Outcome {
    let mut outcome = with_event(core, id, outcome);
    if outcome.usage.peak_memory.is_none() && !outcome.lost {
        outcome.usage = outcome.usage.or(metrics::usage(core, id).await);
    }
    if outcome.usage.oom_killed && is_unexplained(&outcome) {
        let container = look_up::container(core, id).await.ok().flatten();
        let limit = container.as_ref().and_then(look_up::memory_limit);
        let limit = limit.map_or_else(String::new, |limit| format!(" (limit {limit} bytes)"));
        outcome.reason = Some(format!("killed for want of memory{limit}"));
    }
    outcome
}

/// Returns whether there is anything that [`complete`] would ask the daemon for.
pub(super) fn needs_daemon(outcome: &Outcome) -> bool {
    outcome.usage.peak_memory.is_none() || (outcome.usage.oom_killed && is_unexplained(outcome))
}

/// Add the knowledge from events and the job's directory.
pub(super) fn with_event(core: &Core, id: &str, mut outcome: Outcome) -> Outcome {
    outcome.usage.oom_killed |= core.memory.lock().contains(id);
    outcome.image = outcome.image.or_else(|| job_dir::image_of(&core.job_dir(id)));
    outcome
}

/// The error of a failed start, with the job's memory limit if that was the reason: the runtime's own
/// processes count towards it until the job's command takes their place.
pub(super) async fn starved(core: &Core, id: &str, error: Error) -> Error {
    let container = look_up::container(core, id).await.ok().flatten();
    let Some(limit) = container.as_ref().and_then(look_up::memory_limit) else { return error };
    let told = TOO_LITTLE.iter().any(|words| error.message.contains(words));
    if !told && !container.as_ref().is_some_and(group::was_out_of_memory) {
        return error;
    }
    // Final, although the runtime may get further another time.
    let text = format!("the runtime cannot start within {MEMORY} of {limit} bytes: {}", error.message);
    Error::internal(text)
}

/// Returns whether a job was killed for which only a lack of memory is an explanation.
fn is_unexplained(outcome: &Outcome) -> bool {
    let killed = outcome.exit_status == Some(128 + libc::SIGKILL);
    killed && outcome.reason.as_deref().is_none_or(|reason| reason == NO_RECORD)
}

/// Returns whether a job without a record was started. A job of the library shows it in its directory,
/// which is removed last; with the container gone as well, nothing can be reported any more.
async fn was_started(core: &Core, id: &str, dir: &Path) -> Result<bool> {
    match dir.is_dir() {
        true => Ok(job_dir::was_tried(dir) && !is_withdrawn(dir)),
        false => Ok(look_up::container(core, id).await?.is_some()),
    }
}

/// Init's record, if it has been written.
pub(super) fn recorded(dir: &Path) -> Option<Outcome> {
    match Record::read(&shared(dir)) {
        Ok(record) => Some(of_record(record)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, dir = %dir.display(), "cannot read the record of a job");
            None
        }
    }
}

/// The end of a container without a record, which only those of the library with an init need; `dir` is
/// the directory of a job of the library.
pub(super) fn unrecorded(dir: Option<&Path>, exit: Exit) -> Outcome {
    match dir {
        Some(dir) if job_dir::is_bare(dir) => ended_without_init(dir, exit),
        Some(dir) if is_marked(&dir.join(TERMINATE_FILE)) => terminated(dir, from_exit(exit)),
        Some(_) => without_record(from_exit(exit)),
        None => from_exit(exit),
    }
}

/// The end of a job that was killed, or was asked to end before there was an init to receive that: then
/// the runtime's own process ends, with a code of its own.
fn terminated(dir: &Path, outcome: Outcome) -> Outcome {
    let reason = match is_marked(&dir.join(KILL_FILE)) {
        true => "killed on request",
        false => "terminated, and its container left no record of its end",
    };
    let exit_status = outcome.exit_status.filter(|_| outcome.signal.is_some());
    Outcome { exit_status, reason: Some(reason.to_owned()), ..outcome }
}

/// The end of a job of the library whose init could not write its record.
fn without_record(outcome: Outcome) -> Outcome {
    Outcome { reason: Some(NO_RECORD.to_owned()), ..outcome }
}

/// The end of a container that keeps no record: a status above 128 is read as a signal.
pub(super) fn from_exit(exit: Exit) -> Outcome {
    let status = i32::try_from(exit.status).unwrap_or(i32::MAX);
    Outcome {
        exit_status: Some(status),
        signal: status.checked_sub(128).filter(|signal| (1..=64).contains(signal)),
        finished: exit.time(),
        ..Outcome::default()
    }
}

/// The end of a job that started and has neither a task nor a record.
pub(super) fn lost(dir: Option<&Path>) -> Outcome {
    let outcome = match dir {
        Some(dir) if job_dir::is_bare(dir) => lost_without_init(),
        _ => Outcome::failed("runtime lost the job: it has no task, and no record of its end"),
    };
    Outcome { lost: true, ..outcome }
}

/// The end of a job without an init.
fn ended_without_init(dir: &Path, exit: Exit) -> Outcome {
    let asked = is_marked(&dir.join(TERMINATE_FILE));
    Outcome { reason: asked.then(|| "terminated on request".to_owned()), ..from_exit(exit) }
}

/// The end of such a job without any trace.
fn lost_without_init() -> Outcome {
    Outcome::failed(
        "runtime lost the job: it has no task, and without drmaa2-init there is no record of its end",
    )
}

/// The end of a job of the library whose container ended before its init had begun: the command has not
/// run, so there is no exit status. The runtime's own process ends by itself if a hook that it runs in
/// the container fails.
pub(super) fn unbegun(dir: &Path, exit: Option<Exit>) -> Outcome {
    if is_marked(&dir.join(TERMINATE_FILE)) {
        let ended = exit.map_or_else(|| Outcome::failed(""), from_exit);
        return Outcome { exit_status: None, ..terminated(dir, ended) };
    }
    let (status, at) = exit.map_or((None, None), |exit| (Some(exit.status), Some(exit.time())));
    let outcome = match status.filter(|status| *status <= 128) {
        Some(status) => {
            let said = said(dir).map(|text| format!(": {text}")).unwrap_or_default();
            Outcome::failed(format!("the runtime ended with status {status} before the command{said}"))
        }
        None => {
            let reason = "its container was killed before its command was started";
            Outcome { lost: true, ..Outcome::failed(reason) }
        }
    };
    Outcome { finished: at.unwrap_or(outcome.finished), ..outcome }
}

/// The messages of init, or of the runtime's init, that had no other place.
fn said(dir: &Path) -> Option<String> {
    let mut text = Vec::new();
    File::open(dir.join(ERRORS_FILE)).ok()?.take(MAX_SAID).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).trim().replace('\n', "; ");
    Some(text).filter(|text| !text.is_empty())
}

/// A time of the daemon.
pub(super) fn millis(at: &Timestamp) -> Millis {
    at.seconds * 1000 + i64::from(at.nanos) / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::JobState;

    #[test]
    fn a_record_is_the_whole_truth() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(recorded(dir.path()), None);
        let record = Record {
            exit_code: None,
            signal: Some(11),
            reason: None,
            started: 1,
            finished: 5,
            cpu_time: 3,
            max_rss: 4,
            ..Record::default()
        };
        fs::create_dir(shared(dir.path())).unwrap();
        record.write(&shared(dir.path())).unwrap();
        let outcome = recorded(dir.path()).unwrap();
        assert_eq!((outcome.exit_status, outcome.signal), (Some(139), Some(11)));
        assert_eq!((outcome.started, outcome.finished), (Some(1), 5));
        assert_eq!((outcome.usage.cpu_time, outcome.usage.max_rss), (Some(3), Some(4)));
        assert!(!outcome.lost);
        Record { interrupted: true, ..record }.write(&shared(dir.path())).unwrap();
        assert!(recorded(dir.path()).unwrap().lost);
    }

    #[test]
    fn a_status_above_128_is_a_signal() {
        let at = Some(Timestamp { seconds: 2, nanos: 5_000_000 });
        let outcome = from_exit(Exit { status: 137, at });
        assert_eq!((outcome.exit_status, outcome.signal), (Some(137), Some(9)));
        assert_eq!(outcome.finished, 2005);
        assert_eq!(from_exit(Exit { status: 255, at: None }).signal, None);
        assert_eq!(from_exit(Exit { status: 0, at: None }).state(), JobState::Done);
    }

    #[test]
    fn a_runtime_that_was_asked_to_end_has_no_code_of_the_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let end = |status| unrecorded(Some(dir.path()), Exit { status, at: None });
        assert_eq!((end(2).exit_status, end(2).reason.as_deref()), (Some(2), Some(NO_RECORD)));
        fs::write(dir.path().join(TERMINATE_FILE), "").unwrap();
        assert_eq!((end(2).exit_status, end(2).state()), (None, JobState::Failed));
        assert_eq!((end(137).exit_status, end(137).signal), (Some(137), Some(9)));
        assert!(end(2).reason.unwrap().contains("terminated"));
        fs::write(dir.path().join(KILL_FILE), "").unwrap();
        assert_eq!((end(137).signal, end(137).reason.as_deref()), (Some(9), Some("killed on request")));
    }

    #[test]
    fn a_container_that_ended_before_its_init_had_begun_has_no_exit_status() {
        let dir = tempfile::tempdir().unwrap();
        let end = |status| unbegun(dir.path(), Some(Exit { status, at: None }));
        assert!(end(137).lost && unbegun(dir.path(), None).lost);
        fs::write(dir.path().join(ERRORS_FILE), "a hook\nfailed\n").unwrap();
        let reason = "the runtime ended with status 1 before the command: a hook; failed";
        assert_eq!((end(1).lost, end(1).reason.as_deref()), (false, Some(reason)));
        fs::write(dir.path().join(TERMINATE_FILE), "").unwrap();
        for outcome in [end(137), end(1), unbegun(dir.path(), None)] {
            assert_eq!((outcome.lost, outcome.exit_status), (false, None));
            assert!(outcome.finished > 0 && outcome.reason.unwrap().contains("terminated"));
        }
    }

    #[test]
    fn an_init_that_left_no_record_is_a_failure_even_with_status_0() {
        let outcome = without_record(from_exit(Exit { status: 0, at: None }));
        assert_eq!(outcome.state(), JobState::Failed);
    }
}
