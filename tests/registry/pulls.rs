//! Pulls that succeed, from wherever and whatever the image is.

use drmaa2::model::extensions::Pull;
use drmaa2::model::{JobTemplate, Text};
use drmaa2::tracker::Stdio;
use serde_json::json;

use super::image::{Image, Layer, Packing, digest};
use super::proxy::Proxy;
use super::rig::{Rig, job, job_with, usual_snapshotter};
use super::server::Server;

/// A small image whose file `/version` says this.
fn version(text: &str) -> Image {
    let file = Layer::new(&[("version", text.as_bytes(), 0o644)], Packing::Plain);
    Image::new(vec![Layer::busybox(), file], json!({}))
}

#[test]
fn layers_of_every_packing_for_this_platform_alone() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let layers = vec![
        Layer::busybox(),
        Layer::new(&[("plain", b"plain ", 0o644)], Packing::Plain),
        Layer::new(&[("zipped", b"zipped ", 0o644)], Packing::Gzip),
        Layer::new(&[("zstd", b"zstd", 0o644), ("plain", b"upper ", 0o644)], Packing::Zstd),
    ];
    let other = Layer::random(1000);
    let foreign = other.digest();
    let image = Image::new(layers, json!({})).with_other_platform(other);
    let name = server.push(&image, "team/app:1");
    assert_eq!(rig.output(&name, "cat /plain /zipped /zstd"), "upper zipped zstd");
    let held = rig.held();
    assert_eq!(held.images, [name]);
    // Index, manifest, configuration, four layers.
    assert_eq!(held.content.len(), 7, "{held:?}");
    assert!(!held.content.contains(&foreign));
    assert_eq!(held.snapshots.len(), 4, "{held:?}");
    assert!(held.ingests.is_empty() && held.leases.is_empty(), "{held:?}");
}

/// Six layers that no other test has, of which the last four have their numbers in the file `/number` and
/// in one of their own.
fn numbered() -> Image {
    let numbered = ["1", "2", "3", "4"].map(|number| {
        let (own, number) = (format!("own-{number}"), number.as_bytes());
        let salt = ulid::Ulid::generate().to_string();
        let files =
            [("number", number, 0o644), (own.as_str(), number, 0o644), ("salt", salt.as_bytes(), 0o644)];
        Layer::new(&files, Packing::Gzip)
    });
    let lower = [Layer::random(100_000), Layer::busybox()];
    Image::new(lower.into_iter().chain(numbered).collect(), json!({}))
}

/// A job whose image is being pulled, with one layer of it held back.
struct Held {
    server: Server,
    proxy: Proxy,
    image: Image,
    name: String,
    id: String,
    output: std::path::PathBuf,
}

impl Held {
    fn start(rig: &Rig, held: fn(&[String]) -> Option<&String>) -> Self {
        let server = Server::start();
        let proxy = Proxy::new(&server.address);
        let image = numbered();
        server.push(&image, "app:1");
        let name = format!("{}/app:1", proxy.address);
        proxy.hold(held(&image.layers()).map(String::as_str));
        let output = rig.file("out", "");
        let stdio = Stdio { output: Some(output.as_path().into()), ..Stdio::default() };
        let id = rig.start(job(&name, "cat /number /own-*"), stdio);
        Self { server, proxy, image, name, id, output }
    }
}

#[test]
fn layers_are_unpacked_while_a_later_one_is_read() {
    let Some(rig) = Rig::new() else { return };
    let Held { server: _server, proxy, name, id, output, .. } =
        Held::start(&rig, |layers| layers.last());
    let text = rig.until_pulled(&id, |text| text.contains(": 5 of 6 layers, "));
    assert!(text.starts_with(&format!("pulling {name}: 5 of 6 layers, ")), "{text}");
    let held = rig.held();
    // The image is there as a whole or not at all; one lease keeps what there is of it.
    assert!(held.images.is_empty(), "{held:?}");
    assert_eq!((held.whole().len(), held.leases.len()), (5, 1), "{held:?}");
    rig.collect();
    assert_eq!(rig.held().whole().len(), 5);
    proxy.hold(None);
    assert_eq!(rig.end(&id).exit_status, Some(0));
    assert_eq!(std::fs::read_to_string(output).unwrap(), "41234");
    let held = rig.held();
    assert_eq!((held.snapshots.len(), held.leases.len()), (6, 0), "{held:?}");
}

#[test]
fn layers_are_unpacked_in_their_order_in_whichever_they_come() {
    let Some(rig) = Rig::new() else { return };
    let Held { server, proxy, id, output, image, .. } = Held::start(&rig, |layers| layers.first());
    // Of all that is to be read, the lowest is left.
    let lowest = std::fs::metadata(server.blob(&image.layers()[0])).unwrap().len() / 1000;
    rig.until_pulled(&id, |text| {
        let mut words = text.rsplit(' ').skip(1).step_by(2).map(|word| word.parse::<u64>().ok());
        let (all, read) = (words.next().flatten(), words.next().flatten());
        text.contains(": 0 of 6 layers, ")
            && all.zip(read).is_some_and(|(all, read)| all <= read + lowest + 1)
    });
    assert!(rig.held().whole().is_empty());
    proxy.hold(None);
    assert_eq!(rig.end(&id).exit_status, Some(0));
    assert_eq!(std::fs::read_to_string(output).unwrap(), "41234");
    assert_eq!(rig.held().snapshots.len(), 6);
}

#[test]
fn images_in_dockers_own_form_are_images_too() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let layers = || vec![Layer::busybox(), Layer::new(&[("zipped", b"zipped", 0o644)], Packing::Gzip)];
    let one = server.push(&Image::docker(layers(), json!({})), "app:1");
    assert_eq!(rig.output(&one, "cat /zipped"), "zipped");
    let list = Image::docker(layers(), json!({})).with_other_platform(Layer::random(1000));
    assert!(list.target().1.contains("manifest.list"));
    let many = server.push(&list, "app:2");
    assert_eq!(rig.output(&many, "cat /zipped"), "zipped");
    // The list besides the manifest, the configuration and two layers of both.
    assert_eq!(rig.held().content.len(), 5);
}

#[test]
fn a_digest_names_an_image_with_a_tag_and_without() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let first = version("first");
    let (bytes, _) = first.target();
    server.push(&first, "app:1");
    server.push(&version("second"), "app:1");
    let by_digest = format!("{}/app@{}", server.address, digest(&bytes));
    assert_eq!(rig.output(&by_digest, "cat /version"), "first");
    let tagged = format!("{}/app:1@{}", server.address, digest(&bytes));
    assert_eq!(rig.output(&tagged, "cat /version"), "first");
}

#[test]
fn a_policy_says_when_an_image_is_pulled() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let name = server.push(&version("old"), "app:1");
    let run = |policy: &str| {
        let path = rig.file("out", "");
        let stdio = Stdio { output: Some(path.as_path().into()), ..Stdio::default() };
        let outcome = rig.end(&rig.start(job_with(&name, "cat /version", policy), stdio));
        outcome.reason.unwrap_or_else(|| std::fs::read_to_string(path).unwrap())
    };
    let absent = format!("image {name} not found in namespace {}", rig.settings.namespace);
    assert_eq!(run("never"), absent);
    assert_eq!(run("missing"), "old");
    server.push(&version("new"), "app:1");
    assert_eq!(run("missing"), "old");
    assert_eq!(run("never"), "old");
    assert_eq!(run("always"), "new");
    assert_eq!(run("missing"), "new");
}

#[test]
fn what_is_pulled_for_each_job_is_what_it_runs_in() {
    let Some(mut rig) = Rig::new() else { return };
    rig.configured.pull = Pull::Always;
    let server = Server::start();
    let old = server.push(&version("old"), "me/app:1");
    rig.file("certs.d/docker.io/hosts.toml", &format!("server = 'http://{}'", server.address));
    assert_eq!(rig.output(&old, "cat /version"), "old");
    rig.alias(&old, "me/app:1");
    server.push(&version("new"), "me/app:1");
    assert_eq!(rig.output("me/app:1", "cat /version"), "new");
}

#[test]
fn an_image_that_is_not_whole_is_missing() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let name = server.push(&version("whole"), "app:1");
    rig.hollow(&name);
    assert_eq!(rig.output(&name, "cat /version"), "whole");
}

#[test]
fn an_image_without_layers_is_missing_where_it_has_no_snapshot() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let image = version("whole");
    let name = server.push(&image, "app:1");
    assert_eq!(rig.output(&name, "cat /version"), "whole");
    rig.remove(&image.layers());
    // Its snapshot is all that a job needs.
    assert_eq!(rig.output(&name, "cat /version"), "whole");
    assert!(!rig.held().content.contains(&image.layers()[0]));
    let other = if usual_snapshotter() == "native" { "overlayfs" } else { "native" };
    let extensions = [("containerd_jt_snapshotter".to_owned(), Text::from(other))].into();
    let path = rig.file("out", "");
    let stdio = Stdio { output: Some(path.as_path().into()), ..Stdio::default() };
    let template = JobTemplate { extensions, ..job(&name, "cat /version") };
    let outcome = rig.end(&rig.start(template, stdio));
    assert_eq!(outcome.exit_status, Some(0), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "whole");
    assert!(rig.held().content.contains(&image.layers()[0]));
}

#[test]
fn what_others_have_of_an_index_stays_theirs() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let image = version("mine").with_other_platform(Layer::random(1000));
    let name = server.push(&image, "app:1");
    assert_eq!(rig.output(&name, "cat /version"), "mine");
    // As containerd itself notes that it has the first entry.
    let (index, note) = (digest(&image.target().0), "containerd.io/gc.ref.content.m.0");
    rig.label(&index, note, &image.other_digest());
    let outcome = rig.end(&rig.start(job_with(&name, "true", "always"), Stdio::default()));
    assert_eq!(outcome.exit_status, Some(0), "{outcome:?}");
    assert_eq!(rig.labels(&index)[note], image.other_digest());
    rig.collect();
    // Index, manifest, configuration, two layers.
    assert_eq!(rig.held().content.len(), 5);
}

#[test]
fn the_policy_of_a_category_counts_unless_the_job_has_its_own() {
    let Some(mut rig) = Rig::new() else { return };
    rig.configured.pull = Pull::Always;
    let server = Server::start();
    let name = server.push(&version("here"), "app:1");
    let defaults = [("containerd_jt_pull".to_owned(), Text::from("never"))].into();
    let of_category = JobTemplate { defaults, ..job(&name, "true") };
    let absent = format!("image {name} not found in namespace {}", rig.settings.namespace);
    let outcome = rig.end(&rig.start(of_category.clone(), Stdio::default()));
    assert_eq!(outcome.reason.unwrap(), absent);
    let own = JobTemplate { extensions: job_with(&name, "", "missing").extensions, ..of_category };
    assert_eq!(rig.end(&rig.start(own, Stdio::default())).exit_status, Some(0));
}

#[test]
fn the_right_password_opens_a_registry() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::with_password();
    let name = server.push(&version("secret"), "app:1");
    // `drmaa2:secret`
    let auths = json!({ "auths": { server.address.as_str(): { "auth": "ZHJtYWEyOnNlY3JldA==" } } });
    rig.file("auth.json", &auths.to_string());
    assert_eq!(rig.output(&name, "cat /version"), "secret");
}

#[test]
fn a_helper_knows_the_password() {
    use std::os::unix::fs::PermissionsExt;
    let Some(rig) = Rig::new() else { return };
    let server = Server::with_password();
    let name = server.push(&version("helped"), "app:1");
    let script = "#!/bin/sh\n[ \"$1\" = get ] || exit 1\nread -r server\n\
                  echo \"{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"drmaa2\\\",\\\"Secret\\\":\\\"secret\\\"}\"\n";
    let helper = rig.file("docker-credential-test", script);
    std::fs::set_permissions(helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = json!({ "credHelpers": { server.address.as_str(): "test" } });
    rig.file("auth.json", &config.to_string());
    assert_eq!(rig.output(&name, "cat /version"), "helped");
}

#[test]
fn a_mirror_serves_what_the_registry_itself_cannot() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    server.push(&version("mirrored"), "app:1");
    // The first has nothing, the second does not even answer, the registry's name means nothing.
    let empty = Server::start();
    let hosts = format!(
        "server = 'http://127.0.0.1:1'\n[host.'http://{}']\n[host.'http://127.0.0.1:1/nobody']\n\
         capabilities = ['resolve']\n[host.'http://{}']\ncapabilities = ['pull', 'resolve']\n",
        empty.address, server.address
    );
    rig.file("certs.d/registry.invalid/hosts.toml", &hosts);
    assert_eq!(rig.output("registry.invalid/app:1", "cat /version"), "mirrored");
}

#[test]
fn a_mirror_that_does_not_answer_is_not_asked_for_every_layer() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    // containerd has no content of these in another namespace.
    let layers = vec![Layer::busybox(), Layer::random(1000), Layer::random(1000)];
    server.push(&Image::new(layers, json!({})), "app:1");
    let mirror = Proxy::new(&server.address);
    mirror.redirect(None);
    let hosts = format!("server = 'http://{}'\n[host.'http://{}']\n", server.address, mirror.address);
    rig.file("certs.d/registry.invalid/hosts.toml", &hosts);
    rig.output("registry.invalid/app:1", "true");
    // As often as for one request.
    assert_eq!(mirror.connections(), 4);
}
