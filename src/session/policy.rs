//! The rights of submitters.
//!
//! A job's container is made by root. A user other than root runs jobs under their own identity, with no
//! additional rights.

use std::path::{Path, PathBuf};

use super::behalf::Behalf;
use crate::config::Guests;
use crate::model::extensions::{Device, JOB_TEMPLATE, PREFIX, Right, Rlimit, Seccomp};
use crate::model::{Error, ErrorCode, Extensions, JobTemplate, Result, Text};
use crate::tracker::Submitter;

/// The programs of the runtime that every user may choose.
const PROGRAMS: [&str; 2] = ["runc", "crun"];
/// The runtime that every user may choose: it is run by root, and others have other options.
const RUNTIME: &str = "io.containerd.runc.v2";
/// The limits that let a process raise its priority.
const PRIORITIES: [&str; 2] = ["nice", "rtprio"];
/// The prefix of the labels of a user's containers: those of other tools are orders to them, which they
/// carry out as root.
const LABEL: &str = "user.";

/// DENIED_BY_DRMS for requests that only root may make. The attributes are named by their table, so that a
/// new one is not forgotten.
pub(super) fn check(
    behalf: &Behalf,
    submitter: &Submitter,
    template: &JobTemplate,
    guests: &Guests,
) -> Result<()> {
    if submitter.uid == 0 {
        return Ok(());
    }
    if template.priority.is_some_and(|priority| priority > 0) {
        return Err(denied("priority", "only root may have jobs come before others"));
    }
    let extensions = template.extensions()?;
    for attribute in &JOB_TEMPLATE {
        let cause = match attribute.right {
            Right::Everyone => None,
            Right::Root(cause) => template.asks_for(attribute)?.then(|| cause.to_owned()),
            Right::Some => {
                let name = attribute.name.strip_prefix(PREFIX).unwrap_or_default();
                refusal(name, behalf, submitter, &extensions, guests)
            }
        };
        if let Some(cause) = cause {
            return Err(denied(attribute.name, &cause));
        }
    }
    Ok(())
}

/// DENIED_BY_DRMS for the value of an attribute.
pub(super) fn denied(attribute: &str, cause: &str) -> Error {
    Error::new(ErrorCode::DeniedByDrms, format!("job template attribute {attribute}: {cause}"))
}

/// The reason why a submitter may not have the value of an attribute that everybody may have with some.
fn refusal(
    attribute: &str,
    behalf: &Behalf,
    submitter: &Submitter,
    extensions: &Extensions,
    guests: &Guests,
) -> Option<String> {
    match attribute {
        // Init checks that the host's files are still those that the submitter had a right to.
        "init" => (extensions.no_init && behalf.only().is_some())
            .then(|| "a job on behalf of another user has to have an init".to_owned()),
        // Nothing could check that the submitter had a right to it.
        "mounts" if extensions.no_init && !extensions.mounts.is_empty() => {
            Some(format!("only root may mount something with {PREFIX}init=off"))
        }
        // The runtime would create it there, as root and on the host.
        "mounts" | "tmpfs" | "devices" => {
            let (_, place) = below_a_mount(extensions).filter(|(found, _)| *found == attribute)?;
            Some(format!("only root may put something below another mount, at \"{place}\""))
        }
        "runtime" => {
            let other = extensions.runtime.as_ref().filter(|runtime| *runtime != RUNTIME);
            let other = other.filter(|runtime| !guests.runtimes.contains(runtime));
            other
                .map(|_| format!("only root may name another than {}", among(RUNTIME, &guests.runtimes)))
        }
        "snapshotter" => {
            let other = extensions.snapshotter.as_ref();
            let other = other.filter(|snapshotter| !guests.snapshotters.contains(snapshotter));
            other.map(|_| match guests.snapshotters.is_empty() {
                true => "only root may choose the snapshotter".to_owned(),
                false => format!("only root may name another than {}", guests.snapshotters.join(", ")),
            })
        }
        // A user of the machine has no right to come before others by them.
        "rlimits" => {
            let raises = |limit: &&Rlimit| PRIORITIES.contains(&&*limit.name) && limit.hard != Some(0);
            let raised = extensions.rlimits.iter().find(raises);
            raised.map(|limit| format!("only root may let a job raise its priority, by {}", limit.name))
        }
        "runtime_binary" => {
            let program = extensions.runtime_binary.as_deref();
            let other = program.filter(|program| !PROGRAMS.contains(program));
            other.map(|_| format!("only root may name another than {}", PROGRAMS.join(", ")))
        }
        "user" => {
            let other = extensions.user.as_ref().filter(|user| !is_himself(submitter, user));
            other.map(|user| {
                format!("\"{user}\" is not {}, the number of the submitting user", submitter.uid)
            })
        }
        "groups" => {
            let mut groups = extensions.groups.iter().flatten();
            let other = groups.find(|group| !is_his(submitter, group.as_bytes()));
            other.map(|group| format!("\"{group}\" is not the number of a group of the submitting user"))
        }
        "labels" => {
            let other = extensions.labels.iter().find(|(name, _)| !name.starts_with(LABEL));
            other.map(|(name, _)| {
                format!("only root may set \"{name}\", which does not begin with {LABEL}")
            })
        }
        // A profile governs init as well, also where it takes on the user.
        "seccomp" => match &extensions.seccomp {
            Seccomp::Profile(_) => Some("only root may name a profile".to_owned()),
            Seccomp::Default | Seccomp::Unconfined => None,
        },
        _ => Some("only root may have it".to_owned()),
    }
}

fn among(usual: &str, more: &[String]) -> String {
    std::iter::once(usual).chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
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

    fn with(attributes: &[(&str, &str)]) -> JobTemplate {
        let named = |(name, value): &(&str, &str)| (format!("{PREFIX}{name}"), Text::from(*value));
        JobTemplate { extensions: attributes.iter().map(named).collect(), ..JobTemplate::default() }
    }

    fn checked(behalf: &Behalf, uid: u32, template: &JobTemplate) -> Result<()> {
        check(behalf, &submitter(uid), template, &Guests::default())
    }

    fn allowed(uid: u32, name: &str, value: &str) -> bool {
        match checked(&Behalf::Himself, uid, &with(&[(name, value)])) {
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
        let template = with(&[("init", "off"), ("mounts", "/a:/a:ro")]);
        assert!(checked(&Behalf::Himself, 0, &template).is_ok());
        let error = checked(&Behalf::Himself, 1000, &template).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("containerd_jt_mounts: only root"), "{error}");
        assert!(checked(&Behalf::Himself, 1000, &with(&[("init", "off")])).is_ok());
    }

    #[test]
    fn only_root_has_jobs_come_before_others() {
        for (uid, priority, expected) in
            [(0, 5, true), (1000, 5, false), (1000, 1, false), (1000, 0, true), (1000, -5, true)]
        {
            let template = JobTemplate { priority: Some(priority), ..JobTemplate::default() };
            let checked = checked(&Behalf::Himself, uid, &template);
            assert_eq!(checked.is_ok(), expected, "{uid} {priority}: {checked:?}");
            assert!(expected || checked.unwrap_err().message.contains("attribute priority: only root"));
        }
    }

    #[test]
    fn each_attribute_that_some_values_of_are_for_root_says_which() {
        let behalf = Behalf::Himself;
        for attribute in JOB_TEMPLATE.iter().filter(|attribute| attribute.right == Right::Some) {
            let name = attribute.name.strip_prefix(PREFIX).unwrap();
            let nothing = (Extensions::default(), Guests::default());
            assert_eq!(refusal(name, &behalf, &submitter(1000), &nothing.0, &nothing.1), None, "{name}");
        }
    }

    #[test]
    fn who_is_not_root_gets_no_more_rights_than_he_has() {
        let only_root = [
            ("privileged", "on"),
            ("cap_add", "SYS_TIME"),
            ("runtime", "/tmp/x"),
            ("runtime", "io.containerd.kata.v2"),
            ("snapshotter", "native"),
            ("rlimits", "rtprio=1"),
            ("rlimits", "nofile=10,nice=0:21"),
            ("keep", "on"),
            ("labels", "nerdctl/name=x"),
            ("labels", "user.a=1,other=2"),
            ("seccomp", "/tmp/profile.json"),
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
            ("keep", "off"),
            ("labels", "user.project=x"),
            ("seccomp", "default"),
            ("seccomp", "unconfined"),
            ("cap_drop", "ALL"),
            ("runtime", "io.containerd.runc.v2"),
            ("runtime_binary", "crun"),
            ("rlimits", "nofile=10,rtprio=0"),
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
    fn a_site_may_allow_further_runtimes_and_snapshotters() {
        let guests = Guests {
            runtimes: vec!["io.containerd.kata.v2".to_owned()],
            snapshotters: vec!["native".to_owned()],
            ..Guests::default()
        };
        for (name, value, allowed) in [
            ("runtime", "io.containerd.kata.v2", true),
            ("runtime", "io.containerd.runc.v2", true),
            ("runtime", "io.containerd.other.v2", false),
            ("snapshotter", "native", true),
            ("snapshotter", "btrfs", false),
        ] {
            let checked = check(&Behalf::Himself, &submitter(1000), &with(&[(name, value)]), &guests);
            assert_eq!(checked.is_ok(), allowed, "{name}={value}: {checked:?}");
        }
    }

    #[test]
    fn a_job_on_behalf_of_another_user_has_an_init() {
        let submitter = submitter(1000);
        let behalf = Behalf::Of(Box::new(submitter));
        let error = checked(&behalf, 1000, &with(&[("init", "off")])).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains(&format!("{PREFIX}init")), "{error}");
        assert_eq!(checked(&behalf, 1000, &with(&[])), Ok(()));
    }
}
