//! The places of a registry's images: its mirrors and itself, as `hosts.toml` has it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Identity, Url};
use serde::Deserialize;
use toml::Value;

use super::auth::Authority;
use super::client::{Connection, client, is_loopback};
use super::credentials::Place;
use super::endpoint::Endpoint;
use super::failure::{Failure, cause};
use super::settings::MAX_FILE;
use super::{Name, Settings};
use crate::rights;
use crate::sync::Mutex;

/// Docker's own registry is not at the address that is in the names of its images.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// The uses that a place may have.
const CAPABILITIES: [&str; 4] = ["pull", "resolve", "push", "referrers"];
/// The directory for registries that have none of their own.
const ANY: &str = "_default";

/// The settings of a registry or a mirror in a `hosts.toml`.
#[derive(Debug, Clone, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Properties {
    capabilities: Option<Vec<String>>,
    ca: Option<Several<PathBuf>>,
    /// Files with a certificate and its key in one, or in two.
    client: Option<Several<Several<PathBuf>>>,
    skip_verify: bool,
    override_path: bool,
    header: BTreeMap<String, Several<String>>,
    dial_timeout: Option<String>,
    /// Keys that a later version of containerd may know.
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum Several<T> {
    // First: a list of files is a list, and not one entry of several files.
    Many(Vec<T>),
    One(T),
}

impl<T> Several<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The places that a file names, in the order in which they are to be tried.
type Places = Vec<(String, Properties)>;

impl Properties {
    /// Those of a directory without a `hosts.toml`, whose certificates have names as Docker has them: `.crt` are to be
    /// trusted, a `.cert` with its `.key` is ours.
    fn of_certificates(dir: &Path) -> Self {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        let of = |end: &'static str| {
            files.iter().filter(|file| file.extension() == Some(OsStr::new(end))).cloned()
        };
        let pair = |file: PathBuf| Several::Many(vec![file.clone(), file.with_extension("key")]);
        Self {
            ca: Some(Several::Many(of("crt").collect())),
            client: Some(Several::Many(of("cert").map(pair).collect())),
            ..Self::default()
        }
    }

    /// A place for which none is said, or an empty list, has all of them.
    fn allows(&self, what: &str) -> bool {
        let said = self.capabilities.as_deref().unwrap_or_default();
        said.is_empty() || said.iter().any(|one| one.eq_ignore_ascii_case(what))
    }

    /// Refuse what is no capability: the place would silently be asked for less than was meant.
    fn check(&self) -> Result<(), Failure> {
        let is_known = |one: &&String| CAPABILITIES.iter().any(|known| one.eq_ignore_ascii_case(known));
        match self.capabilities.iter().flatten().find(|one| !is_known(one)) {
            None => Ok(()),
            Some(other) => Err(Failure::lasting(format!("\"{other}\" is no capability"))),
        }
    }

    fn connection(&self, dir: &Path) -> Result<Connection, Failure> {
        let mut how = Connection { skip_verify: self.skip_verify, ..Connection::default() };
        for file in self.ca.iter().flat_map(Several::all).map(|file| dir.join(file)) {
            let bad = |error: &dyn Display| bad_file(&file, error);
            let text = rights::read(&file, MAX_FILE).map_err(|error| bad(&error))?;
            let found = Certificate::from_pem_bundle(&text).map_err(|error| bad(&cause(&error)))?;
            how.certificates.extend(found);
        }
        // One is all that can be shown.
        if let Some(files) = self.client.iter().flat_map(Several::all).next() {
            let mut text = Vec::new();
            for file in files.all().iter().map(|file| dir.join(file)) {
                text.extend(rights::read(&file, MAX_FILE).map_err(|error| bad_file(&file, &error))?);
                text.push(b'\n');
            }
            let file = files.all().first().map_or_else(|| dir.to_owned(), |file| dir.join(file));
            how.identity =
                Some(Identity::from_pem(&text).map_err(|error| bad_file(&file, &cause(&error)))?);
        }
        for (name, values) in &self.header {
            let bad = |error: &dyn Display| Failure::lasting(format!("header \"{name}\": {error}"));
            let key = HeaderName::try_from(name).map_err(|error| bad(&error))?;
            for value in values.all() {
                let mut value = HeaderValue::try_from(value).map_err(|error| bad(&error))?;
                value.set_sensitive(true);
                how.headers.append(key.clone(), value);
            }
        }
        if let Some(text) = &self.dial_timeout {
            let bad = || Failure::lasting(format!("dial_timeout \"{text}\" is no duration"));
            // None at all is that of everybody.
            how.timeout = Some(duration(text).ok_or_else(bad)?).filter(|span| !span.is_zero());
        }
        Ok(how)
    }
}

fn bad_file(file: &Path, error: &dyn Display) -> Failure {
    Failure::lasting(format!("certificates {}: {error}", file.display()))
}

/// A duration as Go writes it: numbers with units, such as `1m30s` or `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = if text == "0" { "0s" } else { text };
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let unit =
            rest[number..].find(|char: char| char.is_ascii_digit()).map_or(rest.len(), |at| number + at);
        let scale = match &rest[number..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += rest[..number].parse::<f64>().ok()? * scale;
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The places for an image, in the order in which they are to be tried.
pub(super) async fn endpoints(name: &Name, settings: &Settings) -> Result<Vec<Endpoint>, Failure> {
    let dirs = directories(&name.host).map(|dir| settings.certs_dir.as_path().join(dir));
    let dir = dirs.iter().find(|dir| dir.is_dir()).unwrap_or(&dirs[0]);
    let file = dir.join("hosts.toml");
    if !file.exists() {
        return Ok(vec![
            endpoint(&name.host, &Properties::of_certificates(dir), dir, name, settings).await?,
        ]);
    }
    let mut all = Vec::new();
    for (url, properties) in read(&file, name)? {
        for key in properties.unknown.keys() {
            tracing::warn!(file = %file.display(), url, key, "a key that is not known");
        }
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
    let text = match rights::read(file, MAX_FILE) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error.to_string()),
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
    let bad = |error: &dyn Display| Failure::lasting(format!("\"{place}\": {error}"));
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
    // One that ends with that of the interface is whole.
    let is_whole = properties.override_path || path.ends_with("/v2");
    base.set_path(&if is_whole { format!("{path}/") } else { format!("{path}/v2/") });
    if host != name.host {
        // A mirror of several registries has to know which is meant.
        base.query_pairs_mut().append_pair("ns", &name.host);
    }
    properties.check()?;
    let connection = properties.connection(dir)?;
    let headers = connection.headers.clone();
    let made = client(&base, connection, settings);
    let client = made.map_err(|error| bad(&cause(&error)))?;
    if !has_scheme && is_loopback(&base) && !speaks_tls(&client, &base).await {
        // Of these two schemes each can be changed into the other.
        let _ = base.set_scheme("http");
    }
    Ok(Endpoint {
        client,
        base,
        headers,
        resolves: properties.allows("resolve"),
        pulls: properties.allows("pull"),
        authority: Authority {
            place: Place { host, repository: name.repository.clone() },
            settings: settings.clone(),
            has_shown: AtomicBool::new(false),
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
        Err(error) => cause(&error).to_lowercase().contains("certificate"),
    }
}

/// Read a `hosts.toml` for a fuzz target; the files that it names are not opened.
#[cfg(feature = "fuzzing")]
pub fn fuzz(text: &str, name: &Name) {
    for (_, properties) in parse(text, name).unwrap_or_default() {
        let _ = (properties.check(), properties.allows("pull"));
        let _ = Properties { ca: None, client: None, ..properties }.connection(Path::new("/"));
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
        assert_eq!(places[1].1.ca, Some(Several::One("x.pem".into())));
        assert!(places[1].1.allows("resolve") && places[2].1.skip_verify);
        assert_eq!(parse("", &name()).unwrap(), [("docker.io".to_owned(), Properties::default())]);
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, part) in [
            ("server = 1", "server is 1"),
            ("[host.'https://m']\nskip_verify = 1", "https://m"),
            ("host = 1", "host"),
        ] {
            let error = parse(text, &name()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn huge_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("huge");
        fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
        let cause = format!("{}: it is larger than 8388608 bytes", file.display());
        assert_eq!(read(&file, &name()).unwrap_err().error.message, cause);
        let huge = Some(Several::One(file.clone()));
        let certificate = Properties { ca: huge, ..Properties::default() };
        let pair = Several::Many(vec![file.clone(), file]);
        let identity = Properties { client: Some(Several::One(pair)), ..Properties::default() };
        for properties in [certificate, identity] {
            let error = properties.connection(dir.path()).err().unwrap().error;
            assert_eq!(error.message, format!("certificates {cause}"));
        }
    }

    #[test]
    fn every_key_of_containerd_is_known_and_others_are_no_mistake() {
        let text = "later = 1\n[host.'https://m']\nclient = [['c.pem', 'k.pem']]\ndial_timeout = '1m0.5s'\n\
                    ca = ['a', 'b']\nnew = true\n[host.'https://m'.header]\nx-one = 'a'\nx-two = ['b', 'c']\n";
        let places = parse(text, &name()).unwrap();
        let keys = |at: usize| places[at].1.unknown.keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!((keys(0), keys(1)), (vec!["new"], vec!["later"]));
        let Properties { client, header, ca, .. } = &places[0].1;
        assert_eq!(client.as_ref().unwrap().all()[0].all(), [PathBuf::from("c.pem"), "k.pem".into()]);
        assert_eq!((header["x-two"].all().len(), ca.as_ref().unwrap().all().len()), (2, 2));
        for text in ["client = 'both.pem'", "client = ['both.pem', 'other.pem']"] {
            let places = parse(text, &name()).unwrap();
            assert_eq!(places[0].1.client.as_ref().unwrap().all()[0].all(), [PathBuf::from("both.pem")]);
        }
        let connection =
            Properties { client: None, ca: None, ..places[0].1.clone() }.connection(Path::new("/"));
        let connection = connection.map_err(|failure| failure.error).unwrap();
        assert_eq!(connection.timeout, Some(Duration::from_millis(60_500)));
        assert_eq!(connection.headers.get_all("x-two").iter().count(), 2);
        for wrong in ["", "1", "s", "1x", "-1s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
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
        let url = of("http://127.0.0.1:1/v2/", &plain).await.map_err(|it| it.error).unwrap().base;
        assert_eq!(url.as_str(), "http://127.0.0.1:1/v2/?ns=docker.io");
        let bare = Properties { override_path: true, ..Properties::default() };
        let url = of("http://127.0.0.1:1/a", &bare).await.map_err(|it| it.error).unwrap().base;
        assert_eq!(url.as_str(), "http://127.0.0.1:1/a/?ns=docker.io");
        let error = of("ftp://x", &plain).await.err().unwrap().error;
        assert!(error.message.contains("ftp://x"), "{error}");
    }
}
