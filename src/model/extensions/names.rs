//! The names of the implementation-specific attributes, and the names that their values may hold.

/// An implementation-specific attribute of one of the API's structs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, unique among all structs.
    pub name: &'static str,
    /// The submitters whose jobs may have it.
    pub right: Right,
    /// Its meaning, for people.
    pub description: &'static str,
}

/// The submitters whose jobs may have an attribute. The container of a job is made by root, whoever has
/// submitted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Everybody.
    Everyone,
    /// Everybody, with some values; another needs root.
    Some,
    /// Root, for this reason.
    Root(&'static str),
}

const fn attribute(name: &'static str, right: Right, description: &'static str) -> Attribute {
    Attribute { name, right, description }
}

/// An attribute that is only read.
const fn read(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, Right::Everyone, description)
}

/// The prefix of the names of a job template's attributes.
pub const PREFIX: &str = "containerd_jt_";

/// The attributes of a job template.
pub const JOB_TEMPLATE: [Attribute; 31] = [
    attribute(
        "containerd_jt_network",
        Right::Everyone,
        "Network of the job: \"none\" (the default: loopback only) or \"host\".",
    ),
    attribute(
        "containerd_jt_mounts",
        Right::Some,
        "Host files and directories in the job: SOURCE:DESTINATION[:ro], several separated by commas, or a JSON list \
         of objects with source, destination and read_only.",
    ),
    attribute(
        "containerd_jt_tmpfs",
        Right::Some,
        "File systems in memory: DESTINATION[:SIZE], several separated by commas.",
    ),
    attribute(
        "containerd_jt_devices",
        Right::Some,
        "Devices of the host: SOURCE[:DESTINATION][:rwm], or CDI names such as nvidia.com/gpu=0; several \
         separated by commas.",
    ),
    attribute(
        "containerd_jt_gres",
        Right::Everyone,
        "Generic resources of a cluster, as Slurm's --gres takes them, such as gpu:2.",
    ),
    attribute(
        "containerd_jt_user",
        Right::Some,
        "The job's user: USER[:GROUP], names of the image or numbers.",
    ),
    attribute(
        "containerd_jt_groups",
        Right::Some,
        "The job's supplementary groups: names of the image or numbers, separated by commas.",
    ),
    attribute(
        "containerd_jt_cap_add",
        Right::Root("only root may add capabilities"),
        "Capabilities that a job of root has besides the default ones, separated by commas; ALL for all.",
    ),
    attribute(
        "containerd_jt_cap_drop",
        Right::Everyone,
        "Default capabilities that the job does not have, separated by commas; ALL for all.",
    ),
    attribute(
        "containerd_jt_privileged",
        Right::Root("only root may have privileged jobs"),
        "Whether a job of root has all capabilities, may use any device, and sees and changes all of /proc \
         and /sys.",
    ),
    attribute(
        "containerd_jt_read_only",
        Right::Everyone,
        "Whether the job's root file system is read-only.",
    ),
    attribute(
        "containerd_jt_shm_size",
        Right::Everyone,
        "Size of /dev/shm, bytes or with a suffix; the default is 64m.",
    ),
    attribute("containerd_jt_hostname", Right::Everyone, "Host name that the job sees."),
    attribute(
        "containerd_jt_rlimits",
        Right::Some,
        "Further resource limits, setrlimit's names in lower case: NAME=SOFT[:HARD], several separated by \
         commas.",
    ),
    attribute(
        "containerd_jt_memory",
        Right::Everyone,
        "Memory limit, bytes or with a suffix; a job beyond it is killed.",
    ),
    attribute(
        "containerd_jt_cpus",
        Right::Everyone,
        "CPU limit in processors, a decimal number such as 1.5.",
    ),
    attribute(
        "containerd_jt_cpuset",
        Right::Everyone,
        "Processors that the job may use: a list such as 0-3,8, or slots for as many of its own as it has slots.",
    ),
    attribute(
        "containerd_jt_pids",
        Right::Everyone,
        "How many processes and threads the job may have at a time.",
    ),
    attribute(
        "containerd_jt_cgroup_parent",
        Right::Root("only root may choose the control group"),
        "Control group below which that of the job is made.",
    ),
    attribute(
        "containerd_jt_labels",
        Right::Some,
        "Further labels of the job's container: NAME=VALUE, several separated by commas.",
    ),
    attribute(
        "containerd_jt_runtime",
        Right::Some,
        "The containerd runtime, such as io.containerd.runc.v2.",
    ),
    attribute(
        "containerd_jt_runtime_binary",
        Right::Some,
        "The runtime's program: runc, crun, or an absolute path.",
    ),
    attribute(
        "containerd_jt_snapshotter",
        Right::Some,
        "The snapshotter of the job's root file system.",
    ),
    attribute(
        "containerd_jt_init",
        Right::Some,
        "Whether drmaa2-init is the job's PID 1 (the default). \"off\" is for images that bring an init: \
         the command is PID 1 then, and how it ended may be lost when containerd restarts.",
    ),
    attribute(
        "containerd_jt_stop_signal",
        Right::Everyone,
        "The signal that asks the job to end, a name or a number.",
    ),
    attribute(
        "containerd_jt_grace",
        Right::Everyone,
        "Seconds between that signal and SIGKILL, a decimal number.",
    ),
    attribute(
        "containerd_jt_linger",
        Right::Everyone,
        "Seconds, a decimal number, that other processes may outlive the command before they are asked to end; \
         as long as the grace if it is not set.",
    ),
    attribute(
        "containerd_jt_pull",
        Right::Everyone,
        "When the image is pulled: \"missing\" (the default), \"always\" or \"never\".",
    ),
    attribute(
        "containerd_jt_entrypoint",
        Right::Everyone,
        "What stands before the command instead of the image's ENTRYPOINT: a program, or a JSON list of \
         strings; [] for nothing.",
    ),
    attribute(
        "containerd_jt_keep",
        Right::Root("only root may have containers kept"),
        "Whether container and snapshot stay when the job has ended.",
    ),
    attribute(
        "containerd_jt_seccomp",
        Right::Some,
        "System calls that the job may make: \"default\", \"unconfined\", or the absolute path of a profile.",
    ),
];

/// The attributes of a job info.
pub const JOB_INFO: [Attribute; 11] = [
    read("containerd_ji_container_id", "Id of the job's container in containerd."),
    read("containerd_ji_image", "The image that the job ran in, by its full name."),
    read("containerd_ji_image_digest", "Digest of that image."),
    read("containerd_ji_oom_killed", "\"true\" if the kernel killed the job for want of memory."),
    read(
        "containerd_ji_peak_memory",
        "The most memory that the job had at a time, page cache included, bytes.",
    ),
    read(
        "containerd_ji_start_memory",
        "What of the peak memory was reached before the command was started, by the runtime, bytes.",
    ),
    read("containerd_ji_max_rss", "Largest resident set of any of the job's processes, kilobytes."),
    read("containerd_ji_read_bytes", "Bytes that the job read from block devices."),
    read("containerd_ji_written_bytes", "Bytes that the job wrote to block devices."),
    read("containerd_ji_accounting_id", "accountingId of the job's template."),
    read("containerd_ji_cpu_millis", "User and system time of the job, milliseconds."),
];

/// The attributes of a version.
pub const VERSION: [Attribute; 2] = [
    read("containerd_vi_revision", "Revision of the source that this containerd was built from."),
    read("containerd_vi_address", "Socket of this containerd."),
];

/// The names of [`Rlimit`](super::Rlimit)s.
pub const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Every capability of Linux, by its number.
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];
