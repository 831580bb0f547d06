//! The sources of a process's settings. A host program may live for long: its environment is read once,
//! since a program may change it under the library's threads; files are read in their present state.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
#[cfg(test)]
use std::path::Path;
use std::path::{PathBuf, absolute};
use std::sync::Arc;

/// The file of the system.
const SYSTEM_FILE: &str = "/etc/drmaa2/drmaa2.toml";
/// The variable with a file to read instead of the user's.
pub(super) const FILE_VARIABLE: &str = "DRMAA2_CONFIG";

/// The environment of a process, and the file of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    pub(super) system_file: PathBuf,
    pub(super) root: bool,
    variables: BTreeMap<OsString, OsString>,
}

impl Sources {
    /// The sources of this process, in their present state.
    pub(super) fn of_process() -> Arc<Self> {
        let mut variables: BTreeMap<OsString, OsString> = env::vars_os().collect();
        // The path must keep its meaning after the process has changed its directory.
        if let Some(file) = variables.get_mut(OsStr::new(FILE_VARIABLE))
            && let Ok(path) = absolute(&*file)
        {
            *file = path.into();
        }
        let root = nix::unistd::geteuid().is_root();
        Arc::new(Self { system_file: SYSTEM_FILE.into(), root, variables })
    }

    /// A variable of the environment.
    pub(super) fn variable<T: From<OsString>>(&self, name: &str) -> Option<T> {
        self.variables.get(OsStr::new(name)).cloned().map(T::from)
    }

    /// Sources for a test.
    #[cfg(test)]
    pub(super) fn of(system_file: &Path, set: &[(&str, &str)]) -> Arc<Self> {
        let variables = set.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Arc::new(Self { system_file: system_file.to_owned(), root: true, variables })
    }
}
