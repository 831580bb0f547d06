//! The HTTP client for a place: its proxies, and whom it trusts. Both are those of the environment that
//! the settings are from, never of this process.

use std::env;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Identity, NoProxy, Proxy, Url};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_native_certs::load_certs_from_paths;

use super::Settings;
use super::settings::{CERTIFICATES, MAX_FILE};
use crate::rights;

const CONNECT: Duration = Duration::from_secs(10);
/// Between one byte and the next: a download may take as long as it likes, if it goes on.
const SILENCE: Duration = Duration::from_secs(60);

/// The way a place is spoken to, as far as the site says so.
#[derive(Default)]
pub(super) struct Connection {
    /// Certificates that are trusted besides the usual ones.
    pub(super) certificates: Vec<Certificate>,
    /// Our own certificate, with its key.
    pub(super) identity: Option<Identity>,
    /// It may be anybody.
    pub(super) skip_verify: bool,
    /// The headers of each request for an image.
    pub(super) headers: HeaderMap,
    /// The time that connecting may take.
    pub(super) timeout: Option<Duration>,
}

/// A client for a place.
pub(super) fn client(base: &Url, how: Connection, settings: &Settings) -> reqwest::Result<Client> {
    if CryptoProvider::get_default().is_none() {
        // It fails if there has come to be one meanwhile, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .user_agent(concat!("drmaa2-containerd/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(how.timeout.unwrap_or(CONNECT))
        .read_timeout(SILENCE)
        .tls_danger_accept_invalid_certs(how.skip_verify)
        .tls_certs_only(trusted(settings).into_iter().chain(how.certificates));
    let builder = how.identity.into_iter().fold(builder, reqwest::ClientBuilder::identity);
    // Without its own look at the environment.
    proxies(&|name| settings.proxy(name), is_loopback(base))
        .into_iter()
        .fold(builder.no_proxy(), reqwest::ClientBuilder::proxy)
        .build()
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The proxies of an environment. A registry on the loopback interface may send us elsewhere; for that
/// interface itself there are none.
fn proxies(env: &dyn Fn(&str) -> Option<String>, from_loopback: bool) -> Vec<Proxy> {
    let set = |name: &str| {
        let found = env(&name.to_lowercase()).or_else(|| env(name));
        found.filter(|value| !value.is_empty())
    };
    let mut direct = set("NO_PROXY").unwrap_or_default();
    if from_loopback {
        direct = format!("localhost,127.0.0.0/8,::1,{direct}");
    }
    let all = set("ALL_PROXY");
    let https = set("HTTPS_PROXY").or(all.clone()).map(Proxy::https);
    let http = set("HTTP_PROXY").or(all).map(Proxy::http);
    // One that makes no sense is left out, as it is elsewhere.
    let made = [https, http].into_iter().flatten().filter_map(Result::ok);
    made.map(|proxy| proxy.no_proxy(NoProxy::from_string(&direct))).collect()
}

/// The certificates that the environment names, or else those of the system.
fn trusted(settings: &Settings) -> Vec<Certificate> {
    let [file, dirs] = CERTIFICATES.map(|name| settings.variable(name));
    let file = file.map(Path::new);
    let dirs: Vec<PathBuf> = match (file, dirs) {
        (None, None) => openssl_probe::candidate_cert_dirs().map(Path::to_owned).collect(),
        (_, dirs) => dirs.map(|dirs| env::split_paths(dirs).collect()).unwrap_or_default(),
    };
    let found: Vec<_> = dirs.iter().map(|dir| load_certs_from_paths(None, Some(dir))).collect();
    for error in found.iter().flat_map(|found| &found.errors) {
        tracing::debug!(%error, "trusted certificates");
    }
    let named = file.map(certificates).unwrap_or_default();
    // A system may have some that are not understood; they are trusted by nobody.
    let is_understood = |der: &&[u8]| RootCertStore::empty().add(der.to_vec().into()).is_ok();
    let all = named.iter().chain(found.iter().flat_map(|found| &found.certs)).map(AsRef::as_ref);
    all.filter(is_understood).filter_map(|der| Certificate::from_der(der).ok()).collect()
}

/// The certificates in a file. What cannot be read is left out, as it is from a directory.
fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let untrusted = |error: &dyn Display| {
        tracing::debug!(file = %file.display(), %error, "trusted certificates");
    };
    let text = rights::read(file, MAX_FILE).inspect_err(|error| untrusted(error)).unwrap_or_default();
    let found = CertificateDer::pem_slice_iter(&text);
    found.filter_map(|one| one.inspect_err(|error| untrusted(error)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_many_names() {
        let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(is("https://127.8.0.1:5000") && is("http://[::1]:1") && is("https://localhost"));
        assert!(!is("https://localhost.example") && !is("https://10.0.0.1"));
    }

    #[test]
    fn what_leaves_the_loopback_interface_goes_through_the_proxies() {
        let of = |set: &[(&str, &str)]| {
            let env = |name: &str| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            proxies(&env, true).len()
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[("HTTPS_PROXY", "")]), 0);
        assert_eq!(of(&[("https_proxy", "http://p:1"), ("NO_PROXY", "a.example")]), 1);
        assert_eq!(of(&[("ALL_PROXY", "http://p:1")]), 2);
    }
}
