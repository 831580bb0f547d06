//! GPUs that Slurm grants, as devices of containers.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use drmaa2::model::{Containers, ErrorCode, JobTemplate};
use drmaa2::slurm::JobSettings;
use drmaa2::tracker::{self, JobTracker, NewJob};

use crate::adapters::{in_container, make_image, with, write_oci_conf};
use crate::rig::{Rig, eventually, job, rig};

/// The devices that the cluster has its nodes take for GPUs, under names of their own.
const DESCRIPTION: &str = r#"
cdiVersion: 0.6.0
kind: example.com/gpu
devices:
- name: "0"
  containerEdits: {deviceNodes: [{path: /dev/gpu0, hostPath: /dev/full}], env: [GPU=zeroth]}
- name: "1"
  containerEdits: {deviceNodes: [{path: /dev/gpu1, hostPath: /dev/zero}], env: [GPU=first]}
"#;

/// A job in a container that asks for GPUs, and writes what it sees to `/mnt/out/NAME` until it is let go on.
fn asking(rig: &Rig, containers: Containers, gres: &str, name: &str) -> NewJob {
    let (out, cdi) = (rig.file("out"), rig.file("cdi"));
    fs::create_dir_all(&out).unwrap();
    fs::create_dir_all(&cdi).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(cdi.join("gpu.yaml"), DESCRIPTION).unwrap();
    nix::unistd::mkfifo(&out.join(format!("{name}.go")), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script =
        format!("set -- /dev/gpu* && : <$1 && echo $GPU $* >/mnt/out/{name} && cat /mnt/out/{name}.go");
    let job = in_container(containers, None, &script);
    let own: JobSettings = job.settings.read().unwrap();
    let own = JobSettings { gpu_devices: Some("example.com/gpu".into()), cdi_dirs: vec![cdi], ..own };
    let job = NewJob { settings: tracker::Settings::of(&own).unwrap(), ..job };
    let job = with(job, &[("gres", gres), ("mounts", &format!("{}:/mnt/out", out.display()))]);
    let template = JobTemplate { candidate_machines: Some(vec!["n1".into()]), ..job.template };
    NewJob { template, ..job }
}

fn each_gets_its_own(containers: Containers) {
    let Some(rig) = rig() else { return };
    let root = rig.file("runc");
    fs::create_dir_all(&root).unwrap();
    write_oci_conf(&rig.conf().with_file_name("oci.conf"), &root);
    make_image(&rig);
    let jobs = ["a", "b"].map(|name| (name, rig.run(asking(&rig, containers, "gpu:1", name))));
    let seen = jobs.clone().map(|(name, _)| {
        let file = rig.file("out").join(name);
        eventually("it has looked", || fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
        fs::read_to_string(file).unwrap()
    });
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!(sorted, ["first /dev/gpu1\n", "zeroth /dev/gpu0\n"], "{seen:?}");
    for (name, id) in jobs {
        fs::write(rig.file("out").join(format!("{name}.go")), "").unwrap();
        assert_eq!(rig.ended(&id).exit_status, Some(0));
    }
}

#[test]
fn a_container_of_a_runtime_gets_the_gpu_that_slurm_has_granted() {
    each_gets_its_own(Containers::Runtime);
}

#[test]
fn a_container_of_slurms_own_gets_the_gpu_that_slurm_has_granted() {
    each_gets_its_own(Containers::Slurm);
}

#[test]
fn a_gpu_that_the_node_does_not_describe_is_named() {
    let Some(rig) = rig() else { return };
    make_image(&rig);
    let job = asking(&rig, Containers::Runtime, "gpu:2", "c");
    fs::write(rig.file("cdi/gpu.yaml"), DESCRIPTION.replace("\"1\"", "\"7\"")).unwrap();
    rig.tracker.add_job(job.clone()).unwrap();
    let reason = rig.ended(&job.id).reason.unwrap();
    assert!(reason.contains("there is no CDI device example.com/gpu=1"), "{reason}");
}

#[test]
fn a_job_without_a_container_is_granted_gpus_too() {
    let Some(rig) = rig() else { return };
    let job = with(job("test $CUDA_VISIBLE_DEVICES = 0,1"), &[("gres", "gpu:2")]);
    rig.tracker.add_job(job.clone()).unwrap();
    assert_eq!(rig.ended(&job.id).exit_status, Some(0));
    let job = with(job, &[("gres", "dragon:1")]);
    let refused = rig.tracker.add_job(NewJob { id: format!("{}x", job.id), ..job }).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArgument, "{refused}");
    assert!(refused.message.contains("containerd_jt_gres \"dragon:1\""), "{refused}");
}
