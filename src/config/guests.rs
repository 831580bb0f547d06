//! The things that users who run jobs by root's leave may ask for.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::extensions::{self, Network};
use crate::model::{Error, ErrorCode, Result};

/// The most that a job may ask for whose user is not root, where root's process makes it for him. A job that asks for
/// nothing gets no more. `None` is no limit of the site's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guests {
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<i64>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<i64>,
    /// Bytes of all file systems in memory together.
    pub tmpfs: Option<i64>,
    /// Seconds from start to end.
    pub wall_clock_seconds: Option<i64>,
    /// Seconds from the request to end to the end, and from the end of the command to that of its processes.
    pub grace_seconds: Option<i64>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// The networks; `None` for all.
    pub networks: Option<Vec<Network>>,
    /// Runtimes besides the usual one.
    pub runtimes: Vec<String>,
    /// Snapshotters besides the configured one.
    pub snapshotters: Vec<String>,
    /// The registries of images that the configuration does not name; `None` for all.
    pub registries: Option<Vec<String>>,
    /// The groups of users that may have a kind of CDI devices; `None` for all users and kinds.
    pub devices: Option<BTreeMap<String, Vec<String>>>,
    /// Jobs of a user that are not reaped.
    pub stored_jobs: Option<i64>,
    /// Bytes of their templates.
    pub stored_bytes: Option<i64>,
    /// Sessions of a user, those for jobs and those for reservations each.
    pub sessions: Option<i64>,
    /// The contact strings of their sessions, besides none.
    pub contacts: Vec<String>,
    /// They may make reservations.
    pub reservations: bool,
    /// Monitoring sessions do not show the jobs of other users.
    pub hide_others: bool,
    /// Containers for the steps of a cluster's jobs on this machine.
    pub steps: bool,
}

/// The user of any group.
pub const EVERYONE: &str = "*";

/// The same as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    memory: Option<Size>,
    pids: Option<i64>,
    shm_size: Option<Size>,
    tmpfs: Option<Size>,
    wall_clock_seconds: Option<i64>,
    grace_seconds: Option<i64>,
    read_only: Option<bool>,
    networks: Option<Vec<String>>,
    runtimes: Option<Vec<String>>,
    snapshotters: Option<Vec<String>>,
    registries: Option<Vec<String>>,
    devices: Option<BTreeMap<String, Vec<String>>>,
    stored_jobs: Option<i64>,
    stored_bytes: Option<Size>,
    sessions: Option<i64>,
    contacts: Option<Vec<String>>,
    reservations: Option<bool>,
    hide_others: Option<bool>,
    steps: Option<bool>,
}

/// Users who see and control the jobs of all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operators {
    pub(super) groups: Option<Vec<String>>,
}

/// Bytes: a number, or a text with a suffix.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "toml::Value")]
struct Size(i64);

impl TryFrom<toml::Value> for Size {
    type Error = String;

    fn try_from(value: toml::Value) -> std::result::Result<Self, String> {
        match value {
            toml::Value::Integer(_) => extensions::size(&value.to_string()),
            toml::Value::String(text) => extensions::size(&text),
            _ => Err("a size is a number of bytes, or a text such as \"8g\"".to_owned()),
        }
        .map(Self)
    }
}

impl Guests {
    /// Change what `keys` set.
    pub(super) fn apply(&mut self, keys: Keys) -> Result<()> {
        let bytes = |size: Option<Size>| size.map(|Size(bytes)| bytes);
        self.memory = bytes(keys.memory).or(self.memory);
        self.pids = keys.pids.or(self.pids);
        self.shm_size = bytes(keys.shm_size).or(self.shm_size);
        self.tmpfs = bytes(keys.tmpfs).or(self.tmpfs);
        self.wall_clock_seconds = keys.wall_clock_seconds.or(self.wall_clock_seconds);
        self.grace_seconds = keys.grace_seconds.or(self.grace_seconds);
        self.read_only = keys.read_only.unwrap_or(self.read_only);
        let networks = keys.networks.map(|names| names.iter().map(|name| network(name)).collect());
        self.networks = networks.transpose()?.or(self.networks.take());
        self.runtimes = keys.runtimes.unwrap_or(std::mem::take(&mut self.runtimes));
        self.snapshotters = keys.snapshotters.unwrap_or(std::mem::take(&mut self.snapshotters));
        self.registries = keys.registries.or(self.registries.take());
        self.devices = keys.devices.or(self.devices.take());
        self.stored_jobs = keys.stored_jobs.or(self.stored_jobs);
        self.stored_bytes = bytes(keys.stored_bytes).or(self.stored_bytes);
        self.sessions = keys.sessions.or(self.sessions);
        self.contacts = keys.contacts.unwrap_or(std::mem::take(&mut self.contacts));
        self.reservations = keys.reservations.unwrap_or(self.reservations);
        self.hide_others = keys.hide_others.unwrap_or(self.hide_others);
        self.steps = keys.steps.unwrap_or(self.steps);
        // With less no job would start.
        let least = [
            ("memory", self.memory, extensions::MIN_MEMORY),
            ("pids", self.pids, 1),
            ("wall_clock_seconds", self.wall_clock_seconds, 1),
            ("grace_seconds", self.grace_seconds, 0),
            ("stored_jobs", self.stored_jobs, 1),
            ("sessions", self.sessions, 1),
        ];
        match least.into_iter().find(|(_, most, least)| most.is_some_and(|most| most < *least)) {
            Some((key, most, least)) => {
                Err(mistake(format!("{key} = {} has to be at least {least}", most.unwrap_or(0))))
            }
            None => Ok(()),
        }
    }
}

fn network(name: &str) -> Result<Network> {
    Network::parse(name).ok_or_else(|| mistake(format!("networks: \"{name}\" is not none or host")))
}

fn mistake(text: String) -> Error {
    Error::new(ErrorCode::SessionManagement, format!("guests: {text}")).of("configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Guests> {
        let mut guests = Guests::default();
        for text in texts {
            let keys = toml::from_str(text).map_err(|error| mistake(error.to_string()))?;
            guests.apply(keys)?;
        }
        Ok(guests)
    }

    #[test]
    fn a_later_source_changes_what_it_says() {
        let first = "memory = '8g'\npids = 100\nnetworks = ['none']\n[devices]\n'v/c' = ['g']";
        let guests =
            read(&[first, "memory = 4194304\nread_only = true\nnetworks = ['none', 'host']"]).unwrap();
        let expected = Guests {
            memory: Some(4 << 20),
            pids: Some(100),
            read_only: true,
            networks: Some(vec![Network::None, Network::Host]),
            devices: Some([("v/c".to_owned(), vec!["g".to_owned()])].into()),
            ..Guests::default()
        };
        assert_eq!(guests, expected);
        assert_eq!(read(&[]).unwrap(), Guests::default());
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, part) in [
            ("memory = '8x'", "8x"),
            ("memory = 1000", "memory"),
            ("memory = true", "a size"),
            ("pids = 0", "pids = 0"),
            ("wall_clock_seconds = 0", "wall_clock_seconds"),
            ("networks = ['lan']", "\"lan\""),
            ("prio = 1", "prio"),
        ] {
            let error = read(&[text]).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
