//! The C structs that a program expects, where implementations differ.

use std::path::PathBuf;

use super::sources::Sources;
use crate::model::{Error, ErrorCode, Result};

/// The variants of C structs, where implementations differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compat {
    /// Those of the standard.
    #[default]
    Standard,
    /// Those of Altair Grid Engine.
    Age,
}

impl Compat {
    /// The variable: this is a property of the program and not of the site, and has no key in a file.
    const VARIABLE: &str = "DRMAA2_COMPAT";

    /// The value that the environment of this process says now.
    pub fn of_process() -> Result<Self> {
        let sources = Sources::of_process();
        Self::of(&|name| sources.variable(name))
    }

    pub(super) fn of(env: &impl Fn(&str) -> Option<PathBuf>) -> Result<Self> {
        let said = env(Self::VARIABLE).filter(|value| !value.as_os_str().is_empty());
        said.map_or(Ok(Self::Standard), Self::parse)
    }

    fn parse(value: PathBuf) -> Result<Self> {
        match value.to_str() {
            Some("age") => Ok(Self::Age),
            _ => {
                let text = format!("environment: {} \"{}\" is not age", Self::VARIABLE, value.display());
                Err(Error::new(ErrorCode::SessionManagement, text))
            }
        }
    }
}
