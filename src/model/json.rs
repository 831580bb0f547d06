//! JSON in the dialect of Go programs.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Read JSON that may come from a Go program: these accept `null` for absent in any place, and write it
/// for empty values.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    without_nulls(serde_json::from_slice(bytes)?)
}

/// The same for JSON that is parsed already.
pub fn without_nulls<T: DeserializeOwned>(mut value: Value) -> serde_json::Result<T> {
    prune(&mut value);
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    serde_json::from_value(value)
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
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
}
