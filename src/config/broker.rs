//! The broker, which does for its clients what they may not do themselves.

use std::path::{Path, PathBuf};

use crate::model::{BROKER_SOCKET, Error, ErrorCode, Result};

/// The socket of the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Broker {
    /// Clients look where packages put it; the service listens at the socket that its manager gives it.
    #[default]
    Default,
    /// None.
    Off,
    /// The socket at this path.
    At(PathBuf),
}

impl Broker {
    /// Clients look there.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Default => Some(BROKER_SOCKET.as_ref()),
            Self::Off => None,
            Self::At(path) => Some(path),
        }
    }

    pub(super) fn parse(value: PathBuf) -> Result<Self> {
        match value.to_str() {
            Some("off") => Ok(Self::Off),
            _ if value.is_absolute() => Ok(Self::At(value)),
            _ => {
                let text = format!("broker \"{}\" is not off or an absolute path", value.display());
                Err(Error::new(ErrorCode::SessionManagement, text).of("configuration"))
            }
        }
    }
}
