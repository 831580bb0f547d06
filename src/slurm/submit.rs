//! The submission of jobs to Slurm: a job, or all tasks of an array, with one `sbatch`.

use std::path::Path;
use std::time::Instant;

use super::command::Programs;
use super::container::{Container, container};
use super::control;
use super::core::Core;
use super::job_dir::{self, note_submitted};
use super::nodes;
use super::order;
use super::settings::JobSettings;
use super::squeue::{Comment, Entry, list};
use crate::images::{Images, Unpacked};
use crate::model::{DEFAULT_QUEUE, Error, JobTemplate, Millis, PRIORITY_UNSET_AGE, Result, Text, now};
use crate::runtime::blocking;
use crate::tracker::NewJob;

/// Time that Slurm gives a job beyond its wall clock limit, which its init keeps to the second.
const SPARE: Millis = 60_000;
const MINUTE: Millis = 60_000;
/// The program that runs containers, unless another one is configured.
const RUNTIME: &str = "runc";
/// The range of Slurm's `--nice`.
const MAX_NICE: i64 = 2_147_483_645;
/// The most characters of a name that are passed on.
const MAX_NAME: usize = 200;

/// Submit a job, or tasks of an array. Those that Slurm has already, by an earlier attempt, are not submitted again.
pub(super) async fn submit(core: &Core, jobs: Vec<NewJob>) -> Result<()> {
    let user = nix::unistd::geteuid().as_raw();
    if let Some(job) = jobs.iter().find(|job| job.submitter.uid != user) {
        let text = format!("a job for another user, {}, on Slurm", job.submitter.user);
        return Err(Error::unsupported(&text));
    }
    let settings = core.settings.clone();
    let mut jobs = blocking(move || {
        job_dir::make_shared(&settings)?;
        Ok(jobs)
    })
    .await?;
    jobs = not_submitted(core, jobs).await?;
    let Some(first) = jobs.first() else { return Ok(()) };
    // Before anything is submitted: one that is started later did not accept it.
    let controller = core.recent_controller().await?;
    let chunk = match &first.task {
        None => 1,
        Some(_) => controller.max_array.max(2),
    };
    let shape = Shape::of(first)?;
    let mut accepted = Vec::new();
    while !jobs.is_empty() {
        let rest = jobs.split_off(shape.chunk(&jobs, chunk));
        if !rest.is_empty() && first_limit(&jobs).is_some() {
            let text =
                format!("maxParallel of an array of more than {chunk} tasks, Slurm's MaxArraySize");
            return Err(Error::unsupported(&text));
        }
        let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
        if let Err(error) = submit_chunk(core, jobs, &shape, &controller.start).await {
            if !error.may_pass() {
                withdraw(core, &accepted).await;
            }
            return Err(error);
        }
        accepted.extend(ids);
        jobs = rest;
    }
    Ok(())
}

/// Take back jobs of a submission of which Slurm has refused another part.
async fn withdraw(core: &Core, ids: &[String]) {
    for id in ids {
        let withdrawn = async {
            control::cancel(core, id).await?;
            let dir = core.job_dir(id)?;
            blocking(move || job_dir::remove(&dir)).await
        };
        if let Err(error) = withdrawn.await {
            tracing::warn!(%error, id, "cannot take back a job of which Slurm has refused the rest");
        }
    }
}

/// Those of the jobs that Slurm was not given yet. For each of the others it is noted and reported.
async fn not_submitted(core: &Core, jobs: Vec<NewJob>) -> Result<Vec<NewJob>> {
    let (mut new, mut old) = (Vec::new(), Vec::new());
    for job in jobs {
        let is_old = core.files(&job.id).await?.is_some();
        if is_old { old.push(job) } else { new.push(job) }
    }
    if old.is_empty() {
        return Ok(new);
    }
    // An attempt that was not answered may have been carried out.
    let said = core.asked_after(Instant::now()).await?;
    for job in old {
        let has_run = core.files(&job.id).await?.is_some_and(|files| files.run.is_some());
        match said.jobs.get(&job.id).map(Entry::number) {
            Some(number) => note(core, &job, number, &core.recent_controller().await?.start).await?,
            None if !has_run => {
                new.push(job);
                continue;
            }
            None => {}
        }
        let info = core.job_info(&job.id).await?;
        core.tell_again(&info).await;
    }
    Ok(new)
}

/// Note that Slurm has a job.
async fn note(core: &Core, job: &NewJob, number: String, controller: &str) -> Result<()> {
    let (dir, session, controller) =
        (core.job_dir(&job.id)?, job.session.clone(), controller.to_owned());
    blocking(move || note_submitted(&dir, &number, &controller, &session)).await
}

async fn submit_chunk(core: &Core, jobs: Vec<NewJob>, shape: &Shape, controller: &str) -> Result<()> {
    let Some(first) = jobs.first() else { return Ok(()) };
    let base = shape.index(first);
    let comment = Comment { id: shape.id.clone(), tasks: shape.step.map(|step| (base, step)) };
    let places: Vec<i64> = jobs.iter().map(|job| shape.place(job, base)).collect();
    let args = arguments(core, first, &comment, &places).await?;
    let jobs_dir = core.settings.jobs_dir();
    let script = script(core, &comment)?;
    let image = image(core, first).await?;
    let init = core.settings.node.with_file_name("drmaa2-init");
    let jobs = blocking(move || {
        for job in &jobs {
            make(job, &jobs_dir.join(&job.id), image.as_ref(), &init)?;
        }
        job_dir::sync(&jobs_dir)?;
        Ok(jobs)
    })
    .await?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let submitted = core.settings.programs.submit("sbatch", &args, &script).await;
    core.requested();
    let number = match submitted {
        Ok(number) => number.trim().split(';').next().unwrap_or_default().to_owned(),
        Err(error) if error.may_pass() => {
            // It may have been carried out without an answer: then it is found by its comment, now or by the next try.
            let said = core.asked_after(Instant::now()).await.map_err(|_| error.clone())?;
            let known = jobs.iter().find_map(|job| said.jobs.get(&job.id));
            known.map(|entry| entry.line.number.clone()).ok_or(error)?
        }
        Err(error) => {
            remove_refused(core, &jobs).await;
            return Err(error);
        }
    };
    for (job, place) in jobs.iter().zip(places) {
        let number = if shape.step.is_some() { format!("{number}_{place}") } else { number.clone() };
        note(core, job, number, controller).await?;
        core.tell_submitted(&job.id, job.held).await;
    }
    core.requested();
    Ok(())
}

/// The image of a job, unpacked; `None` if it runs on the machine itself.
async fn image(core: &Core, job: &NewJob) -> Result<Option<Unpacked>> {
    let settings = JobSettings::of(job)?;
    let Some(name) = settings.image()? else { return Ok(None) };
    let policy = job.template.extensions()?.pull.unwrap_or(settings.pull);
    let images = Images::new(core.settings.images_dir());
    images.get(name, policy, &settings.registry).await.map(Some)
}

/// Make the directory of a job.
fn make(job: &NewJob, dir: &Path, image: Option<&Unpacked>, init: &Path) -> Result<()> {
    let Some(image) = image else { return job_dir::make(dir, job, &order::on_host(job)?, None) };
    let Container { order, spec } = container(job, image, dir, init)?;
    let runtime = JobSettings::of(job)?.runtime.unwrap_or_else(|| RUNTIME.to_owned());
    job_dir::make(dir, job, &order, Some((&spec, &image.rootfs, &runtime)))
}

/// Nothing is left of jobs that Slurm refuses.
async fn remove_refused(core: &Core, jobs: &[NewJob]) {
    for job in jobs {
        if let Ok(dir) = core.job_dir(&job.id)
            && let Err(error) = blocking(move || job_dir::remove(&dir)).await
        {
            tracing::warn!(%error, "cannot remove the directory of a job that Slurm has refused");
        }
    }
}

/// The properties that the jobs of one submission have in common.
struct Shape {
    /// Id of the job, or of the array.
    id: String,
    /// The difference between two indices of an array.
    step: Option<i64>,
}

impl Shape {
    fn of(job: &NewJob) -> Result<Self> {
        Ok(match &job.task {
            None => Self { id: job.id.clone(), step: None },
            Some(task) => {
                let step = task.range.map_or(1, |range| range.step.max(1));
                Self { id: task.array.clone(), step: Some(step) }
            }
        })
    }

    fn index(&self, job: &NewJob) -> i64 {
        job.task.as_ref().map_or(0, |task| task.index)
    }

    /// The place in Slurm's array that begins with this index.
    fn place(&self, job: &NewJob, base: i64) -> i64 {
        (self.index(job) - base) / self.step.unwrap_or(1)
    }

    /// The number of jobs at the front that fit into one array of Slurm.
    fn chunk(&self, jobs: &[NewJob], size: i64) -> usize {
        let base = jobs.first().map_or(0, |job| self.index(job));
        jobs.iter().take_while(|job| self.place(job, base) < size).count().max(1)
    }
}

fn first_limit(jobs: &[NewJob]) -> Option<i64> {
    jobs.first()?.task.as_ref()?.max_parallel
}

/// The batch script: nothing but the program on the node, so that no line of it is an option of Slurm.
fn script(core: &Core, comment: &Comment) -> Result<String> {
    let quoted = |path: &Path| {
        let text = path.to_str().ok_or_else(|| {
            Error::internal(format!("{}: Slurm takes no path that is not UTF-8", path.display()))
        })?;
        Ok::<_, Error>(format!("'{}'", text.replace('\'', r"'\''")))
    };
    let (node, jobs_dir) = (quoted(&core.settings.node)?, quoted(&core.settings.jobs_dir())?);
    let tasks = comment.tasks.map_or_else(String::new, |(first, step)| format!(" {first} {step}"));
    Ok(format!("#!/bin/sh\nexec {node} {jobs_dir} {}{tasks}\n", comment.id))
}

/// The arguments of `sbatch`.
async fn arguments(core: &Core, job: &NewJob, comment: &Comment, places: &[i64]) -> Result<Vec<String>> {
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
        // Slurm's own default differs from site to site.
        if template.rerunnable { "--requeue" } else { "--no-requeue" }.to_owned(),
    ];
    let mut option =
        |name: &str, value: Option<String>| args.extend(value.map(|value| format!("--{name}={value}")));
    if comment.tasks.is_some() {
        option("array", Some(array(places, first_limit(std::slice::from_ref(job)))));
    }
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
    use crate::tracker::{Task, TaskRange};

    fn task(index: i64, step: i64) -> NewJob {
        let range = Some(TaskRange { first: 1, last: 100, step });
        let task = Task { array: "01a".into(), index, range, max_parallel: None };
        NewJob { task: Some(task), ..NewJob::for_tests(&format!("01a.{index}")) }
    }

    #[test]
    fn an_array_is_written_in_ranges() {
        assert_eq!(array(&[0, 1, 2, 3], Some(2)), "0-3%2");
        assert_eq!(array(&[0, 2, 3, 7], None), "0,2-3,7");
    }

    #[test]
    fn a_task_is_found_by_its_place() {
        let jobs = [task(5, 3), task(8, 3), task(14, 3)];
        let shape = Shape::of(&jobs[0]).unwrap();
        let places: Vec<i64> = jobs.iter().map(|job| shape.place(job, 5)).collect();
        assert_eq!(places, [0, 1, 3]);
        assert_eq!(shape.chunk(&jobs, 3), 2);
        assert_eq!(shape.chunk(&jobs, 100), 3);
        let comment = Comment { id: shape.id.clone(), tasks: Some((5, 3)) };
        for (job, place) in jobs.iter().zip(places) {
            assert_eq!(comment.job(Some(place)).as_ref(), Some(&job.id));
        }
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
