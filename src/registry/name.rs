//! The name of an image, taken apart.

use crate::model::{Error, Result};

/// Where an image is, and which one it is.
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
    /// Take apart a name in its full form, `host/repository:tag@digest`.
    pub fn parse(full: &str) -> Result<Self> {
        let refuse = |cause: String| Error::argument(format!("image name \"{full}\": {cause}"));
        if let Some((scheme, _)) = full.split_once("://") {
            return Err(refuse(format!("a name has no scheme, so leave out \"{scheme}://\"")));
        }
        let (rest, digest) = match full.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (full, None),
        };
        let (host, path) =
            rest.split_once('/').ok_or_else(|| refuse("it names no registry".to_owned()))?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
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
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

fn is_host(host: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | ':' | '[' | ']');
    host.starts_with(|char: char| char.is_ascii_alphanumeric() || char == '[') && host.chars().all(plain)
}

/// Small letters and digits, with separators between them.
fn is_component(part: &str) -> bool {
    let word = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    part.starts_with(word)
        && part.ends_with(word)
        && part.chars().all(|char| word(char) || matches!(char, '.' | '_' | '-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|char| word(char) || matches!(char, '.' | '-'))
}

/// Is it a digest that can be checked?
pub(super) fn is_digest(digest: &str) -> bool {
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
    fn what_is_no_name_is_refused() {
        for wrong in [
            "x",
            "h/",
            "h/A:1",
            "h/a:",
            "h/a:-1",
            "h/../a:1",
            "h/a//b",
            "h/a@sha256:12",
            "h/a@md5:0",
            "h h/a",
            "../a",
            "h/a b",
            "h/a?x=1",
        ] {
            let error = Name::parse(wrong).unwrap_err();
            assert!(error.message.contains(&format!("image name \"{wrong}\"")), "{error}");
        }
    }
}
