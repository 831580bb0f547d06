//! What a submitter may ask for.
//!
//! A job's container is made by root's hand. Who is not root runs his jobs as himself, with no more
//! rights than he has.

use crate::model::extensions::PREFIX;
use crate::model::{Error, ErrorCode, Extensions, Result, Text};
use crate::tracker::Submitter;

/// DENIED_BY_DRMS for what only root may ask for.
pub(super) fn check(submitter: &Submitter, extensions: &Extensions) -> Result<()> {
    if submitter.uid == 0 {
        return Ok(());
    }
    let deny = |attribute: &str, cause: &str| {
        let text = format!("job template attribute {PREFIX}{attribute}: {cause}");
        Err(Error::new(ErrorCode::DeniedByDrms, text))
    };
    if extensions.privileged {
        return deny("privileged", "only root may have privileged jobs");
    }
    if !extensions.cap_add.is_empty() {
        return deny("cap_add", "only root may add capabilities");
    }
    // The runtime is run by root.
    let programs = [("runtime", &extensions.runtime), ("runtime_binary", &extensions.runtime_binary)];
    for (attribute, program) in programs {
        if program.as_ref().is_some_and(|program| program.contains('/')) {
            return deny(attribute, "only root may name a program by its path");
        }
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

/// Names are the image's, and could stand for anybody.
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

    fn allowed(uid: u32, name: &str, value: &str) -> bool {
        let submitter = Submitter {
            user: "alice".into(),
            uid,
            gid: 100,
            groups: vec![44],
            umask: 0,
            machine: "m".into(),
        };
        let extensions = [(format!("{PREFIX}{name}"), Text::from(value))].into();
        let template = JobTemplate { extensions, ..JobTemplate::default() };
        match check(&submitter, &template.extensions().unwrap()) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code, ErrorCode::DeniedByDrms);
                assert!(error.message.contains(&format!("{PREFIX}{name}")), "{error}");
                false
            }
        }
    }

    #[test]
    fn who_is_not_root_gets_no_more_rights_than_he_has() {
        let only_root = [
            ("privileged", "on"),
            ("cap_add", "SYS_TIME"),
            ("runtime", "/tmp/x"),
            ("runtime_binary", "/tmp/x"),
            ("user", "0"),
            ("user", "alice"),
            ("user", "1000:0"),
            ("user", "1000:wheel"),
            ("groups", "44,0"),
            ("groups", "video"),
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
            ("mounts", "/no/such/file:/x"),
        ];
        for (name, value) in everybody {
            assert!(allowed(1000, name, value), "{name} {value}");
        }
    }
}
