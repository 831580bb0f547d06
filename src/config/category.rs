//! Job categories of a site: an image, and the default attributes of its jobs.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{JobTemplate, Text, extensions};

/// A job category defined by the site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, toml::Value>")]
pub struct Category {
    /// The image of its jobs.
    pub image: String,
    /// Implementation-specific attributes of its jobs, unless their templates set them.
    pub attributes: BTreeMap<String, Text>,
}

impl TryFrom<BTreeMap<String, toml::Value>> for Category {
    type Error = String;

    /// Attributes have their names without the prefix.
    fn try_from(mut keys: BTreeMap<String, toml::Value>) -> Result<Self, String> {
        let image = keys.remove("image");
        let mut attributes = BTreeMap::new();
        for (key, value) in keys {
            let name = format!("{}{key}", extensions::PREFIX);
            if !extensions::JOB_TEMPLATE.iter().any(|known| known.name == name) {
                return Err(format!("unknown key \"{key}\""));
            }
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                    value.to_string()
                }
                _ => return Err(format!("{key} is neither a string nor a number or a truth value")),
            };
            let one = BTreeMap::from([(name.clone(), Text::from(text))]);
            let template = JobTemplate { extensions: one, ..JobTemplate::default() };
            template.extensions().map_err(|error| format!("{key}: {}", error.message))?;
            attributes.extend(template.extensions);
        }
        match image {
            Some(toml::Value::String(image)) => Ok(Self { image, attributes }),
            Some(_) => Err("image is no string".to_owned()),
            None => Err("a category needs an image".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Category, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn attributes_have_their_short_names_and_any_plain_value() {
        let text = "image = 'i'\nnetwork = 'host'\npids = 7\ncpus = 1.5\nread_only = true";
        let category = read(text).unwrap();
        assert_eq!(category.image, "i");
        let given = [("cpus", "1.5"), ("network", "host"), ("pids", "7"), ("read_only", "true")];
        let given = given.map(|(name, value)| (format!("containerd_jt_{name}"), Text::from(value)));
        assert_eq!(category.attributes, given.into());
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, part) in [
            ("", "needs an image"),
            ("image = 7", "image"),
            ("image = 'i'\nnetwrok = 'host'", "netwrok"),
            ("image = 'i'\nnetwork = 'wide'", "\"wide\""),
            ("image = 'i'\nmounts = ['/a:/b']", "mounts"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
