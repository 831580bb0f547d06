//! The bytes of a C string.

use std::borrow::{Borrow, Cow};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path, an argument or an environment variable of a job template: any bytes but NUL, as the C caller
/// and the kernel have them, UTF-8 or not.
///
/// Stored as a JSON string if it is UTF-8, otherwise as `{"bytes": [..]}`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored<'a> {
    Utf8(Cow<'a, str>),
    Raw { bytes: Cow<'a, [u8]> },
}

impl Text {
    /// The bytes, without a terminating NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, for the file system.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with every `from` replaced by `to`.
    #[must_use]
    pub fn replace(&self, from: &str, to: &[u8]) -> Self {
        let mut rest = self.0.as_slice();
        let mut out = Vec::with_capacity(rest.len());
        while let Some(at) = find(rest, from.as_bytes()) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(to);
            rest = &rest[at + from.len()..];
        }
        out.extend_from_slice(rest);
        Self(out)
    }

    /// Returns whether `part` occurs in it.
    pub fn contains(&self, part: &str) -> bool {
        find(&self.0, part.as_bytes()).is_some()
    }

    /// The rest after `prefix`, if it starts with that.
    pub fn strip_prefix(&self, prefix: &str) -> Option<Self> {
        self.0.strip_prefix(prefix.as_bytes()).map(Self::from)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A table of texts can be asked for bytes.
impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> Self {
        OsString::from_vec(text.0)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Stored::Utf8(text.into()),
            Err(_) => Stored::Raw { bytes: self.0.as_slice().into() },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match Stored::deserialize(deserializer)? {
            Stored::Utf8(text) => text.into_owned().into_bytes(),
            Stored::Raw { bytes } => bytes.into_owned(),
        };
        if bytes.contains(&0) {
            return Err(D::Error::custom("a NUL byte in a C string"));
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_storage() {
        for bytes in [&b""[..], b"plain", "grün".as_bytes(), b"\xff\xfe\x80", b"{\"bytes\":[1]}"] {
            let text = Text::from(bytes);
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text, "{json}");
        }
    }

    #[test]
    fn a_stored_nul_is_refused() {
        assert!(serde_json::from_str::<Text>(r#""a\u0000b""#).is_err());
    }

    #[test]
    fn replaces_each_occurrence() {
        let text = Text::from("a$I$b$I$").replace("$I$", b"42");
        assert_eq!(text, Text::from("a42b42"));
    }
}
