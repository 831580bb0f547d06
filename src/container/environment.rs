//! The environment of a job's command: the variables of the image, the usual ones, those of the template
//! and the library's.

use std::collections::HashMap;

use oci_spec::image::Config;

use crate::tracker::{NewJob, TaskRange};

/// The variable with the index of an array task for programs of older DRMAA.
const INDEX_VARIABLE: &str = "TASK_ID";

/// The image's variables, then the usual ones, the template's, and the library's; a later one replaces
/// an earlier one of the same name in its place.
pub fn of(job: &NewJob, image: &Config) -> Vec<Vec<u8>> {
    let image = image.env().iter().flatten().map(|entry| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        (name.as_bytes(), value.as_bytes())
    });
    let template = job.template.job_environment.iter().flatten();
    let template = template.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let [usual, ours] = [usual_variables(job), our_variables(job)];
    let [usual, ours] = [&usual, &ours]
        .map(|variables| variables.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));

    let mut places = HashMap::new();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for (name, value) in image.chain(usual).chain(template).chain(ours) {
        let entry = [name, b"=", value].concat();
        match places.get(name) {
            Some(place) => entries[*place] = entry,
            None => {
                places.insert(name, entries.len());
                entries.push(entry);
            }
        }
    }
    entries
}

/// Variables of Grid Engine and OpenMP that programs use; the job may override them.
fn usual_variables(job: &NewJob) -> Vec<(&'static str, String)> {
    let mut usual = vec![("NSLOTS", slots(job).to_string())];
    // Its processors are limited then, which only `nproc` and OpenMP do not detect by themselves.
    usual.extend(job.slots.map(|slots| ("OMP_NUM_THREADS", slots.to_string())));
    if let Some(task) = &job.task {
        usual.push(("SGE_TASK_ID", task.index.to_string()));
        usual.extend(task.range.iter().flat_map(|range| {
            let TaskRange { first, last, step } = range;
            [("SGE_TASK_FIRST", first), ("SGE_TASK_LAST", last), ("SGE_TASK_STEPSIZE", step)]
                .map(|(name, number)| (name, number.to_string()))
        }));
    }
    usual
}

/// The library's variables. An array task finds its index in the variable that `DRMAA_INDEX_VAR` names.
fn our_variables(job: &NewJob) -> Vec<(&'static str, String)> {
    let mut ours = vec![
        ("DRMAA2_JOB_ID", job.id.clone()),
        ("DRMAA2_SESSION", job.session.clone()),
        ("DRMAA2_JOB_SLOTS", slots(job).to_string()),
    ];
    if let Some(task) = &job.task {
        let index = task.index.to_string();
        ours.extend([
            ("DRMAA2_ARRAY_ID", task.array.clone()),
            ("DRMAA2_INDEX", index.clone()),
            (INDEX_VARIABLE, index),
            ("DRMAA_INDEX_VAR", INDEX_VARIABLE.to_owned()),
        ]);
        ours.extend(task.range.iter().flat_map(|range| {
            [
                ("DRMAA2_ARRAY_FIRST", range.first),
                ("DRMAA2_ARRAY_LAST", range.last),
                ("DRMAA2_ARRAY_STEP", range.step),
                ("DRMAA2_ARRAY_COUNT", range.count()),
            ]
            .map(|(name, number)| (name, number.to_string()))
        }));
    }
    ours
}

/// The slots of a job; if they are not counted, its minimum.
pub fn slots(job: &NewJob) -> i64 {
    job.slots.or(job.template.min_slots).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use oci_spec::image::ConfigBuilder;

    use super::*;
    use crate::model::JobTemplate;
    use crate::tracker::Task;

    fn environment(template: JobTemplate, slots: Option<i64>, task: Option<Task>) -> Vec<String> {
        let job = NewJob { template, slots, task, ..NewJob::for_tests("01j") };
        let image = ["PATH=/bin", "A=image", "NSLOTS=image"].map(str::to_owned).to_vec();
        let image = ConfigBuilder::default().env(image).build().unwrap();
        of(&job, &image).into_iter().map(|entry| String::from_utf8(entry).unwrap()).collect()
    }

    #[test]
    fn a_job_is_told_its_slots_and_may_know_better() {
        let ours = ["DRMAA2_JOB_ID=01j", "DRMAA2_SESSION=s"];
        let plain = environment(JobTemplate::default(), None, None);
        let image = ["PATH=/bin", "A=image"];
        assert_eq!(plain, [&image[..], &["NSLOTS=1"], &ours, &["DRMAA2_JOB_SLOTS=1"]].concat());
        let least = JobTemplate { min_slots: Some(2), ..JobTemplate::default() };
        assert!(environment(least.clone(), None, None).contains(&"NSLOTS=2".to_owned()));
        let template = JobTemplate {
            job_environment: Some(
                [("OMP_NUM_THREADS", "1"), ("NSLOTS", "x"), ("DRMAA2_JOB_SLOTS", "9")]
                    .map(|(name, value)| (name.into(), value.into()))
                    .to_vec(),
            ),
            ..least
        };
        let told = ["NSLOTS=x", "OMP_NUM_THREADS=1", "DRMAA2_JOB_SLOTS=3"];
        assert_eq!(environment(template, Some(3), None), [&image[..], &told, &ours].concat());
        let counted = environment(JobTemplate::default(), Some(3), None);
        assert_eq!(counted[2..4], ["NSLOTS=3", "OMP_NUM_THREADS=3"]);
    }

    #[test]
    fn a_task_is_told_its_place_and_its_array() {
        let template = JobTemplate {
            job_environment: Some(vec![("TASK_ID".into(), "template".into())]),
            ..JobTemplate::default()
        };
        let task = |range| Some(Task { array: "01a".into(), index: 7, range, max_parallel: None });
        let range = TaskRange { first: 1, last: 10, step: 3 };
        let told = environment(template.clone(), None, task(Some(range)));
        let expected = [
            "SGE_TASK_ID=7",
            "SGE_TASK_FIRST=1",
            "SGE_TASK_LAST=10",
            "SGE_TASK_STEPSIZE=3",
            "TASK_ID=7",
            "DRMAA2_JOB_ID=01j",
            "DRMAA2_SESSION=s",
            "DRMAA2_JOB_SLOTS=1",
            "DRMAA2_ARRAY_ID=01a",
            "DRMAA2_INDEX=7",
            "DRMAA_INDEX_VAR=TASK_ID",
            "DRMAA2_ARRAY_FIRST=1",
            "DRMAA2_ARRAY_LAST=10",
            "DRMAA2_ARRAY_STEP=3",
            "DRMAA2_ARRAY_COUNT=4",
        ];
        assert_eq!(told[3..], expected);
        assert_eq!(environment(template, None, task(None)).len(), told.len() - 7);
    }
}
