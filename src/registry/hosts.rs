//! Where a registry's images can be had: its mirrors and itself, as `hosts.toml` has it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use toml::Value;

use super::auth::Authority;
use super::client::{client, is_loopback};
use super::credentials::Place;
use super::endpoint::{Endpoint, cause};
use super::{Failure, Name, Settings};
use crate::sync::Mutex;

/// Docker's own registry is not at the address that is in the names of its images.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// The directory for registries that have none of their own.
const ANY: &str = "_default";

/// What a `hosts.toml` says of a registry or a mirror. A key that is not known is an error: it would be
/// a setting silently lost.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
struct Properties {
    capabilities: Option<Vec<String>>,
    ca: Option<Files>,
    skip_verify: bool,
    override_path: bool,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum Files {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

/// The places that a file names, in the order in which they are to be tried.
type Places = Vec<(String, Properties)>;

impl Properties {
    fn allows(&self, what: &str) -> bool {
        self.capabilities.as_ref().is_none_or(|all| all.iter().any(|one| one == what))
    }

    fn certificates(&self, dir: &Path) -> Result<Vec<Certificate>, Failure> {
        let files = match &self.ca {
            None => &[],
            Some(Files::One(file)) => std::slice::from_ref(file),
            Some(Files::Many(files)) => files.as_slice(),
        };
        let mut all = Vec::new();
        for file in files.iter().map(|file| dir.join(file)) {
            let bad = |error: &dyn std::fmt::Display| {
                Failure::lasting(format!("certificates {}: {error}", file.display()))
            };
            let text = fs::read(&file).map_err(|error| bad(&error))?;
            all.extend(Certificate::from_pem_bundle(&text).map_err(|error| bad(&cause(&error)))?);
        }
        Ok(all)
    }
}

/// The places for an image, in the order in which they are to be tried.
pub(super) async fn endpoints(name: &Name, settings: &Settings) -> Result<Vec<Endpoint>, Failure> {
    let dirs = directories(&name.host).map(|dir| settings.certs_dir.as_path().join(dir));
    let Some(dir) = dirs.iter().find(|dir| dir.join("hosts.toml").exists()) else {
        return Ok(vec![endpoint(&name.host, &Properties::default(), &dirs[0], name, settings).await?]);
    };
    let file = dir.join("hosts.toml");
    let mut all = Vec::new();
    for (url, properties) in read(&file, name)? {
        let made = endpoint(&url, &properties, dir, name, settings).await;
        all.push(made.map_err(|failure| named(failure, &file))?);
    }
    Ok(all)
}

/// The directories that a registry may have, the first that is there counts. A name with a colon in it has
/// a form without.
fn directories(host: &str) -> [String; 3] {
    let plain = host.rsplit_once(':').map_or(host.to_owned(), |(name, port)| format!("{name}_{port}_"));
    [plain, host.to_owned(), ANY.to_owned()]
}

fn named(failure: Failure, file: &Path) -> Failure {
    Failure { error: failure.error.of(file.display()), ..failure }
}

fn read(file: &Path, name: &Name) -> Result<Places, Failure> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
        text => Ok(text.unwrap_or_default()),
    };
    text.and_then(|text| parse(&text, name))
        .map_err(|cause| named(Failure::lasting(cause.trim_end()), file))
}

fn parse(text: &str, name: &Name) -> Result<Places, String> {
    let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut places = Places::new();
    if let Some(hosts) = table.remove("host") {
        let Value::Table(hosts) = hosts else { return Err("host is not a table".to_owned()) };
        for (url, properties) in hosts {
            let properties =
                properties.try_into().map_err(|error| format!("host \"{url}\": {error}"))?;
            places.push((url, properties));
        }
    }
    let server = match table.remove("server") {
        None => name.host.clone(),
        Some(Value::String(server)) => server,
        Some(other) => return Err(format!("server is {other}, which is no URL")),
    };
    let own = Value::Table(table).try_into().map_err(|error| error.to_string())?;
    places.push((server, own));
    Ok(places)
}

/// `place` is a URL, or a host that is to be asked how it is spoken to.
async fn endpoint(
    place: &str,
    properties: &Properties,
    dir: &Path,
    name: &Name,
    settings: &Settings,
) -> Result<Endpoint, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::lasting(format!("\"{place}\": {error}"));
    let address = if place == "docker.io" { DOCKER_HUB } else { place };
    let has_scheme = address.contains("://");
    let text = if has_scheme { address.to_owned() } else { format!("https://{address}") };
    let mut base = Url::parse(&text).map_err(|error| bad(&error))?;
    if !matches!(base.scheme(), "https" | "http") {
        return Err(bad(&"it is neither https nor http"));
    }
    let port = base.port().map_or(String::new(), |port| format!(":{port}"));
    let mut host = format!("{}{port}", base.host_str().unwrap_or_default());
    if host == DOCKER_HUB {
        "docker.io".clone_into(&mut host);
    }
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&if properties.override_path { format!("{path}/") } else { format!("{path}/v2/") });
    if host != name.host {
        // A mirror of several registries has to know which is meant.
        base.query_pairs_mut().append_pair("ns", &name.host);
    }
    let certificates = properties.certificates(dir)?;
    let made = client(&base, &certificates, properties.skip_verify, settings);
    let client = made.map_err(|error| bad(&cause(&error)))?;
    if !has_scheme && is_loopback(&base) && !speaks_tls(&client, &base).await {
        // Of these two schemes each can be changed into the other.
        let _ = base.set_scheme("http");
    }
    Ok(Endpoint {
        client,
        base,
        resolves: properties.allows("resolve"),
        pulls: properties.allows("pull"),
        authority: Authority {
            place: Place { host, repository: name.repository.clone() },
            settings: settings.clone(),
        },
        authorization: Mutex::default(),
        is_down: AtomicBool::new(false),
    })
}

/// Only a server that was spoken to gives an answer, whatever it is.
async fn speaks_tls(client: &Client, base: &Url) -> bool {
    match client.get(base.clone()).send().await {
        Ok(_) => true,
        // A certificate that is not trusted was sent by one that speaks TLS.
        Err(error) => cause(&error).contains("certificate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::parse("docker.io/library/x:1").unwrap()
    }

    #[test]
    fn mirrors_come_in_the_order_of_the_file_and_before_the_server() {
        let text = "server = 'https://s'\nskip_verify = true\n\
                    [host.'https://z']\ncapabilities = ['pull']\n[host.'http://a']\nca = 'x.pem'\n";
        let places = parse(text, &name()).unwrap();
        let urls: Vec<_> = places.iter().map(|(url, _)| url.as_str()).collect();
        assert_eq!(urls, ["https://z", "http://a", "https://s"]);
        assert!(places[0].1.allows("pull") && !places[0].1.allows("resolve"));
        assert_eq!(places[1].1.ca, Some(Files::One("x.pem".into())));
        assert!(places[1].1.allows("resolve") && places[2].1.skip_verify);
        assert_eq!(parse("", &name()).unwrap(), [("docker.io".to_owned(), Properties::default())]);
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, part) in [
            ("sever = 'x'", "sever"),
            ("server = 1", "server is 1"),
            ("[host.'https://m']\nskip_verifi = true", "https://m"),
            ("host = 1", "host"),
        ] {
            let error = parse(text, &name()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_registry_with_a_port_has_a_directory_in_either_form() {
        assert_eq!(directories("h.example:5000"), ["h.example_5000_", "h.example:5000", "_default"]);
        assert_eq!(directories("quay.io"), ["quay.io", "quay.io", "_default"]);
    }

    #[tokio::test]
    async fn a_place_is_asked_below_its_path() {
        let settings = Settings::default();
        let of = async |place: &str, properties: &Properties| {
            endpoint(place, properties, Path::new("/"), &name(), &settings).await
        };
        let plain = Properties::default();
        let url = of("http://127.0.0.1:1/a", &plain).await.map_err(|it| it.error).unwrap().base;
        assert_eq!(url.as_str(), "http://127.0.0.1:1/a/v2/?ns=docker.io");
        let bare = Properties { override_path: true, ..Properties::default() };
        let url = of("http://127.0.0.1:1/a", &bare).await.map_err(|it| it.error).unwrap().base;
        assert_eq!(url.as_str(), "http://127.0.0.1:1/a/?ns=docker.io");
        let error = of("ftp://x", &plain).await.err().unwrap().error;
        assert!(error.message.contains("ftp://x"), "{error}");
    }
}
