//! The implementation-specific attributes of a job template: their names, and what their values mean.
//!
//! Values are text, as they come through `drmaa2_set_instance_value`. Where several things can be
//! named they are separated by commas, or by newlines if the value holds one. Sizes take the suffixes
//! k, m, g and t.

use super::{Error, JobTemplate, Millis, Result, Text, signal_number};

/// An implementation-specific attribute of one of the API's structs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, which no other struct has.
    pub name: &'static str,
    /// What it means, for people.
    pub description: &'static str,
}

const fn attribute(name: &'static str, description: &'static str) -> Attribute {
    Attribute { name, description }
}

/// Those of a job template.
pub const JOB_TEMPLATE: [Attribute; 28] = [
    attribute(
        "containerd_jt_network",
        "Network of the job: \"none\" (the default: loopback only) or \"host\".",
    ),
    attribute(
        "containerd_jt_mounts",
        "Host files and directories in the job: SOURCE:DESTINATION[:ro], several separated by commas.",
    ),
    attribute(
        "containerd_jt_tmpfs",
        "File systems in memory: DESTINATION[:SIZE], several separated by commas.",
    ),
    attribute(
        "containerd_jt_devices",
        "Devices of the host: SOURCE[:DESTINATION][:rwm], or CDI names such as nvidia.com/gpu=0; several \
         separated by commas.",
    ),
    attribute("containerd_jt_user", "The job's user: USER[:GROUP], names of the image or numbers."),
    attribute(
        "containerd_jt_groups",
        "The job's supplementary groups: names of the image or numbers, separated by commas.",
    ),
    attribute(
        "containerd_jt_cap_add",
        "Capabilities that a job of root has besides the default ones, separated by commas; ALL for all.",
    ),
    attribute(
        "containerd_jt_cap_drop",
        "Default capabilities that the job does not have, separated by commas; ALL for all.",
    ),
    attribute(
        "containerd_jt_privileged",
        "Whether the job has all capabilities and devices and nothing of the host is hidden from it.",
    ),
    attribute("containerd_jt_read_only", "Whether the job's root file system is read-only."),
    attribute("containerd_jt_shm_size", "Size of /dev/shm, bytes or with a suffix; the default is 64m."),
    attribute("containerd_jt_hostname", "Host name that the job sees."),
    attribute(
        "containerd_jt_rlimits",
        "Further resource limits, setrlimit's names in lower case: NAME=SOFT[:HARD], several separated by \
         commas.",
    ),
    attribute(
        "containerd_jt_memory",
        "Memory limit, bytes or with a suffix; a job beyond it is killed.",
    ),
    attribute("containerd_jt_cpus", "CPU limit in processors, a decimal number such as 1.5."),
    attribute("containerd_jt_pids", "How many processes and threads the job may have at a time."),
    attribute("containerd_jt_cgroup_parent", "Control group below which that of the job is made."),
    attribute(
        "containerd_jt_labels",
        "Further labels of the job's container: NAME=VALUE, several separated by commas.",
    ),
    attribute("containerd_jt_runtime", "The containerd runtime, such as io.containerd.runc.v2."),
    attribute("containerd_jt_runtime_binary", "The runtime's program: runc, crun, or an absolute path."),
    attribute("containerd_jt_snapshotter", "The snapshotter of the job's root file system."),
    attribute(
        "containerd_jt_init",
        "Whether drmaa2-init is the job's PID 1 (the default). \"off\" is for images that bring an init: \
         the command is PID 1 then, and how it ended may be lost when containerd restarts.",
    ),
    attribute("containerd_jt_stop_signal", "The signal that asks the job to end, a name or a number."),
    attribute("containerd_jt_grace", "Seconds between that signal and SIGKILL, a decimal number."),
    attribute(
        "containerd_jt_pull",
        "When the image is pulled: \"missing\" (the default), \"always\" or \"never\".",
    ),
    attribute(
        "containerd_jt_entrypoint",
        "What stands before the command instead of the image's ENTRYPOINT: a program, or a JSON list of \
         strings; [] for nothing.",
    ),
    attribute("containerd_jt_keep", "Whether container and snapshot stay when the job has ended."),
    attribute(
        "containerd_jt_seccomp",
        "System calls that the job may make: \"default\", \"unconfined\", or the absolute path of a profile.",
    ),
];

/// The network of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// A loopback interface of its own.
    #[default]
    None,
    /// The host's.
    Host,
}

/// A host file or directory in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its path on the host.
    pub source: Text,
    /// Where the container sees it.
    pub destination: Text,
    /// May the job only read it?
    pub read_only: bool,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where the container sees it.
    pub destination: Text,
    /// Its size in bytes; `None` is the kernel's default.
    pub size: Option<i64>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A device node.
    Node {
        /// Its path on the host.
        source: Text,
        /// Its path in the container.
        destination: Text,
        /// What may be done with it: some of r, w and m.
        access: String,
    },
    /// A name of the Container Device Interface, `vendor/class=name`.
    Cdi(String),
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Pull {
    /// If containerd does not have it.
    #[default]
    Missing,
    /// For each job.
    Always,
    /// Never.
    Never,
}

/// Which system calls a job may make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// Those of the default profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// Those of the profile in this file of the host.
    Profile(Text),
}

/// A resource limit of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// Its name, as `nofile`.
    pub name: String,
    /// The limit; `None` is no limit.
    pub soft: Option<u64>,
    /// What the job may raise it to.
    pub hard: Option<u64>,
}

/// The names of [`Rlimit`]s.
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

/// What the implementation-specific attributes of a job template ask for.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Extensions {
    pub network: Network,
    pub mounts: Vec<Mount>,
    pub tmpfs: Vec<Tmpfs>,
    pub devices: Vec<Device>,
    pub user: Option<Text>,
    pub groups: Option<Vec<Text>>,
    /// Full names, `CAP_…`; or `ALL`.
    pub cap_add: Vec<String>,
    /// Likewise.
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub read_only: bool,
    /// Bytes.
    pub shm_size: Option<i64>,
    pub hostname: Option<String>,
    pub rlimits: Vec<Rlimit>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Thousandths of a processor.
    pub cpus: Option<i64>,
    pub pids: Option<i64>,
    pub cgroup_parent: Option<String>,
    pub labels: Vec<(String, String)>,
    pub runtime: Option<String>,
    pub runtime_binary: Option<String>,
    pub snapshotter: Option<String>,
    /// The command is PID 1 itself.
    pub no_init: bool,
    pub stop_signal: Option<i32>,
    pub grace: Option<Millis>,
    pub pull: Pull,
    pub entrypoint: Option<Vec<Text>>,
    pub keep: bool,
    pub seccomp: Seccomp,
}

impl JobTemplate {
    /// What its implementation-specific attributes ask for; INVALID_ARGUMENT with name and value for one
    /// that makes no sense.
    pub fn extensions(&self) -> Result<Extensions> {
        let mut all = Extensions::default();
        for (name, value) in self.extensions.iter().filter(|(_, value)| !value.is_empty()) {
            all.set(name, value).map_err(|cause| {
                Error::argument(format!("job template attribute {name} is \"{value}\": {cause}"))
            })?;
        }
        Ok(all)
    }
}

/// Why a value makes no sense.
type Refusal = String;

impl Extensions {
    fn set(&mut self, name: &str, value: &Text) -> std::result::Result<(), Refusal> {
        match name.strip_prefix("containerd_jt_").unwrap_or(name) {
            "network" => {
                self.network = choice(value, &[("none", Network::None), ("host", Network::Host)])?;
            }
            "mounts" => self.mounts = list(value).map(mount).collect::<std::result::Result<_, _>>()?,
            "tmpfs" => self.tmpfs = list(value).map(tmpfs).collect::<std::result::Result<_, _>>()?,
            "devices" => {
                self.devices = list(value).map(device).collect::<std::result::Result<_, _>>()?
            }
            "user" => self.user = Some(value.clone()),
            "groups" => self.groups = Some(list(value).map(Text::from).collect()),
            "cap_add" => self.cap_add = capabilities(value)?,
            "cap_drop" => self.cap_drop = capabilities(value)?,
            "privileged" => self.privileged = boolean(value)?,
            "read_only" => self.read_only = boolean(value)?,
            "shm_size" => self.shm_size = Some(size(text(value)?)?),
            "hostname" => self.hostname = Some(hostname(text(value)?)?),
            "rlimits" => {
                self.rlimits = list(value).map(rlimit).collect::<std::result::Result<_, _>>()?
            }
            "memory" => self.memory = Some(size(text(value)?)?),
            "cpus" => {
                self.cpus =
                    Some(thousandths(text(value)?).filter(|n| *n > 0).ok_or("no number of processors")?)
            }
            "pids" => self.pids = Some(positive(text(value)?)?),
            "cgroup_parent" => self.cgroup_parent = Some(cgroup(text(value)?)?),
            "labels" => self.labels = list(value).map(label).collect::<std::result::Result<_, _>>()?,
            "runtime" => self.runtime = Some(runtime(text(value)?)?),
            "runtime_binary" => self.runtime_binary = Some(word(text(value)?)?),
            "snapshotter" => self.snapshotter = Some(word(text(value)?)?),
            "init" => self.no_init = !boolean(value)?,
            "stop_signal" => {
                self.stop_signal = Some(signal_number(text(value)?).ok_or("no signal")?);
            }
            "grace" => self.grace = Some(thousandths(text(value)?).ok_or("no number of seconds")?),
            "pull" => {
                self.pull = choice(
                    value,
                    &[("missing", Pull::Missing), ("always", Pull::Always), ("never", Pull::Never)],
                )?;
            }
            "entrypoint" => self.entrypoint = Some(entrypoint(value)?),
            "keep" => self.keep = boolean(value)?,
            "seccomp" => self.seccomp = seccomp(value)?,
            _ => return Err("there is no such attribute".to_owned()),
        }
        Ok(())
    }
}

/// The parts of a list: its lines if it has several, else what commas separate; empty ones do not count.
fn list(value: &Text) -> impl Iterator<Item = &[u8]> {
    let lines = value.as_bytes().contains(&b'\n');
    let split = move |byte: &u8| *byte == if lines { b'\n' } else { b',' };
    value.as_bytes().split(split).map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

fn text(value: &Text) -> std::result::Result<&str, Refusal> {
    utf8(value.as_bytes())
}

fn utf8(bytes: &[u8]) -> std::result::Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn choice<T: Copy>(value: &Text, choices: &[(&str, T)]) -> std::result::Result<T, Refusal> {
    let value = text(value)?;
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("it has to be one of {}", names.join(", "))
    })
}

fn boolean(value: &Text) -> std::result::Result<bool, Refusal> {
    let yes = ["true", "on", "yes", "1"].map(|word| (word, true));
    let no = ["false", "off", "no", "0"].map(|word| (word, false));
    choice(value, &[yes, no].concat())
}

fn absolute(path: &[u8]) -> std::result::Result<Text, Refusal> {
    match path {
        [b'/', ..] => Ok(path.into()),
        _ => Err(format!("\"{}\" is not an absolute path", path.escape_ascii())),
    }
}

/// `SOURCE:DESTINATION[:ro]`
fn mount(part: &[u8]) -> std::result::Result<Mount, Refusal> {
    let (part, read_only) = match (part.strip_suffix(b":ro"), part.strip_suffix(b":rw")) {
        (Some(part), _) => (part, true),
        (None, Some(part)) => (part, false),
        (None, None) => (part, false),
    };
    match part.split(|byte| *byte == b':').collect::<Vec<_>>()[..] {
        [source, destination] => {
            Ok(Mount { source: absolute(source)?, destination: inside(destination)?, read_only })
        }
        _ => Err(format!("\"{}\" is not SOURCE:DESTINATION[:ro]", part.escape_ascii())),
    }
}

/// A place in the container where something of the job's may be put.
fn inside(path: &[u8]) -> std::result::Result<Text, Refusal> {
    let path = absolute(path)?;
    let own =
        path.strip_prefix("/.drmaa2").is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'/', ..]));
    let up = path.as_bytes().split(|byte| *byte == b'/').any(|part| part == b"..");
    match path.as_bytes() {
        _ if own || up => Err(format!("nothing can be put at \"{path}\"")),
        [b'/'] => Err("nothing can be put in the place of the root".to_owned()),
        _ => Ok(path),
    }
}

/// `DESTINATION[:SIZE]`
fn tmpfs(part: &[u8]) -> std::result::Result<Tmpfs, Refusal> {
    let mut parts = part.splitn(2, |byte| *byte == b':');
    let destination = inside(parts.next().unwrap_or_default())?;
    let size = parts.next().map(|part| size(utf8(part)?)).transpose()?;
    Ok(Tmpfs { destination, size })
}

/// `SOURCE[:DESTINATION][:rwm]`, or `vendor/class=name`.
fn device(part: &[u8]) -> std::result::Result<Device, Refusal> {
    let refuse =
        || format!("\"{}\" is neither SOURCE[:DESTINATION][:rwm] nor a CDI name", part.escape_ascii());
    if !part.starts_with(b"/") {
        let name = utf8(part)?;
        let (kind, device) = name.split_once('=').ok_or_else(refuse)?;
        let (vendor, class) = kind.split_once('/').ok_or_else(refuse)?;
        let empty = [vendor, class, device].iter().any(|part| part.is_empty());
        return if empty { Err(refuse()) } else { Ok(Device::Cdi(name.to_owned())) };
    }
    let node = |source: &[u8], destination: &[u8], access: &[u8]| {
        let access = utf8(access)?;
        if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
            return Err(refuse());
        }
        Ok(Device::Node {
            source: absolute(source)?,
            destination: inside(destination)?,
            access: access.to_owned(),
        })
    };
    match part.split(|byte| *byte == b':').collect::<Vec<_>>()[..] {
        [source] => node(source, source, b"rwm"),
        [source, destination @ [b'/', ..]] => node(source, destination, b"rwm"),
        [source, access] => node(source, source, access),
        [source, destination, access] => node(source, destination, access),
        _ => Err(refuse()),
    }
}

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

fn capabilities(value: &Text) -> std::result::Result<Vec<String>, Refusal> {
    let full = |part: &[u8]| {
        let name = utf8(part)?.to_ascii_uppercase();
        let name = if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
        match name == "ALL" || CAPABILITIES.contains(&name.as_str()) {
            true => Ok(name),
            false => Err(format!("there is no capability {name}")),
        }
    };
    list(value).map(full).collect()
}

/// A number of bytes that is not 0.
fn size(text: &str) -> std::result::Result<i64, Refusal> {
    let refuse = || format!("\"{text}\" is no size");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return Err(refuse()),
    };
    let number = number(digits).filter(|number| *number > 0).ok_or_else(refuse)?;
    number.checked_mul(1 << shift).ok_or_else(refuse)
}

/// A decimal number without a sign.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn positive(text: &str) -> std::result::Result<i64, Refusal> {
    number(text).filter(|number| *number > 0).ok_or_else(|| "it has to be a positive number".to_owned())
}

/// A decimal number with at most three digits after the point, times a thousand.
fn thousandths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || part.len() > 3 {
        return None;
    }
    let part = number(part)? * 10_i64.pow(3 - u32::try_from(part.len()).ok()?);
    number(whole)?.checked_mul(1000)?.checked_add(part)
}

/// RFC 1123, in a single label or several.
fn hostname(text: &str) -> std::result::Result<String, Refusal> {
    let label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !edges && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    match text.len() <= 64 && text.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => Err("it is no host name".to_owned()),
    }
}

/// `NAME=SOFT[:HARD]`
fn rlimit(part: &[u8]) -> std::result::Result<Rlimit, Refusal> {
    let part = utf8(part)?;
    let refuse = || format!("\"{part}\" is not NAME=SOFT[:HARD]");
    let (name, limits) = part.split_once('=').ok_or_else(refuse)?;
    let name = name.to_ascii_lowercase();
    if !RLIMITS.contains(&name.as_str()) {
        return Err(format!("there is no limit \"{name}\""));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit = |text: &str| match text {
        "unlimited" | "infinity" | "-1" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| refuse()),
    };
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return Err(format!("the soft limit of {name} is above the hard one"));
    }
    Ok(Rlimit { name, soft, hard })
}

fn cgroup(text: &str) -> std::result::Result<String, Refusal> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let odd = |part: &&str| matches!(*part, "." | "..");
    match !parts.is_empty() && !parts.iter().any(odd) {
        true => Ok(parts.join("/")),
        false => Err("it is no name of a control group".to_owned()),
    }
}

/// `NAME=VALUE`; containerd takes 4096 bytes of both together.
fn label(part: &[u8]) -> std::result::Result<(String, String), Refusal> {
    let part = utf8(part)?;
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    if name.is_empty() || part.len() > 4096 {
        return Err(format!("\"{part}\" is no label"));
    }
    // The library finds its own jobs by these.
    if name.starts_with("drmaa2") || name == "jobName" || name == "jobSessionName" {
        return Err(format!("the label {name} is the library's own"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A name, or a path.
fn word(text: &str) -> std::result::Result<String, Refusal> {
    match text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        false => Ok(text.to_owned()),
        true => Err("there is a blank in it".to_owned()),
    }
}

/// A name such as `io.containerd.runc.v2`, from whose last two parts containerd makes that of a program,
/// or the path of that program.
fn runtime(text: &str) -> std::result::Result<String, Refusal> {
    let name = word(text)?;
    let parts: Vec<&str> = name.split('.').collect();
    match name.starts_with('/') || (parts.len() > 1 && parts.iter().all(|part| !part.is_empty())) {
        true => Ok(name),
        false => Err("it is neither like io.containerd.runc.v2 nor an absolute path".to_owned()),
    }
}

fn entrypoint(value: &Text) -> std::result::Result<Vec<Text>, Refusal> {
    if !value.as_bytes().starts_with(b"[") {
        return Ok(vec![value.clone()]);
    }
    let words: Vec<String> = serde_json::from_slice(value.as_bytes())
        .map_err(|_| "it is no JSON list of strings".to_owned())?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err("there is a NUL in it".to_owned());
    }
    Ok(words.into_iter().map(|word| Text::from(word.as_str())).collect())
}

fn seccomp(value: &Text) -> std::result::Result<Seccomp, Refusal> {
    match value.as_bytes() {
        b"default" => Ok(Seccomp::Default),
        b"unconfined" => Ok(Seccomp::Unconfined),
        path => absolute(path).map(Seccomp::Profile),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Result<Extensions> {
        let extensions = [(format!("containerd_jt_{name}"), Text::from(value))].into();
        JobTemplate { extensions, ..JobTemplate::default() }.extensions()
    }

    #[test]
    fn every_listed_attribute_is_known_and_named_once() {
        let mut names: Vec<&str> = JOB_TEMPLATE.iter().map(|attribute| attribute.name).collect();
        for name in &names {
            let template = JobTemplate {
                extensions: [((*name).to_owned(), Text::from("\u{1}"))].into(),
                ..JobTemplate::default()
            };
            let answer = template.extensions().err().map(|error| error.message).unwrap_or_default();
            assert!(!answer.contains("no such attribute"), "{name}: {answer}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), JOB_TEMPLATE.len());
    }

    #[test]
    fn a_runtime_is_named_as_containerd_names_it() {
        let runtime = |value| parse("runtime", value).map(|all| all.runtime);
        for good in ["io.containerd.runc.v2", "io.containerd.kata.v2", "/opt/shim"] {
            assert_eq!(runtime(good), Ok(Some(good.to_owned())));
        }
        for bad in ["rubbish", "a..b", "io.containerd.", "io containerd.v2"] {
            let error = runtime(bad).unwrap_err();
            assert!(error.message.contains(&format!("containerd_jt_runtime is \"{bad}\"")), "{error}");
        }
    }
}
