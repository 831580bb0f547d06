//! The exchange between the library and PID 1 of a job: an [`Order`] in, a [`Record`] out.
//!
//! Both are files in the job's directory, a sequence of `key=value` entries that each end in NUL, so a
//! value may hold any byte but NUL. An unknown key is skipped: an older init can read a newer order.

use std::fs::File;
use std::io;
use std::path::Path;

pub mod array;
pub mod clock;
mod codec;
pub mod family;
mod fence;
mod host;
mod mounts;
mod record;
pub mod signals;
pub mod suspension;

use codec::{Entries, Writer};
pub use fence::Fence;
pub use host::{Origin, Submitter, Transfer};
pub use mounts::keep_locked_options;
pub use record::Record;

/// Mount point of the job's directory in the container.
pub const JOB_DIR: &str = "/.drmaa2/job";
/// Mount point of init itself in the container.
pub const INIT_PATH: &str = "/.drmaa2/init";
/// Open files of a process of a job that does not ask for more: a program that goes through all possible
/// numbers would not finish under the limit of a server.
pub const OPEN_FILES: u64 = 1024;

/// Mount point of the job's control group in a container in which something else may be at the usual one, read-only.
pub const CGROUP_DIR: &str = "/.drmaa2/cgroup";
/// Name of the order's file in the job's directory.
pub const ORDER_FILE: &str = "order";
/// Name of the record's file in the job's directory.
pub const RECORD_FILE: &str = "record";
/// The largest order, bytes.
const ORDER_LIMIT: u64 = 16 << 20;
/// Name of the file whose presence asks init to end the job. It is written before the signal is sent: so
/// a signal that comes before init can catch it is not lost, and a signal without the file is no
/// request.
pub const TERMINATE_FILE: &str = "terminate";
/// Name of the file by which init reports that the command has ended and its files are being copied out,
/// which may take longer than the grace of a job that was asked to end.
pub const STAGE_OUT_FILE: &str = "staging-out";
/// Name of the file, in the directory of a job on a cluster, whose presence asks the program on the node to kill the
/// job. It is written before a signal is sent.
pub const KILL_FILE: &str = "kill";
/// Name of the file in that directory that allows another run after one that was interrupted.
pub const RERUNNABLE_FILE: &str = "rerunnable";
/// Name of the file in that directory that is locked as long as a run goes on, whatever the workload manager says of it.
pub const LOCK_FILE: &str = "lock";
/// Names of the claims in that directory, each followed by the number of the run.
pub const CLAIM: &str = "claim.";
/// Names of the directories of the runs, likewise.
pub const RUN: &str = "run.";
/// Name of the file in that directory that tells how to run the job in a container: the path of the image's root file
/// system, and the name of the OCI runtime, a line each. Without it the job runs on the machine itself.
pub const CONTAINER_FILE: &str = "container";
/// Name of the file in that directory that stands in its place where a program of the site makes the container: the words
/// of the command, which each end in NUL. [`RUN_PLACEHOLDER`] and [`NODE_PLACEHOLDER`] are in them as in the spec.
pub const SITE_FILE: &str = "site";
/// Name of the file in that directory that gives a container the GPUs that the workload manager has granted: the kind of
/// their CDI devices, and the directories that describe them, a line each.
pub const GPUS_FILE: &str = "gpus";
/// The argument by which the program on the node asks the containerd there, by its broker, for the container of a job; the
/// socket, the file with the messages and the directory of the run follow. [`SPEC_FILE`] is that file.
pub const CONTAINERD: &str = "--containerd";
/// The program whose command is a step of Slurm's: signals are Slurm's affair then.
pub const STEP_PROGRAM: &str = "srun";
/// Name of the container's OCI spec in that directory, in which [`RUN_PLACEHOLDER`] stands for the path of the
/// directory of the run.
pub const SPEC_FILE: &str = "config.json";
/// See [`SPEC_FILE`].
pub const RUN_PLACEHOLDER: &str = "@RUN@";
/// The text that stands for the directory of the container on the node.
pub const NODE_PLACEHOLDER: &str = "@NODE@";
/// Name of the file, in the directory of a run, with the messages of the runtime.
pub const ERRORS_FILE: &str = "errors";
/// The directory, beside that of all jobs, in which a file with the name of a job is written when there is something
/// new about it.
pub const NEWS_DIR: &str = "news";
/// Begins the comment by which Slurm knows a submission of the library; the id of the job or the array follows.
pub const COMMENT: &str = "drmaa2:";
/// The `PATH` of a job whose environment has none; the one Docker gives.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The text that a working directory starts with to mean the job user's home in the image.
pub const HOME_PLACEHOLDER: &[u8] = b"$DRMAA2_HOME_DIR$";
/// The text that a path to stage starts with to mean the working directory.
pub const DIRECTORY_PLACEHOLDER: &[u8] = b"$DRMAA2_WORKING_DIR$";

/// Make a file that is a mark by its presence. False if the name exists already; whatever has it is left
/// unchanged.
pub fn mark(file: &Path) -> io::Result<bool> {
    match File::create_new(file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether there is such a file; a link is not followed.
pub fn is_marked(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

/// The task of init.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// The command and its arguments; the command is looked up in the job's `PATH` if it has no
    /// slash.
    pub args: Vec<Vec<u8>>,
    /// The job's environment, `NAME=value`.
    pub env: Vec<Vec<u8>>,
    /// The working directory; may start with [`HOME_PLACEHOLDER`]. Empty is the user's home, or `/` if
    /// the user cannot enter that.
    pub directory: Vec<u8>,
    /// Create a missing working directory, as is done for the one that an image names.
    pub create_directory: bool,
    /// `user`, `user:group`, `uid` or `uid:gid`; names are looked up in the image's own passwd and
    /// group files. Empty is root.
    pub user: Vec<u8>,
    /// The submitter's name, for an image that does not know the user.
    pub user_name: Vec<u8>,
    /// A user that the image does not know gets an account and a home in its root file system, which
    /// belongs to the container.
    pub account: bool,
    /// Supplementary groups, by number or by name in the image's group file. `None`: the groups that
    /// this file gives the user.
    pub groups: Option<Vec<Vec<u8>>>,
    /// Additional groups.
    pub more_groups: Vec<u32>,
    /// Numbers of the capabilities that the job does not get, though init has them.
    pub drop_capabilities: Vec<u32>,
    /// File mode mask; `None` leaves init's.
    pub umask: Option<u32>,
    /// Path in the container that standard input is read from; empty is `/dev/null`.
    pub stdin: Vec<u8>,
    /// Path in the container that standard output is appended to; empty is `/dev/null`.
    pub stdout: Vec<u8>,
    /// The same for standard error.
    pub stderr: Vec<u8>,
    /// Standard error goes to standard output's file.
    pub join: bool,
    /// The signal that asks the job to end; 0 is SIGTERM.
    pub stop_signal: i32,
    /// Milliseconds between that signal and SIGKILL.
    pub grace: u64,
    /// Milliseconds that other processes of the job may outlive the command before they are asked to end.
    pub linger: u64,
    /// The kernel's limits of each process.
    pub rlimits: Vec<Rlimit>,
    /// Milliseconds of CPU time of all processes together at which the job is ended.
    pub cpu_time: Option<u64>,
    /// Milliseconds after the command's start at which the job is ended.
    pub wall_clock: Option<u64>,
    /// Time at which the job is ended, milliseconds since the epoch.
    pub deadline: Option<i64>,
    /// The reason for that end, for people; empty if there is no more to say.
    pub deadline_reason: Vec<u8>,
    /// The user on whose behalf the order is; `None` is root.
    pub submitter: Option<Submitter>,
    /// The expected files behind the mounts of host files; if one differs, nothing is started.
    pub origins: Vec<Origin>,
    /// File system and number of the job's directory on the host: a runtime that shows files under numbers
    /// of its own is known by it.
    pub place: Option<(u64, u64)>,
    /// Init is root in a user namespace that has no other user. The command gets a namespace of its own, in which this
    /// one user has the numbers of the job's user.
    pub sole_user: bool,
    /// Path of a FIFO; the job is killed once nobody has it open for writing. Empty is none.
    pub lifeline: Vec<u8>,
    /// Copied before the command starts.
    pub stage_in: Vec<Transfer>,
    /// Copied when the job's last process has ended.
    pub stage_out: Vec<Transfer>,
}

/// A limit as setrlimit(2) takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// The kernel's number of the resource.
    pub number: u32,
    /// The limit in force; all ones is no limit.
    pub soft: u64,
    /// The value that the job may raise it to.
    pub hard: u64,
    /// The submitter's name for it.
    pub name: String,
}

impl Order {
    /// Store the order in the job's directory, on stable storage.
    pub fn write(&self, job_dir: &Path) -> io::Result<()> {
        self.text().write(job_dir, ORDER_FILE)
    }

    /// Store the order in the job's directory. The caller sees to stable storage, for many at once.
    pub fn write_unsynced(&self, job_dir: &Path) -> io::Result<()> {
        self.text().write_unsynced(job_dir, ORDER_FILE)
    }

    fn text(&self) -> Writer {
        let mut out = Writer::default();
        out.list("arg", &self.args);
        out.list("env", &self.env);
        out.bytes("directory", &self.directory);
        out.flag("create-directory", self.create_directory);
        out.bytes("user", &self.user);
        out.bytes("user-name", &self.user_name);
        out.flag("account", self.account);
        if let Some(groups) = &self.groups {
            out.flag("groups", true);
            out.list("group", groups);
        }
        self.more_groups.iter().for_each(|group| out.number("more-group", *group));
        self.drop_capabilities.iter().for_each(|number| out.number("drop-capability", number));
        out.option("umask", self.umask);
        out.bytes("stdin", &self.stdin);
        out.bytes("stdout", &self.stdout);
        out.bytes("stderr", &self.stderr);
        out.flag("join", self.join);
        out.number("stop-signal", self.stop_signal);
        out.number("grace", self.grace);
        out.number("linger", self.linger);
        for Rlimit { number, soft, hard, name } in &self.rlimits {
            out.number("rlimit", format_args!("{number} {soft} {hard} {name}"));
        }
        out.option("cpu-time", self.cpu_time);
        out.option("wall-clock", self.wall_clock);
        out.option("deadline", self.deadline);
        out.bytes("deadline-reason", &self.deadline_reason);
        if let Some(submitter) = &self.submitter {
            submitter.write("submitter", &mut out);
        }
        Origin::write(&self.origins, "origin", &mut out);
        if let Some((device, inode)) = self.place {
            [device, inode].iter().for_each(|number| out.number("place", number));
        }
        out.flag("sole-user", self.sole_user);
        out.bytes("lifeline", &self.lifeline);
        Transfer::write(&self.stage_in, "stage-in", &mut out);
        Transfer::write(&self.stage_out, "stage-out", &mut out);
        out
    }

    /// Read the order from the job's directory.
    pub fn read(job_dir: &Path) -> io::Result<Self> {
        Self::read_as(job_dir, <[u8]>::to_vec)
    }

    /// Read the order from this directory, each value of it changed so.
    pub fn read_as(job_dir: &Path, change: impl Fn(&[u8]) -> Vec<u8>) -> io::Result<Self> {
        let mut order = Self::default();
        let [mut submitter, mut origins, mut stage_in, mut stage_out] = [const { Vec::new() }; 4];
        let mut place: Vec<u64> = Vec::new();
        for (key, value) in Entries::read(job_dir, ORDER_FILE, ORDER_LIMIT)?.iter() {
            let value = &*change(value);
            match key {
                "arg" => order.args.push(value.to_vec()),
                "env" => order.env.push(value.to_vec()),
                "directory" => order.directory = value.to_vec(),
                "create-directory" => order.create_directory = true,
                "user" => order.user = value.to_vec(),
                "user-name" => order.user_name = value.to_vec(),
                "account" => order.account = true,
                "groups" => order.groups = Some(order.groups.unwrap_or_default()),
                "more-group" => order.more_groups.push(codec::number(value)?),
                "group" => order.groups.get_or_insert_default().push(value.to_vec()),
                "drop-capability" => order.drop_capabilities.push(codec::number(value)?),
                "umask" => order.umask = Some(codec::number(value)?),
                "stdin" => order.stdin = value.to_vec(),
                "stdout" => order.stdout = value.to_vec(),
                "stderr" => order.stderr = value.to_vec(),
                "join" => order.join = true,
                "stop-signal" => order.stop_signal = codec::number(value)?,
                "grace" => order.grace = codec::number(value)?,
                "linger" => order.linger = codec::number(value)?,
                "rlimit" => order.rlimits.push(Rlimit::parse(value)?),
                "cpu-time" => order.cpu_time = Some(codec::number(value)?),
                "wall-clock" => order.wall_clock = Some(codec::number(value)?),
                "deadline" => order.deadline = Some(codec::number(value)?),
                "deadline-reason" => order.deadline_reason = value.to_vec(),
                "submitter" => submitter.push(value.to_vec()),
                "origin" => origins.push(value.to_vec()),
                "place" => place.push(codec::number(value)?),
                "sole-user" => order.sole_user = true,
                "lifeline" => order.lifeline = value.to_vec(),
                "stage-in" => stage_in.push(value.to_vec()),
                "stage-out" => stage_out.push(value.to_vec()),
                _ => {}
            }
        }
        order.submitter = Submitter::read(&submitter)?;
        order.origins = Origin::read(&origins)?;
        order.place = if let [device, inode] = place[..] { Some((device, inode)) } else { None };
        order.stage_in = Transfer::read(&stage_in);
        order.stage_out = Transfer::read(&stage_out);
        Ok(order)
    }
}

impl Rlimit {
    /// `NUMBER SOFT HARD NAME`
    fn parse(value: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(value).map_err(|_| codec::invalid("a limit that is no text"))?;
        let mut parts = text.splitn(4, ' ');
        let mut part = || parts.next().ok_or_else(|| codec::invalid("an incomplete limit"));
        Ok(Self {
            number: codec::number(part()?.as_bytes())?,
            soft: codec::number(part()?.as_bytes())?,
            hard: codec::number(part()?.as_bytes())?,
            name: part()?.to_owned(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("drmaa2-init-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn transfer(source: &[u8]) -> Transfer {
        Transfer { source: source.to_vec(), destination: b"/d".to_vec(), mount: b"/m".to_vec() }
    }

    #[test]
    fn an_order_survives_its_file() {
        let dir = scratch("order");
        let order = Order {
            args: vec![b"sh".to_vec(), b"".to_vec(), b"\xff=\n".to_vec()],
            env: vec![b"A=b=c".to_vec(), b"EMPTY=".to_vec()],
            directory: b"/w".to_vec(),
            create_directory: true,
            user: b"1000:1000".to_vec(),
            user_name: b"alice".to_vec(),
            account: true,
            groups: Some(vec![]),
            more_groups: vec![6, 7],
            drop_capabilities: vec![],
            umask: Some(0o22),
            stdin: b"/i".to_vec(),
            stdout: b"/o".to_vec(),
            stderr: b"/e".to_vec(),
            join: true,
            stop_signal: 15,
            grace: 10_000,
            linger: 20_000,
            rlimits: vec![Rlimit { number: 7, soft: 5, hard: u64::MAX, name: "NO FILE".into() }],
            cpu_time: Some(2000),
            wall_clock: Some(u64::MAX),
            deadline: Some(-1),
            deadline_reason: b"why".to_vec(),
            submitter: Some(Submitter { uid: 1, gid: 2, groups: vec![3, 4] }),
            place: Some((5, 6)),
            origins: vec![Origin {
                name: b"outputPath /o".to_vec(),
                mount: b"/o".to_vec(),
                device: u64::MAX,
                inode: 5,
            }],
            sole_user: true,
            lifeline: b"/l".to_vec(),
            stage_in: vec![transfer(b"/a"), transfer(b"")],
            stage_out: vec![transfer(b"/b")],
        };
        order.write(&dir).unwrap();
        assert_eq!(Order::read(&dir).unwrap(), order);
        let plain = Order {
            groups: Some(vec![b"4".to_vec(), b"staff".to_vec()]),
            drop_capabilities: vec![0, 40],
            ..Order::default()
        };
        plain.write(&dir).unwrap();
        assert_eq!(Order::read(&dir).unwrap(), plain);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_record_survives_its_file() {
        let dir = scratch("record");
        assert_eq!(Record::read(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        let record = Record {
            exit_code: Some(139),
            signal: Some(11),
            reason: Some(b"why".to_vec()),
            remark: Some(b"and".to_vec()),
            interrupted: true,
            untried: true,
            started: 1,
            finished: 2,
            cpu_time: 3,
            max_rss: 4,
            oom_killed: true,
            peak_memory: Some(5),
            start_memory: Some(8),
            read_bytes: Some(6),
            written_bytes: Some(7),
        };
        record.write(&dir).unwrap();
        assert_eq!(Record::read(&dir).unwrap(), record);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_record_takes_the_room_that_was_kept_for_it() {
        use std::os::unix::fs::MetadataExt;
        let dir = scratch("room");
        Record::reserve(&dir).unwrap();
        let draft = dir.join("record.new");
        let room = std::fs::metadata(&draft).unwrap();
        assert!(room.blocks() * 512 >= 8192, "{room:?}");
        assert_eq!(Record::read(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        let record = Record { exit_code: Some(3), ..Record::default() };
        record.write(&dir).unwrap();
        assert_eq!(Record::read(&dir).unwrap(), record);
        assert_eq!(std::fs::metadata(dir.join(RECORD_FILE)).unwrap().ino(), room.ino());
        // Neither a link that a job has put there is followed, nor another name of a file.
        let victim = dir.join("victim");
        for link in [std::os::unix::fs::symlink::<_, &Path> as fn(_, _) -> _, std::fs::hard_link] {
            std::fs::write(&victim, "safe").unwrap();
            link(victim.clone(), draft.as_path()).unwrap();
            record.write(&dir).unwrap();
            assert_eq!(std::fs::read(&victim).unwrap(), b"safe");
            assert_eq!(Record::read(&dir).unwrap(), record);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_nul_in_a_value_and_a_torn_file_are_refused() {
        let dir = scratch("torn");
        let order = Order { args: vec![b"a\0b".to_vec()], ..Order::default() };
        assert_eq!(order.write(&dir).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        for torn in [&b"exit-code=1"[..], b"nonsense\0", b"exit-code=x\0"] {
            std::fs::write(dir.join(RECORD_FILE), torn).unwrap();
            assert_eq!(Record::read(&dir).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
