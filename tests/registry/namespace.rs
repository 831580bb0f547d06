//! The defaults of a namespace, which are labels of it: they count where neither a job nor the configuration says.

use drmaa2::containerd::JobSettings;
use drmaa2::model::{JobTemplate, Text};
use drmaa2::tracker::{self, JobTracker, Stdio};
use serde_json::json;

use super::image::{Image, Layer};
use super::rig::{Rig, job};
use super::server::Server;

const SNAPSHOTTER: &str = "containerd.io/defaults/snapshotter";
const RUNTIME: &str = "containerd.io/defaults/runtime";

/// Several rigs in one namespace, each as a process of its own that has not yet asked for its defaults.
struct Place {
    rig: Rig,
    server: Server,
    image: String,
}

impl Place {
    fn new(labels: &[(&str, &str)]) -> Option<Self> {
        let rig = Rig::with(|settings| settings.snapshotter = None)?;
        rig.say_of_namespace(labels);
        let server = Server::start();
        let image = server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
        Some(Self { rig, server, image })
    }

    /// One with another configuration.
    fn configured(&self, snapshotter: Option<&str>) -> Rig {
        let namespace = self.rig.settings.namespace.clone();
        Rig::with(|settings| {
            settings.namespace = namespace;
            settings.snapshotter = snapshotter.map(str::to_owned);
        })
        .unwrap()
    }
}

/// The kind of the root file system of a job with these attributes.
fn root_of(rig: &Rig, image: &str, attributes: &[(&str, &str)]) -> String {
    let path = rig.file("mounts", "");
    let stdio = Stdio { output: Some(path.as_path().into()), ..Stdio::default() };
    let outcome = rig.end(&rig.start(with(job(image, "cat /proc/mounts"), attributes), stdio));
    assert_eq!(outcome.exit_status, Some(0), "{outcome:?}");
    let mounts = std::fs::read_to_string(path).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).unwrap();
    root.split(' ').nth(2).unwrap().to_owned()
}

fn with(template: JobTemplate, attributes: &[(&str, &str)]) -> JobTemplate {
    let set =
        attributes.iter().map(|(name, value)| (format!("containerd_jt_{name}"), Text::from(*value)));
    JobTemplate { extensions: set.collect(), ..template }
}

#[test]
fn the_snapshotter_of_a_namespace_counts_unless_somebody_says() {
    let Some(place) = Place::new(&[(SNAPSHOTTER, "native")]) else { return };
    let image = &place.image;
    assert_ne!(root_of(&place.rig, image, &[]), "overlay");
    // The layer of the image is left, and nothing of the job.
    assert_eq!(place.rig.snapshots("native").len(), 1);
    assert_eq!(place.rig.snapshots("overlayfs"), [""; 0]);
    assert_eq!(root_of(&place.rig, image, &[("snapshotter", "overlayfs")]), "overlay");
    assert_eq!(root_of(&place.configured(Some("overlayfs")), image, &[]), "overlay");
    place.rig.say_of_namespace(&[]);
    assert_eq!(root_of(&place.configured(None), image, &[]), "overlay");
    drop(place.server);
}

#[test]
fn a_snapshotter_of_a_namespace_that_is_not_there_is_named() {
    let Some(place) = Place::new(&[(SNAPSHOTTER, "none-such")]) else { return };
    let rig = &place.rig;
    let configured = JobSettings { image: Some(place.image.clone()), ..rig.configured.clone() };
    let settings = tracker::Settings::of(&configured).unwrap();
    let template = job(&place.image, "true");
    let error = rig.tracker.check_template(&template, &settings).unwrap_err();
    let namespace = &rig.settings.namespace;
    let place = format!("label {SNAPSHOTTER} of namespace {namespace} is \"none-such\": ");
    assert!(error.message.starts_with(&place), "{error}");
}

#[test]
fn the_runtime_of_a_namespace_counts_unless_somebody_says() {
    let Some(place) = Place::new(&[(RUNTIME, "io.containerd.none-such.v9")]) else { return };
    let image = &place.image;
    let mut rig = place.configured(None);
    // That program is another runtime's.
    rig.configured.runtime_binary = Some("/no/such/runc".into());
    let reason = rig.refused(image);
    assert!(reason.contains("none-such"), "{reason}");
    let runc = "io.containerd.runc.v2";
    rig.configured.runtime_binary = None;
    let own = with(job(image, "true"), &[("runtime", runc)]);
    assert_eq!(rig.end(&rig.start(own, Stdio::default())).exit_status, Some(0));
    rig.configured.runtime = Some(runc.into());
    rig.output(image, "true");
    rig.configured.runtime = None;
    place.rig.say_of_namespace(&[]);
    place.configured(None).output(image, "true");
    drop(place.server);
}
