//! Submitting a job: check, make its files, store, claim, launch.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use nix::unistd::{Uid, User, getegid, geteuid, getgroups, gethostname};
use ulid::Ulid;

use super::job::{JobRef, has_started};
use super::waits::{Known, Look};
use super::world::World;
use crate::model::{Error, ErrorCode, JobTemplate, Outcome, Result, Text};
use crate::store::{Claim, NewRow, Session};
use crate::tracker::{Stdio, Submitter};

/// A new job id: unique on the machine, in the order of time, fit for containerd.
pub(super) fn new_id() -> String {
    Ulid::generate().to_string().to_lowercase()
}

/// Submit a job. Returns once it has started, or failed to.
pub(super) fn run_job(world: &Arc<World>, session: &Session, template: JobTemplate) -> Result<JobRef> {
    let target = world.target(session.contact.as_deref())?;
    let engine = world.engine(&target)?;
    template.check(engine.tracker().attributes())?;
    engine.tracker().check_template(&template)?;

    let submitter = submitter()?;
    let stdio = expand_paths(&template, &submitter)?;
    let files = make_files(stdio.clone());
    let id = new_id();
    let row = NewRow {
        id: &id,
        session: session.id,
        target: &target,
        template: &template,
        submitter: &submitter,
        stdio: files.as_ref().unwrap_or(&stdio),
    };
    world.store.insert_job(&row)?;
    let name = template.job_name.as_ref().filter(|name| !name.is_empty()).map(Text::to_string);
    let job = JobRef { id, session: Some(session.name.clone()), name };
    match files {
        // The job could not have opened the file either, and that is what its account will say.
        Err(error) => {
            world.store.job_ended(&job.id, &Outcome::failed(error.message))?;
        }
        // Somebody else may have claimed it; then he starts it.
        Ok(_) if !world.store.claim_job(&job.id, None, &Claim::mine())? => {}
        Ok(_) => engine.submit(&job.id, || wait_reportable(world, &job))?,
    }
    Ok(job)
}

/// Wait until the job has a state that can be reported to its submitter.
fn wait_reportable(world: &World, job: &JobRef) -> Result<()> {
    let look = |known: &[Known]| match known {
        [Known::State(state)] if !has_started(*state) => Ok(Look::Wait),
        [Known::Nothing] => Ok(Look::Wait),
        // Or gone: withdrawn, which the engine tells, or ended and reaped by another thread.
        _ => Ok(Look::Done(())),
    };
    world.waits.wait(&world.store, &[&job.id], None, look).map(|_| ())
}

/// This process, as its jobs will see it.
fn submitter() -> Result<Submitter> {
    let uid = geteuid();
    let os = |what: &str, errno: nix::Error| Error::internal(format!("cannot find out {what}: {errno}"));
    let user = user(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
    let machine = gethostname().map_err(|errno| os("the host name", errno))?;
    let groups = getgroups().map_err(|errno| os("the groups of this process", errno))?;
    Ok(Submitter {
        user,
        uid: uid.as_raw(),
        gid: getegid().as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        umask: umask().unwrap_or(0o22),
        machine: machine.to_string_lossy().into_owned(),
    })
}

fn user(uid: Uid) -> Result<Option<User>> {
    User::from_uid(uid).map_err(|errno| Error::internal(format!("cannot look up user {uid}: {errno}")))
}

/// The file mode mask. `umask(2)` could tell only by changing it under the host's other threads.
fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

/// The host paths of a job's streams, placeholders filled in.
fn expand_paths(template: &JobTemplate, submitter: &Submitter) -> Result<Stdio> {
    let mut stdio = Stdio { join: template.join_files, ..Stdio::default() };
    for (attribute, path) in template.stdio_paths() {
        let home = home(submitter)?;
        let path = template.expand_path(attribute, path, &home)?;
        let path = (path != Text::from("/dev/null")).then_some(path);
        match attribute {
            "inputPath" => stdio.input = path,
            "outputPath" => stdio.output = path,
            _ => stdio.error = path,
        }
    }
    Ok(stdio)
}

fn home(submitter: &Submitter) -> Result<Text> {
    let dir = user(Uid::from_raw(submitter.uid))?.map_or_else(|| "/".into(), |user| user.dir);
    Ok(Text::from(dir.as_path()))
}

/// Open a job's files as the submitting user: input must be readable, output is made and emptied.
/// Gives their real paths, which no later symbolic link can bend.
fn make_files(stdio: Stdio) -> Result<Stdio> {
    let mut read = OpenOptions::new();
    read.read(true);
    let mut write = OpenOptions::new();
    write.write(true).create(true).truncate(true);
    let made = |attribute: &str, options: &OpenOptions, path: Option<Text>| {
        path.map(|path| open(attribute, options, &path)).transpose()
    };
    Ok(Stdio {
        input: made("inputPath", &read, stdio.input)?,
        output: made("outputPath", &write, stdio.output)?,
        error: made("errorPath", &write, stdio.error)?,
        join: stdio.join,
    })
}

fn open(attribute: &str, options: &OpenOptions, path: &Text) -> Result<Text> {
    let error = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorCode::InvalidArgument, format!("{attribute} {path}: {cause}"))
    };
    // A FIFO or a terminal is refused below, and must not block or be taken over before.
    let mut options = options.clone();
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file: File = options.open(path.as_path()).map_err(|cause| error(&cause))?;
    let kind = file.metadata().map_err(|cause| error(&cause))?.file_type();
    if !kind.is_file() {
        return Err(error(&"not a regular file"));
    }
    let real = fs::canonicalize(path.as_path()).map_err(|cause| error(&cause))?;
    Ok(Text::from(real.as_path()))
}
