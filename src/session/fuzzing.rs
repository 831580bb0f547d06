//! Entries for fuzz targets: what the clients of the broker say, and what a guest asks for.

use super::behalf::Behalf;
use super::call::Call;
use super::message::Asked;
use super::{guests, policy};
use crate::config::{Config, Guests};
use crate::model::extensions::{Network, PREFIX, Seccomp};
use crate::model::{JobTemplate, Text};
use crate::tracker::Submitter;
use crate::wire;

const GUEST: u32 = 1000;
const MEMORY: i64 = 1 << 30;
const PIDS: i64 = 100;

/// Read what a client sends, and judge its submissions. `site` is a configuration; its limits are replaced.
pub fn messages(site: &Config, mut stream: &[u8]) {
    while let Ok(Some(text)) = wire::read(&mut stream, wire::MAX_REQUEST) {
        let Ok(asked) = wire::parse::<Asked>(&text) else { return };
        // A message that was read is written, and read again.
        let frame = wire::frame(&asked, usize::MAX).unwrap_or_default();
        let again = wire::parse::<Asked>(frame.get(4..).unwrap_or_default());
        assert_eq!(again.ok().map(|again| format!("{again:?}")), Some(format!("{asked:?}")));
        let Asked::Call { call: mut asked, .. } = asked else { continue };
        let guest = guest();
        asked.is_by(&guest);
        if let Call::RunJob { behalf, template, .. } | Call::RunArray { behalf, template, .. } = *asked {
            assert_eq!(behalf, guest);
            judge(site, *template);
        }
    }
}

/// Judge a submission with these attributes: lines of a name without its prefix, `=`, and a value.
/// Returns whether it is accepted.
pub fn attributes(site: &Config, text: &[u8]) -> bool {
    let mut template = JobTemplate::default();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(place) = line.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (String::from_utf8_lossy(&line[..place]), Text::from(&line[place + 1..]));
        match &*name {
            "category" => template.job_category = Some(value),
            "priority" => template.priority = value.to_string().parse().ok(),
            _ => drop(template.extensions.insert(format!("{PREFIX}{name}"), value)),
        }
    }
    judge(site, template)
}

/// No template that is accepted of a guest may give its job more than the site allows.
fn judge(site: &Config, mut template: JobTemplate) -> bool {
    let limits = Guests {
        memory: Some(MEMORY),
        pids: Some(PIDS),
        networks: Some(vec![Network::None]),
        registries: Some(vec!["docker.io".to_owned()]),
        ..Guests::default()
    };
    let (guest, config) = (guest(), Config { guests: limits, ..site.clone() });
    let Ok(submitter) = guest.submitter() else { return false };
    let accepted = guests::fill(&config.guests, &config, &mut template)
        .and_then(|()| policy::check(&guest, &submitter, &template, &config.guests))
        .and_then(|()| guests::check(&config.guests, &config, &submitter, &template));
    let (Ok(()), Ok(given)) = (accepted, template.extensions()) else { return false };
    assert!(!given.privileged && given.cap_add.is_empty(), "{template:?}");
    assert!(!given.keep && !given.no_init && given.cgroup_parent.is_none(), "{template:?}");
    assert!(
        given.snapshotter.is_none() && !matches!(given.seccomp, Seccomp::Profile(_)),
        "{template:?}"
    );
    assert!(given.runtime.is_none_or(|runtime| runtime == "io.containerd.runc.v2"), "{template:?}");
    assert!(given.labels.iter().all(|(name, _)| name.starts_with("user.")), "{template:?}");
    assert!(given.memory.is_some_and(|bytes| bytes <= MEMORY), "{template:?}");
    assert!(given.pids.is_some_and(|number| number <= PIDS), "{template:?}");
    assert!(given.network != Some(Network::Host), "{template:?}");
    assert!(template.priority.is_none_or(|priority| priority <= 0), "{template:?}");
    true
}

fn guest() -> Behalf {
    Behalf::Guest(Box::new(Submitter {
        user: "guest".to_owned(),
        uid: GUEST,
        gid: GUEST,
        groups: vec![GUEST],
        umask: 0,
        machine: "m".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_begins_with_is_accepted_and_refused() {
        let site = Config::of_text("");
        for (seed, accepted) in [
            (&include_bytes!("../../fuzz/corpus/guest_calls/attributes")[..], true),
            (include_bytes!("../../fuzz/corpus/guest_calls/no_image"), true),
            (include_bytes!("../../fuzz/corpus/guest_calls/refused"), false),
        ] {
            assert_eq!(attributes(&site, seed), accepted, "{}", String::from_utf8_lossy(seed));
        }
    }
}
