//! The name of an image, taken apart.

use std::fmt;

use crate::model::{Error, Result};

/// The registry of names that say none.
const DOCKER_HUB: &str = "docker.io";

/// The name of an image: its registry, its repository there, and its tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The registry, with a port if it has one.
    pub host: String,
    /// The path of its repository.
    pub repository: String,
    /// Its tag.
    pub tag: Option<String>,
    /// Its digest, which counts more than the tag.
    pub digest: Option<String>,
}

impl Name {
    /// Take apart a name as people write it, `[host/]repository[:tag][@digest]`. As with Docker, `busybox` is
    /// `docker.io/library/busybox:latest` and `me/app:2` is `docker.io/me/app:2`. INVALID_ARGUMENT if no registry
    /// can have an image of that name.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |cause: String| Error::argument(format!("image name \"{text}\": {cause}"));
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(refuse(format!("a name has no scheme, so leave out \"{scheme}://\"")));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((first, path)) if names_host(first) => (first, path),
            _ => (DOCKER_HUB, rest),
        };
        let host = if host == "index.docker.io" { DOCKER_HUB } else { host };
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        let official = if host == DOCKER_HUB && !path.contains('/') { "library/" } else { "" };
        let repository = format!("{official}{path}");
        if !is_host(host) {
            return Err(refuse(format!("\"{host}\" is no host")));
        }
        if repository.len() > 255 || !repository.split('/').all(is_component) {
            return Err(refuse(format!("\"{repository}\" is no path of a repository")));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(refuse(format!("\"{tag}\" is no tag")));
        }
        if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
            return Err(refuse(format!(
                "\"{digest}\" is no SHA-256 digest, and containerd knows no other"
            )));
        }
        let tag = tag.or_else(|| digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { host: host.to_owned(), repository, tag, digest: digest.map(str::to_owned) })
    }
}

/// The name in full, under which containerd has what was pulled.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Is the first part of a name a registry's host rather than a user of the default registry?
fn names_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.chars().any(char::is_uppercase)
}

fn is_host(host: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | ':' | '[' | ']');
    host.starts_with(|char: char| char.is_ascii_alphanumeric() || char == '[') && host.chars().all(plain)
}

/// Small letters and digits, with separators between them: a dot, up to two underscores, or hyphens.
fn is_component(part: &str) -> bool {
    let word = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let separates = |gap: &str| matches!(gap, "." | "_" | "__") || gap.chars().all(|char| char == '-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(separates)
}

fn is_tag(tag: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|char| word(char) || matches!(char, '.' | '-'))
}

/// Returns whether a text is a digest that can be checked, in small letters.
pub fn is_digest(digest: &str) -> bool {
    let hex = |char: char| char.is_ascii_digit() || ('a'..='f').contains(&char);
    digest.strip_prefix("sha256:").is_some_and(|rest| rest.len() == 64 && rest.chars().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_four_parts() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let name = Name::parse(&format!("localhost:5000/a/b-c:1.2@{digest}")).unwrap();
        assert_eq!((name.host.as_str(), name.repository.as_str()), ("localhost:5000", "a/b-c"));
        assert_eq!((name.tag.as_deref(), name.digest.as_deref()), (Some("1.2"), Some(digest.as_str())));
        let name = Name::parse(&format!("docker.io/library/x@{digest}")).unwrap();
        assert_eq!((name.tag, name.digest), (None, Some(digest)));
    }

    #[test]
    fn short_names_are_those_of_docker() {
        for (short, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1", "docker.io/library/busybox:1"),
            ("me/app", "docker.io/me/app:latest"),
            ("me/team/app:2", "docker.io/me/team/app:2"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
            ("localhost/app:1", "localhost/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("quay.io/org/app", "quay.io/org/app:latest"),
            ("quay.io/o.r_g/a__p---p", "quay.io/o.r_g/a__p---p:latest"),
            ("Registry/app:1", "Registry/app:1"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1"),
        ] {
            assert_eq!(Name::parse(short).unwrap().to_string(), full);
            assert_eq!(Name::parse(full).unwrap().to_string(), full);
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let name = Name::parse(&format!("busybox@{digest}")).unwrap();
        assert_eq!(name.to_string(), format!("docker.io/library/busybox@{digest}"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let (shouted, long) =
            (format!("h/a@sha256:{}", "A".repeat(64)), format!("h/{}", "a".repeat(256)));
        let sha512 = format!("h/a@sha512:{}", "a".repeat(128));
        for wrong in [
            "",
            "X",
            "h/",
            "h/A:1",
            "h/a:",
            "h/a:-1",
            "h/../a:1",
            "h/a//b",
            "h/a..b",
            "h/a___b",
            "h/a._b",
            "h/a@sha256:12",
            "h/a@md5:0",
            "h h/a",
            "../a",
            "h/a b",
            "h/a?x=1",
            "https://quay.io/a",
            &shouted,
            &sha512,
            &long,
        ] {
            let error = Name::parse(wrong).unwrap_err();
            assert!(error.message.contains(&format!("image name \"{wrong}\"")), "{error}");
        }
    }
}
