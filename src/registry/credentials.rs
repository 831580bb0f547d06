//! Credentials as Docker and podman keep them: in files, or with a helper that a file names.

use std::collections::BTreeMap;
use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Settings;
use super::helper::{self, Answer};
use super::settings::MAX_FILE;
use crate::model::json::{self, Shape};
use crate::model::{Error, ErrorCode, Result, Text};
use crate::rights;

/// The name under which the credentials of Docker's own registry are kept.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The user's name in a helper's answer if the secret is a token.
const TOKEN_USER: &str = "<token>";

/// The credentials for a registry, or for its authority.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Credentials {
    /// User and password.
    Password { user: String, password: String },
    /// A token that stands for both.
    Token(String),
}

impl From<Answer> for Credentials {
    fn from(Answer { username, secret }: Answer) -> Self {
        if username == TOKEN_USER {
            Self::Token(secret)
        } else {
            Self::Password { user: username, password: secret }
        }
    }
}

/// The part of a registry that credentials are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The registry.
    pub(super) host: String,
    /// The repository in it.
    pub(super) repository: String,
}

const SHAPE: Shape = Shape::Members(&[
    ("auths", Shape::Each(&ENTRY)),
    ("credHelpers", Shape::Any),
    ("credsStore", Shape::Any),
]);
const ENTRY: Shape = Shape::Members(&[
    ("auth", Shape::Any),
    ("username", Shape::Any),
    ("password", Shape::Any),
    ("identitytoken", Shape::Any),
]);

/// The parts of such a file that are used.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AuthFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl Place {
    /// Those of the first file that has some.
    pub(super) fn credentials(&self, settings: &Settings) -> Result<Option<Credentials>> {
        for file in settings.auth_files.iter().map(Text::as_path) {
            let of = |error: Error| error.of(format_args!("credentials in {}", file.display()));
            if let Some(found) = self.credentials_of(file, settings).map_err(of)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn credentials_of(&self, file: &Path, settings: &Settings) -> Result<Option<Credentials>> {
        let text = match settings.as_owner(|| Ok(rights::read(file, MAX_FILE)))? {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(None),
            // With another user's environment, as after `su`: what is his is not meant.
            Err(error) if error.kind() == PermissionDenied => {
                tracing::warn!(%error, file = %file.display(), "credentials cannot be read");
                return Ok(None);
            }
            Err(error) => return Err(Error::new(ErrorCode::of_io(&error), error.to_string())),
        };
        // Docker takes an empty file for one that says nothing.
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let file: AuthFile =
            json::read_as(&text, &SHAPE).map_err(|error| Error::argument(error.to_string()))?;
        let keys = self.keys();
        let helper = closest(&keys, &file.cred_helpers).or(file.creds_store.as_ref());
        // One without a name stands for the file itself.
        if let Some(name) = helper.filter(|name| !name.is_empty())
            && let Some(found) = helper::ask(name, self.server(), settings)?
        {
            return Ok(Some(found.into()));
        }
        closest(&keys, &file.auths).map_or(Ok(None), Entry::credentials)
    }

    /// The name by which a helper knows the registry.
    fn server(&self) -> &str {
        if self.host == "docker.io" { DOCKER_HUB } else { &self.host }
    }

    /// The names in a file that fit, the closest first: podman's may be for a part of a registry.
    fn keys(&self) -> Vec<String> {
        let mut keys = vec![format!("{}/{}", self.host, self.repository)];
        while let Some((shorter, _)) = keys.last().and_then(|key| key.rsplit_once('/')) {
            let shorter = shorter.to_owned();
            keys.push(shorter);
        }
        if self.host == "docker.io" {
            keys.push("index.docker.io".to_owned());
        }
        keys
    }
}

/// The entry of a file under the first of these names that it has.
fn closest<'a, T>(keys: &[String], known: &'a BTreeMap<String, T>) -> Option<&'a T> {
    keys.iter()
        .find_map(|key| known.iter().find_map(|(name, found)| (plain(name) == key).then_some(found)))
}

/// A name in a file without what does not matter in it.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::Token(self.identitytoken.clone())));
        }
        if self.auth.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            return Ok((!user.is_empty()).then_some(Credentials::Password { user, password }));
        }
        let bad = || Error::argument("an auth is not user:password in base64");
        let text: String = self.auth.split_ascii_whitespace().collect();
        let text = STANDARD.decode(text).map_err(|_| bad())?;
        let text = String::from_utf8(text).map_err(|_| bad())?;
        let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(bad)?;
        Ok(Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() }))
    }
}

/// Read a file with credentials for a fuzz target; the helpers that it names are not asked.
#[cfg(feature = "fuzzing")]
pub fn fuzz(text: &[u8], name: &super::Name) {
    let place = Place { host: name.host.clone(), repository: name.repository.clone() };
    if let Ok(file) = json::read_as::<AuthFile>(text, &SHAPE) {
        let keys = place.keys();
        let _ = closest(&keys, &file.cred_helpers).or(file.creds_store.as_ref());
        let _ = closest(&keys, &file.auths).map(Entry::credentials);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use crate::tracker::Submitter;

    fn place(host: &str, repository: &str) -> Place {
        Place { host: host.into(), repository: repository.into() }
    }

    fn user(place: &Place, settings: &Settings) -> Option<String> {
        place.credentials(settings).unwrap().map(|found| match found {
            Credentials::Password { user, password } => format!("{user}:{password}"),
            Credentials::Token(token) => token,
        })
    }

    #[test]
    fn the_closest_entry_counts_and_the_first_file() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, missing] = ["1", "2", "3"].map(|name| dir.path().join(name));
        let auth = |text: &str| STANDARD.encode(text);
        let json = serde_json::json!({ "auths": {
            "https://index.docker.io/v1/": { "auth": auth("hub:a:b") },
            "quay.io": { "auth": auth("all:1") },
            "quay.io/team": { "auth": auth("team:2") },
            "t.example": { "identitytoken": "secret" },
            "empty.example": {},
        }});
        fs::write(&first, json.to_string()).unwrap();
        let json = serde_json::json!({ "auths": { "quay.io": { "auth": auth("late:1") },
            "empty.example": { "username": "u", "password": "p" } }});
        fs::write(&second, json.to_string()).unwrap();
        let auth_files = [missing, first, second].iter().map(|file| file.as_path().into()).collect();
        let settings = Settings { auth_files, ..Settings::default() };
        let of = |host: &str, repository: &str| user(&place(host, repository), &settings);
        assert_eq!(of("docker.io", "library/x").as_deref(), Some("hub:a:b"));
        assert_eq!(of("quay.io", "other/x").as_deref(), Some("all:1"));
        assert_eq!(of("quay.io", "team/x").as_deref(), Some("team:2"));
        assert_eq!(of("quay.io", "teams/x").as_deref(), Some("all:1"));
        assert_eq!(of("t.example", "x").as_deref(), Some("secret"));
        assert_eq!(of("empty.example", "x").as_deref(), Some("u:p"));
        assert_eq!(of("other.example", "x"), None);
    }

    #[test]
    fn files_are_read_as_docker_and_podman_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        let settings = Settings { auth_files: vec![file.as_path().into()], ..Settings::default() };
        let of = |text: &str| {
            fs::write(&file, text).unwrap();
            user(&place("h", "r"), &settings)
        };
        for nothing in [
            "",
            " \n",
            "null",
            "{}",
            r#"{"auths": null}"#,
            r#"{"auths": {"h": null}}"#,
            r#"{"auths": {"h": {"auth": null}}, "credHelpers": null, "credsStore": null}"#,
        ] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        let auth = STANDARD.encode("user:pass");
        let (first, rest) = auth.split_at(6);
        for text in [format!("{first}\\n{rest}\\r\\n"), format!(" {auth} "), auth.clone()] {
            let text = format!(
                r#"{{"auths": {{"h": {{"auth": "{text}", "email": null, "identitytoken": null}}}}}}"#
            );
            assert_eq!(of(&text).as_deref(), Some("user:pass"), "{text}");
        }
    }

    #[test]
    fn a_huge_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
        let settings = Settings { auth_files: vec![file.as_path().into()], ..Settings::default() };
        let error = place("h", "r").credentials(&settings).unwrap_err();
        let cause = format!("credentials in {}: it is larger than 8388608 bytes", file.display());
        assert_eq!((error.code, error.message), (ErrorCode::InvalidArgument, cause));
    }

    #[test]
    fn a_place_that_is_none_of_this_users_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let [plain, good, bad] = ["plain", "good", "bad"].map(|name| dir.path().join(name));
        let auths = serde_json::json!({ "auths": { "h": { "username": "u", "password": "p" } } });
        fs::write(&plain, "").unwrap();
        fs::write(&good, auths.to_string()).unwrap();
        fs::write(&bad, "{").unwrap();
        let below = plain.join("config.json");
        let of = |files: &[&PathBuf]| {
            let auth_files = files.iter().map(|file| file.as_path().into()).collect();
            place("h", "x").credentials(&Settings { auth_files, ..Settings::default() })
        };
        assert!(of(&[&below, &good]).unwrap().is_some());
        assert!(of(&[&below]).unwrap().is_none());
        let error = of(&[&bad, &good]).unwrap_err();
        assert!(error.message.contains(&format!("credentials in {}", bad.display())), "{error}");
    }

    #[test]
    fn credentials_of_another_user_are_looked_for_with_his_rights() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mode =
            |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(dir.path(), 0o755);
        let [roots, his, helper] =
            ["roots", "his", "docker-credential-his"].map(|name| dir.path().join(name));
        let auths = serde_json::json!({ "auths": { "h": { "username": "u", "password": "p" } } });
        fs::write(&roots, auths.to_string()).unwrap();
        mode(&roots, 0o600);
        fs::write(&his, r#"{"credsStore": "his"}"#).unwrap();
        let script = r#"#!/bin/sh
echo "{\"Username\":\"$(id -u):$(id -G)\",\"Secret\":\"$HOME\"}"
"#;
        fs::write(&helper, script).unwrap();
        mode(&helper, 0o755);
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let nobody = Submitter {
            user: "nobody".into(),
            uid: 65534,
            gid: 65534,
            groups: vec![65534],
            umask: 0o22,
            machine: "m".into(),
        };
        let mut settings = Settings {
            auth_files: vec![roots.as_path().into(), his.as_path().into()],
            env: [("PATH".to_owned(), path.into()), ("HOME".to_owned(), "/his".into())].into(),
            owner: Some(nobody),
            ..Settings::default()
        };
        assert_eq!(user(&place("h", "x"), &settings).unwrap(), "65534:65534:/his");
        settings.owner = None;
        assert_eq!(user(&place("h", "x"), &settings).unwrap(), "u:p");
    }

    #[test]
    fn a_helper_is_asked_and_what_it_says_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let helper = |name: &str, script: &str| {
            let path = dir.path().join(format!("docker-credential-{name}"));
            fs::write(&path, format!("#!/bin/sh\nread -r server\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        helper("good", r#"echo "{\"Username\":\"$1\",\"Secret\":\"$server\"}""#);
        helper("hub", r#"echo "{\"Username\":\"hub\",\"Secret\":\"$server\"}""#);
        helper("none", "echo credentials not found in native keychain; exit 1");
        helper("bad", "echo the key chain is locked; exit 1");
        let file = dir.path().join("config.json");
        let json = serde_json::json!({ "credsStore": "good",
            "credHelpers": { DOCKER_HUB: "hub", "https://url.example/v2/": "hub", "none.example": "none", "bad.example": "bad", "gone.example": "gone" } });
        fs::write(&file, json.to_string()).unwrap();
        let env = [("PATH".to_owned(), dir.path().into())].into();
        let settings = Settings { auth_files: vec![file.as_path().into()], env, ..Settings::default() };
        assert_eq!(user(&place("docker.io", "x"), &settings).unwrap(), format!("hub:{DOCKER_HUB}"));
        assert_eq!(user(&place("url.example", "x"), &settings).unwrap(), "hub:url.example");
        assert_eq!(user(&place("h:5000", "x"), &settings).unwrap(), "get:h:5000");
        assert_eq!(user(&place("none.example", "x"), &settings), None);
        for (host, cause) in [("bad", "the key chain is locked"), ("gone", "docker-credential-gone")] {
            let error = place(&format!("{host}.example"), "x").credentials(&settings).unwrap_err();
            assert!(error.message.contains(cause), "{error}");
        }
    }
}
