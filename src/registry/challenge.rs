//! What a registry wants to be told before it answers (RFC 9110, `WWW-Authenticate`).

/// A way to convince a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token of the authority at `realm`.
    Bearer {
        /// Its URL.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it is to allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Those of a registry's answer that are known.
    pub(super) fn all<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<Self> {
        headers.filter_map(Self::parse).collect()
    }

    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Some(Self::Basic),
            "bearer" => {
                let get = |wanted: &str| {
                    parameters(rest).into_iter().find(|(key, _)| key == wanted).map(|(_, value)| value)
                };
                Some(Self::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
            }
            _ => None,
        }
    }
}

/// `key="value"` with commas between them; a value in quotes may hold commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        let key = key.trim_matches([',', ' ']).to_ascii_lowercase();
        found.push((key, value.trim().to_owned()));
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let header = "Bearer realm=\"https://a/t\",service=\"r\", scope=\"repository:x:pull,push\"";
        let all = Challenge::all(["Basic realm=\"x\"", header, "Digest x=1"].into_iter());
        let bearer = Challenge::Bearer {
            realm: "https://a/t".into(),
            service: Some("r".into()),
            scope: Some("repository:x:pull,push".into()),
        };
        assert_eq!(all, [Challenge::Basic, bearer]);
        assert_eq!(Challenge::parse("bearer service=r"), None);
    }
}
