//! A run of a job: its order with what the node adds, its init, the signals for it, and news of what it does.

use std::env;
use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use drmaa2_init::clock::now;
use drmaa2_init::signals::Signals;
use drmaa2_init::suspension::Switched;
use drmaa2_init::{
    ERRORS_FILE, Fence, JOB_DIR, RERUNNABLE_FILE, Record, TERMINATE_FILE, family, is_marked, mark,
};

use super::container::{Container, Start, sweep_node};
use super::gpus;
use super::job::Job;
use super::site;
use super::slurm;

/// The FIFO by which init notices the death of this process.
const LIFELINE: &str = "lifeline";
/// The signal by which the kernel tells that the directory of the run has changed.
const NEWS: libc::c_int = libc::SIGIO;
/// The longest message of a runtime that is kept, bytes.
const MAX_SAID: usize = 4096;
/// Variables by which the workload manager tells a job what it was granted; the names begin so.
const GRANTS: [&str; 6] = [
    "SLURM",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
];

/// Run the job, until its init has ended.
pub(crate) fn run(job: &Job, run_dir: &Path, signals: &Signals) -> io::Result<ExitCode> {
    let mut order = job.order()?;
    order.env.extend(grants(&order.env));
    let lifeline = run_dir.join(LIFELINE);
    let path = CString::new(lifeline.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL.
    if unsafe { libc::mkfifo(path.as_ptr(), 0o600) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let contained = Start::of(job)?;
    let gpus = gpus::granted(job)?;
    if let Some(gpus) = &gpus {
        gpus::amend(gpus, &mut order);
    }
    order.lifeline = match contained.is_some() {
        true => format!("{JOB_DIR}/{LIFELINE}").into_bytes(),
        false => lifeline.as_os_str().as_bytes().to_vec(),
    };
    Record::reserve(run_dir)?;
    order.write(run_dir)?;
    // For reading as well, so that it opens without a reader. No other process has it: it is closed on exec.
    let held =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(&lifeline)?;
    let mut held = Some(held);
    // Processes that an init leaves behind when it is killed are to become this process's.
    family::adopt_orphans();
    // Nobody is told of changes that the kernel does not tell of.
    let _watch = watch(run_dir);
    let mut switched = None;
    // Also before a job without a container: it may be long until the next one with one.
    sweep_node();
    let (_container, mut init) = match &contained {
        Some(how) => Container::start(job, run_dir, how, gpus.as_ref())
            .map(|(container, child)| (Some(container), child))?,
        None => (None, start(run_dir)?),
    };
    let is_step = contained.as_ref().is_some_and(Start::is_step);
    job.ring();
    let mut request = match is_marked(&job.file(RERUNNABLE_FILE)) {
        true => None,
        false => slurm::forbid_requeue(),
    };
    loop {
        // Without a deadline there is always one.
        let Some(signal) = signals.next(None) else { continue };
        if let Some(status) = init.try_wait()? {
            family::kill_all();
            complete(run_dir, &status.to_string());
            return Ok(exit_code(status));
        }
        match signal {
            // It is not to be a dead process of this one until the job ends.
            libc::SIGCHLD => _ = request.as_mut().map(Child::try_wait),
            NEWS => {
                let last = std::mem::replace(&mut switched, Switched::look(run_dir));
                if switched != last {
                    job.ring();
                }
            }
            _ if job.is_to_be_killed() => drop(held.take()),
            signal => {
                if job.is_to_end() {
                    mark(&run_dir.join(TERMINATE_FILE))?;
                }
                if is_step { site::wake_step() } else { pass_on(&init, signal) }
            }
        }
    }
}

/// Record the end of a run whose init has not done so: it was not started, or it was killed, as `how` tells.
pub(crate) fn complete(run_dir: &Path, how: &str) {
    match Record::read(run_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => return,
    }
    let errors = fs::read(run_dir.join(ERRORS_FILE)).unwrap_or_default();
    let said = String::from_utf8_lossy(&errors[..errors.len().min(MAX_SAID)]).trim().replace('\n', "; ");
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let node = env::var("SLURMD_NODENAME").unwrap_or_default();
    let record = match Fence::withdraw(run_dir) {
        Ok(Fence::Begun) => {
            let reason = format!("its init was killed on {node} ({how})");
            Record { signal: Some(libc::SIGKILL), reason: Some(reason.into()), ..Record::default() }
        }
        _ => {
            let reason = format!("not started on {node} ({how}){said}");
            Record { untried: true, reason: Some(reason.into()), ..Record::default() }
        }
    };
    let (started, finished) = (begin_of(run_dir), now());
    if let Err(error) = (Record { started, finished, ..record }).write(run_dir) {
        super::complain(format_args!("cannot write the record: {error}"));
    }
}

/// The time at which a run was begun.
fn begin_of(run_dir: &Path) -> i64 {
    use std::os::unix::fs::MetadataExt;
    let order = run_dir.join(drmaa2_init::ORDER_FILE).metadata();
    order.map_or_else(|_| now(), |order| order.mtime() * 1000)
}

/// The grants of the workload manager that the job does not set itself.
fn grants(own: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let entries = env::vars_os().map(|(name, value): (OsString, OsString)| (name, value));
    entries
        .filter_map(|(name, value)| {
            let name = [name.as_bytes(), b"="].concat();
            let is_grant = GRANTS.iter().any(|grant| name.starts_with(grant.as_bytes()));
            let is_set = own.iter().any(|entry| entry.starts_with(&name));
            (is_grant && !is_set).then(|| [&name, value.as_bytes()].concat())
        })
        .collect()
}

/// Start init, as a process group of its own: signals of a workload manager to the group are passed on once.
fn start(run_dir: &Path) -> io::Result<Child> {
    let init = env::current_exe()?.with_file_name("drmaa2-init");
    let mut command = Command::new(&init);
    command.arg("--shared").arg(run_dir).env_clear().process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let error = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", init.display()));
    command.spawn().map_err(error)
}

/// Have [`NEWS`] sent to this process when a file in the directory gets its name, as long as this is open.
fn watch(run_dir: &Path) -> io::Result<File> {
    let dir = File::open(run_dir)?;
    // As <linux/fcntl.h> has them: a change of a name in the directory, each time.
    const DN_RENAME: libc::c_int = 0x10;
    const DN_MULTISHOT: libc::c_int = i32::MIN;
    let events = DN_RENAME | DN_MULTISHOT;
    // SAFETY: takes plain numbers; the descriptor is open.
    match unsafe { libc::fcntl(dir.as_raw_fd(), libc::F_NOTIFY, events) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(dir),
    }
}

fn pass_on(init: &Child, signal: libc::c_int) {
    // SAFETY: takes plain numbers; the process was not waited for.
    unsafe { libc::kill(init.id().cast_signed(), signal) };
}

fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(super::REFUSED).into()
}
