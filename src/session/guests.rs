//! The limits of the site for a job that root's process makes for another user.
//!
//! Attributes that the user's template sets are checked. Those that a category of the configuration gives are the site's own word, and may be
//! more.

use std::collections::BTreeMap;

use super::behalf::Behalf;
use super::policy::denied;
use super::submitter::is_in_one_of;
use crate::config::{Config, EVERYONE, Guests};
use crate::drms;
use crate::model::extensions::{Device, Network, PREFIX};
use crate::model::{Error, ErrorCode, Extensions, JobTemplate, Result, Text};
use crate::store::Most;
use crate::tracker::Submitter;

/// The size of `/dev/shm` unless something else is said.
const USUAL_SHM: i64 = 64 << 20;

/// The keys of the configuration that hold for the jobs of a user, if any do.
pub(super) fn of<'a>(config: &'a Config, behalf: &Behalf) -> Option<&'a Guests> {
    match behalf {
        Behalf::Of(user) | Behalf::Guest(user) if user.uid != 0 => Some(&config.guests),
        Behalf::Himself | Behalf::Of(_) | Behalf::Guest(_) => None,
    }
}

/// The most that may be stored of a user's jobs.
pub(super) fn most(guests: &Guests) -> Most {
    Most { jobs: guests.stored_jobs, bytes: guests.stored_bytes }
}

/// Limit a job where neither its template nor its category does.
pub(super) fn fill(guests: &Guests, config: &Config, template: &mut JobTemplate) -> Result<()> {
    let shm_size = guests.shm_size.filter(|most| *most < USUAL_SHM);
    let limits = [("memory", guests.memory), ("pids", guests.pids), ("shm_size", shm_size)];
    let limits = limits.into_iter().filter_map(|(name, most)| Some((name, most?.to_string())));
    let has_root = config.image(template).is_none_or(|image| drms::is_image(&image));
    let read_only = (guests.read_only && has_root).then(|| ("read_only", "on".to_owned()));
    for (name, value) in limits.chain(read_only) {
        template.defaults.entry(format!("{PREFIX}{name}")).or_insert_with(|| Text::from(value));
    }
    if let (Some(most), None) = (guests.wall_clock_seconds, template.wall_clock()?) {
        template.limit_wall_clock(most);
    }
    Ok(())
}

/// DENIED_BY_DRMS for what is more than the site allows.
pub(super) fn check(
    guests: &Guests,
    config: &Config,
    submitter: &Submitter,
    template: &JobTemplate,
) -> Result<()> {
    let all = template.extensions()?;
    let own = JobTemplate { defaults: BTreeMap::new(), ..template.clone() }.extensions()?;
    let tmpfs = own.tmpfs.iter().filter_map(|tmpfs| tmpfs.size).fold(0, i64::saturating_add);
    let tmpfs = (!own.tmpfs.is_empty()).then_some(tmpfs);
    let grace_millis = guests.grace_seconds.map(|most| most.saturating_mul(1000));
    for (name, unit, wanted, most) in [
        ("memory", "bytes", own.memory, guests.memory),
        ("pids", "processes", own.pids, guests.pids),
        ("shm_size", "bytes", own.shm_size, guests.shm_size),
        ("tmpfs", "bytes", tmpfs, guests.tmpfs),
        ("grace", "milliseconds", own.grace, grace_millis),
        ("linger", "milliseconds", own.linger, grace_millis),
    ] {
        if let (Some(wanted), Some(most)) = (wanted, most)
            && wanted > most
        {
            return Err(refused(
                name,
                &format!("{wanted} {unit} are more than the {most} that users may have"),
            ));
        }
    }
    if guests.tmpfs.is_some() && own.tmpfs.iter().any(|tmpfs| tmpfs.size.is_none()) {
        return Err(refused("tmpfs", "each has to say its size, since the site limits it"));
    }
    let wall_clock = template.wall_clock()?;
    if let (Some(wanted), Some(most)) = (wall_clock, guests.wall_clock_seconds)
        && wanted > most.saturating_mul(1000)
    {
        let text =
            format!("resourceLimits: WALLCLOCK_TIME is {} s, but users may have {most}", wanted / 1000);
        return Err(Error::new(ErrorCode::DeniedByDrms, text));
    }
    if guests.read_only && sets(template, "read_only") && !own.read_only {
        return Err(refused("read_only", "the root file system of users' jobs is read-only"));
    }
    check_network(guests, template, &all, config.image(template).as_deref())?;
    check_registry(guests, config, template)?;
    check_devices(guests, submitter, &own)
}

fn check_network(
    guests: &Guests,
    template: &JobTemplate,
    all: &Extensions,
    image: Option<&str>,
) -> Result<()> {
    let given = !sets(template, "network") && all.network.is_some();
    let usual =
        if image.is_some_and(|image| !drms::is_image(image)) { Network::Host } else { Network::None };
    let network = all.network.unwrap_or(usual);
    match &guests.networks {
        Some(allowed) if !given && !allowed.contains(&network) => {
            let allowed: Vec<&str> = allowed.iter().map(|network| network.name()).collect();
            let text =
                format!("\"{}\", but users may have only: {}", network.name(), allowed.join(", "));
            Err(refused("network", &text))
        }
        _ => Ok(()),
    }
}

/// An image that the configuration names may come from anywhere.
pub(super) fn check_registry(guests: &Guests, config: &Config, template: &JobTemplate) -> Result<()> {
    let (Some(allowed), Some(image)) = (&guests.registries, config.image(template)) else {
        return Ok(());
    };
    if config.names_image(template) || !drms::is_image(&image) {
        return Ok(());
    }
    let registry = drms::registry(&image)?;
    if allowed.contains(&registry) {
        return Ok(());
    }
    let text = format!(
        "jobCategory \"{image}\": users may have no image of {registry}, but of {}",
        allowed.join(", ")
    );
    Err(Error::new(ErrorCode::DeniedByDrms, text))
}

fn check_devices(guests: &Guests, submitter: &Submitter, own: &Extensions) -> Result<()> {
    let Some(kinds) = &guests.devices else { return Ok(()) };
    for device in &own.devices {
        let Device::Cdi(name) = device else { continue };
        let kind = name.split_once('=').map_or(name.as_str(), |(kind, _)| kind);
        let groups = kinds.get(kind).map_or(&[][..], Vec::as_slice);
        if !groups.iter().any(|group| group == EVERYONE) && !is_in_one_of(submitter, groups)? {
            let text =
                format!("\"{name}\": user {} is in no group that may have {kind}", submitter.user);
            return Err(refused("devices", &text));
        }
    }
    Ok(())
}

fn refused(attribute: &str, cause: &str) -> Error {
    denied(&format!("{PREFIX}{attribute}"), cause)
}

/// Returns whether the template itself sets an attribute.
fn sets(template: &JobTemplate, name: &str) -> bool {
    template.extensions.get(&format!("{PREFIX}{name}")).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitter() -> Submitter {
        Submitter {
            user: "alice".into(),
            uid: 1000,
            gid: 1000,
            groups: vec![1],
            umask: 0,
            machine: "m".into(),
        }
    }

    fn config(guests: &str) -> Config {
        let text = format!(
            "[guests]\n{guests}\n[categories.big]\nimage = 'far.example/big'\nmemory = '64g'\nnetwork = 'host'\nread_only = false"
        );
        Config::of_text(&text)
    }

    /// The result for a template with this category and these attributes.
    fn asked(guests: &str, category: &str, attributes: &[(&str, &str)]) -> Result<JobTemplate> {
        let config = config(guests);
        let named = |(name, value): &(&str, &str)| (format!("{PREFIX}{name}"), Text::from(*value));
        let mut template = JobTemplate {
            extensions: attributes.iter().map(named).collect(),
            job_category: Some(category.into()),
            ..JobTemplate::default()
        };
        template.defaults = config.category_attributes(&template);
        fill(&config.guests, &config, &mut template)?;
        check(&config.guests, &config, &submitter(), &template).map(|()| template)
    }

    #[test]
    fn no_more_is_given_than_the_site_allows() {
        for (guests, category, name, value) in [
            ("memory = '1g'", "busybox", "memory", "2g"),
            ("pids = 100", "busybox", "pids", "101"),
            ("shm_size = '1g'", "busybox", "shm_size", "1025m"),
            ("tmpfs = '1g'", "busybox", "tmpfs", "/a:600m,/b:600m"),
            ("tmpfs = '1g'", "busybox", "tmpfs", "/a:1m,/b"),
            ("grace_seconds = 10", "busybox", "grace", "10.5"),
            ("grace_seconds = 10", "busybox", "linger", "11"),
            ("read_only = true", "busybox", "read_only", "off"),
            ("networks = ['none']", "busybox", "network", "host"),
            ("networks = ['host']", "busybox", "network", "none"),
            ("devices = { 'v/c' = ['root'] }", "busybox", "devices", "v/c=0"),
            ("devices = {}", "busybox", "devices", "v/c=0"),
        ] {
            let error = asked(guests, category, &[(name, value)]).unwrap_err();
            assert_eq!(error.code, ErrorCode::DeniedByDrms, "{guests} {name}={value}");
            assert!(error.message.contains(&format!("{PREFIX}{name}")), "{error}");
            assert!(asked("", category, &[(name, value)]).is_ok(), "{name}={value}");
        }
        for (guests, name, value) in [
            ("memory = '1g'", "memory", "1g"),
            ("tmpfs = '1g'", "tmpfs", "/a:512m,/b:512m"),
            ("grace_seconds = 10", "grace", "10"),
            ("read_only = true", "read_only", "on"),
            ("networks = ['host', 'none']", "network", "host"),
            ("devices = { 'v/c' = ['daemon'] }", "devices", "v/c=0"),
            ("devices = { 'v/c' = ['*'] }", "devices", "v/c=0"),
            ("devices = {}", "devices", "/dev/fuse"),
        ] {
            let allowed = asked(guests, "busybox", &[(name, value)]);
            assert!(allowed.is_ok(), "{guests} {name}={value}: {allowed:?}");
        }
    }

    #[test]
    fn a_job_that_asks_for_nothing_is_limited_all_the_same() {
        let guests =
            "memory = '1g'\npids = 100\nshm_size = '1m'\nwall_clock_seconds = 60\nread_only = true";
        let template = asked(guests, "busybox", &[]).unwrap();
        let given = template.extensions().unwrap();
        assert_eq!(
            (given.memory, given.pids, given.shm_size),
            (Some(1 << 30), Some(100), Some(1 << 20))
        );
        assert!(given.read_only);
        assert_eq!(template.wall_clock().unwrap(), Some(60_000));
        let template = asked("shm_size = '1g'", "busybox", &[]).unwrap();
        assert_eq!(template.extensions().unwrap(), Extensions::default(), "the usual size is less");
    }

    #[test]
    fn a_longer_time_is_refused() {
        let config = config("wall_clock_seconds = 60");
        let mut template = JobTemplate::default();
        template.limit_wall_clock(61);
        let error = check(&config.guests, &config, &submitter(), &template).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("WALLCLOCK_TIME is 61 s"), "{error}");
    }

    #[test]
    fn what_the_configuration_says_of_a_category_is_allowed() {
        let guests = "memory = '1g'\nnetworks = ['none']\nregistries = ['docker.io']\nread_only = true";
        let given = asked(guests, "big", &[]).unwrap().extensions().unwrap();
        assert_eq!((given.memory, given.network), (Some(64 << 30), Some(Network::Host)));
        assert!(!given.read_only);
        let error = asked(guests, "big", &[("memory", "2g")]).unwrap_err();
        assert!(error.message.contains("containerd_jt_memory"), "{error}");
    }

    #[test]
    fn images_come_from_registries_of_the_site() {
        let guests = "registries = ['docker.io', 'here.example:5000']";
        for (category, allowed) in [
            ("busybox", true),
            ("here.example:5000/a/b:1", true),
            ("here.example/a/b:1", false),
            ("far.example/big", false),
            ("big", true),
            ("host", true),
        ] {
            let asked = asked(guests, category, &[]);
            assert_eq!(asked.is_ok(), allowed, "{category}: {asked:?}");
            assert!(allowed || asked.unwrap_err().message.contains(category));
        }
    }

    #[test]
    fn a_job_without_an_image_has_the_network_of_the_host() {
        let error = asked("networks = ['none']", "host", &[]).unwrap_err();
        assert!(error.message.contains("containerd_jt_network"), "{error}");
        assert!(asked("networks = ['none']\nread_only = true", "host", &[("network", "none")]).is_ok());
    }
}
