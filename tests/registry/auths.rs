//! Files with credentials in every form that Docker and podman document, read by the library and by `skopeo`, which
//! reads them as podman does: both show a registry, or its authority, the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drmaa2::registry::{Name, Registry};
use serde_json::{Value, json};

use super::image::{Image, Layer};
use super::rig::Rig;
use super::shelf::{Lock, NOBODY, Request, Shelf, Stock, TAG};

const REPOSITORY: &str = "team/app";

/// The answers of the two to a file.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    /// Both show the same, and are let in.
    Same,
    /// Both are let in, each with something else.
    Otherwise,
    /// Neither has anything to show.
    Nothing,
    /// Neither goes on with such a file.
    Refused,
    /// The library alone has something to show.
    Here,
    /// The library goes on without credentials, `skopeo` does not go on.
    NothingHere,
    /// `skopeo` goes on without credentials, the library does not go on.
    NothingThere,
}

struct Form {
    name: &'static str,
    text: String,
    verdict: Verdict,
}

fn form(name: &'static str, text: impl ToString) -> Form {
    Form { name, text: text.to_string(), verdict: Verdict::Same }
}

/// A file with one entry.
fn entry(name: &'static str, key: &str, value: &Value) -> Form {
    form(name, json!({ "auths": { key: value } }))
}

fn auth(text: &str) -> Value {
    json!({ "auth": STANDARD.encode(text) })
}

impl Form {
    fn but(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    fn refused(self) -> Self {
        self.but(Verdict::Refused)
    }

    fn nothing(self) -> Self {
        self.but(Verdict::Nothing)
    }
}

/// The secrets that were shown, in a form in which it does not count how often.
fn shown(requests: &[Request]) -> BTreeSet<String> {
    let line = |request: &Request| {
        let place = if request.target.starts_with("/token") { "authority" } else { "registry" };
        let secret = request.body.split('&').find(|part| part.starts_with("refresh_token="));
        let said = request.header("authorization").into_iter().chain(secret);
        let said = said.filter(|said| *said != NOBODY).collect::<Vec<_>>();
        (!said.is_empty()).then(|| format!("{place}: {said:?}"))
    };
    requests.iter().filter_map(line).collect()
}

fn ours(rig: &Rig, name: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let name = Name::parse(name).unwrap();
        let read = async { Registry::of(name, &rig.configured.registry).await?.target().await };
        read.await.map(drop).map_err(|failure| failure.error.to_string())
    })
}

fn theirs(dir: &Path, file: &Path, name: &str) -> Result<(), String> {
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", "--authfile"])
        .arg(file)
        .arg(format!("docker://{name}"))
        .env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()))
        .env("HOME", dir)
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("skopeo: scripts/test installs it");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(text) }
}

/// The fault of a form, if it has one.
fn wrong(rig: &Rig, shelf: &Shelf, form: &Form) -> Option<String> {
    let file = rig.file("auth.json", &form.text.replace("HOST", &shelf.address));
    let name = format!("{}/{REPOSITORY}:{TAG}", shelf.address);
    shelf.take();
    let here = ours(rig, &name);
    let here_shown = shown(&shelf.take());
    let there = theirs(rig.dir.path(), &file, &name);
    let asked = shelf.take();
    let there_shown = shown(&asked);
    // One that does not go on asks nobody, or tells nobody anything.
    let refused = here.as_ref().is_err_and(|cause| !cause.contains("401"));
    let refused_there =
        there.as_ref().is_err_and(|cause| !cause.contains("nauthorized") && !cause.contains("required"));
    let fits = match form.verdict {
        Verdict::Same => here.is_ok() && there.is_ok() && here_shown == there_shown,
        Verdict::Otherwise => here.is_ok() && there.is_ok() && here_shown != there_shown,
        Verdict::Nothing => here.is_err() && there.is_err() && !refused && !refused_there,
        Verdict::Refused => refused && refused_there,
        Verdict::Here => here.is_ok() && there.is_err() && !here_shown.is_empty(),
        Verdict::NothingHere => here.is_err() && !refused && refused_there,
        Verdict::NothingThere => refused && there.is_err() && !refused_there,
    };
    let told = || format!("the library: {here:?} {here_shown:?}\nskopeo: {there:?} {there_shown:?}");
    (!fits).then(told)
}

fn helper(rig: &Rig, name: &str, script: &str) {
    let path = rig.file(&format!("docker-credential-{name}"), &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn try_all(lock: Lock, forms: &[Form]) {
    let Some(rig) = Rig::new() else { return };
    let answer = |user: &str| {
        format!(
            "read -r server; echo \"{{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"{user}\\\",\\\"Secret\\\":\\\"s\\\"}}\""
        )
    };
    helper(&rig, "good", &answer("helped"));
    helper(&rig, "token", &answer("<token>"));
    helper(&rig, "none", "echo credentials not found in native keychain; exit 1");
    helper(&rig, "bad", "echo the key chain is locked; exit 1");
    let shelf = Shelf::with("shelf", lock, None, "127.0.0.1:0");
    shelf.put(REPOSITORY, Stock::of(&Image::new(vec![Layer::random(10)], json!({}))));
    let check = |form: &Form| Some(format!("{}:\n{}", form.name, wrong(&rig, &shelf, form)?));
    let faults: Vec<_> = forms.iter().filter_map(check).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), forms.len(), faults.join("\n\n"));
}

#[test]
fn credentials_are_found_where_podman_finds_them() {
    let ours = auth("user:pass");
    let of = |name, key| entry(name, key, &ours);
    let pair = |name, first: &str, second: &str| {
        form(name, json!({ "auths": { first: auth("first:1"), second: auth("second:2") } }))
    };
    try_all(
        Lock::Basic,
        &[
            of("key", "HOST"),
            of("key-https", "https://HOST"),
            of("key-http", "http://HOST"),
            // Docker takes no notice of what follows a host.
            of("key-slash", "HOST/").but(Verdict::Here),
            of("key-https-slash", "https://HOST/"),
            of("key-v1", "https://HOST/v1/"),
            of("key-v2", "https://HOST/v2/"),
            of("key-v1-bare", "HOST/v1").but(Verdict::Here),
            of("key-team", "HOST/team"),
            of("key-repository", "HOST/team/app"),
            of("key-tag", "HOST/team/app:1").nothing(),
            of("key-other-team", "HOST/other").nothing(),
            of("key-part-of-name", "HOST/te").nothing(),
            of("key-without-port", "127.0.0.1").nothing(),
            of("key-other-port", "127.0.0.1:1").nothing(),
            of("key-empty", "").nothing(),
            pair("keys-closest", "HOST", "HOST/team"),
            pair("keys-closest-of-three", "HOST/team/app", "HOST/team"),
            pair("keys-plain-before-https", "HOST", "https://HOST"),
        ],
    );
}

#[test]
fn entries_are_read_as_podman_reads_them() {
    let of = |name, value: Value| entry(name, "HOST", &value);
    let encoded = STANDARD.encode("user:pass");
    let (first, rest) = encoded.split_at(6);
    try_all(
        Lock::Basic,
        &[
            of("colons", auth("user:a:b")),
            of("letters", auth("ü:pässwörd €")),
            of("no-password", auth("user:")),
            of("no-user", auth(":pass")),
            of("nuls-behind", auth("user:pass\0\0")),
            of("broken-in-lines", json!({ "auth": format!("{first}\n{rest}\n") })),
            of("spaces-around", json!({ "auth": format!(" {encoded} ") })).but(Verdict::Here),
            // Docker refuses such a file.
            of("no-colon", auth("user")).but(Verdict::NothingThere),
            of("no-base64", json!({ "auth": "%%%" })).refused(),
            of("no-padding", json!({ "auth": encoded.trim_end_matches('=') })),
            of("a-number", json!({ "auth": 1 })).refused(),
            of("empty", json!({ "auth": "" })).nothing(),
            of("null", json!({ "auth": null })).nothing(),
            of("entry-empty", json!({})).nothing(),
            of("entry-null", Value::Null).nothing(),
            of("entry-a-text", json!("x")).refused(),
            of("entry-a-list", json!(["x"])).refused(),
            of(
                "others",
                json!({ "auth": encoded, "email": "a@b", "later": [1], "identitytoken": null }),
            ),
            // Docker knows these two as well, where there is nothing else.
            of("user-and-password", json!({ "username": "user", "password": "pass" }))
                .but(Verdict::Here),
            of("user-beside-auth", json!({ "username": "other", "password": "x", "auth": encoded })),
            of("in-other-letters", json!({ "Auth": encoded })),
            // Docker takes an empty file for one that says nothing.
            form("file-empty", "").but(Verdict::NothingHere),
            form("file-blank", " \n").but(Verdict::NothingHere),
            form("file-null", "null").nothing(),
            form("file-object", "{}").nothing(),
            form("file-broken", "{").refused(),
            form("file-list", "[]").refused(),
            form("file-with-mark", "\u{feff}{}").refused(),
            form("auths-null", r#"{"auths": null}"#).nothing(),
            form("auths-list", r#"{"auths": []}"#).refused(),
            form("names-in-other-letters", json!({ "Auths": { "HOST": auth("user:pass") } })),
            form(
                "others-beside",
                json!({ "auths": { "HOST": auth("user:pass") }, "psFormat": "x",
                "HttpHeaders": { "a": "b" }, "proxies": {}, "credsStore": "", "credHelpers": {} }),
            ),
        ],
    );
}

#[test]
fn tokens_are_read_as_podman_reads_them() {
    let of = |name, value: Value| entry(name, "HOST", &value);
    let encoded = STANDARD.encode("user:pass");
    try_all(
        Lock::Bearer,
        &[
            of("password", json!({ "auth": encoded })),
            of("token", json!({ "identitytoken": "t", "auth": STANDARD.encode("user:") })),
            of("token-beside-password", json!({ "identitytoken": "t", "auth": encoded })),
            // Docker needs nothing beside it.
            of("token-alone", json!({ "identitytoken": "t" })).but(Verdict::Otherwise),
            of("token-of-registry", json!({ "registrytoken": "r", "auth": encoded })),
            form("token-of-helper", json!({ "credHelpers": { "HOST": "token" } })),
        ],
    );
}

#[test]
fn helpers_are_asked_as_podman_asks_them() {
    let auths = json!({ "HOST": auth("user:pass") });
    try_all(
        Lock::Basic,
        &[
            form("helper", json!({ "credHelpers": { "HOST": "good" } })),
            form("helper-https", json!({ "credHelpers": { "https://HOST": "good" } }))
                .but(Verdict::Here),
            form("helper-before-auths", json!({ "credHelpers": { "HOST": "good" }, "auths": auths })),
            form(
                "helper-of-other",
                json!({ "credHelpers": { "other.example": "bad" }, "auths": auths }),
            ),
            form("helper-without-answer", json!({ "credHelpers": { "HOST": "none" } })).nothing(),
            // A helper that has nothing is no reason not to look further.
            form(
                "helper-without-answer-before-auths",
                json!({ "credHelpers": { "HOST": "none" }, "auths": auths }),
            )
            .but(Verdict::Here),
            form("helper-bad", json!({ "credHelpers": { "HOST": "bad" } })).refused(),
            form("helper-missing", json!({ "credHelpers": { "HOST": "gone" } })).refused(),
            form("helper-empty", json!({ "credHelpers": { "HOST": "" }, "auths": auths }))
                .but(Verdict::Here),
            // Docker alone has these.
            form("store", json!({ "credsStore": "good" })).but(Verdict::Here),
            form("store-before-auths", json!({ "credsStore": "good", "auths": auths }))
                .but(Verdict::Otherwise),
            form("store-and-helper", json!({ "credsStore": "bad", "credHelpers": { "HOST": "good" } })),
            form("store-without-answer-before-auths", json!({ "credsStore": "none", "auths": auths })),
        ],
    );
}
