//! Tests whom the broker gives containers for steps, over a fake runtime that has none.

use super::tests::{NOBODY, Site, become_user, is_root};
use super::*;
use crate::config::Guests;
use crate::model::{JobTemplate, StepContainer};

/// The last message of the broker to a client of this user that asks for a container.
fn answer(site: &Site, uid: u32, attributes: &[(&str, &str)]) -> String {
    let named = |(name, value): &(&str, &str)| (format!("containerd_jt_{name}"), (*value).into());
    let template = JobTemplate {
        job_category: Some("busybox".into()),
        extensions: attributes.iter().map(named).collect(),
        ..JobTemplate::default()
    };
    let (init, job_dir) = ("/bin/sh".to_owned(), "/".to_owned());
    let container = StepContainer { template: Box::new(template), init, job_dir, files: Vec::new() };
    let messages = container.messages().unwrap();
    let client = || {
        use std::io::Write;
        become_user(uid);
        let mut stream = std::os::unix::net::UnixStream::connect(&site.path).unwrap();
        for message in messages.lines() {
            stream.write_all(&u32::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(message.as_bytes()).unwrap();
        }
        let hello = wire::read(&mut stream, MAX_ANSWER).unwrap().unwrap();
        assert!(String::from_utf8_lossy(&hello).contains("Hello"));
        wire::read(&mut stream, MAX_ANSWER).unwrap().unwrap()
    };
    let told = std::thread::scope(|scope| scope.spawn(client).join().unwrap());
    String::from_utf8(told).unwrap()
}

#[test]
fn a_container_for_a_step_is_for_users_to_whom_the_site_gives_it() {
    if !is_root() {
        return;
    }
    let said = answer(&Site::new(), NOBODY, &[]);
    assert!(said.contains("DeniedByDrms") && said.contains("`steps` in [guests]"), "{said}");
}

#[test]
fn a_container_for_a_step_asks_for_nothing_that_a_user_may_not_have_and_is_in_a_step() {
    if !is_root() {
        return;
    }
    let site = Site::with(Guests { steps: true, ..Guests::default() });
    for (attribute, value) in
        [("privileged", "on"), ("memory", "1g"), ("devices", "/dev/fuse"), ("cgroup_parent", "a")]
    {
        let said = answer(&site, NOBODY, &[(attribute, value)]);
        assert!(said.contains("UnsupportedAttribute") && said.contains(attribute), "{said}");
    }
    // The runtime would make the place of the second, in the first and as root.
    let said = answer(&site, NOBODY, &[("mounts", "/tmp:/a,/tmp:/a/b")]);
    assert!(said.contains("DeniedByDrms") && said.contains("below another mount"), "{said}");
    // The directory is root's, and closed to all others.
    let secret = tempfile::tempdir().unwrap();
    std::fs::set_permissions(secret.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    let file = secret.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = answer(&site, NOBODY, &[("mounts", &format!("{}:/a", file.display()))]);
    assert!(said.contains(&format!("{}: Permission denied", file.display())), "{said}");
    // The tests run in no job of Slurm.
    let said = answer(&site, NOBODY, &[("hostname", "h")]);
    assert!(said.contains("DeniedByDrms") && said.contains("is in no step of a job of Slurm"), "{said}");
}
