//! The rights of submitters.
//!
//! A job's container is made by root. A user other than root runs jobs under their own identity, with no
//! additional rights.

use std::path::{Path, PathBuf};

use super::behalf::Behalf;
use crate::model::extensions::{Device, PREFIX};
use crate::model::{Error, ErrorCode, Extensions, Result, Text};
use crate::tracker::Submitter;

/// The runtimes that every user may choose.
const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// DENIED_BY_DRMS for requests that only root may make.
pub(super) fn check(behalf: &Behalf, submitter: &Submitter, extensions: &Extensions) -> Result<()> {
    if submitter.uid == 0 {
        return Ok(());
    }
    let deny = |attribute: &str, cause: &str| {
        let text = format!("job template attribute {PREFIX}{attribute}: {cause}");
        Err(Error::new(ErrorCode::DeniedByDrms, text))
    };
    if extensions.no_init && behalf.only().is_some() {
        // Init checks that the host's files are still those that the submitter had a right to.
        return deny("init", "a job on behalf of another user has to have an init");
    }
    if extensions.privileged {
        return deny("privileged", "only root may have privileged jobs");
    }
    if !extensions.cap_add.is_empty() {
        return deny("cap_add", "only root may add capabilities");
    }
    if let Some((attribute, place)) = below_a_mount(extensions) {
        // The runtime would create it there, as root and on the host.
        return deny(
            attribute,
            &format!("only root may put something below another mount, at \"{place}\""),
        );
    }
    if extensions.no_init && !extensions.mounts.is_empty() {
        // Nothing could check that the submitter had a right to it.
        return deny("mounts", &format!("only root may mount something with {PREFIX}init=off"));
    }
    if extensions.cgroup_parent.is_some() {
        return deny("cgroup_parent", "only root may choose the control group");
    }
    // The runtime is run by root.
    if extensions.runtime.as_ref().is_some_and(|runtime| runtime.contains('/')) {
        return deny("runtime", "only root may name a program by its path");
    }
    if extensions.runtime_binary.as_ref().is_some_and(|program| !RUNTIMES.contains(&program.as_str())) {
        return deny(
            "runtime_binary",
            &format!("only root may name another than {}", RUNTIMES.join(", ")),
        );
    }
    if let Some(user) = extensions.user.as_ref().filter(|user| !is_himself(submitter, user)) {
        let text = format!("\"{user}\" is not {}, the number of the submitting user", submitter.uid);
        return deny("user", &text);
    }
    let mut groups = extensions.groups.iter().flatten();
    if let Some(group) = groups.find(|group| !is_his(submitter, group.as_bytes())) {
        let text = format!("\"{group}\" is not the number of a group of the submitting user");
        return deny("groups", &text);
    }
    Ok(())
}

/// A path below a mounted host directory, and the attribute that names it.
fn below_a_mount(extensions: &Extensions) -> Option<(&'static str, String)> {
    let mounts = extensions.mounts.iter().map(|mount| ("mounts", mount.destination.to_string()));
    let tmpfs = extensions.tmpfs.iter().map(|tmpfs| ("tmpfs", tmpfs.destination.to_string()));
    let devices = extensions.devices.iter().filter_map(|device| match device {
        Device::Node { destination, .. } => Some(("devices", destination.to_string())),
        Device::Cdi(_) => None,
    });
    let hosts: Vec<PathBuf> = mounts.clone().map(|(_, place)| plain(&place)).collect();
    mounts.chain(tmpfs).chain(devices).find(|(_, place)| {
        let place = plain(place);
        hosts.iter().any(|host| place != *host && place.starts_with(host))
    })
}

/// A path without redundant parts.
fn plain(path: &str) -> PathBuf {
    Path::new(path).components().collect()
}

/// A name is resolved by the image, and could stand for any user.
fn is_himself(submitter: &Submitter, user: &Text) -> bool {
    let mut parts = user.as_bytes().split(|byte| *byte == b':');
    let himself = number(parts.next().unwrap_or_default()) == Some(submitter.uid);
    himself && parts.all(|group| is_his(submitter, group))
}

fn is_his(submitter: &Submitter, group: &[u8]) -> bool {
    number(group).is_some_and(|gid| gid == submitter.gid || submitter.groups.contains(&gid))
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobTemplate;
    use crate::model::extensions::Mount;

    fn submitter(uid: u32) -> Submitter {
        Submitter {
            user: "alice".into(),
            uid,
            gid: 100,
            groups: vec![44],
            umask: 0,
            machine: "m".into(),
        }
    }

    fn allowed(uid: u32, name: &str, value: &str) -> bool {
        let extensions = [(format!("{PREFIX}{name}"), Text::from(value))].into();
        let template = JobTemplate { extensions, ..JobTemplate::default() };
        match check(&Behalf::Himself, &submitter(uid), &template.extensions().unwrap()) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code, ErrorCode::DeniedByDrms);
                assert!(error.message.contains(&format!("{PREFIX}{name}")), "{error}");
                false
            }
        }
    }

    #[test]
    fn who_is_not_root_has_init_look_at_his_mounts() {
        let extensions = Extensions {
            no_init: true,
            mounts: vec![Mount { source: "/a".into(), destination: "/a".into(), read_only: true }],
            ..Extensions::default()
        };
        assert!(check(&Behalf::Himself, &submitter(0), &extensions).is_ok());
        let error = check(&Behalf::Himself, &submitter(1000), &extensions).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("containerd_jt_mounts: only root"), "{error}");
        let without = Extensions { mounts: vec![], ..extensions };
        assert!(check(&Behalf::Himself, &submitter(1000), &without).is_ok());
    }

    #[test]
    fn who_is_not_root_gets_no_more_rights_than_he_has() {
        let only_root = [
            ("privileged", "on"),
            ("cap_add", "SYS_TIME"),
            ("runtime", "/tmp/x"),
            ("runtime_binary", "/tmp/x"),
            ("runtime_binary", "env"),
            ("cgroup_parent", "a"),
            ("user", "0"),
            ("user", "alice"),
            ("user", "1000:0"),
            ("user", "1000:wheel"),
            ("groups", "44,0"),
            ("groups", "video"),
            ("mounts", "/a:/a,/b:/a//b"),
            ("mounts", "/b:/a/./b,/a:/a/"),
        ];
        for (name, value) in only_root {
            assert!(!allowed(1000, name, value), "{name} {value}");
            assert!(allowed(0, name, value), "{name} {value}");
        }
        let everybody = [
            ("privileged", "off"),
            ("cap_drop", "ALL"),
            ("runtime", "io.containerd.runc.v2"),
            ("runtime_binary", "crun"),
            ("user", "1000"),
            ("user", "1000:44"),
            ("groups", "44,100"),
            ("mounts", "/a:/a,/b:/ab"),
            ("mounts", "/no/such/file:/x"),
            ("init", "off"),
        ];
        for (name, value) in everybody {
            assert!(allowed(1000, name, value), "{name} {value}");
        }
    }

    #[test]
    fn a_job_on_behalf_of_another_user_has_an_init() {
        let submitter = submitter(1000);
        let behalf = Behalf::Of(Box::new(submitter.clone()));
        let without = Extensions { no_init: true, ..Extensions::default() };
        let error = check(&behalf, &submitter, &without).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains(&format!("{PREFIX}init")), "{error}");
        assert_eq!(check(&behalf, &submitter, &Extensions::default()), Ok(()));
    }
}
