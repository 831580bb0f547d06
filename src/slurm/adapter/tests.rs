//! Tests the commands of all kinds of containers, for one job.

use std::time::Duration;

use super::*;
use crate::model::extensions::Pull;
use crate::registry;
use crate::tracker::{self, Stdio, Submitter};

fn started(containers: Containers, uid: u32, attributes: &[(&str, &str)]) -> (Order, InContainer) {
    let settings = JobSettings {
        image: Some("example.org/a:1".into()),
        containers,
        runtime: None,
        gpu_devices: Some("a.b/gpu".into()),
        cdi_dirs: vec!["/cdi".into()],
        grace: Duration::from_secs(1),
        linger: None,
        pull: Pull::Missing,
        registry: registry::Settings::default(),
    };
    let job = NewJob::for_tests("01j");
    let named = |(name, value): &(&str, &str)| (format!("containerd_jt_{name}"), (*value).into());
    let template = JobTemplate {
        remote_command: Some("true".into()),
        min_slots: Some(3),
        max_slots: Some(3),
        extensions: attributes.iter().map(named).collect(),
        ..JobTemplate::default()
    };
    let stdio = Stdio { output: Some("/data/out".into()), ..Stdio::default() };
    let settings = tracker::Settings::of(&settings).unwrap();
    let submitter = Submitter { uid, gid: 100, ..job.submitter };
    let job = NewJob { template, settings, stdio, submitter, ..job };
    let image = Image::for_tests("example.org/a:1", "/images/i/rootfs");
    in_container(&job, &image, Path::new("/jobs/01j"), Path::new("/libexec/init")).unwrap()
}

fn command(containers: Containers, attributes: &[(&str, &str)]) -> (Order, String) {
    match started(containers, 1000, attributes) {
        (order, InContainer { start: Start::Site(command), spec: None, gpus: None }) => {
            (order, command.join(" "))
        }
        _ => panic!("another start"),
    }
}

#[test]
fn apptainer_has_the_directory_of_the_image_and_an_overlay() {
    let wanted = [("mounts", "/data/in:/opt/in:ro,/data:/opt"), ("hostname", "h")];
    let (order, command) = command(Containers::Apptainer, &wanted);
    let expected = "apptainer --quiet exec --containall --no-init --no-mount tmp,home,hostfs \
         --mount type=bind,\"source=/data\",\"destination=/opt\" \
         --mount type=bind,\"source=/data/in\",\"destination=/opt/in\",ro \
         --mount type=bind,\"source=/libexec/init\",\"destination=/.drmaa2/init\",ro \
         --mount type=bind,\"source=/jobs/01j/@RUN@\",\"destination=/.drmaa2/job\" \
         --mount type=bind,\"source=/data/out\",\"destination=/.drmaa2/stdout\" \
         --hostname h --overlay @NODE@ --pwd / /images/i/rootfs /.drmaa2/init";
    assert_eq!(command, expected);
    assert!(!order.sole_user && !order.account && order.stdout == b"/.drmaa2/stdout");
    let (_, command) = self::command(Containers::Apptainer, &[("read_only", "true")]);
    assert!(!command.contains("--overlay"), "{command}");
}

#[test]
fn pyxis_is_a_step_with_an_image_and_mounts() {
    let (order, command) = command(Containers::Pyxis, &[("mounts", "/data:/opt:ro")]);
    let expected = "srun --quiet --nodes=1 --ntasks=1 --cpus-per-task=3 --mem=0 --input=none --mpi=none \
         --container-image=example.org#a:1 --container-mounts=/data:/opt:ro,/libexec/init:/.drmaa2/init:ro,\
         /jobs/01j/@RUN@:/.drmaa2/job:rw,/data/out:/.drmaa2/stdout:rw --container-writable \
         --no-container-mount-home --no-container-remap-root --no-container-entrypoint --container-workdir=/ \
         /.drmaa2/init --shared";
    assert_eq!(command, expected);
    assert!(!order.sole_user);
}

#[test]
fn slurm_has_a_bundle_that_needs_nothing_of_the_batch_script() {
    for uid in [0, 1000] {
        let wanted = [("gres", "license:1,gpu:a100:2")];
        let (order, container) = started(Containers::Slurm, uid, &wanted);
        let InContainer { start: Start::Site(command), spec: Some(spec), gpus } = container else {
            panic!("another start")
        };
        let spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
        assert_eq!(gpus, Some(("a.b/gpu".to_owned(), vec!["/cdi".into()])));
        assert!(
            command.join(" ").ends_with("--mpi=none --container=@NODE@ /.drmaa2/init"),
            "{command:?}"
        );
        assert_eq!(spec["root"]["path"], "@NODE@/rootfs");
        let first = spec["mounts"][0].to_string();
        assert!(
            first.contains("lowerdir=/images/i/rootfs") && first.contains("@NODE@/upper"),
            "{first}"
        );
        let is_user = uid != 0;
        assert_eq!(first.contains("userxattr"), is_user);
        assert_eq!(spec["linux"]["uidMappings"][0]["hostID"].as_u64(), is_user.then_some(1000));
        assert_eq!(order.sole_user, is_user);
    }
}

#[test]
fn containerd_is_asked_by_messages_to_the_broker_of_the_node() {
    let wanted = [("mounts", "/data:/opt:ro"), ("hostname", "h"), ("grace", "7"), ("gres", "gpu:1")];
    let (order, container) = started(Containers::Containerd, 1000, &wanted);
    let InContainer { start: Start::Site(command), spec: Some(messages), gpus: None } = container else {
        panic!("another start")
    };
    let expected =
        "/libexec/drmaa2-node --containerd /run/drmaa2/drmaa2.sock @NODE@/config.json /jobs/01j/@RUN@";
    assert_eq!(command.join(" "), expected);
    assert!(!order.sole_user && !order.account && order.grace == 7000);
    let [hello, step] = messages.lines().collect::<Vec<_>>()[..] else { panic!("{messages}") };
    assert!(hello.contains("Hello"), "{hello}");
    let step: serde_json::Value = serde_json::from_str(step).unwrap();
    let step: crate::model::StepContainer = serde_json::from_value(step["Step"].clone()).unwrap();
    assert_eq!((step.init.as_str(), step.job_dir.as_str()), ("/libexec/init", "/jobs/01j/@RUN@"));
    assert_eq!(
        (step.files[0].source.as_str(), step.files[0].target.as_str()),
        ("/data/out", "/.drmaa2/stdout")
    );
    let set = ["jobCategory", "containerd_jt_hostname", "containerd_jt_mounts"];
    assert_eq!(step.template.set_attributes(), set);
    let mounts = step.template.extensions().unwrap().mounts;
    assert!(mounts[0].source == "/data" && mounts[0].destination == "/opt" && mounts[0].read_only);
}

#[test]
fn what_an_adapter_cannot_honour_is_refused_with_its_name() {
    let with = |name: &str, value: &str| JobTemplate {
        extensions: [(format!("containerd_jt_{name}"), value.into())].into(),
        ..JobTemplate::default()
    };
    let refused = check(Containers::Apptainer, &with("tmpfs", "/t")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnsupportedAttribute);
    assert!(
        refused.message.contains("containerd_jt_tmpfs") && refused.message.contains("\"apptainer\"")
    );
    check(Containers::Apptainer, &with("hostname", "h")).unwrap();
    check(Containers::Pyxis, &with("hostname", "h")).unwrap_err();
    check(Containers::Slurm, &with("tmpfs", "/t")).unwrap();
}

#[test]
fn gpus_are_one_of_the_generic_resources() {
    for gres in ["gpu", "gpu:2", "x:1,gpu:a100:2", "gres/gpu:1", "gpu(S:0)"] {
        assert!(asks_for_gpus(gres), "{gres}");
    }
    assert!(!asks_for_gpus("gpus:1,mygpu"));
}
