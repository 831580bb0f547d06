//! Configuration: built-in values, files, environment, contact string; a later source overrides an
//! earlier one.
//!
//! Every key is in `docs/configuration.md`. An unknown one is an error that names it, so that a misspelt
//! key is not silently ignored.

mod agent;
mod broker;
mod category;
mod compat;
mod guests;
mod sources;
mod target;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::model::extensions::{self, Pull};
use crate::model::{Containers, DEFAULT_QUEUE, Error, ErrorCode, JobTemplate, Result, Text};

pub use agent::Agent;
pub use broker::Broker;
pub use category::Category;
pub use compat::Compat;
pub use guests::{EVERYONE, Guests};
use sources::FILE_VARIABLE;
pub use sources::Sources;
use target::{CONTAINERD_SCHEME, SLURM_SCHEME};
pub use target::{Containerd, Limits, Slurm, Target};

const SYSTEM_STATE: &str = "/var/lib/drmaa2";
/// The directory of containerd's own clients for registries.
const CERTS_DIR: &str = "/etc/containerd/certs.d";

/// Settings: those of this process itself, and those for its submissions. The latter are stored with
/// each job, so they are read anew for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Directory of the job store and the jobs' files.
    pub state_dir: PathBuf,
    /// Path of `drmaa2-init`; `None` looks beside the library.
    pub init: Option<PathBuf>,
    /// The agent, which continues with jobs when no other process does.
    pub agent: Agent,
    /// The broker.
    pub broker: Broker,
    /// The containerd that jobs run on, unless a cluster is configured.
    pub containerd: Containerd,
    /// The cluster that jobs run on if a session names nothing else.
    pub slurm: Option<Slurm>,
    /// The containerd runtime of jobs; `None` is that of the namespace.
    pub runtime: Option<String>,
    /// The program that this runtime uses, such as `crun`; `None` is its own choice.
    pub runtime_binary: Option<String>,
    /// The control group that contains those of the jobs; `None` is one with the name of the namespace.
    pub cgroup_parent: Option<String>,
    /// The program that runs the containers of jobs on a cluster.
    pub containers: Containers,
    /// Directories with descriptions of CDI devices; a later one takes precedence.
    pub cdi_dirs: Vec<PathBuf>,
    /// The kind of the CDI devices of the GPUs that a cluster grants; `None` gives containers none.
    pub gpu_devices: Option<String>,
    /// Time between a terminated job's stop signal and SIGKILL.
    pub grace: Duration,
    /// Time that processes may outlive a job's command before they are asked to end; `None` is the
    /// grace.
    pub linger: Option<Duration>,
    /// The category of a job template that names none.
    pub default_category: Option<String>,
    /// Categories of this site by name.
    pub categories: BTreeMap<String, Category>,
    /// The time to pull a job's image, unless its template sets it.
    pub pull: Pull,
    /// The directory with a `hosts.toml` for each registry.
    pub certs_dir: PathBuf,
    /// The limits of the machine.
    pub limits: Limits,
    /// Queues of this site by name, including the default one.
    pub queues: BTreeMap<String, Queue>,
    /// Users take turns, instead of the priority and the order of all jobs.
    pub fair_share: bool,
    /// The most that users other than root may ask for where root runs their jobs.
    pub guests: Guests,
    /// The groups whose members see and control the jobs of all users by the broker.
    pub operators: Vec<String>,
    /// The program that sends mails, with sendmail's interface; without one there are none.
    pub sendmail: Option<PathBuf>,
    /// The C structs that the program expects.
    pub compat: Compat,
    /// The sources of all this; `None` if it was not read.
    pub sources: Option<Arc<Sources>>,
}

/// A queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Slots that its jobs may take at one time; `None` is no limit.
    pub slots: Option<i64>,
    /// Jobs of a queue with a larger one come first.
    #[serde(default)]
    pub priority: i64,
}

/// The settings for every user alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Users {
    slots: Option<i64>,
    fair_share: Option<bool>,
}

/// One source of settings; those that it omits are unchanged.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    state_dir: Option<PathBuf>,
    init: Option<PathBuf>,
    agent: Option<PathBuf>,
    broker: Option<PathBuf>,
    address: Option<PathBuf>,
    namespace: Option<String>,
    snapshotter: Option<String>,
    runtime: Option<String>,
    runtime_binary: Option<String>,
    cgroup_parent: Option<String>,
    containers: Option<String>,
    cdi_dirs: Option<Vec<PathBuf>>,
    gpu_devices: Option<String>,
    grace_seconds: Option<u64>,
    linger_seconds: Option<u64>,
    default_category: Option<String>,
    pull: Option<String>,
    certs_dir: Option<PathBuf>,
    slots: Option<i64>,
    memory: Option<i64>,
    sendmail: Option<PathBuf>,
    #[serde(default)]
    categories: BTreeMap<String, Category>,
    #[serde(default)]
    queues: BTreeMap<String, Queue>,
    #[serde(default)]
    users: Users,
    #[serde(default)]
    guests: guests::Keys,
    #[serde(default)]
    operators: guests::Operators,
}

impl Config {
    /// The present settings of files and environment.
    pub fn load() -> Result<Self> {
        Self::read_sources(&Sources::of_process())
    }

    /// The settings of the present files and the original environment.
    pub fn reload(&self) -> Result<Self> {
        self.sources.as_ref().map_or_else(|| Ok(self.clone()), Self::read_sources)
    }

    /// A variable of that environment.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        self.sources.as_ref()?.variable(name)
    }

    /// The settings of the present files and these variables.
    fn read_sources(sources: &Arc<Sources>) -> Result<Self> {
        let variable = |name: &str| sources.variable(name);
        let config = Self::from_sources(&sources.system_file, sources.root, variable)?;
        Ok(Self { sources: Some(Arc::clone(sources)), ..config })
    }

    fn from_sources(
        system_file: &Path,
        root: bool,
        env: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self> {
        let env = |name: &str| env(name).filter(|value| !value.as_os_str().is_empty());
        let xdg = |name: &str, below_home: &str| {
            env(name).or_else(|| Some(env("HOME")?.join(below_home))).map(|dir| dir.join("drmaa2"))
        };
        let mut config = Self::built_in();
        config.apply(read(system_file, false)?)?;
        match env(FILE_VARIABLE) {
            Some(file) => config.apply(read(&file, true)?)?,
            None => {
                if let Some(dir) = xdg("XDG_CONFIG_HOME", ".config") {
                    config.apply(read(&dir.join("drmaa2.toml"), false)?)?;
                }
            }
        }
        config.apply(environment(&env)?)?;
        config.compat = Compat::of(&env)?;
        if config.state_dir.as_os_str().is_empty() {
            let own = if root { None } else { xdg("XDG_STATE_HOME", ".local/state") };
            config.state_dir = own.unwrap_or_else(|| SYSTEM_STATE.into());
        }
        Ok(config)
    }

    fn built_in() -> Self {
        Self {
            state_dir: PathBuf::new(),
            init: None,
            agent: Agent::On,
            broker: Broker::Default,
            containerd: Containerd::built_in(),
            slurm: None,
            runtime: None,
            runtime_binary: None,
            cgroup_parent: None,
            containers: Containers::default(),
            cdi_dirs: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
            gpu_devices: None,
            grace: Duration::from_secs(10),
            linger: None,
            default_category: None,
            categories: BTreeMap::new(),
            pull: Pull::default(),
            certs_dir: CERTS_DIR.into(),
            limits: Limits::default(),
            queues: [(DEFAULT_QUEUE.to_owned(), Queue::default())].into(),
            fair_share: false,
            guests: Guests::default(),
            operators: Vec::new(),
            sendmail: None,
            compat: Compat::Standard,
            sources: None,
        }
    }

    fn apply(&mut self, layer: Layer) -> Result<()> {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut self.state_dir, layer.state_dir);
        self.runtime = layer.runtime.or(self.runtime.take());
        self.runtime_binary = layer.runtime_binary.or(self.runtime_binary.take());
        let parent = layer.cgroup_parent.as_deref().map(cgroup_parent).transpose()?;
        self.cgroup_parent = parent.or(self.cgroup_parent.take());
        set(&mut self.containers, layer.containers.as_deref().map(containers).transpose()?);
        set(&mut self.cdi_dirs, layer.cdi_dirs);
        self.gpu_devices = layer.gpu_devices.or(self.gpu_devices.take());
        set(&mut self.grace, layer.grace_seconds.map(Duration::from_secs));
        self.linger = layer.linger_seconds.map(Duration::from_secs).or(self.linger);
        self.init = layer.init.or(self.init.take());
        self.sendmail = layer.sendmail.or(self.sendmail.take());
        set(&mut self.agent, layer.agent.map(Agent::parse).transpose()?);
        set(&mut self.broker, layer.broker.map(Broker::parse).transpose()?);
        self.default_category = layer.default_category.or(self.default_category.take());
        self.categories.extend(layer.categories);
        set(&mut self.pull, layer.pull.as_deref().map(pull_policy).transpose()?);
        set(&mut self.certs_dir, layer.certs_dir);
        self.limits.slots = layer.slots.or(self.limits.slots);
        self.limits.memory = layer.memory.or(self.limits.memory);
        self.limits.user_slots = layer.users.slots.or(self.limits.user_slots);
        set(&mut self.fair_share, layer.users.fair_share);
        self.guests.apply(layer.guests)?;
        set(&mut self.operators, layer.operators.groups);
        let queue_slots =
            layer.queues.iter().map(|(name, queue)| (format!("queues.{name}.slots"), queue.slots));
        let numbers = [
            ("slots".to_owned(), layer.slots),
            ("memory".to_owned(), layer.memory),
            ("users.slots".to_owned(), layer.users.slots),
        ];
        for (key, number) in numbers.into_iter().chain(queue_slots) {
            if let Some(number) = number.filter(|number| *number < 1) {
                let text = format!("{key} = {number} lets no job start");
                return Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"));
            }
        }
        self.queues.extend(layer.queues);
        if let Some(address) = layer.address {
            self.set_address(address)?;
        }
        set(&mut self.containerd.namespace, layer.namespace);
        self.containerd.snapshotter = layer.snapshotter.or(self.containerd.snapshotter.take());
        let sendmail = self.sendmail.clone().unwrap_or_default();
        let init = self.init.clone().unwrap_or_default();
        let paths = [
            ("address", &self.containerd.address),
            ("state_dir", &self.state_dir),
            ("sendmail", &sendmail),
            ("certs_dir", &self.certs_dir),
            ("init", &init),
        ];
        let dirs = self.cdi_dirs.iter().map(|dir| ("cdi_dirs", dir));
        for (name, path) in paths.into_iter().chain(dirs) {
            if !path.is_absolute() && !path.as_os_str().is_empty() {
                let text = format!("{name} \"{}\" is not an absolute path", path.display());
                return Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"));
            }
        }
        Ok(())
    }

    /// The name of the category of a job, if it has one.
    fn category<'a>(&'a self, template: &'a JobTemplate) -> Option<Cow<'a, str>> {
        own_category(template)
            .map(Cow::Owned)
            .or_else(|| self.default_category.as_deref().map(Cow::Borrowed))
    }

    /// The attributes that a job has from its category unless it sets them.
    pub fn category_attributes(&self, template: &JobTemplate) -> BTreeMap<String, Text> {
        let category = self.category(template).and_then(|name| self.categories.get(&*name));
        category.map(|category| category.attributes.clone()).unwrap_or_default()
    }

    /// The image of a job's category: a category that is not configured is the name of an image.
    pub fn image(&self, template: &JobTemplate) -> Option<String> {
        let name = self.category(template)?;
        Some(self.categories.get(&*name).map_or_else(|| name.to_string(), |known| known.image.clone()))
    }

    /// Returns whether the configuration, and not the template, names the image of a job.
    pub fn names_image(&self, template: &JobTemplate) -> bool {
        own_category(template).is_none_or(|own| self.categories.contains_key(&own))
    }

    /// Set what jobs run on by the key `address`.
    fn set_address(&mut self, address: PathBuf) -> Result<()> {
        let text = address.to_str();
        if let Some(rest) = text.and_then(|text| text.strip_prefix(SLURM_SCHEME)) {
            let slurm = Slurm::parse(rest).map_err(|cause| {
                let text = format!("address \"{}\": {cause}", address.display());
                Error::new(ErrorCode::SessionManagement, text).of("configuration")
            })?;
            self.slurm = Some(slurm);
            return Ok(());
        }
        // `ctr` and `nerdctl` accept the socket's path with or without a scheme.
        let path = text.and_then(|text| text.strip_prefix("unix://")).map(PathBuf::from);
        (self.containerd.address, self.slurm) = (path.unwrap_or(address), None);
        Ok(())
    }

    /// The runtime of sessions that name none.
    pub fn target(&self) -> Target {
        match &self.slurm {
            Some(slurm) => Target::Slurm { slurm: self.located(slurm.clone()) },
            None => Target::Containerd(self.containerd.clone()),
        }
    }

    /// The cluster with the slurm.conf that this process would use: a later one may have another environment.
    fn located(&self, slurm: Slurm) -> Slurm {
        let variable = || self.variable("SLURM_CONF").filter(|path| !path.is_empty()).map(PathBuf::from);
        Slurm { conf: slurm.conf.or_else(variable) }
    }

    /// The runtime that a session's contact string selects, and the limits that apply there; NULL and ""
    /// select the configured one.
    pub fn contact(&self, contact: Option<&str>) -> Result<(Target, Limits)> {
        let Some(contact) = contact.filter(|contact| !contact.is_empty()) else {
            let target = self.target();
            let limits = match target {
                Target::Containerd(_) => self.limits,
                Target::Slurm { .. } => Limits::default(),
            };
            return Ok((target, limits));
        };
        let refuse = |cause: String| Error::argument(format!("contact \"{contact}\": {cause}"));
        if let Some(rest) = contact.strip_prefix(SLURM_SCHEME) {
            let slurm = self.located(Slurm::parse(rest).map_err(refuse)?);
            return Ok((Target::Slurm { slurm }, Limits::default()));
        }
        let rest = contact.strip_prefix(CONTAINERD_SCHEME).ok_or_else(|| {
            refuse(format!("it starts neither with {CONTAINERD_SCHEME} nor with {SLURM_SCHEME}//"))
        })?;
        let (target, limits) = self.containerd.clone().contact(rest, self.limits).map_err(refuse)?;
        Ok((Target::Containerd(target), limits))
    }
}

/// The category that a template names.
fn own_category(template: &JobTemplate) -> Option<String> {
    let own = template.job_category.as_ref().filter(|category| !category.is_empty());
    own.map(Text::to_string)
}

fn containers(word: &str) -> Result<Containers> {
    Containers::parse(word).ok_or_else(|| {
        let text =
            format!("containers \"{word}\" is not runtime, slurm, apptainer, pyxis or containerd");
        Error::new(ErrorCode::SessionManagement, text).of("configuration")
    })
}

fn cgroup_parent(text: &str) -> Result<String> {
    extensions::cgroup(text).map_err(|cause| {
        let text = format!("cgroup_parent \"{text}\": {cause}");
        Error::new(ErrorCode::SessionManagement, text).of("configuration")
    })
}

fn pull_policy(text: &str) -> Result<Pull> {
    match text {
        "missing" => Ok(Pull::Missing),
        "always" => Ok(Pull::Always),
        "never" => Ok(Pull::Never),
        _ => {
            let text = format!("pull \"{text}\" is not missing, always or never");
            Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"))
        }
    }
}

fn read(file: &Path, must_exist: bool) -> Result<Layer> {
    let error = |cause: &dyn std::fmt::Display| {
        let text = format!("configuration {}: {cause}", file.display());
        Error::new(ErrorCode::SessionManagement, text)
    };
    match fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).map_err(|cause| error(&cause.to_string().trim_end())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && !must_exist => Ok(Layer::default()),
        Err(cause) => Err(error(&cause)),
    }
}

fn environment(env: &impl Fn(&str) -> Option<PathBuf>) -> Result<Layer> {
    let text = |name: &str| {
        env(name)
            .map(|value| {
                value.into_os_string().into_string().map_err(|_| {
                    Error::new(ErrorCode::SessionManagement, format!("environment: {name} is not UTF-8"))
                })
            })
            .transpose()
    };
    let number = |name: &str| {
        text(name)?
            .map(|value| {
                value.parse::<u32>().map_err(|_| {
                    let text = format!("environment: {name} \"{value}\" is no number");
                    Error::new(ErrorCode::SessionManagement, text)
                })
            })
            .transpose()
    };
    Ok(Layer {
        state_dir: env("DRMAA2_STATE_DIR"),
        init: env("DRMAA2_INIT"),
        agent: env("DRMAA2_AGENT"),
        broker: env("DRMAA2_BROKER"),
        address: env("DRMAA2_ADDRESS").or_else(|| env("CONTAINERD_ADDRESS")),
        namespace: text("CONTAINERD_NAMESPACE")?,
        snapshotter: text("CONTAINERD_SNAPSHOTTER")?,
        runtime: text("DRMAA2_RUNTIME")?,
        runtime_binary: text("DRMAA2_RUNTIME_BINARY")?,
        cgroup_parent: text("DRMAA2_CGROUP_PARENT")?,
        containers: text("DRMAA2_CONTAINERS")?,
        cdi_dirs: None,
        gpu_devices: text("DRMAA2_GPU_DEVICES")?,
        grace_seconds: number("DRMAA2_GRACE_SECONDS")?.map(u64::from),
        linger_seconds: number("DRMAA2_LINGER_SECONDS")?.map(u64::from),
        default_category: text("DRMAA2_DEFAULT_CATEGORY")?,
        pull: text("DRMAA2_PULL")?,
        certs_dir: env("DRMAA2_CERTS_DIR"),
        slots: number("DRMAA2_SLOTS")?.map(i64::from),
        memory: number("DRMAA2_MEMORY")?.map(i64::from),
        sendmail: env("DRMAA2_SENDMAIL"),
        categories: BTreeMap::new(),
        queues: BTreeMap::new(),
        users: Users::default(),
        guests: guests::Keys::default(),
        operators: guests::Operators::default(),
    })
}
