//! Submission of a job or a job array: check, make the files, store. The start is left to a dispatcher,
//! of this process or of another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::agent;
use super::behalf::Behalf;
use super::engine::Engine;
use super::files::{TaskFiles, expand_paths, make_files, make_task_files};
use super::guests;
use super::hand_over::New;
use super::refs::{JobArray, JobRef};
use super::view::View;
use super::world::{World, processors};
use super::{paths, policy, submitter};
use crate::config::{Config, Limits};
use crate::drms;
use crate::model::{
    self, DEFAULT_QUEUE, Error, ErrorCode, JobTemplate, PRIORITY_UNSET_AGE, Result, Text, now,
};
use crate::rights;
use crate::scheduler::Pool;
use crate::store::{Mailer, Most, NewTasks, Session, Submission, Terms, task_id};
use crate::tracker::{Settings, Stdio, Submitter, TaskRange};

/// The attributes that the queue supports, for every tracker alike.
const ATTRIBUTES: [&str; 14] = [
    "submitAsHold",
    "priority",
    "minSlots",
    "maxSlots",
    "queueName",
    "reservationId",
    "minPhysMemory",
    "startTime",
    "deadlineTime",
    "rerunnable",
    "candidateMachines",
    "machineOS",
    "machineArch",
    "accountingId",
];
/// The attributes that it supports if there is a program that sends mails.
const MAIL_ATTRIBUTES: [&str; 3] = ["email", "emailOnStarted", "emailOnTerminated"];

/// The indices of a job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// The first index.
    pub begin: i64,
    /// The limit of the indices.
    pub end: i64,
    /// The difference between two indices.
    pub step: i64,
    /// The most tasks that run at one time; no limit if it is not positive.
    pub max_parallel: i64,
}

impl Bulk {
    fn range(self) -> Result<TaskRange> {
        let Self { begin, end, step, .. } = self;
        let refuse = |cause: String| {
            Error::argument(format!("job array from {begin} to {end} in steps of {step}: {cause}"))
        };
        if begin < 1 || end < begin || step < 1 {
            return Err(refuse("it needs begin >= 1, end >= begin and step >= 1".to_owned()));
        }
        let count = (end - begin) / step + 1;
        if count > TaskRange::MOST {
            return Err(refuse(format!("{count} tasks are too many, {} are allowed", TaskRange::MOST)));
        }
        Ok(TaskRange { first: begin, last: begin + (count - 1) * step, step })
    }
}

/// Submit a job with this id.
pub(super) fn run_job(
    world: &Arc<World>,
    session: &Session,
    behalf: &Behalf,
    id: String,
    template: JobTemplate,
    view: &View,
) -> Result<JobRef> {
    let config = world.config.reload()?;
    let template = with_defaults(&config, behalf, template)?;
    let checked = check(world, &config, session, behalf, &template, model::Submission::Single)?;
    let stdio = expand_paths(&template, &checked.submitter)?;
    let files = make_files(&stdio, &checked.submitter, view)?;
    let failure = files.as_ref().err().map(|error| error.message.clone());
    // A file that cannot be opened fails the job: it could not have opened it either.
    let files = files.unwrap_or(stdio);
    checked.store(world, session, &template, &id, &files, None, failure.as_deref())?;
    Ok(JobRef { id, session: Some(session.name.clone()), name: job_name(&template) })
}

fn job_name(template: &JobTemplate) -> Option<String> {
    template.job_name.as_ref().filter(|name| !name.is_empty()).map(Text::to_string)
}

/// The jobs of an array that is submitted with certain arguments. No look-up is necessary, which might fail when nothing
/// can be undone any more.
pub struct Tasks {
    array: JobArray,
    name: Option<String>,
    range: TaskRange,
}

impl Tasks {
    /// Those with these arguments.
    pub fn new(array: &JobArray, template: &JobTemplate, bulk: Bulk) -> Result<Self> {
        Ok(Self { array: array.clone(), name: job_name(template), range: bulk.range()? })
    }

    /// Their number.
    pub fn count(&self) -> usize {
        usize::try_from(self.range.count()).unwrap_or(0)
    }

    /// The job at this place, counted from 0.
    pub fn job(&self, place: usize) -> JobRef {
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let index = place.saturating_mul(self.range.step).saturating_add(self.range.first);
        let (id, session) = (task_id(&self.array.id, index), self.array.session.clone());
        JobRef { id, session, name: self.name.clone() }
    }
}

/// Submit a job array with this id: all of it or nothing.
pub(super) fn run_bulk_jobs(
    world: &Arc<World>,
    session: &Session,
    behalf: &Behalf,
    id: &str,
    template: &JobTemplate,
    bulk: Bulk,
    view: &View,
) -> Result<()> {
    let range = bulk.range()?;
    let config = world.config.reload()?;
    let template = &with_defaults(&config, behalf, template.clone())?;
    let mut checked = check(world, &config, session, behalf, template, model::Submission::Array)?;
    checked.terms.max_parallel = Some(bulk.max_parallel).filter(|limit| *limit > 0);
    let stdio = expand_paths(template, &checked.submitter)?;
    let files = make_task_files(&stdio, range, &checked.submitter, view)?;
    let (stdio, tasks) = match &files {
        TaskFiles::OfAll(made) => (made, NewTasks::Alike(range)),
        TaskFiles::OfEach(tasks) => (&stdio, NewTasks::Each(tasks)),
    };
    checked.store(world, session, template, id, stdio, Some(tasks), None)
}

/// The template with the present attributes of its category, and the limits of the site: later changes of the
/// configuration do not affect a job.
fn with_defaults(config: &Config, behalf: &Behalf, template: JobTemplate) -> Result<JobTemplate> {
    let mut template = JobTemplate { defaults: config.category_attributes(&template), ..template };
    if let Some(guests) = guests::of(config, behalf) {
        guests::fill(guests, config, &mut template)?;
    }
    Ok(template)
}

/// A submission that can be stored.
struct Checked {
    engine: Arc<Engine>,
    target: String,
    submitter: Submitter,
    settings: Settings,
    mailer: Option<Mailer>,
    terms: Terms,
    most: Most,
}

fn check(
    world: &World,
    config: &Config,
    session: &Session,
    behalf: &Behalf,
    template: &JobTemplate,
    submission: model::Submission,
) -> Result<Checked> {
    let contact = session.contact.as_deref();
    let (target, limits) = config.contact(contact)?;
    let runtime = target.clone();
    let target = target.name()?;
    let engine = world.engine(&target)?;
    let mail: &[&str] = if config.sendmail.is_some() { &MAIL_ATTRIBUTES } else { &[] };
    let supported = [engine.tracker().attributes(), &ATTRIBUTES, mail].concat();
    template.check(&supported, submission)?;
    let submitter = behalf.submitter()?;
    policy::check(behalf, &submitter, template, &config.guests)?;
    let guests = guests::of(config, behalf);
    if let Some(guests) = guests {
        guests::check(guests, config, &submitter, template)?;
    }
    let most = guests.map_or_else(Most::default, guests::most);
    // Credentials and the mail program are those of the process, whoever the job is for; a guest has his own, but for an
    // image that the configuration names.
    let process = match behalf {
        Behalf::Himself | Behalf::Guest(_) => submitter.clone(),
        Behalf::Of(_) => submitter::submitter()?,
    };
    let program = config.sendmail.as_deref().map(Text::from);
    let mailer = program.map(|program| Mailer { program, uid: process.uid });
    let (holder, home) = match behalf {
        Behalf::Guest(_) if config.names_image(template) => (submitter::submitter()?, None),
        Behalf::Guest(_) => (process, Some(paths::home(submitter.uid)?)),
        Behalf::Himself | Behalf::Of(_) => (process, None),
    };
    let home = home.as_ref().map(Text::as_path);
    let settings = drms::job_settings(config, &runtime, template, holder, home)?;
    let check = || engine.tracker().check_template(template, &settings);
    match behalf {
        // They are looked at only where that may save a thread.
        Behalf::Guest(_) | Behalf::Of(_) if !template.extensions()?.name_files() => check()?,
        _ => rights::of(&submitter, check)?,
    }
    let terms = match engine.queues_itself() {
        true => terms_there(template)?,
        false => terms(world, config, template, contact, limits, (behalf, &submitter.user))?,
    };
    Ok(Checked { engine, target, submitter, settings, mailer, terms, most })
}

impl Checked {
    #[allow(clippy::too_many_arguments)]
    fn store(
        self,
        world: &World,
        session: &Session,
        template: &JobTemplate,
        id: &str,
        stdio: &Stdio,
        tasks: Option<NewTasks<'_>>,
        failure: Option<&str>,
    ) -> Result<()> {
        // Before anything is stored: if no agent can be started, nothing is submitted.
        agent::ensure(world)?;
        let there = match self.engine.queues_itself() {
            true => New::of(id, tasks, failure),
            false => New::Jobs(Vec::new()),
        };
        // The dispatcher leaves them to this thread.
        self.engine.takes_up_new(&there);
        let submitted = world.store.submit(&Submission {
            id,
            session: session.id,
            target: &self.target,
            template,
            submitter: &self.submitter,
            stdio,
            settings: &self.settings,
            mailer: self.mailer.as_ref(),
            terms: &self.terms,
            tasks,
            failure,
            most: self.most,
            hand_over: self.engine.queues_itself().then_some(&world.mine),
        });
        submitted.inspect_err(|_| self.engine.new_are_done(&there))?;
        world.accepted(session.id, id, &self.engine);
        self.engine.subscribe();
        if let Err(error) = self.engine.hand_over_now(&there) {
            let withdrawn = world.store.withdraw(id);
            self.engine.new_are_done(&there);
            if withdrawn? {
                return Err(error);
            }
        }
        // The agent may have left just before. From now on the job does not depend on this process.
        match agent::ensure(world) {
            Err(error) if world.store.withdraw(id)? => Err(error),
            _ => Ok(()),
        }
    }
}

fn queue_name(template: &JobTemplate) -> String {
    let name = template.queue_name.as_ref().filter(|name| !name.is_empty()).map(Text::to_string);
    name.unwrap_or_else(|| DEFAULT_QUEUE.to_owned())
}

/// The view of a job that the scheduler has no part in: its runtime judges what it asks for.
fn terms_there(template: &JobTemplate) -> Result<Terms> {
    Ok(Terms {
        pool: Pool {
            slots: None,
            memory: None,
            queue: queue_name(template),
            queue_slots: None,
            user_slots: None,
        },
        rank: 0,
        priority: 0,
        slots: template.slots()?,
        memory: 0,
        max_parallel: None,
        start: template.starts_at()?,
        wall_clock: template.wall_clock()?,
        reservation: None,
        deadline: template.ends_at()?,
    })
}

/// The scheduler's view of a job; INVALID_ARGUMENT if it could never run.
fn terms(
    world: &World,
    config: &Config,
    template: &JobTemplate,
    contact: Option<&str>,
    limits: Limits,
    user: (&Behalf, &str),
) -> Result<Terms> {
    let name = queue_name(template);
    let queue = config.queues.get(&name);
    let queue =
        queue.ok_or_else(|| Error::argument(format!("queueName \"{name}\": there is no such queue")))?;
    let (least, most) = template.slots()?;
    // If slots are not counted, a job gets no more than there are processors unless it asks for them.
    let most = match limits.slots.or(queue.slots).or(limits.user_slots) {
        Some(_) => most,
        None if most <= least => most,
        None => least.max(most.min(processors())),
    };
    let slots = (least, most);
    let memory = template.min_phys_memory.unwrap_or(0);
    let few = |what: &str, wanted: i64, limit: Option<i64>, whose: &str| match limit {
        Some(limit) if wanted > limit => {
            Err(Error::argument(format!("{what} is {wanted}, but {whose} has only {limit}")))
        }
        _ => Ok(()),
    };
    if template.asks_for_machine() {
        let machine = world.capacity(contact)?.machine;
        machine
            .check(template.candidate_machines.as_ref(), template.machine_os, template.machine_arch)
            .map_err(Error::argument)?;
    }
    few("minSlots", slots.0, limits.slots, "the machine")?;
    few("minSlots", slots.0, queue.slots, &format!("queue \"{name}\""))?;
    if template.reservation_id.as_ref().is_none_or(Text::is_empty) {
        few("minSlots", slots.0, limits.user_slots, "a user")?;
    }
    few("minPhysMemory", memory, limits.memory, "the machine")?;
    if memory > 0 {
        few("minPhysMemory", memory, world.capacity(contact)?.memory, "the machine")?;
    }
    Ok(Terms {
        pool: Pool {
            slots: limits.slots,
            memory: limits.memory,
            queue: name,
            queue_slots: queue.slots,
            user_slots: limits.user_slots,
        },
        rank: queue.priority,
        priority: template.priority.filter(|priority| *priority != PRIORITY_UNSET_AGE).unwrap_or(0),
        slots,
        memory,
        max_parallel: None,
        start: template.starts_at()?,
        wall_clock: template.wall_clock()?,
        reservation: reservation(world, template, slots.0, memory, user)?,
        deadline: template.ends_at()?,
    })
}

/// The number of the reservation of a job.
fn reservation(
    world: &World,
    template: &JobTemplate,
    slots: i64,
    memory: i64,
    (behalf, user): (&Behalf, &str),
) -> Result<Option<i64>> {
    let Some(id) = template.reservation_id.as_ref().filter(|id| !id.is_empty()) else { return Ok(None) };
    let refuse = |cause: &str| Err(Error::argument(format!("reservationId {id}: {cause}")));
    let Some(reservation) = world.store.reservation(&id.to_string())? else {
        return refuse("there is no such reservation");
    };
    if reservation.kept {
        return refuse("it is one of another system");
    }
    let info = reservation.info;
    let is_among = info.users.iter().any(|allowed| allowed == user);
    // A guest finds nothing that is another's.
    if !is_among && reservation.owner != user && matches!(behalf, Behalf::Guest(_)) {
        return refuse("there is no such reservation");
    }
    if info.ends <= now() {
        return refuse("it is over");
    }
    if slots > info.slots || memory > reservation.memory {
        return refuse("it has less than the job asks for");
    }
    if !is_among {
        let text = format!("reservationId {id}: user {user} is not among its usersACL");
        return Err(Error::new(ErrorCode::DeniedByDrms, text));
    }
    Ok(Some(reservation.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(begin: i64, end: i64, step: i64) -> Result<Vec<i64>> {
        Bulk { begin, end, step, max_parallel: 0 }.range().map(|range| range.indices().collect())
    }

    #[test]
    fn indices_go_in_steps_up_to_the_end() {
        assert_eq!(indices(1, 10, 3).unwrap(), [1, 4, 7, 10]);
        assert_eq!(indices(1, 9, 3).unwrap(), [1, 4, 7]);
        assert_eq!(indices(5, 5, 100).unwrap(), [5]);
        assert_eq!(indices(i64::MAX, i64::MAX, i64::MAX).unwrap(), [i64::MAX]);
        for (begin, end, step) in
            [(0, 1, 1), (-1, 1, 1), (2, 1, 1), (1, 2, 0), (1, 2, -1), (1, 1_000_000_000, 1)]
        {
            assert_eq!(indices(begin, end, step).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }
}
