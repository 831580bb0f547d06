//! A submission to Slurm: the arguments of `sbatch`, its script, and its answer.

use std::path::Path;
use std::time::Instant;

use super::command::Programs;
use super::core::{Core, Snapshot};
use super::failure;
use super::nodes;
use super::squeue::{Comment, list};
use crate::model::{DEFAULT_QUEUE, Error, JobTemplate, Millis, PRIORITY_UNSET_AGE, Result, Text, now};
use crate::tracker::NewJob;

/// Time that Slurm gives a job beyond its wall clock limit, which its init keeps to the second.
const SPARE: Millis = 60_000;
const MINUTE: Millis = 60_000;
/// The range of Slurm's `--nice`.
const MAX_NICE: i64 = 2_147_483_645;
/// The most characters of a name that are passed on.
const MAX_NAME: usize = 200;

/// A submission.
pub(super) struct Asked<'a> {
    /// The job, or what the tasks have in common.
    pub(super) job: &'a NewJob,
    pub(super) comment: &'a Comment,
    /// The places of the tasks in an array, and the most of them that may run at one time.
    pub(super) places: Option<(&'a [i64], Option<i64>)>,
    /// The arguments of the program on the node after the directory of the jobs.
    pub(super) words: String,
}

/// Submit it. Returns its number. One that was carried out without an answer is found in what Slurm says then.
pub(super) async fn sbatch(
    core: &Core,
    asked: Asked<'_>,
    find: impl Fn(&Snapshot) -> Option<String>,
) -> Result<String> {
    let (args, script) = (arguments(core, &asked).await?, script(core, &asked.words)?);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let submitted = core.settings.programs.submit("sbatch", &args, &script).await;
    core.submitted();
    match submitted {
        Ok(number) => Ok(number.trim().split(';').next().unwrap_or_default().to_owned()),
        Err(error) if error.may_pass() => {
            // Otherwise the next try finds it.
            let said = core.asked_after(Instant::now()).await.map_err(|_| error.clone())?;
            find(&said).ok_or(error)
        }
        Err(error) => Err(failure::of_template(error, &asked.job.template)),
    }
}

/// The batch script: nothing but the program on the node, so that no line of it is an option of Slurm.
fn script(core: &Core, words: &str) -> Result<String> {
    let quoted = |path: &Path| {
        let text = path.to_str().ok_or_else(|| {
            Error::internal(format!("{}: Slurm takes no path that is not UTF-8", path.display()))
        })?;
        Ok::<_, Error>(format!("'{}'", text.replace('\'', r"'\''")))
    };
    let (node, jobs_dir) = (quoted(&core.settings.node)?, quoted(&core.settings.jobs_dir())?);
    Ok(format!("#!/bin/sh\nexec {node} {jobs_dir} {words}\n"))
}

/// The arguments of `sbatch`.
async fn arguments(core: &Core, asked: &Asked<'_>) -> Result<Vec<String>> {
    let Asked { job, comment, places, .. } = asked;
    let template = &job.template;
    let mut args = vec![
        "--parsable".to_owned(),
        format!("--comment={comment}"),
        format!("--job-name={}", name_of(template)),
        "--output=/dev/null".to_owned(),
        "--error=/dev/null".to_owned(),
        "--chdir=/".to_owned(),
        "--nodes=1".to_owned(),
        format!("--ntasks={}", template.slots()?.0),
        // Otherwise Slurm cancels a job that a node cannot start, as if somebody had asked for that. The program on the
        // node takes it back for what has begun and is not rerunnable.
        "--requeue".to_owned(),
    ];
    let mut option =
        |name: &str, value: Option<String>| args.extend(value.map(|value| format!("--{name}={value}")));
    option("array", places.as_ref().map(|(places, limit)| array(places, *limit)));
    let text = |text: &Option<Text>| text.as_ref().filter(|text| !text.is_empty()).map(Text::to_string);
    option("partition", text(&template.queue_name).filter(|name| name != DEFAULT_QUEUE));
    option("reservation", text(&template.reservation_id));
    option("account", text(&template.accounting_id));
    option(
        "mem",
        template
            .min_phys_memory
            .filter(|memory| *memory > 0)
            .map(|memory| format!("{}M", up(memory, 1024))),
    );
    option("gres", template.extensions()?.gres);
    let priority = template.priority.filter(|priority| !matches!(*priority, 0 | PRIORITY_UNSET_AGE));
    option(
        "nice",
        priority.map(|priority| priority.saturating_neg().clamp(-MAX_NICE, MAX_NICE).to_string()),
    );
    let wait = template.starts_at()?.map(|start| up(start - now(), 1000)).filter(|seconds| *seconds > 0);
    option("begin", wait.map(|seconds| format!("now+{seconds}")));
    option(
        "time",
        job.wall_clock.map(|limit| up(limit.max(0).saturating_add(SPARE), MINUTE).to_string()),
    );
    option("exclude", excluded(&core.settings.programs, template).await?);
    if job.held {
        args.push("--hold".to_owned());
    }
    Ok(args)
}

/// A number of these units, rounded up.
fn up(number: i64, unit: i64) -> i64 {
    number / unit + i64::from(number % unit > 0)
}

/// The name of a job for people, without what could end a line of their lists.
fn name_of(template: &JobTemplate) -> String {
    let set = |text: &Option<Text>| text.as_ref().filter(|text| !text.is_empty()).map(Text::to_string);
    let command = || Some(set(&template.remote_command)?.rsplit('/').next()?.to_owned());
    let name = set(&template.job_name).or_else(command).unwrap_or_else(|| "drmaa2".to_owned());
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_NAME).collect()
}

/// The places as Slurm writes them: `0-3,7%2`.
fn array(places: &[i64], max_parallel: Option<i64>) -> String {
    let limit = max_parallel.map_or_else(String::new, |limit| format!("%{limit}"));
    format!("{}{limit}", list(places))
}

/// The machines that a job must not get, if it asks for some by name, system or architecture: Slurm would take a list
/// of wanted ones for a list of which all are needed.
async fn excluded(programs: &Programs, template: &JobTemplate) -> Result<Option<String>> {
    if !template.asks_for_machine() {
        return Ok(None);
    }
    let candidates = template.candidate_machines.as_ref();
    let (mut refusal, mut fit, mut excluded) = (None, 0, Vec::new());
    for machine in nodes::machines(programs).await? {
        match machine.check(candidates, template.machine_os, template.machine_arch) {
            Ok(()) => fit += 1,
            Err(text) => {
                refusal = Some(text);
                excluded.push(machine.name);
            }
        }
    }
    match (fit, refusal) {
        (0, Some(text)) if candidates.is_none() => Err(Error::argument(text)),
        (0, _) => {
            let names: Vec<String> = candidates.into_iter().flatten().map(ToString::to_string).collect();
            Err(Error::argument(format!(
                "candidateMachines is {}: Slurm has no such node",
                names.join(", ")
            )))
        }
        _ => Ok(Some(excluded.join(",")).filter(|list| !list.is_empty())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn an_array_is_written_in_ranges() {
        assert_eq!(array(&[0, 1, 2, 3], Some(2)), "0-3%2");
        assert_eq!(array(&[0, 2, 3, 7], None), "0,2-3,7");
    }

    #[test]
    fn a_name_is_one_line() {
        let named = |name: &str, command: &str| {
            let template = JobTemplate {
                job_name: Some(name.into()),
                remote_command: Some(command.into()),
                ..JobTemplate::default()
            };
            name_of(&template)
        };
        assert_eq!(named("a/b\nc", "/bin/x"), "a/b c");
        assert_eq!(named("", "/bin/x"), "x");
        assert_eq!(name_of(&JobTemplate::default()), "drmaa2");
    }
}
