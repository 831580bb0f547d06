//! The sweep: finds leftovers of attempts at jobs that no process works on, namely directories that were
//! moved away, directories of jobs that no longer exist, and containers without a directory. The process
//! that was to remove them has died, or a call of it was carried out only afterwards.
//!
//! A namespace may be shared by processes with different state directories. So a label of each container
//! shows to which of them it belongs.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use containerd_client::services::v1::ListContainersRequest;
use containerd_client::types::v1::{Process, Status};
use ulid::Ulid;

use super::files::{blocking, io_error};
use super::tracker_core::Core;
use super::{attempt, job_dir, labels, look_up, remove};
use crate::model::Result;
use crate::tracker::Fact;

/// The length of a ULID, which is the beginning of the id of each job.
const ULID: usize = 26;

/// The attempts and jobs that the directories and the containers show.
pub(super) struct Traces {
    /// Abandoned attempts: the names of their notes, or those that these would have.
    given_up: BTreeSet<String>,
    /// Jobs that have a directory.
    jobs: BTreeSet<String>,
}

impl Traces {
    /// Names of the leftovers that no process works on.
    pub(super) fn unneeded(self, needed: &dyn Fn(&str) -> Result<bool>) -> Result<Vec<String>> {
        let mut names = Vec::from_iter(self.given_up);
        for id in self.jobs {
            // Checked after it was seen: a process stores a job before it makes anything for it.
            if !needed(&id)? {
                names.push(id);
            }
        }
        Ok(names)
    }
}

/// Find the traces.
pub(super) async fn traces(core: &Core) -> Result<Traces> {
    let dir = core.settings.jobs_dir.clone();
    let read = move || match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
            .map_err(|error| io_error(&dir, &error)),
    };
    let names: Vec<_> = blocking(read).await?;
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let names = names.filter(|name| is_ours(name));
    let (mut given_up, jobs): (BTreeSet<_>, BTreeSet<_>) = names.partition(|name| name.starts_with('.'));
    let filters = vec![labels::of_jobs_in(&core.settings.jobs_dir)];
    for container in look_up::containers(core, ListContainersRequest { filters }).await? {
        // A container that is to be kept belongs to no process any more.
        if is_ours(&container.id)
            && !labels::is_kept(&container.labels)
            && is_orphaned(core, &container.id)
        {
            given_up.insert(format!(".{}", container.id));
        }
    }
    Ok(Traces { given_up, jobs })
}

/// Returns whether the attempt of a container has no directory. An attempt has one before it has a
/// container, and as long as it has one.
fn is_orphaned(core: &Core, container: &str) -> bool {
    match core.job_of(container) {
        Some(job) => !core.job_dir(&job).is_dir(),
        None => !core.note(container).is_dir(),
    }
}

/// Returns whether this could be the id of a job, or the name of a directory that was moved away.
fn is_ours(name: &str) -> bool {
    let id = name.strip_prefix('.').unwrap_or(name);
    look_up::checked(id).is_ok() && id.get(..ULID).is_some_and(|id| Ulid::from_string(id).is_ok())
}

/// Remove a leftover, and report that.
pub(super) async fn delete(core: &Core, name: String) {
    // The semaphore is never closed.
    let Ok(_turn) = core.deletions.acquire().await else { return };
    let removed = core
        .daemon
        .patiently(|| async {
            match name.strip_prefix('.') {
                _ if !is_ours(&name) => Ok(()),
                Some(container) => delete_attempt(core, container).await,
                None => delete_job(core, &name).await,
            }
        })
        .await;
    core.facts.report(match removed {
        Ok(()) => Fact::Deleted { id: name },
        Err(error) => Fact::NotDeleted { id: name, error },
    });
}

/// Remove the objects of an abandoned attempt. One without a note gets it, so that no new attempt has
/// its container at this moment.
async fn delete_attempt(core: &Core, container: &str) -> Result<()> {
    let note = core.note(container);
    if !note.is_dir() {
        fs::create_dir(&note).or_else(present).map_err(|error| io_error(&note, &error))?;
        if core.job_of(container).is_some() {
            return fs::remove_dir(&note).or_else(absent).map_err(|error| io_error(&note, &error));
        }
    }
    remove::remove_attempt(core, &note).await
}

/// Remove everything of a job that the store does not know. A job that runs is left alone: its store was
/// lost, not the other way round.
async fn delete_job(core: &Core, id: &str) -> Result<()> {
    let runs = |process: Process| {
        matches!(process.status(), Status::Running | Status::Pausing | Status::Paused)
    };
    if look_up::process(core, id).await?.is_some_and(runs) {
        tracing::warn!(job = id, "a job runs that is in no store; it is left alone");
        return Ok(());
    }
    if job_dir::has_begun(&core.job_dir(id)) {
        return remove::remove(core, id).await.map(drop);
    }
    match attempt::give_up(core, id) {
        Ok(note) => remove::remove_attempt(core, &note).await,
        // Another process was faster.
        Err(_) if !core.job_dir(id).is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn present(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_name_of_a_job_is_looked_at() {
        let id = Ulid::generate().to_string();
        let id_of = id.to_lowercase();
        for ours in [id_of.clone(), format!(".{id_of}"), format!("{id_of}.7"), format!(".{id_of}_2")] {
            assert!(is_ours(&ours), "{ours}");
        }
        for other in ["", ".", "..", ".pulls", "lost+found", "a", &format!("..{id}"), &id[1..]] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn a_job_that_is_needed_is_left_alone() {
        let traces = || Traces {
            given_up: [".x".to_owned()].into(),
            jobs: ["a".to_owned(), "b".to_owned()].into(),
        };
        assert_eq!(traces().unneeded(&|id| Ok(id == "a")).unwrap(), [".x", "b"]);
        let error = || crate::model::Error::internal("the store");
        assert_eq!(traces().unneeded(&|_| Err(error())).unwrap_err(), error());
    }
}
