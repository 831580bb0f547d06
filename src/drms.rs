//! The wiring: the one place that names the DRM system behind the API.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, Slurm, Target};
use crate::containerd::{ContainerdTracker, JobSettings, NO_IMAGE, Settings};
use crate::model::{Error, JobTemplate, Result};
use crate::registry;
use crate::runtime::Runtime;
use crate::slurm;
use crate::store;
use crate::tracker::{self, JobTracker, Submitter};

/// Name of the DRM system of a runtime.
pub fn name(target: &Target) -> &'static str {
    match target {
        Target::Containerd(_) => "containerd",
        Target::Slurm { .. } => slurm::NAME,
    }
}

/// The optional features that this library has, but not on this runtime, by their numbers in the C enum
/// `drmaa2_capability`.
pub fn lacks(target: &Target) -> &'static [i32] {
    match target {
        Target::Containerd(_) => &[],
        Target::Slurm { .. } => &slurm::LACKS,
    }
}

/// Those that some runtime lacks.
pub const SOME_LACK: &[i32] = &slurm::LACKS;

/// Returns whether a category stands for an image, and not for none.
pub fn is_image(category: &str) -> bool {
    category != NO_IMAGE
}

/// The registry of an image.
pub fn registry(image: &str) -> Result<String> {
    registry::Name::parse(image).map(|name| name.host)
}

/// The tracker of a runtime. Works without a running daemon.
pub fn tracker(config: &Config, target: &Target, runtime: &Arc<Runtime>) -> Result<Arc<dyn JobTracker>> {
    let target = match target {
        Target::Containerd(target) => target,
        Target::Slurm { slurm } => {
            let settings = cluster(config, slurm)?;
            return Ok(slurm::SlurmTracker::new(settings, Arc::clone(runtime)));
        }
    };
    let settings = Settings {
        address: target.address.clone(),
        namespace: target.namespace.clone(),
        snapshotter: target.snapshotter.clone(),
        jobs_dir: store::jobs_dir(&config.state_dir)?,
        pulls_dir: config.state_dir.join("pulls"),
        init: init(config)?,
    };
    Ok(ContainerdTracker::new(settings, Arc::clone(runtime)))
}

/// The settings of the tracker of a cluster.
fn cluster(config: &Config, cluster: &Slurm) -> Result<slurm::Settings> {
    let path = config.variable("PATH").unwrap_or_else(|| USUAL_PATH.into());
    // Its programs for nodes are beside each other.
    let node = init(config)?.with_file_name("drmaa2-node");
    let state_dir = std::fs::canonicalize(&config.state_dir)
        .map_err(|error| Error::internal(format!("{}: {error}", config.state_dir.display())))?;
    let programs = slurm::Programs { path, conf: cluster.conf.clone() };
    Ok(slurm::Settings { programs, dir: state_dir.join("slurm"), node })
}

/// The directories in which programs are looked for by a process without `PATH`.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The settings of a job with this template if it is submitted to this runtime now, by a process of this user; with his
/// home directory if that is not this process.
pub fn job_settings(
    config: &Config,
    target: &Target,
    template: &JobTemplate,
    process: Submitter,
    home: Option<&Path>,
) -> Result<tracker::Settings> {
    let variable = |name: &str| config.variable(name);
    let certs_dir = &config.certs_dir;
    let registry = match home {
        Some(home) => registry::Settings::of_home(certs_dir, process, home, variable),
        None => registry::Settings::from_env(certs_dir, Some(process), variable),
    };
    if let Target::Slurm { .. } = target {
        return tracker::Settings::of(&slurm::JobSettings {
            image: config.image(template),
            runtime: config.runtime_binary.clone(),
            containers: config.containers,
            gpu_devices: config.gpu_devices.clone(),
            cdi_dirs: config.cdi_dirs.clone(),
            grace: config.grace,
            linger: config.linger,
            pull: config.pull,
            registry,
        });
    }
    tracker::Settings::of(&JobSettings {
        image: config.image(template),
        runtime: config.runtime.clone(),
        runtime_binary: config.runtime_binary.clone(),
        cgroup_parent: config.cgroup_parent.clone(),
        cdi_dirs: config.cdi_dirs.clone(),
        grace: config.grace,
        linger: config.linger,
        pull: config.pull,
        registry,
    })
}

/// The path of `drmaa2-init`.
fn init(config: &Config) -> Result<PathBuf> {
    config.init.clone().map_or_else(|| beside("drmaa2-init", "DRMAA2_INIT"), Ok)
}

/// The path of an agent, if it is not configured.
pub fn agent() -> Result<PathBuf> {
    beside("drmaa2d", "DRMAA2_AGENT")
}

/// The directory of the programs in an installation with other directories, relative to the library's.
/// The build sets it.
const PROGRAMS: Option<&str> = option_env!("DRMAA2_PROGRAMS");

/// The path of a program of this package that is not configured: beside the library, or in the
/// installation's directory.
fn beside(name: &str, variable: &str) -> Result<PathBuf> {
    let library = library_dir();
    let candidates: Vec<PathBuf> = library
        .iter()
        .flat_map(|dir| {
            let usual = ["", "../libexec/drmaa2", "../../libexec/drmaa2"];
            PROGRAMS.into_iter().chain(usual).map(|below| dir.join(below))
        })
        .chain(["/usr/libexec/drmaa2".into()])
        .map(|dir| dir.join(name))
        .collect();
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let places: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        Error::internal(format!("there is no {}; set {variable}", places.join(", no ")))
    })
}

/// The directory of the file that this code was loaded from.
fn library_dir() -> Option<PathBuf> {
    let here = object(library_dir as *const libc::c_void)?;
    // SAFETY: it only reads a value.
    let program = object(unsafe { libc::getauxval(libc::AT_PHDR) } as *const libc::c_void);
    let path = if program.is_some_and(|program| program.dli_fbase == here.dli_fbase) {
        // The program has this code in it, as those of tests. The name in the loader is that of the call, which need not be
        // a path.
        std::env::current_exe().ok()?
    } else if here.dli_fname.is_null() {
        return None;
    } else {
        // SAFETY: the name belongs to the loader, which keeps it while this code is loaded.
        let name = unsafe { std::ffi::CStr::from_ptr(here.dli_fname) };
        Path::new(name.to_str().ok()?).canonicalize().ok()?
    };
    path.parent().map(Path::to_path_buf)
}

/// The program or library that contains an address.
fn object(address: *const libc::c_void) -> Option<libc::Dl_info> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address is allowed; `info` is valid when zeroed, and when written.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then_some(info.assume_init()) }
}

static LOG: Once = Once::new();

/// Write to standard error what `DRMAA2_LOG` selects (`error` … `trace`, or a filter by module); nothing
/// if it is unset. A host with a `tracing` subscriber of its own keeps it.
pub fn start_log() {
    LOG.call_once(|| {
        let text = std::env::var("DRMAA2_LOG").ok().filter(|text| !text.is_empty());
        let selected = text.and_then(|text| text.parse::<Targets>().ok());
        if let Some(selected) = selected {
            let lines =
                tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_thread_names(true);
            // It fails if there is a subscriber already, which then stays.
            let _ = tracing_subscriber::registry().with(lines).with(selected).try_init();
        }
    });
}
