//! The settings of a client of registries. They are resolved where a job is submitted, stored with it, and
//! hold in every process that pulls for it; so there is no secret in them, only the places of secrets.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Error, Result, Text};
use crate::rights;
use crate::tracker::Submitter;

/// The variables of an environment that tell where proxies are. What one holds of a user and a password
/// is not kept.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
/// Those that tell where trusted certificates are.
pub(super) const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Those by which credential helpers find what they need.
const HELPERS: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AZURE_CONFIG_DIR",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
];
/// No file about registries is longer: those of people and their programs have some kilobytes.
pub(super) const MAX_FILE: usize = 8 << 20;
/// Others that are kept.
const OTHERS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The settings of a client of registries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// The directory with a `hosts.toml` in a directory for each registry.
    pub certs_dir: Text,
    /// The files that may hold credentials; the first that knows a registry counts.
    pub auth_files: Vec<Text>,
    /// Variables that tell where proxies, trusted certificates, and credential helpers with what they
    /// need are.
    pub env: BTreeMap<String, Text>,
    /// The user whose credentials those are; `None` is the one of this process.
    pub owner: Option<Submitter>,
}

impl Settings {
    /// With the places for credentials that an environment names: those of Docker and of podman.
    pub fn from_env(
        certs_dir: &Path,
        owner: Option<Submitter>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let dir = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = |below: &str| dir("HOME").map(|home| home.join(below));
        let files = [
            dir("REGISTRY_AUTH_FILE"),
            dir("DOCKER_CONFIG").or_else(|| home(".docker")).map(|dir| dir.join("config.json")),
            dir("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
            dir("XDG_CONFIG_HOME")
                .or_else(|| home(".config"))
                .map(|dir| dir.join("containers/auth.json")),
        ];
        let kept = |name: &&'static str| {
            let value = env(name).filter(|value| !value.is_empty())?;
            let value = match *name {
                name if PROXIES.contains(&name) => without_user(&value),
                "SSL_CERT_FILE" => Text::from(absolute(Path::new(&value)).as_path()),
                _ => Text::from(Path::new(&value)),
            };
            Some(((*name).to_owned(), value))
        };
        Self {
            certs_dir: Text::from(certs_dir),
            auth_files: files.iter().flatten().map(|file| absolute(file).as_path().into()).collect(),
            env: kept_names().filter_map(|name| kept(&name)).collect(),
            owner,
        }
    }

    /// Those of a user who is not the one of the environment: the places for his credentials are below his home
    /// directory, and of the environment counts what is not a user's.
    pub fn of_home(
        certs_dir: &Path,
        owner: Submitter,
        home: &Path,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let user = owner.user.clone();
        let variable = |name: &str| match name {
            "HOME" => Some(home.into()),
            "USER" | "LOGNAME" => Some(user.as_str().into()),
            "PATH" => env(name),
            name if HELPERS.contains(&name) => None,
            name => env(name),
        };
        Self::from_env(certs_dir, Some(owner), variable)
    }

    /// Read something with the rights of the user whose credentials are meant.
    pub(super) fn as_owner<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match &self.owner {
            Some(owner) => rights::of(owner, work),
            None => work(),
        }
    }

    /// A variable of the environment that these settings are from.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.env.get(name).map(|value| value.as_path().as_os_str())
    }

    /// A proxy of that environment. A user and a password are to be had only where this process has them
    /// in its own, for the same proxy.
    pub(super) fn proxy(&self, name: &str) -> Option<String> {
        let kept = self.env.get(name)?;
        Some(own(name, kept).unwrap_or_else(|| kept.to_string()))
    }

    /// An error of a pull, with what these settings lack that may be the reason.
    #[must_use]
    pub fn explain(&self, mut error: Error) -> Error {
        if let Some(proxy) = self.strange_proxy() {
            let lacks = "; user and password of this proxy are not in the environment of this process: ";
            error.message.push_str(&format!("{lacks}{proxy}"));
        }
        error
    }

    /// A proxy that wants to know a user whom this process does not know.
    fn strange_proxy(&self) -> Option<&Text> {
        let strange = |(name, kept): &(&String, &Text)| {
            PROXIES.contains(&name.as_str()) && kept.contains("@") && own(name, kept).is_none()
        };
        self.env.iter().find(strange).map(|(_, kept)| kept)
    }
}

/// The names of all variables that are kept.
pub(super) fn kept_names() -> impl Iterator<Item = &'static str> {
    PROXIES.into_iter().chain(CERTIFICATES).chain(HELPERS).chain(OTHERS)
}

/// This process's own value of a variable, if it names the same proxy.
fn own(name: &str, kept: &Text) -> Option<String> {
    let own = env::var_os(name).filter(|own| without_user(own) == *kept)?;
    Some(own.to_string_lossy().into_owned())
}

/// Another process works in another directory.
fn absolute(file: &Path) -> PathBuf {
    path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// The address of a proxy without the user, and whatever else stands before the last `@`, which is left
/// to tell that there was one.
fn without_user(proxy: &OsStr) -> Text {
    let text = proxy.to_string_lossy();
    let (scheme, rest) = text.split_once("://").map_or(("", &*text), |(scheme, rest)| (scheme, rest));
    let separator = if scheme.is_empty() { "" } else { "://" };
    let place = rest.rsplit_once('@').map_or(rest.to_owned(), |(_, place)| format!("@{place}"));
    format!("{scheme}{separator}{place}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Settings {
        let env = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Settings::from_env(Path::new("/c"), None, env)
    }

    #[test]
    fn who_is_not_of_the_environment_has_what_is_below_his_home() {
        let roots = |name: &str| match name {
            "PATH" | "NO_PROXY" => Some(OsString::from(name)),
            "HTTPS_PROXY" => Some("http://p:1".into()),
            _ => Some("/secret".into()),
        };
        let owner = Submitter {
            user: "ann".to_owned(),
            uid: 1000,
            gid: 1000,
            groups: vec![],
            umask: 0o22,
            machine: "m".to_owned(),
        };
        let settings = Settings::of_home(Path::new("/c"), owner.clone(), Path::new("/home/ann"), roots);
        let files = ["/home/ann/.docker/config.json", "/home/ann/.config/containers/auth.json"];
        assert_eq!(settings.auth_files, files.map(Text::from));
        assert_eq!(settings.owner, Some(owner));
        let variable = |name| settings.variable(name).and_then(OsStr::to_str);
        assert_eq!([variable("HOME"), variable("USER")], [Some("/home/ann"), Some("ann")]);
        assert_eq!([variable("PATH"), variable("HTTPS_PROXY")], [Some("PATH"), Some("http://p:1")]);
        for name in HELPERS.iter().filter(|name| !["HOME", "USER", "LOGNAME", "PATH"].contains(name)) {
            assert_eq!(variable(name), None, "{name}");
        }
    }

    #[test]
    fn credentials_are_where_docker_and_podman_keep_them() {
        let home = ["/h/.docker/config.json", "/h/.config/containers/auth.json"];
        assert_eq!(of(&[("HOME", "/h"), ("DOCKER_CONFIG", "")]).auth_files, home.map(Text::from));
        let set = [
            ("REGISTRY_AUTH_FILE", "/a"),
            ("DOCKER_CONFIG", "/d"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("XDG_CONFIG_HOME", "/x"),
        ];
        let all = ["/a", "/d/config.json", "/r/containers/auth.json", "/x/containers/auth.json"];
        assert_eq!(of(&set).auth_files, all.map(Text::from));
    }

    #[test]
    fn a_path_means_the_same_in_another_directory() {
        let here = env::current_dir().unwrap();
        let settings = of(&[("REGISTRY_AUTH_FILE", "a.json"), ("SSL_CERT_FILE", "c.pem")]);
        assert_eq!(settings.auth_files, [here.join("a.json").as_path().into()]);
        assert_eq!(settings.variable("SSL_CERT_FILE"), Some(here.join("c.pem").as_os_str()));
    }

    #[test]
    fn no_secret_is_kept() {
        let secrets = [
            ("HTTP_PROXY", "http://user:secret@p:1"),
            ("https_proxy", "user:secret@p:1"),
            ("ALL_PROXY", "http://user:sec/ret@x:secret@p:1/"),
            ("HTTPS_PROXY", "http://secret@p:1"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("PATH", "/bin"),
        ];
        let settings = of(&secrets);
        let stored = serde_json::to_string(&settings).unwrap();
        assert!(!stored.contains("sec") && !stored.contains("user"), "{stored}");
        assert_eq!(settings.variable("HTTP_PROXY"), Some(OsStr::new("http://@p:1")));
        assert_eq!(settings.variable("https_proxy"), Some(OsStr::new("@p:1")));
        assert_eq!(settings.variable("PATH"), Some(OsStr::new("/bin")));
        assert_eq!(serde_json::from_str::<Settings>(&stored).unwrap(), settings);
        let plain = of(&[("HTTP_PROXY", "http://p:1")]);
        assert_eq!(plain.proxy("HTTP_PROXY").as_deref(), Some("http://p:1"));
        assert_eq!(plain.proxy("HTTPS_PROXY"), None);
        assert_eq!(plain.strange_proxy(), None);
        let own = of(&[("HTTPS_PROXY", "http://user:secret@p:1")]);
        assert_eq!(own.strange_proxy(), Some(&"http://@p:1".into()), "this process has no such proxy");
    }
}
