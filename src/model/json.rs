//! JSON in the dialect of Go programs.

use std::borrow::Cow;
use std::fmt;

use drmaa2_cdi::without_nulls;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

/// The names that a document has for its members. Those of a text may be in other letters: small ones and capitals are
/// the same to Go.
pub enum Shape {
    /// Anything; its names stay.
    Any,
    /// An object with these members.
    Members(&'static [(&'static str, Shape)]),
    /// A list of such things, or an object whose names are free.
    Each(&'static Shape),
}

/// Read what a program in Go may have written: it takes `null` for absent, wherever it stands, and writes it for what
/// is empty.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    read_as(bytes, &Shape::Any)
}

/// The same for a document whose names are known.
pub fn read_as<T: DeserializeOwned>(bytes: &[u8], shape: &Shape) -> serde_json::Result<T> {
    let text = String::from_utf8_lossy(bytes);
    let Merged(mut value) = serde_json::from_str(&whole_characters(&text))?;
    name(&mut value, shape)?;
    without_nulls(value)
}

/// Put the sign for a character that is none where an escape gives half of one.
fn whole_characters(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut found = String::new();
    let (mut taken, mut at) = (0, 0);
    while let Some(next) = text[at..].find('\\').map(|next| at + next) {
        at = match (unit(next), unit(next + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => next + 12,
            (Some(0xd800..=0xdfff), _) => {
                found.push_str(&text[taken..next]);
                found.push_str("\\ufffd");
                taken = next + 6;
                taken
            }
            (Some(_), _) => next + 6,
            // An escaped character may be of several bytes where the text is no JSON.
            (None, _) => next + 1 + text[next + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    if taken == 0 {
        return Cow::Borrowed(text);
    }
    found.push_str(&text[taken..]);
    Cow::Owned(found)
}

/// Give the members of a document the names that it has for them. What should be an object is one, or null.
fn name(value: &mut Value, shape: &Shape) -> serde_json::Result<()> {
    match (value, shape) {
        (Value::Array(items), Shape::Each(of)) => items.iter_mut().try_for_each(|item| name(item, of)),
        (Value::Object(members), Shape::Each(of)) => {
            members.values_mut().try_for_each(|member| name(member, of))
        }
        (Value::Object(members), Shape::Members(known)) => {
            for (key, mut member) in std::mem::take(members) {
                let same = |(known, _): &&(&str, Shape)| known.eq_ignore_ascii_case(&key);
                let found = known.iter().find(|(known, _)| *known == key);
                let (key, of) = match found.or_else(|| known.iter().find(same)) {
                    Some((known, of)) => ((*known).to_owned(), of),
                    None => (key, &Shape::Any),
                };
                name(&mut member, of)?;
                add(members, key, member);
            }
            Ok(())
        }
        (Value::Null, _) | (_, Shape::Any | Shape::Each(_)) => Ok(()),
        (other, Shape::Members(_)) => {
            let text: String = other.to_string().chars().take(40).collect();
            Err(de::Error::custom(format!("{text} is no object")))
        }
    }
}

/// Add a member. Of two with a name the later counts, but objects are one.
fn add(members: &mut Map<String, Value>, key: String, member: Value) {
    match (members.get_mut(&key), member) {
        (Some(Value::Object(first)), Value::Object(second)) => {
            second.into_iter().for_each(|(key, member)| add(first, key, member));
        }
        (_, member) => drop(members.insert(key, member)),
    }
}

/// A value in which no member is lost that is there twice.
struct Merged(Value);

impl<'de> Deserialize<'de> for Merged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Merging).map(Self)
    }
}

struct Merging;

impl<'de> Visitor<'de> for Merging {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Merged(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((key, Merged(member))) = members.next_entry()? {
            add(&mut all, key, member);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_absent() {
        let text = br#"{"a": null, "b": [{"c": null, "d": 1}], "e": {"f": null}}"#;
        assert_eq!(read::<Value>(text).unwrap(), json!({"b": [{"d": 1}], "e": {}}));
        assert_eq!(read::<Value>(b" null").unwrap(), json!({}));
        assert!(read::<Value>(b"{").is_err());
    }
    #[test]
    fn objects_that_are_there_twice_are_one() {
        let text = br#"{"a": {"x": 1, "y": 1}, "b": [1, 2], "a": {"y": 2}, "b": [3]}"#;
        assert_eq!(read::<Value>(text).unwrap(), json!({"a": {"x": 1, "y": 2}, "b": [3]}));
    }

    #[test]
    fn what_is_no_character_is_told_so() {
        let read = |bytes: &[u8]| read::<Value>(bytes).unwrap()["a"].as_str().unwrap().to_owned();
        assert_eq!(read(b"{\"a\": \"x\xffy\"}"), "x\u{fffd}y");
        for (text, found) in [
            (r#"{"a": "x\ud800y"}"#, "x\u{fffd}y"),
            (r#"{"a": "\udc00\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (r#"{"a": "\ud800\ud800\n"}"#, "\u{fffd}\u{fffd}\n"),
            (r#"{"a": "\\ud800\u00e4\""}"#, "\\ud800\u{e4}\""),
        ] {
            assert_eq!(read(text.as_bytes()), found, "{text}");
        }
        for broken in [r#"{"a": "\ud8"#, r#"{"a": "\u"}"#, "\\", "\\\u{e4}"] {
            assert!(super::read::<Value>(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn names_of_a_document_may_be_in_other_letters() {
        const SHAPE: Shape = Shape::Members(&[
            ("os", Shape::Any),
            ("config", Shape::Members(&[("Env", Shape::Any), ("Labels", Shape::Any)])),
            ("layers", Shape::Each(&Shape::Members(&[("size", Shape::Any)]))),
        ]);
        let text = br#"{"OS": 1, "Config": {"env": 2, "labels": {"OS": 3}}, "Layers": [{"SIZE": 4}], "Other": 5}"#;
        let wanted = json!({"os": 1, "config": {"Env": 2, "Labels": {"OS": 3}}, "layers": [{"size": 4}], "Other": 5});
        assert_eq!(read_as::<Value>(text, &SHAPE).unwrap(), wanted);
        for wrong in ["[]", "1", r#"{"config": "x"}"#, r#"{"layers": [[]]}"#] {
            let error = read_as::<Value>(wrong.as_bytes(), &SHAPE).unwrap_err();
            assert!(error.to_string().contains("is no object"), "{error}");
        }
    }
}
