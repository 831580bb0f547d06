//! The agent, which continues with jobs.

use std::path::PathBuf;

use crate::model::{Error, ErrorCode, Result};

/// The program of the agent, if one is started for jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Agent {
    /// `drmaa2d`, beside the library.
    #[default]
    On,
    /// None.
    Off,
    /// The program at this path.
    At(PathBuf),
}

impl Agent {
    pub(super) fn parse(value: PathBuf) -> Result<Self> {
        match value.to_str() {
            Some("on") => Ok(Self::On),
            Some("off") => Ok(Self::Off),
            _ if value.is_absolute() => Ok(Self::At(value)),
            _ => {
                let text = format!("agent \"{}\" is not on, off or an absolute path", value.display());
                Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"))
            }
        }
    }
}
