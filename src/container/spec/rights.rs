//! The capabilities of a job.
//!
//! Init has the default ones of containers, whatever its job gives up: it needs some of them to become
//! the job's user. So the job's child drops those in the container's set and not in its own.

use super::host::Host;
use crate::model::Extensions;
use crate::model::extensions::CAPABILITIES;

/// The capabilities that containers have by default everywhere. A job of a user other than root has
/// none.
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The capability that init needs to give a job higher limits than its own; a confined machine may be
/// unable to grant it.
const RAISE_LIMITS: (u32, &str) = (24, "CAP_SYS_RESOURCE");

/// The capabilities of the container.
pub(super) fn of_container(
    extensions: &Extensions,
    host: &Host,
    raises_limits: bool,
) -> Vec<&'static str> {
    let job = of_job(extensions, host);
    // Without an init the job is alone.
    let init: &[&str] = if extensions.no_init { &[] } else { &DEFAULT };
    let (number, raise) = RAISE_LIMITS;
    let raises_limits = raises_limits && !extensions.no_init && host.capabilities >> number & 1 == 1;
    let of_init = |name: &&str| init.contains(name) || raises_limits && *name == raise;
    all().filter(|name| job.contains(name) || of_init(name)).collect()
}

/// The numbers of the capabilities that the container has and its job does not.
pub fn dropped(extensions: &Extensions, host: &Host, raises_limits: bool) -> Vec<u32> {
    let job = of_job(extensions, host);
    let container = of_container(extensions, host, raises_limits);
    let given_up = |name: &&str| container.contains(name) && !job.contains(name);
    (0..).zip(all()).filter(|(_, name)| given_up(name)).map(|(number, _)| number).collect()
}

/// The capabilities of the job, with Docker's rules: drops apply to the default ones, or to all if all
/// are added; those added by name are there. All are those that the daemon can grant.
fn of_job(extensions: &Extensions, host: &Host) -> Vec<&'static str> {
    let Extensions { cap_add, cap_drop, privileged, .. } = extensions;
    let named = |list: &[String], name: &str| list.iter().any(|item| item == name);
    let everything = *privileged || named(cap_add, "ALL");
    let has = |(number, name): &(u32, &str)| {
        let begun = match everything {
            true => host.capabilities >> number & 1 == 1,
            false => DEFAULT.contains(name) && !named(cap_drop, "ALL"),
        };
        begun && !named(cap_drop, name) || named(cap_add, name)
    };
    (0..).zip(all()).filter(has).map(|(_, name)| name).collect()
}

fn all() -> impl Iterator<Item = &'static str> {
    CAPABILITIES.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that lacks one.
    fn host() -> Host {
        Host { capabilities: u64::MAX ^ (1 << 40), ..Host::default() }
    }

    fn asked(add: &[&str], drop: &[&str]) -> Extensions {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Extensions { cap_add: names(add), cap_drop: names(drop), ..Extensions::default() }
    }

    #[test]
    fn names_are_added_to_the_default_ones_and_dropped_from_them() {
        assert_eq!(of_job(&asked(&[], &[]), &host()).len(), DEFAULT.len());
        let job = of_job(&asked(&["CAP_SYS_TIME"], &["CAP_CHOWN"]), &host());
        assert!(job.contains(&"CAP_SYS_TIME") && !job.contains(&"CAP_CHOWN"));
        assert_eq!(job.len(), DEFAULT.len());
        assert_eq!(of_job(&asked(&["CAP_SYS_TIME"], &["ALL"]), &host()), ["CAP_SYS_TIME"]);
        assert_eq!(of_job(&asked(&["ALL"], &["CAP_CHOWN"]), &host()).len(), CAPABILITIES.len() - 2);
        assert_eq!(of_job(&asked(&["ALL"], &["ALL"]), &host()).len(), CAPABILITIES.len() - 1);
    }

    #[test]
    fn init_keeps_what_its_job_gives_up() {
        let mut all = asked(&["CAP_SYS_TIME"], &["ALL"]);
        assert_eq!(of_container(&all, &host(), false).len(), DEFAULT.len() + 1);
        let dropped_names: Vec<_> = dropped(&all, &host(), false)
            .into_iter()
            .map(|number| CAPABILITIES[number as usize])
            .collect();
        assert_eq!(dropped_names.len(), DEFAULT.len());
        assert!(DEFAULT.iter().all(|name| dropped_names.contains(name)));
        assert_eq!(dropped(&asked(&[], &[]), &host(), false), [0_u32; 0]);
        all.no_init = true;
        assert_eq!(of_container(&all, &host(), true), ["CAP_SYS_TIME"]);
    }

    #[test]
    fn init_can_raise_limits_where_the_machine_can_and_its_job_cannot() {
        let plain = asked(&[], &[]);
        let (number, name) = RAISE_LIMITS;
        assert_eq!(CAPABILITIES[number as usize], name);
        assert!(of_container(&plain, &host(), true).contains(&name));
        assert_eq!(dropped(&plain, &host(), true), [number]);
        assert!(!of_container(&plain, &host(), false).contains(&name));
        let confined = Host { capabilities: u64::MAX ^ (1 << number), ..Host::default() };
        assert!(!of_container(&plain, &confined, true).contains(&name));
        // A job that was given it keeps it.
        assert_eq!(dropped(&asked(&[name], &[]), &host(), true), [0_u32; 0]);
    }
}
