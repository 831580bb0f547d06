//! Challenges of a registry (RFC 9110, `WWW-Authenticate`).

use http_auth::ChallengeRef;
use http_auth::parser::ChallengeParser;

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
        /// The access that the token is to allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Those of a registry's answer that are known, as far as its headers can be read; a header may hold several.
    pub(super) fn all<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let all = headers.flat_map(|header| ChallengeParser::new(header).map_while(Result::ok));
        all.filter_map(|challenge| Self::known(&challenge)).collect()
    }

    fn known(challenge: &ChallengeRef<'_>) -> Option<Self> {
        let get = |wanted: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.to_unescaped())
        };
        match challenge.scheme.to_ascii_lowercase().as_str() {
            "basic" => Some(Self::Basic),
            "bearer" => {
                Some(Self::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
            }
            _ => None,
        }
    }
}

/// Read the challenges of an answer for a fuzz target.
#[cfg(feature = "fuzzing")]
pub fn fuzz(headers: &str) {
    let _ = Challenge::all(headers.lines());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(service: &str, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: "https://a/t".into(),
            service: Some(service.into()),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read() {
        let header = "Bearer realm=\"https://a/t\",service=\"r\", scope=\"repository:x:pull,push\"";
        let all = Challenge::all(["Basic realm=\"x\"", header, "Digest x=1"].into_iter());
        assert_eq!(all, [Challenge::Basic, bearer("r", Some("repository:x:pull,push"))]);
    }

    #[test]
    fn forms_that_registries_use_are_known_and_others_do_no_harm() {
        let basic = || Challenge::Basic;
        for (header, expected) in [
            ("basic", vec![basic()]),
            (
                "Basic realm=\"x\", Bearer realm=\"https://a/t\",service=\"r\"",
                vec![basic(), bearer("r", None)],
            ),
            ("Negotiate, Basic realm=\"a, b\"", vec![basic()]),
            ("BEARER Realm = \"https://a/t\" , SERVICE=r,", vec![bearer("r", None)]),
            ("Bearer realm=\"https://a/t\",service=\"a \\\"b\\\"\"", vec![bearer("a \"b\"", None)]),
            ("bearer service=r", vec![]),
            ("Bearer realm=\"https://a/t", vec![]),
            ("Basic realm=\"x\", Bearer realm=https://a/t", vec![basic()]),
            ("", vec![]),
            ("=,\"", vec![]),
        ] {
            assert_eq!(Challenge::all([header].into_iter()), expected, "{header}");
        }
    }
}
