//! Where a registry's images can be had: its mirrors and itself, as `hosts.toml` has it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::{Certificate, Client, NoProxy, Proxy, Url};
use rustls::crypto::CryptoProvider;
use serde::Deserialize;
use toml::Value;

use super::auth::Authority;
use super::credentials::Place;
use super::endpoint::{Endpoint, cause};
use super::{Failure, Name, Settings};
use crate::sync::Mutex;

const CONNECT: Duration = Duration::from_secs(10);
/// Between one byte and the next: a download may take as long as it likes, if it goes on.
const SILENCE: Duration = Duration::from_secs(60);
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
    let dirs = directories(&name.host).map(|dir| settings.certs_dir.join(dir));
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
    let mut client = client(&base, &certificates, properties.skip_verify);
    if !has_scheme && is_loopback(&base) && !speaks_tls(client.as_ref().ok(), &base).await {
        // Of these two schemes each can be changed into the other.
        let _ = base.set_scheme("http");
        client = self::client(&base, &certificates, properties.skip_verify);
    }
    Ok(Endpoint {
        client: client.map_err(|error| bad(&cause(&error)))?,
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
async fn speaks_tls(client: Option<&Client>, base: &Url) -> bool {
    match client {
        Some(client) => match client.get(base.clone()).send().await {
            Ok(_) => true,
            // A certificate that is not trusted was sent by one that speaks TLS.
            Err(error) => cause(&error).contains("certificate"),
        },
        None => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn client(base: &Url, certificates: &[Certificate], skip_verify: bool) -> reqwest::Result<Client> {
    if CryptoProvider::get_default().is_none() {
        // It fails if there has come to be one meanwhile, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let begun = || {
        let builder = Client::builder()
            .user_agent(concat!("drmaa2-containerd/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .tls_danger_accept_invalid_certs(skip_verify);
        match is_loopback(base) {
            true => proxies(&|name| std::env::var(name).ok())
                .into_iter()
                .fold(builder.no_proxy(), reqwest::ClientBuilder::proxy),
            false => builder,
        }
    };
    let certificates = || certificates.iter().cloned();
    match begun().tls_certs_merge(certificates()).build() {
        // It may send us to a place that speaks TLS; if it does not, the system's certificates need not be
        // there.
        Err(_) if base.scheme() == "http" && is_loopback(base) => {
            begun().tls_certs_only(certificates()).build()
        }
        made => made,
    }
}

/// The proxies of an environment for where a registry on the loopback interface may send us; for that
/// itself none.
fn proxies(env: &dyn Fn(&str) -> Option<String>) -> Vec<Proxy> {
    let set = |name: &str| {
        let found = env(&name.to_lowercase()).or_else(|| env(name));
        found.filter(|value| !value.is_empty())
    };
    let direct = format!("localhost,127.0.0.0/8,::1,{}", set("NO_PROXY").unwrap_or_default());
    let all = set("ALL_PROXY");
    let https = set("HTTPS_PROXY").or(all.clone()).map(Proxy::https);
    let http = set("HTTP_PROXY").or(all).map(Proxy::http);
    // One that makes no sense is left out, as it is elsewhere.
    let made = [https, http].into_iter().flatten().filter_map(Result::ok);
    made.map(|proxy| proxy.no_proxy(NoProxy::from_string(&direct))).collect()
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

    #[test]
    fn loopback_has_many_names() {
        let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(is("https://127.8.0.1:5000") && is("http://[::1]:1") && is("https://localhost"));
        assert!(!is("https://localhost.example") && !is("https://10.0.0.1"));
    }

    #[test]
    fn who_leaves_the_loopback_interface_goes_through_the_proxies() {
        let of = |set: &[(&str, &str)]| {
            let env = |name: &str| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            proxies(&env).len()
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[("HTTPS_PROXY", "")]), 0);
        assert_eq!(of(&[("https_proxy", "http://p:1"), ("NO_PROXY", "a.example")]), 1);
        assert_eq!(of(&[("ALL_PROXY", "http://p:1")]), 2);
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
