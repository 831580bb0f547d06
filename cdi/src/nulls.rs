//! JSON as programs in Go write it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The value that JSON which is parsed already stands for: `null` is absent, wherever it is.
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
