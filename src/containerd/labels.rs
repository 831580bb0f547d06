//! The labels of a container, which describe its job to programs that list containers.
//!
//! The first three are those of the Go tracker, so that each sees the other's jobs. They must hold no
//! secret: everyone with access to the daemon can read labels, and tools print them.

use std::collections::HashMap;
use std::path::Path;

use containerd_client::services::v1::Container;

use crate::model::{ImageRef, JobInfo, Text};
use crate::tracker::NewJob;

/// Marks a container as a DRMAA2 job.
pub(super) const MARK: &str = "drmaa2";
const SESSION: &str = "jobSessionName";
const NAME: &str = "jobName";
const OWNER: &str = "drmaa2.owner";
const MACHINE: &str = "drmaa2.submissionMachine";
const ARRAY: &str = "drmaa2.array";
const INDEX: &str = "drmaa2.index";
/// Marks a container that stays after the end of its job.
const KEEP: &str = "drmaa2.keep";
/// The directory that contains the directory of its job.
const JOBS_DIR: &str = "drmaa2.jobs_dir";
const ACCOUNTING_ID: &str = "drmaa2.accounting_id";
const IMAGE_DIGEST: &str = "drmaa2.image_digest";

/// containerd's limit of key and value together.
pub(super) const MAX_PAIR: usize = 4096;

/// The labels of a new job's container, including those from its template.
pub(super) fn encode(
    job: &NewJob,
    image: &ImageRef,
    further: &[(String, String)],
) -> HashMap<String, String> {
    let text =
        |text: &Option<Text>| text.as_ref().filter(|text| !text.is_empty()).map(ToString::to_string);
    [
        (MARK, Some("true".to_owned())),
        (SESSION, Some(job.session.clone())),
        (NAME, text(&job.template.job_name)),
        (OWNER, Some(job.submitter.user.clone())),
        (MACHINE, Some(job.submitter.machine.clone())),
        (ARRAY, job.task.as_ref().map(|task| task.array.clone())),
        (INDEX, job.task.as_ref().map(|task| task.index.to_string())),
        (ACCOUNTING_ID, text(&job.template.accounting_id)),
        (IMAGE_DIGEST, image.digest.clone()),
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

/// Label a container with the directory of the jobs, which shows to which users of the namespace it
/// belongs.
pub(super) fn belong(labels: &mut HashMap<String, String>, jobs_dir: &Path) {
    if let Some(dir) = value_of(jobs_dir) {
        labels.insert(JOBS_DIR.to_owned(), dir.to_owned());
    }
}

/// A filter for the containers of jobs with their directories in this one.
pub(super) fn of_jobs_in(jobs_dir: &Path) -> String {
    // Without a label, it finds nothing.
    format!("labels.{JOBS_DIR:?}=={:?}", value_of(jobs_dir).unwrap_or("none"))
}

fn value_of(jobs_dir: &Path) -> Option<&str> {
    jobs_dir.to_str().filter(|dir| JOBS_DIR.len() + dir.len() <= MAX_PAIR)
}

/// Returns whether a container is to be kept.
pub(super) fn is_kept(labels: &HashMap<String, String>) -> bool {
    labels.contains_key(KEEP)
}

/// Put the information in a container's labels into an account.
pub(super) fn decode(container: &Container, info: &mut JobInfo) {
    let labels = &container.labels;
    info.container = Some(container.id.clone());
    // A container without an image has no name of one.
    info.image = Some(container.image.clone())
        .filter(|name| !name.is_empty())
        .map(|name| ImageRef { name, digest: labels.get(IMAGE_DIGEST).cloned() });
    info.accounting_id = labels.get(ACCOUNTING_ID).cloned();
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
    use crate::model::JobState;
    use crate::tracker::Task;

    #[test]
    fn a_task_bears_its_array_and_its_index() {
        let task = Some(Task { array: "01a".into(), index: 3, range: None, max_parallel: None });
        let mut job = NewJob { task, ..NewJob::for_tests("01a.3") };
        let image = ImageRef { name: "i".into(), digest: Some("sha256:d".into()) };
        let further = [("site".to_owned(), "a".to_owned())];
        let labels = encode(&job, &image, &further);
        assert_eq!(labels["site"], "a");
        assert_eq!((labels[ARRAY].as_str(), labels[INDEX].as_str()), ("01a", "3"));
        job.task = None;
        assert!(!encode(&job, &image, &[]).keys().any(|key| key == ARRAY || key == INDEX));
    }

    #[test]
    fn a_container_tells_its_image_and_the_accounting_id() {
        let labels =
            [(ACCOUNTING_ID.to_owned(), "a".to_owned()), (IMAGE_DIGEST.to_owned(), "d".to_owned())];
        let container = Container {
            id: "c".into(),
            image: "i".into(),
            labels: labels.into(),
            ..Container::default()
        };
        let mut info = JobInfo::new("c", JobState::Running);
        decode(&container, &mut info);
        assert_eq!((info.container.as_deref(), info.accounting_id.as_deref()), (Some("c"), Some("a")));
        assert_eq!(info.image, Some(ImageRef { name: "i".into(), digest: Some("d".into()) }));
        decode(&Container::default(), &mut info);
        assert_eq!(info.image, None);
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
