//! The name files of a job: its own name, and those of hosts.
//!
//! With a loopback interface of its own, the job finds `localhost` and itself. On the host's network it
//! finds the host's names, and its own if it has asked for one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::io_error;
use super::machine;
use crate::container::spec::FileMount;
use crate::model::extensions::Network;
use crate::model::{Extensions, Result};

const HOSTS: &str = "/etc/hosts";
const HOSTNAME: &str = "/etc/hostname";
const RESOLVER: &str = "/etc/resolv.conf";

const LOOPBACK: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Make a job's name files in its directory, and return their mounts. Mounts of the job itself take
/// precedence.
pub(super) fn files(dir: &Path, wanted: &Extensions) -> Result<Vec<FileMount>> {
    let network = wanted.network.unwrap_or_default();
    let name = wanted.hostname.clone().unwrap_or_else(machine::name);
    let hosts = match (network, &wanted.hostname) {
        (Network::None, _) => Some(format!("{LOOPBACK}127.0.0.1\t{name}\n")),
        (Network::Host, Some(_)) => Some(with(&read(Path::new(HOSTS))?, &name)),
        (Network::Host, None) => None,
    };
    let mut files = vec![own(dir, HOSTNAME, &format!("{name}\n"))?];
    files.extend(hosts.as_deref().map(|text| own(dir, HOSTS, text)).transpose()?);
    if network == Network::Host {
        let shared = [HOSTS, RESOLVER].into_iter().filter(|file| hosts.is_none() || *file != HOSTS);
        let shared = shared.filter(|file| Path::new(file).exists());
        files.extend(shared.map(|file| FileMount {
            source: file.into(),
            target: file.to_owned(),
            read_only: true,
        }));
    }
    files.retain(|file| !is_covered(&file.target, wanted));
    Ok(files)
}

/// Returns whether the job has a mount of its own there, or at a directory above.
fn is_covered(target: &str, wanted: &Extensions) -> bool {
    let mounts = wanted.mounts.iter().map(|mount| &mount.destination);
    let mut places = mounts.chain(wanted.tmpfs.iter().map(|tmpfs| &tmpfs.destination));
    places.any(|place| Path::new(target).starts_with(place))
}

/// A file of the job's own with this content, mounted there.
fn own(dir: &Path, target: &str, text: &str) -> Result<FileMount> {
    let source: PathBuf = dir.join(target.trim_start_matches("/etc/"));
    fs::write(&source, text).map_err(|error| io_error(&source, &error))?;
    Ok(FileMount { source, target: target.to_owned(), read_only: false })
}

fn read(file: &Path) -> Result<String> {
    match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LOOPBACK.to_owned()),
        Err(error) => Err(io_error(file, &error)),
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// The host's file, with the job's own name added if it is missing.
fn with(hosts: &str, name: &str) -> String {
    let words = |line: &str| {
        line.split('#').next().unwrap_or_default().split_whitespace().skip(1).any(|it| it == name)
    };
    if hosts.lines().any(words) {
        return hosts.to_owned();
    }
    let end = if hosts.is_empty() || hosts.ends_with('\n') { "" } else { "\n" };
    format!("{hosts}{end}127.0.1.1\t{name}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobTemplate;

    #[test]
    fn a_name_is_added_once() {
        assert_eq!(with("10.0.0.1 node node.example\n", "node"), "10.0.0.1 node node.example\n");
        assert_eq!(with("10.0.0.1 a # node", "node"), "10.0.0.1 a # node\n127.0.1.1\tnode\n");
        assert_eq!(with("", "node"), "127.0.1.1\tnode\n");
    }

    #[test]
    fn a_job_has_files_of_its_own_or_the_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let targets = |network, hostname: Option<&str>| -> Vec<(String, bool)> {
            let wanted = Extensions {
                network: Some(network),
                hostname: hostname.map(str::to_owned),
                ..Extensions::default()
            };
            let files = files(dir.path(), &wanted).unwrap();
            files.into_iter().map(|file| (file.target, file.source.starts_with(dir.path()))).collect()
        };
        let own = |target: &str| (target.to_owned(), true);
        assert_eq!(targets(Network::None, Some("node"))[..], [own(HOSTNAME), own(HOSTS)]);
        assert_eq!(fs::read_to_string(dir.path().join("hostname")).unwrap(), "node\n");
        let hosts = fs::read_to_string(dir.path().join("hosts")).unwrap();
        assert!(hosts.starts_with(LOOPBACK) && hosts.ends_with("127.0.0.1\tnode\n"), "{hosts}");
        assert_eq!(targets(Network::Host, Some("node"))[..2], [own(HOSTNAME), own(HOSTS)]);
        assert!(!targets(Network::Host, None).contains(&own(HOSTS)));
    }

    #[test]
    fn what_the_job_mounts_comes_first() {
        let covered = |place: &str| {
            let text = format!("/h:{place}");
            let extensions = vec![("containerd_jt_mounts".to_owned(), text.as_str().into())];
            let template =
                JobTemplate { extensions: extensions.into_iter().collect(), ..JobTemplate::default() };
            let wanted = template.extensions().unwrap();
            [HOSTS, HOSTNAME].map(|target| is_covered(target, &wanted))
        };
        assert_eq!(covered("/etc"), [true, true]);
        assert_eq!(covered("/etc/hosts"), [true, false]);
        assert_eq!(covered("/etc/host"), [false, false]);
    }
}
