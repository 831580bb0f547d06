//! Containers that a program of the site makes: what its job does inside arrives, whichever it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use drmaa2::model::{Containers, Control, JobState, JobTemplate, Text};
use drmaa2::slurm::JobSettings;
use drmaa2::tracker::{JobTracker, NewJob, Stdio};

use crate::rig::{LONG, Rig, eventually, job, rig, settings};
use crate::suspend::of_a_user;

const IMAGE: &str = "example.org/busybox:1";

/// Put an image with a static busybox where the tracker has its own.
pub(crate) fn make_image(rig: &Rig) {
    let images = rig.dir.path().join("slurm/images");
    let digest = "0".repeat(64);
    let place = images.join(format!("sha256-{digest}"));
    for dir in ["bin", "proc", "dev", "sys", "etc", "tmp", "root"] {
        fs::create_dir_all(place.join("rootfs").join(dir)).unwrap();
    }
    let paths = std::env::var_os("PATH").unwrap();
    let busybox =
        std::env::split_paths(&paths).map(|dir| dir.join("busybox")).find(|file| file.is_file());
    fs::copy(busybox.expect("busybox"), place.join("rootfs/bin/busybox")).unwrap();
    for applet in ["sh", "cat", "ls", "sleep", "echo", "test", "grep", "hostname"] {
        symlink("busybox", place.join("rootfs/bin").join(applet)).unwrap();
    }
    let config = r#"{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Env": ["PATH=/bin", "OF_IMAGE=yes"], "WorkingDir": "/work"}}"#;
    fs::write(place.join("config.json"), config).unwrap();
    let names = images.join("names/amd64");
    fs::create_dir_all(&names).unwrap();
    fs::write(names.join("example.org%2Fbusybox%3A1"), format!("sha256:{digest}\n")).unwrap();
}

/// A job in a container of that image.
pub(crate) fn in_container(containers: Containers, program: Option<&str>, script: &str) -> NewJob {
    let new = job(script);
    let of_host: JobSettings = settings(IMAGE).read().unwrap();
    let own = JobSettings { containers, runtime: program.map(str::to_owned), ..of_host };
    let template = JobTemplate { job_category: Some(IMAGE.into()), ..new.template };
    NewJob { template, settings: drmaa2::tracker::Settings::of(&own).unwrap(), ..new }
}

pub(crate) fn with(job: NewJob, attributes: &[(&str, &str)]) -> NewJob {
    let named = |(name, value): &(&str, &str)| (format!("containerd_jt_{name}"), Text::from(*value));
    let extensions = attributes.iter().map(named).collect();
    NewJob { template: JobTemplate { extensions, ..job.template }, ..job }
}

/// The things that every kind of container has to do.
fn works(rig: &Rig, containers: Containers, program: Option<&str>) {
    let of = |script: &str| in_container(containers, program, script);
    let run = |job: NewJob| {
        rig.tracker.add_job(job.clone()).unwrap();
        rig.ended(&job.id)
    };
    // It is the image, with its environment and directory and a layer of the job's own, and the files of the node.
    let (data, output) = (rig.file("data"), rig.file("out"));
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("in"), "from the node").unwrap();
    // It is made where the job is submitted.
    fs::write(&output, "").unwrap();
    let script = "echo >/written && test $OF_IMAGE$PWD = yes/work && cat /mnt/data/in && \
                  test $SLURM_JOB_ID && ! echo >/mnt/data/in && ! ls /etc/slurm && exit 7";
    let mounts = format!("{}:/mnt/data:ro", data.display());
    let mut first = with(of(script), &[("mounts", &mounts), ("hostname", "inside")]);
    first.stdio = Stdio { output: Some(output.to_str().unwrap().into()), ..Stdio::default() };
    let outcome = run(first);
    assert_eq!((outcome.exit_status, outcome.signal), (Some(7), None), "{outcome:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "from the node");
    let mut read_only = with(of("echo >/written; test -e /written"), &[("read_only", "true")]);
    read_only.template.working_directory = Some("/".into());
    let outcome = run(read_only);
    assert_eq!(outcome.exit_status, Some(1), "{outcome:?}");
    let outcome = run(with(of("test $(hostname) = inside"), &[("hostname", "inside")]));
    assert_eq!(outcome.exit_status, Some(0), "{outcome:?}");
    // A signal arrives as one.
    let outcome = run(of("kill -SEGV $$"));
    assert_eq!((outcome.exit_status, outcome.signal), (Some(139), Some(libc::SIGSEGV)), "{outcome:?}");
    // It is asked to end, and ends as it likes.
    let ready = rig.file("ready");
    fs::create_dir_all(&ready).unwrap();
    fs::set_permissions(&ready, fs::Permissions::from_mode(0o777)).unwrap();
    let script = "trap 'exit 9' TERM; echo >/mnt/ready/it; sleep 4351 & wait";
    let mounts = format!("{}:/mnt/ready", ready.display());
    let id = rig.run(with(of(script), &[("mounts", &mounts)]));
    eventually("it waits", || ready.join("it").exists());
    rig.tracker.job_control(&id, Control::Terminate).unwrap();
    let outcome = rig.ended(&id);
    assert_eq!(outcome.exit_status, Some(9), "{outcome:?}");
    // Its processes are stopped, and killed.
    let user = of_a_user(rig);
    let id = rig.run(of("sleep 4352 & exec sleep 4352"));
    eventually("both run", || rig.processes(&["sleep 4352"]).len() == 2);
    user.job_control(&id, Control::Suspend).unwrap();
    user.wait(&id, Some(LONG), &[JobState::Suspended]).unwrap();
    user.job_control(&id, Control::Kill).unwrap();
    assert_eq!(rig.ended(&id).signal, Some(libc::SIGKILL));
    eventually("nothing is left", || rig.processes(&["sleep 4352"]).is_empty());
    // Nothing survives the batch script.
    let id = rig.run(of("sleep 4353 & exec sleep 4353"));
    eventually("both run", || rig.processes(&["sleep 4353"]).len() == 2);
    rig.kill(&["drmaa2-node", &id]);
    assert_eq!(rig.ended(&id).signal, Some(libc::SIGKILL));
    eventually("nothing is left", || rig.processes(&["sleep 4353"]).is_empty());
}

/// The least `oci.conf` with which slurmstepd starts containers.
pub(crate) fn write_oci_conf(file: &Path, root: &Path) {
    let runtime = format!("runc --root={}", root.display());
    let name = "%n.%u.%j.%s.%t";
    let lines = [
        format!("RunTimeQuery=\"{runtime} state {name}\""),
        format!("RunTimeKill=\"{runtime} kill -a {name}\""),
        format!("RunTimeDelete=\"{runtime} delete --force {name}\""),
        format!("RunTimeRun=\"{runtime} run {name} -b %b\""),
    ];
    fs::write(file, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_job_runs_in_a_container_of_slurms_own() {
    let Some(rig) = rig() else { return };
    let root = rig.file("runc");
    fs::create_dir_all(&root).unwrap();
    write_oci_conf(&rig.conf().with_file_name("oci.conf"), &root);
    make_image(&rig);
    works(&rig, Containers::Slurm, None);
}

#[test]
fn a_job_runs_in_apptainer() {
    let Some(rig) = rig() else { return };
    let program = std::env::var("DRMAA2_TEST_APPTAINER").expect("the path of an apptainer");
    make_image(&rig);
    works(&rig, Containers::Apptainer, Some(&program));
}

#[test]
fn a_program_that_the_node_lacks_is_named() {
    let Some(rig) = rig() else { return };
    make_image(&rig);
    let job = in_container(Containers::Apptainer, Some("no-such-apptainer"), "true");
    rig.tracker.add_job(job.clone()).unwrap();
    let outcome = rig.ended(&job.id);
    assert_eq!(outcome.state(), JobState::Failed);
    let reason = outcome.reason.unwrap();
    assert!(reason.contains("cannot run \"no-such-apptainer\": No such file"), "{reason}");
}

#[test]
fn slurm_without_an_oci_conf_says_so() {
    let Some(rig) = rig() else { return };
    let _ = fs::remove_file(rig.conf().with_file_name("oci.conf"));
    make_image(&rig);
    let job = in_container(Containers::Slurm, None, "true");
    rig.tracker.add_job(job.clone()).unwrap();
    let outcome = rig.ended(&job.id);
    let reason = outcome.reason.unwrap();
    assert!(reason.contains("not started on n") && reason.contains("srun: error"), "{reason}");
}
