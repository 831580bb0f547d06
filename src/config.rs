//! Configuration: built-in values, files, environment, contact string; what comes later wins.
//!
//! Every key stands in `docs/configuration.md`. An unknown one is an error that names it, so that a
//! misspelt key is not a setting silently lost.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::extensions::Pull;
use crate::model::{Error, ErrorCode, Result};

const SYSTEM_FILE: &str = "/etc/drmaa2/drmaa2.toml";
const SYSTEM_STATE: &str = "/var/lib/drmaa2";
/// The queue of a job that names none.
pub const DEFAULT_QUEUE: &str = "default";
/// Where containerd's own clients look for what is to know about registries.
const CERTS_DIR: &str = "/etc/containerd/certs.d";
const SCHEME: &str = "containerd://";

/// The settings of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the job store and the jobs' files are.
    pub state_dir: PathBuf,
    /// Path of `drmaa2-init`; `None` looks beside the library.
    pub init: Option<PathBuf>,
    /// The agent that goes on with jobs when no other process does.
    pub agent: Agent,
    /// The containerd that jobs run on.
    pub target: Target,
    /// The containerd runtime that jobs get.
    pub runtime: String,
    /// Time between a terminated job's stop signal and SIGKILL.
    pub grace: Duration,
    /// The category of a job template that names none.
    pub default_category: Option<String>,
    /// Categories of this site by name.
    pub categories: BTreeMap<String, Category>,
    /// When a job's image is pulled, if its template does not say.
    pub pull: Pull,
    /// The directory with a `hosts.toml` for each registry.
    pub certs_dir: PathBuf,
    /// What the machine may be used for.
    pub limits: Limits,
    /// Queues of this site by name, the default one among them.
    pub queues: BTreeMap<String, Queue>,
}

/// What jobs may take of the machine at a time; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Slots.
    pub slots: Option<i64>,
    /// Memory that jobs ask for, kilobytes.
    pub memory: Option<i64>,
}

/// A queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Slots that its jobs may take at a time; `None` is no limit.
    pub slots: Option<i64>,
    /// Jobs of a queue with a larger one come first.
    #[serde(default)]
    pub priority: i64,
}

/// Is an agent started for jobs, and which program is it?
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Agent {
    /// `drmaa2d`, looked for beside the library.
    #[default]
    On,
    /// None.
    Off,
    /// The program at this path.
    At(PathBuf),
}

/// A containerd, and where in it jobs live. Stored with each job, since a later process must find
/// the job there, whatever its own configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Path of its socket.
    pub address: PathBuf,
    /// The namespace of images and containers.
    pub namespace: String,
    /// The snapshotter of root file systems.
    pub snapshotter: String,
}

/// A job category defined by the site.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// The image its jobs run in.
    pub image: String,
}

/// One source of settings; what it leaves out stays as it was.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    state_dir: Option<PathBuf>,
    init: Option<PathBuf>,
    agent: Option<PathBuf>,
    address: Option<PathBuf>,
    namespace: Option<String>,
    snapshotter: Option<String>,
    runtime: Option<String>,
    grace_seconds: Option<u64>,
    default_category: Option<String>,
    pull: Option<String>,
    certs_dir: Option<PathBuf>,
    slots: Option<i64>,
    memory: Option<i64>,
    #[serde(default)]
    categories: BTreeMap<String, Category>,
    #[serde(default)]
    queues: BTreeMap<String, Queue>,
}

impl Config {
    /// The settings as files and environment have them now.
    pub fn load() -> Result<Self> {
        let root = nix::unistd::geteuid().is_root();
        Self::from_sources(Path::new(SYSTEM_FILE), root, |name| env::var_os(name).map(PathBuf::from))
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
        match env("DRMAA2_CONFIG") {
            Some(file) => config.apply(read(&file, true)?)?,
            None => {
                if let Some(dir) = xdg("XDG_CONFIG_HOME", ".config") {
                    config.apply(read(&dir.join("drmaa2.toml"), false)?)?;
                }
            }
        }
        config.apply(environment(&env)?)?;
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
            target: Target {
                address: "/run/containerd/containerd.sock".into(),
                namespace: "default".into(),
                snapshotter: "overlayfs".into(),
            },
            runtime: "io.containerd.runc.v2".into(),
            grace: Duration::from_secs(10),
            default_category: None,
            categories: BTreeMap::new(),
            pull: Pull::default(),
            certs_dir: CERTS_DIR.into(),
            limits: Limits::default(),
            queues: [(DEFAULT_QUEUE.to_owned(), Queue::default())].into(),
        }
    }

    fn apply(&mut self, layer: Layer) -> Result<()> {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut self.state_dir, layer.state_dir);
        set(&mut self.runtime, layer.runtime);
        set(&mut self.grace, layer.grace_seconds.map(Duration::from_secs));
        self.init = layer.init.or(self.init.take());
        set(&mut self.agent, layer.agent.map(Agent::parse).transpose()?);
        self.default_category = layer.default_category.or(self.default_category.take());
        self.categories.extend(layer.categories);
        set(&mut self.pull, layer.pull.as_deref().map(pull_policy).transpose()?);
        set(&mut self.certs_dir, layer.certs_dir);
        self.limits.slots = layer.slots.or(self.limits.slots);
        self.limits.memory = layer.memory.or(self.limits.memory);
        let queue_slots =
            layer.queues.iter().map(|(name, queue)| (format!("queues.{name}.slots"), queue.slots));
        let numbers = [("slots".to_owned(), layer.slots), ("memory".to_owned(), layer.memory)];
        for (key, number) in numbers.into_iter().chain(queue_slots) {
            if let Some(number) = number.filter(|number| *number < 1) {
                let text = format!("{key} = {number} lets no job start");
                return Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"));
            }
        }
        self.queues.extend(layer.queues);
        set(&mut self.target.address, layer.address.map(socket_path));
        set(&mut self.target.namespace, layer.namespace);
        set(&mut self.target.snapshotter, layer.snapshotter);
        for (name, path) in [
            ("address", &self.target.address),
            ("state_dir", &self.state_dir),
            ("certs_dir", &self.certs_dir),
        ] {
            if !path.is_absolute() && !path.as_os_str().is_empty() {
                let text = format!("{name} \"{}\" is not an absolute path", path.display());
                return Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"));
            }
        }
        Ok(())
    }

    /// The runtime that a session's contact string selects, and the limits that hold there; NULL and
    /// "" select what is configured.
    pub fn contact(&self, contact: Option<&str>) -> Result<(Target, Limits)> {
        let (mut target, mut limits) = (self.target.clone(), self.limits);
        let Some(contact) = contact.filter(|contact| !contact.is_empty()) else {
            return Ok((target, limits));
        };
        let refuse = |cause: String| Error::argument(format!("contact \"{contact}\": {cause}"));
        let rest = contact
            .strip_prefix(SCHEME)
            .ok_or_else(|| refuse(format!("it does not start with {SCHEME}")))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.is_empty() {
            target.address = path.into();
        }
        if !target.address.is_absolute() {
            return Err(refuse(format!("the socket \"{path}\" is not an absolute path")));
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((_, "")) | None => return Err(refuse(format!("\"{pair}\" has no value"))),
                Some(("namespace", value)) => value.clone_into(&mut target.namespace),
                Some(("snapshotter", value)) => value.clone_into(&mut target.snapshotter),
                Some(("slots", value)) => limits.slots = Some(number(value).map_err(refuse)?),
                Some(("memory", value)) => limits.memory = Some(number(value).map_err(refuse)?),
                Some((key, _)) => return Err(refuse(format!("unknown key \"{key}\""))),
            }
        }
        Ok((target, limits))
    }
}

fn number(text: &str) -> std::result::Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("\"{text}\" is no number above 0"))
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

impl Agent {
    fn parse(value: PathBuf) -> Result<Self> {
        match value.to_str() {
            Some("on") => Ok(Self::On),
            Some("off") => Ok(Self::Off),
            _ if value.is_absolute() => Ok(Self::At(value)),
            _ => {
                let text = format!("agent \"{}\" is not on, off or an absolute path", value.display());
                Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"))
            }
        }
    }
}

/// `ctr` and `nerdctl` take the socket's path with or without a scheme.
fn socket_path(address: PathBuf) -> PathBuf {
    address
        .to_str()
        .and_then(|text| text.strip_prefix("unix://"))
        .map_or_else(|| address.clone(), PathBuf::from)
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
        address: env("CONTAINERD_ADDRESS"),
        namespace: text("CONTAINERD_NAMESPACE")?,
        snapshotter: text("CONTAINERD_SNAPSHOTTER")?,
        runtime: text("DRMAA2_RUNTIME")?,
        grace_seconds: number("DRMAA2_GRACE_SECONDS")?.map(u64::from),
        default_category: text("DRMAA2_DEFAULT_CATEGORY")?,
        pull: text("DRMAA2_PULL")?,
        certs_dir: env("DRMAA2_CERTS_DIR"),
        slots: number("DRMAA2_SLOTS")?.map(i64::from),
        memory: number("DRMAA2_MEMORY")?.map(i64::from),
        categories: BTreeMap::new(),
        queues: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(system: &str, root: bool, env: &[(&str, &str)]) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("drmaa2.toml");
        fs::write(&file, system).unwrap();
        Config::from_sources(&file, root, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn without_any_source_the_built_in_values_hold() {
        let config = load("", true, &[]).unwrap();
        assert_eq!(config.state_dir, Path::new("/var/lib/drmaa2"));
        assert_eq!(config.target.address, Path::new("/run/containerd/containerd.sock"));
        let user = load("", false, &[("HOME", "/home/u")]).unwrap();
        assert_eq!(user.state_dir, Path::new("/home/u/.local/state/drmaa2"));
        let xdg = load("", false, &[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")]).unwrap();
        assert_eq!(xdg.state_dir, Path::new("/s/drmaa2"));
    }

    #[test]
    fn what_comes_later_wins() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own.toml");
        fs::write(&own, "namespace = 'own'\ngrace_seconds = 3\n[categories.b]\nimage = 'own/b'\n")
            .unwrap();
        let system = "namespace = 'system'\nsnapshotter = 'native'\n\
                      [categories.a]\nimage = 'x/a'\n[categories.b]\nimage = 'x/b'\n";
        let env = [
            ("DRMAA2_CONFIG", own.to_str().unwrap()),
            ("CONTAINERD_ADDRESS", "unix:///run/c.sock"),
            ("DRMAA2_INIT", ""),
        ];
        let config = load(system, true, &env).unwrap();
        assert_eq!(config.target.namespace, "own");
        assert_eq!(config.target.snapshotter, "native");
        assert_eq!(config.target.address, Path::new("/run/c.sock"));
        assert_eq!(config.grace, Duration::from_secs(3));
        assert_eq!(config.init, None, "an empty variable is an unset one");
        let images: Vec<_> = config.categories.values().map(|category| &category.image).collect();
        assert_eq!(images, ["x/a", "own/b"]);
    }

    #[test]
    fn the_agent_is_on_off_or_somewhere() {
        let agent = |system: &str, env: &[(&str, &str)]| load(system, true, env).map(|it| it.agent);
        assert_eq!(agent("", &[]), Ok(Agent::On));
        assert_eq!(agent("agent = 'off'", &[]), Ok(Agent::Off));
        assert_eq!(agent("agent = '/a/drmaa2d'", &[]), Ok(Agent::At("/a/drmaa2d".into())));
        assert_eq!(agent("agent = 'off'", &[("DRMAA2_AGENT", "on")]), Ok(Agent::On));
        assert_eq!(agent("agent = 'off'", &[("DRMAA2_AGENT", "")]), Ok(Agent::Off));
        for wrong in ["of", "bin/drmaa2d", "drmaa2d"] {
            let error = agent("", &[("DRMAA2_AGENT", wrong)]).unwrap_err();
            assert_eq!(error.code, ErrorCode::SessionManagement);
            assert!(error.message.contains(&format!("agent \"{wrong}\"")), "{error}");
        }
    }

    #[test]
    fn a_site_says_when_images_are_pulled() {
        let env = [("DRMAA2_PULL", "always"), ("DRMAA2_CERTS_DIR", "/c")];
        let config = load("pull = 'never'\ncerts_dir = '/d'", true, &env).unwrap();
        assert_eq!((config.pull, config.certs_dir), (Pull::Always, "/c".into()));
        let config = load("pull = 'never'", true, &[]).unwrap();
        assert_eq!((config.pull, config.certs_dir), (Pull::Never, CERTS_DIR.into()));
        let error = load("pull = 'sometimes'", true, &[]).unwrap_err();
        assert!(error.message.contains("pull \"sometimes\""), "{error}");
    }

    #[test]
    fn a_mistake_is_an_error_that_names_it() {
        let message = |result: Result<Config>| {
            let error = result.unwrap_err();
            assert_eq!(error.code, ErrorCode::SessionManagement);
            error.message
        };
        assert!(message(load("adress = '/x'", true, &[])).contains("adress"));
        assert!(message(load("[categories.a]\nimagee = 'x'", true, &[])).contains("imagee"));
        assert!(
            message(load("", true, &[("DRMAA2_CONFIG", "/no/such/file")])).contains("/no/such/file")
        );
        assert!(message(load("", true, &[("DRMAA2_GRACE_SECONDS", "soon")])).contains("soon"));
        assert!(message(load("", true, &[("CONTAINERD_ADDRESS", "c.sock")])).contains("c.sock"));
    }

    #[test]
    fn limits_and_queues_are_configured() {
        let system = "slots = 4\n[queues.default]\nslots = 2\n[queues.fast]\npriority = 10\n";
        let config = load(system, true, &[("DRMAA2_MEMORY", "1024")]).unwrap();
        assert_eq!(config.limits, Limits { slots: Some(4), memory: Some(1024) });
        let queue = |slots, priority| Queue { slots, priority };
        assert_eq!(config.queues[DEFAULT_QUEUE], queue(Some(2), 0));
        assert_eq!(config.queues["fast"], queue(None, 10));
        assert_eq!(load("", true, &[]).unwrap().queues.len(), 1, "there is always the default queue");
        for wrong in ["slots = 0", "memory = -1", "[queues.q]\nslots = 0"] {
            let error = load(wrong, true, &[]).unwrap_err();
            assert_eq!(error.code, ErrorCode::SessionManagement);
            assert!(error.message.contains("lets no job start"), "{error}");
        }
    }

    #[test]
    fn a_contact_string_selects_a_runtime() {
        let config = load("namespace = 'n'", true, &[]).unwrap();
        assert_eq!(config.contact(None).unwrap().0, config.target);
        assert_eq!(config.contact(Some("")).unwrap().0, config.target);
        let contact = "containerd:///c.sock?namespace=m&snapshotter=native&slots=3";
        let (target, limits) = config.contact(Some(contact)).unwrap();
        assert_eq!(limits, Limits { slots: Some(3), memory: None });
        assert_eq!(target.address, Path::new("/c.sock"));
        assert_eq!((target.namespace.as_str(), target.snapshotter.as_str()), ("m", "native"));
        let (only_namespace, _) = config.contact(Some("containerd://?namespace=m")).unwrap();
        assert_eq!(only_namespace.address, config.target.address);
        for wrong in [
            "tcp://1.2.3.4",
            "containerd://relative",
            "containerd:///c.sock?slotss=1",
            "containerd:///c.sock?namespace",
            "containerd:///c.sock?namespace=",
            "containerd:///c.sock?slots=0",
            "containerd:///c.sock?slots=many",
        ] {
            let error = config.contact(Some(wrong)).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains(wrong), "{error}");
        }
    }
}
