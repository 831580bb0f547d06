//! Images that one user has pulled with his credentials, and others.

use drmaa2::containerd::JobSettings;
use drmaa2::model::extensions::Pull;
use drmaa2::tracker::Submitter;
use serde_json::json;

use super::image::{Image, Layer};
use super::rig::Rig;
use super::server::Server;

fn user(uid: u32) -> Submitter {
    let (user, machine) = (format!("u{uid}"), "m".into());
    Submitter { user, uid, gid: uid, groups: vec![uid], umask: 0o022, machine }
}

/// Let the next jobs of the rig be those of a user, with these credentials for a registry or none.
fn become_user(rig: &mut Rig, uid: u32, registry: Option<&str>) {
    let auth = registry.map(|host| json!({ "auths": { host: { "auth": "ZHJtYWEyOnNlY3JldA==" } } }));
    let file = rig.file(&format!("auth.{uid}.json"), &auth.unwrap_or(json!({})).to_string());
    std::os::unix::fs::chown(&file, Some(uid), None).unwrap();
    let mut registry = rig.configured.registry.clone();
    registry.auth_files = vec![file.as_path().into()];
    registry.owner = Some(user(uid));
    rig.configured = JobSettings { registry, ..rig.configured.clone() };
}

#[test]
fn an_image_that_was_pulled_with_credentials_is_for_those_who_have_some() {
    let Some(mut rig) = Rig::new() else { return };
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(rig.dir.path(), mode).unwrap();
    let server = Server::with_password();
    let name = server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    become_user(&mut rig, 4001, Some(&server.address));
    rig.output(&name, "true");
    // It is there, for nobody else.
    become_user(&mut rig, 4002, None);
    let refusal = rig.refused(&name);
    assert!(refusal.contains(&name) && refusal.contains("401"), "{refusal}");
    rig.configured.pull = Pull::Never;
    let refusal = rig.refused(&name);
    assert!(refusal.contains("credentials of another user"), "{refusal}");
    become_user(&mut rig, 4001, None);
    rig.output(&name, "true");
    become_user(&mut rig, 0, None);
    rig.output(&name, "true");
    // Who has shown it once need not do so again, also if the registry is gone.
    rig.configured.pull = Pull::Missing;
    become_user(&mut rig, 4002, Some(&server.address));
    rig.output(&name, "true");
    drop(server);
    for uid in [4001, 4002] {
        become_user(&mut rig, uid, None);
        rig.output(&name, "true");
    }
    become_user(&mut rig, 4003, None);
    assert!(rig.refused(&name).contains(&name));
}

#[test]
fn what_was_pulled_without_credentials_is_for_all() {
    let Some(mut rig) = Rig::new() else { return };
    let server = Server::start();
    let name = server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    become_user(&mut rig, 4001, Some(&server.address));
    rig.output(&name, "true");
    drop(server);
    become_user(&mut rig, 4002, None);
    rig.output(&name, "true");
}
