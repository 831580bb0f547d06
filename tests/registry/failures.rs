//! Pulls that fail: the reason is told, nothing half-pulled stays, and the next one succeeds.

use std::fs;

use drmaa2::model::Control;
use drmaa2::tracker::{JobTracker, Stdio};
use serde_json::json;

use super::image::{Image, Layer};
use super::proxy::Proxy;
use super::rig::{Held, Rig, job};
use super::server::Server;

const MIB: usize = 1 << 20;

fn image(random: Layer) -> Image {
    Image::new(vec![Layer::busybox(), random], json!({}))
}

fn small() -> Image {
    image(Layer::random(1000))
}

#[test]
fn a_password_that_is_wrong_or_not_there_is_told() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::with_password();
    let name = server.push(&small(), "app:1");
    let expected = format!("cannot pull image {name}: registry http://{}: ", server.address);
    let none = rig.refused(&name);
    assert!(none.starts_with(&expected) && none.contains("401"), "{none}");
    // `drmaa2:wrong`
    let auths = json!({ "auths": { server.address.as_str(): { "auth": "ZHJtYWEyOndyb25n" } } });
    rig.file("auth.json", &auths.to_string());
    let wrong = rig.refused(&name);
    assert!(wrong.starts_with(&expected) && wrong.contains("401"), "{wrong}");
    assert_eq!(rig.held(), Held::default());
}

#[test]
fn a_tag_that_is_missing_is_told() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    server.push(&small(), "app:1");
    let reason = rig.refused(&format!("{}/app:2", server.address));
    assert!(reason.contains("app/manifests/2: 404") && reason.contains("MANIFEST_UNKNOWN"), "{reason}");
    assert_eq!(rig.held(), Held::default());
    rig.output(&format!("{}/app:1", server.address), "true");
}

#[test]
fn a_registry_that_is_not_there_is_told() {
    let Some(rig) = Rig::new() else { return };
    let reason = rig.refused("127.0.0.1:1/app:1");
    let expected = "cannot pull image 127.0.0.1:1/app:1: registry http://127.0.0.1:1: ";
    assert!(reason.starts_with(expected) && reason.contains("refused"), "{reason}");
    assert_eq!(rig.held(), Held::default());
}

#[test]
fn an_image_for_other_machines_is_refused_before_its_layers_are_read() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let layer = Layer::random(1000);
    let layer_digest = layer.digest();
    let image = small().with_other_platform(layer);
    server.push(&image, "app:1");
    let foreign = image.other_digest();
    let reason = rig.refused(&format!("{}/app@{foreign}", server.address));
    assert!(reason.contains("not made for this machine"), "{reason}");
    assert_eq!(server.downloads(&layer_digest), 0);
    assert_eq!(rig.held(), Held::default());
}

#[test]
fn a_layer_that_is_corrupt_is_not_kept() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let layer = Layer::random(MIB);
    let (blob, digest) = (server.blob(&layer.digest()), layer.digest());
    let name = server.push(&image(layer), "app:1");
    let good = fs::read(&blob).unwrap();
    let mut bad = good.clone();
    bad[MIB / 2] ^= 1;
    fs::write(&blob, bad).unwrap();
    let reason = rig.refused(&name);
    assert!(reason.contains(&format!("layer {digest} is corrupt")), "{reason}");
    assert_eq!(rig.held(), Held::default());
    fs::write(&blob, good).unwrap();
    rig.output(&name, "true");
}

#[test]
fn a_last_layer_that_is_corrupt_takes_those_below_it_along() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let proxy = Proxy::new(&server.address);
    let layers = vec![Layer::busybox(), Layer::random(1000), Layer::random(MIB)];
    let image = Image::new(layers, json!({}));
    let last = image.layers()[2].clone();
    server.push(&image, "app:1");
    let good = fs::read(server.blob(&last)).unwrap();
    let mut bad = good.clone();
    bad[MIB / 2] ^= 1;
    fs::write(server.blob(&last), bad).unwrap();
    let name = format!("{}/app:1", proxy.address);
    proxy.hold(Some(&last));
    let id = rig.start(job(&name, "true"), Stdio::default());
    rig.until_pulled(&id, |text| text.contains(": 2 of 3 layers, "));
    assert_eq!(rig.held().whole().len(), 2);
    proxy.hold(None);
    let reason = rig.end(&id).reason.unwrap();
    assert!(reason.contains(&format!("layer {last} is corrupt")), "{reason}");
    assert_eq!(rig.held(), Held::default());
    fs::write(server.blob(&last), good).unwrap();
    rig.output(&name, "true");
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says_is_named() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let other = format!("sha256:{}", "0".repeat(64));
    let image = small().edited(|config, _| config["rootfs"]["diff_ids"][1] = other.as_str().into());
    let layer = image.layers()[1].clone();
    let name = server.push(&image, "app:1");
    let reason = rig.refused(&name);
    let expected = format!("cannot pull image {name}: cannot unpack it: layer {layer}: it is ");
    assert!(reason.starts_with(&expected) && reason.ends_with(&other), "{reason}");
    assert_eq!(rig.held(), Held::default());
}

#[test]
fn a_pull_that_fails_takes_nothing_from_that_of_another_state_directory() {
    let Some(rig) = Rig::new() else { return };
    let namespace = rig.settings.namespace.clone();
    let Some(other) = Rig::with(|settings| settings.namespace = namespace) else { return };
    let server = Server::with_password();
    let proxy = Proxy::new(&server.address);
    let layer = Layer::random(8 * MIB);
    let unfinished = format!("layer-{}", layer.digest());
    server.push(&image(layer), "app:1");
    let name = format!("{}/app:1", proxy.address);
    // `drmaa2:secret`
    let auths = json!({ "auths": { proxy.address.as_str(): { "auth": "ZHJtYWEyOnNlY3JldA==" } } });
    rig.file("auth.json", &auths.to_string());
    proxy.limit(6 * MIB as u64);
    let id = rig.start(job(&name, "true"), Stdio::default());
    proxy.until_stalled();
    let before = rig.held();
    // Without a password, on a way that is not stalled.
    let hosts = format!("server = 'http://{}'", server.address);
    other.file(&format!("certs.d/{}/hosts.toml", proxy.address), &hosts);
    let reason = other.refused(&name);
    assert!(reason.contains("401"), "{reason}");
    // More may have come meanwhile.
    let after = rig.held();
    assert!(before.content.iter().all(|one| after.content.contains(one)), "{before:?} {after:?}");
    assert!(after.ingests.contains(&unfinished), "{unfinished} {after:?}");
    assert_eq!(after.leases, before.leases);
    proxy.limit(u64::MAX);
    assert_eq!(rig.end(&id).exit_status, Some(0));
}

#[test]
fn a_registry_that_is_killed_in_the_middle_is_told_and_the_next_pull_goes_on() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let proxy = Proxy::new(&server.address);
    let layer = Layer::random(8 * MIB);
    let digest = layer.digest();
    server.push(&image(layer), "app:1");
    let name = format!("{}/app:1", proxy.address);
    proxy.limit(6 * MIB as u64);
    let id = rig.start(job(&name, "true"), Stdio::default());
    proxy.until_stalled();
    let server = server.killed_and_started_again();
    proxy.redirect(None);
    let outcome = rig.end(&id);
    let reason = outcome.reason.unwrap();
    assert!(reason.contains(&format!("registry http://{}", proxy.address)), "{reason}");
    let held = rig.held();
    // The lower layer may have been unpacked.
    assert!(held.images.is_empty() && held.snapshots.len() < 2, "{held:?}");
    assert!(!held.content.contains(&digest), "{held:?}");
    // The rest is kept to go on with, and has a lease that ends.
    assert_eq!(held.leases.len(), 1, "{held:?}");
    proxy.redirect(Some(&server.address));
    proxy.limit(u64::MAX);
    rig.output(&name, "true");
    let passed = proxy.passed();
    assert!(passed < 6 * MIB as u64, "{passed} bytes more");
    let held = rig.held();
    assert!(held.ingests.is_empty() && held.leases.is_empty(), "{held:?}");
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let proxy = Proxy::new(&server.address);
    server.push(&image(Layer::random(8 * MIB)), "app:1");
    proxy.limit(6 * MIB as u64);
    let id = rig.start(job(&format!("{}/app:1", proxy.address), "true"), Stdio::default());
    proxy.until_stalled();
    proxy.redirect(Some(&server.address));
    assert_eq!(rig.end(&id).exit_status, Some(0));
}

#[test]
fn a_job_whose_image_is_pulled_can_be_ended() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let proxy = Proxy::new(&server.address);
    server.push(&image(Layer::random(8 * MIB)), "app:1");
    let name = format!("{}/app:1", proxy.address);
    proxy.limit(6 * MIB as u64);
    let given_up = rig.start(job(&name, "true"), Stdio::default());
    let kept = rig.start(job(&name, "true"), Stdio::default());
    proxy.until_stalled();
    // Another job is not kept waiting.
    let other = server.push(&small(), "other:1");
    rig.output(&other, "true");
    rig.tracker.job_control(&given_up, Control::Terminate).unwrap();
    assert_eq!(rig.end(&given_up).reason.unwrap(), "terminated before it started");
    proxy.limit(u64::MAX);
    assert_eq!(rig.end(&kept).exit_status, Some(0));
}

#[test]
fn a_pull_that_nobody_waits_for_ends() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let proxy = Proxy::new(&server.address);
    server.push(&image(Layer::random(8 * MIB)), "app:1");
    proxy.limit(6 * MIB as u64);
    let name = format!("{}/app:1", proxy.address);
    let id = rig.start(job(&name, "true"), Stdio::default());
    proxy.until_stalled();
    let text = rig.until_pulled(&id, |text| text.contains(" layers, "));
    assert!(text.starts_with(&format!("pulling {name}: ")) && text.ends_with(" kB"), "{text}");
    rig.tracker.job_control(&id, Control::Kill).unwrap();
    assert_eq!(rig.end(&id).reason.unwrap(), "terminated before it started");
    proxy.until_closed();
    proxy.limit(u64::MAX);
    rig.output(&name, "true");
}
