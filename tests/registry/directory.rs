//! Images that are unpacked as directories, without containerd. These need `docker-registry` alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drmaa2::images::{self, Images, Unpacked};
use drmaa2::model::extensions::Pull;
use drmaa2::model::{Error, ErrorCode, Result};
use drmaa2::registry::Settings;
use drmaa2::runtime::Runtime;
use serde_json::json;

use super::archive::Archive;
use super::image::{Image, Layer, Packing, digest};
use super::part::{IMAGE, part, succeeded};
use super::proxy::Proxy;
use super::server::Server;
use super::shelf::{Shelf, Stock};

/// Nothing here takes so long unless it hangs.
const LONG: Duration = Duration::from_secs(60);
const DIR: &str = "DRMAA2_TEST_IMAGES";

/// A registry, if this machine has one.
fn server() -> Option<Server> {
    let path = std::env::var_os("PATH").unwrap();
    if std::env::split_paths(&path).any(|dir| dir.join("docker-registry").exists()) {
        return Some(Server::start());
    }
    let required = std::env::var("DRMAA2_TEST_REQUIRE").is_ok_and(|value| value == "1");
    assert!(!required, "DRMAA2_TEST_REQUIRE=1, but there is no docker-registry");
    eprintln!("SKIPPED: there is no docker-registry; nothing was pulled");
    None
}

/// Get an image as a process does that has nothing of the others in memory.
pub fn get(dir: &Path, name: &str, policy: Pull) -> Result<Unpacked> {
    let (images, name) = (Images::new(dir.to_owned()), name.to_owned());
    let runtime = Runtime::start().unwrap();
    let got = runtime.run(async move { images.get(&name, policy, &Settings::default()).await });
    runtime.end();
    got
}

fn refused(dir: &Path, name: &str) -> Error {
    let error = get(dir, name, Pull::Missing).unwrap_err();
    assert!(error.message.starts_with(&format!("cannot pull image {name}: ")), "{error}");
    assert_eq!(unfinished(dir), 0, "{error}");
    error
}

/// Files of images that are being made.
fn unfinished(dir: &Path) -> usize {
    fs::read_dir(dir.join("tmp")).map_or(0, Iterator::count)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn text(image: &Unpacked, path: &str) -> String {
    fs::read_to_string(image.rootfs.join(path)).unwrap()
}

fn layer(archive: Archive) -> Layer {
    Layer::packed(archive.end(), Packing::Gzip)
}

/// An image of two layers, of which one hides something of the other.
fn app(version: &str) -> Image {
    let lower = Archive::new().dir("etc/", 0o755).file("etc/version", "0").file("etc/old", "x");
    let upper = Archive::new().file("etc/.wh.old", "").file("etc/version", version);
    Image::new(vec![layer(lower), layer(upper)], json!({ "Env": [format!("VERSION={version}")] }))
}

/// A process that gets an image.
fn process(test: &str, dir: &Path, image: &str, change: impl FnOnce(&mut Command)) -> Child {
    // Its path may be closed to the user as whom it is to run.
    let mut command = Command::new("/proc/self/exe");
    command.args([&format!("directory::{test}"), "--exact", "--nocapture"]).stdout(Stdio::null());
    command.env("DRMAA2_TEST_PART", "get").env(IMAGE, image).env(DIR, dir);
    change(&mut command);
    command.spawn().unwrap()
}

/// The part of such a process.
fn get_and_look() {
    let dir = std::env::var_os(DIR).unwrap();
    let image = get(Path::new(&dir), &std::env::var(IMAGE).unwrap(), Pull::Missing).unwrap();
    assert_eq!(text(&image, "etc/version"), "1");
}

#[test]
fn an_image_is_pulled_once_and_is_there_without_its_registry() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("images");
    let never = get(&dir, &format!("{}/app:1", server.address), Pull::Never).unwrap_err();
    assert_eq!(never.code, ErrorCode::InvalidArgument);
    assert!(never.message.ends_with(", and not to be pulled") && !dir.exists(), "{never}");
    let image = app("1").with_other_platform(layer(Archive::new().file("other", "x")));
    let name = server.push(&image, "app:1");
    let first = get(&dir, &name, Pull::Missing).unwrap();
    assert_eq!((text(&first, "etc/version"), first.name.as_str()), ("1".to_owned(), name.as_str()));
    assert!(!first.rootfs.join("etc/old").exists() && !first.rootfs.join("etc/.wh.old").exists());
    assert_eq!(first.config.env().as_deref(), Some(&["VERSION=1".to_owned()][..]));
    let manifest = digest(&image.manifests().pop().unwrap().0);
    assert_eq!(first.digest, manifest);
    let place = dir.join(manifest.replace(':', "-"));
    assert_eq!(first.rootfs, place.join("rootfs"));
    assert_eq!(fs::read_to_string(place.join("config.json")).unwrap(), image.config());
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(&first.rootfs).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(unfinished(&dir), 0);
    // Another name for it costs no layer.
    let other = server.push(&image, "other:1");
    assert_eq!(get(&dir, &other, Pull::Missing).unwrap().rootfs, first.rootfs);
    let by_digest = format!("{}/other@{manifest}", server.address);
    assert_eq!(get(&dir, &by_digest, Pull::Missing).unwrap().rootfs, first.rootfs);
    let downloads = |digest: &String| server.downloads(digest);
    assert_eq!(image.layers().iter().map(downloads).collect::<Vec<_>>(), [1, 1]);
    // The name stands for another image by now, which a pull sees.
    server.push(&app("2"), "app:1");
    assert_eq!(text(&get(&dir, &name, Pull::Missing).unwrap(), "etc/version"), "1");
    let second = get(&dir, &name, Pull::Always).unwrap();
    assert_eq!(text(&second, "etc/version"), "2");
    drop(server);
    for policy in [Pull::Missing, Pull::Never] {
        assert_eq!(get(&dir, &name, policy).unwrap().rootfs, second.rootfs);
    }
    let error = get(&dir, &name, Pull::Always).unwrap_err();
    assert!(error.message.contains("Connection refused"), "{error}");
}

#[test]
fn the_configuration_of_an_image_costs_no_layer() {
    let Some(server) = server() else { return };
    let image = app("1");
    let name = server.push(&image, "app:1");
    let asked = |name: String| {
        let runtime = Runtime::start().unwrap();
        let told = runtime.run(async move { images::config(&name, &Settings::default()).await });
        runtime.end();
        told
    };
    assert_eq!(asked(name).unwrap().env().as_deref(), Some(&["VERSION=1".to_owned()][..]));
    assert!(image.layers().iter().all(|layer| server.downloads(layer) == 0));
    let missing = format!("{}/app:2", server.address);
    let refused = asked(missing.clone()).unwrap_err();
    assert!(refused.message.starts_with(&format!("cannot look up image {missing}: ")), "{refused}");
}

#[test]
fn an_image_that_was_damaged_is_pulled_again() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let name = server.push(&app("1"), "app:1");
    let image = get(dir.path(), &name, Pull::Missing).unwrap();
    fs::write(image.rootfs.parent().unwrap().join("config.json"), "{").unwrap();
    fs::write(image.rootfs.join("etc/version"), "damaged").unwrap();
    let again = get(dir.path(), &name, Pull::Missing).unwrap();
    assert_eq!((text(&again, "etc/version"), again.rootfs), ("1".to_owned(), image.rootfs));
    assert_eq!(unfinished(dir.path()), 0);
}

#[test]
fn an_image_that_cannot_be_had_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::start();
    let put = |path: &str, image: &Image| shelf.put(path, Stock::of(image));
    let two = || vec![layer(Archive::new().file("a", "1")), layer(Archive::new().file("b", "2"))];
    let sound = Image::new(two(), json!({}));
    let cases = [
        (
            "wrong-diff-id",
            "unpacked: its digest is sha256:",
            sound.clone().edited(|config, _| {
                config["rootfs"]["diff_ids"][1] = json!(digest(b"another"));
            }),
        ),
        ("zstd", "+zstd\" cannot be unpacked", {
            let packed = Layer::packed(Archive::new().file("a", "1").end(), Packing::Zstd);
            Image::new(vec![packed], json!({}))
        }),
        ("no-gzip", "layer sha256:", {
            let cut = layer(Archive::new().file("a", "1")).carried_as(|bytes| bytes[..30].to_vec());
            Image::new(vec![cut], json!({}))
        }),
        (
            "sha512",
            "is no SHA-256 digest",
            sound.clone().with_manifest(|manifest| {
                manifest["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
            }),
        ),
        (
            "out",
            "a path with .. in it",
            Image::new(vec![layer(Archive::new().file("../a", "1"))], json!({})),
        ),
        (
            "other-machine",
            "not made for this machine",
            sound.clone().edited(|config, _| {
                config["architecture"] = json!("s390x");
            }),
        ),
        (
            "artifact",
            "artifact of type \"application/x\"",
            sound.clone().with_manifest(|manifest| {
                manifest["config"]["mediaType"] = json!("application/x");
                manifest["layers"] = json!([]);
            }),
        ),
        (
            "disagree",
            "disagree on the layers",
            sound.clone().with_manifest(|manifest| {
                manifest["layers"].as_array_mut().unwrap().pop();
            }),
        ),
        (
            "many",
            "cannot be stacked",
            sound.clone().with_manifest(|manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"] = vec![layer; 501].into();
            }),
        ),
        (
            "large",
            "too large for a configuration",
            sound.clone().with_manifest(|manifest| {
                manifest["config"]["size"] = json!(9 << 20);
            }),
        ),
    ];
    for (path, cause, image) in &cases {
        let error = refused(dir.path(), &put(path, image));
        assert!(error.message.contains(cause), "{path}: {error}");
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{path}: {error}");
    }
    let name = shelf.put("missing", Stock::of(&sound).without(&sound.layers()[1]));
    let error = refused(dir.path(), &name);
    assert!(error.message.contains("404 Not Found"), "{error}");
    let error = refused(dir.path(), &format!("{}/none:1", shelf.address));
    assert!(error.code == ErrorCode::InvalidArgument && error.message.contains("404"), "{error}");
    let error = refused(dir.path(), "127.0.0.1:1/none:1");
    assert!(error.message.contains("Connection refused"), "{error}");
    // None of them keeps the sound one away.
    get(dir.path(), &put("sound", &sound), Pull::Missing).unwrap();
}

#[test]
fn a_layer_with_other_bytes_is_refused() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let sound = Layer::random(100_000);
    let name = server.push(&Image::new(vec![sound.clone()], json!({})), "app:1");
    let file = server.blob(&sound.digest());
    let mut bytes = fs::read(&file).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = refused(dir.path(), &name);
    let wanted = format!(" but should be {}", sound.digest());
    assert!(error.message.ends_with(&wanted) && error.code == ErrorCode::InvalidArgument, "{error}");
}

#[test]
fn processes_that_want_an_image_at_once_pull_it_once() {
    if part().is_some() {
        return get_and_look();
    }
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let image = app("1");
    let name = server.push(&image, "app:1");
    let test = "processes_that_want_an_image_at_once_pull_it_once";
    let all: Vec<_> = (0..6).map(|_| process(test, dir.path(), &name, |_| {})).collect();
    all.into_iter().for_each(succeeded);
    assert!(image.layers().iter().all(|layer| server.downloads(layer) == 1));
    assert_eq!(unfinished(dir.path()), 0);
}

#[test]
fn pulls_that_know_nothing_of_each_other_end_with_one_image() {
    let Some(server) = server() else { return };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let proxy = Proxy::new(&server.address);
    let slow = Image::new(
        vec![layer(Archive::new().file("etc/version", "1")), Layer::random(2 << 20)],
        json!({}),
    );
    server.push(&slow, "app:1");
    proxy.limit(1 << 20);
    let (within, name) = (Arc::clone(&dir), format!("{}/app:1", proxy.address));
    let first = std::thread::spawn(move || get(within.path(), &name, Pull::Missing));
    proxy.until_stalled();
    // As on a file system whose locks other machines do not see.
    fs::remove_dir_all(dir.path().join("locks")).unwrap();
    let second = get(dir.path(), &format!("{}/app:1", server.address), Pull::Missing).unwrap();
    let made = fs::metadata(&second.rootfs).unwrap().ino();
    proxy.limit(u64::MAX);
    let first = first.join().unwrap().unwrap();
    assert_eq!((&first.rootfs, fs::metadata(&first.rootfs).unwrap().ino()), (&second.rootfs, made));
    assert_eq!(text(&first, "etc/version"), "1");
    assert_eq!(unfinished(dir.path()), 0);
}

#[test]
fn a_process_that_is_killed_in_a_pull_leaves_what_the_next_one_removes() {
    if part().is_some() {
        return get_and_look();
    }
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(&server.address);
    let layers = vec![layer(Archive::new().file("etc/version", "1")), Layer::random(2 << 20)];
    server.push(&Image::new(layers, json!({})), "app:1");
    proxy.limit(1 << 20);
    let test = "a_process_that_is_killed_in_a_pull_leaves_what_the_next_one_removes";
    let name = format!("{}/app:1", proxy.address);
    let mut killed = process(test, dir.path(), &name, |_| {});
    proxy.until_stalled();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(unfinished(dir.path()), 2);
    proxy.limit(u64::MAX);
    succeeded(process(test, dir.path(), &name, |_| {}));
    assert_eq!(unfinished(dir.path()), 0);
}

#[test]
fn a_pull_that_nobody_waits_for_any_more_leaves_nothing() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(&server.address);
    server.push(&Image::new(vec![Layer::random(2 << 20)], json!({})), "app:1");
    proxy.limit(1 << 20);
    let (images, name) = (Images::new(dir.path().to_owned()), format!("{}/app:1", proxy.address));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let pull =
        runtime.spawn(async move { images.get(&name, Pull::Missing, &Settings::default()).await });
    proxy.until_stalled();
    assert_eq!(unfinished(dir.path()), 2);
    pull.abort();
    wait_until("its files are removed", || unfinished(dir.path()) == 0);
    proxy.limit(u64::MAX);
    get(dir.path(), &format!("{}/app:1", server.address), Pull::Missing).unwrap();
}

#[test]
fn an_ordinary_user_has_images_too() {
    if part().is_some() {
        return get_and_look();
    }
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir(&images).unwrap();
    let archive = Archive::new()
        .owner(1000, 2000)
        .dir("shut/", 0o555)
        .file("shut/file", "x")
        .moded("suid", 0o4755, "x")
        .file("etc/version", "1");
    let upper = Archive::new().file("shut/more", "x");
    let name = server.push(&Image::new(vec![layer(archive), layer(upper)], json!({})), "app:1");
    let is_root = nix::unistd::geteuid().is_root();
    let user = if is_root { 65534 } else { nix::unistd::geteuid().as_raw() };
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if is_root {
        std::os::unix::fs::chown(&images, Some(user), Some(user)).unwrap();
    }
    succeeded(process("an_ordinary_user_has_images_too", &images, &name, |command| {
        if is_root {
            command.uid(user).gid(user);
        }
    }));
    let image = get(&images, &name, Pull::Never).unwrap();
    let about = |path: &str| fs::metadata(image.rootfs.join(path)).unwrap();
    for path in ["", "shut", "shut/file", "shut/more", "suid", "etc"] {
        assert_eq!(about(path).uid(), user, "{path}");
    }
    assert_eq!((about("shut").mode() & 0o7777, about("suid").mode() & 0o7777), (0o555, 0o755));
}
