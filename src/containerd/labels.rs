//! What a container says of its job to whoever lists containers.
//!
//! The first three are those of the Go tracker, so that each sees the other's jobs. Nothing secret
//! belongs here: everybody with access to the daemon reads labels, and tools print them.

use std::collections::HashMap;

use crate::model::JobInfo;
use crate::tracker::NewJob;

/// Marks a container as a DRMAA2 job.
pub(super) const MARK: &str = "drmaa2";
const SESSION: &str = "jobSessionName";
const NAME: &str = "jobName";
const OWNER: &str = "drmaa2.owner";
const MACHINE: &str = "drmaa2.submissionMachine";
const ARRAY: &str = "drmaa2.array";
const INDEX: &str = "drmaa2.index";
/// Marks a container that stays when its job has ended.
const KEEP: &str = "drmaa2.keep";

/// containerd takes no longer key and value together.
const MAX_PAIR: usize = 4096;

/// The labels of a new job's container, with those that it asks for.
pub(super) fn encode(job: &NewJob, further: &[(String, String)]) -> HashMap<String, String> {
    let name = job.template.job_name.as_ref().filter(|name| !name.is_empty());
    [
        (MARK, Some("true".to_owned())),
        (SESSION, Some(job.session.clone())),
        (NAME, name.map(ToString::to_string)),
        (OWNER, Some(job.submitter.user.clone())),
        (MACHINE, Some(job.submitter.machine.clone())),
        (ARRAY, job.task.as_ref().map(|task| task.array.clone())),
        (INDEX, job.task.as_ref().map(|task| task.index.to_string())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), shortened(key, value?))))
    .chain(further.iter().cloned())
    .collect()
}

/// Mark a container to be kept.
pub(super) fn keep(labels: &mut HashMap<String, String>) {
    labels.insert(KEEP.to_owned(), "true".to_owned());
}

/// Is a container to be kept?
pub(super) fn is_kept(labels: &HashMap<String, String>) -> bool {
    labels.contains_key(KEEP)
}

/// Put what the labels tell into an account.
pub(super) fn decode(labels: &HashMap<String, String>, info: &mut JobInfo) {
    info.session = labels.get(SESSION).cloned();
    info.name = labels.get(NAME).cloned();
    info.owner = labels.get(OWNER).cloned();
    info.submission_machine = labels.get(MACHINE).cloned();
}

/// A name may be shortened by the system that runs the job.
fn shortened(key: &str, mut value: String) -> String {
    let room = MAX_PAIR - key.len();
    if value.len() > room {
        let cut = (0..=room).rev().find(|at| value.is_char_boundary(*at));
        value.truncate(cut.unwrap_or(0));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobTemplate;
    use crate::tracker::{Stdio, Submitter, Task};

    #[test]
    fn a_task_bears_its_array_and_its_index() {
        let mut job = NewJob {
            id: "01a.3".into(),
            session: "s".into(),
            template: JobTemplate::default(),
            submitter: Submitter {
                user: "u".into(),
                uid: 0,
                gid: 0,
                groups: vec![],
                umask: 0,
                machine: "m".into(),
            },
            stdio: Stdio::default(),
            task: Some(Task { array: "01a".into(), index: 3 }),
            slots: None,
            wall_clock: None,
            ends: None,
        };
        let further = [("site".to_owned(), "a".to_owned())];
        let labels = encode(&job, &further);
        assert_eq!(labels["site"], "a");
        assert_eq!((labels[ARRAY].as_str(), labels[INDEX].as_str()), ("01a", "3"));
        job.task = None;
        assert!(!encode(&job, &[]).keys().any(|key| key == ARRAY || key == INDEX));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let long = "ü".repeat(MAX_PAIR);
        let short = shortened(NAME, long);
        assert!(short.len() + NAME.len() <= MAX_PAIR);
        assert!(short.chars().all(|char| char == 'ü'));
        assert_eq!(shortened(NAME, "n".into()), "n");
    }
}
