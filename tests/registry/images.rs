//! Images of every kind: each runs as Docker would run it.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;

use drmaa2::model::{Control, JobTemplate};
use drmaa2::tracker::{JobTracker, Stdio};
use serde_json::{Value, json};

use super::image::{Image, Layer, Packing};
use super::rig::{LONG, Rig, job};
use super::server::Server;

const PASSWD: &[u8] = b"root:x:0:0::/:/bin/sh\nalice:x:1234:50::/home/alice:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\nstaff:x:50:\nvideo:x:44:alice\n";

fn users() -> Layer {
    Layer::new(&[("etc/passwd", PASSWD, 0o644), ("etc/group", GROUP, 0o644)], Packing::Gzip)
}

#[test]
fn a_user_by_name_is_looked_up_in_the_image() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let run = |user: &str| {
        let image = Image::new(vec![Layer::busybox(), users()], json!({ "User": user }));
        let name = server.push(&image, &format!("user:{}", user.replace(':', "-")));
        rig.output(&name, "echo $(id -u) $(id -g) $(id -G)")
    };
    assert_eq!(run("alice"), "1234 50 50 44\n");
    assert_eq!(run("alice:video"), "1234 44 44\n");
    assert_eq!(run("77"), "77 0 0\n");
}

#[test]
fn a_job_starts_in_the_directory_of_the_image() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let work = Layer::new(&[("srv/", b"", 0o755), ("srv/data", b"here", 0o644)], Packing::Plain);
    let config = json!({ "WorkingDir": "/srv", "Env": ["PATH=/bin", "GREETING=hello"] });
    let name = server.push(&Image::new(vec![Layer::busybox(), work], config), "work:1");
    assert_eq!(rig.output(&name, "pwd; cat data; echo $GREETING"), "/srv\nherehello\n");
}

/// An image that says where it is, with this configuration and this manifest.
fn odd(change: impl FnOnce(&mut Value, &mut Value)) -> Image {
    let config = json!({ "WorkingDir": "/srv", "Env": ["PATH=/bin"] });
    let here = Layer::new(&[("srv/data", b"here", 0o644)], Packing::Plain);
    Image::new(vec![Layer::busybox(), here], config).edited(change)
}

#[test]
fn what_is_no_image_is_refused_by_its_type() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let chart = Image::new(vec![Layer::random(100)], json!({})).edited(|config, manifest| {
        *config = json!({ "name": "chart", "version": "1" });
        manifest["config"]["mediaType"] = helm.into();
    });
    let reason = rig.refused(&server.push(&chart, "chart:1"));
    assert!(reason.contains(helm), "{reason}");
    let other = odd(|config, _| config["architecture"] = "s390x".into());
    let reason = rig.refused(&server.push(&other, "other:1"));
    assert!(reason.contains("not made for this machine"), "{reason}");
}

#[test]
fn files_of_the_image_below_run_are_there() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let conf = Layer::new(&[("run/app/conf", b"here", 0o644)], Packing::Plain);
    let name =
        server.push(&Image::new(vec![Layer::busybox(), conf], json!({ "Env": ["PATH=/bin"] })), "run:1");
    assert_eq!(
        rig.output(&name, "cat /run/app/conf; echo > /run/pid && echo; ls /run"),
        "here\napp\npid\n"
    );
}

#[test]
fn the_stop_signal_of_the_image_asks_a_job_to_end() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    // That of images whose program is systemd.
    let image = Image::new(vec![Layer::busybox()], json!({ "StopSignal": "SIGRTMIN+3" }));
    let name = server.push(&image, "stop:1");
    let path = rig.dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = "trap 'exit 5' 37; trap 'exit 6' TERM; echo ready; busybox sleep 1000 & wait";
    let stdio = Stdio { output: Some(path.as_path().into()), ..Stdio::default() };
    let id = rig.start(job(&name, script), stdio);
    let (sender, ready) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(std::fs::File::open(path).unwrap()).read_line(&mut line).unwrap();
        sender.send(line).unwrap();
    });
    assert_eq!(ready.recv_timeout(LONG).unwrap(), "ready\n");
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    assert_eq!(rig.end(&id).exit_status, Some(5));
}

#[test]
fn a_job_without_init_has_a_path_as_others_have() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let name = server.push(&Image::new(vec![Layer::busybox()], json!({})), "pathless:1");
    let extensions = [("containerd_jt_init".to_owned(), "off".into())].into();
    let template = JobTemplate { extensions, ..job(&name, "cat /dev/null") };
    assert_eq!(rig.end(&rig.start(template, Stdio::default())).exit_status, Some(0));
}

#[test]
fn one_static_program_is_an_image() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    // Nothing but the program: no /etc, no /dev, no directory but its own.
    let file = std::fs::read(super::image::busybox()).unwrap();
    let layer = Layer::new(&[("sh", &file, 0o755)], Packing::Gzip);
    let name = server.push(&Image::new(vec![layer], json!({ "Env": ["PATH=/"] })), "scratch:1");
    assert_eq!(rig.output(&name, "echo alone"), "alone\n");
}

#[test]
fn forty_layers_lie_on_each_other() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let upper = (1..40_u32).map(|number| {
        let (own, text) = (format!("layer{number}"), format!("{number} "));
        Layer::new(&[(&own, text.as_bytes(), 0o644), ("top", text.as_bytes(), 0o644)], Packing::Gzip)
    });
    let layers = [Layer::busybox()].into_iter().chain(upper).collect();
    let name = server.push(&Image::new(layers, json!({})), "many:1");
    assert_eq!(rig.output(&name, "cat /layer1 /layer20 /layer39 /top"), "1 20 39 39 ");
    assert_eq!(rig.held().snapshots.len(), 40);
}
