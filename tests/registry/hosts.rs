//! `hosts.toml` and the directories around it in every form that is documented, read by the library and by containerd's
//! own client: both ask the same servers for the same, with the same headers and the same certificate.

use std::collections::BTreeSet;

use drmaa2::registry::{Name, Registry};
use serde_json::{Value, json};

use super::image::{Image, Layer, Packing};
use super::peer::Peer;
use super::rig::Rig;
use super::shelf::{Lock, Request, Shelf, Stock, TAG};
use super::tls_shelf::Identity;

/// The name of a registry that is at no address.
const NOWHERE: &str = "registry.invalid";

/// The answers of the two to a form.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    /// The image is there.
    Pulled,
    /// Neither gets it.
    Refused,
    /// The library alone gets it.
    PulledHere,
    /// `ctr` alone gets it.
    PulledThere,
    /// Both get it, each in its way.
    PulledOtherwise,
}

/// A form of the configuration: the registry of the image, and files in `certs.d`.
struct Form {
    name: &'static str,
    host: String,
    files: Vec<(String, String)>,
    verdict: Verdict,
}

/// The servers, and what they are called by.
struct World {
    one: Shelf,
    two: Shelf,
    safe: Shelf,
    six: Option<Shelf>,
    server: Identity,
    friend: Identity,
}

impl World {
    fn new() -> Self {
        let server = Identity::of("127.0.0.1");
        let open = |name, place| Shelf::with(name, Lock::Open, None, place);
        Self {
            one: open("one", "127.0.0.1:0"),
            two: open("two", "127.0.0.1:0"),
            safe: Shelf::with("safe", Lock::Open, Some(server.server()), "127.0.0.1:0"),
            six: std::net::TcpListener::bind("[::1]:0").ok().map(|_| open("six", "[::1]:0")),
            friend: Identity::of("friend"),
            server,
        }
    }

    fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        [&self.one, &self.two, &self.safe].into_iter().chain(&self.six)
    }

    /// A text in which the servers are `ONE`, `TWO` and `SAFE`.
    fn text(&self, text: &str) -> String {
        let six = self.six.as_ref().map_or("", |six| &six.address);
        text.replace("ONE", &self.one.address)
            .replace("TWO", &self.two.address)
            .replace("SAFE", &self.safe.address)
            .replace("SIX", six)
    }

    /// A form with one `hosts.toml`, for the registry at no address.
    fn toml(&self, name: &'static str, text: &str) -> Form {
        self.files(name, NOWHERE, &[(&format!("{NOWHERE}/hosts.toml"), text)])
    }

    fn files(&self, name: &'static str, host: &str, files: &[(&str, &str)]) -> Form {
        let files = files.iter().map(|(path, text)| (self.text(path), self.text(text))).collect();
        Form { name, host: self.text(host), files, verdict: Verdict::Pulled }
    }

    /// The same with certificates beside the file.
    fn secure(&self, name: &'static str, text: &str) -> Form {
        let mut form = self.toml(name, text);
        let both = format!("{}{}", self.friend.certificate, self.friend.key);
        for (file, text) in [
            ("ca.pem", &self.server.certificate),
            ("other.pem", &self.friend.certificate),
            ("both.pem", &both),
            ("mine.pem", &self.friend.certificate),
            ("mine.key", &self.friend.key),
            ("no.pem", &"nothing\n".to_owned()),
        ] {
            form.files.push((format!("{NOWHERE}/{file}"), text.clone()));
        }
        form
    }

    /// A directory as Docker has them, for the server with TLS.
    fn docker(&self, name: &'static str, dir: &str, files: &[(&str, &str)]) -> Form {
        let files: Vec<_> = files.iter().map(|(file, text)| (format!("{dir}/{file}"), *text)).collect();
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        self.files(name, "SAFE", &files)
    }

    fn seen(&self) -> Vec<Request> {
        self.shelves().flat_map(Shelf::take).collect()
    }
}

impl Form {
    fn but(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    fn refused(self) -> Self {
        self.but(Verdict::Refused)
    }
}

/// The questions, in a form in which the order does not count, nor how often one was asked.
fn asked(requests: &[Request]) -> BTreeSet<String> {
    let line = |request: &Request| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        // `ctr` finds out the digest of a tag first.
        let (path, _) = path.rsplit_once('/')?;
        let is_part = path.ends_with("/manifests") || path.ends_with("/blobs");
        let headers = [request.header("x-one"), request.header("x-two")];
        let certificate = request.certificate.as_deref().unwrap_or("none");
        is_part
            .then(|| format!("{} {path} {query} {headers:?} certificate {certificate}", request.server))
    };
    requests.iter().filter_map(line).collect()
}

/// Have the library read all parts of an image.
fn ours(rig: &Rig, name: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = |failure: drmaa2::registry::Failure| failure.error.to_string();
    runtime.block_on(async {
        let registry = Registry::of(Name::parse(name).unwrap(), &rig.configured.registry).await;
        let registry = registry.map_err(text)?;
        let manifest = registry.target().await.map_err(text)?;
        let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        for part in [&manifest["config"], &manifest["layers"][0]] {
            let digest = part["digest"].as_str().unwrap();
            let mut blob = registry.blob(digest, part["size"].as_u64().unwrap(), 0);
            while blob.next().await.map_err(text)?.is_some() {}
        }
        Ok(())
    })
}

/// The fault of a form, if it has one.
fn wrong(world: &World, rig: &mut Rig, peer: &Peer, form: &Form) -> Option<String> {
    let dir = format!("certs.d.{}", form.name);
    for (path, text) in &form.files {
        rig.file(&format!("{dir}/{path}"), text);
    }
    let certs = rig.dir.path().join(dir);
    std::fs::create_dir_all(&certs).unwrap();
    rig.configured.registry.certs_dir = certs.as_path().into();
    let layer = Layer::new(&[("name", form.name.as_bytes(), 0o644)], Packing::Plain);
    let stock = Stock::of(&Image::new(
        vec![layer],
        json!({ "Env": [format!("ODD={}", ulid::Ulid::generate())] }),
    ));
    world.shelves().for_each(|shelf| drop(shelf.put("app", stock.clone())));
    let name = format!("{}/app:{TAG}", form.host);
    world.seen();
    let here = ours(rig, &name);
    let here_asked = asked(&world.seen());
    // Before 2, `ctr` takes a file without a table of mirrors for none, and speaks to this machine without TLS.
    let is_understood = form.files.iter().any(|(path, text)| {
        path.starts_with(NOWHERE) && path.ends_with("hosts.toml") && text.contains("[host.")
    });
    if !peer.is_new && !is_understood {
        let is_expected = match form.verdict {
            Verdict::Refused | Verdict::PulledThere => here.is_err(),
            _ => here.is_ok(),
        };
        return (!is_expected).then(|| format!("the library: {here:?} {here_asked:#?}"));
    }
    let there = peer.pull(&name, &["--hosts-dir", certs.to_str().unwrap()]);
    let there_asked = asked(&world.seen());
    let fits = match (form.verdict, &here, &there) {
        (Verdict::Pulled, Ok(()), Ok(())) => here_asked == there_asked,
        (Verdict::PulledOtherwise, Ok(()), Ok(())) => here_asked != there_asked,
        (Verdict::Refused, Err(_), Err(_))
        | (Verdict::PulledHere, Ok(()), Err(_))
        | (Verdict::PulledThere, Err(_), Ok(())) => true,
        _ => false,
    };
    let told = || format!("the library: {here:?} {here_asked:#?}\nctr: {there:?} {there_asked:#?}");
    (!fits).then(told)
}

#[test]
fn hosts_files_are_read_as_containerd_reads_them() {
    let Some(mut rig) = Rig::new() else { return };
    let world = World::new();
    let peer = Peer::of(&rig);
    let forms = [servers(&world), mirrors(&world), settings(&world), tls(&world), directories(&world)];
    let mut faults = Vec::new();
    let forms: Vec<_> = forms.into_iter().flatten().collect();
    for form in &forms {
        if let Some(fault) = wrong(&world, &mut rig, &peer, form) {
            faults.push(format!("{}:\n{fault}", form.name));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), forms.len(), faults.join("\n\n"));
}

fn servers(world: &World) -> Vec<Form> {
    vec![
        world.toml("server", "server = 'http://ONE'"),
        world.toml("server-slash", "server = 'http://ONE/'"),
        world.toml("server-path", "server = 'http://ONE/a/b'"),
        world.toml("server-path-slash", "server = 'http://ONE/a/b/'"),
        world.toml("server-api", "server = 'http://ONE/v2'"),
        world.toml("server-api-below", "server = 'http://ONE/a/v2/'"),
        world.toml("server-own-path", "server = 'http://ONE/x/v2/'\noverride_path = true"),
        world.toml("server-own-path-none", "server = 'http://ONE'\noverride_path = true").refused(),
        // The library finds out how a server of this machine is spoken to, wherever it is named.
        world.toml("server-no-scheme", "server = 'ONE'").but(Verdict::PulledHere),
        world.toml("server-no-host", "server = 'http://'").refused(),
        world.toml("server-other-scheme", "server = 'ftp://ONE'").refused(),
        world.toml("server-a-number", "server = 1").refused(),
        world.toml("server-empty", "server = ''").refused(),
        world.toml("server-missing", "").refused(),
        world.toml("server-capitals", "server = 'HTTP://ONE'").but(Verdict::PulledHere),
        world.files("loopback", "ONE", &[]),
        world.files("loopback-empty-file", "ONE", &[("ONE/hosts.toml", "")]),
        world.files("loopback-server", "ONE", &[("ONE/hosts.toml", "server = 'http://ONE'")]),
        world.files("loopback-other-server", "ONE", &[("ONE/hosts.toml", "server = 'http://TWO'")]),
        world.files("localhost", "localhost:PORT", &[]),
    ]
    .into_iter()
    .map(|form| {
        let port = world.one.address.rsplit_once(':').unwrap().1;
        Form { host: form.host.replace("PORT", port), ..form }
    })
    .collect()
}

fn mirrors(world: &World) -> Vec<Form> {
    let gone = "http://127.0.0.1:1";
    let then = |name, text: &str| world.toml(name, &format!("server = 'http://TWO'\n{text}"));
    vec![
        then("mirror", "[host.'http://ONE']"),
        then("mirror-slash", "[host.'http://ONE/']"),
        then("mirror-path", "[host.'http://ONE/a']"),
        then("mirror-own-path", "[host.'http://ONE/x/v2']\noverride_path = true"),
        then("mirror-no-scheme", "[host.'ONE']").but(Verdict::PulledOtherwise),
        // The library reads a manifest where it finds out what the tag stands for.
        then("mirror-pull", "[host.'http://ONE']\ncapabilities = ['pull']")
            .but(Verdict::PulledOtherwise),
        // `ctr` asks for content whatever a place is there for.
        then("mirror-resolve", "[host.'http://ONE']\ncapabilities = ['resolve']")
            .but(Verdict::PulledOtherwise),
        then("mirror-both", "[host.'http://ONE']\ncapabilities = ['pull', 'resolve']"),
        then("mirror-push", "[host.'http://ONE']\ncapabilities = ['push']")
            .but(Verdict::PulledOtherwise),
        then("mirror-nothing", "[host.'http://ONE']\ncapabilities = []"),
        then("mirror-unknown", "[host.'http://ONE']\ncapabilities = ['fly']").refused(),
        then("mirror-no-list", "[host.'http://ONE']\ncapabilities = 'pull'").refused(),
        then("mirror-of-numbers", "[host.'http://ONE']\ncapabilities = [1]").refused(),
        then("mirror-other-letters", "[host.'http://ONE']\ncapabilities = ['Pull', 'RESOLVE']"),
        then("mirror-gone", &format!("[host.'{gone}']")),
        then("mirror-empty", "[host.'http://ONE/none']\noverride_path = true"),
        then("mirrors-in-order", "[host.'http://ONE/z']\n[host.'http://ONE/a']"),
        then("mirror-beside-others", &format!("[host.'{gone}']\n[host.'http://ONE']")),
        then("mirrors-none", "[host]"),
        then("mirrors-no-table", "host = 1").refused(),
        then("mirror-no-table", "[host]\n'http://ONE' = 1").refused(),
        then("mirror-named-twice", "[host.'http://ONE']\n[host.'http://ONE/']"),
        world.toml("server-for-nothing", "server = 'http://ONE'\ncapabilities = []"),
        world.toml("server-for-pulls", "server = 'http://ONE'\ncapabilities = ['pull']").refused(),
        world.toml("server-after-mirror", "[host.'http://ONE']\n[host.'http://TWO']"),
    ]
}

fn settings(world: &World) -> Vec<Form> {
    let with = |name, text: &str| world.toml(name, &format!("server = 'http://ONE'\n{text}"));
    vec![
        with("header", "[header]\nx-one = 'a'"),
        with("header-list", "[header]\nx-one = ['a', 'b']\nX-Two = 'c, d'"),
        with("header-empty", "[header]\nx-one = ''"),
        with("header-none", "[header]\nx-one = []"),
        with("header-a-number", "[header]\nx-one = 1").refused(),
        with("header-of-mirror", "[host.'http://TWO']\n[host.'http://TWO'.header]\nx-one = 'a'"),
        with("header-no-table", "header = 'x-one'").refused(),
        with("time", "dial_timeout = '5s'"),
        with("time-odd", "dial_timeout = '1m0.5s'"),
        with("time-none", "dial_timeout = '0s'"),
        with("time-no-duration", "dial_timeout = 'soon'").refused(),
        with("time-a-number", "dial_timeout = 5").refused(),
        with("later-keys", "later = 1\n[later_table]\na = 'b'"),
        with("later-keys-of-mirror", "[host.'http://TWO']\nlater = [1]"),
        with("comments", "# nothing\n\n[header] # x\n"),
        with("broken", "[header").refused(),
        with("key-twice", "skip_verify = true\nskip_verify = false").refused(),
        with("no-boolean", "skip_verify = 'yes'").refused(),
    ]
}

fn tls(world: &World) -> Vec<Form> {
    let with = |name, text: &str| world.secure(name, &format!("server = 'https://SAFE'\n{text}"));
    vec![
        with("strange", "").refused(),
        with("verify-not", "skip_verify = true"),
        with("verify", "skip_verify = false").refused(),
        with("ca", "ca = 'ca.pem'"),
        with("ca-list", "ca = ['other.pem', 'ca.pem']"),
        with("ca-none", "ca = []").refused(),
        with("ca-missing", "ca = 'gone.pem'").refused(),
        with("ca-nothing-in-it", "ca = 'no.pem'").refused(),
        with("ca-other", "ca = 'other.pem'").refused(),
        with("ca-a-number", "ca = 1").refused(),
        with("ca-of-numbers", "ca = [1]").refused(),
        with("ca-in-place", "ca = './ca.pem'"),
        with("client", "ca = 'ca.pem'\nclient = 'both.pem'"),
        with("client-list", "ca = 'ca.pem'\nclient = ['both.pem']"),
        with("client-pair", "ca = 'ca.pem'\nclient = [['mine.pem', 'mine.key']]"),
        with("client-pair-without-key", "ca = 'ca.pem'\nclient = [['both.pem', '']]").refused(),
        with("client-alone-in-pair", "ca = 'ca.pem'\nclient = [['both.pem']]").but(Verdict::PulledHere),
        with("client-several", "ca = 'ca.pem'\nclient = ['both.pem', ['mine.pem', 'mine.key']]"),
        with("client-none", "ca = 'ca.pem'\nclient = []"),
        with("client-missing", "ca = 'ca.pem'\nclient = 'gone.pem'").refused(),
        with("client-keyless", "ca = 'ca.pem'\nclient = 'mine.pem'").refused(),
        with("client-and-no-verify", "skip_verify = true\nclient = [['mine.pem', 'mine.key']]"),
        world.secure("mirror-strange", "server = 'http://ONE'\n[host.'https://SAFE']"),
        world.secure("mirror-ca", "server = 'http://ONE'\n[host.'https://SAFE']\nca = 'ca.pem'"),
        world.secure("plain-by-tls", "server = 'https://ONE'").refused(),
        world.secure("tls-by-plain", "server = 'http://SAFE'").refused(),
        world.secure("server-no-scheme-tls", "server = 'SAFE'\nca = 'ca.pem'"),
    ]
}

fn directories(world: &World) -> Vec<Form> {
    let (ca, mine, key) = (&*world.server.certificate, &*world.friend.certificate, &*world.friend.key);
    let plain = "SAFE";
    let underlined = world.safe.address.replace(':', "_") + "_";
    let one = world.one.address.replace(':', "_") + "_";
    let to_two = "server = 'http://TWO'";
    let mut forms = vec![
        // `ctr` believes anybody on this machine.
        world.docker("docker-nothing", plain, &[]).but(Verdict::PulledThere),
        world.docker("docker-ca", plain, &[("ca.crt", ca)]),
        world.docker("docker-ca-of-any-name", plain, &[("a.crt", mine), ("b.crt", ca)]),
        world.docker("docker-ca-underlined", &underlined, &[("ca.crt", ca)]),
        world.docker(
            "docker-client",
            plain,
            &[("ca.crt", ca), ("client.cert", mine), ("client.key", key)],
        ),
        world.docker("docker-client-keyless", plain, &[("ca.crt", ca), ("client.cert", mine)]).refused(),
        world.docker("docker-key-alone", plain, &[("ca.crt", ca), ("client.key", key)]),
        world.docker("docker-ca-of-other-kind", plain, &[("ca.pem", ca)]).but(Verdict::PulledThere),
        world.docker("docker-default", "_default", &[("ca.crt", ca)]),
        world
            .docker("docker-beside-hosts", plain, &[("ca.crt", ca), ("hosts.toml", "")])
            .but(Verdict::PulledThere),
        world.docker("docker-broken", plain, &[("ca.crt", "nothing")]).refused(),
        world.files("default", NOWHERE, &[("_default/hosts.toml", "server = 'http://ONE'")]),
        world.files("default-mirror", NOWHERE, &[("_default/hosts.toml", "[host.'http://ONE']")]),
        world.files(
            "default-and-own",
            "ONE",
            &[("_default/hosts.toml", to_two), ("ONE/hosts.toml", "")],
        ),
        world.files(
            "default-and-own-directory",
            "ONE",
            &[("_default/hosts.toml", to_two), ("ONE/x", "")],
        ),
        world.files("default-for-loopback", "ONE", &[("_default/hosts.toml", to_two)]),
        world.files("underlined", "ONE", &[(&format!("{one}/hosts.toml"), to_two)]),
        world.files(
            "underlined-and-plain",
            "ONE",
            &[(&format!("{one}/hosts.toml"), to_two), ("ONE/hosts.toml", "")],
        ),
        world.files("host-without-port", "ONE", &[("127.0.0.1/hosts.toml", to_two)]),
        world.files("others", "ONE", &[("other.example/hosts.toml", to_two)]),
        world.files("file-of-other-name", "ONE", &[("ONE/host.toml", to_two)]),
    ];
    if let Some(six) = &world.six {
        forms.push(world.toml("server-six", "server = 'http://SIX'"));
        forms.push(world.files("six", "SIX", &[]));
        forms.push(world.files("six-server", "SIX", &[("SIX/hosts.toml", to_two)]));
        let six = six.address.replace("]:", "]_") + "_";
        forms.push(world.files("six-underlined", "SIX", &[(&format!("{six}/hosts.toml"), to_two)]));
    }
    forms
}
